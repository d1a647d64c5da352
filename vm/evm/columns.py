# SPDX-License-Identifier: GPL-3.0-or-later
"""The transactions of a block as the EVM's compiled code sees them: addresses of columns, given and written.

The words are int64; each names a column of as many items as the block has transactions, unless it says otherwise.
`TransactionColumns` holds the arrays and keeps them alive. A *word* is 256 bits as four uint64, the lowest first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from supervm.kernels.array_types import Bytes
from supervm.kernels.cpu.lanes.addresses import load8, load64, store8, store64
from supervm.kernels.errors import ArgumentError

(
    # What is executed.
    REJECTED,  # rule that it is known to break (uint8), 0 otherwise
    TYPES,  # type (uint8)
    SENDERS,  # address (20 bytes)
    HAS_TO,  # 0: a creation (uint8)
    TARGETS,  # address (20 bytes)
    NONCES,  # uint64
    VALUES,  # words
    GAS_LIMITS,  # uint64
    MAX_FEES,  # words: maximum fee per gas; the gas price of types without one
    PRIORITY_FEES,  # words: maximum priority fee per gas; the gas price of types without one
    BLOB_FEES,  # words: maximum fee per blob gas
    INPUT,  # all inputs (uint8)
    INPUT_OFFSETS,  # where they begin (int64, one more)
    ACCESS_OFFSETS,  # where each one's entries begin in its access list (int64, one more)
    ACCESS_ADDRESSES,  # by entry: address (20 bytes)
    ACCESS_KEY_OFFSETS,  # by entry: where its slots begin (int64, one more)
    ACCESS_KEYS,  # by slot: key (32 bytes, big-endian)
    BLOB_OFFSETS,  # where each one's blobs begin (int64, one more)
    BLOB_HASHES,  # by blob: versioned hash (32 bytes)
    AUTHORIZATION_OFFSETS,  # where each one's authorizations begin (int64, one more)
    AUTHORITIES,  # by authorization: the address that signed it (20 bytes)
    AUTHORIZATION_VALID,  # by authorization: 0 where the signature yields no address (uint8)
    AUTHORIZATION_CHAINS,  # by authorization: chain id (words)
    AUTHORIZATION_NONCES,  # by authorization: nonce (uint64)
    AUTHORIZATION_TARGETS,  # by authorization: address whose code is named (20 bytes)
    # What becomes of it.
    RULES,  # rule that it breaks (uint8), 0 if it is valid; nothing was changed then
    SUCCESS,  # 1: its outermost call ended without failing (uint8)
    GAS_USED,  # gas that it pays for, as the receipt counts it (uint64)
    BLOB_GAS,  # blob gas (uint64)
    FEES,  # words: what the fee recipient got
    CREATED,  # address of the created contract (20 bytes), zeros if none
    LOG_PLACES,  # where its logs begin in the owner's logs (int64)
    LOG_SIZES,  # bytes there (int64)
    LOG_COUNTS,  # how many logs (int64)
    OUTPUT_PLACES,  # where its output begins in the owner's logs (int64)
    OUTPUT_SIZES,  # bytes there (int64)
    OWNERS,  # number of the worker that executed it (uint8)
    # Where the access sets of speculative executions lie.
    ENTRY_FIRST,  # first entry (int64)
    ENTRY_COUNT,  # entries (int64)
    READY,  # state (uint8)
) = range(40)
"""Words of a block's transactions."""

COLUMN_WORDS = READY + 1

ADDRESS, WORD = 20, 32
"""Bytes of an item."""

_ITEM, _ONE_MORE, _ANY = range(3)
"""How many items a column has: one a transaction, one more, as many as there are."""

_INPUTS: Mapping[int, tuple[type[np.generic], tuple[int, ...], int]] = {
    REJECTED: (np.uint8, (), _ITEM),
    TYPES: (np.uint8, (), _ITEM),
    SENDERS: (np.uint8, (ADDRESS,), _ITEM),
    HAS_TO: (np.uint8, (), _ITEM),
    TARGETS: (np.uint8, (ADDRESS,), _ITEM),
    NONCES: (np.uint64, (), _ITEM),
    VALUES: (np.uint64, (4,), _ITEM),
    GAS_LIMITS: (np.uint64, (), _ITEM),
    MAX_FEES: (np.uint64, (4,), _ITEM),
    PRIORITY_FEES: (np.uint64, (4,), _ITEM),
    BLOB_FEES: (np.uint64, (4,), _ITEM),
    INPUT: (np.uint8, (), _ANY),
    INPUT_OFFSETS: (np.int64, (), _ONE_MORE),
    ACCESS_OFFSETS: (np.int64, (), _ONE_MORE),
    ACCESS_ADDRESSES: (np.uint8, (ADDRESS,), _ANY),
    ACCESS_KEY_OFFSETS: (np.int64, (), _ANY),
    ACCESS_KEYS: (np.uint8, (WORD,), _ANY),
    BLOB_OFFSETS: (np.int64, (), _ONE_MORE),
    BLOB_HASHES: (np.uint8, (WORD,), _ANY),
    AUTHORIZATION_OFFSETS: (np.int64, (), _ONE_MORE),
    AUTHORITIES: (np.uint8, (ADDRESS,), _ANY),
    AUTHORIZATION_VALID: (np.uint8, (), _ANY),
    AUTHORIZATION_CHAINS: (np.uint64, (4,), _ANY),
    AUTHORIZATION_NONCES: (np.uint64, (), _ANY),
    AUTHORIZATION_TARGETS: (np.uint8, (ADDRESS,), _ANY),
}
"""Word of a given column → dtype, shape of an item, what it has items for."""

