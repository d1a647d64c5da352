# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames: how one is opened for a message or a creation, how it ends, and what it leaves to the frame outside it."""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.kernels.cpu.lanes.addresses import call_address, copy, load8, load64
from supervm.vm.evm.code import analysed_bytes, words_of
from supervm.vm.evm.code_store import R_BYTES, R_CODE, R_SIZE, R_WORDS, add_code, analyse_here, code_record
from supervm.vm.evm.delegation import delegate, is_delegation
from supervm.vm.evm.forks import (
    DEPOSIT_OR_FAIL,
    HAS_DELEGATION,
    MAX_CODE_BYTES,
    REFUSES_EF_CODE,
)
from supervm.vm.evm.frame import (
    F_CODE,
    F_CODE_BYTES,
    F_GAS,
    F_INFO,
    F_INITCODE,
    F_KIND,
    F_MACHINE,
    F_MARK,
    F_MEMORY,
    F_MEMORY_BYTES,
    F_OUTPUT,
    F_OUTPUT_BYTES,
    F_PLACE,
    F_RAW_CODE,
    F_RECORD,
    F_SELF,
    F_STACK,
    F_TOP,
    KIND_CREATE,
    drop,
    of,
    set_of,
)
from supervm.vm.evm.machine import (
    CALL_PRECOMPILE,
    CONTINUE,
    DEPTH,
    FRAME,
    FRAME_BYTES,
    FRAMES,
    GAS_LEFT,
    HALT,
    HALT_REASON,
    INITCODE,
    INITCODE_CAPACITY,
    INITCODE_USED,
    KECCAK256,
    MEMORY,
    NEEDS_INITCODE,
    NEEDS_PRECOMPILE,
    NEEDS_RETURN_DATA,
    RETRY,
    RETURN_BYTES,
    RETURN_CAPACITY,
    RETURN_DATA,
    SCRATCH,
    STACK,
    SUCCESS,
    get,
    put,
    retry,
    rule,
)
from supervm.vm.evm.outcomes import HaltReason
from supervm.vm.evm.state.accounts import account, set_code
from supervm.vm.evm.state.journal import revert_to
from supervm.vm.evm.words import copy_value, from_bytes, set_small

OUT_OF_GAS, CODE_SIZE = int(HaltReason.OUT_OF_GAS), int(HaltReason.CODE_SIZE)
CODE_PREFIX, PRECOMPILE = int(HaltReason.CODE_PREFIX), int(HaltReason.PRECOMPILE)

DEPOSIT_BYTE_GAS = 200
"""Each byte of a new contract's code (Yellow Paper, appendix G)."""

REFUSED_PREFIX = 0xEF
"""No new code begins so (EIP-3541)."""

_FAILED, _NO_ANSWER = -1, -2
"""Answers of `CALL_PRECOMPILE`."""

_ADDRESS_AT, _DIGEST_AT, _HASH_AT = 512, 544, 576
"""Places in the scratch."""


@njit(cache=True)
def run_precompile(machine: Any, number: Any, data: Any, size: Any, gas: Any) -> Any:
    """Call a precompiled contract; the status. `GAS_LEFT` and the return data are what it leaves."""
    put(machine, RETURN_BYTES, 0)
    used = call_address(
        get(machine, CALL_PRECOMPILE), machine, number, data, size, gas, get(machine, RETURN_DATA)
    )
    if used == _NO_ANSWER:
        wanted = get(machine, RETURN_BYTES)
        if wanted > get(machine, RETURN_CAPACITY):
            return retry(machine, NEEDS_RETURN_DATA, wanted)
        return retry(machine, NEEDS_PRECOMPILE, number)
    if used == _FAILED:
        put(machine, HALT_REASON, PRECOMPILE)
        put(machine, RETURN_BYTES, 0)
        put(machine, GAS_LEFT, 0)
        return HALT
    put(machine, GAS_LEFT, gas - used)
    return SUCCESS


@njit(cache=True)
def delegate_record(machine: Any, number: Any) -> Any:
    """The record of the account that a code of the store delegates to (EIP-7702), 0 if it is no delegation; `RETRY`."""
    if number == 0 or not rule(machine, HAS_DELEGATION) or not is_delegation(machine, number):
        return 0
    address = get(machine, SCRATCH) + _ADDRESS_AT
    delegate(machine, number, address)
    return account(machine, address)


@njit(cache=True)
def next_frame(machine: Any, outermost: Any) -> Any:
    """The frame that is opened next, with its stack and memory behind those of the frame at work."""
    if outermost:
        frame, _depth = get(machine, FRAMES), 0
        set_of(frame, F_STACK, get(machine, STACK))
        set_of(frame, F_MEMORY, get(machine, MEMORY))
        put(machine, INITCODE_USED, 0)
    else:
        outer, _depth = get(machine, FRAME), get(machine, DEPTH) + 1
        frame = outer + FRAME_BYTES
        set_of(frame, F_STACK, of(outer, F_TOP))
        set_of(frame, F_MEMORY, of(outer, F_MEMORY) + of(outer, F_MEMORY_BYTES))
    set_of(frame, F_MACHINE, machine)
    set_of(frame, F_TOP, of(frame, F_STACK))
    set_of(frame, F_MEMORY_BYTES, 0)
    set_of(frame, F_INITCODE, get(machine, INITCODE_USED))
    return frame


