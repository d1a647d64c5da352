# SPDX-License-Identifier: GPL-3.0-or-later
"""The host functions of `chain_api` (`docs/execution-rules.md`, Host functions), called by guests as C functions.

Arguments are i32 and unsigned. Each function returns the trap that ends the call, or 0, and leaves its answer where its
first argument was. All trap with `BAD_POINTER` for an area beyond the guest's memory and with `OUT_OF_GAS` beyond the gas
limit, and those that look an account up with `LIMIT_EXCEEDED` if the transaction touches too many keys.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.kernels.cpu.lanes.addresses import copy, load32, store32
from supervm.kernels.cpu.state.access_set import COMMIT_NUMBER, NEEDS_EVENTS, get, lacking, present, put, read
from supervm.kernels.cpu.state.amounts import (
    AMOUNT_BYTES,
    add_amounts,
    amount_below,
    amount_is_zero,
    subtract_amounts,
)
from supervm.kernels.cpu.state.key_table import FULL
from supervm.vm.accounts import BALANCE, load_account, store_account
from supervm.vm.context import (
    BLOCK_NUMBER,
    CALLER,
    EVENT_COUNT,
    EVENTS,
    EVENTS_CAPACITY,
    EVENTS_FIRST,
    EVENTS_USED,
    FAST_MARKS,
    INPUT,
    INPUT_BYTES,
    OUTPUT,
    OUTPUT_BYTES,
    SCRATCH,
    SELF,
    SELF_NUMBER,
    TIMESTAMP,
    TOUCHED_FAST,
    TRANSFERRED,
)
from supervm.vm.gas import NEW_ACCOUNT
from supervm.vm.guest import (
    ADDRESS_BYTES,
    EVENT_INDEX,
    LIMIT_EXCEEDED,
    OUT_OF_GAS,
    account_number,
    answer32,
    answer64,
    argument,
    at,
    charge,
    host_function,
    opening,
    priced,
    trap,
    trap_for,
)
from supervm.vm.limits import EVENT_BYTES as MOST_EVENT_BYTES
from supervm.vm.limits import EVENTS as MOST_EVENTS
from supervm.vm.limits import OUTPUT_BYTES as MOST_OUTPUT_BYTES

COUNTER, _ = priced("block_number")
FIELD, _ = priced("caller")
INPUT_BASE, INPUT_BYTE = priced("input_read")
OUTPUT_BASE, OUTPUT_BYTE = priced("set_output")
BALANCE_PRICE, _ = priced("balance")
TRANSFER_PRICE, _ = priced("transfer")
EVENT_BASE, EVENT_BYTE = priced("emit_event")
READ_EVENT_BASE, READ_EVENT_BYTE = priced("read_event")

EVENT_HEADER = 4
"""Bytes before an event in the events' area: its length."""


@host_function
def block_number(worker: Any, caller: Any, arguments: Any, count: Any) -> Any:
    """`() -> i64`: the number of the block."""
    refusal = opening(worker, COUNTER)
    if refusal:
        return refusal
    return answer64(arguments, get(worker, BLOCK_NUMBER))


@host_function
def timestamp(worker: Any, caller: Any, arguments: Any, count: Any) -> Any:
    """`() -> i64`: the block's timestamp."""
    refusal = opening(worker, COUNTER)
    if refusal:
        return refusal
    return answer64(arguments, get(worker, TIMESTAMP))


@njit(cache=True)
def _give(worker: Any, arguments: Any, source: Any, size: Any) -> Any:
    """Write something of the transaction to the pointer that is the only argument."""
    pointer = argument(arguments, 0)
    refusal = opening(worker, FIELD, pointer, size)
    if refusal:
        return refusal
    copy(at(worker, pointer), source, size)
    return answer32(arguments, 0)


@host_function
def caller(worker: Any, caller_: Any, arguments: Any, count: Any) -> Any:
    """`(out_ptr) -> i32`: write the sender's address, 20 bytes; 0."""
    return _give(worker, arguments, get(worker, CALLER), ADDRESS_BYTES)


