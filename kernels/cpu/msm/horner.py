# SPDX-License-Identifier: GPL-3.0-or-later
"""Σ 2^(bits·i)·Pᵢ of a few affine points, in one lane; with bits = 0 their plain sum.

Jacobian coordinates on short Weierstrass curves (Explicit-Formulas Database, dbl-2009-l and madd-2007-bl for a = 0 without
their tricks), extended ones on Edwards curves. Where a point is missing both of its coordinates are zero, which is on
neither curve. Products are calls here, not inlined: there are few of them, and in an extension each is long.
"""

from __future__ import annotations

from numba import njit

from supervm.kernels.cpu.curves import edwards as ed
from supervm.kernels.cpu.curves.curve import base_field
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields import multiword as wd
from supervm.kernels.cpu.fields.lane_inverse import invert_lanes
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.cpu.msm.packed_points import read_coordinates, words_in_row, write_coordinates

# mypy: disallow_untyped_defs=False


@njit(nogil=True, cache=True, no_cpython_wrapper=True)
def _mul(a, b):
    return fe.mul(a, b)


@njit(nogil=True, cache=True, no_cpython_wrapper=True)
def _sub(a, b):
    return fe.sub(a, b)


@njit(nogil=True, cache=True, no_cpython_wrapper=True)
def _read(field, points, index):
    """(present, x, y) of point `index`."""
    x_words, y_words = read_coordinates(field, points, index, index)
    present = ln.mask_bits(ln.and_(wd.words_zero(x_words), wd.words_zero(y_words))) == 0
    return present, fe.from_words(field, x_words), fe.from_words(field, y_words)


@njit(nogil=True, cache=True, no_cpython_wrapper=True)
def _zero(a):
    return ln.mask_bits(fe.is_zero(a)) == 1


@njit(nogil=True, cache=True)
def horner_weierstrass(curve, points, bits, room, out):
    """Σ 2^(bits·i)·Pᵢ.

    Args:
        curve: a `Curve` marker of a short Weierstrass curve for one lane.
        points: flat uint64, canonical words of x and y for each point, all zero where one is missing.
        bits: doublings between neighbours.
        room: scratch of `inverse`.
        out: flat uint64, one point, written; zeros for infinity.
    """
    field = base_field(curve)
    one, zero = fe.constant(field, 1), fe.constant(field, 0)
    X, Y, Z = one, one, zero
    for index in range(points.size // words_in_row(field) - 1, -1, -1):
        present, x, y = _read(field, points, index)
        doublings = bits
        while doublings > 0 or present:
            if doublings > 0:
                doublings -= 1
                A = _mul(Y, Y)
                S = _mul(X, A)
                S = fe.scale(4, S)
                M = fe.scale(3, _mul(X, X))
                Z = fe.scale(2, _mul(Y, Z))
                X = _sub(_sub(_mul(M, M), S), S)
                Y = _sub(_mul(M, _sub(S, X)), fe.scale(8, _mul(A, A)))
                continue
            present = False
            ZZ = _mul(Z, Z)
            H = _sub(_mul(x, ZZ), X)
            R = _sub(_mul(y, _mul(Z, ZZ)), Y)
            if _zero(Z):
                X, Y, Z = x, y, one
            elif not _zero(H):
                HH = _mul(H, H)
                HHH = _mul(H, HH)
                V = _mul(X, HH)
                X = _sub(_sub(_sub(_mul(R, R), HHH), V), V)
                Y = _sub(_mul(R, _sub(V, X)), _mul(Y, HHH))
                Z = _mul(Z, H)
            elif _zero(R):
                doublings = 1
            else:
                Z = zero
    infinite = fe.is_zero(Z)
    inverse = invert_lanes(field, fe.select(infinite, one, Z), room)
    squared = _mul(inverse, inverse)
    x, y = _mul(X, squared), _mul(Y, _mul(squared, inverse))
    write_coordinates(out, 0, 1, fe.to_words(x), fe.to_words(y), infinite)


@njit(nogil=True, cache=True)
def horner_edwards(curve, points, bits, room, out):
    """The same for a `Curve` marker of an Edwards curve; the neutral point is (0, 1)."""
    field = base_field(curve)
    one, zero = fe.constant(field, 1), fe.constant(field, 0)
    X, Y, Z, T = zero, one, one, zero
    for index in range(points.size // words_in_row(field) - 1, -1, -1):
        for _ in range(bits):
            E, F, G, H = ed.double(X, Y, Z)
            X, Y, Z, T = ed.extended(E, F, G, H)
        present, x, y = _read(field, points, index)
        if present:
            other = ed.cached(curve, (x, y, one, _mul(x, y)))
            E, F, G, H = ed.add_cached((X, Y, Z, T), other)
            X, Y, Z, T = ed.extended(E, F, G, H)
    inverse = invert_lanes(field, Z, room)
    nowhere = fe.is_zero(Z)
    write_coordinates(out, 0, 1, fe.to_words(_mul(X, inverse)), fe.to_words(_mul(Y, inverse)), nowhere)
