# SPDX-License-Identifier: GPL-3.0-or-later
"""The handlers of common opcodes, emitted. Gas and stack are checked for the whole block before (`code`)."""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from supervm.kernels.cpu.lanes.lanes import I1, I8, I64, call_llvm
from supervm.vm.evm import frame as f
from supervm.vm.evm import machine as m
from supervm.vm.evm.emitter import Emission, Handler, value, word
from supervm.vm.evm.opcodes import DUP1, NUMBERS, PUSH1, SWAP1
from supervm.vm.evm.words import I256, limbs_of_value, load_value, pointer, swapped, value_of_limbs

HANDLERS: dict[int, Emission] = {}
"""Opcode → what emits its handler."""


def _handler(name: str) -> Callable[[Emission], Emission]:
    def register(emission: Emission) -> Emission:
        HANDLERS[NUMBERS[name]] = emission
        return emission

    return register


# ---------------------------------------------------------------------------------------------------------
# Arithmetic, comparison, bits


Computation = Callable[[ir.IRBuilder, ir.Value, ir.Value], ir.Value]

COMPUTED: dict[str, Computation] = {}
"""Name → what an opcode of two values makes of them; the first one is the topmost."""


def _binary(name: str, compute: Computation) -> None:
    """An opcode of two values."""
    COMPUTED[name] = compute

    @_handler(name)
    def emit(handler: Handler) -> None:
        a, b = handler.peek(0), handler.peek(1)
        result = compute(handler.builder, a, b)
        handler.drop(1)
        handler.set(0, result)
        handler.next()


def _by_limbs(builder: ir.IRBuilder, operation: str, shifted: ir.Value, count: ir.Value) -> ir.Value:
    """A shift by 0 to 255 bits, a 64-bit word: by 128, by 64, and by what is left.

    LLVM's own shift goes through memory, from where words that were just stored cannot be loaded at another place.
    """
    limbs = limbs_of_value(builder, shifted)
    up = operation == "shl"
    spare = builder.ashr(limbs[3], word(63)) if operation == "ashr" else word(0)
    for bits, skipped in ((128, 2), (64, 1)):
        far = builder.icmp_unsigned("!=", builder.and_(count, word(bits)), word(0))
        moved = [spare] * skipped + limbs[:-skipped] if up else limbs[skipped:] + [spare] * skipped
        limbs = [builder.select(far, there, here) for there, here in zip(moved, limbs, strict=True)]
    near = builder.and_(count, word(63))
    if up:
        pairs = list(zip(limbs, [word(0), *limbs[:-1]], strict=True))
    else:
        pairs = list(zip([*limbs[1:], spare], limbs, strict=True))
    funnel = "llvm.fshl.i64" if up else "llvm.fshr.i64"
    return value_of_limbs(builder, [call_llvm(builder, funnel, I64, [*pair, near]) for pair in pairs])


def _shift(operation: str) -> Computation:
    """A shift of b by a; by 256 and more everything is shifted out."""

    def compute(builder: ir.IRBuilder, count: ir.Value, shifted: ir.Value) -> ir.Value:
        inside = builder.icmp_unsigned("<", count, value(256))
        low = builder.trunc(count, I64)
        if operation == "ashr":
            return _by_limbs(builder, operation, shifted, builder.select(inside, low, word(255)))
        return builder.select(inside, _by_limbs(builder, operation, shifted, low), value(0))

    return compute


def _sign_extend(builder: ir.IRBuilder, place: ir.Value, extended: ir.Value) -> ir.Value:
    """b, whose byte a (0 the lowest) is its highest, with that byte's sign."""
    inside = builder.icmp_unsigned("<", place, value(31))
    bits = builder.shl(builder.sub(word(31), builder.trunc(place, I64)), word(3))
    bits = builder.select(inside, bits, word(0))
    return _by_limbs(builder, "ashr", _by_limbs(builder, "shl", extended, bits), bits)


@_handler("BYTE")
def _byte(handler: Handler) -> None:
    """Byte a of b, byte 0 the highest; in memory that is the last one."""
    builder = handler.builder
    place = handler.peek(0)
    inside = builder.icmp_unsigned("<", place, value(m.VALUE_BYTES))
    low = builder.and_(builder.trunc(place, I64), word(m.VALUE_BYTES - 1))
    byte = handler.byte(builder.sub(builder.add(handler.at(1), word(m.VALUE_BYTES - 1)), low))
    handler.drop(1)
    handler.set(0, builder.select(inside, byte, word(0)))
    handler.next()


