# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts in columns, with code and storage: what a block finds, and what it leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from supervm.crypto import hashes
from supervm.crypto.messages import Messages
from supervm.engine.ethereum.account_leaves import EMPTY_CODE_HASH
from supervm.engine.ethereum.pre_state import PreState
from supervm.kernels.array_types import Bytes, Offsets

Codes = Mapping[bytes, bytes]
"""Keccak-256 of a code → the code."""


@dataclass(frozen=True)
class Account:
    """One account; `storage` from slot to value."""

    address: bytes
    nonce: int = 0
    balance: int = 0
    code: bytes = b""
    storage: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Accounts:
    """n accounts with k slots.

    | column | dtype, shape | meaning |
    |---|---|---|
    | `addresses` | uint8 (n, 20) | each once |
    | `nonces` | uint64 (n,) | |
    | `balances` | uint8 (n, 32) | big-endian |
    | `code_hashes` | uint8 (n, 32) | `EMPTY_CODE_HASH` where there is no code |
    | `offsets` | int64 (n + 1,) | slots of account i are `offsets[i]:offsets[i + 1]` |
    | `slots`, `values` | uint8 (k, 32) | big-endian |
    """

    addresses: Bytes
    nonces: NDArray[np.uint64]
    balances: Bytes
    code_hashes: Bytes
    offsets: Offsets
    slots: Bytes
    values: Bytes

    def __len__(self) -> int:
        return len(self.addresses)

    @classmethod
    def of(cls, state: PreState) -> Accounts:
        """Those of a file."""
        return cls(
            state.addresses,
            state.nonces,
            state.balances,
            state.code_hashes,
            state.offsets,
            state.slots,
            state.values,
        )


def in_columns(accounts: Sequence[Account]) -> tuple[Accounts, dict[bytes, bytes]]:
    """Accounts in columns, and their codes."""
    codes = [account.code for account in accounts]
    digests: Bytes = hashes.keccak256_batch(Messages.of(codes)) if codes else np.zeros((0, 32), np.uint8)
    offsets = np.zeros(len(accounts) + 1, np.int64)
    np.cumsum([len(account.storage) for account in accounts], out=offsets[1:])
    columns = Accounts(
        addresses=_rows([account.address for account in accounts], 20),
        nonces=np.array([account.nonce for account in accounts], np.uint64),
        balances=_rows([account.balance.to_bytes(32) for account in accounts], 32),
        code_hashes=digests,
        offsets=offsets,
        slots=_rows([slot.to_bytes(32) for account in accounts for slot in account.storage], 32),
        values=_rows([value.to_bytes(32) for account in accounts for value in account.storage.values()], 32),
    )
    return columns, {digest.tobytes(): code for digest, code in zip(digests, codes, strict=True) if code}


def _rows(rows: Sequence[bytes], width: int) -> Bytes:
    return np.frombuffer(b"".join(rows), np.uint8).reshape(-1, width)


__all__ = ["EMPTY_CODE_HASH", "Account", "Accounts", "Codes", "in_columns"]
