# SPDX-License-Identifier: GPL-3.0-or-later
"""Points of a twisted Edwards curve −x² + y² = 1 + d·x²·y² in lanes.

Formulas: Hisil, Wong, Carter, Dawson, "Twisted Edwards Curves Revisited" (ASIACRYPT 2008), complete since d is a
non-square: no input, however chosen, is an exception. Forms of a point, all tuples of elements:

    extended   (X, Y, Z, T)      x = X/Z, y = Y/Z, T = XY/Z
    completed  (E, F, G, H)      X = EF, Y = GH, Z = FG, T = EH, before those products are made
    cached     (Y+X, Y−X, Z, 2dT)
    affine     (y+x, y−x, 2dxy)  cached with Z = 1, for tables of fixed points
"""

from __future__ import annotations

from numba import njit

from supervm.kernels.cpu.curves.curve import base_field, curve_constant
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.spec import EdwardsSpec

# mypy: disallow_untyped_defs=False


def affine_add(spec: EdwardsSpec, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    """a + b as integers: the complete formula in affine coordinates."""
    p = spec.field.modulus
    (x1, y1), (x2, y2) = a, b
    product = spec.d * x1 * x2 * y1 * y2 % p
    x = (x1 * y2 + y1 * x2) * spec.field.inverse(1 + product)
    y = (y1 * y2 + x1 * x2) * spec.field.inverse(1 - product)
    return x % p, y % p


_double = fe.formula(
    ([(1, 0), (1, 1), (-1, 2)], []),
    ([(2, 3), (1, 0), (-1, 1)], []),
    ([(1, 0), (-1, 1)], []),
    ([(1, 0), (1, 1)], []),
    factors=((0, 0), (1, 1), (2, 2), (3, 3)),
)
"""X² + Y² − S², 2Z² + X² − Y², X² − Y², X² + Y² of (X, Y, S, Z)."""

_add_cached = fe.formula(
    ([(1, 1), (-1, 0)], []),
    ([(2, 3), (-1, 2)], []),
    ([(2, 3), (1, 2)], []),
    ([(1, 1), (1, 0)], []),
    factors=((0, 1), (2, 3), (4, 5), (6, 7)),
)
"""b − a, 2d − c, 2d + c, b + a for the products a, b, c, d of eight elements."""

_add_affine = fe.formula(
    ([(1, 1), (-1, 0)], []),
    ([(-1, 2)], [(2, 6)]),
    ([(1, 2)], [(2, 6)]),
    ([(1, 1), (1, 0)], []),
    factors=((0, 1), (2, 3), (4, 5)),
)
"""The same with the seventh element in place of d."""


@njit(nogil=True, cache=True)
def double(X, Y, Z):
    """2P, completed: four squares."""
    return _double((X, Y, fe.add(X, Y), Z))


@njit(nogil=True, cache=True)
def add_cached(P, Q):
    """P + Q, completed, P extended and Q cached."""
    X, Y, Z, T = P
    plus, minus, z, t2d = Q
    difference, total = fe.lazy(1, Y, -1, X, 0), fe.lazy(1, Y, 1, X, 0)
    return _add_cached((difference, minus, total, plus, T, t2d, Z, z))


@njit(nogil=True, cache=True)
def add_affine(P, Q):
    """P + Q, completed, P extended and Q affine."""
    X, Y, Z, T = P
    plus, minus, t2d = Q
    difference, total = fe.lazy(1, Y, -1, X, 0), fe.lazy(1, Y, 1, X, 0)
    return _add_affine((difference, minus, total, plus, T, t2d, Z))


@njit(nogil=True, cache=True)
def projective(E, F, G, H):
    """(X, Y, Z) of a completed point."""
    return fe.mul(E, F), fe.mul(G, H), fe.mul(F, G)


@njit(nogil=True, cache=True)
def extended(E, F, G, H):
    """(X, Y, Z, T) of a completed point."""
    return fe.mul(E, F), fe.mul(G, H), fe.mul(F, G), fe.mul(E, H)


@njit(nogil=True, cache=True)
def cached(curve, P):
    """The cached form of an extended point."""
    X, Y, Z, T = P
    return fe.add(Y, X), fe.sub(Y, X), Z, fe.mul(T, curve_constant(curve, "d2"))


@njit(nogil=True, cache=True)
def odd(a):
    """Mask of the lanes whose canonical value is odd."""
    return ln.bit_set(fe.to_words(a)[0], 0)


@njit(nogil=True, cache=True)
def ordinate(curve, words):
    """(sign mask, y) of 32 bytes read as four words; a y of p or above is reduced."""
    top = ln.keep_low(words[3], 63)
    return ln.bit_set(words[3], 63), fe.from_words(base_field(curve), (words[0], words[1], words[2], top))


@njit(nogil=True, cache=True)
def ratio(curve, y):
    """(u, v) with x² = u/v: y² − 1 and d·y² + 1."""
    one = fe.constant(base_field(curve), 1)
    y2 = fe.sqr(y)
    return fe.sub(y2, one), fe.mul_add(1, y2, curve_constant(curve, "d"), 1, one)


@njit(nogil=True, cache=True)
def root_argument(curve, words):
    """u·v⁷, whose ((p − 5)/8)-th power `decompress` wants."""
    _, y = ordinate(curve, words)
    u, v = ratio(curve, y)
    v3 = fe.mul(fe.sqr(v), v)
    return fe.mul(fe.mul(u, v3), fe.mul(v3, v))


@njit(nogil=True, cache=True)
def decompress(curve, words, power):
    """(mask, x, y) of 32 bytes read as four words: RFC 8032, section 5.1.3, but permissive.

    A y of p or above is reduced, and x = 0 with the sign bit set is accepted as 0. The mask is clear where y belongs to
    no point; x is then meaningless. `power` is `root_argument` to the (p − 5)/8.
    """
    sign, y = ordinate(curve, words)
    u, v = ratio(curve, y)
    x = fe.mul(fe.mul(u, fe.mul(fe.sqr(v), v)), power)
    check = fe.mul(v, fe.sqr(x))
    direct = fe.equal(check, u)
    turned = fe.is_zero(fe.add(check, u))
    x = fe.select(direct, x, fe.mul(x, curve_constant(curve, "sqrt_minus_one")))
    x = fe.select(ln.xor(odd(x), sign), fe.scale(-1, x), x)
    return ln.or_(direct, turned), x, y


@njit(nogil=True, cache=True)
def small_order(X, Y, Z):
    """Mask of the lanes whose point is annihilated by the cofactor 8."""
    for _ in range(3):
        E, F, G, H = double(X, Y, Z)
        X, Y, Z = projective(E, F, G, H)
    return ln.and_(fe.is_zero(X), fe.equal(Y, Z))
