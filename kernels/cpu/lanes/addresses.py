# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory by address, for kernels whose data is shared with other compiled code: guests, host functions, threads.

An address is an int64. `load` and `store` need no alignment; the atomic operations need their natural one. Nothing
here checks anything: whoever computes an address has checked it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from supervm.kernels.cpu.lanes.lanes import I1, I8, I32, I64, call_llvm, is_arm, vector
from supervm.kernels.cpu.lanes.numba_types import literal

LINE = 64
"""Bytes that `copy_line` and `lines_equal` take at once."""

_LINE = vector(I64, LINE // 8)


def _pointer(builder: ir.IRBuilder, address: ir.Value, element: ir.Type) -> ir.Value:
    return builder.inttoptr(address, element.as_pointer())


def _load(bits: int) -> Callable[..., Any]:
    element = ir.IntType(bits)

    @intrinsic
    def load(typingctx: Any, address: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            value = builder.load(_pointer(builder, args[0], element), align=1)
            return value if bits == 64 else builder.zext(value, I64)

        return types.int64(types.int64), codegen

    return load


def _store(bits: int) -> Callable[..., Any]:
    element = ir.IntType(bits)

    @intrinsic
    def store(typingctx: Any, address: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            low = args[1] if bits == 64 else builder.trunc(args[1], element)
            builder.store(low, _pointer(builder, args[0], element), align=1)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), codegen

    return store


load8 = _load(8)
load32 = _load(32)
load64 = _load(64)
"""load(address) → int64: an unsigned integer of 8 or 32 bits, or 64 bits as they are."""

store8 = _store(8)
store32 = _store(32)
store64 = _store(64)
"""store(address, value): the low bits of the value."""


@intrinsic
def copy(typingctx: Any, target: Any, source: Any, size: Any) -> Any:
    """Copy `size` bytes between areas that do not overlap; 0 bytes touch nothing."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to, of = (_pointer(builder, address, I8) for address in args[:2])
        call_llvm(builder, "llvm.memcpy.p0.p0.i64", ir.VoidType(), [to, of, args[2], ir.Constant(I1, 0)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def move(typingctx: Any, target: Any, source: Any, size: Any) -> Any:
    """Copy `size` bytes between areas that may overlap; 0 bytes touch nothing."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to, of = (_pointer(builder, address, I8) for address in args[:2])
        call_llvm(builder, "llvm.memmove.p0.p0.i64", ir.VoidType(), [to, of, args[2], ir.Constant(I1, 0)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def fill(typingctx: Any, target: Any, byte: Any, size: Any) -> Any:
    """Set `size` bytes to the low eight bits of `byte`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        operands = [
            _pointer(builder, args[0], I8),
            builder.trunc(args[1], I8),
            args[2],
            ir.Constant(I1, 0),
        ]
        call_llvm(builder, "llvm.memset.p0.i64", ir.VoidType(), operands)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def copy_line(typingctx: Any, target: Any, source: Any) -> Any:
    """Copy 64 bytes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        line = builder.load(_pointer(builder, args[1], _LINE), align=1)
        builder.store(line, _pointer(builder, args[0], _LINE), align=1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def clear_line(typingctx: Any, target: Any) -> Any:
    """Set 64 bytes to zero."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(ir.Constant(_LINE, None), _pointer(builder, args[0], _LINE), align=1)
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic
def lines_equal(typingctx: Any, one: Any, other: Any) -> Any:
    """Whether two areas of 64 bytes are equal."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b = (builder.load(_pointer(builder, address, _LINE), align=1) for address in args)
        unequal = builder.bitcast(builder.icmp_unsigned("!=", a, b), I8)
        return builder.icmp_unsigned("==", unequal, ir.Constant(I8, 0))

    return types.boolean(types.int64, types.int64), codegen


@intrinsic
def swap_bytes(typingctx: Any, word: Any) -> Any:
    """The eight bytes of a word in the other order."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return call_llvm(builder, "llvm.bswap.i64", I64, [args[0]])

    return types.int64(types.int64), codegen


@intrinsic
def fold_product(typingctx: Any, a: Any, b: Any) -> Any:
    """The halves of the 128-bit product of two unsigned words, xored: the mixing step of a hash."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(word, wide) for word in args))
        high = builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), I64)
        return builder.xor(high, builder.trunc(product, I64))

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def multiply_add(typingctx: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """a·b + c + d of unsigned words, which always fits: the low word and the high one."""
    result = types.UniTuple(types.int64, 2)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide = ir.IntType(128)
        a, b, c, d = (builder.zext(word, wide) for word in args)
        total = builder.add(builder.add(builder.mul(a, b), c), d)
        halves = [builder.trunc(total, I64), builder.trunc(builder.lshr(total, ir.Constant(wide, 64)), I64)]
        return context.make_tuple(builder, result, halves)

    return result(types.int64, types.int64, types.int64, types.int64), codegen


@intrinsic
def below(typingctx: Any, a: Any, b: Any) -> Any:
    """a < b, both unsigned."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.icmp_unsigned("<", *args)

    return types.boolean(types.int64, types.int64), codegen


@intrinsic
def shifted_down(typingctx: Any, word: Any, count: Any) -> Any:
    """An unsigned word shifted right by 0 to 63 bits."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.lshr(*args)

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def prefetch_address(typingctx: Any, address: Any) -> Any:
    """Ask for the cache line at an address; any address will do."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        read_into_all_caches = [ir.Constant(I32, number) for number in (0, 3, 1)]
        pointer = _pointer(builder, args[0], I8)
        call_llvm(builder, "llvm.prefetch.p0", ir.VoidType(), [pointer, *read_into_all_caches])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic(prefer_literal=True)
def stack_room(typingctx: Any, size: Any) -> Any:
    """The address of `size` (literal) bytes on the stack, on a line of its own, as good as the function that asks."""
    count = literal(size, "size")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        room = cgutils.alloca_once(builder, I8, size=count)
        room.align = LINE
        return builder.ptrtoint(room, I64)

    return types.int64(size), codegen


@intrinsic
def as_pointer(typingctx: Any, address: Any) -> Any:
    """An address as what `numba.carray` takes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _pointer(builder, args[0], I8)

    return types.voidptr(types.int64), codegen


# ---------------------------------------------------------------------------------------------------------
# Between threads


def _atomic_load(bits: int) -> Callable[..., Any]:
    element = ir.IntType(bits)

    @intrinsic
    def load(typingctx: Any, address: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer = _pointer(builder, args[0], element)
            value = builder.load_atomic(pointer, "acquire", bits // 8)
            return value if bits == 64 else builder.zext(value, I64)

        return types.int64(types.int64), codegen

    return load


def _atomic_store(bits: int) -> Callable[..., Any]:
    element = ir.IntType(bits)

    @intrinsic
    def store(typingctx: Any, address: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            low = args[1] if bits == 64 else builder.trunc(args[1], element)
            builder.store_atomic(low, _pointer(builder, args[0], element), "release", bits // 8)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), codegen

    return store


acquire8 = _atomic_load(8)
acquire32 = _atomic_load(32)
acquire64 = _atomic_load(64)
"""acquire(address): load; what the storing thread wrote before its `release` is seen after this."""

release8 = _atomic_store(8)
release32 = _atomic_store(32)
release64 = _atomic_store(64)
"""release(address, value): store, after everything that this thread wrote before."""


def _fence(order: str) -> Callable[..., Any]:
    @intrinsic
    def fence(typingctx: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            builder.fence(order)
            return context.get_dummy_value()

        return types.void(), codegen

    return fence


acquire_fence = _fence("acquire")
"""What was loaded before is loaded before everything that follows; no instruction on x86."""

release_fence = _fence("release")
"""Everything before is done before what is stored after; no instruction on x86."""


@intrinsic
def fetch_add(typingctx: Any, address: Any, amount: Any) -> Any:
    """Add to a 64-bit word that threads share; the word's value before."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", _pointer(builder, args[0], I64), args[1], "seq_cst")

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def exchange_if(typingctx: Any, address: Any, expected: Any, value: Any) -> Any:
    """Store `value` if a shared 64-bit word is `expected`; whether it was."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(builder, args[0], I64)
        pair = builder.cmpxchg(pointer, args[1], args[2], "seq_cst", "seq_cst")
        return builder.extract_value(pair, 1)

    return types.boolean(types.int64, types.int64, types.int64), codegen


@intrinsic
def pause(typingctx: Any) -> Any:
    """A moment's rest in a loop that waits for another thread: on x86 the instruction of that name, on ARM a barrier for
    instructions, which takes about as long."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if str(builder.module.triple).startswith("x86_64"):
            call_llvm(builder, "llvm.x86.sse2.pause", ir.VoidType(), [])
        elif is_arm(builder):
            call_llvm(builder, "llvm.aarch64.isb", ir.VoidType(), [ir.Constant(I32, 15)])
        return context.get_dummy_value()

    return types.void(), codegen


# ---------------------------------------------------------------------------------------------------------
# Calls


@intrinsic
def call_address(typingctx: Any, function: Any, *arguments: Any) -> Any:
    """Call a C function by its address with 64-bit integers; its result register as int64.

    A result of fewer bits has anything in the others; one of type void is anything at all.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        operands = list(args[1:])
        if len(operands) == 1 and isinstance(operands[0].type, ir.LiteralStructType):
            operands = [
                builder.extract_value(operands[0], index) for index in range(len(operands[0].type.elements))
            ]
        function_type = ir.FunctionType(I64, [I64] * len(operands))
        return builder.call(builder.inttoptr(args[0], function_type.as_pointer()), operands)

    packed = types.StarArgTuple([types.int64] * len(arguments)) if arguments else types.StarArgTuple([])
    return types.int64(types.int64, packed), codegen