@host_function
def self_address(worker: Any, caller_: Any, arguments: Any, count: Any) -> Any:
    """`(out_ptr) -> i32`: write the contract's own address, 20 bytes; 0."""
    return _give(worker, arguments, get(worker, SELF), ADDRESS_BYTES)


@host_function
def value(worker: Any, caller_: Any, arguments: Any, count: Any) -> Any:
    """`(out_ptr) -> i32`: write the amount that came with the call, 32 bytes, big-endian; 0."""
    return _give(worker, arguments, get(worker, TRANSFERRED), AMOUNT_BYTES)


@host_function
def input_len(worker: Any, caller_: Any, arguments: Any, count: Any) -> Any:
    """`() -> i32`: bytes of the input."""
    refusal = opening(worker, COUNTER)
    if refusal:
        return refusal
    return answer32(arguments, get(worker, INPUT_BYTES))


@host_function
def input_read(worker: Any, caller_: Any, arguments: Any, count: Any) -> Any:
    """`(ptr, offset, len) -> i32`: copy min(len, bytes after `offset`) of the input; that number."""
    pointer, offset, length = argument(arguments, 0), argument(arguments, 1), argument(arguments, 2)
    size = min(length, max(get(worker, INPUT_BYTES) - offset, 0))
    refusal = opening(worker, INPUT_BASE + INPUT_BYTE * size, pointer, length)
    if refusal:
        return refusal
    copy(at(worker, pointer), get(worker, INPUT) + offset, size)
    return answer32(arguments, size)


@host_function
def set_output(worker: Any, caller_: Any, arguments: Any, count: Any) -> Any:
    """`(ptr, len) -> i32`: replace the output; 0.

    Traps with `LIMIT_EXCEEDED` above `limits.OUTPUT_BYTES`.
    """
    pointer, length = argument(arguments, 0), argument(arguments, 1)
    refusal = opening(worker, OUTPUT_BASE + OUTPUT_BYTE * length, pointer, length)
    if refusal:
        return refusal
    if length > MOST_OUTPUT_BYTES:
        return trap(worker, LIMIT_EXCEEDED)
    copy(get(worker, OUTPUT), at(worker, pointer), length)
    put(worker, OUTPUT_BYTES, length)
    return answer32(arguments, 0)


@njit(cache=True)
def _account(worker: Any, number: Any) -> Any:
    """The entry of an account that the guest chose, `FULL` or `TOO_MANY`."""
    entry = read(worker, number) if number >= 0 else number
    marks = get(worker, FAST_MARKS)
    if entry > 0 and marks and load32(marks + 4 * number) == get(worker, COMMIT_NUMBER):
        put(worker, TOUCHED_FAST, 1)
    return entry


@njit(cache=True)
def self_number(worker: Any) -> Any:
    """The key number of the contract's own account, or `FULL`."""
    number = get(worker, SELF_NUMBER)
    if number < 0:
        number = account_number(worker, get(worker, SELF))
        if number >= 0:
            put(worker, SELF_NUMBER, number)
    return number


@host_function
def balance(worker: Any, caller_: Any, arguments: Any, count: Any) -> Any:
    """`(addr_ptr, out_ptr) -> i32`: write an account's balance, 32 bytes, big-endian; 0.

    The transaction depends on the account.
    """
    address, out = argument(arguments, 0), argument(arguments, 1)
    refusal = opening(worker, BALANCE_PRICE, address, ADDRESS_BYTES, out, AMOUNT_BYTES)
    if refusal:
        return refusal
    entry = _account(worker, account_number(worker, at(worker, address)))
    if entry < 0:
        return trap_for(worker, entry)
    account = get(worker, SCRATCH)
    load_account(worker, entry, account)
    copy(at(worker, out), account + BALANCE, AMOUNT_BYTES)
    return answer32(arguments, 0)


