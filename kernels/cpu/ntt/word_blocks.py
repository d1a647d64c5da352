# SPDX-License-Identifier: GPL-3.0-or-later
"""Four-word numbers between memory and lanes: one a lane that follow each other, or two each of a row a lane.

A number is four 64-bit words, little end first. With lanes whole registers are read and turned; with one lane
these are plain loads and stores. Offsets are in words of flat uint64 arrays.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from supervm.kernels.cpu.lanes.lanes import I32, I64, element_pointer
from supervm.kernels.cpu.lanes.transpose import transpose

WORDS = 4


def _shuffle(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, chosen: list[int]) -> ir.Value:
    mask = ir.Constant(ir.VectorType(I32, len(chosen)), [ir.Constant(I32, index) for index in chosen])
    return builder.shuffle_vector(a, b, mask)


_TURN = [[0, 4, 8, 12, 1, 5, 9, 13], [2, 6, 10, 14, 3, 7, 11, 15]]
"""Two registers that hold two numbers each, as the numbers' words 0 and 1 in one and 2 and 3 in the other; and back."""

_LOWER, _UPPER = [0, 1, 2, 3, 8, 9, 10, 11], [4, 5, 6, 7, 12, 13, 14, 15]


def _pointer(context: Any, builder: Any, array: Any, data: Any, at: Any, lanes: Any) -> Any:
    return builder.bitcast(element_pointer(context, builder, array, data, at), lanes.llvm.as_pointer())


@intrinsic
def load_run(typingctx: Any, marker: Any, array: Any, at: Any) -> Any:
    """`width` numbers that follow each other from word `at` on, as four words in lanes."""
    lanes = marker.lanes
    result = types.UniTuple(lanes, WORDS)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, array, args[1], args[2], lanes)
        rows = [builder.load(builder.gep(pointer, [ir.Constant(I64, i)]), align=8) for i in range(WORDS)]
        if lanes.width == 4:
            rows = transpose(builder, rows)
        elif lanes.width == 2:
            rows = [turned for pair in (rows[::2], rows[1::2]) for turned in transpose(builder, pair)]
        elif lanes.width == 8:
            low, high = ([_shuffle(builder, a, b, part) for part in _TURN] for a, b in (rows[:2], rows[2:]))
            rows = [_shuffle(builder, low[i], high[i], half) for i in range(2) for half in (_LOWER, _UPPER)]
        return context.make_tuple(builder, result, rows)

    return result(marker, array, types.int64), codegen


@intrinsic
def store_run(typingctx: Any, array: Any, at: Any, words: Any) -> Any:
    """The inverse of `load_run`."""
    lanes = words.dtype

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        rows = cgutils.unpack_tuple(builder, args[2])
        if lanes.width == 4:
            rows = transpose(builder, rows)
        elif lanes.width == 2:
            (a, c), (b, d) = (transpose(builder, pair) for pair in (rows[:2], rows[2:]))
            rows = [a, b, c, d]
        elif lanes.width == 8:
            halves = [
                [_shuffle(builder, rows[i], rows[i + 1], half) for i in (0, 2)] for half in (_LOWER, _UPPER)
            ]
            rows = [_shuffle(builder, a, b, part) for a, b in halves for part in _TURN]
        pointer = _pointer(context, builder, array, args[0], args[1], lanes)
        for index, row in enumerate(rows):
            builder.store(row, builder.gep(pointer, [ir.Constant(I64, index)]), align=8)
        return context.get_dummy_value()

    return types.void(array, types.int64, words), codegen


def _row(builder: ir.IRBuilder, at: ir.Value, stride: ir.Value, lane: int, last: ir.Value) -> ir.Value:
    """Offset of a lane's row; rows beyond `last` are row `last` again."""
    number: ir.Value = ir.Constant(I64, lane)
    number = builder.select(builder.icmp_signed("<", number, last), number, last)
    return builder.add(at, builder.mul(number, stride))


@intrinsic
def load_pairs(typingctx: Any, marker: Any, array: Any, at: Any, stride: Any, last: Any) -> Any:
    """Two numbers that follow each other of each of `width` rows, as twice four words in lanes.

    Rows are `stride` words apart; rows beyond number `last` are row `last` again.
    """
    lanes = marker.lanes
    result = types.UniTuple(lanes, 2 * WORDS)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, data, start, step, end = args
        if lanes.width == 1:
            pointer = _pointer(context, builder, array, data, start, lanes)
            rows = [builder.load(builder.gep(pointer, [ir.Constant(I64, i)]), align=8) for i in range(8)]
        else:
            starts = [
                _pointer(context, builder, array, data, _row(builder, start, step, lane, end), lanes)
                for lane in range(lanes.width)
            ]
            rows = []
            for part in range(2 * WORDS // lanes.width):
                places = [builder.gep(pointer, [ir.Constant(I64, part)]) for pointer in starts]
                rows += transpose(builder, [builder.load(place, align=8) for place in places])
        return context.make_tuple(builder, result, rows)

    return result(marker, array, types.int64, types.int64, types.int64), codegen


@intrinsic
def store_pairs(typingctx: Any, array: Any, at: Any, stride: Any, last: Any, words: Any) -> Any:
    """The inverse of `load_pairs`; lanes beyond `last` must hold what lane `last` holds."""
    lanes = words.dtype

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data, start, step, end, values = args
        rows = cgutils.unpack_tuple(builder, values)
        if lanes.width == 1:
            pointer = _pointer(context, builder, array, data, start, lanes)
            for index, row in enumerate(rows):
                builder.store(row, builder.gep(pointer, [ir.Constant(I64, index)]), align=8)
        else:
            parts = [
                transpose(builder, rows[first : first + lanes.width])
                for first in range(0, 2 * WORDS, lanes.width)
            ]
            for lane in range(lanes.width):
                pointer = _pointer(
                    context, builder, array, data, _row(builder, start, step, lane, end), lanes
                )
                for part, turned in enumerate(parts):
                    builder.store(turned[lane], builder.gep(pointer, [ir.Constant(I64, part)]), align=8)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64, types.int64, words), codegen
