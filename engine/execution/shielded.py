# SPDX-License-Identifier: GPL-3.0-or-later
"""A call of a shielded pool (docs/privacy-pool.md, "Execution"): nullifiers, value, events.

What it touches stands among the keys that it announces, which the engine wrote there: both nullifiers, the recipient's
account, and what the pool holds (the last two are the sender's account where the call does not touch them). The note tree
is brought up to date after the block.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.crypto.params.notes import NOTE_BYTES
from supervm.engine.execution import columns as c
from supervm.engine.execution.columns import column, item64
from supervm.engine.execution.effects import nothing_yet, receive
from supervm.engine.privacy.shielded_calls import NOTES
from supervm.kernels.cpu.lanes.addresses import below, copy, load32, load64, store32, store64, swap_bytes
from supervm.kernels.cpu.state.access_set import (
    FLAGS,
    NEEDS_EVENTS,
    SEEN,
    VALUE,
    VERSIONS,
    WRITTEN,
    get,
    lacking,
    present,
    put,
    read,
    room_for,
)
from supervm.kernels.cpu.state.amounts import product_of_words
from supervm.kernels.cpu.state.versions import DATA, cell_address
from supervm.vm import context as w
from supervm.vm.context import RETRY
from supervm.vm.host_chain import EVENT_HEADER
from supervm.vm.outcomes import Reason

(KNOWN_REASON, PUBLIC_IN, PUBLIC_OUT, FEE, UNIT, TIGHT) = range(0, 48, 8)
"""Places of a call's words: why it fails, known before the block is executed, 0 if nothing is; units that come in, go out
and are the fee (uint64); the pool's unit; 1 if what the pool holds might not be enough for all calls of the block, so that
each looks at it, else 0."""

WORDS = 6

FIRST_NULLIFIER, RECIPIENT, HELD = 0, NOTES, NOTES + 1
"""Places among the keys that a call announces."""

KEYS = HELD + 1
"""How many it announces."""

POOL_BYTES, INDEX_BYTES, ELEMENT_BYTES = 20, 8, 32
EVENT_PARTS = (POOL_BYTES, INDEX_BYTES, ELEMENT_BYTES, ELEMENT_BYTES, NOTE_BYTES)
"""Bytes of the parts of the event of a note: pool, index, commitment, a nullifier, the note's bytes of the input."""

EVENT_BYTES = sum(EVENT_PARTS)

HEIGHT_BYTES, HELD_BYTES = 8, 16
"""Bytes of the value of a nullifier's key, and of what a pool holds."""

NULLIFIER_SPENT = int(Reason.NULLIFIER_SPENT)
POOL_SHORT = int(Reason.POOL_SHORT)

_PAID = 192
"""Where in the engine's part of the scratch the amount is that a recipient gets."""


@njit(cache=True)
def call_pool(worker: Any, block: Any, item: Any) -> Any:
    """A call of a pool; the reason or `RETRY`."""
    nothing_yet(worker)
    row = item64(block, c.SHIELDED, item)
    words = column(block, c.SHIELDED_WORDS) + 8 * WORDS * row
    if load64(words + KNOWN_REASON):
        return load64(words + KNOWN_REASON)
    keys = column(block, c.DECLARED) + 8 * item64(block, c.DECLARED_OFFSETS, item)
    for place in range(FIRST_NULLIFIER, FIRST_NULLIFIER + NOTES):
        reason = _spend(worker, load64(keys + 8 * place))
        if reason:
            return reason
    if load64(words + TIGHT):
        reason = _hold(worker, load64(keys + 8 * HELD), words)
        if reason:
            return reason
    if load64(words + PUBLIC_OUT):
        paid = get(worker, w.SCRATCH) + w.SCRATCH_ENGINE + _PAID
        product_of_words(paid, load64(words + PUBLIC_OUT), load64(words + UNIT))
        reason = receive(worker, load64(keys + 8 * RECIPIENT), paid)
        if reason:
            return reason
    return _emit(worker, column(block, c.SHIELDED_EVENTS) + NOTES * EVENT_BYTES * row)


@njit(cache=True)
def _spend(worker: Any, nullifier: Any) -> Any:
    """Write a nullifier's key; 0, `NULLIFIER_SPENT` or `RETRY`."""
    entry = read(worker, nullifier)
    if entry < 0:
        return RETRY
    if present(entry):
        return NULLIFIER_SPENT
    at = room_for(worker, entry, HEIGHT_BYTES)
    if at < 0:
        return RETRY
    store64(at, swap_bytes(get(worker, w.BLOCK_NUMBER)))
    return 0


@njit(cache=True)
def _hold(worker: Any, number: Any, words: Any) -> Any:
    """What the pool holds, after this call; 0, `POOL_SHORT` or `RETRY`."""
    entry = read(worker, number)
    if entry < 0:
        return RETRY
    at = cell_address(get(worker, VERSIONS), load32(entry + SEEN)) + DATA
    if load32(entry + FLAGS) & WRITTEN:
        at = load64(entry + VALUE)
    high, low = swap_bytes(load64(at)), swap_bytes(load64(at + 8))
    come = load64(words + PUBLIC_IN)
    low = low + come
    high = high + (1 if below(low, come) else 0)
    for place in (PUBLIC_OUT, FEE):
        goes = load64(words + place)
        if below(low, goes):
            if high == 0:
                return POOL_SHORT
            high = high - 1
        low = low - goes
    at = room_for(worker, entry, HELD_BYTES)
    if at < 0:
        return RETRY
    store64(at, swap_bytes(high))
    store64(at + 8, swap_bytes(low))
    return 0


@njit(cache=True)
def _emit(worker: Any, events: Any) -> Any:
    """Both events of a call, whose indices are still missing; 0 or `RETRY`."""
    used = get(worker, w.EVENTS_USED)
    size = NOTES * (EVENT_HEADER + EVENT_BYTES)
    if used + size > get(worker, w.EVENTS_CAPACITY):
        lacking(worker, NEEDS_EVENTS, size)
        return RETRY
    place = get(worker, w.EVENTS) + used
    for note in range(NOTES):
        store32(place, EVENT_BYTES)
        copy(place + EVENT_HEADER, events + EVENT_BYTES * note, EVENT_BYTES)
        place += EVENT_HEADER + EVENT_BYTES
    put(worker, w.EVENTS_USED, used + size)
    put(worker, w.EVENT_COUNT, NOTES)
    return 0


@njit(nogil=True, cache=True)
def number_notes(block: Any, left: Any, items: Any, indices: Any) -> None:
    """Write the indices of new notes into the events of calls that succeeded.

    Args:
        block: address of the block's words.
        left: int64, address of what each worker left behind.
        items: int64 (s,), the transactions.
        indices: int64 (s,), of the first note of each.
    """
    for call in range(items.size):
        owner = c.item8(block, c.OWNERS, items[call])
        place = left[owner] + item64(block, c.EVENT_PLACES, items[call]) + EVENT_HEADER
        for note in range(NOTES):
            store64(place + POOL_BYTES, swap_bytes(indices[call] + note))
            place += EVENT_HEADER + EVENT_BYTES