@host_function
def transfer(worker: Any, caller_: Any, arguments: Any, count: Any) -> Any:
    """`(to_ptr, amount_ptr) -> i32`: move 32 bytes of amount from the contract's account; 0, or −1 if it has less.

    An amount of 0 touches no account, and one to the contract itself moves nothing. A new account costs `NEW_ACCOUNT`
    besides. The transaction depends on both accounts.
    """
    recipient, amount = argument(arguments, 0), argument(arguments, 1)
    refusal = opening(worker, TRANSFER_PRICE, recipient, ADDRESS_BYTES, amount, AMOUNT_BYTES)
    if refusal:
        return refusal
    moved = at(worker, amount)
    if amount_is_zero(moved):
        return answer32(arguments, 0)
    mine, theirs = get(worker, SCRATCH), get(worker, SCRATCH) + 64
    payer = _account(worker, self_number(worker))
    if payer < 0:
        return trap_for(worker, payer)
    load_account(worker, payer, mine)
    if amount_below(mine + BALANCE, moved):
        return answer32(arguments, -1)
    to = account_number(worker, at(worker, recipient))
    if to == get(worker, SELF_NUMBER):
        return answer32(arguments, 0)
    payee = _account(worker, to)
    if payee < 0:
        return trap_for(worker, payee)
    if not present(payee) and not charge(worker, NEW_ACCOUNT):
        return trap(worker, OUT_OF_GAS)
    load_account(worker, payee, theirs)
    subtract_amounts(mine + BALANCE, mine + BALANCE, moved)
    add_amounts(theirs + BALANCE, theirs + BALANCE, moved)
    if store_account(worker, payer, mine) < 0 or store_account(worker, payee, theirs) < 0:
        return trap_for(worker, FULL)
    return answer32(arguments, 0)


@host_function
def emit_event(worker: Any, caller_: Any, arguments: Any, count: Any) -> Any:
    """`(ptr, len) -> i32`: put an event behind those of this call; 0.

    Traps with `LIMIT_EXCEEDED` beyond `limits.EVENTS` events or `limits.EVENT_BYTES` bytes of all of them.
    """
    pointer, length = argument(arguments, 0), argument(arguments, 1)
    refusal = opening(worker, EVENT_BASE + EVENT_BYTE * length, pointer, length)
    if refusal:
        return refusal
    events, used = get(worker, EVENT_COUNT), get(worker, EVENTS_USED)
    emitted = used - get(worker, EVENTS_FIRST) - EVENT_HEADER * events
    if events >= MOST_EVENTS or emitted + length > MOST_EVENT_BYTES:
        return trap(worker, LIMIT_EXCEEDED)
    if used + EVENT_HEADER + length > get(worker, EVENTS_CAPACITY):
        return trap_for(worker, lacking(worker, NEEDS_EVENTS, EVENT_HEADER + length))
    place = get(worker, EVENTS) + used
    store32(place, length)
    copy(place + EVENT_HEADER, at(worker, pointer), length)
    put(worker, EVENTS_USED, used + EVENT_HEADER + length)
    put(worker, EVENT_COUNT, events + 1)
    return answer32(arguments, 0)


@host_function
def events_len(worker: Any, caller_: Any, arguments: Any, count: Any) -> Any:
    """`() -> i32`: events of this call so far."""
    refusal = opening(worker, COUNTER)
    if refusal:
        return refusal
    return answer32(arguments, get(worker, EVENT_COUNT))


@host_function
def read_event(worker: Any, caller_: Any, arguments: Any, count: Any) -> Any:
    """`(index, ptr, len) -> i32`: copy min(len, its length) bytes of an event of this call; that number.

    Traps with `EVENT_INDEX` if there is no such event.
    """
    index, pointer, length = argument(arguments, 0), argument(arguments, 1), argument(arguments, 2)
    known = index < get(worker, EVENT_COUNT)
    place = get(worker, EVENTS) + get(worker, EVENTS_FIRST)
    for _ in range(index if known else 0):
        place += EVENT_HEADER + load32(place)
    size = min(length, load32(place)) if known else 0
    refusal = opening(worker, READ_EVENT_BASE + READ_EVENT_BYTE * size, pointer, length)
    if refusal:
        return refusal
    if not known:
        return trap(worker, EVENT_INDEX)
    copy(at(worker, pointer), place + EVENT_HEADER, size)
    return answer32(arguments, size)
