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

from supervm.kernels.cpu.emit import Emitter
from supervm.kernels.cpu.field import literal, pack, unpack
from supervm.kernels.cpu.lanes import I64, element_pointer, gather_words


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
    """Row `index` of a flat uint64 table with `parts` (literal) elements a row."""
    element = field.element
    count = literal(parts, "parts")
    result = types.UniTuple(element, count)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = Emitter(builder, element.lanes)
        limbs = element.code.limbs
        base = element_pointer(context, builder, table, args[1], ir.Constant(I64, 0))
        row = builder.mul(args[2], e.constant(count * limbs))
        values = []
        for part in range(count):
            words = [
                gather_words(
                    builder, element.lanes, builder.gep(base, [ir.Constant(I64, part * limbs + limb)]), row
                )
                for limb in range(limbs)
            ]
            values.append(pack(builder, element, words))
        return context.make_tuple(builder, result, values)

    return result(field, table, index, parts), codegen
