# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactions of the EVM as tests write them down, and their columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from supervm.vm.evm import columns as c


@dataclass(frozen=True)
class Authorization:
    """`authority` None: the signature yields nobody."""

    target: int
    authority: int | None
    nonce: int = 0
    chain: int = 1


@dataclass(frozen=True)
class Transaction:
    """Types without a maximum fee have their gas price as `fee` and `priority`."""

    sender: int
    to: int | None = 0xEE
    type: int = 0
    nonce: int = 0
    value: int = 0
    gas: int = 21_000
    fee: int = 0
    priority: int | None = None
    blob_fee: int = 0
    data: bytes = b""
    access_list: tuple[tuple[int, tuple[int, ...]], ...] = ()
    blobs: tuple[bytes, ...] = ()
    authorizations: tuple[Authorization, ...] = ()
    rejected: int = 0


def _addresses(values: Sequence[int]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(value.to_bytes(20) for value in values), np.uint8).reshape(-1, 20).copy()


def _words(values: Sequence[int]) -> NDArray[np.uint64]:
    return np.frombuffer(b"".join(value.to_bytes(32, "little") for value in values), np.uint64).reshape(-1, 4)


def _rows(values: Sequence[bytes]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(values), np.uint8).reshape(-1, 32).copy()


def _offsets(sizes: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def transaction_columns(given: Sequence[Transaction]) -> c.TransactionColumns:
    """The columns of transactions."""
    entries = [entry for each in given for entry in each.access_list]
    authorizations = [each for one in given for each in one.authorizations]
    return c.TransactionColumns(
        {
            c.REJECTED: np.array([each.rejected for each in given], np.uint8),
            c.TYPES: np.array([each.type for each in given], np.uint8),
            c.SENDERS: _addresses([each.sender for each in given]),
            c.HAS_TO: np.array([each.to is not None for each in given], np.uint8),
            c.TARGETS: _addresses([each.to or 0 for each in given]),
            c.NONCES: np.array([each.nonce for each in given], np.uint64),
            c.VALUES: _words([each.value for each in given]),
            c.GAS_LIMITS: np.array([each.gas for each in given], np.uint64),
            c.MAX_FEES: _words([each.fee for each in given]),
            c.PRIORITY_FEES: _words([each.fee if each.priority is None else each.priority for each in given]),
            c.BLOB_FEES: _words([each.blob_fee for each in given]),
            c.INPUT: np.frombuffer(b"".join(each.data for each in given) or b"\0", np.uint8),
            c.INPUT_OFFSETS: _offsets([len(each.data) for each in given]),
            c.ACCESS_OFFSETS: _offsets([len(each.access_list) for each in given]),
            c.ACCESS_ADDRESSES: _addresses([address for address, _ in entries]),
            c.ACCESS_KEY_OFFSETS: _offsets([len(keys) for _, keys in entries]),
            c.ACCESS_KEYS: _rows([key.to_bytes(32) for _, keys in entries for key in keys]),
            c.BLOB_OFFSETS: _offsets([len(each.blobs) for each in given]),
            c.BLOB_HASHES: _rows([blob for each in given for blob in each.blobs]),
            c.AUTHORIZATION_OFFSETS: _offsets([len(each.authorizations) for each in given]),
            c.AUTHORITIES: _addresses([each.authority or 0 for each in authorizations]),
            c.AUTHORIZATION_VALID: np.array(
                [each.authority is not None for each in authorizations], np.uint8
            ),
            c.AUTHORIZATION_CHAINS: _words([each.chain for each in authorizations]),
            c.AUTHORIZATION_NONCES: np.array([each.nonce for each in authorizations], np.uint64),
            c.AUTHORIZATION_TARGETS: _addresses([each.target for each in authorizations]),
        }
    )
