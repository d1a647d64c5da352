# SPDX-License-Identifier: GPL-3.0-or-later
"""Points of a curve y² = x³ + b over a prime field or its quadratic extension, in lanes, for every pair of points.

Jacobian coordinates (X, Y, Z): x = X/Z², y = Y/Z³, infinity where Z = 0. X and Y may be loose (`loose.combine`): below
LOOSE·p where the field is roomy; Z is below 2p. The curves have no point of order two. Formulas: "Guide to Elliptic
Curve Cryptography", section 3.2.2.
"""

from __future__ import annotations

from typing import Any

from numba import njit, types
from numba.extending import intrinsic, overload

from supervm.kernels.cpu.curves.curve import base_field, curve_constant, numbers_table
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields import quadratic
from supervm.kernels.cpu.fields.lazy import combine, mul, sqr
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.spec import QuadraticSpec

# mypy: disallow_untyped_defs=False


@njit(nogil=True, cache=True)
def double(P):
    """2P: three products, four squares."""
    X, Y, Z = P
    A = sqr(X)
    B = sqr(Y)
    C = sqr(B)
    S = mul(X, B)
    M = combine(1, A, 2, A, 0)
    X3 = combine(1, sqr(M), -8, S, 9)
    Y3 = combine(1, mul(M, combine(4, S, -1, X3, 11)), -8, C, 9)
    YZ = mul(Y, Z)
    return X3, Y3, fe.add(YZ, YZ)


@njit(nogil=True, cache=True)
def add(P, Q):
    """P + Q: twelve products, four squares; equal points where there are any cost a doubling more."""
    X1, Y1, Z1 = P
    X2, Y2, Z2 = Q
    ZZ1, ZZ2 = sqr(Z1), sqr(Z2)
    U1, U2 = mul(X1, ZZ2), mul(X2, ZZ1)
    S1, S2 = mul(Y1, mul(Z2, ZZ2)), mul(Y2, mul(Z1, ZZ1))
    H, R = fe.sub(U2, U1), fe.sub(S2, S1)
    HH = sqr(H)
    HHH = mul(H, HH)
    V = mul(U1, HH)
    X3 = combine(1, combine(1, sqr(R), -1, HHH, 2), -2, V, 4)
    Y3 = combine(1, mul(R, combine(1, V, -1, X3, 9)), -1, mul(S1, HHH), 2)
    Z3 = mul(mul(Z1, Z2), H)
    none1, none2 = fe.is_zero(Z1), fe.is_zero(Z2)
    equal = ln.and_(ln.and_(fe.is_zero(H), fe.is_zero(R)), ln.mask_not(ln.or_(none1, none2)))
    total = (X3, Y3, Z3)
    if ln.mask_bits(equal) != 0:
        total = choose(equal, double(P), total)
    return choose(none1, Q, choose(none2, P, total))


@njit(nogil=True, inline="always")
def choose(mask, P, Q):
    """P where the mask is set, Q elsewhere."""
    return fe.select(mask, P[0], Q[0]), fe.select(mask, P[1], Q[1]), fe.select(mask, P[2], Q[2])


@njit(nogil=True, inline="always")
def negative(P):
    """−P."""
    return P[0], combine(1, P[1], -2, P[1], 16), P[2]


@njit(nogil=True, inline="always")
def same(P, Q):
    """Mask of the lanes where P = Q."""
    ZZ1, ZZ2 = sqr(P[2]), sqr(Q[2])
    x = fe.equal(mul(P[0], ZZ2), mul(Q[0], ZZ1))
    y = fe.equal(mul(P[1], mul(Q[2], ZZ2)), mul(Q[1], mul(P[2], ZZ1)))
    none1, none2 = fe.is_zero(P[2]), fe.is_zero(Q[2])
    finite = ln.and_(ln.and_(x, y), ln.mask_not(ln.or_(none1, none2)))
    return ln.or_(finite, ln.and_(none1, none2))


@njit(nogil=True, inline="always")
def jacobian(curve, x, y, infinite):
    """The affine point (x, y), or infinity where the mask is set."""
    one = fe.constant(base_field(curve), 1)
    return x, y, fe.select(infinite, fe.sub(one, one), one)


# The subgroup --------------------------------------------------------------------------------------------


def _frobenius(a: Any) -> Any:
    """The p-th power. For compiled code."""
    raise TypeError("_frobenius() is called from compiled code only")


@overload(_frobenius, inline="always")
def _frobenius_of(a):
    return _conjugate if isinstance(a.spec, QuadraticSpec) else _itself


def _conjugate(a):
    return quadratic.conjugate(a)


def _itself(a):
    return a


@njit(nogil=True, inline="always")
def endomorphism(curve, P):
    """The map of the curve's subgroup test; the factors are applied before the p-th power, so conjugated twice."""
    x, y = curve_constant(curve, "membership.map.x"), curve_constant(curve, "membership.map.y")
    return (
        _frobenius(mul(P[0], _frobenius(x))),
        _frobenius(mul(P[1], _frobenius(y))),
        _frobenius(P[2]),
    )


@intrinsic
def _multiplier_bit(typingctx: Any, curve: Any, index: Any) -> Any:
    """Bit `index` of the subgroup test's multiplier, from the top; −1 beyond the lowest."""
    bits = [int(bit) for bit in bin(curve.spec.membership.multiplier)[2:]] + [-1]
    return types.int64(curve, types.int64), numbers_table(bits)


@intrinsic
def _term(typingctx: Any, curve: Any, index: Any) -> Any:
    """Entry `index` of the subgroup test's numbers: the power, how many terms, a₀, b₀, a₁, b₁, …"""
    test = curve.spec.membership
    numbers = [test.power, len(test.terms), *(number for term in test.terms for number in term)]
    return types.int64(curve, types.int64), numbers_table(numbers)


@njit(nogil=True, inline="always")
def multiplied(curve, P):
    """The subgroup test's multiplier times P."""
    total = P
    index = 1
    while _multiplier_bit(curve, index) >= 0:
        total = double(total)
        if _multiplier_bit(curve, index) == 1:
            total = add(total, P)
        index += 1
    return total


@njit(nogil=True, inline="always")
def in_subgroup(curve, P):
    """Mask of the lanes where the curve's point P is in the subgroup, by the specification's test; infinity is.

    Horner's rule in the endomorphism; the term −T, for a₀ = 1, is what the rest is compared with.
    """
    T = P
    for _ in range(_term(curve, 0)):
        T = multiplied(curve, T)
    minus = negative(T)
    opposite = negative(P)
    total = (P[0], P[1], fe.sub(P[2], P[2]))
    for index in range(_term(curve, 1) - 1, -1, -1):
        total = endomorphism(curve, total)
        a, b = _term(curve, 2 + 2 * index), _term(curve, 3 + 2 * index)
        if index == 0:
            a -= 1
        for _ in range(abs(a)):
            total = add(total, T if a > 0 else minus)
        for _ in range(abs(b)):
            total = add(total, P if b > 0 else opposite)
    return same(total, minus)