_RESULTS: Mapping[int, tuple[type[np.generic], tuple[int, ...]]] = {
    RULES: (np.uint8, ()),
    SUCCESS: (np.uint8, ()),
    GAS_USED: (np.uint64, ()),
    BLOB_GAS: (np.uint64, ()),
    FEES: (np.uint64, (4,)),
    CREATED: (np.uint8, (ADDRESS,)),
    LOG_PLACES: (np.int64, ()),
    LOG_SIZES: (np.int64, ()),
    LOG_COUNTS: (np.int64, ()),
    OUTPUT_PLACES: (np.int64, ()),
    OUTPUT_SIZES: (np.int64, ()),
    OWNERS: (np.uint8, ()),
    ENTRY_FIRST: (np.int64, ()),
    ENTRY_COUNT: (np.int64, ()),
    READY: (np.uint8, ()),
}
"""Word of a written column → dtype, shape of an item."""


@njit(cache=True, inline="always")
def column(columns: Any, index: Any) -> Any:
    """The address of a column."""
    return load64(columns + 8 * index)


@njit(cache=True, inline="always")
def item8(columns: Any, index: Any, item: Any) -> Any:
    """An item of a column of uint8."""
    return load8(load64(columns + 8 * index) + item)


@njit(cache=True, inline="always")
def item64(columns: Any, index: Any, item: Any) -> Any:
    """An item of a column of 64 bits."""
    return load64(load64(columns + 8 * index) + 8 * item)


@njit(cache=True, inline="always")
def address_item(columns: Any, index: Any, item: Any) -> Any:
    """Where an item of a column of addresses lies."""
    return load64(columns + 8 * index) + ADDRESS * item


@njit(cache=True, inline="always")
def word_item(columns: Any, index: Any, item: Any) -> Any:
    """Where an item of a column of words, or of 32 bytes, lies."""
    return load64(columns + 8 * index) + WORD * item


@njit(cache=True, inline="always")
def set8(columns: Any, index: Any, item: Any, value: Any) -> None:
    """Set an item of a column of uint8."""
    store8(load64(columns + 8 * index) + item, value)


@njit(cache=True, inline="always")
def set64(columns: Any, index: Any, item: Any, value: Any) -> None:
    """Set an item of a column of 64 bits."""
    store64(load64(columns + 8 * index) + 8 * item, value)


def to_words(rows: Bytes) -> NDArray[np.uint64]:
    """Words (n, 4) of 32-byte big-endian rows (n, 32)."""
    limbs = np.ascontiguousarray(rows).view(">u8").astype(np.uint64)
    return np.ascontiguousarray(limbs.reshape(-1, 4)[:, ::-1])


def from_words(words: NDArray[np.uint64]) -> Bytes:
    """32-byte big-endian rows (n, 32) of words (n, 4)."""
    return np.ascontiguousarray(words[:, ::-1]).astype(">u8").view(np.uint8).reshape(-1, WORD)


class TransactionColumns:
    """The arrays of one block, by word.

    Args:
        inputs: word → array, for every word before `RULES`, C-contiguous, of the dtypes and shapes above. Words that
            are left out have no entries: no access lists, blobs, authorizations; nothing is rejected.

    Attributes:
        arrays: by word.
        address: of the arrays' addresses, for compiled code.

    Raises:
        ArgumentError: a column has another dtype or shape.
    """

    def __init__(self, inputs: Mapping[int, NDArray[Any]]) -> None:
        count = len(inputs[TYPES])
        self.arrays: dict[int, NDArray[Any]] = {}
        for word, (kind, item, has) in _INPUTS.items():
            items = {_ITEM: count, _ONE_MORE: count + 1}.get(has)
            if word not in inputs:
                # The list of an empty access list's slots ends where it begins.
                self.arrays[word] = np.zeros((items if items is not None else 1, *item), kind)
                continue
            array = inputs[word]
            fits = array.dtype == kind and array.shape[1:] == item and array.flags.c_contiguous
            if not fits or items not in (None, len(array)):
                shape = ("n" if items is None else items, *item)
                found, expected = f"{array.dtype} {array.shape}", f"{np.dtype(kind)} of shape {shape}"
                raise ArgumentError(f"inputs[{word}]", found, f"C-contiguous {expected}")
            self.arrays[word] = array
        for word, (kind, item) in _RESULTS.items():
            self.arrays[word] = np.zeros((count, *item), kind)
        self.arrays[RULES][:] = self.arrays[REJECTED]
        self.words = np.array([self.arrays[word].ctypes.data for word in range(COLUMN_WORDS)], np.int64)
        self.address = int(self.words.ctypes.data)

    def __len__(self) -> int:
        return len(self.arrays[TYPES])

    def __getitem__(self, word: int) -> NDArray[Any]:
        return self.arrays[word]
