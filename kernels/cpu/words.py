# SPDX-License-Identifier: GPL-3.0-or-later
"""Integers of several 64-bit words in lanes, little end first, before and after they are field elements.

Words come from rows of bytes: item i of a flat uint64 array with `stride` words a row. All functions are intrinsics on
tuples of lanes.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from supervm.kernels.cpu.emit import Emitter
from supervm.kernels.cpu.field import literal
from supervm.kernels.cpu.lanes import (
    I64,
    MaskType,
    call_llvm,
    element_pointer,
)


def _rows(big_endian: bool, count: int) -> Any:
    @intrinsic
    def operation(
        typingctx: Any, marker: Any, array: Any, stride: Any, column: Any, first: Any, last: Any
    ) -> Any:
        lanes = marker.lanes
        if not (isinstance(array, types.Array) and array.dtype == types.uint64 and array.ndim == 1):
            raise TypingError(f"rows are read from flat uint64 arrays, not {array}")
        result = types.UniTuple(lanes, count)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            _, data, step, start, begin, end = args
            words: list[ir.Value] = [ir.Constant(lanes.llvm, ir.Undefined)] * count
            for lane in range(lanes.width):
                item = builder.add(begin, ir.Constant(I64, lane))
                item = builder.select(builder.icmp_signed("<", item, end), item, end)
                base = builder.add(builder.mul(item, step), start)
                for index in range(count):
                    pointer = element_pointer(
                        context, builder, array, data, builder.add(base, ir.Constant(I64, index))
                    )
                    word = builder.load(pointer, align=8)
                    if lanes.width == 1:
                        words[index] = word
                    else:
                        words[index] = builder.insert_element(words[index], word, ir.Constant(I64, lane))
            if big_endian:
                swap = f"llvm.bswap.{f'v{lanes.width}' if lanes.width > 1 else ''}i64"
                words = [call_llvm(builder, swap, lanes.llvm, [word]) for word in reversed(words)]
            return context.make_tuple(builder, result, words)

        return result(marker, array, types.int64, types.int64, types.int64, types.int64), codegen

    return operation


read_little = _rows(big_endian=False, count=4)
read_big = _rows(big_endian=True, count=4)
"""read(marker, array, stride, column, first, last): four words of rows first, first + 1, …, each from `column` on.

Rows beyond `last` repeat row `last`, so that the last group of a batch needs no padding."""


@intrinsic
def swap_bytes(typingctx: Any, word: Any) -> Any:
    """The word with its eight bytes in opposite order."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        swap = f"llvm.bswap.{f'v{word.width}' if word.width > 1 else ''}i64"
        return call_llvm(builder, swap, word.llvm, [args[0]])

    return word(word), codegen


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
    """Mask of the lanes whose words are a canonical value of the field."""
    lanes = field.lanes

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        parts = cgutils.unpack_tuple(builder, args[1])
        return _below(builder, Emitter(builder, lanes), parts, field.element.spec.modulus)

    return MaskType(lanes.width)(field, words), codegen


@intrinsic
def above_half(typingctx: Any, field: Any, words: Any) -> Any:
    """Mask of the lanes whose words are above (modulus − 1)/2."""
    lanes = field.lanes

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        parts = cgutils.unpack_tuple(builder, args[1])
        return builder.not_(
            _below(builder, Emitter(builder, lanes), parts, (field.element.spec.modulus + 1) // 2)
        )

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


@intrinsic(prefer_literal=True)
def add_repeated(typingctx: Any, words: Any, pattern: Any, count: Any) -> Any:
    """words + pattern · Σ 2^(bits·i) for i < count, pattern a power of two of `bits` bits, plus one word for the carry.

    Adding 8 to each of 64 nibbles (pattern 8, count 64) turns every nibble n into a signed digit n − 8 with all carries
    already made; the same with 128 for bytes.
    """
    lanes = words.dtype
    top = literal(pattern, "pattern")
    bits = top.bit_length()
    offset = sum(top << (bits * index) for index in range(literal(count, "count")))
    result = types.UniTuple(lanes, words.count + 1)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = Emitter(builder, lanes)
        carry: ir.Value = e.constant(0)
        total = []
        for index, word in enumerate(cgutils.unpack_tuple(builder, args[0])):
            addend = e.constant((offset >> (64 * index)) & ((1 << 64) - 1))
            first = e.add(word, addend)
            second = e.add(first, carry)
            over = builder.or_(
                builder.icmp_unsigned("<", first, word), builder.icmp_unsigned("<", second, first)
            )
            carry = builder.zext(over, lanes.llvm)
            total.append(second)
        return context.make_tuple(builder, result, [*total, carry])

    return result(words, pattern, count), codegen
