# SPDX-License-Identifier: GPL-3.0-or-later
"""The transactions of a block on several workers: executed ahead in any order, validated and committed in block order.

It is the scheme of `supervm.engine.execution.optimistic` for the EVM's columns. What is particular here:

- What a transaction only adds to balances, the fee recipient's fee among it, is added when it is committed, so that it
  conflicts with nothing; whoever looks at such a balance depends on it.
- The gas that the block has left is known at commit only. Transactions run ahead as if there were enough; one whose limit
  is above what is left is executed again, in order, and breaks its rule then.
- Logs and outputs lie in the buffers of whoever executed a transaction, which no other transaction writes over.
- Calls of one function of one contract often conflict all or not at all: swaps of a pool, transfers of a token. Where they
  did lately (`HEAT`) the next ones are not executed ahead, which would be in vain, but by whoever commits; the other workers
  execute ahead what lies behind them.

    a transaction's state:  WAITING → EXECUTED (an access set lies ready) → committed
                            WAITING → SKIPPED (likely to conflict) → executed and committed in order
                            WAITING → CROWDED (no room, or something is missing) → everybody halts until there is
"""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.kernels.cpu.lanes.addresses import (
    acquire8,
    exchange_if,
    fetch_add,
    load32,
    load64,
    release8,
    release64,
    store64,
)
from supervm.kernels.cpu.state.access_set import ENTRY_COUNT, ENTRY_FIRST, apply, valid
from supervm.kernels.cpu.state.access_set import get as worker_word
from supervm.kernels.cpu.state.sharing import (
    COMMITTED,
    FIRST_FURTHER,
    FULL,
    HALT,
    LINE_WORDS,
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
from supervm.vm.evm import columns as c
from supervm.vm.evm.columns import address_item, column, item8, item64, set8, set64
from supervm.vm.evm.forks import NO_LIMIT
from supervm.vm.evm.intrinsic_gas import input_bytes
from supervm.vm.evm.machine import WORKER, get, put
from supervm.vm.evm.transaction import execute_transaction, forget_transaction
from supervm.vm.evm.transaction_words import BLOCK_BLOBS_LEFT, BLOCK_GAS_LEFT
from supervm.vm.evm.validity import GAS_PER_BLOB

GAS_LEFT, BLOBS_LEFT, HEAT = range(FIRST_FURTHER, FIRST_FURTHER + 3 * LINE_WORDS, LINE_WORDS)
"""Further shared words: gas and blobs that the block has left; address of how hot functions of contracts are, int64 by
`_heat_of`, which may be off: it decides when a transaction is executed, never what comes out."""

FURTHER = 3
"""How many those are."""

BROKEN = 3
"""A reason to halt: the next transaction breaks a rule."""

WAITING, EXECUTED, SKIPPED, CROWDED = 0, 1, 2, 3
"""A transaction's state."""

CHUNK, WINDOW = 8, 128
"""Transactions that a worker executes ahead at a time, and how far ahead of the last committed one."""

SEGMENTS = WINDOW // CHUNK + 2
"""Parts of a worker's entries and values: one for each chunk that can be outstanding, the last for commits."""

TRIAL, TURN_PERCENT = 64, 60
"""Transactions after which it is first asked whether speculation pays, and the share of repeated and skipped ones above
which not."""

HEAT_BITS = 12
"""There are 2^12 places for the heat of functions; some share one."""

HOTTEST, HOT = 256, 128
"""The greatest heat, and that from which on transactions are skipped."""

HEATED, COOLED, FORGOTTEN = 32, -128, -1
"""What a conflict adds to the heat, a transaction that stands, and one that was skipped: now and then one is tried. So a
function becomes hot of which four in five conflict, not one that many call of whom some meet by chance."""

_SELECTOR_BYTES = 4
_MIX = 0x9E3779B1


@njit(cache=True)
def _heat_of(columns: Any, shared: Any, item: Any) -> Any:
    """Where the heat of the function that a transaction calls stands."""
    called = load64(address_item(columns, c.TARGETS, item))
    if input_bytes(columns, item) >= _SELECTOR_BYTES:
        called ^= load32(column(columns, c.INPUT) + item64(columns, c.INPUT_OFFSETS, item))
    return load64(shared + 8 * HEAT) + 8 * (((called * _MIX) >> 40) & ((1 << HEAT_BITS) - 1))


@njit(cache=True)
def _change_heat(heat: Any, change: Any) -> None:
    before = load64(heat)
    after = min(max(before + change, 0), HOTTEST)
    if after != before:
        store64(heat, after)


@njit(cache=True)
def _execute_ahead(machine: Any, number: Any, columns: Any, shared: Any, item: Any) -> None:
    """Execute a transaction and leave its access set for whoever commits it, unless it is likely to be in vain."""
    if item8(columns, c.READY, item) != WAITING:
        return
    if load64(_heat_of(columns, shared, item)) >= HOT:
        release8(column(columns, c.READY) + item, SKIPPED)
        return
    done = execute_transaction(machine, columns, item)
    worker = get(machine, WORKER)
    set64(columns, c.ENTRY_FIRST, item, worker_word(worker, ENTRY_FIRST))
    set64(columns, c.ENTRY_COUNT, item, worker_word(worker, ENTRY_COUNT))
    set8(columns, c.OWNERS, item, number)
    release8(column(columns, c.READY) + item, EXECUTED if done == 0 else CROWDED)


@njit(cache=True)
def _apply_own(machine: Any) -> bool:
    worker = get(machine, WORKER)
    done = apply(worker, worker, worker_word(worker, ENTRY_FIRST), worker_word(worker, ENTRY_COUNT))
    if not done:
        forget_transaction(machine)
    return done


@njit(cache=True)
def _account_for(columns: Any, shared: Any, item: Any) -> None:
    """Note the gas of a committed transaction."""
    used = item64(columns, c.BLOB_GAS, item) // GAS_PER_BLOB
    store64(shared + 8 * GAS_LEFT, load64(shared + 8 * GAS_LEFT) - item64(columns, c.GAS_USED, item))
    store64(shared + 8 * BLOBS_LEFT, load64(shared + 8 * BLOBS_LEFT) - used)


@njit(cache=True)
def _stands(columns: Any, shared: Any, owner: Any, item: Any) -> bool:
    """Whether what was executed ahead is what block order gives."""
    if item8(columns, c.RULES, item):
        return False
    if item64(columns, c.GAS_LIMITS, item) > load64(shared + 8 * GAS_LEFT):
        return False
    blobs = item64(columns, c.BLOB_GAS, item) // GAS_PER_BLOB
    if blobs > load64(shared + 8 * BLOBS_LEFT):
        return False
    first, count = item64(columns, c.ENTRY_FIRST, item), item64(columns, c.ENTRY_COUNT, item)
    return valid(get(owner, WORKER), first, count)


@njit(cache=True)
def _commit(
    machine: Any, number: Any, columns: Any, shared: Any, item: Any, entries: Any, values: Any
) -> Any:
    """Commit the next transaction in block order; 0, or the reason to halt."""
    state = acquire8(column(columns, c.READY) + item)
    owner = load64(shared_word(shared, WORKERS) + 8 * item8(columns, c.OWNERS, item))
    if state == CROWDED:
        return FULL
    worker, heat = get(machine, WORKER), _heat_of(columns, shared, item)
    if state == EXECUTED and _stands(columns, shared, owner, item):
        first, count = item64(columns, c.ENTRY_FIRST, item), item64(columns, c.ENTRY_COUNT, item)
        if not apply(worker, get(owner, WORKER), first, count):
            return FULL
        _account_for(columns, shared, item)
        _change_heat(heat, COOLED)
        return 0
    _change_heat(heat, FORGOTTEN if state == SKIPPED else HEATED)
    store64(shared + 8 * REPEATED, load64(shared + 8 * REPEATED) + 1)
    use_segment(get(machine, WORKER), SEGMENTS - 1, entries, values)
    put(machine, BLOCK_GAS_LEFT, load64(shared + 8 * GAS_LEFT))
    put(machine, BLOCK_BLOBS_LEFT, load64(shared + 8 * BLOBS_LEFT))
    done = execute_transaction(machine, columns, item)
    put(machine, BLOCK_GAS_LEFT, NO_LIMIT)
    put(machine, BLOCK_BLOBS_LEFT, NO_LIMIT)
    if done < 0:
        return FULL
    set8(columns, c.OWNERS, item, number)
    if item8(columns, c.RULES, item):
        forget_transaction(machine)
        return BROKEN
    if not _apply_own(machine):
        return FULL
    _account_for(columns, shared, item)
    return 0


@njit(cache=True)
def _to_commit(number: Any, columns: Any, item: Any, idle: Any) -> bool:
    """Whether a worker commits a transaction: it is ready, and unless the worker is idle nobody else executed it.

    Whoever executed it has its access set in its own cache: between processors that share none a line takes 180 ns.
    """
    state = acquire8(column(columns, c.READY) + item)
    if state == EXECUTED:
        return idle or item8(columns, c.OWNERS, item) == number
    return state != WAITING


@njit(cache=True)
def _commit_some(
    machine: Any, number: Any, columns: Any, shared: Any, entries: Any, values: Any, idle: Any
) -> None:
    """Commit what is ready and this worker's, or anybody's if it is idle, in block order; the lock is held."""
    item, stop = shared_word(shared, COMMITTED), shared_word(shared, STOP)
    while item < stop and _to_commit(number, columns, item, idle):
        reason = _commit(machine, number, columns, shared, item, entries, values)
        if reason:
            release64(shared + 8 * HALT, reason)
            return
        item += 1
        release64(shared + 8 * COMMITTED, item)
        done = item - shared_word(shared, START)
        if done >= TRIAL and load64(shared + 8 * REPEATED) * 100 > done * TURN_PERCENT and item < stop:
            release64(shared + 8 * HALT, TURN)
            return


@njit(nogil=True, cache=True)
def speculate(machine: Any, number: Any, columns: Any, shared: Any, entries: Any, values: Any) -> None:
    """Work on a block with other workers until it is committed or somebody halts.

    Args:
        machine: address of this thread's machine.
        number: which of them it is.
        columns: address of the block's columns.
        shared: address of the shared words.
        entries, values: capacity of a segment of the worker's buffers, which hold `SEGMENTS` of them.
    """
    put(machine, BLOCK_GAS_LEFT, NO_LIMIT)
    put(machine, BLOCK_BLOBS_LEFT, NO_LIMIT)
    waited = segment = 0
    while True:
        committed, stop = shared_word(shared, COMMITTED), shared_word(shared, STOP)
        if committed >= stop or shared_word(shared, HALT):
            return
        lock = shared + 8 * LOCK
        idle = shared_word(shared, NEXT) >= min(stop, committed + WINDOW)
        if _to_commit(number, columns, committed, idle) and exchange_if(lock, 0, 1):
            if not shared_word(shared, HALT):
                _commit_some(machine, number, columns, shared, entries, values, idle)
            release64(lock, 0)
            waited = 0
        elif not idle:
            first = fetch_add(shared + 8 * NEXT, CHUNK)
            # Chunks are taken in order, so of the last SEGMENTS − 1 of this worker only those within the window live.
            use_segment(get(machine, WORKER), segment, entries, values)
            segment = (segment + 1) % (SEGMENTS - 1)
            for item in range(first, min(first + CHUNK, stop)):
                _execute_ahead(machine, number, columns, shared, item)
            waited = 0
        else:
            waited = rest(shared, waited)
