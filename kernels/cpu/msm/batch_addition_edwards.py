# SPDX-License-Identifier: GPL-3.0-or-later
"""Sums of many pairs of affine points of −x² + y² = 1 + d·x²·y² with d a non-square, which share one inversion.

x₃ = (x₁y₂ + y₁x₂)/(1 + t), y₃ = (y₁y₂ + x₁x₂)/(1 − t), t = d·x₁x₂y₁y₂: complete, since t is never ±1 (Bernstein, Lange,
"Faster addition and doubling on elliptic curves", ASIACRYPT 2007, theorem 3.3). One inverse of 1 − t² serves both.
"""

from __future__ import annotations

from numba import njit

from supervm.kernels.cpu.curves.curve import base_field, curve_constant, lanes_of
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields.lane_inverse import invert_lanes
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.cpu.msm.batch_addition import AHEAD
from supervm.kernels.cpu.msm.packed_points import fetch_ahead, gather, scatter

# mypy: disallow_untyped_defs=False


@njit(nogil=True, cache=True)
def signed(x, negated):
    """x, or −x where the mask is set."""
    return fe.select(negated, fe.scale(-1, x), x)


@njit(nogil=True, cache=True)
def forward(curve, points, scratch, left, right, groups, before, room):
    """The inverse of the product of all 1 − t²; keeps the product before each group, and t."""
    field = base_field(curve)
    size = fe.storage(field)
    width = ln.lane_width(lanes_of(curve))
    one = fe.constant(field, 1)
    total = one
    for group in range(groups):
        at = group * width
        ahead = min(group + AHEAD, groups - 1) * width
        fetch_ahead(field, points, scratch, left, ahead)
        fetch_ahead(field, points, scratch, right, ahead)
        x1, y1, n1, _ = gather(field, points, scratch, left, at)
        x2, y2, n2, _ = gather(field, points, scratch, right, at)
        x = fe.mul(signed(x1, n1), signed(x2, n2))
        t = fe.mul(fe.mul(x, fe.mul(y1, y2)), curve_constant(curve, "d"))
        fe.store(before, 2 * group * size, total)
        fe.store(before, (2 * group + 1) * size, t)
        total = fe.mul(total, fe.sqr_add(-1, t, 1, one))
    return invert_lanes(field, total, room)


@njit(nogil=True, cache=True)
def backward(curve, points, scratch, left, right, out, groups, before, inverse):
    """Write the sums, given the inverse of the product of all 1 − t²."""
    field = base_field(curve)
    size = fe.storage(field)
    lanes = lanes_of(curve)
    width = ln.lane_width(lanes)
    one = fe.constant(field, 1)
    nowhere = ln.mask_from_bits(lanes, 0)
    for group in range(groups - 1, -1, -1):
        at = group * width
        x1, y1, n1, _ = gather(field, points, scratch, left, at)
        x2, y2, n2, _ = gather(field, points, scratch, right, at)
        x1, x2 = signed(x1, n1), signed(x2, n2)
        t = fe.load(field, before, (2 * group + 1) * size)
        both = fe.mul(inverse, fe.load(field, before, 2 * group * size))
        inverse = fe.mul(inverse, fe.sqr_add(-1, t, 1, one))
        x3 = fe.mul(fe.mul_two(x1, y2, y1, x2), fe.mul(both, fe.sub(one, t)))
        y3 = fe.mul(fe.mul_two(y1, y2, x1, x2), fe.mul(both, fe.add(one, t)))
        scatter(field, points, scratch, out, at, x3, y3, nowhere)


@njit(nogil=True, cache=True)
def on_curve(curve, x, y):
    """Mask of the lanes where −x² + y² = 1 + d·x²·y²."""
    xx, yy = fe.sqr(x), fe.sqr(y)
    right = fe.mul_add(1, fe.mul(xx, yy), curve_constant(curve, "d"), 1, fe.constant(base_field(curve), 1))
    return fe.equal(fe.sub(yy, xx), right)
