# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of rows of elements, from which each lane takes the row of its own index.

A row holds the limbs of its elements word by word, so that a lane's row is loaded whole and as many rows as there are lanes
are transposed: about three instructions a limb, where a scan of the table costs two for each of its rows and a gather more
than twenty cycles. All lanes may share one table, or each has its own.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from supervm.kernels.cpu.fields.element_type import pack, unpack
from supervm.kernels.cpu.lanes.lanes import I64, LanesType, element_pointer, splat_constant
from supervm.kernels.cpu.lanes.numba_types import literal
from supervm.kernels.cpu.lanes.transpose import transpose

SLACK = 8
"""Words behind the last row of a table that a load may reach."""


def padded_row(words: int) -> int:
    """Words from one row of a table to the next: a cache line holds whole vectors of it."""
    return -(-words // 8) * 8


@intrinsic(prefer_literal=True)
def row_words(typingctx: Any, field: Any, parts: Any) -> Any:
    """Words from one row of `parts` (literal) elements to the next, as a compile-time constant."""
    stride = padded_row(literal(parts, "parts") * field.element.code.limbs)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(I64, stride)

    return types.int64(field, parts), codegen


@intrinsic(prefer_literal=True)
def lookup(
    typingctx: Any, field: Any, table: Any, start: Any, apart: Any, stride: Any, index: Any, parts: Any
) -> Any:
    """`parts` (literal) elements of row `index` of each lane's table, as a tuple.

    Args:
        table: flat uint64; lane l's table begins at word `start` + l · `apart`, its rows are `stride` words from each other.
        start: may lie inside a row: then the elements from there on are meant.
        index: a row for each lane, not checked.
    """
    element = field.element
    count = literal(parts, "parts")
    result = types.UniTuple(element, count)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        base = element_pointer(context, builder, table, args[1], args[2])
        rows = []
        for lane in range(element.lanes.width):
            row = args[5]
            if element.lanes.width > 1:
                row = builder.extract_element(row, ir.Constant(I64, lane))
            offset = builder.add(builder.mul(row, args[4]), builder.mul(ir.Constant(I64, lane), args[3]))
            rows.append(builder.gep(base, [offset]))
        limbs = element.code.limbs
        words = _loaded(builder, element.lanes, rows, count * limbs)
        values = [pack(builder, element, words[part * limbs : (part + 1) * limbs]) for part in range(count)]
        return context.make_tuple(builder, result, values)

    return result(field, table, types.int64, types.int64, types.int64, index, parts), codegen


def _loaded(builder: ir.IRBuilder, lanes: LanesType, rows: list[ir.Value], count: int) -> list[ir.Value]:
    """Words 0 … count − 1 of each lane's row."""
    words: list[ir.Value] = []
    for block in range(0, count, lanes.width):
        places = [builder.gep(row, [ir.Constant(I64, block)]) for row in rows]
        loaded = [builder.load(builder.bitcast(place, lanes.llvm.as_pointer()), align=8) for place in places]
        words += transpose(builder, loaded)
    return words


@intrinsic
def store_row(typingctx: Any, table: Any, start: Any, apart: Any, elements: Any) -> Any:
    """Write a row to each lane's table, what stands behind it up to a multiple of the lanes too: lane l's goes to word
    `start` + l · `apart`."""
    element = elements.dtype
    lanes = element.lanes

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        base = element_pointer(context, builder, table, args[0], args[1])
        words = [
            limb
            for value in cgutils.unpack_tuple(builder, args[3])
            for limb in unpack(builder, element, value)
        ]
        words += [splat_constant(lanes, 0)] * (-len(words) % lanes.width)
        for block in range(0, len(words), lanes.width):
            for lane, row in enumerate(transpose(builder, words[block : block + lanes.width])):
                offset = builder.mul(ir.Constant(I64, lane), args[2])
                place = builder.gep(base, [builder.add(offset, ir.Constant(I64, block))])
                builder.store(row, builder.bitcast(place, lanes.llvm.as_pointer()), align=8)
        return context.get_dummy_value()

    return types.void(table, types.int64, types.int64, elements), codegen
