# SPDX-License-Identifier: GPL-3.0-or-later
"""Ethereum transactions in columns.

Every integer of a transaction is one 32-byte big-endian row of `integers`, so that the encoder treats them
all alike; the enumerations below say which column is which. Sources: the Yellow Paper, section 4.2; EIP-155,
EIP-2718, EIP-2930, EIP-1559, EIP-4844, EIP-7702.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from supervm.crypto.messages import Messages
from supervm.kernels.array_types import Bytes, Flags, Offsets


class TransactionType(IntEnum):
    """First byte of a typed transaction (EIP-2718); 0 is the legacy form, which has none."""

    LEGACY = 0
    ACCESS_LIST = 1
    DYNAMIC_FEE = 2
    BLOB = 3
    SET_CODE = 4


class Integer(IntEnum):
    """Columns of `EthereumTransactions.integers`."""

    CHAIN_ID = 0
    NONCE = 1
    GAS_PRICE = 2
    MAX_PRIORITY_FEE = 3
    MAX_FEE = 4
    GAS = 5
    VALUE = 6
    MAX_BLOB_FEE = 7
    V = 8
    Y_PARITY = 9
    R = 10
    S = 11


class AuthorizationInteger(IntEnum):
    """Columns of `Authorizations.integers`."""

    CHAIN_ID = 0
    NONCE = 1
    Y_PARITY = 2
    R = 3
    S = 4


@dataclass(frozen=True)
class AccessLists:
    """Access lists of a batch: entries of transaction i are `offsets[i]:offsets[i + 1]`, the keys of entry j
    are `key_offsets[j]:key_offsets[j + 1]`. `addresses` (m, 20), `keys` (k, 32), uint8."""

    offsets: Offsets
    addresses: Bytes
    key_offsets: Offsets
    keys: Bytes


@dataclass(frozen=True)
class Authorizations:
    """EIP-7702 authorizations of a batch: those of transaction i are `offsets[i]:offsets[i + 1]`.
    `integers` (a, 5, 32), `addresses` (a, 20), uint8."""

    offsets: Offsets
    integers: Bytes
    addresses: Bytes


@dataclass(frozen=True)
class EthereumTransactions:
    """n transactions.

    | column | dtype, shape | meaning |
    |---|---|---|
    | `type` | uint8 (n,) | `TransactionType` |
    | `integers` | uint8 (n, 12, 32) | `Integer` columns, big-endian; zero where the file has none |
    | `to` | uint8 (n, 20) | recipient; zeros for a creation |
    | `has_to` | bool (n,) | false for a creation |
    | `input` | Messages (n) | call data |
    | `access_lists` | `AccessLists` | types 1 to 4 |
    | `blob_offsets`, `blob_hashes` | int64 (n + 1,), uint8 (b, 32) | type 3 |
    | `authorizations` | `Authorizations` | type 4 |
    | `protected` | bool (n,) | a legacy transaction whose v names a chain (EIP-155) |
    | `recovery_id` | uint8 (n,) | parity of R: 0 or 1; 255 where v, yParity and chainId disagree |
    | `claimed_sender` | uint8 (n, 20) | `from`, as the file says; zeros where it does not |
    | `claimed_hash` | uint8 (n, 32) | `hash`, as the file says; zeros where it does not |
    | `claims_sender`, `claims_hash` | bool (n,) | whether it says so |
    """

    type: Bytes
    integers: Bytes
    to: Bytes
    has_to: Flags
    input: Messages
    access_lists: AccessLists
    blob_offsets: Offsets
    blob_hashes: Bytes
    authorizations: Authorizations
    protected: Flags
    recovery_id: Bytes
    claimed_sender: Bytes
    claimed_hash: Bytes
    claims_sender: Flags
    claims_hash: Flags

    def __len__(self) -> int:
        return len(self.type)

    def words(self, column: Integer) -> Bytes:
        """One integer column as 32-byte big-endian rows, shape (n, 32)."""
        return self.integers[:, column]

    def uint64(self, column: Integer) -> NDArray[np.uint64]:
        """One integer column that the reader holds below 2^64: chain id, nonce, gas, v, y parity."""
        return low_uint64(self.words(column))

    def signatures(self) -> Bytes:
        """Rows r‖s‖recovery id, shape (n, 65)."""
        return np.concatenate(
            [self.words(Integer.R), self.words(Integer.S), self.recovery_id[:, None]], axis=1
        )


CONTRADICTION = 255
"""Recovery id where the parity is contradictory or no parity at all: recovery answers malformed."""


def low_uint64(words: Bytes) -> NDArray[np.uint64]:
    """The last eight bytes of big-endian rows as integers."""
    return np.ascontiguousarray(words[:, -8:]).view(">u8")[:, 0].astype(np.uint64)


@dataclass(frozen=True)
class Parity:
    """What v, yParity and chainId of a batch say together."""

    recovery_id: Bytes
    protected: Flags
    chain_id: NDArray[np.uint64]


def parity(
    types: Bytes,
    v: NDArray[np.uint64],
    has_v: Flags,
    y_parity: NDArray[np.uint64],
    has_y_parity: Flags,
    chain_id: NDArray[np.uint64],
    has_chain_id: Flags,
) -> Parity:
    """Translate v to a recovery id, for every transaction at once.

    Legacy: v is 27 + parity, or 35 + 2·chain + parity (EIP-155). Typed: the parity itself. Where both v and
    yParity are present they must agree, and a chainId beside an EIP-155 v must be the chain it names;
    anything else makes the recovery id `CONTRADICTION`.
    """
    legacy = types == TransactionType.LEGACY
    protected = legacy & (v >= 35)
    named_chain = (np.maximum(v, 35) - 35) >> 1
    legacy_id = np.where(protected, (v - 35) & 1, np.where((v == 27) | (v == 28), v - 27, CONTRADICTION))
    typed_id = np.where(has_y_parity, y_parity, v)
    ids = np.where(legacy, legacy_id, typed_id)
    bad = ids > 1
    bad |= has_y_parity & (y_parity != ids)
    bad |= ~legacy & has_v & (v != ids)
    bad |= protected & has_chain_id & (chain_id != named_chain)
    return Parity(
        np.where(bad, CONTRADICTION, ids).astype(np.uint8),
        protected,
        np.where(protected, named_chain, chain_id),
    )
