# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of 256 bits at addresses that are multiples of 8: four little-endian 64-bit words, for LLVM one integer.

Results are written last, so that a target may be one of the operands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from supervm.kernels.cpu.lanes.lanes import I64, call_llvm

BITS = 256
I256 = ir.IntType(BITS)
ALIGN = 8


def pointer(builder: ir.IRBuilder, address: ir.Value, element: ir.Type = I256) -> ir.Value:
    """An address as a pointer."""
    return builder.inttoptr(address, element.as_pointer())


def load_limbs(builder: ir.IRBuilder, address: ir.Value) -> list[ir.Value]:
    """The four words at an address, the lowest first.

    They are loaded and stored one by one, and LLVM must leave it so: what was stored in words just before cannot be
    forwarded to a load of a whole vector, which waits for the cache then.
    """
    return [
        builder.load_atomic(pointer(builder, _behind(builder, address, place), I64), "monotonic", 8)
        for place in range(BITS // 64)
    ]


def store_limbs(builder: ir.IRBuilder, address: ir.Value, limbs: list[ir.Value]) -> None:
    """Put four words at an address."""
    for place, limb in enumerate(limbs):
        at = pointer(builder, _behind(builder, address, place), I64)
        if isinstance(limb, ir.Constant):
            builder.store(limb, at, align=ALIGN)
        else:
            builder.store_atomic(limb, at, "monotonic", 8)


def _behind(builder: ir.IRBuilder, address: ir.Value, place: int) -> ir.Value:
    return builder.add(address, ir.Constant(I64, 8 * place)) if place else address


def limbs_of_value(builder: ir.IRBuilder, whole: ir.Value) -> list[ir.Value]:
    """The four words of a value of up to 256 bits, constants where it is shorter."""
    width = whole.type.width
    if width <= 64:
        word = whole if width == 64 else builder.zext(whole, I64)
        return [word] + [ir.Constant(I64, 0)] * (BITS // 64 - 1)
    wide = whole if width == BITS else builder.zext(whole, I256)
    limbs = [
        builder.trunc(builder.lshr(wide, ir.Constant(I256, 64 * place)), I64) for place in range(BITS // 64)
    ]
    return [limb if 64 * place < width else ir.Constant(I64, 0) for place, limb in enumerate(limbs)]


def value_of_limbs(builder: ir.IRBuilder, limbs: list[ir.Value]) -> ir.Value:
    """The value of four words."""
    whole: ir.Value = ir.Constant(I256, 0)
    for place, limb in enumerate(limbs):
        shifted = builder.shl(builder.zext(limb, I256), ir.Constant(I256, 64 * place))
        whole = builder.or_(whole, shifted)
    return whole


def load_value(builder: ir.IRBuilder, address: ir.Value) -> ir.Value:
    """The value at an address."""
    return value_of_limbs(builder, load_limbs(builder, address))


def store_value(builder: ir.IRBuilder, address: ir.Value, value: ir.Value) -> None:
    """Put a value of up to 256 bits at an address."""
    if isinstance(value, ir.Constant) and value.type == I256:
        builder.store(value, pointer(builder, address), align=ALIGN)
    else:
        store_limbs(builder, address, limbs_of_value(builder, value))


def swapped(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """A value with its 32 bytes in the other order."""
    return call_llvm(builder, "llvm.bswap.i256", I256, [value])


def _writer(
    operands: int, emit: Callable[..., ir.Value], load: Callable[..., ir.Value] = load_value
) -> Callable[..., Any]:
    """An intrinsic of (target, operands): write what `emit` makes of the operands' values."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = [load(builder, address) for address in args[1:]]
        store_value(builder, args[0], emit(builder, *values))
        return context.get_dummy_value()

    signature = types.void(*[types.int64] * (1 + operands))
    if operands == 1:

        @intrinsic
        def unary(typingctx: Any, target: Any, a: Any) -> Any:
            return signature, codegen

        of_one: Callable[..., Any] = unary
        return of_one

    @intrinsic
    def binary(typingctx: Any, target: Any, a: Any, b: Any) -> Any:
        return signature, codegen

    of_two: Callable[..., Any] = binary
    return of_two


copy_value = _writer(1, lambda builder, a: a)
"""copy_value(target, a)"""
invert = _writer(1, lambda builder, a: builder.not_(a))
"""invert(target, a): every bit the other way"""
negate = _writer(1, lambda builder, a: builder.neg(a))
"""negate(target, a): −a modulo 2^256"""
add = _writer(2, lambda builder, a, b: builder.add(a, b))
"""add(target, a, b): a + b modulo 2^256"""
subtract = _writer(2, lambda builder, a, b: builder.sub(a, b))
"""subtract(target, a, b): a − b modulo 2^256"""
multiply = _writer(2, lambda builder, a, b: builder.mul(a, b))
"""multiply(target, a, b): a · b modulo 2^256"""


def _load_bytes(builder: ir.IRBuilder, address: ir.Value) -> ir.Value:
    return swapped(builder, builder.load(pointer(builder, address), align=1))


from_bytes = _writer(1, lambda builder, a: a, _load_bytes)
"""from_bytes(target, address): the value of 32 bytes, big-endian, at any address"""


@intrinsic
def to_bytes(typingctx: Any, address: Any, a: Any) -> Any:
    """to_bytes(address, a): write a value as 32 bytes, big-endian, at any address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = swapped(builder, load_value(builder, args[1]))
        builder.store(value, pointer(builder, args[0]), align=1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


ADDRESS_BYTES = 20
"""Of an account's address."""


def _address_only(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    return builder.and_(value, ir.Constant(I256, (1 << (8 * ADDRESS_BYTES)) - 1))


keep_address = _writer(1, _address_only)
"""keep_address(target, a): a modulo 2^160"""


@intrinsic
def from_address_bytes(typingctx: Any, target: Any, address: Any) -> Any:
    """from_address_bytes(target, address): the value of an account's address, 20 bytes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        narrow = ir.IntType(8 * ADDRESS_BYTES)
        # LLVM reverses multiples of 16 bits, and 160 is one.
        loaded = builder.load(pointer(builder, args[1], narrow), align=1)
        value = call_llvm(builder, "llvm.bswap.i160", narrow, [loaded])
        store_value(builder, args[0], builder.zext(value, I256))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def to_address_bytes(typingctx: Any, address: Any, a: Any) -> Any:
    """to_address_bytes(address, a): write the low 160 bits of a value as an account's address, 20 bytes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        narrow = ir.IntType(8 * ADDRESS_BYTES)
        value = builder.trunc(load_value(builder, args[1]), narrow)
        value = call_llvm(builder, "llvm.bswap.i160", narrow, [value])
        builder.store(value, pointer(builder, args[0], narrow), align=1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def set_small(typingctx: Any, target: Any, number: Any) -> Any:
    """set_small(target, number): the value of an int64 that is not negative."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        store_value(builder, args[0], args[1])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def small(typingctx: Any, a: Any) -> Any:
    """small(a): the value as an int64 if it is below 2^63, else −1."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = load_value(builder, args[0])
        fits = builder.icmp_unsigned("<", value, ir.Constant(I256, 1 << 63))
        return builder.select(fits, builder.trunc(value, I64), ir.Constant(I64, -1))

    return types.int64(types.int64), codegen


def _test(operands: int, emit: Callable[..., ir.Value]) -> Callable[..., Any]:
    """An intrinsic that compares the values at addresses."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return emit(builder, *(load_value(builder, address) for address in args))

    signature = types.boolean(*[types.int64] * operands)
    if operands == 1:

        @intrinsic
        def unary(typingctx: Any, a: Any) -> Any:
            return signature, codegen

        of_one: Callable[..., Any] = unary
        return of_one

    @intrinsic
    def binary(typingctx: Any, a: Any, b: Any) -> Any:
        return signature, codegen

    of_two: Callable[..., Any] = binary
    return of_two


is_zero = _test(1, lambda builder, a: builder.icmp_unsigned("==", a, ir.Constant(I256, 0)))
"""is_zero(a)"""
is_negative = _test(1, lambda builder, a: builder.icmp_signed("<", a, ir.Constant(I256, 0)))
"""is_negative(a): whether the highest bit is set"""
equal = _test(2, lambda builder, a, b: builder.icmp_unsigned("==", a, b))
"""equal(a, b)"""
less = _test(2, lambda builder, a, b: builder.icmp_unsigned("<", a, b))
"""less(a, b): a < b, both unsigned"""
less_signed = _test(2, lambda builder, a, b: builder.icmp_signed("<", a, b))
"""less_signed(a, b): a < b, both in two's complement"""


@intrinsic
def add_carry(typingctx: Any, target: Any, a: Any, b: Any) -> Any:
    """add_carry(target, a, b): a + b modulo 2^256; whether it was 2^256 or more."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        left, right = (load_value(builder, address) for address in args[1:])
        total = builder.add(left, right)
        store_value(builder, args[0], total)
        return builder.icmp_unsigned("<", total, left)

    return types.boolean(types.int64, types.int64, types.int64), codegen


@intrinsic
def leading_zeros(typingctx: Any, word: Any) -> Any:
    """leading_zeros(word): of an int64 taken as unsigned; 64 for 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return call_llvm(builder, "llvm.ctlz.i64", I64, [args[0], ir.Constant(ir.IntType(1), 0)])

    return types.int64(types.int64), codegen
