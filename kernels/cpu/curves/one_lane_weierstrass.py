# SPDX-License-Identifier: GPL-3.0-or-later
"""u₁·G + u₂·Q on a short Weierstrass curve with a GLV endomorphism in one lane, by non-adjacent forms.

As in `double_scalar_multiply` both scalars are cut in two halves, but one lane need not wait for others: its digits are
sparse (`non_adjacent`), which takes about 63 additions.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numba.extending import overload

from supervm.kernels.cpu.curves import weierstrass_prime_order as ws
from supervm.kernels.cpu.curves.curve import base_field, curve_constant, lanes_of, scalar_field
from supervm.kernels.cpu.curves.double_scalar_multiply import (
    affine_add,
    load_scalar,
    multiply_all,
    multiply_complete,
    split,
    store_scalar,
)
from supervm.kernels.cpu.curves.non_adjacent import BASE_MULTIPLES, BASE_WINDOW, WINDOW, write_digits
from supervm.kernels.cpu.curves.window_sums import GROUP_ELEMENTS, RESULT, SUMS
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields import multiword as wd
from supervm.kernels.cpu.fields.lookup import lookup, row_words
from supervm.kernels.cpu.fields.powers import inverse
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.spec import WeierstrassSpec

# mypy: disallow_untyped_defs=False

PLACES = 129
"""Digits of a half scalar."""

STREAMS = 4
"""Digit streams: u₁ low, u₁ high, k₁, k₂."""

TABLE = SUMS
"""Where a group's eight entries (x, βx, y, spare) begin: one lane has no sums of windows."""


def base_tables(spec: WeierstrassSpec) -> list[tuple[int, int]]:
    """(x, y) of the odd multiples G, 3G, … 2047G and the same of 2^128·G, as integers."""
    points, start = [], spec.base
    for _ in range(2):
        point, twice = start, affine_add(spec, start, start)
        for _ in range(BASE_MULTIPLES):
            points.append(point)
            point = affine_add(spec, point, twice)
        for _ in range(128):
            start = affine_add(spec, start, start)
    return points


def sum_all(curve, base, work, scalars, windows, groups, infinite):
    """`multiply_all` in one lane or in several; `scalars` are lost."""
    raise TypeError("called from compiled code only")


@overload(sum_all)
def _sum_all(curve, base, work, scalars, windows, groups, infinite):
    return _sum_in_one_lane if curve.lanes.width == 1 else _sum_in_lanes


def _sum_in_lanes(curve, base, work, scalars, windows, groups, infinite):
    multiply_all(curve, base, work, scalars, windows, groups, infinite)


def _sum_in_one_lane(curve, base, work, scalars, windows, groups, infinite):
    sparse = np.empty(STREAMS * PLACES, np.int16)
    _build_odd_tables(curve, work, groups)
    for group in range(groups):
        u1 = load_scalar(lanes_of(curve), scalars, 8 * group, 1)
        u2 = load_scalar(lanes_of(curve), scalars, 8 * group + 4, 1)
        _write_forms(curve, u1, u2, scalars, 8 * group, sparse)
        infinite[group] = 0
        if _multiply(curve, base, work, sparse, group) != 0:
            infinite[group] = multiply_complete(curve, work, u1, u2, group, 1)


@njit(nogil=True, cache=True)
def _write_forms(curve, u1, u2, words, at, digits):
    """The digits of u₁'s halves and of the two parts of u₂, through eight words from `at` on."""
    N = scalar_field(curve)
    negative = wd.above_half(N, u1)
    store_scalar(words, at, 1, wd.select_words(negative, fe.to_words(fe.scale(-1, fe.from_words(N, u1))), u1))
    sign = ln.mask_bits(negative) != 0
    write_digits(words, at, 2, BASE_WINDOW, sign, digits, 0)
    write_digits(words, at + 2, 2, BASE_WINDOW, sign, digits, PLACES)
    k1, sign1, k2, sign2 = split(curve, u2)
    store_scalar(words, at, 1, k1)
    store_scalar(words, at + 4, 1, k2)
    write_digits(words, at, 2, WINDOW, ln.mask_bits(sign1) != 0, digits, 2 * PLACES)
    write_digits(words, at + 4, 2, WINDOW, ln.mask_bits(sign2) != 0, digits, 3 * PLACES)


