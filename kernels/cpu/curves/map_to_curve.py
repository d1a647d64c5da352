# SPDX-License-Identifier: GPL-3.0-or-later
"""Field elements to points of a subgroup (RFC 9380, section 6.6): the simplified map of Shallue, van de Woestijne and Ulas,
an isogeny, and clearing of the cofactor, all as the group's specification has them.

With t = z·u² the map's abscissa is x₁ = −b/a·(1 + 1/(t² + t)) where g(x₁) = x₁³ + a·x₁ + b is a square, else x₂ = t·x₁, for
which g(x₂) = t³·g(x₁). The isogeny's denominators are a square and a cube of one polynomial, so that Jacobian coordinates
need no division. Many lane groups share the two inversions, and go through the chains of the square roots together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.core.errors import TypingError
from numba.extending import intrinsic, overload

from supervm.kernels.cpu.curves import affine_words as rw
from supervm.kernels.cpu.curves import weierstrass as gr
from supervm.kernels.cpu.curves.curve import (
    base_field,
    curve_constant,
    elements_table,
    lanes_of,
    numbers_table,
)
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields import multiword as wd
from supervm.kernels.cpu.fields import quadratic
from supervm.kernels.cpu.fields.lazy import from_words, mul, sqr, to_words
from supervm.kernels.cpu.fields.square_roots import square_roots_of_either
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.spec import QuadraticSpec

# mypy: disallow_untyped_defs=False


@njit(nogil=True, cache=True)
def map_slice(curve, elements, each, wide, start, stop, results, verdicts):
    """Write the points and the verdicts of items start … stop − 1.

    Args:
        curve: a `Curve` marker, whose specification has a map.
        elements: flat uint64 rows, `each` field elements an item: the words of a canonical one or, where `wide` is set, of
            two of them, low and high, that stand for low + 2^256·high.
        each: 1, or 2 elements whose points are added before the cofactor is cleared.
        wide: 0 or 1.
        results: flat uint64 rows of points, written; zeros for infinity, and where the verdict is not 1.
        verdicts: int8 (n,), written: 1, or −1 where words are not canonical.
    """
    F = base_field(curve)
    width, together = ln.lane_width(lanes_of(curve)), rw.GROUPS // each
    work = rw.workspace(curve, 3)
    us, ts, xs = _row(F), _row(F), _row(F)
    roots, others, factors = _row(F), _row(F), _row(F)
    for chunk in range(start, stop, width * together):
        groups = (min(stop - chunk, width * together) + width - 1) // width
        for group in range(groups):
            first = chunk + group * width
            good = _read_group(curve, elements, each, wide, first, stop, us, group * each)
            rw.write_good(verdicts, first, stop, width, good)
        _write_candidates(curve, work, us, ts, xs, roots, others, factors, groups * each)
        square_roots_of_either(F, roots, others, factors, groups * each)
        for group in range(groups):
            total = _point(curve, us, ts, xs, roots, group * each)
            for index in range(1, each):
                total = gr.add(total, _point(curve, us, ts, xs, roots, group * each + index))
            X, Y, Z = clear_cofactor(curve, total)
            marks = wd.read_small(lanes_of(curve), verdicts, chunk + group * width, stop - 1)
            rw.put_point(curve, work, group, (X, Y, fe.select(ln.bit_set(marks, 63), fe.sub(Z, Z), Z)))
        rw.write_affine(curve, work, False, groups, chunk, stop, results)


@njit(nogil=True, inline="always")
def _row(field):
    """Room for one element of each lane group."""
    return np.empty(rw.GROUPS * fe.storage(field), np.uint64)


@njit(nogil=True, inline="always")
def _read_group(curve, elements, each, wide, first, stop, us, place):
    """Store the elements of one lane group from `place` on; returns the lanes whose words are canonical."""
    F = base_field(curve)
    size = rw.words_of(F)
    stride, wrong = each * (1 + wide) * size, 0
    for index in range(each):
        u = fe.constant(F, 0)
        for half in range(wide, -1, -1):
            column = (index * (1 + wide) + half) * size
            words = wd.read_element(F, elements, stride, column, first, stop - 1)
            wrong |= ln.mask_bits(ln.mask_not(wd.below_modulus(F, words)))
            u = fe.add(mul(u, curve_constant(curve, "map.two_256")), from_words(F, words))
        fe.store(us, (place + index) * fe.storage(F), u)
    return ~wrong


@njit(nogil=True, inline="always")
def _write_candidates(curve, work, us, ts, xs, roots, others, factors, count):
    """For each u write t, x₁, g(x₁) to `roots` and g(x₂) = t³·g(x₁) to `others`, and w with w² = −N(z)³·N(u)⁶ = −N(t³)."""
    F = base_field(curve)
    room, one = fe.storage(F), fe.constant(F, 1)
    for index in range(count):
        t = mul(curve_constant(curve, "map.z"), sqr(fe.load(F, us, index * room)))
        rw.put_denominator(curve, work, 3, index, fe.add(sqr(t), t))
        fe.store(ts, index * room, t)
    rw.invert_denominators(curve, work, 3, count)
    for index in range(count):
        t = fe.load(F, ts, index * room)
        square = sqr(t)
        inverted = fe.add(rw.get(curve, work, 3, index, 3), one)
        exceptional = fe.is_zero(fe.add(square, t))
        x = mul(curve_constant(curve, "map.minus_b_over_a"), inverted)
        x = fe.select(exceptional, curve_constant(curve, "map.exceptional_x"), x)
        value = _right_side(curve, x)
        norm = _norm(fe.load(F, us, index * room))
        fe.store(xs, index * room, x)
        fe.store(roots, index * room, value)
        fe.store(others, index * room, mul(mul(square, t), value))
        factor = mul(_real(curve_constant(curve, "map.norm_root")), mul(sqr(norm), norm))
        fe.store(factors, index * room, factor)


@njit(nogil=True, cache=True)
def _right_side(curve, x):
    """g(x)."""
    slope = fe.add(sqr(x), curve_constant(curve, "map.a"))
    return fe.add(mul(slope, x), curve_constant(curve, "map.b"))


def _norm(a: Any) -> Any:
    """The norm to the prime field. For compiled code, as `_real`."""
    raise TypeError("_norm() is called from compiled code only")


@overload(_norm, inline="always")
def _norm_of(a):
    return _norm_of_pair if isinstance(a.spec, QuadraticSpec) else _itself


def _norm_of_pair(a):
    real, imaginary = quadratic.parts(a)
    return fe.sum_of_products((real, imaginary), (real, imaginary))


def _real(a: Any) -> Any:
    """The part in the prime field."""
    raise TypeError("_real() is called from compiled code only")


@overload(_real, inline="always")
def _real_of(a):
    return _real_of_pair if isinstance(a.spec, QuadraticSpec) else _itself


def _real_of_pair(a):
    real, _ = quadratic.parts(a)
    return real


def _itself(a):
    return a


@njit(nogil=True, cache=True)
def _point(curve, us, ts, xs, roots, place):
    """The point of the group's curve, in Jacobian coordinates, that element `place` is mapped to."""
    F = base_field(curve)
    at = place * fe.storage(F)
    x, y = fe.load(F, xs, at), fe.load(F, roots, at)
    first = fe.equal(sqr(y), _right_side(curve, x))
    x = fe.select(first, x, mul(fe.load(F, ts, at), x))
    turned = ln.xor(wd.odd(F, to_words(fe.load(F, us, at))), wd.odd(F, to_words(y)))
    y = fe.select(turned, fe.scale(-1, y), y)
    Z, X = _polynomial(curve, 0, x), _polynomial(curve, 1, x)
    return X, mul(y, _polynomial(curve, 2, x)), Z


