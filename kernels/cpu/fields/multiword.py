# SPDX-License-Identifier: GPL-3.0-or-later
"""Integers of several 64-bit words in lanes, little end first, before and after they are field elements.

Words come from rows of bytes: item i of a flat uint64 array with `stride` words a row. Functions work on tuples of lanes.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.cpu.lanes.emitter import Emitter
from supervm.kernels.cpu.lanes.lanes import (
    I64,
    LanesType,
    MaskType,
    call_llvm,
    element_pointer,
    every,
)
from supervm.kernels.cpu.lanes.numba_types import literal

# mypy: disallow_untyped_defs=False


def swapped(builder: ir.IRBuilder, lanes: LanesType, word: ir.Value) -> ir.Value:
    """The word with its eight bytes in opposite order."""
    return call_llvm(
        builder, f"llvm.bswap.{f'v{lanes.width}' if lanes.width > 1 else ''}i64", lanes.llvm, [word]
    )


def _clamped(builder: ir.IRBuilder, first: ir.Value, last: ir.Value, lane: int) -> ir.Value:
    item = builder.add(first, ir.Constant(I64, lane))
    return builder.select(builder.icmp_signed("<", item, last), item, last)


def _require_rows(array: Any) -> None:
    if not (isinstance(array, types.Array) and array.dtype == types.uint64 and array.ndim == 1):
        raise TypingError(f"rows are read from flat uint64 arrays, not {array}")


def _read_rows(
    context: Any, builder: ir.IRBuilder, array: Any, lanes: LanesType, count: int, args: Any
) -> list[ir.Value]:
    """`count` words of each lane's row; args: data, stride, column, first and last row."""
    data, step, start, begin, end = args
    words: list[ir.Value] = [ir.Constant(lanes.llvm, ir.Undefined)] * count
    for lane in range(lanes.width):
        base = builder.add(builder.mul(_clamped(builder, begin, end, lane), step), start)
        row = element_pointer(context, builder, array, data, base)
        for index in range(count):
            word = builder.load(builder.gep(row, [ir.Constant(I64, index)]), align=8)
            if lanes.width == 1:
                words[index] = word
            else:
                words[index] = builder.insert_element(words[index], word, ir.Constant(I64, lane))
    return words


def _rows(big_endian: bool, count: int) -> Any:
    @intrinsic
    def operation(
        typingctx: Any, marker: Any, array: Any, stride: Any, column: Any, first: Any, last: Any
    ) -> Any:
        lanes = marker.lanes
        _require_rows(array)
        result = types.UniTuple(lanes, count)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            words = _read_rows(context, builder, array, lanes, count, args[1:])
            if big_endian:
                words = [swapped(builder, lanes, word) for word in reversed(words)]
            return context.make_tuple(builder, result, words)

        return result(marker, array, types.int64, types.int64, types.int64, types.int64), codegen

    return operation


read_little = _rows(big_endian=False, count=4)
read_big = _rows(big_endian=True, count=4)
"""read(marker, array, stride, column, first, last): four words of rows first, first + 1, …, each from `column` on.

Rows beyond `last` repeat row `last`, so that the last group of a batch needs no padding."""


@intrinsic
def read_element(
    typingctx: Any, field: Any, array: Any, stride: Any, column: Any, first: Any, last: Any
) -> Any:
    """The words of an element, c₀ first, of rows first, first + 1, …, each from `column` on; as `read_little` otherwise."""
    lanes, count = field.lanes, field.element.spec.words
    _require_rows(array)
    result = types.UniTuple(lanes, count)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        words = _read_rows(context, builder, array, lanes, count, args[1:])
        return context.make_tuple(builder, result, words)

    return result(field, array, types.int64, types.int64, types.int64, types.int64), codegen


@intrinsic
def read_small(typingctx: Any, marker: Any, array: Any, first: Any, last: Any) -> Any:
    """Elements first, first + 1, … of an int8 array, extended by sign; beyond `last` that element repeats."""
    lanes = marker.lanes
    if not (isinstance(array, types.Array) and array.dtype == types.int8 and array.ndim == 1):
        raise TypingError(f"small numbers are read from flat int8 arrays, not {array}")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, data, begin, end = args
        value: ir.Value = ir.Constant(lanes.llvm, ir.Undefined)
        for lane in range(lanes.width):
            item = _clamped(builder, begin, end, lane)
            number = builder.sext(builder.load(element_pointer(context, builder, array, data, item)), I64)
            value = (
                number if lanes.width == 1 else builder.insert_element(value, number, ir.Constant(I64, lane))
            )
        return value

    return lanes(marker, array, types.int64, types.int64), codegen


