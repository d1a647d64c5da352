# SPDX-License-Identifier: GPL-3.0-or-later
"""Executes a block whose transactions declare what they touch, wave by wave, each wave in parallel.

Under the rule `locking` the transactions of a wave share no key that one of them writes, so each is applied as soon as
it was executed, in any order. What a transaction really touches is compared with what it declared; the first mismatch
stops all workers; the block is then rolled back and executed without trusting declarations.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.engine.execution import columns as c
from supervm.engine.execution.columns import column, item8, item64, set8
from supervm.engine.execution.transaction import VALUE_BYTES, abandon, ask_for, execute
from supervm.kernels.cpu.lanes.addresses import exchange_if, fetch_add, load32, release64
from supervm.kernels.cpu.state.access_set import (
    ENTRY_BYTES,
    ENTRY_COUNT,
    ENTRY_FIRST,
    FLAGS,
    KEY,
    WRITTEN,
    apply,
    entry_address,
    forget_all,
    get,
)
from supervm.kernels.cpu.state.amounts import amount_is_zero
from supervm.kernels.cpu.state.sharing import (
    FIRST_FURTHER,
    FULL,
    HALT,
    LINE_WORDS,
    NEXT,
    rest,
    shared_word,
)
from supervm.vm.context import EVENTS_USED

WAVE, DONE = FIRST_FURTHER, FIRST_FURTHER + LINE_WORDS
"""Further shared words: the wave at work, transactions done so far."""

FURTHER = 2
"""How many those are."""

UNDECLARED = 3
"""Reason to halt: a transaction touched what it had not declared."""

CHUNK = 32

MOST_COMPARED = 4096
"""Comparisons of touched with declared keys that a transaction is worth; above, its declaration is not believed."""


@njit(cache=True)
def _declared(block: Any, item: Any, number: Any, first: Any, stop: Any) -> bool:
    """Whether a key is among the declared ones from `first` below `stop`, or comes with every transaction.

    What comes with it is what `heat.accesses` lists: the target's account only where the transaction moves a value or is
    a transfer.
    """
    if number == item64(block, c.SENDERS, item):
        return True
    if number == item64(block, c.TARGETS, item):
        value = column(block, c.VALUES) + VALUE_BYTES * item
        if not item8(block, c.CALLS, item) or not amount_is_zero(value):
            return True
    for place in range(first, stop):
        if item64(block, c.DECLARED, place) == number:
            return True
    for place in range(item64(block, c.OBJECT_OFFSETS, item), item64(block, c.OBJECT_OFFSETS, item + 1)):
        if item64(block, c.OBJECTS, place) == number:
            return True
    return False


@njit(cache=True)
def keeps_declaration(worker: Any, block: Any, item: Any) -> bool:
    """Whether the transaction at work touched only keys that it declared, and wrote only those declared as written."""
    first, stop = item64(block, c.DECLARED_OFFSETS, item), item64(block, c.DECLARED_OFFSETS, item + 1)
    writes = item64(block, c.DECLARED_WRITES, item)
    count = get(worker, ENTRY_COUNT)
    if count * (stop - first) > MOST_COMPARED:
        return False
    entry = entry_address(worker, 0)
    for _ in range(count):
        number, flags = load32(entry + KEY), load32(entry + FLAGS)
        if flags and not _declared(block, item, number, writes if flags & WRITTEN else first, stop):
            return False
        entry += ENTRY_BYTES
    return True


@njit(cache=True)
def _run_one(worker: Any, number: Any, block: Any, item: Any) -> Any:
    """Execute and apply a transaction; 0 or the reason to halt."""
    if item8(block, c.REJECTED, item):
        return 0
    events = get(worker, EVENTS_USED)
    problem = 0
    if execute(worker, block, item):
        problem = FULL
    elif not keeps_declaration(worker, block, item):
        problem = UNDECLARED
    elif not apply(worker, worker, get(worker, ENTRY_FIRST), get(worker, ENTRY_COUNT)):
        problem = FULL
    if problem:
        abandon(worker, events)
    forget_all(worker)
    set8(block, c.OWNERS, item, number)
    return problem


@njit(nogil=True, cache=True)
def run_waves(worker: Any, number: Any, block: Any, shared: Any, order: Any, bounds: Any) -> None:
    """Work on a block with other workers until every wave is done or somebody halts.

    Args:
        worker, number: this thread's worker and which one it is.
        order: int64, transactions by wave, in block order within a wave.
        bounds: int64, where each wave begins in `order`, and its end.
    """
    waited = 0
    while True:
        wave = shared_word(shared, WAVE)
        if wave >= bounds.size - 1 or shared_word(shared, HALT):
            return
        first, limit = shared_word(shared, NEXT), bounds[wave + 1]
        last = min(first + CHUNK, limit)
        if first >= limit or not exchange_if(shared + 8 * NEXT, first, last):
            waited = rest(shared, waited)
            continue
        waited = 0
        for place in range(first, last):
            if place + 8 < last:
                ask_for(worker, block, order[place + 8])
            problem = _run_one(worker, number, block, order[place])
            if problem:
                release64(shared + 8 * HALT, problem)
                return
        if fetch_add(shared + 8 * DONE, last - first) + last - first == limit:
            release64(shared + 8 * WAVE, wave + 1)
