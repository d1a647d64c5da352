# SPDX-License-Identifier: GPL-3.0-or-later
"""Optimistic execution: transactions run ahead in any order, are validated in block order, and run again if they must.

Every worker runs `speculate` on the same block until all of it is committed. A worker that finds the next transaction
in block order executed takes the lock and commits: what the transaction read must still be the newest versions; then what
it wrote becomes the newest, and else it is executed again, there and then, on exactly the state that its predecessors
left. A worker that has nothing to commit executes a chunk ahead, at most `WINDOW` before the last committed one.

    a transaction's state:  DONE on the fast path before
                            WAITING → EXECUTED (an access set lies ready) → committed
                            SKIPPED (known to conflict) → executed and committed in order
                            WAITING → CROWDED (no room) → everybody halts until there is → WAITING

Each write makes a new version while the block lasts, so that an unchanged head is an unchanged value, and nothing is
freed before the block ends. So whatever a worker read, valid or not, was some version of that key; and what is
committed read only the newest. No transaction can run out of retries: in order it runs once, and that counts.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.engine.execution import columns as c
from supervm.engine.execution.columns import column, item8, item64, set8, set64
from supervm.engine.execution.sequential import DONE
from supervm.engine.execution.transaction import (
    AHEAD,
    abandon,
    ask_ahead,
    ask_for,
    ask_for_heads,
    execute,
)
from supervm.kernels.cpu.lanes.addresses import (
    acquire8,
    exchange_if,
    fetch_add,
    load64,
    release8,
    release64,
    store64,
)
from supervm.kernels.cpu.state.access_set import ENTRY_COUNT, ENTRY_FIRST, NEEDS, apply, get, valid
from supervm.kernels.cpu.state.sharing import (
    COMMITTED,
    FULL,
    HALT,
    LOCK,
    NEXT,
    REPEATED,
    START,
    STOP,
    TURN,
    WORKERS,
    rest,
    shared_word,
    use_segment,
)
from supervm.vm.context import EVENTS_USED, NEEDS_INSTANCES

WAITING, EXECUTED, SKIPPED, CROWDED = 0, 1, 2, 4
"""A transaction's state beside `DONE`. A crowded one lacked room; its owner's `access.NEEDS` says what."""

CHUNK = 32
"""Transactions that a worker executes ahead at a time."""

WINDOW = 512
"""How far ahead of the last committed transaction execution may be."""

SEGMENTS = WINDOW // CHUNK + 2
"""Parts of a worker's entries and values: one for each chunk that can be outstanding, the last for commits."""

TRIAL = 256
"""Transactions after which it is first asked whether speculation pays."""

COMMITS_AT_ONCE = 64


@njit(cache=True)
def _execute_ahead(worker: Any, number: Any, block: Any, item: Any) -> None:
    """Execute a transaction and leave its access set for whoever commits it."""
    if item8(block, c.READY, item) != WAITING:
        return
    if item8(block, c.REJECTED, item):
        set64(block, c.LOG_COUNT, item, 0)
    else:
        events = get(worker, EVENTS_USED)
        if execute(worker, block, item):
            abandon(worker, events)
            set8(block, c.OWNERS, item, number)
            _mark(block, item, CROWDED)
            return
        set64(block, c.LOG_FIRST, item, get(worker, ENTRY_FIRST))
        set64(block, c.LOG_COUNT, item, get(worker, ENTRY_COUNT))
    set8(block, c.OWNERS, item, number)
    _mark(block, item, EXECUTED)


@njit(cache=True)
def _mark(block: Any, item: Any, state: Any) -> None:
    release8(column(block, c.READY) + item, state)


