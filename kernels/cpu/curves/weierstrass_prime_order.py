# SPDX-License-Identifier: GPL-3.0-or-later
"""Points of a short Weierstrass curve y² = x³ + b of prime order in lanes.

Jacobian coordinates: x = X/Z², y = Y/Z³. `double` and `add_mixed` are the usual incomplete formulas, with one property
that makes them safe: whatever exceptional case occurs (equal or opposite points), the result has Z ≡ 0, and every
later operation keeps Z ≡ 0. A final Z ≡ 0 therefore covers the infinite result and every exceptional case on the
way; such lanes are computed again with the complete formulas of Renes, Costello and Batina (EUROCRYPT 2016, algorithms
7 to 9 for a = 0) on homogeneous coordinates x = X/Z, y = Y/Z.
"""

from __future__ import annotations

from numba import njit

from supervm.kernels.cpu.curves.curve import curve_constant
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.lanes import lanes as ln

# mypy: disallow_untyped_defs=False


_ordinate = fe.formula(([(1, 0), (-8, 1)], []), factors=((0, 1), (2, 2)))
"""a·b − 8c²."""


@njit(nogil=True, cache=True)
def double(X, Y, Z):
    """2P: three products, four squares (Cohen, Miyaji, Ono with a = 0)."""
    A = fe.sqr(Y)
    S = fe.mul_scaled(4, X, A)
    M = fe.sqr_scaled(3, X)
    X3 = fe.sqr_add(1, M, -2, S)
    [Y3] = _ordinate((M, fe.sub(S, X3), A))
    return X3, Y3, fe.mul_scaled(2, Y, Z)


@njit(nogil=True, cache=True)
def add_mixed(X, Y, Z, x, y):
    """P + (x, y): eight products, three squares. The sign of Z is turned to save a subtraction."""
    ZZ = fe.sqr(Z)
    H = fe.mul_add(1, x, ZZ, -1, X)
    R = fe.mul_add(1, y, fe.mul(Z, ZZ), -1, Y)
    HH = fe.sqr(H)
    HHH = fe.mul(H, HH)
    V = fe.mul(X, HH)
    X3 = fe.sqr_add_two(R, -1, HHH, -2, V)
    Y3 = fe.mul_two(R, fe.sub(X3, V), Y, HHH)
    return X3, Y3, fe.mul_scaled(-1, Z, H)


@njit(nogil=True, cache=True)
def third_point(slope, x1, y1, x2):
    """The sum of two affine points on a line of this slope: what is left of it, turned over."""
    x3 = fe.sqr_add_two(slope, -1, x1, -1, x2)
    return x3, fe.mul_add(1, slope, fe.sub(x1, x3), -1, y1)


@njit(nogil=True, cache=True)
def right_side(curve, x):
    """x³ + b, whose root is y."""
    return fe.mul_add(1, fe.sqr(x), x, 1, curve_constant(curve, "b"))


@njit(nogil=True, cache=True)
def on_curve(curve, x, y):
    """Mask of the lanes where y² = x³ + b."""
    return fe.equal(fe.sqr(y), right_side(curve, x))


@njit(nogil=True, cache=True)
def lift(curve, x, power, want_odd):
    """(mask, y): the y whose parity is `want_odd`; the mask is clear where x has none.

    `power` is `right_side` to the (p + 1)/4, a root if there is one.
    """
    exists = fe.equal(fe.sqr(power), right_side(curve, x))
    odd = ln.bit_set(fe.to_words(power)[0], 0)
    return exists, fe.select(ln.xor(odd, want_odd), fe.scale(-1, power), power)


@njit(nogil=True, cache=True)
def complete_add(curve, P, Q):
    """P + Q for any two points in homogeneous coordinates: algorithm 7 of Renes, Costello, Batina."""
    X1, Y1, Z1 = P
    X2, Y2, Z2 = Q
    t0, t1, t2 = fe.mul(X1, X2), fe.mul(Y1, Y2), fe.mul(Z1, Z2)
    t3 = fe.sub(fe.mul_add(1, fe.add(X1, Y1), fe.add(X2, Y2), -1, t0), t1)
    t4 = fe.sub(fe.mul_add(1, fe.add(Y1, Z1), fe.add(Y2, Z2), -1, t1), t2)
    y3 = fe.sub(fe.mul_add(1, fe.add(X1, Z1), fe.add(X2, Z2), -1, t0), t2)
    b3 = fe.scale(3, curve_constant(curve, "b"))
    t0 = fe.scale(3, t0)
    t2 = fe.mul(b3, t2)
    z3 = fe.add(t1, t2)
    t1 = fe.sub(t1, t2)
    y3 = fe.mul(b3, y3)
    return (
        fe.mul_two(t3, t1, fe.scale(-1, t4), y3),
        fe.mul_two(y3, t0, t1, z3),
        fe.mul_two(z3, t4, t0, t3),
    )
