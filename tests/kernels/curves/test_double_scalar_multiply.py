# SPDX-License-Identifier: GPL-3.0-or-later
"""u₁·G + u₂·Q against the oracle: the scalar split, the digits, and the lanes that meet an exception on the way."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from double_scalars import Item, crafted, extremes
from lanes_here import raw_value
from numba import njit

from supervm.crypto.oracle import weierstrass as oracle
from supervm.crypto.params.secp256k1 import SECP256K1
from supervm.crypto.signatures.ecdsa import CURVES
from supervm.kernels.cpu.curves import double_scalar_multiply as dm
from supervm.kernels.cpu.curves import window_sums as sums
from supervm.kernels.cpu.curves.curve import base_field, lanes_of
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.lanes import lanes as ln

N = SECP256K1.scalar_field.modulus
P = SECP256K1.field.modulus
G = SECP256K1.base
LAMBDA = SECP256K1.endomorphism.lambda_


@njit(nogil=True)
def multiply_counting(curve, base, work, points, scalars, groups, redone, infinite, split, streams):  # type: ignore[no-untyped-def]
    """What `multiply_all` does, step by step: POINT from `points`, the lanes redone, the halves of u₂ to
    `split` and the digits to `streams`."""
    F = base_field(curve)
    lanes = lanes_of(curve)
    width = ln.lane_width(lanes)
    size = fe.storage(F)
    for group in range(groups):
        for part in range(2):
            at = (2 * group + part) * size
            fe.store(work, (group * dm.GROUP_ELEMENTS + part) * size, fe.load(F, points, at))
    windows = sums.windows_of(curve, groups)
    rows, digits, none, collided, room = windows
    for group in range(groups):
        u1 = dm.load_scalar(lanes, scalars, (8 * group) * width, width)
        u2 = dm.load_scalar(lanes, scalars, (8 * group + 4) * width, width)
        dm.write_digits(curve, u1, u2, digits, group)
        k1, sign1, k2, sign2 = dm.split(curve, u2)
        dm.store_scalar(split, (8 * group) * width, width, k1)
        dm.store_scalar(split, (8 * group + 4) * width, width, k2)
        redone[3 * group + 1], redone[3 * group + 2] = ln.mask_bits(sign1), ln.mask_bits(sign2)
    streams[:] = digits
    sums.build_tables(curve, work, rows, groups, room)
    sums.sum_windows(curve, base, work, windows, groups)
    for group in range(groups):
        u1 = dm.load_scalar(lanes, scalars, (8 * group) * width, width)
        u2 = dm.load_scalar(lanes, scalars, (8 * group + 4) * width, width)
        redone[3 * group] = dm.multiply(curve, work, none, group) | collided[group]
        infinite[group] = 0
        if redone[3 * group] != 0:
            infinite[group] = dm.multiply_complete(curve, work, u1, u2, group, redone[3 * group])
    dm.invert_results(curve, work, groups)


class Outcome(NamedTuple):
    """For each item: the sum (None for infinity), whether it was redone, (±k₁, ±k₂), and the digits of k₁, k₂ and u₁."""

    points: list[tuple[int, int] | None]
    redone: list[bool]
    halves: list[tuple[int, int]]
    digits: np.ndarray


def run(items: list[Item], backend: str) -> Outcome:
    curve = CURVES[backend]
    width, limbs = curve.lanes.width, curve.field.limbs
    items = items + [Item(1, 1, 5)] * (-len(items) % width)
    groups = len(items) // width
    affine = [oracle.multiply(item.q, G) for item in items]
    represented = np.array(
        [[curve.field.represent(c) for c in point or (0, 0)] for point in affine], np.uint64
    )
    points = np.ascontiguousarray(represented.reshape(groups, width, 2, limbs).transpose(0, 2, 3, 1)).reshape(
        -1
    )
    words = [[(u >> (64 * k)) % (1 << 64) for u in (item.u1, item.u2) for k in range(4)] for item in items]
    scalars = np.ascontiguousarray(
        np.array(words, np.uint64).reshape(groups, width, 8).transpose(0, 2, 1)
    ).reshape(-1)
    work = np.empty(groups * dm.GROUP_ELEMENTS * limbs * width, np.uint64)
    digits = np.empty(groups * sums.DIGITS * width, np.int16)
    redone, infinite = np.empty(3 * groups, np.int64), np.empty(groups, np.int64)
    split = np.empty_like(scalars)
    base = curve.table(dm.base_tables(SECP256K1))
    multiply_counting(curve, base, work, points, scalars, groups, redone, infinite, split, digits)
    stored = (
        work.reshape(groups, dm.GROUP_ELEMENTS, limbs, width)[:, :2]
        .transpose(0, 3, 1, 2)
        .reshape(-1, 2, limbs)
    )
    results: list[tuple[int, int] | None] = []
    flags, halves = [], []
    parts = split.reshape(groups, 8, width).transpose(0, 2, 1).reshape(-1, 8)
    for index, coordinates in enumerate(stored):
        group, lane = divmod(index, width)
        x, y = (raw_value(curve.field.element.code, c) % P for c in coordinates)
        empty = int(infinite[group]) >> lane & 1
        assert not empty or (x, y) == (0, 0)
        results.append(None if empty else (x, y))
        flags.append(bool(int(redone[3 * group]) >> lane & 1))
        numbers = [sum(int(w) << (64 * k) for k, w in enumerate(parts[index][at : at + 4])) for at in (0, 4)]
        signs = [int(redone[3 * group + k]) >> lane & 1 for k in (1, 2)]
        halves.append(tuple(-k if sign else k for k, sign in zip(numbers, signs, strict=True)))
    streams = digits.reshape(groups, sums.DIGITS, width).transpose(0, 2, 1)
    return Outcome(results, flags, halves, streams.reshape(-1, sums.DIGITS))


def test_the_basis_bounds_the_halves():
    """Rounding u·(b₂, −b₁)/n leaves at most half of each basis vector, and a little for the rounded constants."""
    (a1, b1), (a2, b2) = SECP256K1.basis
    assert a1 * b2 - a2 * b1 == N
    for a, b in ((a1, b1), (a2, b2)):
        assert (a + b * LAMBDA) % N == 0
    assert b1 < 0 < b2
    # c = ⌊u·g/2^384 + 1/2⌋ with |g − 2^384·b/n| ≤ 1/2 and u < n: c is within 1/2 + n/2^385 of u·b/n.
    error = Fraction(1, 2) + Fraction(N, 1 << 385)
    assert error * (abs(a1) + abs(a2)) < 1 << 128
    assert error * (abs(b1) + abs(b2)) < 1 << 128
    # The shares themselves fit two words, and the halves are told from their negatives by half the order.
    assert max(abs(b1), abs(b2)) < (1 << 128) - 1
    assert N // 2 > 1 << 128


def test_base_tables():
    points = dm.base_tables(SECP256K1)
    assert len(points) == 2 * dm.TABLE_POINTS
    for half, start in enumerate((1, 1 << 130)):
        for index in range(1, dm.TABLE_POINTS):
            assert points[half * dm.TABLE_POINTS + index] == oracle.multiply(index * start, G)


def test_split_and_digits(backend):
    """Both halves stay below 2^128 and recombine; so do the digits, which stay within their tables."""
    source = random.Random(7)
    scalars = extremes() + [source.randrange(N) for _ in range(300)]
    items = [Item(u, v, 1) for u, v in zip(scalars, scalars[1:] + scalars[:1], strict=True)]
    outcome = run(items, backend)
    for item, (k1, k2), streams in zip(items, outcome.halves, outcome.digits, strict=False):
        assert (k1 + k2 * LAMBDA - item.u2) % N == 0
        assert max(abs(k1), abs(k2)) < 1 << 128
        for k, stream in ((k1, streams[:26]), (k2, streams[26:52])):
            assert sum(int(digit) << (5 * i) for i, digit in enumerate(stream)) == k
            assert np.abs(stream).max() <= 16
        u1 = sum(int(digit) << (10 * i) for i, digit in enumerate(streams[52:]))
        assert (u1 - item.u1) % N == 0
        assert abs(u1) <= N // 2
        assert np.abs(streams[52:]).max() < dm.TABLE_POINTS


def test_sums(backend):
    """Random sums, extreme scalars and crafted collisions; the last ones take the complete formulas, and only they."""
    source = random.Random(3)
    plain = [Item(source.randrange(N), source.randrange(N), source.randrange(1, N)) for _ in range(40)]
    edges = extremes()
    mixed = [Item(u, source.choice(edges), source.randrange(1, N)) for u in edges]
    mixed += [Item(source.choice(edges), u, source.randrange(1, N)) for u in edges]
    collisions = crafted()
    source.shuffle(collisions)
    items = plain + mixed + collisions
    outcome = run(items, backend)
    for item, point in zip(items, outcome.points, strict=False):
        assert point == oracle.multiply((item.u1 + item.u2 * item.q) % N, G), item
    redone = outcome.redone[: len(items)]
    assert not any(redone[: len(plain)])
    infinite = [item for item, point in zip(items, outcome.points, strict=False) if point is None]
    assert all(flag for flag, point in zip(redone, outcome.points, strict=False) if point is None)
    assert len(infinite) >= 20
    # Finite sums that met an exception on the way: the fast path alone would have got them wrong.
    finite = sum(flag and point is not None for flag, point in zip(redone, outcome.points, strict=False))
    assert finite >= 10
