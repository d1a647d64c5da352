# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetching table entries by each lane's own index.

A lane's own table (on the stack) is scanned whole, since eight masked loads a limb cost less than a gather; one lane loads
its entry directly. A table that all lanes share is read row by row.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from supervm.kernels.cpu.fields.element_type import pack, unpack
from supervm.kernels.cpu.lanes.emitter import Emitter
from supervm.kernels.cpu.lanes.lanes import I64, LanesType, element_pointer
from supervm.kernels.cpu.lanes.numba_types import literal
from supervm.kernels.cpu.lanes.transpose import transpose


@intrinsic(prefer_literal=True)
def lookup_local(typingctx: Any, table: Any, index: Any, count: Any, neutral: Any) -> Any:
    """Entry `index` (0: `neutral`, 1 … count: the table's entries in order) of a `local` of `count` tuples.

    The scan over `count` (literal) entries is unrolled; an index above `count` gives `neutral`.
    """
    entries = literal(count, "count")
    element = table.element
    parts = neutral.count

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = Emitter(builder, element.lanes)
        found = [unpack(builder, element, value) for value in cgutils.unpack_tuple(builder, args[3])]
        if element.lanes.width == 1:
            return _direct(context, builder, e, args, found)
        for entry in range(entries):
            here = builder.icmp_unsigned("==", args[1], e.constant(entry + 1))
            for part in range(parts):
                pointer = builder.gep(args[0], [ir.Constant(I64, entry * parts + part)])
                stored = unpack(builder, element, builder.load(pointer))
                found[part] = [
                    builder.select(here, new, old) for new, old in zip(stored, found[part], strict=True)
                ]
        return context.make_tuple(builder, neutral, [pack(builder, element, limbs) for limbs in found])

    def _direct(context: Any, builder: Any, e: Emitter, args: Any, found: Any) -> Any:
        present = builder.icmp_unsigned("!=", args[1], e.constant(0))
        row = builder.mul(builder.sub(args[1], builder.zext(present, I64)), ir.Constant(I64, parts))
        values = []
        for part in range(parts):
            pointer = builder.gep(args[0], [builder.add(row, ir.Constant(I64, part))])
            stored = unpack(builder, element, builder.load(pointer))
            limbs = [builder.select(present, new, old) for new, old in zip(stored, found[part], strict=True)]
            values.append(pack(builder, element, limbs))
        return context.make_tuple(builder, neutral, values)

    return neutral(table, index, count, neutral), codegen


@intrinsic(prefer_literal=True)
def lookup_shared(typingctx: Any, field: Any, table: Any, index: Any, parts: Any) -> Any:
    """Row `index` of a flat uint64 table with `parts` (literal) elements a row, rows padded to eight words.

    With lanes each lane's row is loaded whole and eight rows are transposed: about five instructions a limb, where a gather
    costs over twenty cycles.
    """
    element = field.element
    count = literal(parts, "parts")
    limbs = element.code.limbs
    stride = padded_row(count * limbs)
    result = types.UniTuple(element, count)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        base = element_pointer(context, builder, table, args[1], ir.Constant(I64, 0))
        if element.lanes.width == 1:
            row = builder.gep(base, [builder.mul(args[2], ir.Constant(I64, stride))])
            words = [
                builder.load(builder.gep(row, [ir.Constant(I64, word)]), align=8)
                for word in range(count * limbs)
            ]
        else:
            words = _transposed_rows(builder, element.lanes, base, args[2], stride)
        values = [pack(builder, element, words[part * limbs : (part + 1) * limbs]) for part in range(count)]
        return context.make_tuple(builder, result, values)

    return result(field, table, index, parts), codegen


def padded_row(words: int) -> int:
    """Words from one row of a shared table to the next."""
    return -(-words // 8) * 8


def _transposed_rows(
    builder: ir.IRBuilder, lanes: LanesType, base: ir.Value, index: ir.Value, stride: int
) -> list[ir.Value]:
    """Word j of each lane's row, for every j below `stride`."""
    starts = []
    for lane in range(lanes.width):
        row = builder.extract_element(index, ir.Constant(I64, lane))
        starts.append(builder.gep(base, [builder.mul(row, ir.Constant(I64, stride))]))
    words: list[ir.Value] = []
    for block in range(0, stride, lanes.width):
        rows = [
            builder.load(
                builder.bitcast(builder.gep(start, [ir.Constant(I64, block)]), lanes.llvm.as_pointer()),
                align=8,
            )
            for start in starts
        ]
        words += transpose(builder, rows)
    return words


@intrinsic(prefer_literal=True)
def lookup_stored(
    typingctx: Any, field: Any, array: Any, x_at: Any, y_at: Any, index: Any, count: Any, stride: Any
) -> Any:
    """Entry `index` (1 … count, literal) of a table that `field.store` wrote, as (x, y).

    The first x stands at word `x_at`, the first y at `y_at`, entries are `stride` (literal) elements apart. Where the
    index is 0 or above `count` the last entry comes back, and the caller must not use it.
    """
    element = field.element
    entries, step = literal(count, "count"), literal(stride, "stride")
    result = types.UniTuple(element, 2)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = Emitter(builder, element.lanes)
        words = element.code.limbs * element.lanes.width
        rows = element.lanes.llvm.as_pointer()
        values = []
        if element.lanes.width == 1:
            row = builder.select(
                builder.icmp_unsigned("==", args[4], e.constant(0)),
                e.constant(0),
                builder.sub(args[4], e.constant(1)),
            )
            offsets = [builder.mul(row, ir.Constant(I64, step * words))]
        else:
            offsets = [ir.Constant(I64, step * words * entry) for entry in range(entries - 1, -1, -1)]
        here = [
            builder.icmp_unsigned("==", args[4], e.constant(entry + 1))
            for entry in range(entries - 1, -1, -1)
        ]
        for start in (args[2], args[3]):
            limbs: list[ir.Value] = []
            for position, offset in enumerate(offsets):
                pointer = element_pointer(context, builder, array, args[1], builder.add(start, offset))
                pointer = builder.bitcast(pointer, rows)
                stored = [
                    builder.load(builder.gep(pointer, [ir.Constant(I64, limb)]), align=8)
                    for limb in range(element.code.limbs)
                ]
                if position == 0:
                    limbs = stored
                else:
                    limbs = [
                        builder.select(here[position], new, old)
                        for new, old in zip(stored, limbs, strict=True)
                    ]
            values.append(pack(builder, element, limbs))
        return context.make_tuple(builder, result, values)

    return result(field, array, types.int64, types.int64, index, count, stride), codegen
