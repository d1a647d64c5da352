# SPDX-License-Identifier: GPL-3.0-or-later
"""The host functions of `storage_api` (`docs/execution-rules.md`, Host functions), called by guests as C functions.

Arguments are i32 and unsigned. Each function returns the trap that ends the call, or 0, and leaves its answer where its
first argument was. All trap with `BAD_POINTER` for an area beyond the guest's memory and with `OUT_OF_GAS` beyond the gas
limit, and those that look a key up with `LIMIT_EXCEEDED` if the transaction touches too many.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.kernels.cpu.lanes.addresses import copy, load32, load64
from supervm.kernels.cpu.state.access_set import (
    FLAGS,
    HELD,
    LENGTH,
    SEEN,
    VALUE,
    VERSIONS,
    WRITTEN,
    delete,
    find_key,
    get,
    present,
    put,
    read,
    room_for,
    touch,
)
from supervm.kernels.cpu.state.versions import copy_value
from supervm.vm.context import HELD_BYTES, HELD_CELL, KEY_RECORD, STORAGE_KEY
from supervm.vm.gas import GROWTH_BYTE
from supervm.vm.guest import (
    LIMIT_EXCEEDED,
    NO_HELD_VALUE,
    OUT_OF_GAS,
    PREFIX_BYTES,
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
from supervm.vm.limits import KEY_BYTES, VALUE_BYTES

GET_BASE, GET_BYTE = priced("storage_get")
HAS_BASE, HAS_BYTE = priced("storage_has")
READ_BASE, READ_BYTE = priced("storage_read_value")
SET_BASE, SET_BYTE = priced("storage_set")
DELETE_BASE, DELETE_BYTE = priced("storage_delete")


@njit(cache=True)
def key_number(worker: Any, pointer: Any, length: Any) -> Any:
    """The number of a storage key of the contract at work, or `access_set.FULL`."""
    key = get(worker, STORAGE_KEY)
    copy(key + PREFIX_BYTES, at(worker, pointer), length)
    return find_key(worker, get(worker, KEY_RECORD), key, PREFIX_BYTES + length)


@njit(cache=True)
def _growth(entry: Any, length: Any, size: Any) -> Any:
    """Bytes by which a value of `size` bytes lets the state grow, under a storage key of `length` bytes."""
    if not present(entry):
        return PREFIX_BYTES + length + size
    return max(size - load32(entry + LENGTH), 0)


@host_function
def storage_get(worker: Any, caller: Any, arguments: Any, count: Any) -> Any:
    """`(key_ptr, key_len) -> i64`: hold a value for `storage_read_value`; its bytes, 0 if there is none.

    −1 for a key above `limits.KEY_BYTES`: what was held stays. The transaction depends on the value.
    """
    pointer, length = argument(arguments, 0), argument(arguments, 1)
    refusal = opening(worker, GET_BASE + GET_BYTE * length, pointer, length)
    if refusal:
        return refusal
    if length > KEY_BYTES:
        return answer64(arguments, -1)
    number = key_number(worker, pointer, length)
    entry = read(worker, number) if number >= 0 else number
    if entry < 0:
        return trap_for(worker, entry)
    size = load32(entry + LENGTH) if present(entry) else 0
    if not charge(worker, GET_BYTE * size):
        return trap(worker, OUT_OF_GAS)
    put(worker, HELD_BYTES, size)
    put(worker, HELD, load64(entry + VALUE) if load32(entry + FLAGS) & WRITTEN else 0)
    put(worker, HELD_CELL, load32(entry + SEEN))
    return answer64(arguments, size)


@host_function
def storage_has(worker: Any, caller: Any, arguments: Any, count: Any) -> Any:
    """`(key_ptr, key_len) -> i32`: 1 if the key has a value, else 0; −1 for a key above `limits.KEY_BYTES`.

    The transaction depends on the value.
    """
    pointer, length = argument(arguments, 0), argument(arguments, 1)
    refusal = opening(worker, HAS_BASE + HAS_BYTE * length, pointer, length)
    if refusal:
        return refusal
    if length > KEY_BYTES:
        return answer32(arguments, -1)
    number = key_number(worker, pointer, length)
    entry = read(worker, number) if number >= 0 else number
    if entry < 0:
        return trap_for(worker, entry)
    return answer32(arguments, 1 if present(entry) else 0)


@host_function
def storage_read_value(worker: Any, caller: Any, arguments: Any, count: Any) -> Any:
    """`(ptr, len) -> i32`: copy min(len, its length) bytes of the value that is held; that number.

    Traps with `NO_HELD_VALUE` before any `storage_get` of the call.
    """
    pointer, length = argument(arguments, 0), argument(arguments, 1)
    held = get(worker, HELD_BYTES)
    size = min(length, max(held, 0))
    refusal = opening(worker, READ_BASE + READ_BYTE * size, pointer, length)
    if refusal:
        return refusal
    if held < 0:
        return trap(worker, NO_HELD_VALUE)
    written = get(worker, HELD)
    if written:
        copy(at(worker, pointer), written, size)
    else:
        copy_value(get(worker, VERSIONS), get(worker, HELD_CELL), at(worker, pointer), size)
    return answer32(arguments, size)


@host_function
def storage_set(worker: Any, caller: Any, arguments: Any, count: Any) -> Any:
    """`(key_ptr, key_len, value_ptr, value_len) -> i32`: give a key a value; 0.

    Bytes by which the state grows cost `GROWTH_BYTE` each besides, so that the transaction depends on the value before.
    Traps with `LIMIT_EXCEEDED` for a key above `limits.KEY_BYTES` or a value above `limits.VALUE_BYTES`.
    """
    pointer, length = argument(arguments, 0), argument(arguments, 1)
    value, size = argument(arguments, 2), argument(arguments, 3)
    refusal = opening(worker, SET_BASE + SET_BYTE * (length + size), pointer, length, value, size)
    if refusal:
        return refusal
    if length > KEY_BYTES or size > VALUE_BYTES:
        return trap(worker, LIMIT_EXCEEDED)
    number = key_number(worker, pointer, length)
    # What is there decides the price, so the transaction depends on it.
    entry = read(worker, number) if number >= 0 else number
    if entry < 0:
        return trap_for(worker, entry)
    if not charge(worker, GROWTH_BYTE * _growth(entry, length, size)):
        return trap(worker, OUT_OF_GAS)
    target = room_for(worker, entry, size)
    if target < 0:
        return trap_for(worker, target)
    copy(target, at(worker, value), size)
    return answer32(arguments, 0)


@host_function
def storage_delete(worker: Any, caller: Any, arguments: Any, count: Any) -> Any:
    """`(key_ptr, key_len) -> i32`: take a key's value away, if it has one; 0. Does not depend on what was there.

    Traps with `LIMIT_EXCEEDED` for a key above `limits.KEY_BYTES`.
    """
    pointer, length = argument(arguments, 0), argument(arguments, 1)
    refusal = opening(worker, DELETE_BASE + DELETE_BYTE * length, pointer, length)
    if refusal:
        return refusal
    if length > KEY_BYTES:
        return trap(worker, LIMIT_EXCEEDED)
    number = key_number(worker, pointer, length)
    entry = touch(worker, number) if number >= 0 else number
    if entry < 0:
        return trap_for(worker, entry)
    delete(entry)
    return answer32(arguments, 0)
