# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of a worker that executes contracts: those of its access set, and behind them these.

A worker is an int64 array; compiled code, the host functions among it, gets its address. What stands here is set before
a call (by `supervm.vm.call` and the engine) or once, when the worker is made (by `supervm.vm.worker`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from supervm.kernels.cpu.lanes.addresses import call_address, load64, store64
from supervm.kernels.cpu.state.access_set import ACCESS_WORDS, get, put

(
    # Addresses of functions of wasmtime's C API, and of the engine.
    CALL_UNCHECKED,  # wasmtime_func_call_unchecked
    SET_FUEL,  # wasmtime_context_set_fuel
    GET_FUEL,  # wasmtime_context_get_fuel
    TRAP_NEW,  # wasmtime_trap_new
    TRAP_CODE,  # wasmtime_trap_code
    TRAP_DELETE,  # wasm_trap_delete
    ERROR_DELETE,  # wasmtime_error_delete
    MEMORY_DATA,  # wasmtime_memory_data
    MEMORY_SIZE,  # wasmtime_memory_data_size
    GLOBAL_GET,  # wasmtime_global_get
    GLOBAL_SET,  # wasmtime_global_set
    STORE_NEW,  # wasmtime_store_new
    STORE_CONTEXT,  # wasmtime_store_context
    STORE_DELETE,  # wasmtime_store_delete
    INSTANTIATE,  # wasmtime_instance_pre_instantiate
    EXPORT_GET,  # wasmtime_instance_export_get
    STORE_LIMITER,  # wasmtime_store_limiter
    ENGINE,  # wasm_engine_t
    # The guest at work.
    SLOTS,  # address of the slots of all contracts, `SLOT_WORDS` each
    SLOT,  # address of the guest's slot
    CONTEXT,  # its wasmtime_context_t
    MEMORY,  # address of its memory
    MEMORY_BYTES,  # bytes there
    GROWS,  # 1: the memory may grow
    SCRATCH,  # address of `SCRATCH_BYTES` of scratch
    # The block and the transaction.
    BLOCK_NUMBER,  # the block's number
    TIMESTAMP,  # the block's timestamp
    CALLER,  # address of the caller's address, 20 bytes
    SELF,  # address of the contract's address, 20 bytes
    TRANSFERRED,  # address of the value, 32 bytes, big-endian
    INPUT,  # address of the input
    INPUT_BYTES,  # bytes there
    GAS_LIMIT,  # the transaction's gas limit
    GAS_CHARGED,  # gas charged so far
    # What the call leaves behind.
    REASON,  # why the call failed, a `Reason`; 0 so far
    RETURNED,  # what the entry point returned, signed
    HELD_CELL,  # first cell of the held value, unless its address is in `access_set.HELD`
    HELD_BYTES,  # bytes of the held value, −1 before the first
    OUTPUT,  # address of the output
    OUTPUT_BYTES,  # bytes there
    EVENTS,  # address of the events of all calls so far, each behind its length (uint32), and of their outputs
    EVENTS_CAPACITY,  # bytes that fit
    EVENTS_USED,  # bytes that are taken
    EVENTS_FIRST,  # where this call's events begin
    EVENT_COUNT,  # how many this call has
    # Keys.
    ACCOUNT_KEY,  # address of a buffer for `00` ‖ address
    STORAGE_KEY,  # address of a buffer for `01` ‖ contract ‖ key
    KEY_RECORD,  # address of a record to look keys up with
    SELF_NUMBER,  # key number of the contract's own account, −1 before it is known
    FAST_MARKS,  # address of marks by key number (uint32), the commit in which the fast path wrote it; 0: none
    TOUCHED_FAST,  # 1: the transaction touched such an account in a way that nobody could know beforehand
    # What the engine answers for `crypto_api`.
    CHECK_ED25519,  # address of a C function that checks one signature
    CHECK_SECP256K1,  # the same
    RECOVER_SECP256K1,  # address of a C function that recovers one key
    CALL_PRECOMPILE,  # address of a C function that calls a precompiled contract
    # The plug-in beside the contracts (`supervm.engine.execution.plug_in`).
    PLUG_IN,  # address of its C function, 0 if there is none
    PLUG_IN_STATE,  # address of what it keeps for this worker
) = range(ACCESS_WORDS, ACCESS_WORDS + 57)
"""Words of a worker behind those of its access set, int64. The engine's C functions are in
`supervm.engine.execution.host_crypto`."""

WORKER_WORDS = PLUG_IN_STATE + 1

(
    SLOT_PRE,  # what instances are made from, a wasmtime_instance_pre_t
    SLOT_NAMES,  # address of the exports' names: address and length of each (int64)
    SLOT_EXPORTS,  # how many exports there are
    SLOT_OBJECTS,  # address of the exports' objects, `OBJECT_BYTES` each
    SLOT_GLOBALS,  # how many globals are put back
    SLOT_INITIAL,  # address of their first values, `OBJECT_BYTES` each
    SLOT_STORE,  # the instance's wasmtime_store_t, 0 if there is none
    SLOT_CONTEXT,  # its wasmtime_context_t
    SLOT_MEMORY,  # address of its memory
    SLOT_MEMORY_BYTES,  # bytes there when it was made
    SLOT_IMAGE,  # address of the image that the memory is put back from
    SLOT_IMAGE_BYTES,  # bytes there, 0 if every call gets a fresh instance
    SLOT_GROWS,  # 1: the memory may grow
    SLOT_RESTORE_GAS,  # what every call pays for its globals
    SLOT_INSTANCE_GAS,  # what a new instance costs besides its memory
    SLOT_STATE,  # `USED_UP` or `FRESH`
) = range(16)
"""Words of a slot, int64; a worker has one for each contract."""

SLOT_WORDS = SLOT_STATE + 1

EXPORT_MEMORY, EXPORT_DEPTH, EXPORT_GLOBALS = 0, 1, 2
"""Order of a slot's exports: memory, call depth, globals that are put back, entry points."""

OBJECT_BYTES = 32
"""Bytes kept of an export or of a global's value: what the C API's structures need at most."""

USED_UP, FRESH = 0, 1
"""States of a slot: without an instance that can be used; with one that is as instantiation left it."""

SCRATCH_BYTES = 512
(
    SCRATCH_HOST,  # of host functions
    SCRATCH_CALL,  # of the call
    SCRATCH_ENGINE,  # of whoever calls
) = (0, 128, 256)
"""Parts of the scratch, in bytes from its beginning."""

RETRY = 255
"""Reason of a call that could not be executed for want of room; never seen outside."""

NEEDS_INSTANCES = 8
"""What is full (`access_set.NEEDS`): the pool that instances come from."""

NEEDS_ANSWER = 9
"""What is missing (`access_set.NEEDS`): the answer of a C function of the engine, which failed on this machine."""

PLUG_IN_NEEDS = 32
"""What is full or missing from this number on is a plug-in's."""

NO_ANSWER = 1 << 32
"""What such a C function returns then: no answer of a host function is as large."""


@njit(cache=True, inline="always")
def slot_word(slot: Any, index: Any) -> Any:
    """A word of a slot."""
    return load64(slot + 8 * index)


@njit(cache=True, inline="always")
def set_slot_word(slot: Any, index: Any, value: Any) -> None:
    """Set a word of a slot."""
    store64(slot + 8 * index, value)


@njit(cache=True)
def refresh_memory(worker: Any) -> None:
    """Ask again where the guest's memory lies, if it can have grown."""
    if get(worker, GROWS):
        store, memory = get(worker, CONTEXT), slot_word(get(worker, SLOT), SLOT_OBJECTS)
        put(worker, MEMORY, call_address(get(worker, MEMORY_DATA), store, memory))
        put(worker, MEMORY_BYTES, call_address(get(worker, MEMORY_SIZE), store, memory))


def address(array: np.ndarray[Any, Any]) -> int:
    """Where an array lies; it must stay alive."""
    return int(array.ctypes.data)
