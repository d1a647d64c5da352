# SPDX-License-Identifier: GPL-3.0-or-later
"""Sums, multiples and affine forms of points in batches.

Rows are flat uint64 arrays of canonical words, x and then y, infinity all zero. A row that is not canonical or not on the
curve gets the verdict −1 and a result of zeros; every other row is computed for all points, equal and opposite ones and
infinity among them. Inversions are shared by many lane groups (Montgomery's trick).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from supervm.kernels.cpu.curves import affine_words as rw
from supervm.kernels.cpu.curves import weierstrass as gr
from supervm.kernels.cpu.curves.curve import base_field, lanes_of, scalar_field
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields import multiword as wd
from supervm.kernels.cpu.fields.lazy import from_words, mul, sqr
from supervm.kernels.cpu.fields.lookup import lookup, row_words, store_row
from supervm.kernels.cpu.lanes import lanes as ln

# mypy: disallow_untyped_defs=False

WINDOWS = 65
"""Signed digits of four bits of a scalar of 256 bits, the carry out of the top one among them."""

TABLE = 8
"""Multiples 1 … 8 of a point, three elements each."""


ADD, MULTIPLY, NORMALISE, NORMALISE_EXTENDED = range(4)
"""What `batch_slice` does."""


@njit(nogil=True, cache=True)
def batch_slice(curve, operation, first, second, start, stop, results, verdicts):
    """Write the affine results and the verdicts of rows start … stop − 1. One function, since the parts are compiled once.

    Args:
        curve: a `Curve` marker.
        operation: ADD: P + Q. MULTIPLY: k·P for integers k below 2^256. NORMALISE: the affine form of Jacobian points (X, Y,
            Z). NORMALISE_EXTENDED: of points (X, Y, ZZ, ZZZ).
        first: flat uint64 rows, of P or of the coordinates to normalise.
        second: flat uint64 rows, of Q, or of k in four words, little end first; any array where there is none.
        results: flat uint64 rows of points, written.
        verdicts: int8 (n,), written: −1 besides where ZZ³ is not ZZZ².
    """
    if operation == ADD:
        _add_all(curve, first, second, start, stop, results, verdicts)
    elif operation == MULTIPLY:
        _multiply_all(curve, first, second, start, stop, results, verdicts)
    else:
        coordinates = 3 if operation == NORMALISE else 4
        _normalise_all(curve, first, coordinates, start, stop, results, verdicts)


@njit(nogil=True, inline="always")
def _add_all(curve, first_rows, second_rows, start, stop, results, verdicts):
    """P + Q of rows start … stop − 1, affine."""
    width = ln.lane_width(lanes_of(curve))
    work = rw.workspace(curve, 0)
    for chunk in range(start, stop, width * rw.GROUPS):
        groups = (min(stop - chunk, width * rw.GROUPS) + width - 1) // width
        for group in range(groups):
            first = chunk + group * width
            x1, y1, _, _ = rw.read_point(curve, first_rows, first, stop - 1)
            x2, y2, _, _ = rw.read_point(curve, second_rows, first, stop - 1)
            rw.put_denominator(curve, work, 0, group, _run(x1, y1, x2, y2))
        rw.invert_denominators(curve, work, 0, groups)
        for group in range(groups):
            first = chunk + group * width
            inverted = rw.get(curve, work, 0, group, 0)
            good = _add_group(curve, first_rows, second_rows, first, stop, inverted, results)
            rw.write_good(verdicts, first, stop, width, good)


@njit(nogil=True, inline="always")
def _run(x1, y1, x2, y2):
    """What the slope of the line through two points is divided by; 0 where they are opposite."""
    same = ln.and_(fe.equal(x1, x2), fe.equal(y1, y2))
    return fe.select(same, fe.add(y1, y1), fe.sub(x2, x1))


@njit(nogil=True, inline="always")
def _add_group(curve, first_rows, second_rows, first, stop, inverted, results):
    """Write the sums of one lane group; returns the lanes whose points are good."""
    x1, y1, none1, good1 = rw.read_point(curve, first_rows, first, stop - 1)
    x2, y2, none2, good2 = rw.read_point(curve, second_rows, first, stop - 1)
    opposite = fe.is_zero(_run(x1, y1, x2, y2))
    square = sqr(x1)
    tangent = ln.and_(fe.equal(x1, x2), fe.equal(y1, y2))
    rise = fe.select(tangent, fe.add(fe.add(square, square), square), fe.sub(y2, y1))
    slope = mul(rise, inverted)
    x3 = fe.sub(fe.sub(sqr(slope), x1), x2)
    y3 = fe.sub(mul(slope, fe.sub(x1, x3)), y1)
    x3, y3 = fe.select(none2, x1, x3), fe.select(none2, y1, y3)
    x3, y3 = fe.select(none1, x2, x3), fe.select(none1, y2, y3)
    infinite = ln.or_(ln.and_(none1, none2), ln.and_(opposite, ln.mask_not(ln.or_(none1, none2))))
    good = ln.and_(good1, good2)
    rw.write_point(curve, results, first, stop, x3, y3, ln.and_(good, ln.mask_not(infinite)))
    return ln.mask_bits(good)


@njit(nogil=True, inline="always")
def _multiply_all(curve, points, scalars, start, stop, results, verdicts):
    """k·P of rows start … stop − 1, affine, whatever the order of P."""
    lanes = lanes_of(curve)
    width = ln.lane_width(lanes)
    work = rw.workspace(curve, 3)
    table = np.empty(width * (TABLE + 1) * row_words(base_field(curve), 3), np.uint64)
    digits = np.empty(WINDOWS * width, np.int8)
    for chunk in range(start, stop, width * rw.GROUPS):
        groups = (min(stop - chunk, width * rw.GROUPS) + width - 1) // width
        for group in range(groups):
            first = chunk + group * width
            x, y, infinite, good = rw.read_point(curve, points, first, stop - 1)
            rw.write_good(verdicts, first, stop, width, ln.mask_bits(good))
            none = ln.or_(infinite, ln.mask_not(good))
            _write_table(curve, table, gr.jacobian(curve, x, y, none))
            _write_digits(scalar_field(curve), scalars, first, stop - 1, digits)
            rw.put_point(curve, work, group, _multiple(curve, table, digits))
        rw.write_affine(curve, work, False, groups, chunk, stop, results)


@njit(nogil=True, inline="always")
def _write_table(curve, table, P):
    """0, P, 2P, …, 8P."""
    stride = row_words(base_field(curve), 3)
    apart = (TABLE + 1) * stride
    zero = fe.constant(base_field(curve), 0)
    store_row(table, 0, apart, (zero, zero, zero))
    Q = P
    for entry in range(1, TABLE + 1):
        store_row(table, entry * stride, apart, Q)
        Q = gr.double(P) if entry == 1 else gr.add(Q, P)


@njit(nogil=True, inline="always")
def _write_digits(field, scalars, first, last, digits):
    """Digits −8 … 7 of one lane group, from the lowest, and the top one, 0 or 1."""
    words = wd.add_repeated(wd.read_element(field, scalars, 4, 0, first, last), 8, 64)
    width = ln.lane_width(ln.marker_of(words[0]))
    eight = ln.splat(ln.marker_of(words[0]), 8)
    word = words[0]
    for index in range(WINDOWS - 1):
        if index % 16 == 0:
            word = words[index // 16]
        ln.store(digits, index * width, ln.sub(ln.keep_low(word, 4), eight))
        word = ln.shift_right(word, 4)
    ln.store(digits, (WINDOWS - 1) * width, words[4])


@njit(nogil=True, cache=True)
def _highest(digits, width):
    """The highest window with a digit that is not 0, or 0: short scalars are half the work."""
    for index in range(WINDOWS - 1, 0, -1):
        for lane in range(width):
            if digits[index * width + lane] != 0:
                return index
    return 0


@njit(nogil=True, inline="always")
def _multiple(curve, table, digits):
    """Σ digitᵢ·16ⁱ·P from the table of P."""
    lanes, F = lanes_of(curve), base_field(curve)
    width, stride = ln.lane_width(lanes), row_words(F, 3)
    zero = fe.constant(F, 0)
    total = (zero, zero, zero)
    top = _highest(digits, width)
    for index in range(top, -1, -1):
        if index < top:
            for _ in range(4):
                total = gr.double(total)
        digit = ln.load(lanes, digits, index * width)
        entry = lookup(F, table, 0, (TABLE + 1) * stride, stride, ln.absolute(digit), 3)
        total = gr.add(total, gr.choose(ln.bit_set(digit, 63), gr.negative(entry), entry))
    return total


@njit(nogil=True, inline="always")
def _normalise_all(curve, rows, coordinates, start, stop, results, verdicts):
    """Affine forms of rows start … stop − 1 of Jacobian (X, Y, Z) or extended (X, Y, ZZ, ZZZ) points."""
    width = ln.lane_width(lanes_of(curve))
    F = base_field(curve)
    size = rw.words_of(F)
    work = rw.workspace(curve, 3)
    for chunk in range(start, stop, width * rw.GROUPS):
        groups = (min(stop - chunk, width * rw.GROUPS) + width - 1) // width
        for group in range(groups):
            first = chunk + group * width
            last_part = wd.read_element(
                F, rows, coordinates * size, (coordinates - 1) * size, first, stop - 1
            )
            good = wd.below_modulus(F, last_part)
            for part in range(coordinates - 1):
                words = wd.read_element(F, rows, coordinates * size, part * size, first, stop - 1)
                good = ln.and_(good, wd.below_modulus(F, words))
                rw.put(curve, work, 3, group, part, from_words(F, words))
            Z = from_words(F, last_part)
            if coordinates == 4:
                ZZ = rw.get(curve, work, 3, group, 2)
                good = ln.and_(good, fe.equal(mul(ZZ, sqr(ZZ)), sqr(Z)))
                rw.put(curve, work, 3, group, 2, fe.select(good, ZZ, fe.sub(ZZ, ZZ)))
            Z = fe.select(good, Z, fe.sub(Z, Z))
            rw.write_good(verdicts, first, stop, width, ln.mask_bits(good))
            rw.put_denominator(curve, work, 3, group, Z)
            if coordinates == 3:
                rw.put(curve, work, 3, group, 2, Z)
        rw.write_affine(curve, work, coordinates == 4, groups, chunk, stop, results)