@njit(cache=True)
def _commit(worker: Any, number: Any, block: Any, shared: Any, item: Any, entries: Any, values: Any) -> bool:
    """Commit the next transaction in block order; False where something is full."""
    state = acquire8(column(block, c.READY) + item)
    if state == DONE:
        return True
    if item8(block, c.REJECTED, item):
        return True
    owner = load64(shared_word(shared, WORKERS) + 8 * item8(block, c.OWNERS, item))
    if state == EXECUTED:
        first, count = item64(block, c.LOG_FIRST, item), item64(block, c.LOG_COUNT, item)
        if valid(owner, first, count):
            return apply(worker, owner, first, count)
    # Room can be made, so that the owner's next transactions run ahead again; instances are as many as there are.
    if state == CROWDED and get(owner, NEEDS) != NEEDS_INSTANCES:
        return False
    store64(shared + 8 * REPEATED, load64(shared + 8 * REPEATED) + 1)
    events = get(worker, EVENTS_USED)
    use_segment(worker, SEGMENTS - 1, entries, values)
    if execute(worker, block, item) or not apply(
        worker, worker, get(worker, ENTRY_FIRST), get(worker, ENTRY_COUNT)
    ):
        abandon(worker, events)
        return False
    set8(block, c.OWNERS, item, number)
    return True


@njit(cache=True)
def _to_commit(number: Any, block: Any, item: Any, idle: Any) -> bool:
    """Whether a worker commits a transaction: it is ready, and unless the worker is idle nobody else executed it.

    Whoever executed it has its access set in its own cache.
    """
    state = acquire8(column(block, c.READY) + item)
    if state == EXECUTED:
        return idle or item8(block, c.OWNERS, item) == number
    return state != WAITING


@njit(cache=True)
def _ask_for_first(worker: Any, block: Any, first: Any, stop: Any) -> None:
    """Ask for what the first transactions of a chunk need."""
    for item in range(first, min(first + 2 * AHEAD, stop)):
        ask_for_heads(worker, block, item)
    for item in range(first, min(first + AHEAD, stop)):
        ask_for(worker, block, item)


@njit(cache=True)
def _commit_some(
    worker: Any, number: Any, block: Any, shared: Any, turn: Any, entries: Any, values: Any, idle: Any
) -> None:
    """Commit what is ready and this worker's, or anybody's if it is idle, in block order; the lock is held."""
    item, stop = shared_word(shared, COMMITTED), shared_word(shared, STOP)
    last = min(stop, item + COMMITS_AT_ONCE)
    while item < last and _to_commit(number, block, item, idle):
        if not _commit(worker, number, block, shared, item, entries, values):
            release64(shared + 8 * HALT, FULL)
            return
        item += 1
        release64(shared + 8 * COMMITTED, item)
    repeated = load64(shared + 8 * REPEATED)
    done = item - shared_word(shared, START)
    if done >= TRIAL and repeated * 100 > done * turn and item < stop:
        release64(shared + 8 * HALT, TURN)


@njit(nogil=True, cache=True)
def speculate(
    worker: Any, number: Any, block: Any, shared: Any, turn: Any, entries: Any, values: Any
) -> None:
    """Work on a block with other workers until it is committed or somebody halts.

    Args:
        worker: address of this thread's worker.
        number: which of the workers it is.
        shared: address of the shared words.
        turn: percentage of repeated transactions above which block order is cheaper; 100 for never.
        entries, values: capacity of a segment of the worker's buffers, which hold `SEGMENTS` of them.
    """
    waited = segment = 0
    while True:
        committed, stop = shared_word(shared, COMMITTED), shared_word(shared, STOP)
        if committed >= stop or shared_word(shared, HALT):
            return
        lock = shared + 8 * LOCK
        idle = shared_word(shared, NEXT) >= min(stop, committed + WINDOW)
        if _to_commit(number, block, committed, idle) and exchange_if(lock, 0, 1):
            if not shared_word(shared, HALT):
                _commit_some(worker, number, block, shared, turn, entries, values, idle)
            release64(lock, 0)
            waited = 0
        elif not idle:
            first = fetch_add(shared + 8 * NEXT, CHUNK)
            last = min(first + CHUNK, stop)
            # Chunks are taken in order, so of the last SEGMENTS − 1 of this worker only those within the window live.
            use_segment(worker, segment, entries, values)
            segment = (segment + 1) % (SEGMENTS - 1)
            _ask_for_first(worker, block, first, last)
            for item in range(first, last):
                ask_ahead(worker, block, item, last)
                _execute_ahead(worker, number, block, item)
            waited = 0
        else:
            waited = rest(shared, waited)