_binary("ADD", lambda builder, a, b: builder.add(a, b))
_binary("MUL", lambda builder, a, b: builder.mul(a, b))
_binary("SUB", lambda builder, a, b: builder.sub(a, b))
_binary("SIGNEXTEND", _sign_extend)
_binary("LT", lambda builder, a, b: builder.icmp_unsigned("<", a, b))
_binary("GT", lambda builder, a, b: builder.icmp_unsigned(">", a, b))
_binary("SLT", lambda builder, a, b: builder.icmp_signed("<", a, b))
_binary("SGT", lambda builder, a, b: builder.icmp_signed(">", a, b))
_binary("EQ", lambda builder, a, b: builder.icmp_unsigned("==", a, b))
_binary("AND", lambda builder, a, b: builder.and_(a, b))
_binary("OR", lambda builder, a, b: builder.or_(a, b))
_binary("XOR", lambda builder, a, b: builder.xor(a, b))
_binary("SHL", _shift("shl"))
_binary("SHR", _shift("lshr"))
_binary("SAR", _shift("ashr"))


def _unary(name: str, compute: Callable[[ir.IRBuilder, ir.Value], ir.Value]) -> None:
    """An opcode of one value."""

    @_handler(name)
    def emit(handler: Handler) -> None:
        result = compute(handler.builder, handler.peek(0))
        handler.set(0, result)
        handler.next()


_unary("ISZERO", lambda builder, a: builder.icmp_unsigned("==", a, value(0)))
_unary("NOT", lambda builder, a: builder.not_(a))
_unary("CLZ", lambda builder, a: call_llvm(builder, "llvm.ctlz.i256", I256, [a, ir.Constant(I1, 0)]))


# ---------------------------------------------------------------------------------------------------------
# Stack


@_handler("POP")
def _pop(handler: Handler) -> None:
    handler.drop(1)
    handler.next()


def pushed_value(handler: Handler, size: int, before: int = 0) -> ir.Value:
    """The immediate value of a PUSH that lies `before` bytes behind the place, of 64 bits if it has up to eight bytes."""
    builder = handler.builder
    narrow = ir.IntType(8 * size)
    at = builder.add(handler.place, word(1 + before))
    loaded = builder.load(pointer(builder, at, narrow), align=1)
    kind = I64 if size <= 8 else I256
    upper = loaded
    if narrow.width < kind.width:
        upper = builder.shl(builder.zext(loaded, kind), ir.Constant(kind, kind.width - 8 * size))
    return call_llvm(builder, f"llvm.bswap.i{kind.width}", kind, [upper])


def _push(size: int) -> Emission:
    """PUSH0 to PUSH32."""

    def emit(handler: Handler) -> None:
        handler.push(pushed_value(handler, size) if size else value(0))
        handler.next(1 + size)

    return emit


def _dup(depth: int) -> Emission:
    def emit(handler: Handler) -> None:
        handler.push(handler.peek(depth - 1))
        handler.next()

    return emit


def _swap(depth: int) -> Emission:
    def emit(handler: Handler) -> None:
        top, other = handler.peek(0), handler.peek(depth)
        handler.set(0, other)
        handler.set(depth, top)
        handler.next()

    return emit


for _size in range(33):
    HANDLERS[PUSH1 - 1 + _size] = _push(_size)
for _depth in range(1, 17):
    HANDLERS[DUP1 - 1 + _depth] = _dup(_depth)
    HANDLERS[SWAP1 - 1 + _depth] = _swap(_depth)


# ---------------------------------------------------------------------------------------------------------
# Memory


@_handler("MLOAD")
def _mload(handler: Handler) -> None:
    builder = handler.builder
    at = handler.memory_at(handler.peek(0), m.VALUE_BYTES)
    builder = handler.builder
    loaded = builder.load(pointer(builder, at), align=1)
    handler.set(0, swapped(builder, loaded))
    handler.next()


@_handler("MSTORE")
def _mstore(handler: Handler) -> None:
    at = handler.memory_at(handler.peek(0), m.VALUE_BYTES)
    builder = handler.builder
    builder.store(swapped(builder, handler.peek(1)), pointer(builder, at), align=1)
    handler.drop(2)
    handler.next()


@_handler("MSTORE8")
def _mstore8(handler: Handler) -> None:
    at = handler.memory_at(handler.peek(0), 1)
    builder = handler.builder
    builder.store(builder.trunc(handler.peek(1), I8), pointer(builder, at, I8), align=1)
    handler.drop(2)
    handler.next()


