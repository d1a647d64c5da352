# SPDX-License-Identifier: GPL-3.0-or-later
"""One call of a contract's entry point, from compiled code: fuel in, the call, gas and reason out, the instance put back."""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.kernels.cpu.lanes.addresses import call_address, load8, load32, load64, store64
from supervm.kernels.cpu.state.access_set import get, lacking, put
from supervm.vm.context import (
    CALL_UNCHECKED,
    CONTEXT,
    ERROR_DELETE,
    EVENT_COUNT,
    EVENTS_FIRST,
    EVENTS_USED,
    EXPORT_DEPTH,
    EXPORT_GLOBALS,
    FRESH,
    GAS_CHARGED,
    GAS_LIMIT,
    GET_FUEL,
    GLOBAL_GET,
    GROWS,
    HELD_BYTES,
    HELD_CELL,
    MEMORY,
    MEMORY_BYTES,
    NEEDS_INSTANCES,
    OBJECT_BYTES,
    OUTPUT_BYTES,
    REASON,
    RETRY,
    RETURNED,
    SCRATCH,
    SCRATCH_CALL,
    SELF_NUMBER,
    SET_FUEL,
    SLOT,
    SLOT_CONTEXT,
    SLOT_GLOBALS,
    SLOT_GROWS,
    SLOT_IMAGE_BYTES,
    SLOT_INSTANCE_GAS,
    SLOT_MEMORY,
    SLOT_MEMORY_BYTES,
    SLOT_OBJECTS,
    SLOT_RESTORE_GAS,
    SLOT_STATE,
    SLOT_STORE,
    STORE_LIMITER,
    TRAP_CODE,
    TRAP_DELETE,
    slot_word,
)
from supervm.vm.gas import MEMORY_BYTES_PER_GAS
from supervm.vm.instances import memory_bytes, put_back, renew
from supervm.vm.limits import CALL_DEPTH
from supervm.vm.limits import MEMORY_BYTES as MOST_MEMORY_BYTES
from supervm.vm.outcomes import Reason

OUT_OF_GAS = int(Reason.OUT_OF_GAS)
UNREACHABLE = int(Reason.UNREACHABLE)
MEMORY_OUT_OF_BOUNDS = int(Reason.MEMORY_OUT_OF_BOUNDS)
STACK_OVERFLOW = int(Reason.STACK_OVERFLOW)
INTEGER_OVERFLOW = int(Reason.INTEGER_OVERFLOW)
DIVISION_BY_ZERO = int(Reason.DIVISION_BY_ZERO)
BAD_CONVERSION = int(Reason.BAD_CONVERSION)
INDIRECT_CALL = int(Reason.INDIRECT_CALL)
CONTRACT_ERROR = int(Reason.CONTRACT_ERROR)
OTHER_TRAP = int(Reason.OTHER_TRAP)

# wasmtime_trap_code_enum; a test compares these with the bindings.
TRAP_STACK_OVERFLOW = 0
TRAP_MEMORY_OUT_OF_BOUNDS = 1
TRAP_TABLE_OUT_OF_BOUNDS = 3
TRAP_INDIRECT_CALL_TO_NULL = 4
TRAP_BAD_SIGNATURE = 5
TRAP_INTEGER_OVERFLOW = 6
TRAP_DIVISION_BY_ZERO = 7
TRAP_BAD_CONVERSION = 8
TRAP_UNREACHABLE = 9
TRAP_OUT_OF_FUEL = 11

GLOBAL_VALUE = 8
"""Where in a wasmtime_val_t the number stands; a test compares it with the bindings."""


@njit(cache=True)
def reason_of_code(code: Any) -> Any:
    """The reason for a trap of wasmtime's own, before it is known how deep the calls were."""
    if code == TRAP_OUT_OF_FUEL:
        return OUT_OF_GAS
    if code == TRAP_UNREACHABLE:
        return UNREACHABLE
    if code == TRAP_MEMORY_OUT_OF_BOUNDS:
        return MEMORY_OUT_OF_BOUNDS
    if code == TRAP_STACK_OVERFLOW:
        return STACK_OVERFLOW
    if code == TRAP_INTEGER_OVERFLOW:
        return INTEGER_OVERFLOW
    if code == TRAP_DIVISION_BY_ZERO:
        return DIVISION_BY_ZERO
    if code == TRAP_BAD_CONVERSION:
        return BAD_CONVERSION
    if code in (TRAP_TABLE_OUT_OF_BOUNDS, TRAP_INDIRECT_CALL_TO_NULL, TRAP_BAD_SIGNATURE):
        return INDIRECT_CALL
    return OTHER_TRAP


@njit(cache=True)
def _trap_reason(worker: Any, trap: Any) -> Any:
    """Why the call trapped: what a host function said, or wasmtime's code."""
    reason = get(worker, REASON)
    place = get(worker, SCRATCH) + SCRATCH_CALL
    store64(place, 0)
    known = call_address(get(worker, TRAP_CODE), trap, place) & 0xFF
    call_address(get(worker, TRAP_DELETE), trap)
    if reason:
        return reason
    reason = reason_of_code(load8(place)) if known else OTHER_TRAP
    if reason == UNREACHABLE:
        depth = slot_word(get(worker, SLOT), SLOT_OBJECTS) + OBJECT_BYTES * EXPORT_DEPTH
        call_address(get(worker, GLOBAL_GET), get(worker, CONTEXT), depth, place)
        if load32(place + GLOBAL_VALUE) > CALL_DEPTH:
            return STACK_OVERFLOW
    return reason


