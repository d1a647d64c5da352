# SPDX-License-Identifier: GPL-3.0-or-later
"""What workers share that execute a block together: words, a cache line each, and the parts of a worker's buffers.

Transactions are taken in chunks, in order, so that only the last chunks of a worker can be outstanding: each of them has a
part of its entries and values.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numba import njit

from supervm.kernels.array_types import Numbers
from supervm.kernels.cpu.lanes.addresses import acquire64, call_address, pause
from supervm.kernels.cpu.state.access_set import (
    ENTRY_CAPACITY,
    ENTRY_COUNT,
    ENTRY_FIRST,
    VALUES_CAPACITY,
    VALUES_USED,
    put,
)

LINE_WORDS = 8
"""Words of a cache line: from one shared word to the next."""

(NEXT, COMMITTED, START, STOP, LOCK, HALT, REPEATED, WORKERS, YIELD) = range(0, 9 * LINE_WORDS, LINE_WORDS)
"""The next transaction to execute ahead, the next to commit, where the run began and where it ends; the lock of commits; why
everybody stops, 0 while nobody has to; transactions that were executed again or in order only; address of the workers'
addresses; address of the C function that lets other threads run. Further words belong to whoever shares them."""

FIRST_FURTHER = YIELD + LINE_WORDS

FULL, TURN = 1, 2
"""Reasons to halt: something is full at a worker; so much conflicts that block order is cheaper."""

SPINS = 64
"""Pauses before a waiting worker lets other threads run."""


def shared_words(workers: Numbers, further: int = 0) -> Numbers:
    """Shared words of these workers.

    Args:
        workers: int64, their addresses; it must stay where it is.
        further: how many further words there are.
    """
    shared = np.zeros(FIRST_FURTHER + LINE_WORDS * further, np.int64)
    rest = ctypes.CDLL(None).sched_yield
    shared[WORKERS] = workers.ctypes.data
    shared[YIELD] = int(ctypes.cast(rest, ctypes.c_void_p).value or 0)
    return shared


@njit(cache=True, inline="always")
def shared_word(shared: Any, index: Any) -> Any:
    """A word that workers share, with what its writer wrote before."""
    return acquire64(shared + 8 * index)


@njit(cache=True)
def use_segment(worker: Any, segment: Any, entries: Any, values: Any) -> None:
    """Let a worker's next transactions lie in this part of its entries and values, which have so much each."""
    put(worker, ENTRY_FIRST, segment * entries)
    put(worker, ENTRY_COUNT, 0)
    put(worker, ENTRY_CAPACITY, (segment + 1) * entries)
    put(worker, VALUES_USED, segment * values)
    put(worker, VALUES_CAPACITY, (segment + 1) * values)


@njit(cache=True)
def rest(shared: Any, waited: Any) -> Any:
    """Wait a moment for others; how often that was in a row."""
    if waited < SPINS:
        pause()
    else:
        call_address(shared_word(shared, YIELD))
    return waited + 1
