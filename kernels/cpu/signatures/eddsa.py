# SPDX-License-Identifier: GPL-3.0-or-later
"""EdDSA verification over a twisted Edwards curve, for a slice of a batch, from bytes to verdicts.

R' = s·B − h·A is computed with signed digits: nibbles of h against eight multiples of −A that each lane builds for
itself, twelve bits of s against one table of multiples of B that all lanes share. The doublings serve both.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numba.extending import overload

from supervm.kernels.cpu.curves import edwards as ed
from supervm.kernels.cpu.curves import one_lane_edwards
from supervm.kernels.cpu.curves.curve import (
    base_field,
    curve_constant,
    lanes_of,
    scalar_constant,
    scalar_field,
)
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields import multiword as wd
from supervm.kernels.cpu.fields.lookup import lookup, row_words, store_row
from supervm.kernels.cpu.fields.powers import invert_rows, power_rows
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.cpu.lanes.verdicts import write_verdicts
from supervm.kernels.exponents import ROOT
from supervm.kernels.spec import EdwardsSpec

# mypy: disallow_untyped_defs=False

COFACTORLESS, STRICT, COFACTORED = range(3)
"""Which equation decides: R' = R byte by byte; that, and neither A nor R of small order; 8·R' = 8·R."""

GROUPS = 32
"""Lane groups that share one inversion."""

WINDOWS, MULTIPLES = 64, 8
"""Digits of h, of four bits, and the multiples of −A that they choose from."""

BASE_WINDOW, BASE_WINDOWS = 12, 22
"""Bits of a digit of s, and how many there are: three digits of h for each."""

TABLE_POINTS = (1 << (BASE_WINDOW - 1)) + 1
"""Multiples 0·B to 2048·B of the base point."""


def base_table(spec: EdwardsSpec) -> list[tuple[int, int, int]]:
    """The affine form (y+x, y−x, 2dxy) of 0·B, 1·B, …, 2048·B as integers."""
    p = spec.field.modulus
    x, y = 0, 1
    points = []
    for _ in range(TABLE_POINTS):
        points.append(((y + x) % p, (y - x) % p, spec.d2 * x * y % p))
        x, y = ed.affine_add(spec, (x, y), spec.base)
    return points


@njit(nogil=True, cache=True)
def reduce_hash(curve, array, first, last):
    """512-bit little-endian hashes modulo the group order, as words."""
    L = scalar_field(curve)
    lanes = lanes_of(curve)
    low = fe.from_words(L, wd.read_little(lanes, array, 8, 0, first, last))
    high = fe.from_words(L, wd.read_little(lanes, array, 8, 4, first, last))
    return fe.to_words(fe.mul_add(1, high, scalar_constant(curve, "two_256"), 1, low))


@njit(nogil=True, cache=True)
def workspace(curve):
    """(table, digits) of one lane group, for `multiples` and `double_scalar`."""
    width = ln.lane_width(lanes_of(curve))
    rows = (MULTIPLES + 1) * row_words(base_field(curve), 4)
    return np.empty(width * rows, np.uint64), np.empty((WINDOWS + BASE_WINDOWS) * width, np.int16)


@njit(nogil=True, cache=True)
def multiples(curve, table, x, y):
    """Fill `table` with the cached forms of 0, P, 2P, …, 8P for P = (x, y)."""
    F = base_field(curve)
    stride = row_words(F, 4)
    apart = (MULTIPLES + 1) * stride
    zero, one = fe.constant(F, 0), fe.constant(F, 1)
    store_row(table, 0, apart, (one, one, one, zero))
    P = (x, y, one, fe.mul(x, y))
    first = ed.cached(curve, P)
    Q = first
    for index in range(MULTIPLES):
        if index > 0:
            E, F_, G, H = ed.double(P[0], P[1], P[2]) if index == 1 else ed.add_cached(P, first)
            P = ed.extended(E, F_, G, H)
            Q = ed.cached(curve, P)
        store_row(table, (index + 1) * stride, apart, Q)


@njit(nogil=True, cache=True)
def double_scalar(curve, table, base, digits, h, s):
    """h·P + s·B as (X, Y, Z): `table` from `multiples(P)`, `base` from `base_table`, h and s words below the order."""
    F = base_field(curve)
    lanes = lanes_of(curve)
    width = ln.lane_width(lanes)
    none = ln.mask_from_bits(lanes, 0)
    wd.store_digits(wd.add_repeated(h, 8, 63), 4, WINDOWS, none, digits, 0)
    wd.store_digits(wd.add_repeated(s, 2048, 21), BASE_WINDOW, BASE_WINDOWS, none, digits, WINDOWS * width)
    X, Y, Z = fe.constant(F, 0), fe.constant(F, 1), fe.constant(F, 1)
    for window in range(WINDOWS - 1, -1, -1):
        for _ in range(3):
            E, F_, G, H = ed.double(X, Y, Z)
            X, Y, Z = ed.projective(E, F_, G, H)
        E, F_, G, H = ed.double(X, Y, Z)
        P = ed.extended(E, F_, G, H)
        E, F_, G, H = ed.add_cached(P, _signed_cached(curve, table, ln.load(lanes, digits, window * width)))
        if window % 3 == 0:
            P = ed.extended(E, F_, G, H)
            digit = ln.load(lanes, digits, (WINDOWS + window // 3) * width)
            E, F_, G, H = ed.add_affine(P, _signed_affine(curve, base, digit))
        X, Y, Z = ed.projective(E, F_, G, H)
    return X, Y, Z


def _combination(curve, base, table, digits, x, y, h, s):
    """h·(x, y) + s·B as (X, Y, Z), in one lane or in several; `table` and `digits` from `workspace`."""
    raise TypeError("called from compiled code only")


@overload(_combination)
def _choose_combination(curve, base, table, digits, x, y, h, s):
    def in_one_lane(curve, base, table, digits, x, y, h, s):
        return one_lane_edwards.double_scalar(curve, base, x, y, h, s)

    def in_lanes(curve, base, table, digits, x, y, h, s):
        multiples(curve, table, x, y)
        return double_scalar(curve, table, base, digits, h, s)

    return in_one_lane if curve.lanes.width == 1 else in_lanes


@njit(nogil=True, cache=True)
def _signed_cached(curve, table, digit):
    """digit·P in cached form; digit in −8 … 7."""
    F = base_field(curve)
    stride = row_words(F, 4)
    plus, minus, z, t2d = lookup(F, table, 0, (MULTIPLES + 1) * stride, stride, ln.absolute(digit), 4)
    negative = ln.bit_set(digit, 63)
    return (
        fe.select(negative, minus, plus),
        fe.select(negative, plus, minus),
        z,
        fe.select(negative, fe.scale(-1, t2d), t2d),
    )


@njit(nogil=True, cache=True)
def _signed_affine(curve, base, digit):
    """digit·B in affine form; digit in −2048 … 2047."""
    F = base_field(curve)
    plus, minus, t2d = lookup(F, base, 0, 0, row_words(F, 3), ln.absolute(digit), 3)
    negative = ln.bit_set(digit, 63)
    return (
        fe.select(negative, minus, plus),
        fe.select(negative, plus, minus),
        fe.select(negative, fe.scale(-1, t2d), t2d),
    )


@njit(nogil=True, cache=True)
def verify_slice(curve, base, keys, signatures, hashes, start, stop, rule, verdicts):
    """Write the verdicts of items start … stop − 1.

    Args:
        curve: a `Curve` marker.
        base: `curve.table(base_table(spec))`, of `one_lane_edwards` for one lane.
        keys, signatures, hashes: flat uint64 views of (n, 32), (n, 64) and (n, 64) bytes; hashes are of R‖A‖M.
        rule: COFACTORLESS, STRICT or COFACTORED.
        verdicts: int8 (n,), written: 1 valid, 0 invalid, −1 malformed (A is no point, or s ≥ order).
    """
    width = ln.lane_width(lanes_of(curve))
    span = width * GROUPS
    size = fe.storage(base_field(curve))
    points = np.empty(GROUPS * 4 * size, np.uint64)
    flags = np.empty(GROUPS * 2, np.int64)
    table, digits = workspace(curve)
    last = stop - 1
    for chunk in range(start, stop, span):
        groups = (min(stop - chunk, span) + width - 1) // width
        _roots(curve, keys, 4, points, chunk, last, groups)
        if rule == COFACTORED:
            _roots(curve, signatures, 8, points[size:], chunk, last, groups)
        for group in range(groups):
            first = chunk + group * width
            _recompute(
                curve, base, keys, signatures, hashes, first, last, rule, points, flags, group, table, digits
            )
        if rule != COFACTORED:
            # 1/Z in place of Z, which is never 0: the formulas are complete and every point is on the curve.
            invert_rows(base_field(curve), points, 2 * size, 3 * size, 4 * size, groups)
        for group in range(groups):
            first = chunk + group * width
            valid = _matches(curve, signatures, first, last, rule, points, flags, group)
            write_verdicts(verdicts, first, stop, width, valid, flags[2 * group])


@njit(nogil=True, cache=True)
def _roots(curve, rows, stride, points, start, last, groups):
    """The powers that decompressing 32 bytes of every row wants, to the first element of each group of `points`."""
    F = base_field(curve)
    lanes = lanes_of(curve)
    step = 4 * fe.storage(F)
    for group in range(groups):
        first = start + group * ln.lane_width(lanes)
        fe.store(
            points, group * step, ed.root_argument(curve, wd.read_little(lanes, rows, stride, 0, first, last))
        )
    power_rows(F, points, 0, step, groups, ROOT)


@njit(nogil=True, cache=True)
def _recompute(curve, base, keys, signatures, hashes, first, last, rule, points, flags, group, table, digits):
    """R' of one lane group to `points` (X, Y, Z), well-formedness and acceptance so far to `flags`."""
    lanes = lanes_of(curve)
    F = base_field(curve)
    size = fe.storage(F)
    root = fe.load(F, points, (4 * group) * size)
    decodes, x, y = ed.decompress(curve, wd.read_little(lanes, keys, 4, 0, first, last), root)
    # A lane without a point works on the base point: off the curve Z may become 0, and the shared inversion would
    # take every group's item in that lane along.
    x = fe.select(decodes, x, curve_constant(curve, "base_x"))
    y = fe.select(decodes, y, curve_constant(curve, "base_y"))
    s = wd.read_little(lanes, signatures, 8, 4, first, last)
    well_formed = ln.and_(decodes, wd.below_modulus(scalar_field(curve), s))
    accepted = well_formed
    if rule == STRICT:
        accepted = ln.and_(accepted, ln.mask_not(ed.small_order(x, y, fe.constant(F, 1))))
    h = reduce_hash(curve, hashes, first, last)
    X, Y, Z = _combination(curve, base, table, digits, fe.scale(-1, x), y, h, s)
    if rule == STRICT:
        accepted = ln.and_(accepted, ln.mask_not(ed.small_order(X, Y, Z)))
    if rule == COFACTORED:
        root = fe.load(F, points, (4 * group + 1) * size)
        accepted = ln.and_(accepted, _cofactored(curve, signatures, first, last, root, X, Y, Z))
    fe.store(points, (4 * group) * size, X)
    fe.store(points, (4 * group + 1) * size, Y)
    fe.store(points, (4 * group + 2) * size, Z)
    flags[2 * group] = ln.mask_bits(well_formed)
    flags[2 * group + 1] = ln.mask_bits(accepted)


