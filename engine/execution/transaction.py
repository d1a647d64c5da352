# SPDX-License-Identifier: GPL-3.0-or-later
"""One transaction, from its columns to its access set and its receipt (`docs/execution-rules.md`, Execution).

What it writes stays in the worker's access set; whoever calls `execute` applies or forgets it.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.engine.execution import columns as c
from supervm.engine.execution.columns import column, item8, item64, set8, set64
from supervm.engine.execution.effects import nothing_yet, receive
from supervm.engine.execution.shielded import call_pool
from supervm.kernels.cpu.lanes.addresses import (
    LINE,
    call_address,
    copy,
    load8,
    load32,
    load64,
    prefetch_address,
    store8,
    store64,
    swap_bytes,
)
from supervm.kernels.cpu.state import key_table
from supervm.kernels.cpu.state.access_set import (
    ENTRY_COUNT,
    FLAGS,
    HINT_COUNT,
    HINTS,
    KEYS,
    NEEDS_EVENTS,
    SEEN,
    TOO_MANY,
    VALUE,
    VERSIONS,
    WRITTEN,
    begin,
    drop_from,
    get,
    lacking,
    present,
    put,
    read,
    room_for,
)
from supervm.kernels.cpu.state.amounts import (
    add_amounts,
    amount_below,
    amount_is_zero,
    product_of_words,
    subtract_amounts,
)
from supervm.kernels.cpu.state.versions import DATA, cell_address, head_address
from supervm.vm import context as w
from supervm.vm.accounts import ACCOUNT_BYTES, BALANCE, NONCE, load_account, store_account
from supervm.vm.call import call_entry
from supervm.vm.context import RETRY, SLOT_WORDS
from supervm.vm.guest import ADDRESS_BYTES
from supervm.vm.outcomes import Reason

BAD_NONCE = int(Reason.BAD_NONCE)
INSUFFICIENT_BALANCE = int(Reason.INSUFFICIENT_BALANCE)
LIMIT_EXCEEDED = int(Reason.LIMIT_EXCEEDED)
OUT_OF_GAS = int(Reason.OUT_OF_GAS)
OBJECT_NOT_OWNED = int(Reason.OBJECT_NOT_OWNED)
CONTRACT_ERROR = int(Reason.CONTRACT_ERROR)

OBJECT_BYTES = 1 + ADDRESS_BYTES
OWNED = 0
"""The kind of an object that has an owner; 1 is shared, 2 immutable."""

VALUE_BYTES = 32

# Places in the engine's part of a worker's scratch.
ACCOUNT, ORIGINAL, RESERVE, FEE = 0, 64, 128, 160


@njit(cache=True)
def execute(worker: Any, block: Any, item: Any) -> Any:
    """Execute a transaction that is not rejected already; 0, or `RETRY` where there was no room (see `access.NEEDS`)."""
    kind = item8(block, c.CALLS, item)
    if kind == c.PLUGGED_IN:
        return call_address(get(worker, w.PLUG_IN), worker, block, item)
    begin(worker)
    put(worker, w.TOUCHED_FAST, 0)
    announced = item64(block, c.DECLARED_OFFSETS, item)
    put(worker, HINTS, column(block, c.DECLARED) + 8 * announced)
    put(worker, HINT_COUNT, item64(block, c.DECLARED_OFFSETS, item + 1) - announced)
    scratch = get(worker, w.SCRATCH) + w.SCRATCH_ENGINE
    account = scratch + ACCOUNT
    sender = read(worker, item64(block, c.SENDERS, item))
    if sender < 0:
        return RETRY
    load_account(worker, sender, account)
    nonce = swap_bytes(load64(account + NONCE))
    if nonce != item64(block, c.NONCES, item) or nonce == -1:
        return _reject(block, item, BAD_NONCE)
    limit, price = item64(block, c.GAS_LIMITS, item), item64(block, c.GAS_PRICES, item)
    value = column(block, c.VALUES) + VALUE_BYTES * item
    pays = price != 0 or not amount_is_zero(value)
    if pays:
        product_of_words(scratch + RESERVE, limit, price)
        carry = add_amounts(scratch + RESERVE, scratch + RESERVE, value)
        if carry or amount_below(account + BALANCE, scratch + RESERVE):
            return _reject(block, item, INSUFFICIENT_BALANCE)
        copy(scratch + ORIGINAL, account, ACCOUNT_BYTES)
        subtract_amounts(account + BALANCE, account + BALANCE, scratch + RESERVE)
    store64(account + NONCE, swap_bytes(nonce + 1))
    if store_account(worker, sender, account) < 0:
        return RETRY
    put(worker, w.GAS_LIMIT, limit)
    put(worker, w.GAS_CHARGED, item64(block, c.INTRINSIC, item))
    if kind == c.SHIELDED_CALL:
        reason = call_pool(worker, block, item)
    elif kind:
        reason = _call(worker, block, item, value)
    else:
        reason = _transfer(worker, block, item, value)
    if reason == RETRY or _settle(worker, sender, pays, price, reason) < 0:
        return RETRY
    return _receipt(worker, block, item, reason)


@njit(cache=True)
def _reject(block: Any, item: Any, reason: Any) -> Any:
    set8(block, c.REASONS, item, reason)
    set64(block, c.GAS, item, 0)
    set64(block, c.RETURNED, item, 0)
    set64(block, c.OUTPUT_SIZES, item, 0)
    set64(block, c.EVENT_COUNTS, item, 0)
    set64(block, c.EVENT_SIZES, item, 0)
    set8(block, c.FLAGS, item, 0)
    return 0


@njit(cache=True)
def _call(worker: Any, block: Any, item: Any, value: Any) -> Any:
    """A call of a contract; the reason or `RETRY`."""
    target = column(block, c.TARGET_ADDRESSES) + ADDRESS_BYTES * item
    nothing_yet(worker)
    if not amount_is_zero(value):
        reason = receive(worker, item64(block, c.TARGETS, item), value)
        if reason:
            return reason
    begin_input = item64(block, c.INPUT_OFFSETS, item)
    put(worker, w.CALLER, column(block, c.SENDER_ADDRESSES) + ADDRESS_BYTES * item)
    put(worker, w.SELF, target)
    put(worker, w.TRANSFERRED, value)
    put(worker, w.INPUT, column(block, c.INPUT) + begin_input)
    put(worker, w.INPUT_BYTES, item64(block, c.INPUT_OFFSETS, item + 1) - begin_input)
    key = get(worker, w.STORAGE_KEY)
    store8(key, 1)
    copy(key + 1, target, ADDRESS_BYTES)
    slot = get(worker, w.SLOTS) + 8 * SLOT_WORDS * item64(block, c.CONTRACTS, item)
    return call_entry(worker, slot, item64(block, c.ENTRIES, item))


@njit(cache=True)
def _owns(worker: Any, entry: Any, owner: Any) -> bool:
    """Whether an object exists, has an owner, and that is the one at `owner`; nobody has written it yet."""
    if not present(entry):
        return False
    held = cell_address(get(worker, VERSIONS), load32(entry + SEEN)) + DATA
    if load32(entry + FLAGS) & WRITTEN:
        held = load64(entry + VALUE)
    if load8(held) != OWNED:
        return False
    for at in range(ADDRESS_BYTES):  # noqa: SIM110 (compiled code has no generators)
        if load8(held + 1 + at) != load8(owner + at):
            return False
    return True


@njit(cache=True)
def _transfer(worker: Any, block: Any, item: Any, value: Any) -> Any:
    """A transfer of a value and of objects; the reason or `RETRY`."""
    nothing_yet(worker)
    first, stop = item64(block, c.OBJECT_OFFSETS, item), item64(block, c.OBJECT_OFFSETS, item + 1)
    owner = column(block, c.SENDER_ADDRESSES) + ADDRESS_BYTES * item
    # All are looked at before one is moved, so that one listed twice is as good as one listed once.
    for place in range(first, stop):
        entry = read(worker, item64(block, c.OBJECTS, place))
        if entry < 0:
            return LIMIT_EXCEEDED if entry == TOO_MANY else RETRY
        if not _owns(worker, entry, owner):
            return OBJECT_NOT_OWNED
    for place in range(first, stop):
        entry = read(worker, item64(block, c.OBJECTS, place))
        at = room_for(worker, entry, OBJECT_BYTES)
        if at < 0:
            return RETRY
        store8(at, OWNED)
        copy(at + 1, column(block, c.TARGET_ADDRESSES) + ADDRESS_BYTES * item, ADDRESS_BYTES)
    if amount_is_zero(value):
        return 0
    return receive(worker, item64(block, c.TARGETS, item), value)


@njit(cache=True)
def _settle(worker: Any, sender: Any, pays: Any, price: Any, reason: Any) -> Any:
    """Undo what a failed transaction wrote, and give the sender back what it does not pay; 0 or `access.FULL`."""
    scratch = get(worker, w.SCRATCH) + w.SCRATCH_ENGINE
    account = scratch + ACCOUNT
    used = get(worker, w.GAS_CHARGED)
    if reason:
        drop_from(worker, 0)
        put(worker, w.EVENTS_USED, get(worker, w.EVENTS_FIRST))
        if pays:
            product_of_words(scratch + FEE, used, price)
            subtract_amounts(account + BALANCE, scratch + ORIGINAL + BALANCE, scratch + FEE)
        return store_account(worker, sender, account)
    left = get(worker, w.GAS_LIMIT) - used
    if price == 0 or left == 0:
        return 0
    product_of_words(scratch + FEE, left, price)
    load_account(worker, sender, account)
    add_amounts(account + BALANCE, account + BALANCE, scratch + FEE)
    return store_account(worker, sender, account)


@njit(cache=True)
def _receipt(worker: Any, block: Any, item: Any, reason: Any) -> Any:
    """Write down what became of it; 0 or `RETRY`."""
    events, output, used = get(worker, w.EVENT_COUNT), get(worker, w.OUTPUT_BYTES), get(worker, w.EVENTS_USED)
    first = get(worker, w.EVENTS_FIRST)
    if reason:
        events, output = 0, 0
    if output:
        if used + output > get(worker, w.EVENTS_CAPACITY):
            lacking(worker, NEEDS_EVENTS, output)
            return RETRY
        copy(get(worker, w.EVENTS) + used, get(worker, w.OUTPUT), output)
        put(worker, w.EVENTS_USED, used + output)
    set8(block, c.REASONS, item, reason)
    set64(block, c.GAS, item, get(worker, w.GAS_CHARGED))
    # Why a contract refused is in the number that it returned.
    said = reason == 0 or reason == CONTRACT_ERROR
    set64(block, c.RETURNED, item, get(worker, w.RETURNED) if said else 0)
    set64(block, c.EVENT_PLACES, item, first)
    set64(block, c.EVENT_SIZES, item, used - first)
    set64(block, c.EVENT_COUNTS, item, events)
    set64(block, c.OUTPUT_PLACES, item, used)
    set64(block, c.OUTPUT_SIZES, item, output)
    set8(block, c.FLAGS, item, c.TOUCHED_FAST_FLAG if get(worker, w.TOUCHED_FAST) else 0)
    return 0


@njit(cache=True)
def abandon(worker: Any, events: Any) -> None:
    """Forget a transaction that was not executed for want of room; `events` is what `EVENTS_USED` was before it."""
    put(worker, ENTRY_COUNT, 0)
    put(worker, w.EVENTS_USED, events)


AHEAD = 8
"""How many transactions ahead memory is asked for."""


@njit(cache=True)
def ask_for_heads(worker: Any, block: Any, item: Any) -> None:
    """Ask for the heads of what a transaction needs: its sender's account, and the keys that it announces."""
    versions = get(worker, VERSIONS)
    prefetch_address(head_address(versions, item64(block, c.SENDERS, item)))
    for place in range(item64(block, c.DECLARED_OFFSETS, item), item64(block, c.DECLARED_OFFSETS, item + 1)):
        prefetch_address(head_address(versions, item64(block, c.DECLARED, place)))


@njit(cache=True)
def ask_for(worker: Any, block: Any, item: Any) -> None:
    """Ask for the newest cells of the same, and for the keys."""
    versions = get(worker, VERSIONS)
    records = key_table.word(get(worker, KEYS), key_table.RECORDS)
    sender = item64(block, c.SENDERS, item)
    prefetch_address(cell_address(versions, load32(head_address(versions, sender))))
    for place in range(item64(block, c.DECLARED_OFFSETS, item), item64(block, c.DECLARED_OFFSETS, item + 1)):
        number = item64(block, c.DECLARED, place)
        prefetch_address(cell_address(versions, load32(head_address(versions, number))))
        prefetch_address(records + LINE * number)


@njit(cache=True)
def ask_ahead(worker: Any, block: Any, item: Any, stop: Any) -> None:
    """Ask for what later transactions below `stop` need first."""
    if item + 2 * AHEAD < stop:
        ask_for_heads(worker, block, item + 2 * AHEAD)
    if item + AHEAD < stop:
        ask_for(worker, block, item + AHEAD)
