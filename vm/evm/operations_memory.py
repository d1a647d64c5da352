# SPDX-License-Identifier: GPL-3.0-or-later
"""Operations on memory, input and code: copies, Keccak-256, and what handlers leave to them."""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.kernels.cpu.lanes.addresses import call_address, copy, fill, load8, load64, move
from supervm.vm.evm import arithmetic
from supervm.vm.evm.emitter import OP_BAD_JUMP, OP_GROW
from supervm.vm.evm.forks import EXP_BYTE_GAS
from supervm.vm.evm.frame import (
    F_CODE_BYTES,
    F_GAS,
    F_INFO,
    F_INPUT,
    F_INPUT_BYTES,
    F_MEMORY,
    F_PLACE,
    F_RAW_CODE,
    F_STACK,
    F_TOP,
    charge,
    drop,
    fail,
    of,
    operand,
)
from supervm.vm.evm.machine import (
    CONTINUE,
    FRAME,
    KECCAK256,
    RETURN_BYTES,
    RETURN_DATA,
    SCRATCH,
    VALUE_BYTES,
    get,
    rule,
)
from supervm.vm.evm.memory import (
    MOST_BYTES,
    NOWHERE,
    area,
    expand,
    words_for,
)
from supervm.vm.evm.opcodes import NUMBERS
from supervm.vm.evm.outcomes import HaltReason
from supervm.vm.evm.words import from_bytes, small

OUT_OF_GAS = int(HaltReason.OUT_OF_GAS)
STACK_UNDERFLOW, STACK_OVERFLOW = int(HaltReason.STACK_UNDERFLOW), int(HaltReason.STACK_OVERFLOW)
BAD_JUMP, INVALID_OPCODE = int(HaltReason.BAD_JUMP), int(HaltReason.INVALID_OPCODE)
RETURN_DATA_BOUNDS = int(HaltReason.RETURN_DATA_BOUNDS)

COPY_WORD_GAS, KECCAK_WORD_GAS = 3, 6
"""Each word that is copied, or hashed (Yellow Paper, appendix G)."""

MSTORE8, KECCAK, CALLDATALOAD = NUMBERS["MSTORE8"], NUMBERS["KECCAK256"], NUMBERS["CALLDATALOAD"]
CALLDATACOPY, CODECOPY, RETURNDATACOPY = (
    NUMBERS[name] for name in ("CALLDATACOPY", "CODECOPY", "RETURNDATACOPY")
)
DIV, SDIV, MOD, SMOD, ADDMOD, MULMOD = (
    NUMBERS[name] for name in ("DIV", "SDIV", "MOD", "SMOD", "ADDMOD", "MULMOD")
)
INVALID = NUMBERS["INVALID"]


@njit(cache=True)
def refuse(machine: Any, opcode: Any) -> Any:
    """Say why a block cannot begin: INVALID, a bad jump, or a word of `code` that gas or stack do not meet."""
    if opcode == INVALID:
        return fail(machine, INVALID_OPCODE)
    if opcode == OP_BAD_JUMP:
        return fail(machine, BAD_JUMP)
    frame = get(machine, FRAME)
    block = load64(of(frame, F_INFO) + 8 * of(frame, F_PLACE))
    height = of(frame, F_TOP) - of(frame, F_STACK)
    if height < block & 0xFFFF:
        return fail(machine, STACK_UNDERFLOW)
    if of(frame, F_GAS) < (block >> 32) & 0x7FFFFFFF:
        return fail(machine, OUT_OF_GAS)
    return fail(machine, STACK_OVERFLOW)


@njit(cache=True)
def copy_padded(target: Any, source: Any, size: Any, offset: Any, count: Any) -> None:
    """Copy `count` bytes from `offset` on of an area of `size` bytes; beyond its end they are zeros.

    Args:
        offset: not negative, or −1 for a place that is certainly beyond.
    """
    there = 0 if offset < 0 else min(max(size - offset, 0), count)
    copy(target, source + max(offset, 0), there)
    fill(target + there, 0, count - there)


@njit(cache=True)
def copy_to_memory(frame: Any, depth: Any, source: Any, size: Any) -> Any:
    """Copy from an area as the operands from `depth` on say (to, from, count): expands, pays, copies, and drops them all."""
    to, start, count = operand(frame, depth), operand(frame, depth + 1), operand(frame, depth + 2)
    end = area(to, count)
    if end == NOWHERE or not charge(frame, COPY_WORD_GAS * words_for(small(count))):
        return fail(of(frame, 0), OUT_OF_GAS)
    status = expand(frame, end)
    if status == CONTINUE:
        if end > 0:
            copy_padded(of(frame, F_MEMORY) + small(to), source, size, small(start), small(count))
        drop(frame, depth + 3)
    return status


