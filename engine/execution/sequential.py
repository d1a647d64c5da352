# SPDX-License-Identifier: GPL-3.0-or-later
"""Sequential execution in block order: the reference whose results every other schedule must reproduce."""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.engine.execution import columns as c
from supervm.engine.execution.columns import item8, set8
from supervm.engine.execution.transaction import abandon, ask_ahead, execute
from supervm.kernels.cpu.state.access_set import ENTRY_COUNT, ENTRY_FIRST, apply, forget_all, get
from supervm.vm.context import EVENTS_USED

DONE = 3
"""State of a transaction (`columns.READY`) that the fast path has executed."""


@njit(cache=True)
def run_one(worker: Any, block: Any, item: Any) -> bool:
    """Execute and apply a transaction; False, and nothing done, where something is full."""
    events = get(worker, EVENTS_USED)
    done = execute(worker, block, item) == 0
    done = done and apply(worker, worker, get(worker, ENTRY_FIRST), get(worker, ENTRY_COUNT))
    if not done:
        abandon(worker, events)
    forget_all(worker)
    return done


@njit(nogil=True, cache=True)
def run_sequential(worker: Any, number: Any, block: Any, start: Any, stop: Any) -> Any:
    """Execute and apply the transactions from `start` below `stop` that are not done yet.

    Args:
        worker: the worker's address; it has no entries.
        number: the worker's number, for the receipts.

    Returns:
        `stop`, or the transaction at which something was full (`access.NEEDS`): to be called again from there.
    """
    for item in range(start, stop):
        ask_ahead(worker, block, item, stop)
        if item8(block, c.REJECTED, item) or item8(block, c.READY, item) == DONE:
            continue
        set8(block, c.OWNERS, item, number)
        if not run_one(worker, block, item):
            return item
    return stop
