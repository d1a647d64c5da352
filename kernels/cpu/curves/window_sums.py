# SPDX-License-Identifier: GPL-3.0-or-later
"""What the windows of u₁·G + u₂·Q add up to, in affine coordinates with shared inversions, for groups of lanes.

An affine addition takes two products and a square beside the inverse of x₂ − x₁, and three products more share one
inversion among all groups: six in all, where adding to a Jacobian point takes eleven. So the multiples of Q are made, then
for every window d₁·Q + d₂·φ(Q), and e₁·G + e₂·2^130·G for every second one, which stands over ten bits, and their sum.

None of these but the last can meet an exception: Q is finite and of prime order n, and neither d₁ ± d₂·λ nor
e₁ ± e₂·2^130 is a multiple of n for digits so small. Where the last one does (Q may be any multiple of G), `collided`
says so, and its caller computes that lane with complete formulas.

    POINT (x, y, spare)   RESULT (X, Y, Z)   SUMS: (x, y) a window   BASE_SUMS: (x, y, spare) a window

stand in a group's part of `work`; the multiples of Q use the place of the sums before those are made.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from supervm.kernels.cpu.curves import weierstrass_prime_order as ws
from supervm.kernels.cpu.curves.curve import base_field, curve_constant, lanes_of
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields.inverse import ROOM
from supervm.kernels.cpu.fields.lane_inverse import invert_lanes
from supervm.kernels.cpu.fields.lookup import SLACK, lookup, row_words, store_row
from supervm.kernels.cpu.lanes import lanes as ln

# mypy: disallow_untyped_defs=False

GROUPS = 16
"""Lane groups that are worked on together and share inversions."""

WINDOW, WINDOWS = 5, 26
"""Bits of a digit of k₁ and k₂, and how many each of them has."""

BASE_WINDOW, BASE_WINDOWS = 10, 13
"""The same for each half of u₁: two windows of the others for one of these."""

MULTIPLES = 1 << (WINDOW - 1)
"""Multiples of Q that a digit chooses from."""

TABLE_POINTS = (1 << (BASE_WINDOW - 1)) + 1
"""Multiples of G, 0 among them, and as many of 2^130·G."""

DIGITS = 2 * WINDOWS + 2 * BASE_WINDOWS
"""Digits of a lane: those of k₁, k₂, and of the low and the high half of u₁."""

ALL_WINDOWS = WINDOWS + BASE_WINDOWS

POINT, RESULT, SUMS = 0, 3, 6
BASE_SUMS = SUMS + 2 * WINDOWS
GROUP_ELEMENTS = BASE_SUMS + 3 * BASE_WINDOWS
"""Elements of one group."""


@njit(nogil=True, cache=True)
def windows_of(curve, groups):
    """(rows, digits, none, collided, room): the tables of Q, what chooses from them, per group and window the lanes where
    nothing is added, per group the lanes that met an exception, and scratch for inversions."""
    width = ln.lane_width(lanes_of(curve))
    rows = np.empty(groups * width * (MULTIPLES + 1) * row_words(base_field(curve), 3) + SLACK, np.uint64)
    digits = np.empty(groups * DIGITS * width, np.int16)
    none = np.empty(groups * ALL_WINDOWS, np.int64)
    return rows, digits, none, np.empty(groups, np.int64), np.zeros(ROOM, np.uint64)


# Multiples of Q -------------------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def build_tables(curve, work, rows, groups, room):
    """Q, 2Q, …, 16Q of every group as rows (x, y, βx), by four rounds that double how many there are."""
    F = base_field(curve)
    size = fe.storage(F)
    for group in range(groups):
        at = group * GROUP_ELEMENTS * size
        fe.store(work, at + SUMS * size, fe.load(F, work, at))
        fe.store(work, at + (SUMS + 1) * size, fe.load(F, work, at + size))
    top = 1
    while top < MULTIPLES:
        _extend(curve, work, top, groups, room)
        top *= 2
    stride = row_words(F, 3)
    apart = (MULTIPLES + 1) * stride
    beta, zero = curve_constant(curve, "endomorphism.beta"), fe.constant(F, 0)
    for group in range(groups):
        at = (group * GROUP_ELEMENTS + SUMS) * size
        start = group * ln.lane_width(lanes_of(curve)) * apart
        store_row(rows, start, apart, (zero, zero, zero))  # for a digit of 0, whose point nobody uses
        for entry in range(MULTIPLES):
            x, y = fe.load(F, work, at + 2 * entry * size), fe.load(F, work, at + (2 * entry + 1) * size)
            store_row(rows, start + (entry + 1) * stride, apart, (x, y, fe.mul(x, beta)))


@njit(nogil=True, cache=True)
def _extend(curve, work, top, groups, room):
    """The multiples top + 1, …, 2·top of every group's point from those up to `top`, with one inversion."""
    F = base_field(curve)
    size = fe.storage(F)
    total = fe.constant(F, 1)
    for group in range(groups):
        at = (group * GROUP_ELEMENTS + SUMS) * size
        for other in range(1, top + 1):
            fe.store(work, at + 2 * (top + other - 1) * size, total)
            total = fe.mul(total, _run(F, work, at, top, other))
    total = invert_lanes(F, total, room)
    for group in range(groups - 1, -1, -1):
        at = (group * GROUP_ELEMENTS + SUMS) * size
        for other in range(top, 0, -1):
            place = at + 2 * (top + other - 1) * size
            inverted = fe.mul(total, fe.load(F, work, place))
            total = fe.mul(total, _run(F, work, at, top, other))
            x1, y1 = _multiple(F, work, at, top)
            x2, y2 = _multiple(F, work, at, other)
            rise = fe.sqr_scaled(3, x1) if other == top else fe.sub(y2, y1)
            x, y = ws.third_point(fe.mul(rise, inverted), x1, y1, x2)
            fe.store(work, place, x)
            fe.store(work, place + size, y)


