# SPDX-License-Identifier: GPL-3.0-or-later
"""Points of a multi-scalar multiplication before and after: checks, packing, Horner's rule."""

from __future__ import annotations

import numpy as np
from numba import njit

from supervm.kernels.cpu import field as fe
from supervm.kernels.cpu import lanes as ln
from supervm.kernels.cpu import weierstrass as ws
from supervm.kernels.cpu import words as wd
from supervm.kernels.cpu.curve import base_field, lanes_of
from supervm.kernels.cpu.pair_sums import invert_lanes
from supervm.kernels.cpu.rows import read_coordinates, scatter, words_in_row, write_coordinates

# mypy: disallow_untyped_defs=False

ACCEPTED = -1
NOT_CANONICAL, NOT_ON_CURVE = 0, 1


@njit(nogil=True, cache=True)
def pack_points(curve, coordinates, rows, infinite, start, stop):
    """Check points start … stop − 1 and pack them.

    Args:
        curve: a `Curve` marker.
        coordinates: flat uint64, canonical words of x and y for each point; all zero is infinity.
        rows: flat uint64, written, see `rows`.
        infinite: uint8, one for each point, written.

    Returns:
        ACCEPTED, or for the first point that is refused 2·index + NOT_CANONICAL or NOT_ON_CURVE.
    """
    field = base_field(curve)
    lanes = lanes_of(curve)
    width = ln.lane_width(lanes)
    names = np.empty(width, np.uint32)
    for first in range(start, stop, width):
        x_words, y_words = read_coordinates(field, coordinates, first, stop - 1)
        canonical = ln.and_(wd.below_modulus(field, x_words), wd.below_modulus(field, y_words))
        none = ln.and_(wd.words_zero(x_words), wd.words_zero(y_words))
        x, y = fe.from_words(field, x_words), fe.from_words(field, y_words)
        good = ln.mask_bits(ln.and_(canonical, ln.or_(none, ws.on_curve(curve, x, y))))
        if good != (1 << width) - 1:
            for lane in range(width):
                if good >> lane & 1 == 0:
                    reason = NOT_ON_CURVE if ln.mask_bits(canonical) >> lane & 1 else NOT_CANONICAL
                    return 2 * min(first + lane, stop - 1) + reason
        for lane in range(width):
            index = min(first + lane, stop - 1)
            names[lane] = index
            infinite[index] = ln.mask_bits(none) >> lane & 1
        scatter(field, rows, rows, names, 0, x, y, none)
    return ACCEPTED


@njit(nogil=True, cache=True)
def horner(curve, points, bits, room, out):
    """Σ 2^(bits·i)·Pᵢ of affine points, in one lane; with bits = 0 their plain sum.

    Args:
        curve: a `Curve` marker for one lane.
        points: flat uint64, canonical words of x and y for each point; all zero is infinity.
        bits: doublings between neighbours.
        room: scratch of `inverse`.
        out: flat uint64, one point, written.
    """
    field = base_field(curve)
    one = fe.constant(field, 1)
    X, Y, Z = one, one, fe.constant(field, 0)
    for index in range(points.size // words_in_row(field) - 1, -1, -1):
        for _ in range(bits):
            X, Y, Z = ws.double(X, Y, Z)
        x_words, y_words = read_coordinates(field, points, index, index)
        if ln.mask_bits(ln.and_(wd.words_zero(x_words), wd.words_zero(y_words))) == 1:
            continue
        x, y = fe.from_words(field, x_words), fe.from_words(field, y_words)
        X, Y, Z = _add_any(field, X, Y, Z, x, y)
    infinite = fe.is_zero(Z)
    inverse = invert_lanes(field, fe.select(infinite, one, Z), room)
    squared = fe.sqr(inverse)
    x, y = fe.mul(X, squared), fe.mul(Y, fe.mul(squared, inverse))
    write_coordinates(out, 0, 1, fe.to_words(x), fe.to_words(y), infinite)


@njit(nogil=True, cache=True)
def _add_any(field, X, Y, Z, x, y):
    """(X, Y, Z) + (x, y) in Jacobian coordinates, whatever the points."""
    one = fe.constant(field, 1)
    if ln.mask_bits(fe.is_zero(Z)) == 1:
        return x, y, one
    ZZ = fe.sqr(Z)
    if ln.mask_bits(fe.equal(fe.mul(x, ZZ), X)) == 1:
        if ln.mask_bits(fe.equal(fe.mul(y, fe.mul(Z, ZZ)), Y)) == 1:
            return ws.double(X, Y, Z)
        return one, one, fe.constant(field, 0)
    return ws.add_mixed(X, Y, Z, x, y)
