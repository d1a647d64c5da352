# SPDX-License-Identifier: GPL-3.0-or-later
"""u₁·G + u₂·Q on a short Weierstrass curve with a GLV endomorphism, for groups of lanes.

u₂ is split into two halves of 128 bits (k₁ + k₂·λ), each in signed nibbles against eight multiples of Q that every lane
builds for itself; u₁ is cut in two halves by its bits, each in signed bytes against a table of multiples of G and of
2^128·G. 132 doublings serve all four. The multiples of Q are made affine with one inversion for all groups.

A group's data in `work` (flat uint64, `GROUP_ELEMENTS` elements a group): Q and the result first, then the table.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from supervm.kernels.cpu.curves import weierstrass_prime_order as ws
from supervm.kernels.cpu.curves.curve import (
    base_field,
    curve_constant,
    lanes_of,
    scalar_constant,
    scalar_field,
)
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields import multiword as wd
from supervm.kernels.cpu.fields.lookup import lookup_shared, lookup_stored
from supervm.kernels.cpu.fields.powers import inverse, invert_rows, power_rows
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.cpu.lanes.emitter import Emitter
from supervm.kernels.exponents import ROOT
from supervm.kernels.spec import WeierstrassSpec

# mypy: disallow_untyped_defs=False

GROUPS = 16
"""Lane groups that are worked on together and share inversions."""

POINT, RESULT, TABLE = 0, 3, 6
GROUP_ELEMENTS = TABLE + 8 * 4
"""Elements of one group: Q as (x, y, spare), the result (X, Y, Z), eight entries (x, βx, y, spare)."""

WINDOWS = 33
STREAMS = 4
"""Digit streams of a group: u₁ low, u₁ high, k₁, k₂."""

TABLE_POINTS = 129


def base_tables(spec: WeierstrassSpec) -> list[tuple[int, int]]:
    """(x, y) of 0 (as (0, 0), never used), G, …, 128·G and the same for 2^128·G, as integers."""
    points: list[tuple[int, int]] = []
    start = spec.base
    for _ in range(2):
        points.append((0, 0))
        point: tuple[int, int] | None = None
        for _ in range(TABLE_POINTS - 1):
            point = start if point is None else affine_add(spec, point, start)
            points.append(point)
        for _ in range(128):
            start = affine_add(spec, start, start)
    return points


def affine_add(spec: WeierstrassSpec, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    """a + b for affine points that are not opposite, as integers."""
    p = spec.field.modulus
    rise, run = (3 * a[0] * a[0], 2 * a[1]) if a == b else (b[1] - a[1], b[0] - a[0])
    slope = rise * spec.field.inverse(run)
    x = (slope * slope - a[0] - b[0]) % p
    return x, (slope * (a[0] - x) - a[1]) % p


@intrinsic
def _rounded_shares(typingctx: Any, curve: Any, words: Any) -> Any:
    """(c₁, c₂) as two words each: u·b₂/n and −u·b₁/n rounded to the nearest integer, for the short basis (a, b).

    Each is (u·g + 2^383) >> 384 with g = round(2^384·b/n): off by at most 2^−127 before rounding.
    """
    lanes = curve.lanes
    order = curve.spec.scalar_field.modulus
    (_, b1), (_, b2) = curve.spec.endomorphism.short_basis(order)
    factors = [((abs(b) << 384) + order // 2) // order for b in (b2, b1)]
    if b2 < 0 or -b1 < 0:
        raise ValueError("the short basis must have b₁ < 0 < b₂, so that both shares are positive")
    result = types.UniTuple(types.UniTuple(lanes, 4), 2)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = Emitter(builder, lanes)
        parts = cgutils.unpack_tuple(builder, args[1])
        shares = []
        for factor in factors:
            high = e.multiply_high(parts, factor, shift=384)
            shares.append(
                context.make_tuple(builder, types.UniTuple(lanes, 4), [*high, e.constant(0), e.constant(0)])
            )
        return context.make_tuple(builder, result, shares)

    return result(curve, words), codegen


@njit(nogil=True, cache=True)
def workspace(curve):
    """(work, scalars, digits, infinite) for GROUPS groups, as `multiply_all` takes them."""
    width = ln.lane_width(lanes_of(curve))
    return (
        np.empty(GROUPS * GROUP_ELEMENTS * fe.storage(base_field(curve)), np.uint64),
        np.empty(GROUPS * 8 * width, np.uint64),
        np.empty(GROUPS * STREAMS * WINDOWS * width, np.int16),
        np.empty(GROUPS, np.int64),
    )


@njit(nogil=True, cache=True)
def split(curve, u):
    """(k₁, sign₁, k₂, sign₂) with u ≡ ±k₁ ± k₂·λ, both below 2^128: Guide to ECC, algorithm 3.74."""
    N = scalar_field(curve)
    c1, c2 = _rounded_shares(curve, u)
    k2 = fe.mul_two(
        fe.from_words(N, c1),
        scalar_constant(curve, "minus_b1"),
        fe.from_words(N, c2),
        scalar_constant(curve, "minus_b2"),
    )
    k1 = fe.mul_add(-1, k2, scalar_constant(curve, "endomorphism.lambda_"), 1, fe.from_words(N, u))
    first, second = fe.to_words(k1), fe.to_words(k2)
    sign1, sign2 = wd.above_half(N, first), wd.above_half(N, second)
    first = wd.select_words(sign1, fe.to_words(fe.scale(-1, k1)), first)
    second = wd.select_words(sign2, fe.to_words(fe.scale(-1, k2)), second)
    return first, sign1, second, sign2


@njit(nogil=True, cache=True)
def write_digits(curve, u1, u2, digits, group):
    """Signed digits of both scalars of one group to `digits` (int16, STREAMS · WINDOWS · width a group)."""
    lanes = lanes_of(curve)
    width = ln.lane_width(lanes)
    at = group * STREAMS * WINDOWS * width
    row = WINDOWS * width
    N = scalar_field(curve)
    negative = wd.above_half(N, u1)
    u1 = wd.select_words(negative, fe.to_words(fe.scale(-1, fe.from_words(N, u1))), u1)
    # Below n/2 the top byte needs no offset: with the carry it is at most 128.
    bytes_ = wd.add_repeated(u1, 128, 31)
    word = bytes_[0]
    for index in range(32):
        if index % 8 == 0:
            word = bytes_[index // 8]
        digit = ln.keep_low(word, 8)
        word = ln.shift_right(word, 8)
        if index < 31:
            digit = ln.sub(digit, ln.splat(lanes, 128))
        digit = ln.select(negative, ln.negate(digit), digit)
        ln.store(digits, at + (index // 16) * row + (index % 16) * width, digit)
    k1, sign1, k2, sign2 = split(curve, u2)
    _write_nibbles(lanes, k1, sign1, digits, at + 2 * row, width)
    _write_nibbles(lanes, k2, sign2, digits, at + 3 * row, width)


@njit(nogil=True, cache=True)
def _write_nibbles(lanes, k, negative, digits, at, width):
    """33 signed nibbles of a scalar below 2^128."""
    shifted = wd.add_repeated((k[0], k[1]), 8, 32)
    word = shifted[0]
    for index in range(WINDOWS):
        if index % 16 == 0:
            word = shifted[index // 16]
        digit = ln.keep_low(word, 4)
        word = ln.shift_right(word, 4)
        if index < 32:
            digit = ln.sub(digit, ln.splat(lanes, 8))
        digit = ln.select(negative, ln.negate(digit), digit)
        ln.store(digits, at + index * width, digit)


@njit(nogil=True, cache=True)
def build_tables(curve, work, groups):
    """The affine multiples Q, 2Q, …, 8Q of every group, and β·x beside each x; one inversion for all."""
    F = base_field(curve)
    size = fe.storage(F)
    total = fe.constant(F, 1)
    for group in range(groups):
        at = group * GROUP_ELEMENTS * size
        x, y = fe.load(F, work, at), fe.load(F, work, at + size)
        X, Y, Z = x, y, fe.constant(F, 1)
        for entry in range(8):
            if entry == 1:
                X, Y, Z = ws.double(X, Y, Z)
            elif entry > 1:
                X, Y, Z = ws.add_mixed(X, Y, Z, x, y)
            row = at + (TABLE + 4 * entry) * size
            fe.store(work, row, X)
            fe.store(work, row + size, total)
            fe.store(work, row + 2 * size, Y)
            fe.store(work, row + 3 * size, Z)
            total = fe.mul(total, Z)
    make_affine(curve, work, groups, total)


@njit(nogil=True, cache=True)
def make_affine(curve, work, groups, total):
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
def _add_digit(F, X, Y, Z, infinite, x, y, digit):
    """P + sign(digit)·(x, y), or P where the digit is 0."""
    lanes = ln.marker_of(digit)
    zero = ln.equal(digit, ln.splat(lanes, 0))
    if ln.mask_bits(ln.mask_not(zero)) == 0:
        return X, Y, Z, infinite
    y = fe.select(ln.bit_set(digit, 63), fe.scale(-1, y), y)
    X3, Y3, Z3 = ws.add_mixed(X, Y, Z, x, y)
    if ln.mask_bits(infinite) != 0:  # only before the first digits
        X3 = fe.select(infinite, x, X3)
        Y3 = fe.select(infinite, y, Y3)
        Z3 = fe.select(infinite, fe.constant(F, 1), Z3)
    X3, Y3, Z3 = fe.select(zero, X, X3), fe.select(zero, Y, Y3), fe.select(zero, Z, Z3)
    return X3, Y3, Z3, ln.and_(infinite, zero)


@njit(nogil=True, cache=True)
def multiply(curve, base, work, digits, group):
    """The sum of one group by its digit streams, to RESULT; lanes that met an exception have Z = 0."""
    F = base_field(curve)
    lanes = lanes_of(curve)
    width = ln.lane_width(lanes)
    size = fe.storage(F)
    at = group * GROUP_ELEMENTS * size
    table = at + TABLE * size
    row = WINDOWS * width
    streams = group * STREAMS * row
    one = fe.constant(F, 1)
    X, Y, Z = one, one, fe.constant(F, 0)
    infinite = ln.equal(ln.splat(lanes, 0), ln.splat(lanes, 0))
    for window in range(WINDOWS - 1, -1, -1):
        if window < WINDOWS - 1:
            for _ in range(4):
                X, Y, Z = ws.double(X, Y, Z)
        for half in range(2):
            digit = ln.load(lanes, digits, streams + (2 + half) * row + window * width)
            x, y = lookup_stored(F, work, table + half * size, table + 2 * size, ln.absolute(digit), 8, 4)
            X, Y, Z, infinite = _add_digit(F, X, Y, Z, infinite, x, y, digit)
        if window % 2 == 0 and window < WINDOWS - 1:
            for half in range(2):
                digit = ln.load(lanes, digits, streams + half * row + (window // 2) * width)
                index = ln.add(ln.absolute(digit), ln.splat(lanes, half * TABLE_POINTS))
                x, y = lookup_shared(F, base, index, 2)
                X, Y, Z, infinite = _add_digit(F, X, Y, Z, infinite, x, y, digit)
    fe.store(work, at + RESULT * size, X)
    fe.store(work, at + (RESULT + 1) * size, Y)
    fe.store(work, at + (RESULT + 2) * size, Z)
    return ln.mask_bits(fe.is_zero(Z))


@njit(nogil=True, cache=True)
def multiply_complete(curve, work, u1, u2, group, redo):
    """The same sum bit by bit with complete formulas, kept in the lanes of `redo`; returns the lanes that are infinite.

    About three times the work of `multiply`, and only crafted inputs ever reach it.
    """
    F = base_field(curve)
    lanes = lanes_of(curve)
    size = fe.storage(F)
    at = group * GROUP_ELEMENTS * size
    zero, one = fe.constant(F, 0), fe.constant(F, 1)
    G = (curve_constant(curve, "base_x"), curve_constant(curve, "base_y"), one)
    Q = (fe.load(F, work, at), fe.load(F, work, at + size), one)
    P = (zero, one, zero)
    for word in range(3, -1, -1):
        a, b = u1[word], u2[word]
        for _ in range(64):
            P = ws.complete_add(curve, P, P)
            S = ws.complete_add(curve, P, G)
            take = ln.bit_set(a, 63)
            P = (fe.select(take, S[0], P[0]), fe.select(take, S[1], P[1]), fe.select(take, S[2], P[2]))
            S = ws.complete_add(curve, P, Q)
            take = ln.bit_set(b, 63)
            P = (fe.select(take, S[0], P[0]), fe.select(take, S[1], P[1]), fe.select(take, S[2], P[2]))
            a, b = ln.shift_left(a, 1), ln.shift_left(b, 1)
    # Homogeneous (X, Y, Z) as Jacobian: (XZ, YZ², Z).
    X, Y, Z = fe.mul(P[0], P[2]), fe.mul(P[1], fe.sqr(P[2])), P[2]
    mask = ln.mask_from_bits(lanes, redo)
    at += RESULT * size
    fe.store(work, at, fe.select(mask, X, fe.load(F, work, at)))
    fe.store(work, at + size, fe.select(mask, Y, fe.load(F, work, at + size)))
    fe.store(work, at + 2 * size, fe.select(mask, Z, fe.load(F, work, at + 2 * size)))
    return redo & ln.mask_bits(fe.is_zero(Z))


@njit(nogil=True, cache=True)
def multiply_all(curve, base, work, scalars, digits, groups, infinite):
    """RESULT = u₁·G + u₂·Q for every group; `infinite` (int64 a group) takes the lanes where the sum is infinite.

    `scalars` (uint64, 8 · width words a group) holds u₁ and u₂ below the order, word by word.
    """
    lanes = lanes_of(curve)
    width = ln.lane_width(lanes)
    build_tables(curve, work, groups)
    for group in range(groups):
        u1 = load_scalar(lanes, scalars, (8 * group) * width, width)
        u2 = load_scalar(lanes, scalars, (8 * group + 4) * width, width)
        write_digits(curve, u1, u2, digits, group)
        redo = multiply(curve, base, work, digits, group)
        infinite[group] = 0
        if redo != 0:
            infinite[group] = multiply_complete(curve, work, u1, u2, group, redo)


@njit(nogil=True, cache=True)
def store_root_argument(curve, work, group, x):
    """Ask for the y of x: x³ + b to the spare element of POINT, where `take_roots` finds it."""
    size = fe.storage(base_field(curve))
    fe.store(work, (group * GROUP_ELEMENTS + 2) * size, ws.right_side(curve, x))


@njit(nogil=True, cache=True)
def take_roots(curve, work, groups):
    """Raise the spare element of every group's POINT to the (p + 1)/4."""
    F = base_field(curve)
    size = fe.storage(F)
    power_rows(F, work, 2 * size, GROUP_ELEMENTS * size, groups, ROOT)


