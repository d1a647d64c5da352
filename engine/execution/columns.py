# SPDX-License-Identifier: GPL-3.0-or-later
"""A block as compiled code sees it: addresses of columns, of what it executes and of what it writes down.

The words are int64; each names a column of as many items as the block has transactions, unless it says otherwise.
`Columns` holds the arrays and keeps them alive.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from supervm.kernels.cpu.lanes.addresses import load8, load64, store8, store64

(
    # What is executed.
    REJECTED,
    CALLS,
    SENDERS,
    SENDER_ADDRESSES,
    TARGETS,
    TARGET_ADDRESSES,
    NONCES,
    VALUES,
    GAS_LIMITS,
    GAS_PRICES,
    INTRINSIC,
    CONTRACTS,
    ENTRIES,
    INPUT,
    INPUT_OFFSETS,
    OBJECT_OFFSETS,
    OBJECTS,
    DECLARED_OFFSETS,
    DECLARED,
    DECLARED_WRITES,
    SHIELDED,
    SHIELDED_WORDS,
    SHIELDED_EVENTS,
    PLUGGED,
    PLUGGED_COLUMNS,
    # What becomes of it.
    REASONS,
    GAS,
    RETURNED,
    OUTPUT_PLACES,
    OUTPUT_SIZES,
    EVENT_PLACES,
    EVENT_SIZES,
    EVENT_COUNTS,
    OWNERS,
    FLAGS,
    # Where the access sets of speculative executions lie.
    LOG_FIRST,
    LOG_COUNT,
    READY,
) = range(38)
"""Reason of a rejection that is known already, 0 otherwise (uint8); its kind (uint8, `TRANSFER` …); key numbers of the
sender's and the target's accounts (int64), their addresses (20 bytes each); nonce (uint64), value (32 bytes), gas limit,
gas price and intrinsic gas (uint64); numbers of the contract and of its entry point (int64); all inputs and their offsets
(uint8; int64, one more); offsets of objects (int64, one more) and their key numbers (int64); likewise of the keys that it
announces, and where among them those begin that it writes (int64); of calls of shielded pools the row of each (int64), and
by row what is executed and which events it has (`supervm.engine.execution.shielded`); of a plug-in's transactions the row
of each (int64), and the plug-in's own columns. Reason (uint8), gas (uint64), value
returned (int64); where output and events lie in the owner's events, their bytes (int64), events' number (int64), the
number of the worker that executed it (uint8), flags (uint8). First entry, number of entries (int64), state (uint8)."""

BLOCK_WORDS = READY + 1

TRANSFER, CALL, SHIELDED_CALL, PLUGGED_IN = 0, 1, 2, 3
"""Kinds of transactions: a call of a contract, a call of a shielded pool, one that the plug-in executes."""

TOUCHED_FAST_FLAG = 1
"""Flag: the contract chose to touch an account that the fast path wrote in this block."""

RESULTS = {
    REASONS: np.uint8,
    GAS: np.uint64,
    RETURNED: np.int64,
    OUTPUT_PLACES: np.int64,
    OUTPUT_SIZES: np.int64,
    EVENT_PLACES: np.int64,
    EVENT_SIZES: np.int64,
    EVENT_COUNTS: np.int64,
    OWNERS: np.uint8,
    FLAGS: np.uint8,
    LOG_FIRST: np.int64,
    LOG_COUNT: np.int64,
    READY: np.uint8,
}
"""Columns that execution writes."""


@njit(cache=True, inline="always")
def column(block: Any, index: Any) -> Any:
    """The address of a column."""
    return load64(block + 8 * index)


@njit(cache=True, inline="always")
def item8(block: Any, index: Any, item: Any) -> Any:
    """An item of a column of uint8."""
    return load8(load64(block + 8 * index) + item)


@njit(cache=True, inline="always")
def item64(block: Any, index: Any, item: Any) -> Any:
    """An item of a column of 64 bits."""
    return load64(load64(block + 8 * index) + 8 * item)


@njit(cache=True, inline="always")
def set8(block: Any, index: Any, item: Any, value: Any) -> None:
    """Set an item of a column of uint8."""
    store8(load64(block + 8 * index) + item, value)


@njit(cache=True, inline="always")
def set64(block: Any, index: Any, item: Any, value: Any) -> None:
    """Set an item of a column of 64 bits."""
    store64(load64(block + 8 * index) + 8 * item, value)


class Columns:
    """The arrays of one block, by word.

    Args:
        inputs: word → array, for every word before `REASONS`; contiguous, of the dtypes above.
    """

    def __init__(self, inputs: dict[int, NDArray[Any]]) -> None:
        count = len(inputs[REJECTED])
        self.arrays = inputs | {word: np.zeros(count, kind) for word, kind in RESULTS.items()}
        self.arrays[REASONS] = inputs[REJECTED].copy()
        self.words = np.zeros(BLOCK_WORDS, np.int64)
        for word, array in self.arrays.items():
            self.words[word] = array.ctypes.data

    def __len__(self) -> int:
        return len(self.arrays[REJECTED])

    def __getitem__(self, word: int) -> NDArray[Any]:
        return self.arrays[word]

    @property
    def address(self) -> int:
        """Of the words, for compiled code."""
        return int(self.words.ctypes.data)
