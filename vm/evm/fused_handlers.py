# SPDX-License-Identifier: GPL-3.0-or-later
"""The handlers of superinstructions (`fusion`), emitted."""

from __future__ import annotations

from llvmlite import ir

from supervm.kernels.cpu.lanes.lanes import I64
from supervm.vm.evm import frame as f
from supervm.vm.evm import machine as m
from supervm.vm.evm.emitter import Emission, Handler, value, word
from supervm.vm.evm.fusion import (
    FUSED,
    ISZERO_PUSH2_JUMPI,
    PUSH1_JUMP,
    PUSH1_JUMPI,
    PUSH2_JUMP,
    PUSH2_JUMPI,
)
from supervm.vm.evm.handlers import COMPUTED, pushed_value
from supervm.vm.evm.opcodes import NUMBERS, OPCODES, PUSH1
from supervm.vm.evm.words import I256, pointer, swapped

FUSED_HANDLERS: dict[int, Emission] = {}
"""Number → what emits its handler."""


def _push_and_compute(first: str, second: str) -> None:
    """PUSH and an opcode of two values: the pushed one is the first operand."""
    size = OPCODES[NUMBERS[first]].immediate

    def emit(handler: Handler) -> None:
        pushed = pushed_value(handler, size)
        if pushed.type != I256:
            pushed = handler.builder.zext(pushed, I256)
        handler.set(0, COMPUTED[second](handler.builder, pushed, handler.peek(0)))
        handler.next(size + 2)

    FUSED_HANDLERS[FUSED[first, second]] = emit


def _dup_and_compute(first: str, second: str) -> None:
    """DUP and an opcode of two values."""
    depth = OPCODES[NUMBERS[first]].pops

    def emit(handler: Handler) -> None:
        handler.set(0, COMPUTED[second](handler.builder, handler.peek(depth - 1), handler.peek(0)))
        handler.next(2)

    FUSED_HANDLERS[FUSED[first, second]] = emit


def _swap_and_pop(first: str) -> None:
    """SWAP and POP: the topmost value takes another one's place."""
    depth = OPCODES[NUMBERS[first]].pops - 1

    def emit(handler: Handler) -> None:
        handler.set(depth, handler.peek(0))
        handler.drop(1)
        handler.next(2)

    FUSED_HANDLERS[FUSED[first, "POP"]] = emit


def _drop_two(handler: Handler) -> None:
    handler.drop(2)
    handler.next(2)


def _inside(handler: Handler, offset: ir.Value) -> ir.Value:
    """Whether a value lies at a 64-bit offset in memory."""
    builder = handler.builder
    room = builder.sub(builder.sub(handler.memory_bytes, word(m.VALUE_BYTES)), offset)
    return builder.icmp_signed(">=", builder.or_(room, offset), word(0))


def _load_at(handler: Handler) -> None:
    """PUSH1 and MLOAD. Where memory must grow, the opcodes are executed one by one, here and below."""
    offset = pushed_value(handler, 1)
    handler.unless(_inside(handler, offset), handler.loop.handlers[PUSH1])
    builder = handler.builder
    at = pointer(builder, builder.add(handler.memory, offset))
    handler.push(swapped(builder, builder.load(at, align=1)))
    handler.next(3)


def _store_at(handler: Handler) -> None:
    """PUSH1 and MSTORE."""
    offset = pushed_value(handler, 1)
    handler.unless(_inside(handler, offset), handler.loop.handlers[PUSH1])
    builder = handler.builder
    at = pointer(builder, builder.add(handler.memory, offset))
    builder.store(swapped(builder, handler.peek(0)), at, align=1)
    handler.drop(1)
    handler.next(3)


def _store_under(handler: Handler) -> None:
    """DUP2 and MSTORE: store the topmost value at the offset below it, which stays."""
    builder = handler.builder
    offset = handler.peek(1)
    low = builder.trunc(offset, I64)
    short = builder.icmp_unsigned("==", builder.lshr(offset, value(64)), value(0))
    fits = builder.and_(short, _inside(handler, low))
    handler.unless(fits, handler.loop.handlers[NUMBERS["DUP2"]])
    builder = handler.builder
    at = pointer(builder, builder.add(handler.memory, low))
    builder.store(swapped(builder, handler.peek(0)), at, align=1)
    handler.drop(1)
    handler.next(2)


def _add_and_load(handler: Handler) -> None:
    """ADD and MLOAD."""
    builder = handler.builder
    offset = builder.add(handler.peek(0), handler.peek(1))
    low = builder.trunc(offset, I64)
    short = builder.icmp_unsigned("==", builder.lshr(offset, value(64)), value(0))
    fits = builder.and_(short, _inside(handler, low))
    handler.unless(fits, handler.loop.handlers[NUMBERS["ADD"]])
    builder = handler.builder
    at = pointer(builder, builder.add(handler.memory, low))
    handler.drop(1)
    handler.set(0, swapped(builder, builder.load(at, align=1)))
    handler.next(2)


def _go_to(handler: Handler, target: ir.Value) -> None:
    """Jump to a JUMPDEST."""
    handler.place = handler.builder.add(handler.of_frame(f.F_CODE), target)
    handler.enter(handler.word_of_block())


def _jump(size: int) -> Emission:
    return lambda handler: _go_to(handler, pushed_value(handler, size))


def _jump_if(size: int, before: int = 0) -> Emission:
    """PUSH and JUMPI, or with one ISZERO before them the same with the opposite condition."""

    def emit(handler: Handler) -> None:
        builder = handler.builder
        target = pushed_value(handler, size, before)
        zero = builder.icmp_unsigned("==", handler.peek(0), value(0))
        handler.drop(1)

        def pass_on() -> None:
            handler.place = handler.builder.add(handler.place, word(before + size + 2))
            handler.enter()

        handler.when(builder.not_(zero) if before else zero, pass_on, likely=True)
        _go_to(handler, target)

    return emit


for _pair in (("PUSH1", "ADD"), ("PUSH1", "SHL"), ("PUSH1", "SHR"), ("PUSH4", "EQ"), ("PUSH20", "AND")):
    _push_and_compute(*_pair)
for _pair in (("DUP2", "ADD"), ("DUP3", "ADD"), ("DUP5", "ADD"), ("DUP2", "LT"), ("DUP2", "SLT")):
    _dup_and_compute(*_pair)
for _name in ("SWAP1", "SWAP2", "SWAP3"):
    _swap_and_pop(_name)
FUSED_HANDLERS |= {
    FUSED["POP", "POP"]: _drop_two,
    FUSED["PUSH1", "MLOAD"]: _load_at,
    FUSED["PUSH1", "MSTORE"]: _store_at,
    FUSED["DUP2", "MSTORE"]: _store_under,
    FUSED["ADD", "MLOAD"]: _add_and_load,
    PUSH1_JUMP: _jump(1),
    PUSH2_JUMP: _jump(2),
    PUSH1_JUMPI: _jump_if(1),
    PUSH2_JUMPI: _jump_if(2),
    ISZERO_PUSH2_JUMPI: _jump_if(2, before=1),
}
assert set(FUSED.values()) <= set(FUSED_HANDLERS)
