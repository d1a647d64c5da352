# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of affine points as canonical words, and back: x and then y, infinity all zero."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from supervm.kernels.cpu.curves.curve import base_field, curve_constant, lanes_of
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields import multiword as wd
from supervm.kernels.cpu.fields.lazy import from_words, mul, sqr, to_words
from supervm.kernels.cpu.fields.powers import invert_rows
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.cpu.lanes.lanes import I64

# mypy: disallow_untyped_defs=False

GROUPS = 32
"""Lane groups that are worked on together and share an inversion."""


@intrinsic
def words_of(typingctx: Any, field: Any) -> Any:
    """64-bit words of an element's canonical value."""
    count = field.element.spec.words

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(I64, count)

    return types.int64(field), codegen


@njit(nogil=True, inline="always")
def right_side(curve, x):
    """x³ + b."""
    return fe.add(mul(sqr(x), x), curve_constant(curve, "b"))


@njit(nogil=True, inline="always")
def on_curve(curve, x, y):
    """Mask of the lanes where y² = x³ + b."""
    return fe.equal(sqr(y), right_side(curve, x))


@njit(nogil=True, cache=True)
def read_point(curve, rows, first, last):
    """(x, y, infinite, good) of rows first, …: elements, and masks. A good row is canonical and infinity or on the curve."""
    F = base_field(curve)
    size = words_of(F)
    x_words = wd.read_element(F, rows, 2 * size, 0, first, last)
    y_words = wd.read_element(F, rows, 2 * size, size, first, last)
    infinite = ln.and_(wd.words_zero(x_words), wd.words_zero(y_words))
    x, y = from_words(F, x_words), from_words(F, y_words)
    good = ln.and_(wd.below_modulus(F, x_words), wd.below_modulus(F, y_words))
    return x, y, infinite, ln.and_(good, ln.or_(infinite, on_curve(curve, x, y)))


@njit(nogil=True, cache=True)
def write_point(curve, rows, first, stop, x, y, finite):
    """Write affine points to rows first, … below `stop`, all zero where `finite` is clear."""
    F = base_field(curve)
    size = words_of(F)
    zero = fe.sub(x, x)
    wd.write_little(rows, 2 * size, 0, first, stop, to_words(fe.select(finite, x, zero)))
    wd.write_little(rows, 2 * size, size, first, stop, to_words(fe.select(finite, y, zero)))


@njit(nogil=True, inline="always")
def workspace(curve, elements):
    """Room for `elements` elements and two more, for an inversion, of each of GROUPS lane groups."""
    return np.empty(GROUPS * (elements + 2) * fe.storage(base_field(curve)), np.uint64)


@njit(nogil=True, inline="always")
def put(curve, work, elements, group, index, a):
    """Store element `index` of a lane group."""
    fe.store(work, (group * (elements + 2) + index) * fe.storage(base_field(curve)), a)


@njit(nogil=True, inline="always")
def get(curve, work, elements, group, index):
    """Fetch what `put` stored."""
    F = base_field(curve)
    return fe.load(F, work, (group * (elements + 2) + index) * fe.storage(F))


@njit(nogil=True, inline="always")
def put_denominator(curve, work, elements, group, a):
    """Store what `invert_denominators` inverts; returns the mask of the lanes where it is not 0."""
    none = fe.is_zero(a)
    put(curve, work, elements, group, elements, fe.select(none, fe.constant(base_field(curve), 1), a))
    return ln.mask_not(none)


@njit(nogil=True, inline="always")
def invert_denominators(curve, work, elements, groups):
    """Invert every group's denominator, element `elements`, with one inversion."""
    F = base_field(curve)
    size = fe.storage(F)
    invert_rows(F, work, elements * size, (elements + 1) * size, (elements + 2) * size, groups)


@njit(nogil=True, inline="always")
def put_point(curve, work, group, P):
    """Store what `write_affine` takes of a group's three elements and its denominator: P in Jacobian coordinates."""
    put(curve, work, 3, group, 0, P[0])
    put(curve, work, 3, group, 1, P[1])
    put(curve, work, 3, group, 2, P[2])
    put_denominator(curve, work, 3, group, P[2])


@njit(nogil=True, cache=True)
def write_affine(curve, work, extended, groups, chunk, stop, results):
    """Write all groups' Jacobian points (X, Y, Z), or extended ones (X, Y, ZZ), in affine form to rows chunk … stop − 1.

    What is inverted is Z, or ZZZ: then 1/ZZ = (ZZ/ZZZ)², since ZZ³ = ZZZ².
    """
    width = ln.lane_width(lanes_of(curve))
    invert_denominators(curve, work, 3, groups)
    for group in range(groups):
        inverted = get(curve, work, 3, group, 3)
        third = get(curve, work, 3, group, 2)
        square = sqr(mul(third, inverted) if extended else inverted)
        x = mul(get(curve, work, 3, group, 0), square)
        y = mul(get(curve, work, 3, group, 1), inverted if extended else mul(square, inverted))
        finite = ln.mask_not(fe.is_zero(third))
        write_point(curve, results, chunk + group * width, stop, x, y, finite)


@njit(nogil=True, cache=True)
def write_good(verdicts, first, stop, width, good):
    """1 for the lanes whose bit is set, −1 for the others."""
    for lane in range(min(width, stop - first)):
        verdicts[first + lane] = 1 if (good >> lane) & 1 else -1