@njit(cache=True)
def _grow(frame: Any) -> Any:
    """Let memory have room for the access of the opcode at work."""
    size = 1 if load8(of(frame, F_PLACE)) == MSTORE8 else VALUE_BYTES
    start = small(of(frame, F_TOP))
    return expand(frame, NOWHERE if start < 0 or start > MOST_BYTES else start + size)


@njit(cache=True)
def _keccak(machine: Any, frame: Any) -> Any:
    offset, size = operand(frame, 0), operand(frame, 1)
    end = area(offset, size)
    if end == NOWHERE or not charge(frame, KECCAK_WORD_GAS * words_for(small(size))):
        return fail(machine, OUT_OF_GAS)
    status = expand(frame, end)
    if status == CONTINUE:
        start = small(offset) if end > 0 else 0
        digest = get(machine, SCRATCH)
        call_address(get(machine, KECCAK256), of(frame, F_MEMORY) + start, small(size), digest)
        from_bytes(drop(frame, 1), digest)
    return status


@njit(cache=True)
def _returned(machine: Any, frame: Any) -> Any:
    """RETURNDATACOPY: to read beyond the data fails, even where nothing is read (EIP-211)."""
    start, count = small(operand(frame, 1)), small(operand(frame, 2))
    size = get(machine, RETURN_BYTES)
    if start < 0 or count < 0 or start > size or count > size - start:
        return fail(machine, RETURN_DATA_BOUNDS)
    return copy_to_memory(frame, 0, get(machine, RETURN_DATA), size)


@njit(cache=True)
def _move(machine: Any, frame: Any) -> Any:
    """MCOPY (EIP-5656): the areas may overlap."""
    to, start, count = operand(frame, 0), operand(frame, 1), operand(frame, 2)
    target_end, source_end = area(to, count), area(start, count)
    if target_end == NOWHERE or source_end == NOWHERE:
        return fail(machine, OUT_OF_GAS)
    if not charge(frame, COPY_WORD_GAS * words_for(small(count))):
        return fail(machine, OUT_OF_GAS)
    status = expand(frame, max(target_end, source_end))
    if status == CONTINUE:
        if target_end > 0:
            move(of(frame, F_MEMORY) + small(to), of(frame, F_MEMORY) + small(start), small(count))
        drop(frame, 3)
    return status


@njit(cache=True)
def on_memory(machine: Any, opcode: Any) -> Any:
    """Opcodes that read or write areas of memory."""
    frame = get(machine, FRAME)
    if opcode == OP_GROW:
        return _grow(frame)
    if opcode == KECCAK:
        return _keccak(machine, frame)
    if opcode == CALLDATALOAD:
        scratch, top = get(machine, SCRATCH), of(frame, F_TOP)
        copy_padded(scratch, of(frame, F_INPUT), of(frame, F_INPUT_BYTES), small(top), VALUE_BYTES)
        from_bytes(top, scratch)
        return CONTINUE
    if opcode == CALLDATACOPY:
        return copy_to_memory(frame, 0, of(frame, F_INPUT), of(frame, F_INPUT_BYTES))
    if opcode == CODECOPY:
        return copy_to_memory(frame, 0, of(frame, F_RAW_CODE), of(frame, F_CODE_BYTES))
    if opcode == RETURNDATACOPY:
        return _returned(machine, frame)
    return _move(machine, frame)


@njit(cache=True)
def _power(machine: Any, frame: Any) -> Any:
    exponent = operand(frame, 1)
    size = (arithmetic.bits_of(exponent) + 7) >> 3
    if not charge(frame, size * rule(machine, EXP_BYTE_GAS)):
        return fail(machine, OUT_OF_GAS)
    arithmetic.power(exponent, operand(frame, 0), exponent, get(machine, SCRATCH))
    drop(frame, 1)
    return CONTINUE


@njit(cache=True)
def on_numbers(machine: Any, opcode: Any) -> Any:
    """Opcodes that divide, and EXP."""
    frame, scratch = get(machine, FRAME), get(machine, SCRATCH)
    a, b, c = operand(frame, 0), operand(frame, 1), operand(frame, 2)
    if opcode == DIV:
        arithmetic.divide(b, 0, a, b, scratch)
    elif opcode == MOD:
        arithmetic.divide(0, b, a, b, scratch)
    elif opcode == SDIV:
        arithmetic.divide_signed(b, 0, a, b, scratch)
    elif opcode == SMOD:
        arithmetic.divide_signed(0, b, a, b, scratch)
    elif opcode == ADDMOD:
        arithmetic.add_modulo(c, a, b, c, scratch)
        drop(frame, 1)
    elif opcode == MULMOD:
        arithmetic.multiply_modulo(c, a, b, c, scratch)
        drop(frame, 1)
    else:
        return _power(machine, frame)
    drop(frame, 1)
    return CONTINUE