@njit(cache=True)
def enter_frame(machine: Any, frame: Any) -> None:
    """The frame is the one at work from now on."""
    put(machine, DEPTH, (frame - get(machine, FRAMES)) // FRAME_BYTES)
    put(machine, FRAME, frame)
    put(machine, RETURN_BYTES, 0)
    put(machine, HALT_REASON, 0)


@njit(cache=True)
def set_code_of_frame(frame: Any, raw: Any, size: Any, code: Any, words: Any) -> None:
    """Let a frame begin to execute a code."""
    set_of(frame, F_RAW_CODE, raw)
    set_of(frame, F_CODE_BYTES, size)
    set_of(frame, F_CODE, code)
    set_of(frame, F_INFO, words - 8 * code)
    set_of(frame, F_PLACE, code)


@njit(cache=True)
def load_code(machine: Any, frame: Any, number: Any) -> None:
    """Let a frame execute a code of the store."""
    record = code_record(machine, number)
    set_code_of_frame(
        frame,
        load64(record + 8 * R_BYTES),
        load64(record + 8 * R_SIZE),
        load64(record + 8 * R_CODE),
        load64(record + 8 * R_WORDS),
    )


@njit(cache=True)
def load_initcode(machine: Any, frame: Any, data: Any, size: Any) -> Any:
    """Let a frame execute initcode, which is analysed here; 0 or `RETRY`."""
    used = get(machine, INITCODE_USED)
    wanted = analysed_bytes(size)
    if used + wanted > get(machine, INITCODE_CAPACITY):
        return retry(machine, NEEDS_INITCODE, used + wanted)
    code = get(machine, INITCODE) + used
    analyse_here(machine, data, size, code)
    put(machine, INITCODE_USED, used + wanted)
    set_code_of_frame(frame, data, size, code, words_of(code, size))
    return 0


@njit(cache=True)
def _deposit(machine: Any, frame: Any) -> Any:
    """Store what the initcode returned; `SUCCESS`, `HALT` or `RETRY`."""
    size, code = get(machine, RETURN_BYTES), get(machine, RETURN_DATA)
    if size == 0:
        return SUCCESS
    if size > rule(machine, MAX_CODE_BYTES):
        put(machine, HALT_REASON, CODE_SIZE)
        return HALT
    if load8(code) == REFUSED_PREFIX and rule(machine, REFUSES_EF_CODE):
        put(machine, HALT_REASON, CODE_PREFIX)
        return HALT
    left = of(frame, F_GAS) - DEPOSIT_BYTE_GAS * size
    if left < 0:
        if not rule(machine, DEPOSIT_OR_FAIL):
            return SUCCESS
        put(machine, HALT_REASON, OUT_OF_GAS)
        return HALT
    set_of(frame, F_GAS, left)
    scratch = get(machine, SCRATCH)
    call_address(get(machine, KECCAK256), code, size, scratch + _DIGEST_AT)
    from_bytes(scratch + _HASH_AT, scratch + _DIGEST_AT)
    number = add_code(machine, code, size, scratch + _HASH_AT)
    if number < 0:
        return RETRY
    if set_code(machine, of(frame, F_RECORD), number, scratch + _HASH_AT) < 0:
        return RETRY
    return SUCCESS


@njit(cache=True)
def leave_frame(machine: Any, status: Any) -> Any:
    """End the frame at work; `CONTINUE` with the frame outside it, or the status where it was the outermost."""
    frame = get(machine, FRAME)
    creates = of(frame, F_KIND) == KIND_CREATE
    if creates and status == SUCCESS:
        status = _deposit(machine, frame)
        if status == RETRY:
            return RETRY
        if status == SUCCESS:
            put(machine, RETURN_BYTES, 0)
    if status != SUCCESS:
        revert_to(machine, of(frame, F_MARK))
    if status == HALT:
        put(machine, RETURN_BYTES, 0)
    left = 0 if status == HALT else of(frame, F_GAS)
    put(machine, INITCODE_USED, of(frame, F_INITCODE))
    if get(machine, DEPTH) == 0:
        put(machine, GAS_LEFT, left)
        if status != HALT:
            put(machine, HALT_REASON, 0)
        return status
    outer = frame - FRAME_BYTES
    put(machine, FRAME, outer)
    put(machine, DEPTH, get(machine, DEPTH) - 1)
    set_of(outer, F_GAS, of(outer, F_GAS) + left)
    top = drop(outer, -1)
    if not creates:
        set_small(top, 1 if status == SUCCESS else 0)
        copy_output(machine, of(frame, F_OUTPUT), of(frame, F_OUTPUT_BYTES))
    elif status == SUCCESS:
        copy_value(top, frame + 8 * F_SELF)
    else:
        set_small(top, 0)
    return CONTINUE


@njit(cache=True)
def copy_output(machine: Any, target: Any, size: Any) -> None:
    """Copy return data into the memory of who called."""
    copy(target, get(machine, RETURN_DATA), min(size, get(machine, RETURN_BYTES)))
