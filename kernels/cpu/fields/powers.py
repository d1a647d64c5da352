# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixed powers of field elements, such as square roots, by the addition chains of `kernels.exponents`; and inverses of rows.

A chain is data, so that the compiled code is one loop with one square and one product in it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields.element_type import LocalType
from supervm.kernels.cpu.fields.inverse import ROOM
from supervm.kernels.cpu.fields.lane_inverse import invert_lanes
from supervm.kernels.cpu.lanes.lanes import I64
from supervm.kernels.exponents import EXPONENTS, SLOTS, addition_chain, exponent


@intrinsic
def _chain(typingctx: Any, a: Any, which: Any, row: Any, column: Any) -> Any:
    """Entry (row, column) of chain `which` of the element's field; row −1 holds the number of rows."""
    chains = [addition_chain(exponent(a.spec, name)) for name in EXPONENTS]
    longest = max(len(rows) for rows in chains) + 1
    flat: list[int] = []
    for rows in chains:
        padded = [(len(rows), 0, 0, 0), *rows] + [(-1, 0, -1, -1)] * (longest - 1 - len(rows))
        flat += [entry for each in padded for entry in each]

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = ir.Constant(ir.ArrayType(I64, len(flat)), flat)
        table = cgutils.global_constant(builder.module, f"chains.{a.spec.name}", values)
        index = builder.add(
            builder.mul(args[1], ir.Constant(I64, longest)), builder.add(args[2], ir.Constant(I64, 1))
        )
        index = builder.add(builder.mul(index, ir.Constant(I64, 4)), args[3])
        return builder.load(builder.gep(table, [ir.Constant(I64, 0), index]))

    return types.int64(a, types.int64, types.int64, types.int64), codegen


@intrinsic
def _room(typingctx: Any, a: Any) -> Any:
    result = LocalType(a, SLOTS)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return cgutils.alloca_once(builder, a.llvm, size=SLOTS)

    return result(a), codegen


@njit(nogil=True, cache=True)
def power(a, which):
    """a to the exponent `which`: INVERSE, ROOT or INVERSE_ROOT."""
    slots = _room(a)
    fe.put(slots, 0, a)
    for row in range(_chain(a, which, -1, 0)):
        start = _chain(a, which, row, 0)
        if start >= 0:
            a = fe.get(slots, start)
        for _ in range(_chain(a, which, row, 1)):
            a = fe.sqr(a)
        factor = _chain(a, which, row, 2)
        if factor >= 0:
            a = fe.mul(a, fe.get(slots, factor))
        keep = _chain(a, which, row, 3)
        if keep >= 0:
            fe.put(slots, keep, a)
    return a


@njit(nogil=True, cache=True)
def inverse(field, a):
    """a⁻¹ in every lane, and 0 for 0, with one inversion."""
    none = fe.is_zero(a)
    inverted = invert_lanes(field, fe.select(none, fe.constant(field, 1), a), np.empty(ROOM, np.uint64))
    return fe.select(none, fe.constant(field, 0), inverted)


@njit(nogil=True, cache=True)
def _power_pair(a, b, which):
    """Both powers at once: one chain of squarings leaves most of the multiplier idle, two fill it."""
    first, second = _room(a), _room(b)
    fe.put(first, 0, a)
    fe.put(second, 0, b)
    for row in range(_chain(a, which, -1, 0)):
        start = _chain(a, which, row, 0)
        if start >= 0:
            a, b = fe.get(first, start), fe.get(second, start)
        for _ in range(_chain(a, which, row, 1)):
            a, b = fe.sqr(a), fe.sqr(b)
        factor = _chain(a, which, row, 2)
        if factor >= 0:
            a, b = fe.mul(a, fe.get(first, factor)), fe.mul(b, fe.get(second, factor))
        keep = _chain(a, which, row, 3)
        if keep >= 0:
            fe.put(first, keep, a)
            fe.put(second, keep, b)
    return a, b


@njit(nogil=True, cache=True)
def power_rows(field, array, start, stride, count, which):
    """Replace `count` elements, stored `stride` words apart from word `start` on, by their powers."""
    for index in range(0, count - 1, 2):
        at = start + index * stride
        a, b = _power_pair(fe.load(field, array, at), fe.load(field, array, at + stride), which)
        fe.store(array, at, a)
        fe.store(array, at + stride, b)
    if count % 2 == 1:
        at = start + (count - 1) * stride
        fe.store(array, at, power(fe.load(field, array, at), which))


@njit(nogil=True, cache=True)
def invert_rows(field, array, start, scratch, stride, count):
    """Replace `count` elements by their inverses with one inversion (Montgomery's trick); none may be 0.

    Args:
        array: flat uint64; the elements stand `stride` words apart from word `start` on.
        scratch: where room for one element lies, likewise `stride` words apart.
    """
    total = fe.constant(field, 1)
    for index in range(count):
        fe.store(array, scratch + index * stride, total)
        total = fe.mul(total, fe.load(field, array, start + index * stride))
    total = inverse(field, total)
    for index in range(count - 1, -1, -1):
        value = fe.load(field, array, start + index * stride)
        before = fe.load(field, array, scratch + index * stride)
        fe.store(array, start + index * stride, fe.mul(total, before))
        total = fe.mul(total, value)