@njit(nogil=True, cache=True)
def _cofactored(curve, signatures, first, last, root, X, Y, Z):
    """Mask of the lanes where R decodes and R' − R is of small order."""
    F = base_field(curve)
    words = wd.read_little(lanes_of(curve), signatures, 8, 0, first, last)
    decodes, x, y = ed.decompress(curve, words, root)
    x = fe.scale(-1, x)
    minus_r = ed.cached(curve, (x, y, fe.constant(F, 1), fe.mul(x, y)))
    P = (fe.mul(X, Z), fe.mul(Y, Z), fe.sqr(Z), fe.mul(X, Y))
    E, F_, G, H = ed.add_cached(P, minus_r)
    X, Y, Z = ed.projective(E, F_, G, H)
    return ln.and_(decodes, ed.small_order(X, Y, Z))


@njit(nogil=True, cache=True)
def _matches(curve, signatures, first, last, rule, points, flags, group):
    """Lane bits that are accepted; except under COFACTORED, R' must encode to the signature's R bytes."""
    accepted = flags[2 * group + 1]
    if rule == COFACTORED:
        return accepted
    lanes = lanes_of(curve)
    F = base_field(curve)
    size = fe.storage(F)
    inverted = fe.load(F, points, (4 * group + 2) * size)
    x = fe.mul(fe.load(F, points, (4 * group) * size), inverted)
    y = fe.to_words(fe.mul(fe.load(F, points, (4 * group + 1) * size), inverted))
    sign = ln.select(ed.odd(x), ln.splat(lanes, np.uint64(1) << np.uint64(63)), ln.splat(lanes, 0))
    encoded = (y[0], y[1], y[2], ln.or_(y[3], sign))
    expected = wd.read_little(lanes, signatures, 8, 0, first, last)
    return accepted & ln.mask_bits(wd.words_equal(encoded, expected))