@njit(nogil=True, cache=True)
def load_root(curve, work, group):
    """What `take_roots` left for a group."""
    F = base_field(curve)
    return fe.load(F, work, (group * GROUP_ELEMENTS + 2) * fe.storage(F))


@njit(nogil=True, cache=True)
def put_point(curve, work, group, well, x, y):
    """(x, y), or the generator where `well` is clear, to POINT."""
    size = fe.storage(base_field(curve))
    at = group * GROUP_ELEMENTS * size
    fe.store(work, at, fe.select(well, x, curve_constant(curve, "base_x")))
    fe.store(work, at + size, fe.select(well, y, curve_constant(curve, "base_y")))


@njit(nogil=True, cache=True)
def load_scalar(lanes, scalars, at, width):
    """Four words written by `store_scalar`."""
    return (
        ln.load(lanes, scalars, at),
        ln.load(lanes, scalars, at + width),
        ln.load(lanes, scalars, at + 2 * width),
        ln.load(lanes, scalars, at + 3 * width),
    )


@njit(nogil=True, cache=True)
def store_scalar(scalars, at, width, words):
    """Four words of a scalar."""
    for index in range(4):
        ln.store(scalars, at + index * width, words[index])


@njit(nogil=True, cache=True)
def invert_results(curve, work, groups):
    """(x, y) of every group's RESULT to its POINT, with one inversion; an infinite result gives (0, 0)."""
    F = base_field(curve)
    size = fe.storage(F)
    for group in range(groups):
        at = group * GROUP_ELEMENTS * size
        Z = fe.load(F, work, at + (RESULT + 2) * size)
        fe.store(work, at + 2 * size, fe.select(fe.is_zero(Z), fe.constant(F, 1), Z))
    invert_rows(F, work, 2 * size, 0, GROUP_ELEMENTS * size, groups)
    for group in range(groups):
        at = group * GROUP_ELEMENTS * size
        empty = fe.is_zero(fe.load(F, work, at + (RESULT + 2) * size))
        inverted = fe.select(empty, fe.constant(F, 0), fe.load(F, work, at + 2 * size))
        square = fe.sqr(inverted)
        fe.store(work, at, fe.mul(fe.load(F, work, at + RESULT * size), square))
        fe.store(
            work, at + size, fe.mul(fe.load(F, work, at + (RESULT + 1) * size), fe.mul(square, inverted))
        )
