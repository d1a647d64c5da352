# SPDX-License-Identifier: GPL-3.0-or-later
"""The fast path: transfers between accounts that nothing else in the block touches, in place.

Each account gets its version of this commit at its first transfer; after that nonces and balances change where they lie,
in block order, with no access set and nothing to undo: a transfer that is rejected has not begun, and one whose gas does
not suffice for a new account has only paid. An account that was written is never absent: it has sent, so its nonce is not
zero, or it has only received. A transfer that also moves objects goes through an access set, since it can fail half way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from supervm.engine.execution import columns as c
from supervm.engine.execution.columns import column, item64, set8, set64
from supervm.engine.execution.sequential import run_one
from supervm.kernels.cpu.lanes.addresses import (
    copy,
    fill,
    load32,
    load64,
    prefetch_address,
    release32,
    store32,
    store64,
    swap_bytes,
)
from supervm.kernels.cpu.state.access_set import (
    COMMIT_NUMBER,
    DIRTY_CAPACITY,
    DIRTY_COUNT,
    NEEDS_CELLS,
    NEEDS_DIRTY,
    STACK,
    STACK_CAPACITY,
    STACK_COUNT,
    VERSIONS,
    get,
    lacking,
    note_written,
    pop_cell,
    put,
)
from supervm.kernels.cpu.state.amounts import (
    add_amounts,
    amount_is_zero,
    covers,
    give_amount,
    product_of_words,
    take_amount,
)
from supervm.kernels.cpu.state.versions import (
    BEFORE,
    COMMIT,
    DATA,
    GONE,
    NEXT,
    SIZE,
    TAKEN_AT_ONCE,
    cell_address,
    head_address,
    take_cells,
)
from supervm.vm import context as w
from supervm.vm.accounts import ACCOUNT_BYTES, BALANCE, NONCE
from supervm.vm.gas import NEW_ACCOUNT
from supervm.vm.outcomes import Reason

BAD_NONCE = int(Reason.BAD_NONCE)
OUT_OF_GAS = int(Reason.OUT_OF_GAS)
INSUFFICIENT_BALANCE = int(Reason.INSUFFICIENT_BALANCE)

AHEAD = 12
"""How many transfers ahead memory is asked for."""

VALUE_BYTES = 32


@njit(cache=True)
def _room(worker: Any) -> bool:
    """Whether two accounts can get a new version."""
    if get(worker, DIRTY_COUNT) + 2 > get(worker, DIRTY_CAPACITY):
        lacking(worker, NEEDS_DIRTY, get(worker, DIRTY_COUNT))
        return False
    held = get(worker, STACK_COUNT)
    if held >= 2:
        return True
    wanted = min(TAKEN_AT_ONCE, get(worker, STACK_CAPACITY))
    held = take_cells(get(worker, VERSIONS), get(worker, STACK), held, wanted)
    put(worker, STACK_COUNT, held)
    if held < 2:
        lacking(worker, NEEDS_CELLS, TAKEN_AT_ONCE)
    return held >= 2


@njit(cache=True)
def own_account(worker: Any, number: Any) -> Any:
    """The address of an account as this commit leaves it, writable; there is room."""
    versions = get(worker, VERSIONS)
    return _own(worker, versions, number, load32(head_address(versions, number)))


@njit(cache=True)
def _own(worker: Any, versions: Any, number: Any, head: Any) -> Any:
    commit = get(worker, COMMIT_NUMBER)
    old = cell_address(versions, head)
    if head and load32(old + COMMIT) == commit:
        if load32(old + SIZE) == GONE:
            store32(old + SIZE, ACCOUNT_BYTES)
            fill(old + DATA, 0, ACCOUNT_BYTES)
        return old + DATA
    cell = pop_cell(worker)
    at = cell_address(versions, cell)
    store32(at + COMMIT, commit)
    store32(at + BEFORE, head)
    store32(at + SIZE, ACCOUNT_BYTES)
    store32(at + NEXT, 0)
    if head and load32(old + SIZE) != GONE:
        copy(at + DATA, old + DATA, ACCOUNT_BYTES)
    else:
        fill(at + DATA, 0, ACCOUNT_BYTES)
    note_written(worker, number, head)
    release32(head_address(versions, number), cell)
    return at + DATA


@njit(cache=True)
def _ask_ahead(versions: Any, block: Any, items: Any, place: Any) -> None:
    if place + 2 * AHEAD < items.size:
        item = items[place + 2 * AHEAD]
        prefetch_address(head_address(versions, item64(block, c.SENDERS, item)))
        prefetch_address(head_address(versions, item64(block, c.TARGETS, item)))
    if place + AHEAD < items.size:
        item = items[place + AHEAD]
        sender, target = item64(block, c.SENDERS, item), item64(block, c.TARGETS, item)
        prefetch_address(cell_address(versions, load32(head_address(versions, sender))))
        prefetch_address(cell_address(versions, load32(head_address(versions, target))))


@njit(cache=True)
def _absent(versions: Any, number: Any) -> bool:
    """Whether an account is not there, as this commit leaves it so far."""
    head = load32(head_address(versions, number))
    return head == 0 or load32(cell_address(versions, head) + SIZE) == GONE


@njit(cache=True)
def _outcome(block: Any, item: Any, reason: Any, gas: Any) -> None:
    set8(block, c.REASONS, item, reason)
    set64(block, c.GAS, item, gas)


@njit(cache=True)
def _transfer(worker: Any, block: Any, item: Any, reserve: Any) -> None:
    """One transfer, its reason and its gas; `reserve` has room for an amount."""
    versions, sender = get(worker, VERSIONS), item64(block, c.SENDERS, item)
    value = column(block, c.VALUES) + VALUE_BYTES * item
    head = load32(head_address(versions, sender))
    account = cell_address(versions, head) + DATA
    known = head != 0 and load32(cell_address(versions, head) + SIZE) != GONE
    nonce = swap_bytes(load64(account + NONCE)) if known else 0
    if nonce != item64(block, c.NONCES, item) or nonce == -1:
        return _outcome(block, item, BAD_NONCE, 0)
    price = item64(block, c.GAS_PRICES, item)
    paid = value
    if price:
        # The whole limit must be there, though only the intrinsic gas is taken.
        product_of_words(reserve, item64(block, c.GAS_LIMITS, item), price)
        if add_amounts(reserve, reserve, value):
            return _outcome(block, item, INSUFFICIENT_BALANCE, 0)
        paid = reserve
    if not amount_is_zero(paid) and not (known and covers(account + BALANCE, paid)):
        return _outcome(block, item, INSUFFICIENT_BALANCE, 0)
    account = _own(worker, versions, sender, head)
    store64(account + NONCE, swap_bytes(nonce + 1))
    gas, reason, target = item64(block, c.INTRINSIC, item), 0, item64(block, c.TARGETS, item)
    moves = not amount_is_zero(value)
    if moves and _absent(versions, target):
        gas += NEW_ACCOUNT
        if gas > item64(block, c.GAS_LIMITS, item):
            gas, reason, moves = item64(block, c.GAS_LIMITS, item), OUT_OF_GAS, False
    if price:
        product_of_words(reserve, gas, price)
        take_amount(account + BALANCE, reserve)
    if moves:
        take_amount(account + BALANCE, value)
        give_amount(own_account(worker, target) + BALANCE, value)
    return _outcome(block, item, reason, gas)


@njit(nogil=True, cache=True)
def run_fast_path(worker: Any, number: Any, block: Any, items: Any, start: Any) -> Any:
    """Execute the transfers items[start:], which are not rejected already, in this order.

    Args:
        worker, number: the worker and which one it is.
        items: int64, transactions of the fast path, ascending.

    Returns:
        `items.size`, or where something was full (`access.NEEDS`): to be called again from there.
    """
    versions = get(worker, VERSIONS)
    reserve = get(worker, w.SCRATCH) + w.SCRATCH_ENGINE
    for place in range(start, items.size):
        _ask_ahead(versions, block, items, place)
        if not _room(worker):
            return place
        item = items[place]
        set8(block, c.OWNERS, item, number)
        if item64(block, c.OBJECT_OFFSETS, item) != item64(block, c.OBJECT_OFFSETS, item + 1):
            if not run_one(worker, block, item):
                return place
            continue
        _transfer(worker, block, item, reserve)
    return items.size


@njit(nogil=True, cache=True)
def add_to_account(worker: Any, number: Any, amount: Any) -> bool:
    """Add an amount, uint8 (32,), to the balance of an account in the commit that is being made; False where something
    is full. Nothing else runs."""
    if not _room(worker):
        return False
    account = own_account(worker, number)
    add_amounts(account + BALANCE, account + BALANCE, amount.ctypes.data)
    return True


@njit(nogil=True, cache=True)
def sum_of_fees(gas: Any, prices: Any, rejected: Any, out: Any) -> None:
    """Add gas × price of every transaction up into `out`, uint8 (64,): the sum, big-endian, in its first 32 bytes."""
    total, fee = out.ctypes.data, out.ctypes.data + VALUE_BYTES
    fill(total, 0, VALUE_BYTES)
    for item in range(gas.size):
        if prices[item] != 0 and not rejected[item]:
            product_of_words(fee, np.int64(gas[item]), np.int64(prices[item]))
            add_amounts(total, total, fee)