def _write(big_endian: bool) -> Any:
    @intrinsic
    def operation(
        typingctx: Any, array: Any, stride: Any, column: Any, first: Any, stop: Any, words: Any
    ) -> Any:
        lanes = words.dtype

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            data, step, start, begin, end, values = args
            parts = cgutils.unpack_tuple(builder, values)
            if big_endian:
                parts = [swapped(builder, lanes, word) for word in reversed(parts)]
            for lane in range(lanes.width):
                item = builder.add(begin, ir.Constant(I64, lane))
                with builder.if_then(builder.icmp_signed("<", item, end)):
                    base = builder.add(builder.mul(item, step), start)
                    for index, part in enumerate(parts):
                        word = part
                        if lanes.width > 1:
                            word = builder.extract_element(part, ir.Constant(I64, lane))
                        at = builder.add(base, ir.Constant(I64, index))
                        builder.store(word, element_pointer(context, builder, array, data, at), align=8)
            return context.get_dummy_value()

        return types.void(array, types.int64, types.int64, types.int64, types.int64, words), codegen

    return operation


write_big = _write(big_endian=True)
"""write_big(array, stride, column, first, stop, words): four words as big-endian bytes to rows first, first + 1, … below
`stop`, each from word `column` on."""

write_little = _write(big_endian=False)
"""The same with the words as they are, however many."""


def _below(builder: ir.IRBuilder, e: Emitter, words: list[ir.Value], bound: int) -> ir.Value:
    """Mask of the lanes whose words are below `bound`: the borrow out of words − bound."""
    borrow = None
    for index, word in enumerate(words):
        limit = e.constant((bound >> (64 * index)) & ((1 << 64) - 1))
        less = builder.icmp_unsigned("<", word, limit)
        if borrow is not None:
            same = builder.icmp_unsigned("==", word, limit)
            less = builder.or_(less, builder.and_(same, borrow))
        borrow = less
    return borrow