@njit(nogil=True, cache=True)
def _build_odd_tables(curve, work, groups):
    """The affine multiples Q, 3Q, … 15Q of every group, and β·x beside each x; one inversion for all.

    With 2Q = (X, Y, Z) all points are mapped by (x, y) → (x·Z², y·Z³) to a curve with the same formulas, where 2Q is affine;
    Z is a factor of every Z there.
    """
    F = base_field(curve)
    size = fe.storage(F)
    total = fe.constant(F, 1)
    for group in range(groups):
        at = group * GROUP_ELEMENTS * size
        x, y = fe.load(F, work, at), fe.load(F, work, at + size)
        x2, y2, factor = ws.double(x, y, fe.constant(F, 1))
        square = fe.sqr(factor)
        X, Y, Z = fe.mul(x, square), fe.mul(y, fe.mul(square, factor)), fe.constant(F, 1)
        for entry in range(8):
            if entry > 0:
                X, Y, Z = ws.add_mixed(X, Y, Z, x2, y2)
            row = at + (TABLE + 4 * entry) * size
            whole = fe.mul(Z, factor)
            fe.store(work, row, X)
            fe.store(work, row + size, total)
            fe.store(work, row + 2 * size, Y)
            fe.store(work, row + 3 * size, whole)
            total = fe.mul(total, whole)
    _make_affine(curve, work, groups, total)


@njit(nogil=True, cache=True)
def _make_affine(curve, work, groups, total):
    """Entries (X, product of all Z before, Y, Z) of every group's table as (x, β·x, y); `total` is the product of all Z."""
    F = base_field(curve)
    size = fe.storage(F)
    total = inverse(F, total)
    beta = curve_constant(curve, "endomorphism.beta")
    for group in range(groups - 1, -1, -1):
        for entry in range(7, -1, -1):
            row = (group * GROUP_ELEMENTS + TABLE + 4 * entry) * size
            Z = fe.load(F, work, row + 3 * size)
            inverted = fe.mul(total, fe.load(F, work, row + size))
            total = fe.mul(total, Z)
            square = fe.sqr(inverted)
            x = fe.mul(fe.load(F, work, row), square)
            fe.store(work, row, x)
            fe.store(work, row + size, fe.mul(x, beta))
            fe.store(work, row + 2 * size, fe.mul(fe.load(F, work, row + 2 * size), fe.mul(square, inverted)))


@njit(nogil=True, cache=True)
def _multiply(curve, base, work, digits, group):
    """The sum of one group by its digits, to RESULT; 1 if it met an exception, or there is nothing to add: Z = 0."""
    F = base_field(curve)
    lanes = lanes_of(curve)
    size = fe.storage(F)
    at = group * GROUP_ELEMENTS * size
    one = fe.constant(F, 1)
    X, Y, Z = one, one, fe.constant(F, 0)
    begun = False
    for place in range(PLACES - 1, -1, -1):
        if begun:
            X, Y, Z = ws.double(X, Y, Z)
        for stream in range(STREAMS):
            digit = np.int64(digits[stream * PLACES + place])
            if digit == 0:
                continue
            if stream < 2:
                row = ln.splat(lanes, stream * BASE_MULTIPLES + (abs(digit) >> 1))
                x, y = lookup(F, base, 0, 0, row_words(F, 2), row, 2)
            else:
                row = at + (TABLE + 4 * (abs(digit) >> 1)) * size
                x, y = fe.load(F, work, row + (stream - 2) * size), fe.load(F, work, row + 2 * size)
            if digit < 0:
                y = fe.scale(-1, y)
            if begun:
                X, Y, Z = ws.add_mixed(X, Y, Z, x, y)
            else:
                X, Y, Z, begun = x, y, one, True
    fe.store(work, at + RESULT * size, X)
    fe.store(work, at + (RESULT + 1) * size, Y)
    fe.store(work, at + (RESULT + 2) * size, Z)
    return ln.mask_bits(fe.is_zero(Z))