@_handler("MSIZE")
def _msize(handler: Handler) -> None:
    handler.push(handler.memory_bytes)
    handler.next()


@_handler("CALLDATALOAD")
def _calldataload(handler: Handler) -> None:
    """Bytes beyond the input are zeros; an area that reaches beyond it is left to the operation."""
    builder = handler.builder
    offset = handler.peek(0)
    last = builder.sub(handler.of_frame(f.F_INPUT_BYTES), word(m.VALUE_BYTES))
    enough = builder.icmp_signed(">=", last, word(0))
    inside = builder.icmp_unsigned("<=", offset, builder.zext(last, I256))

    def rest() -> None:
        handler.operation(word(NUMBERS["CALLDATALOAD"]))
        handler.next()

    handler.when(builder.not_(builder.and_(enough, inside)), rest)
    builder = handler.builder
    at = builder.add(handler.of_frame(f.F_INPUT), builder.trunc(offset, I64))
    handler.set(0, swapped(builder, builder.load(pointer(builder, at), align=1)))
    handler.next()


# ---------------------------------------------------------------------------------------------------------
# Jumps and gas


@_handler("JUMPDEST")
def _jumpdest(handler: Handler) -> None:
    """Reached without a jump: the block before ended here, this one begins."""
    if handler.loop.single:
        handler.next()
    else:
        handler.enter(handler.word_of_block())


@_handler("JUMP")
def _jump(handler: Handler) -> None:
    destination = handler.peek(0)
    handler.drop(1)
    handler.jump_to(destination)


@_handler("JUMPI")
def _jumpi(handler: Handler) -> None:
    builder = handler.builder
    destination, condition = handler.peek(0), handler.peek(1)
    handler.drop(2)
    untaken = builder.icmp_unsigned("==", condition, value(0))

    def pass_on() -> None:
        handler.place = handler.builder.add(handler.place, word(1))
        handler.enter()

    handler.when(untaken, pass_on, likely=True)
    handler.jump_to(destination)


@_handler("PC")
def _pc(handler: Handler) -> None:
    handler.push(handler.builder.sub(handler.place, handler.of_frame(f.F_CODE)))
    handler.next()


@_handler("GAS")
def _gas(handler: Handler) -> None:
    handler.push(handler.gas)
    handler.place = handler.builder.add(handler.place, word(1))
    handler.enter()


# ---------------------------------------------------------------------------------------------------------
# What the frame, the transaction and the block say


def _frame_value(name: str, number: int) -> None:
    """An opcode that pushes a value of the frame."""

    @_handler(name)
    def emit(handler: Handler) -> None:
        at = handler.builder.add(handler.frame, word(8 * number))
        handler.push(load_value(handler.builder, at))
        handler.next()


def _frame_word(name: str, number: int) -> None:
    """An opcode that pushes a word of the frame."""

    @_handler(name)
    def emit(handler: Handler) -> None:
        handler.push(handler.of_frame(number))
        handler.next()


def _machine_value(name: str, number: int) -> None:
    """An opcode that pushes a value of the machine."""

    @_handler(name)
    def emit(handler: Handler) -> None:
        at = handler.builder.add(handler.machine(), word(8 * number))
        handler.push(load_value(handler.builder, at))
        handler.next()


def _machine_word(name: str, number: int) -> None:
    """An opcode that pushes a word of the machine."""

    @_handler(name)
    def emit(handler: Handler) -> None:
        handler.push(handler.load(handler.machine(), 8 * number))
        handler.next()


_frame_value("ADDRESS", f.F_SELF)
_frame_value("CALLER", f.F_CALLER)
_frame_value("CALLVALUE", f.F_VALUE)
_frame_word("CALLDATASIZE", f.F_INPUT_BYTES)
_frame_word("CODESIZE", f.F_CODE_BYTES)
_machine_value("ORIGIN", m.ORIGIN)
_machine_value("GASPRICE", m.GAS_PRICE)
_machine_value("COINBASE", m.COINBASE)
_machine_value("PREVRANDAO", m.RANDOM)
_machine_value("BASEFEE", m.BASE_FEE)
_machine_value("BLOBBASEFEE", m.BLOB_BASE_FEE)
_machine_word("TIMESTAMP", m.TIMESTAMP)
_machine_word("NUMBER", m.BLOCK_NUMBER)
_machine_word("GASLIMIT", m.BLOCK_GAS_LIMIT)
_machine_word("CHAINID", m.CHAIN_ID)
_machine_word("RETURNDATASIZE", m.RETURN_BYTES)
