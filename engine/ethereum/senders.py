# SPDX-License-Identifier: GPL-3.0-or-later
"""Senders and authorities, recovered from signatures, many blocks in one batch.

Sources: the Yellow Paper, appendix F; EIP-2 (a high s is refused from Homestead on); EIP-7702 (the authority
of an authorization, whose s must be low and whose parity 0 or 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from supervm.crypto import hashes, secp256k1
from supervm.crypto.messages import Messages
from supervm.crypto.params.secp256k1 import FN
from supervm.engine.ethereum.blocks import EthereumBlock
from supervm.engine.ethereum.encoding import authorization_payloads, signing_payloads
from supervm.engine.ethereum.transactions import (
    CONTRADICTION,
    AuthorizationInteger,
    Authorizations,
    EthereumTransactions,
    Integer,
)
from supervm.kernels.array_types import Bytes

HOMESTEAD = 1_150_000
"""First mainnet block in which a transaction's s must not exceed half the group order."""

_HALF_ORDER = np.frombuffer((FN.modulus // 2).to_bytes(32), np.uint8)


class SignatureFault(IntEnum):
    """Why a signature gave no sender; 0 where it did."""

    NONE = 0
    PARITY = 1
    HIGH_S = 2
    UNRECOVERABLE = 3


FAULT_WORDS = {
    SignatureFault.PARITY: "no sender: v, yParity and chainId do not give one parity",
    SignatureFault.HIGH_S: "no sender: s is above half the group order",
    SignatureFault.UNRECOVERABLE: "no sender: no key can be recovered from r and s",
}


@dataclass(frozen=True)
class Recovered:
    """What the signatures of one block gave.

    `senders` uint8 (n, 20), zero where there is none; `faults` uint8 (n,), `SignatureFault`; `authorities`
    uint8 (a, 20), zero where there is none, and `authority_found` bool (a,), in the order of the block's
    authorizations.
    """

    senders: Bytes
    faults: Bytes
    authorities: Bytes
    authority_found: NDArray[np.bool_]


@dataclass(frozen=True)
class Recovery:
    """The blocks' results, how many signatures were recovered, and the seconds that `ecdsa_recover_batch`
    took for them: neither hashing, nor addresses, nor comparisons are in it."""

    blocks: list[Recovered]
    signatures: int
    seconds: float


def recover_senders(
    blocks: Sequence[EthereumBlock], *, backend: str = "auto", hash_backend: str = "auto"
) -> Recovery:
    """Recover every sender and every authority of `blocks`, all in one batch.

    Args:
        blocks: as read by `read_block`.
        backend: where signatures are recovered.
        hash_backend: where Keccak-256 runs.
    """
    payloads = [
        part
        for block in blocks
        for part in (
            signing_payloads(block.transactions),
            authorization_payloads(block.transactions.authorizations),
        )
    ]
    rows, faults = [], []
    for block in blocks:
        for row, fault in (
            _transaction_rows(block.transactions, block.number >= HOMESTEAD),
            _authorization_rows(block.transactions.authorizations),
        ):
            rows.append(row)
            faults.append(fault)
    if not rows:
        return Recovery([], 0, 0.0)
    digests = hashes.keccak256_batch(_joined(payloads), backend=hash_backend)
    signatures = np.concatenate(rows)
    began = perf_counter()
    keys, verdicts = secp256k1.ecdsa_recover_batch(digests, signatures, backend=backend)
    seconds = perf_counter() - began
    addresses = hashes.eth_address_batch(keys, backend=hash_backend)
    fault = np.concatenate(faults)
    fault[(fault == SignatureFault.NONE) & (verdicts != 1)] = SignatureFault.UNRECOVERABLE
    addresses[fault != SignatureFault.NONE] = 0
    return Recovery(_per_block(blocks, addresses, fault), len(signatures), seconds)


def recover_authorities(
    authorizations: Authorizations, *, backend: str = "auto", hash_backend: str = "auto"
) -> tuple[Bytes, NDArray[np.bool_]]:
    """Who signed each authorization, uint8 (a, 20), and whether anybody did, bool (a,).

    Args:
        authorizations: of one or more transactions.
        backend: where signatures are recovered.
        hash_backend: where Keccak-256 runs.
    """
    count = len(authorizations.addresses)
    if not count:
        return np.zeros((0, 20), np.uint8), np.zeros(0, np.bool_)
    rows, fault = _authorization_rows(authorizations)
    digests = hashes.keccak256_batch(authorization_payloads(authorizations), backend=hash_backend)
    keys, verdicts = secp256k1.ecdsa_recover_batch(digests, rows, backend=backend)
    found = (fault == SignatureFault.NONE) & (verdicts == 1)
    addresses: Bytes = hashes.eth_address_batch(keys, backend=hash_backend)
    addresses[~found] = 0
    return addresses, found


def above_half_order(s: Bytes) -> NDArray[np.bool_]:
    """Whether each big-endian s, uint8 (n, 32), exceeds half the order of secp256k1."""
    differs = s != _HALF_ORDER
    first = np.argmax(differs, axis=1)
    greater: NDArray[np.bool_] = np.take_along_axis(s, first[:, None], axis=1)[:, 0] > _HALF_ORDER[first]
    return greater


def _transaction_rows(batch: EthereumTransactions, low_s: bool) -> tuple[Bytes, Bytes]:
    rows = batch.signatures()
    fault = np.where(batch.recovery_id == CONTRADICTION, SignatureFault.PARITY, SignatureFault.NONE)
    if low_s:
        fault[(fault == SignatureFault.NONE) & above_half_order(batch.words(Integer.S))] = (
            SignatureFault.HIGH_S
        )
    return rows, fault.astype(np.uint8)


def _authorization_rows(authorizations: Authorizations) -> tuple[Bytes, Bytes]:
    words = authorizations.integers
    odd = words[:, AuthorizationInteger.Y_PARITY]
    bad = odd[:, :31].any(axis=1) | (odd[:, 31] > 1)
    recovery_id = np.where(bad, CONTRADICTION, odd[:, 31]).astype(np.uint8)
    s = words[:, AuthorizationInteger.S]
    fault = np.where(bad, SignatureFault.PARITY, SignatureFault.NONE)
    fault[~bad & above_half_order(s)] = SignatureFault.HIGH_S
    rows = np.concatenate([words[:, AuthorizationInteger.R], s, recovery_id[:, None]], axis=1)
    return rows, fault.astype(np.uint8)


def _joined(parts: Sequence[Messages]) -> Messages:
    ends = np.cumsum([0, *(len(part.data) for part in parts)])
    offsets = [part.offsets[:-1] + end for part, end in zip(parts, ends, strict=False)]
    return Messages.of((np.concatenate([part.data for part in parts]), np.concatenate([*offsets, ends[-1:]])))


def _per_block(blocks: Sequence[EthereumBlock], addresses: Bytes, fault: Bytes) -> list[Recovered]:
    results, at = [], 0
    for block in blocks:
        middle = at + len(block.transactions)
        end = middle + len(block.transactions.authorizations.addresses)
        results.append(
            Recovered(
                addresses[at:middle],
                fault[at:middle],
                addresses[middle:end],
                fault[middle:end] == SignatureFault.NONE,
            )
        )
        at = end
    return results
