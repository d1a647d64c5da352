# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a call frame: its words, its gas, its stack. Records lie one behind the other, the outermost first."""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.kernels.cpu.lanes.addresses import load64, store64
from supervm.vm.evm.machine import FAILED, FRAME_BYTES, HALT_REASON, VALUE_BYTES, put

(
    F_MACHINE,  # address of the machine
    # The code.
    F_INFO,  # address of the blocks' words less eight times that of the code (`code`)
    F_CODE,  # address of the code as it is executed
    F_CODE_BYTES,  # bytes of it
    F_RAW_CODE,  # address of the code as it is
    # Places.
    F_STACK,  # address one value below the first one
    F_MEMORY,  # address of the memory
    F_MEMORY_BYTES,  # bytes of it, a multiple of 32
    F_INPUT,  # address of the input
    F_INPUT_BYTES,  # bytes there
    # The state of execution while another frame is at work, or a function.
    F_PLACE,  # address of the opcode
    F_TOP,  # address of the top of the stack
    F_GAS,  # gas left
    # The message.
    F_KIND,  # `KIND_CALL`, `KIND_CREATE`
    F_STATIC,  # 1: nothing may be changed
    F_MARK,  # checkpoint of the state
    F_OUTPUT,  # address in the caller's memory where the output goes
    F_OUTPUT_BYTES,  # bytes there
    F_RECORD,  # record of the account at work
    F_INITCODE,  # `machine.INITCODE_USED` before
) = range(20)
F_SELF, F_CALLER, F_VALUE = 20, 24, 28
"""Words of a frame, `FRAME_BYTES` in all; the last three are values: the account at work, who called, what was sent."""

assert 8 * F_VALUE + VALUE_BYTES <= FRAME_BYTES


KIND_CALL, KIND_CREATE = 0, 1


@njit(cache=True, inline="always")
def of(frame: Any, number: Any) -> Any:
    """A word of a frame."""
    return load64(frame + 8 * number)


@njit(cache=True, inline="always")
def set_of(frame: Any, number: Any, new: Any) -> None:
    """Set a word of a frame."""
    store64(frame + 8 * number, new)


@njit(cache=True)
def fail(machine: Any, reason: Any) -> Any:
    """The frame halts; `FAILED`."""
    put(machine, HALT_REASON, reason)
    return FAILED


@njit(cache=True)
def charge(frame: Any, amount: Any) -> Any:
    """Take gas; whether there was enough."""
    left = of(frame, F_GAS) - amount
    set_of(frame, F_GAS, left)
    return left >= 0


@njit(cache=True, inline="always")
def operand(frame: Any, depth: Any) -> Any:
    """The address of a value of the stack, the topmost one at depth 0."""
    return of(frame, F_TOP) - VALUE_BYTES * depth


@njit(cache=True, inline="always")
def drop(frame: Any, count: Any) -> Any:
    """Take values from the stack; the address of the new topmost one."""
    top = of(frame, F_TOP) - VALUE_BYTES * count
    set_of(frame, F_TOP, top)
    return top
