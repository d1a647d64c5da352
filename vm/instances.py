# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances of contracts, made and put back by compiled code through wasmtime's C API.

Each contract has a slot at each worker, with a store of its own, so that an instance can be thrown away. An instance is
used again only when everything is as instantiation left it: memory contents and size, and every mutable global that the
contract writes. Where that cannot be done (a slot without an image, a memory that has grown) the next call gets a new store
and instance from wasmtime's pool.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.kernels.cpu.lanes.addresses import call_address, copy, fill, load64, store64
from supervm.kernels.cpu.state.access_set import get
from supervm.vm.context import (
    CONTEXT,
    ENGINE,
    ERROR_DELETE,
    EXPORT_DEPTH,
    EXPORT_GET,
    EXPORT_GLOBALS,
    FRESH,
    GLOBAL_GET,
    GLOBAL_SET,
    INSTANTIATE,
    MEMORY_DATA,
    MEMORY_SIZE,
    OBJECT_BYTES,
    SCRATCH,
    SCRATCH_CALL,
    SET_FUEL,
    SLOT_CONTEXT,
    SLOT_EXPORTS,
    SLOT_GLOBALS,
    SLOT_GROWS,
    SLOT_IMAGE,
    SLOT_IMAGE_BYTES,
    SLOT_INITIAL,
    SLOT_MEMORY,
    SLOT_MEMORY_BYTES,
    SLOT_NAMES,
    SLOT_OBJECTS,
    SLOT_PRE,
    SLOT_STATE,
    SLOT_STORE,
    STORE_CONTEXT,
    STORE_DELETE,
    STORE_NEW,
    TRAP_DELETE,
    USED_UP,
    set_slot_word,
    slot_word,
)

FUEL_TO_INSTANTIATE = 1 << 62

EXTERN_OBJECT = 8
"""Where in a wasmtime_extern_t the object stands; a test compares it with the bindings."""


@njit(cache=True)
def discard(worker: Any, slot: Any) -> None:
    """Give an instance and its store back."""
    store = slot_word(slot, SLOT_STORE)
    if store:
        call_address(get(worker, STORE_DELETE), store)
    set_slot_word(slot, SLOT_STORE, 0)
    set_slot_word(slot, SLOT_STATE, USED_UP)


@njit(cache=True)
def renew(worker: Any, slot: Any) -> bool:
    """Make a fresh instance; False where the pool has none left."""
    discard(worker, slot)
    store = call_address(get(worker, STORE_NEW), get(worker, ENGINE), 0, 0)
    context = call_address(get(worker, STORE_CONTEXT), store)
    set_slot_word(slot, SLOT_STORE, store)
    set_slot_word(slot, SLOT_CONTEXT, context)
    instance = get(worker, SCRATCH) + SCRATCH_CALL
    trap, extern = instance + 16, instance + 32
    store64(trap, 0)
    # Initialising memory consumes fuel; a call gets its own afterwards.
    call_address(get(worker, SET_FUEL), context, FUEL_TO_INSTANTIATE)
    error = call_address(get(worker, INSTANTIATE), slot_word(slot, SLOT_PRE), context, instance, trap)
    if error or load64(trap):
        if error:
            call_address(get(worker, ERROR_DELETE), error)
        if load64(trap):
            call_address(get(worker, TRAP_DELETE), load64(trap))
        discard(worker, slot)
        return False
    names, objects = slot_word(slot, SLOT_NAMES), slot_word(slot, SLOT_OBJECTS)
    for export in range(slot_word(slot, SLOT_EXPORTS)):
        name, length = load64(names + 16 * export), load64(names + 16 * export + 8)
        fill(extern, 0, EXTERN_OBJECT + OBJECT_BYTES)
        call_address(get(worker, EXPORT_GET), context, instance, name, length, extern)
        copy(objects + OBJECT_BYTES * export, extern + EXTERN_OBJECT, OBJECT_BYTES)
    memory = call_address(get(worker, MEMORY_DATA), context, objects)
    size = call_address(get(worker, MEMORY_SIZE), context, objects)
    set_slot_word(slot, SLOT_MEMORY, memory)
    set_slot_word(slot, SLOT_MEMORY_BYTES, size)
    copy(slot_word(slot, SLOT_IMAGE), memory, slot_word(slot, SLOT_IMAGE_BYTES))
    initial = slot_word(slot, SLOT_INITIAL)
    for index in range(slot_word(slot, SLOT_GLOBALS)):
        variable = objects + OBJECT_BYTES * (EXPORT_GLOBALS + index)
        call_address(get(worker, GLOBAL_GET), context, variable, initial + OBJECT_BYTES * index)
    set_slot_word(slot, SLOT_STATE, FRESH)
    return True


@njit(cache=True)
def memory_bytes(worker: Any, slot: Any) -> Any:
    """The size of an instance's memory as it is."""
    return call_address(
        get(worker, MEMORY_SIZE), slot_word(slot, SLOT_CONTEXT), slot_word(slot, SLOT_OBJECTS)
    )


@njit(cache=True)
def put_back(worker: Any, slot: Any, trapped: Any) -> None:
    """Make the instance what instantiation left, or mark it as used up."""
    size = slot_word(slot, SLOT_IMAGE_BYTES)
    context = get(worker, CONTEXT)
    objects = slot_word(slot, SLOT_OBJECTS)
    if size == 0 or (slot_word(slot, SLOT_GROWS) and memory_bytes(worker, slot) != size):
        set_slot_word(slot, SLOT_STATE, USED_UP)
        return
    copy(slot_word(slot, SLOT_MEMORY), slot_word(slot, SLOT_IMAGE), size)
    initial = slot_word(slot, SLOT_INITIAL)
    for index in range(slot_word(slot, SLOT_GLOBALS)):
        variable = objects + OBJECT_BYTES * (EXPORT_GLOBALS + index)
        call_address(get(worker, GLOBAL_SET), context, variable, initial + OBJECT_BYTES * index)
    if trapped:
        # A call that returns has taken its weight off the depth again.
        zero = get(worker, SCRATCH) + SCRATCH_CALL
        fill(zero, 0, OBJECT_BYTES)
        call_address(get(worker, GLOBAL_SET), context, objects + OBJECT_BYTES * EXPORT_DEPTH, zero)
    set_slot_word(slot, SLOT_STATE, FRESH)


@njit(nogil=True, cache=True)
def discard_all(worker: Any, slots: Any, count: Any, size: Any) -> None:
    """Give back the instances of every contract: `count` slots of `size` bytes."""
    for index in range(count):
        discard(worker, slots + size * index)
