# SPDX-License-Identifier: GPL-3.0-or-later
"""Sums of many pairs of affine points of y² = x³ + b, which share one inversion.

λ = (y₂ − y₁)/(x₂ − x₁), x₃ = λ² − x₁ − x₂, y₃ = λ(x₁ − x₃) − y₁: three products, and three more for the inverse by
Montgomery's trick, in eight lanes at once; the lanes' products are multiplied together before the one inversion.

The formulas fail where a point is infinite or x₁ = x₂. Both are noticed for a list of pairs as a whole, the latter
since the product of all differences is 0; such a list is done again by code that tells the cases apart: doubling with
λ = 3x²/2y, opposite points, a point at infinity on either side.
"""

from __future__ import annotations

from numba import njit

from supervm.kernels.cpu.curves.curve import base_field, lanes_of
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields.lane_inverse import invert_lanes
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.cpu.msm.packed_points import fetch_ahead, fetch_for_later, gather, scatter

# mypy: disallow_untyped_defs=False

AHEAD = 4
"""Groups of lanes whose rows are asked for ahead of use."""


@njit(nogil=True, cache=True)
def signed(field, y, negated):
    """y, or −y where the mask is set: below 2p or equal to it."""
    return fe.select(negated, fe.lazy(1, fe.constant(field, 0), -1, y, 2), y)


@njit(nogil=True, cache=True)
def forward(curve, points, scratch, left, right, groups, before, room):
    """(inverse of the product of all differences, whether there is none or a point is infinite); keeps the product before
    each group."""
    field = base_field(curve)
    size = fe.storage(field)
    width = ln.lane_width(lanes_of(curve))
    total = fe.constant(field, 1)
    bits = 0
    for group in range(groups):
        at = group * width
        ahead = min(group + AHEAD, groups - 1) * width
        fetch_ahead(field, points, scratch, left, ahead)
        fetch_ahead(field, points, scratch, right, ahead)
        x1, _, _, i1 = gather(field, points, scratch, left, at)
        x2, _, _, i2 = gather(field, points, scratch, right, at)
        bits |= ln.mask_bits(ln.or_(i1, i2))
        fe.store(before, group * size, total)
        total = fe.mul(total, fe.lazy(1, x2, -1, x1, 2))
    failed = bits != 0 or ln.mask_bits(fe.is_zero(total)) != 0
    return (total if failed else invert_lanes(field, total, room)), failed


@njit(nogil=True, cache=True)
def backward(curve, points, scratch, left, right, out, groups, before, inverse, coming):
    """Write the sums, given the inverse of the product of all differences; meanwhile ask for the rows of entries to come, as
    many as there are of both sides."""
    field = base_field(curve)
    size = fe.storage(field)
    lanes = lanes_of(curve)
    width = ln.lane_width(lanes)
    nowhere = ln.mask_from_bits(lanes, 0)
    for group in range(groups - 1, -1, -1):
        at = group * width
        later = 2 * (groups - 1 - group) * width
        if later + 2 * width <= coming.size:
            fetch_for_later(field, points, scratch, coming, later)
            fetch_for_later(field, points, scratch, coming, later + width)
        x1, y1, n1, _ = gather(field, points, scratch, left, at)
        x2, y2, n2, _ = gather(field, points, scratch, right, at)
        y1, y2 = signed(field, y1, n1), signed(field, y2, n2)
        slope = fe.mul(fe.mul(inverse, fe.load(field, before, group * size)), fe.lazy(1, y2, -1, y1, 2))
        inverse = fe.mul(inverse, fe.lazy(1, x2, -1, x1, 2))
        x3 = fe.sqr_add_two(slope, -1, x1, -1, x2)
        y3 = fe.mul_add(1, slope, fe.lazy(1, x1, -1, x3, 2), -1, y1)
        scatter(field, points, scratch, out, at, x3, y3, nowhere)


@njit(nogil=True, cache=True)
def forward_cases(curve, points, scratch, left, right, groups, before, cases, room):
    """As `forward`, for any points; notes four masks in `cases` for each group: doubled, first alone, second alone,
    infinite. Returns (inverse of the product of all denominators, whether any mask is set)."""
    field = base_field(curve)
    size = fe.storage(field)
    width = ln.lane_width(lanes_of(curve))
    one = fe.constant(field, 1)
    total = one
    found = 0
    for group in range(groups):
        at = group * width
        x1, y1, n1, i1 = gather(field, points, scratch, left, at)
        x2, y2, n2, i2 = gather(field, points, scratch, right, at)
        y1, y2 = signed(field, y1, n1), signed(field, y2, n2)
        either = ln.or_(i1, i2)
        same = ln.and_(fe.equal(x1, x2), ln.mask_not(either))
        opposite = ln.and_(same, fe.is_zero(fe.add(y1, y2)))
        double = ln.and_(same, ln.mask_not(opposite))
        denominator = fe.select(double, fe.lazy(1, y1, 1, y1, 0), fe.lazy(1, x2, -1, x1, 2))
        denominator = fe.select(ln.or_(either, opposite), one, denominator)
        fe.store(before, group * size, total)
        total = fe.mul(total, denominator)
        first = ln.mask_bits(ln.and_(i2, ln.mask_not(i1)))
        second = ln.mask_bits(ln.and_(i1, ln.mask_not(i2)))
        infinite = ln.mask_bits(ln.or_(opposite, ln.and_(i1, i2)))
        noted = ln.mask_bits(double) | first << 8 | second << 16 | infinite << 24
        cases[group] = noted
        found |= noted
    return invert_lanes(field, total, room), found != 0


@njit(nogil=True, cache=True)
def backward_cases(curve, points, scratch, left, right, out, groups, before, cases, inverse):
    """As `backward`, by the cases that were noted."""
    field = base_field(curve)
    size = fe.storage(field)
    lanes = lanes_of(curve)
    width = ln.lane_width(lanes)
    one = fe.constant(field, 1)
    for group in range(groups - 1, -1, -1):
        at = group * width
        x1, y1, n1, _ = gather(field, points, scratch, left, at)
        x2, y2, n2, _ = gather(field, points, scratch, right, at)
        y1, y2 = signed(field, y1, n1), signed(field, y2, n2)
        noted = cases[group]
        double = ln.mask_from_bits(lanes, noted)
        first = ln.mask_from_bits(lanes, noted >> 8)
        second = ln.mask_from_bits(lanes, noted >> 16)
        infinite = ln.mask_from_bits(lanes, noted >> 24)
        alone = ln.or_(ln.or_(first, second), infinite)
        tangent = fe.sqr_scaled(3, fe.select(double, x1, one))
        numerator = fe.select(double, tangent, fe.lazy(1, y2, -1, y1, 2))
        denominator = fe.select(double, fe.lazy(1, y1, 1, y1, 0), fe.lazy(1, x2, -1, x1, 2))
        slope = fe.mul(fe.mul(inverse, fe.load(field, before, group * size)), numerator)
        inverse = fe.mul(inverse, fe.select(alone, one, denominator))
        x3 = fe.sqr_add_two(slope, -1, x1, -1, x2)
        y3 = fe.mul_add(1, slope, fe.lazy(1, x1, -1, x3, 2), -1, y1)
        x3 = fe.select(first, x1, fe.select(second, x2, x3))
        y3 = fe.select(first, y1, fe.select(second, y2, y3))
        scatter(field, points, scratch, out, at, x3, y3, infinite)