@njit(nogil=True, inline="always")
def _multiple(F, work, at, which):
    place = at + 2 * (which - 1) * fe.storage(F)
    return fe.load(F, work, place), fe.load(F, work, place + fe.storage(F))


@njit(nogil=True, inline="always")
def _run(F, work, at, first, second):
    """What the slope of the line through two multiples, or of the tangent at one, is divided by."""
    x1, y1 = _multiple(F, work, at, first)
    if first == second:
        return fe.add(y1, y1)
    return fe.sub(_multiple(F, work, at, second)[0], x1)


# Sums -----------------------------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def sum_windows(curve, base, work, windows, groups):
    """The sums of all windows of every group, from tables and digits."""
    rows, digits, none, collided, room = windows
    _sum_pairs(curve, base, work, rows, digits, none, groups, room)
    _join(curve, work, none, collided, groups, room)


@njit(nogil=True, cache=True)
def _sum_pairs(curve, base, work, rows, digits, none, groups, room):
    """d₁·Q + d₂·φ(Q) and e₁·G + e₂·2^130·G for every window, with one inversion."""
    F = base_field(curve)
    size = fe.storage(F)
    one = fe.constant(F, 1)
    total = one
    for group in range(groups):
        for window in range(ALL_WINDOWS):
            first, second, empty1, empty2 = _choices(curve, digits, group, window)
            x1, x2 = _abscissas(curve, base, rows, group, window, first, second)
            fe.store(work, _place(group, window) * size, total)
            total = fe.mul(total, fe.select(ln.or_(empty1, empty2), one, fe.sub(x2, x1)))
    total = invert_lanes(F, total, room)
    for group in range(groups - 1, -1, -1):
        for window in range(ALL_WINDOWS - 1, -1, -1):
            first, second, empty1, empty2 = _choices(curve, digits, group, window)
            x1, y1, x2, y2 = _points(curve, base, rows, group, window, first, second)
            place = _place(group, window) * size
            inverted = fe.mul(total, fe.load(F, work, place))
            total = fe.mul(total, fe.select(ln.or_(empty1, empty2), one, fe.sub(x2, x1)))
            x, y = ws.third_point(fe.mul(fe.sub(y2, y1), inverted), x1, y1, x2)
            x, y = fe.select(empty1, x2, x), fe.select(empty1, y2, y)
            fe.store(work, place, fe.select(empty2, x1, x))
            fe.store(work, place + size, fe.select(empty2, y1, y))
            none[group * ALL_WINDOWS + window] = ln.mask_bits(ln.and_(empty1, empty2))


@njit(nogil=True, inline="always")
def _place(group, window):
    """The element at which a window's sum stands; windows of the base come after the others."""
    if window < WINDOWS:
        return group * GROUP_ELEMENTS + SUMS + 2 * window
    return group * GROUP_ELEMENTS + BASE_SUMS + 3 * (window - WINDOWS)


@njit(nogil=True, inline="always")
def _choices(curve, digits, group, window):
    """Both digits of a window, and the masks of the lanes where they are 0."""
    lanes = lanes_of(curve)
    width = ln.lane_width(lanes)
    at, apart = group * DIGITS + window, WINDOWS
    if window >= WINDOWS:
        at, apart = at + WINDOWS, BASE_WINDOWS
    first = ln.load(lanes, digits, at * width)
    second = ln.load(lanes, digits, (at + apart) * width)
    zero = ln.splat(lanes, 0)
    return first, second, ln.equal(first, zero), ln.equal(second, zero)