@intrinsic
def _end(typingctx: Any, curve: Any, which: Any) -> Any:
    """Where polynomial `which` of the isogeny, h, X or Y, ends among its coefficients; 0 for −1, at index 0."""
    maps = curve.spec.map.isogeny
    ends = [0]
    for polynomial in (maps.kernel, maps.x, maps.y):
        ends.append(ends[-1] + len(polynomial))
    return types.int64(curve, types.int64), numbers_table(ends)


@intrinsic
def _coefficient(typingctx: Any, curve: Any, index: Any) -> Any:
    """Coefficient `index` of the isogeny."""
    maps = curve.spec.map.isogeny
    values = (*maps.kernel, *maps.x, *maps.y)
    return curve.element(curve, types.int64), elements_table(curve.element, values)


@njit(nogil=True, cache=True)
def _polynomial(curve, which, x):
    """The isogeny's polynomial h, X or Y at x, by Horner's rule."""
    first, index = _end(curve, which), _end(curve, which + 1) - 1
    total = _coefficient(curve, index)
    while index > first:
        index -= 1
        total = fe.add(mul(total, x), _coefficient(curve, index))
    return total


MOST_MULTIPLES = 3
"""Powers of the multiplier, the zeroth among them, that clear a cofactor."""


@intrinsic
def _clearing(typingctx: Any, curve: Any, index: Any) -> Any:
    """Entry `index` of the numbers that clear the cofactor: how many rows, how long the longest, then all in its length."""
    rows = curve.spec.map.clearing
    longest = max(map(len, rows))
    if longest > MOST_MULTIPLES:
        raise TypingError(
            f"{longest} multiples clear the cofactor of {curve}; expected {MOST_MULTIPLES} at most"
        )
    numbers = [len(rows), longest]
    for row in rows:
        numbers += [*row, *[0] * (longest - len(row))]
    return types.int64(curve, types.int64), numbers_table(numbers)


@njit(nogil=True, cache=True)
def clear_cofactor(curve, P):
    """The point of the subgroup that the specification makes of P, a point of the curve in Jacobian coordinates, as the
    result is: Horner's rule in the endomorphism."""
    multiples = fe.local(base_field(curve), 9)
    rows, longest = _clearing(curve, 0), _clearing(curve, 1)
    Q = P
    for power in range(longest):
        if power > 0:
            Q = gr.multiplied(curve, Q)
        fe.put(multiples, 3 * power, Q[0])
        fe.put(multiples, 3 * power + 1, Q[1])
        fe.put(multiples, 3 * power + 2, Q[2])
    total = (P[0], P[1], fe.sub(P[2], P[2]))
    for row in range(rows - 1, -1, -1):
        total = gr.endomorphism(curve, total)
        for power in range(longest):
            coefficient = _clearing(curve, 2 + row * longest + power)
            at = 3 * power
            Q = fe.get(multiples, at), fe.get(multiples, at + 1), fe.get(multiples, at + 2)
            if coefficient < 0:
                Q = gr.negative(Q)
            for _ in range(abs(coefficient)):
                total = gr.add(total, Q)
    return total
