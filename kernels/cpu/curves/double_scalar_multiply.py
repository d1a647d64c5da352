# SPDX-License-Identifier: GPL-3.0-or-later
"""u₁·G + u₂·Q on a short Weierstrass curve with a GLV endomorphism φ, for groups of lanes.

u₂ is split into two halves of 128 bits (k₁ + k₂·λ), each in signed digits of five bits against multiples of Q and of φ(Q);
u₁ is cut in two halves by its bits, each in signed digits of ten bits against a table of multiples of G and of 2^130·G.
`window_sums` adds up what a window takes from all four, so that 125 doublings and 26 additions are left here.

A group's data in `work` (flat uint64, `GROUP_ELEMENTS` elements a group): Q, the result, and the sums of the windows.
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
from supervm.kernels.cpu.curves.window_sums import (
    ALL_WINDOWS,
    BASE_WINDOW,
    BASE_WINDOWS,
    DIGITS,
    GROUP_ELEMENTS,
    GROUPS,
    RESULT,
    SUMS,
    TABLE_POINTS,
    WINDOW,
    WINDOWS,
    build_tables,
    sum_windows,
    windows_of,
)
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields import multiword as wd
from supervm.kernels.cpu.fields.powers import invert_rows, power_rows
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.cpu.lanes.emitter import Emitter
from supervm.kernels.exponents import ROOT
from supervm.kernels.spec import WeierstrassSpec

# mypy: disallow_untyped_defs=False


def base_tables(spec: WeierstrassSpec) -> list[tuple[int, int]]:
    """(x, y) of 0 (as (0, 0), never used), G, …, 512·G and the same for 2^130·G, as integers."""
    points: list[tuple[int, int]] = []
    start = spec.base
    for _ in range(2):
        points.append((0, 0))
        point: tuple[int, int] | None = None
        for _ in range(TABLE_POINTS - 1):
            point = start if point is None else affine_add(spec, point, start)
            points.append(point)
        for _ in range(BASE_WINDOW * BASE_WINDOWS):
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
    """(work, scalars, windows, infinite) for GROUPS groups, as `multiply_all` takes them."""
    width = ln.lane_width(lanes_of(curve))
    return (
        np.empty(GROUPS * GROUP_ELEMENTS * fe.storage(base_field(curve)), np.uint64),
        np.empty(GROUPS * 8 * width, np.uint64),
        windows_of(curve, GROUPS if width > 1 else 0),
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
    """Signed digits of both scalars of one group to its streams in `digits`."""
    width = ln.lane_width(lanes_of(curve))
    at = group * DIGITS * width
    N = scalar_field(curve)
    k1, sign1, k2, sign2 = split(curve, u2)
    wd.store_digits(wd.add_repeated((k1[0], k1[1]), 16, 25), WINDOW, WINDOWS, sign1, digits, at)
    at += WINDOWS * width
    wd.store_digits(wd.add_repeated((k2[0], k2[1]), 16, 25), WINDOW, WINDOWS, sign2, digits, at)
    at += WINDOWS * width
    negative = wd.above_half(N, u1)
    u1 = wd.select_words(negative, fe.to_words(fe.scale(-1, fe.from_words(N, u1))), u1)
    wd.store_digits(wd.add_repeated(u1, 512, 25), BASE_WINDOW, 2 * BASE_WINDOWS, negative, digits, at)


@njit(nogil=True, cache=True)
def multiply(curve, work, none, group):
    """Σ 2^(5·window) · its sum for one group, to RESULT; lanes that met an exception have Z = 0."""
    F = base_field(curve)
    lanes = lanes_of(curve)
    size = fe.storage(F)
    at = group * GROUP_ELEMENTS * size
    one, zero = fe.constant(F, 1), fe.constant(F, 0)
    X, Y, Z = one, one, zero
    infinite = ln.mask_from_bits(lanes, -1)
    for window in range(WINDOWS - 1, -1, -1):
        if window < WINDOWS - 1:
            for _ in range(WINDOW):
                X, Y, Z = ws.double(X, Y, Z)
        place = at + (SUMS + 2 * window) * size
        x, y = fe.load(F, work, place), fe.load(F, work, place + size)
        X3, Y3, Z3 = ws.add_mixed(X, Y, Z, x, y)
        if ln.mask_bits(infinite) != 0:  # only before the first sum that is finite
            X3, Y3, Z3 = fe.select(infinite, x, X3), fe.select(infinite, y, Y3), fe.select(infinite, one, Z3)
        nothing = none[group * ALL_WINDOWS + window]
        if nothing != 0:
            skip = ln.mask_from_bits(lanes, nothing)
            X3, Y3, Z3 = fe.select(skip, X, X3), fe.select(skip, Y, Y3), fe.select(skip, Z, Z3)
        X, Y, Z = X3, Y3, Z3
        infinite = ln.and_(infinite, ln.mask_from_bits(lanes, nothing))
    at += RESULT * size
    fe.store(work, at, X)
    fe.store(work, at + size, Y)
    fe.store(work, at + 2 * size, Z)
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
def multiply_all(curve, base, work, scalars, windows, groups, infinite):
    """RESULT = u₁·G + u₂·Q for every group; `infinite` (int64 a group) takes the lanes where the sum is infinite.

    `scalars` (uint64, 8 · width words a group) holds u₁ and u₂ below the order, word by word.
    """
    lanes = lanes_of(curve)
    width = ln.lane_width(lanes)
    rows, digits, none, collided, room = windows
    for group in range(groups):
        u1 = load_scalar(lanes, scalars, (8 * group) * width, width)
        u2 = load_scalar(lanes, scalars, (8 * group + 4) * width, width)
        write_digits(curve, u1, u2, digits, group)
    build_tables(curve, work, rows, groups, room)
    sum_windows(curve, base, work, windows, groups)
    for group in range(groups):
        redo = multiply(curve, work, none, group) | collided[group]
        infinite[group] = 0
        if redo != 0:
            u1 = load_scalar(lanes, scalars, (8 * group) * width, width)
            u2 = load_scalar(lanes, scalars, (8 * group + 4) * width, width)
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