@intrinsic
def below_modulus(typingctx: Any, field: Any, words: Any) -> Any:
    """Mask of the lanes whose words are a canonical value of the field, in both parts of an extension."""
    lanes = field.lanes

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        parts = cgutils.unpack_tuple(builder, args[1])
        e, modulus = Emitter(builder, lanes), field.element.modulus
        size = -(-modulus.bit_length() // 64)
        masks = [
            _below(builder, e, parts[at : at + size], modulus)
            for at in range(0, field.element.spec.words, size)
        ]
        return functools.reduce(builder.and_, masks)

    return MaskType(lanes.width)(field, words), codegen


@intrinsic
def above_half(typingctx: Any, field: Any, words: Any) -> Any:
    """Mask of the lanes whose words are above (modulus − 1)/2; of an extension, those of c₁, and of c₀ where c₁ is 0."""
    lanes = field.lanes

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        parts = cgutils.unpack_tuple(builder, args[1])
        e, half = Emitter(builder, lanes), (field.element.modulus + 1) // 2
        size = -(-field.element.modulus.bit_length() // 64)
        above = None
        for at in range(0, field.element.spec.words, size):
            own = parts[at : at + size]
            larger = builder.not_(_below(builder, e, own, half))
            if above is not None:
                none = builder.icmp_unsigned("==", functools.reduce(builder.or_, own), e.constant(0))
                larger = builder.or_(larger, builder.and_(none, above))
            above = larger
        return above

    return MaskType(lanes.width)(field, words), codegen


@intrinsic
def odd(typingctx: Any, field: Any, words: Any) -> Any:
    """Mask of the lanes whose canonical words are an odd number; of an extension c₀, and c₁ where c₀ is 0 (sgn0 of RFC
    9380, section 4.1)."""
    lanes = field.lanes

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        parts = cgutils.unpack_tuple(builder, args[1])
        e = Emitter(builder, lanes)
        size = -(-field.element.modulus.bit_length() // 64)
        lowest = e.constant(0)
        for at in reversed(range(0, field.element.spec.words, size)):
            none = builder.icmp_unsigned(
                "==", functools.reduce(builder.or_, parts[at : at + size]), e.constant(0)
            )
            lowest = builder.select(none, lowest, parts[at])
        return builder.icmp_unsigned("!=", e.mask(lowest, 1), e.constant(0))

    return MaskType(lanes.width)(field, words), codegen


@intrinsic
def words_zero(typingctx: Any, words: Any) -> Any:
    """Mask of the lanes whose words are all zero."""
    lanes = words.dtype

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        joined = None
        for part in cgutils.unpack_tuple(builder, args[0]):
            joined = part if joined is None else builder.or_(joined, part)
        return builder.icmp_unsigned("==", joined, Emitter(builder, lanes).constant(0))

    return MaskType(lanes.width)(words), codegen


@intrinsic
def words_equal(typingctx: Any, a: Any, b: Any) -> Any:
    """Mask of the lanes where all words agree."""
    lanes = a.dtype

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        joined = None
        for x, y in zip(
            cgutils.unpack_tuple(builder, args[0]), cgutils.unpack_tuple(builder, args[1]), strict=True
        ):
            difference = builder.xor(x, y)
            joined = difference if joined is None else builder.or_(joined, difference)
        return builder.icmp_unsigned("==", joined, Emitter(builder, lanes).constant(0))

    return MaskType(lanes.width)(a, b), codegen


@intrinsic
def select_words(typingctx: Any, mask: Any, a: Any, b: Any) -> Any:
    """`a` where the mask is set, `b` elsewhere."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, y = cgutils.unpack_tuple(builder, args[1]), cgutils.unpack_tuple(builder, args[2])
        return context.make_tuple(
            builder, a, [builder.select(args[0], p, q) for p, q in zip(x, y, strict=True)]
        )

    return a(mask, a, b), codegen


@intrinsic
def cleared(typingctx: Any, mask: Any, words: Any) -> Any:
    """The words where the mask is set, zeros elsewhere."""
    lanes = words.dtype

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zero = Emitter(builder, lanes).constant(0)
        parts = [builder.select(args[0], part, zero) for part in cgutils.unpack_tuple(builder, args[1])]
        return context.make_tuple(builder, words, parts)

    return words(mask, words), codegen


def _add_constant(
    builder: ir.IRBuilder, lanes: LanesType, words: list[ir.Value], value: int
) -> list[ir.Value]:
    """words + value, with one more word for the carry."""
    e = Emitter(builder, lanes)
    carry: ir.Value = e.constant(0)
    total = []
    for index, word in enumerate(words):
        first = e.add(word, e.constant((value >> (64 * index)) & ((1 << 64) - 1)))
        second = e.add(first, carry)
        over = builder.or_(builder.icmp_unsigned("<", first, word), builder.icmp_unsigned("<", second, first))
        carry = builder.zext(over, lanes.llvm)
        total.append(second)
    return [*total, carry]


@intrinsic
def add_order(typingctx: Any, curve: Any, words: Any) -> Any:
    """words + the group order, in five words."""
    result = types.UniTuple(words.dtype, words.count + 1)
    order = curve.spec.scalar_field.modulus

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        parts = cgutils.unpack_tuple(builder, args[1])
        return context.make_tuple(builder, result, _add_constant(builder, words.dtype, parts, order))

    return result(curve, words), codegen


@intrinsic(prefer_literal=True)
def add_repeated(typingctx: Any, words: Any, pattern: Any, count: Any) -> Any:
    """words + pattern · Σ 2^(bits·i) for i < count, with one more word for the carry.

    The pattern is a power of two of `bits` bits. Adding 8 to each of 64 nibbles turns every nibble m into a signed
    digit m − 8 with all carries already made; the same with 128 for bytes.
    """
    top = literal(pattern, "pattern")
    bits = top.bit_length()
    offset = sum(top << (bits * index) for index in range(literal(count, "count")))
    result = types.UniTuple(words.dtype, words.count + 1)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        parts = cgutils.unpack_tuple(builder, args[0])
        return context.make_tuple(builder, result, _add_constant(builder, words.dtype, parts, offset))

    return result(words, pattern, count), codegen


@intrinsic
def _shifted(typingctx: Any, words: Any, bits: Any) -> Any:
    """The words as one number, divided by 2^bits for bits in 1 … 63."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        lanes = words.dtype
        parts = cgutils.unpack_tuple(builder, args[0])
        down = every(builder, lanes.llvm, args[1])
        up = every(builder, lanes.llvm, builder.sub(ir.Constant(I64, 64), args[1]))
        moved = [
            builder.or_(builder.lshr(low, down), builder.shl(high, up))
            for low, high in itertools.pairwise(parts)
        ]
        return context.make_tuple(builder, words, [*moved, builder.lshr(parts[-1], down)])

    return words(words, types.int64), codegen


@njit(nogil=True, cache=True)
def store_digits(words, bits, count, negative, digits, at):
    """Signed digits of `bits` bits, from the lowest, to int16 `digits` from index `at` on, a vector each; negated where the
    mask `negative` is set.

    `words` are a number to which `add_repeated` added 2^(bits − 1) for each digit but the highest.
    """
    lanes = ln.marker_of(words[0])
    half = ln.splat(lanes, 1 << (bits - 1))
    low = ln.splat(lanes, (1 << bits) - 1)
    for index in range(count):
        digit = ln.and_(words[0], low)
        words = _shifted(words, bits)
        if index < count - 1:
            digit = ln.sub(digit, half)
        ln.store(digits, at + index * ln.lane_width(lanes), ln.select(negative, ln.negate(digit), digit))
