# SPDX-License-Identifier: GPL-3.0-or-later
"""Affine points packed in rows: x then y, each in as many 64-bit words as a canonical value has.

In Montgomery form where the field has it, and then below 2p, not canonical, which leaves the top of the last word free. A
row whose x is all ones is the point at infinity. A row is fetched whole, and as many as there are lanes are transposed into
them, which is several times cheaper than gathering word by word.

An entry is a uint32 that says where a point is: the number of its row, NEGATED where it is meant with −y, SCRATCH where the
row stands in the second of two arrays.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from supervm.kernels.cpu.fields.element_type import ElementType, pack, unpack
from supervm.kernels.cpu.lanes.emitter import Emitter
from supervm.kernels.cpu.lanes.lanes import I8, I32, I64, LanesType, MaskType, call_llvm, element_pointer
from supervm.kernels.cpu.lanes.transpose import transpose

NEGATED = 1 << 31
SCRATCH = 1 << 30
EMPTY = (1 << 32) - 1
"""An entry that stands for no point, which no row of points can have."""

MOST_ROWS = (1 << 30) - 1
"""Rows of one array that entries can name."""


def row_words(element: ElementType) -> int:
    """Words of a row."""
    return 2 * int(element.spec.words)


def _half_transpose(builder: ir.IRBuilder, rows: list[ir.Value]) -> list[ir.Value]:
    """Four words of each of eight rows as four vectors: row i and row i + 4 share a register, then 4 x 4 twice."""
    pairs = [builder.shuffle_vector(rows[i], rows[i + 4], _indices(range(8))) for i in range(4)]
    for step in (1, 2):
        for low in (row for row in range(4) if not row & step):
            a, b = pairs[low], pairs[low + step]
            lower = [j if not j & step else 8 + j - step for j in range(8)]
            upper = [j + step if not j & step else 8 + j for j in range(8)]
            pairs[low] = builder.shuffle_vector(a, b, _indices(lower))
            pairs[low + step] = builder.shuffle_vector(a, b, _indices(upper))
    return pairs


def _half_rows(builder: ir.IRBuilder, words: list[ir.Value]) -> list[ir.Value]:
    """The inverse of `_half_transpose`."""
    pairs = list(words)
    for step in (2, 1):
        for low in (row for row in range(4) if not row & step):
            a, b = pairs[low], pairs[low + step]
            lower = [j if not j & step else 8 + j - step for j in range(8)]
            upper = [j + step if not j & step else 8 + j for j in range(8)]
            pairs[low] = builder.shuffle_vector(a, b, _indices(lower))
            pairs[low + step] = builder.shuffle_vector(a, b, _indices(upper))
    return [
        builder.shuffle_vector(pairs[i], pairs[i], _indices(range(4 * half, 4 * half + 4)))
        for half in range(2)
        for i in range(4)
    ]


def _indices(chosen: Any) -> ir.Constant:
    numbers = [ir.Constant(I32, index) for index in chosen]
    return ir.Constant(ir.VectorType(I32, len(numbers)), numbers)


def _load_rows(builder: ir.IRBuilder, lanes: LanesType, starts: list[ir.Value], count: int) -> list[ir.Value]:
    """Words 0 … count − 1 (a multiple of four) of the rows at these addresses, one vector for each word."""
    if lanes.width == 1:
        return [builder.load(builder.gep(starts[0], [ir.Constant(I64, k)]), align=8) for k in range(count)]
    words: list[ir.Value] = []
    for block in range(0, count, lanes.width):
        span = min(lanes.width, count - block)
        typ = ir.VectorType(I64, span).as_pointer()
        rows = [
            builder.load(builder.bitcast(builder.gep(start, [ir.Constant(I64, block)]), typ), align=8)
            for start in starts
        ]
        words += transpose(builder, rows) if span == lanes.width else _half_transpose(builder, rows)
    return words


def _store_rows(
    builder: ir.IRBuilder, lanes: LanesType, starts: list[ir.Value], words: list[ir.Value]
) -> None:
    if lanes.width == 1:
        for index, word in enumerate(words):
            builder.store(word, builder.gep(starts[0], [ir.Constant(I64, index)]), align=8)
        return
    for block in range(0, len(words), lanes.width):
        part = words[block : block + lanes.width]
        rows = transpose(builder, part) if len(part) == lanes.width else _half_rows(builder, part)
        typ = ir.VectorType(I64, len(part)).as_pointer()
        for start, row in zip(starts, rows, strict=True):
            builder.store(row, builder.bitcast(builder.gep(start, [ir.Constant(I64, block)]), typ), align=8)


class _Entries:
    """The rows that consecutive entries name."""

    def __init__(self, context: Any, builder: Any, element: ElementType, signature: Any, args: Any) -> None:
        """`args`: points, scratch, entries, offset, as in `gather`, of the types in `signature`."""
        points, scratch, entries, at = args
        self.builder, self.lanes = builder, element.lanes
        zero = ir.Constant(I64, 0)
        self.points = element_pointer(context, builder, signature[0], points, zero)
        self.scratch = element_pointer(context, builder, signature[1], scratch, zero)
        pointer = element_pointer(context, builder, signature[2], entries, at)
        width = self.lanes.width
        self.each = [
            builder.load(builder.gep(pointer, [ir.Constant(I64, lane)]), align=4) for lane in range(width)
        ]
        self.vector = builder.load(
            pointer if width == 1 else builder.bitcast(pointer, ir.VectorType(I32, width).as_pointer()),
            align=4,
        )
        self.stride = row_words(element)

    def starts(self) -> list[ir.Value]:
        """The address of each row."""
        b = self.builder
        found = []
        for entry in self.each:
            in_scratch = b.icmp_unsigned("!=", b.and_(entry, ir.Constant(I32, SCRATCH)), ir.Constant(I32, 0))
            base = b.select(in_scratch, self.scratch, self.points)
            row = b.zext(b.and_(entry, ir.Constant(I32, SCRATCH - 1)), I64)
            found.append(b.gep(base, [b.mul(row, ir.Constant(I64, self.stride))]))
        return found

    def negated(self) -> ir.Value:
        """Mask of the lanes whose entry has NEGATED."""
        typ = self.vector.type
        return self.builder.icmp_signed(
            "<", self.vector, ir.Constant(typ, None if self.lanes.width > 1 else 0)
        )


@intrinsic
def gather(typingctx: Any, field: Any, points: Any, scratch: Any, entries: Any, at: Any) -> Any:
    """(x, y, negated, infinite) of entries at, at + 1, …: elements as they stand in their rows, and two masks.

    Args:
        field: the marker of the coordinates' field.
        points, scratch: flat uint64 arrays of rows.
        entries: flat uint32 array.
    """
    element = field.element
    mask = MaskType(element.lanes.width)
    result = types.Tuple((element, element, mask, mask))

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = Emitter(builder, element.lanes)
        named = _Entries(context, builder, element, signature.args[1:], args[1:])
        words = _load_rows(builder, element.lanes, named.starts(), named.stride)
        half = named.stride // 2
        infinite = builder.icmp_unsigned("==", words[half - 1], e.constant(-1))
        x, y = (
            pack(builder, element, element.code.unpacked(e, part)) for part in (words[:half], words[half:])
        )
        return context.make_tuple(builder, result, [x, y, named.negated(), infinite])

    return result(field, points, scratch, entries, types.int64), codegen


@intrinsic
def scatter(
    typingctx: Any,
    field: Any,
    points: Any,
    scratch: Any,
    entries: Any,
    at: Any,
    x: Any,
    y: Any,
    infinite: Any,
) -> Any:
    """Write points, below 2p, to the rows that entries at, at + 1, … name; all ones where the mask is set."""
    element = field.element

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = Emitter(builder, element.lanes)
        named = _Entries(context, builder, element, signature.args[1:5], args[1:5])
        words = [
            word for part in args[5:7] for word in element.code.packed(e, unpack(builder, element, part))
        ]
        words = [builder.select(args[7], e.constant(-1), word) for word in words]
        _store_rows(builder, element.lanes, named.starts(), words)
        return context.get_dummy_value()

    return types.void(field, points, scratch, entries, types.int64, x, y, infinite), codegen


@intrinsic
def fetch_ahead(typingctx: Any, field: Any, points: Any, scratch: Any, entries: Any, at: Any) -> Any:
    """Ask for the cache lines of the rows that entries at, at + 1, … name."""
    return _fetch(field, points, scratch, entries, 3)


@intrinsic
def fetch_for_later(typingctx: Any, field: Any, points: Any, scratch: Any, entries: Any, at: Any) -> Any:
    """The same, into the second-level cache alone."""
    return _fetch(field, points, scratch, entries, 2)


def _fetch(field: Any, points: Any, scratch: Any, entries: Any, level: int) -> Any:
    element = field.element

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        named = _Entries(context, builder, element, signature.args[1:], args[1:])
        hint = [ir.Constant(I32, number) for number in (0, level, 1)]
        for start in named.starts():
            for word in range(0, named.stride, 8):
                pointer = builder.bitcast(builder.gep(start, [ir.Constant(I64, word)]), I8.as_pointer())
                call_llvm(builder, "llvm.prefetch.p0", ir.VoidType(), [pointer, *hint])
        return context.get_dummy_value()

    return types.void(field, points, scratch, entries, types.int64), codegen


@intrinsic
def read_coordinates(typingctx: Any, field: Any, array: Any, first: Any, last: Any) -> Any:
    """The words of x and those of y of rows first, first + 1, … of a flat array; beyond `last` that row repeats."""
    element = field.element
    stride = row_words(element)
    half = types.UniTuple(element.lanes, stride // 2)
    result = types.UniTuple(half, 2)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        starts = []
        for lane in range(element.lanes.width):
            row = builder.add(args[2], ir.Constant(I64, lane))
            row = builder.select(builder.icmp_signed("<", row, args[3]), row, args[3])
            at = builder.mul(row, ir.Constant(I64, stride))
            starts.append(element_pointer(context, builder, signature.args[1], args[1], at))
        words = _load_rows(builder, element.lanes, starts, stride)
        parts = [words[: stride // 2], words[stride // 2 :]]
        return context.make_tuple(
            builder, result, [context.make_tuple(builder, half, part) for part in parts]
        )

    return result(field, array, types.int64, types.int64), codegen


@intrinsic
def write_coordinates(
    typingctx: Any, array: Any, first: Any, stop: Any, x: Any, y: Any, infinite: Any
) -> Any:
    """Words of x and y to rows first, first + 1, … below `stop` of a flat array; zeros where the mask is set."""
    lanes = x.dtype

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = Emitter(builder, lanes)
        words = [
            builder.select(args[5], e.constant(0), word)
            for part in args[3:5]
            for word in cgutils.unpack_tuple(builder, part)
        ]
        for lane in range(lanes.width):
            row = builder.add(args[1], ir.Constant(I64, lane))
            with builder.if_then(builder.icmp_signed("<", row, args[2])):
                at = builder.mul(row, ir.Constant(I64, len(words)))
                start = element_pointer(context, builder, signature.args[0], args[0], at)
                for index, word in enumerate(words):
                    value = (
                        word if lanes.width == 1 else builder.extract_element(word, ir.Constant(I64, lane))
                    )
                    builder.store(value, builder.gep(start, [ir.Constant(I64, index)]), align=8)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64, x, y, infinite), codegen


@intrinsic
def words_in_row(typingctx: Any, field: Any) -> Any:
    """Words of a row, as a compile-time constant."""
    count = row_words(field.element)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(I64, count)

    return types.int64(field), codegen
