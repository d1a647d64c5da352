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
    # Functions of wasmtime's C API, and the engine.
    CALL_UNCHECKED,
    SET_FUEL,
    GET_FUEL,
    TRAP_NEW,
    TRAP_CODE,
    TRAP_DELETE,
    ERROR_DELETE,
    MEMORY_DATA,
    MEMORY_SIZE,
    GLOBAL_GET,
    GLOBAL_SET,
    STORE_NEW,
    STORE_CONTEXT,
    STORE_DELETE,
    INSTANTIATE,
    EXPORT_GET,
    STORE_LIMITER,
    ENGINE,
    # The guest at work.
    SLOTS,
    SLOT,
    CONTEXT,
    MEMORY,
    MEMORY_BYTES,
    GROWS,
    SCRATCH,
    # The block and the transaction.
    BLOCK_NUMBER,
    TIMESTAMP,
    CALLER,
    SELF,
    TRANSFERRED,
    INPUT,
    INPUT_BYTES,
    GAS_LIMIT,
    GAS_CHARGED,
    # What the call leaves behind.
    REASON,
    RETURNED,
    HELD_CELL,
    HELD_BYTES,
    OUTPUT,
    OUTPUT_BYTES,
    EVENTS,
    EVENTS_CAPACITY,
    EVENTS_USED,
    EVENTS_FIRST,
    EVENT_COUNT,
    # Keys.
    ACCOUNT_KEY,
    STORAGE_KEY,
    KEY_RECORD,
    SELF_NUMBER,
    FAST_MARKS,
    TOUCHED_FAST,
    # What the engine answers for `crypto_api`.
    CHECK_ED25519,
    CHECK_SECP256K1,
    RECOVER_SECP256K1,
) = range(ACCESS_WORDS, ACCESS_WORDS + 54)
"""Addresses of C functions and of the engine. The slots of all contracts (see below); of the guest at work its slot, its
wasmtime context, its memory and the bytes there, whether they may grow; `SCRATCH_BYTES` of scratch. Block number and
timestamp; addresses of caller, contract, value and input, the input's bytes; the limit and what was charged so far,
both gas. The reason why the call failed, 0 so far; what it returned; the held value: its cell, or 0 with its address in
`access.HELD`, and its bytes, −1 before the first; the output and its bytes; events: an area, its bytes, bytes used
by all and where this call's begin, their count. Buffers of keys: `00` ‖ address and `01` ‖ contract ‖ key, and a
record to look them up with; the key number of the contract's own account, −1 before it is known; where the marks of accounts
stand that the fast path wrote (uint32 by key number: the commit), 0 if there are none; whether the transaction touched
such an account in a way that nobody could know beforehand. Addresses of C functions that check one signature
(`supervm.engine.execution.host_crypto`)."""

WORKER_WORDS = RECOVER_SECP256K1 + 1

(
    SLOT_PRE,
    SLOT_NAMES,
    SLOT_EXPORTS,
    SLOT_OBJECTS,
    SLOT_GLOBALS,
    SLOT_INITIAL,
    SLOT_STORE,
    SLOT_CONTEXT,
    SLOT_MEMORY,
    SLOT_MEMORY_BYTES,
    SLOT_IMAGE,
    SLOT_IMAGE_BYTES,
    SLOT_GROWS,
    SLOT_RESTORE_GAS,
    SLOT_INSTANCE_GAS,
    SLOT_STATE,
) = range(16)
"""Words of a slot, one for each contract: what instances are made from (wasmtime_instance_pre_t); addresses and lengths of
the exports' names, their number, their objects, `OBJECT_BYTES` each; how many globals are put back and their first values,
`OBJECT_BYTES` each; store and context of the instance; its memory and the bytes there; the image that the memory is put
back from, and its bytes, 0 if every call gets a fresh instance; whether the memory may grow; what every call
pays for its globals, and what a new instance costs besides its memory; the state."""

SLOT_WORDS = SLOT_STATE + 1

EXPORT_MEMORY, EXPORT_DEPTH, EXPORT_GLOBALS = 0, 1, 2
"""Order of a slot's exports: memory, call depth, globals that are put back, entry points."""

OBJECT_BYTES = 32
"""Bytes kept of an export or of a global's value: what the C API's structures need at most."""

USED_UP, FRESH = 0, 1
"""States of a slot: without an instance that can be used; with one that is as instantiation left it."""

SCRATCH_BYTES = 512
(
    SCRATCH_HOST,
    SCRATCH_CALL,
    SCRATCH_ENGINE,
) = (0, 128, 256)
"""Parts of the scratch: of host functions, of the call, of whoever calls."""

RETRY = 255
"""Reason of a call that could not be executed for want of room; never seen outside."""

NEEDS_INSTANCES = 8
"""What is full (`access.NEEDS`): the pool that instances come from."""


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