@njit(cache=True)
def _open(worker: Any, slot: Any) -> None:
    """The guest of this slot is the one at work, and nothing has happened yet."""
    put(worker, SLOT, slot)
    put(worker, CONTEXT, slot_word(slot, SLOT_CONTEXT))
    put(worker, MEMORY, slot_word(slot, SLOT_MEMORY))
    put(worker, MEMORY_BYTES, slot_word(slot, SLOT_MEMORY_BYTES))
    put(worker, GROWS, slot_word(slot, SLOT_GROWS))
    put(worker, REASON, 0)
    put(worker, RETURNED, 0)
    put(worker, HELD_CELL, 0)
    put(worker, HELD_BYTES, -1)
    put(worker, OUTPUT_BYTES, 0)
    put(worker, EVENTS_FIRST, get(worker, EVENTS_USED))
    put(worker, EVENT_COUNT, 0)
    put(worker, SELF_NUMBER, -1)


@njit(cache=True)
def _instance_price(slot: Any, size: Any) -> Any:
    """What a new instance costs whose memory has so many bytes."""
    return slot_word(slot, SLOT_INSTANCE_GAS) + (size + MEMORY_BYTES_PER_GAS - 1) // MEMORY_BYTES_PER_GAS


@njit(cache=True)
def _charge_instance(worker: Any, slot: Any) -> Any:
    """Charge for the instance before the code runs, and let its memory grow no further than the gas limit pays for."""
    if slot_word(slot, SLOT_GROWS):
        most = MEMORY_BYTES_PER_GAS * (get(worker, GAS_LIMIT) - get(worker, GAS_CHARGED))
        limiter = get(worker, STORE_LIMITER)
        call_address(limiter, slot_word(slot, SLOT_STORE), min(most, MOST_MEMORY_BYTES), -1, -1, -1, -1)
    price = slot_word(slot, SLOT_RESTORE_GAS)
    if slot_word(slot, SLOT_IMAGE_BYTES) == 0:
        price += _instance_price(slot, slot_word(slot, SLOT_MEMORY_BYTES))
    put(worker, GAS_CHARGED, get(worker, GAS_CHARGED) + price)


@njit(cache=True)
def _charge_growth(worker: Any, slot: Any) -> Any:
    """Charge for the new instance that the next call needs where the memory has grown."""
    before = slot_word(slot, SLOT_MEMORY_BYTES)
    after = memory_bytes(worker, slot)
    if after == before:
        return
    price = _instance_price(slot, after)
    if slot_word(slot, SLOT_IMAGE_BYTES) == 0:
        price -= _instance_price(slot, before)
    put(worker, GAS_CHARGED, get(worker, GAS_CHARGED) + price)


@njit(cache=True)
def call_entry(worker: Any, slot: Any, entry: Any) -> Any:
    """Call an entry point; the reason, 0 for success, `RETRY` if it was not executed for want of room.

    `GAS_LIMIT` is the transaction's and `GAS_CHARGED` its intrinsic gas, the latter all gas used after it; caller,
    contract, value, input and `STORAGE_KEY` are set. What the contract wrote is in the access set in any case.
    """
    if slot_word(slot, SLOT_STATE) != FRESH and not renew(worker, slot):
        lacking(worker, NEEDS_INSTANCES, 1)
        return RETRY
    _open(worker, slot)
    _charge_instance(worker, slot)
    context = get(worker, CONTEXT)
    fuel = get(worker, GAS_LIMIT) - get(worker, GAS_CHARGED)
    if fuel < 0:
        put(worker, GAS_CHARGED, get(worker, GAS_LIMIT))
        return OUT_OF_GAS
    call_address(get(worker, SET_FUEL), context, fuel)
    result = get(worker, SCRATCH) + SCRATCH_CALL
    trap, left = result + 16, result + 24
    store64(trap, 0)
    place = EXPORT_GLOBALS + slot_word(slot, SLOT_GLOBALS) + entry
    function = slot_word(slot, SLOT_OBJECTS) + OBJECT_BYTES * place
    error = call_address(get(worker, CALL_UNCHECKED), context, function, result, 1, trap)
    call_address(get(worker, GET_FUEL), context, left)
    put(worker, GAS_CHARGED, get(worker, GAS_CHARGED) + fuel - load64(left))
    reason = 0
    trapped = load64(trap)
    if error:
        # A trap that a host function made comes back as an error.
        call_address(get(worker, ERROR_DELETE), error)
        reason = get(worker, REASON) or OTHER_TRAP
    elif trapped:
        reason = _trap_reason(worker, trapped)
    else:
        returned = load32(result)
        if returned >= 0x80000000:
            returned -= 0x100000000
            reason = CONTRACT_ERROR
        put(worker, RETURNED, returned)
    if slot_word(slot, SLOT_GROWS):
        _charge_growth(worker, slot)
    put_back(worker, slot, reason != 0)
    if reason == RETRY:
        return RETRY
    if reason == OUT_OF_GAS or get(worker, GAS_CHARGED) > get(worker, GAS_LIMIT):
        put(worker, GAS_CHARGED, get(worker, GAS_LIMIT))
        reason = OUT_OF_GAS
    return reason
