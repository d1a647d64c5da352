# SPDX-License-Identifier: GPL-3.0-or-later
"""Points of a curve y² = x³ − 3x + b of prime order in one lane, for every pair of points.

Jacobian coordinates (X, Y, Z): x = X/Z², y = Y/Z³, infinity where Z = 0. There is no point of order two. Formulas: "Guide to
Elliptic Curve Cryptography", section 3.2.2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from supervm.kernels.cpu.curves.curve import base_field, curve_constant, elements_table
from supervm.kernels.cpu.curves.non_adjacent import WINDOW, write_digits
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields.lazy import mul, sqr
from supervm.kernels.cpu.lanes import lanes as ln

# mypy: disallow_untyped_defs=False

BASE_WINDOW = 7
"""Of the base point, whose multiples ±1, ±3, … ±63 are constants of the compiled code."""

PLACES = 257
"""Digits of a scalar of 256 bits."""

MULTIPLES = 1 << (WINDOW - 2)
"""Odd multiples of the other point."""

ODD_ELEMENTS = 3 * MULTIPLES


@njit(nogil=True, cache=True)
def on_curve(curve, x, y):
    """Whether y² = x³ − 3x + b."""
    right = fe.add(mul(fe.sub(sqr(x), fe.constant(base_field(curve), 3)), x), curve_constant(curve, "b"))
    return ln.mask_bits(fe.equal(sqr(y), right)) != 0


@njit(nogil=True, inline="always")
def _twice(a):
    return fe.add(a, a)


@njit(nogil=True, cache=True)
def double(P):
    """2P: four products, four squares."""
    X, Y, Z = P
    delta, gamma = sqr(Z), sqr(Y)
    beta = mul(X, gamma)
    third = mul(fe.sub(X, delta), fe.add(X, delta))
    alpha = fe.add(fe.add(third, third), third)
    four = _twice(_twice(beta))
    X3 = fe.sub(sqr(alpha), _twice(four))
    Y3 = fe.sub(mul(alpha, fe.sub(four, X3)), _twice(_twice(_twice(sqr(gamma)))))
    return X3, Y3, _twice(mul(Y, Z))


@njit(nogil=True, cache=True)
def add(P, Q):
    """P + Q: twelve products, four squares; equal points cost a doubling more."""
    X1, Y1, Z1 = P
    X2, Y2, Z2 = Q
    if ln.mask_bits(fe.is_zero(Z1)) != 0:
        return Q
    if ln.mask_bits(fe.is_zero(Z2)) != 0:
        return P
    ZZ1, ZZ2 = sqr(Z1), sqr(Z2)
    U1, S1 = mul(X1, ZZ2), mul(Y1, mul(Z2, ZZ2))
    H, R = fe.sub(mul(X2, ZZ1), U1), fe.sub(mul(Y2, mul(Z1, ZZ1)), S1)
    if ln.mask_bits(ln.and_(fe.is_zero(H), fe.is_zero(R))) != 0:
        return double(P)
    HH = sqr(H)
    HHH, V = mul(H, HH), mul(U1, HH)
    X3 = fe.sub(fe.sub(sqr(R), HHH), _twice(V))
    Y3 = fe.sub(mul(R, fe.sub(V, X3)), mul(S1, HHH))
    return X3, Y3, mul(mul(Z1, Z2), H)


@intrinsic
def _base_coordinate(typingctx: Any, curve: Any, index: Any) -> Any:
    """Entry `index` of x and y of the base point, x and y of three times it, and so on."""
    spec = curve.spec
    point, twice = spec.base, spec.add(spec.base, spec.base)
    values: list[int] = []
    for _ in range(1 << (BASE_WINDOW - 2)):
        values += point
        point = spec.add(point, twice)
    return curve.element(curve, types.int64), elements_table(curve.element, values)


@njit(nogil=True, cache=True)
def sum_of_multiples(curve, Q, scalars, digits):
    """u₁·G + u₂·Q.

    Args:
        scalars: uint64 (8,), u₁ and u₂, little end first.
        digits: int16 (2 · PLACES,), scratch.
    """
    F = base_field(curve)
    one = fe.constant(F, 1)
    odd = fe.local(F, ODD_ELEMENTS)
    twice, point = double(Q), Q
    for entry in range(MULTIPLES):
        fe.put(odd, 3 * entry, point[0])
        fe.put(odd, 3 * entry + 1, point[1])
        fe.put(odd, 3 * entry + 2, point[2])
        point = add(point, twice)
    write_digits(scalars, 0, 4, BASE_WINDOW, False, digits, 0)
    write_digits(scalars, 4, 4, WINDOW, False, digits, PLACES)
    total = (one, one, fe.constant(F, 0))
    for place in range(PLACES - 1, -1, -1):
        total = double(total)
        digit = np.int64(digits[place])
        if digit != 0:
            row = 2 * (abs(digit) >> 1)
            x, y = _base_coordinate(curve, row), _base_coordinate(curve, row + 1)
            total = add(total, (x, fe.scale(-1, y) if digit < 0 else y, one))
        digit = np.int64(digits[PLACES + place])
        if digit != 0:
            row = 3 * (abs(digit) >> 1)
            y = fe.get(odd, row + 1)
            total = add(total, (fe.get(odd, row), fe.scale(-1, y) if digit < 0 else y, fe.get(odd, row + 2)))
    return total