@njit(nogil=True, inline="always")
def _abscissas(curve, base, rows, group, window, first, second):
    """The x of both points of a window."""
    F = base_field(curve)
    if window < WINDOWS:
        stride = row_words(F, 3)
        apart = (MULTIPLES + 1) * stride
        start = group * ln.lane_width(lanes_of(curve)) * apart
        beta_x = start + 2 * (fe.storage(F) // ln.lane_width(lanes_of(curve)))
        [x1] = lookup(F, rows, start, apart, stride, ln.absolute(first), 1)
        [x2] = lookup(F, rows, beta_x, apart, stride, ln.absolute(second), 1)
        return x1, x2
    stride = row_words(F, 2)
    [x1] = lookup(F, base, 0, 0, stride, ln.absolute(first), 1)
    [x2] = lookup(F, base, TABLE_POINTS * stride, 0, stride, ln.absolute(second), 1)
    return x1, x2


@njit(nogil=True, inline="always")
def _points(curve, base, rows, group, window, first, second):
    """(x₁, y₁, x₂, y₂) of both points of a window, negated where their digits are negative."""
    F = base_field(curve)
    if window < WINDOWS:
        stride = row_words(F, 3)
        apart = (MULTIPLES + 1) * stride
        start = group * ln.lane_width(lanes_of(curve)) * apart
        from_y = start + fe.storage(F) // ln.lane_width(lanes_of(curve))
        x1, y1 = lookup(F, rows, start, apart, stride, ln.absolute(first), 2)
        y2, x2 = lookup(F, rows, from_y, apart, stride, ln.absolute(second), 2)
    else:
        stride = row_words(F, 2)
        x1, y1 = lookup(F, base, 0, 0, stride, ln.absolute(first), 2)
        x2, y2 = lookup(F, base, TABLE_POINTS * stride, 0, stride, ln.absolute(second), 2)
    y1 = fe.select(ln.bit_set(first, 63), fe.scale(-1, y1), y1)
    y2 = fe.select(ln.bit_set(second, 63), fe.scale(-1, y2), y2)
    return x1, y1, x2, y2


@njit(nogil=True, cache=True)
def _join(curve, work, none, collided, groups, room):
    """Add the sums of the base's windows to those of the others over the same bits, with one inversion."""
    F = base_field(curve)
    lanes = lanes_of(curve)
    size = fe.storage(F)
    one = fe.constant(F, 1)
    total = one
    for group in range(groups):
        collided[group] = 0
        for window in range(BASE_WINDOWS):
            at, base = _place(group, 2 * window) * size, _place(group, WINDOWS + window) * size
            alone = _alone(none, group, window)
            run = fe.sub(fe.load(F, work, base), fe.load(F, work, at))
            collided[group] |= ln.mask_bits(fe.is_zero(run)) & ~alone
            alone |= collided[group]
            none[group * ALL_WINDOWS + WINDOWS + window] |= collided[group]
            fe.store(work, base + 2 * size, total)
            total = fe.mul(total, fe.select(ln.mask_from_bits(lanes, alone), one, run))
    total = invert_lanes(F, total, room)
    for group in range(groups - 1, -1, -1):
        for window in range(BASE_WINDOWS - 1, -1, -1):
            at, base = _place(group, 2 * window) * size, _place(group, WINDOWS + window) * size
            x1, y1 = fe.load(F, work, at), fe.load(F, work, at + size)
            x2, y2 = fe.load(F, work, base), fe.load(F, work, base + size)
            alone = ln.mask_from_bits(lanes, _alone(none, group, window))
            inverted = fe.mul(total, fe.load(F, work, base + 2 * size))
            total = fe.mul(total, fe.select(alone, one, fe.sub(x2, x1)))
            x, y = ws.third_point(fe.mul(fe.sub(y2, y1), inverted), x1, y1, x2)
            without = ln.mask_from_bits(lanes, none[group * ALL_WINDOWS + 2 * window])
            x, y = fe.select(without, x2, x), fe.select(without, y2, y)
            without = ln.mask_from_bits(lanes, none[group * ALL_WINDOWS + WINDOWS + window])
            fe.store(work, at, fe.select(without, x1, x))
            fe.store(work, at + size, fe.select(without, y1, y))
            none[group * ALL_WINDOWS + 2 * window] &= none[group * ALL_WINDOWS + WINDOWS + window]


@njit(nogil=True, inline="always")
def _alone(none, group, window):
    """Lanes where one of the two sums over the same bits is nothing."""
    at = group * ALL_WINDOWS
    return none[at + 2 * window] | none[at + WINDOWS + window]
