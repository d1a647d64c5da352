# SPDX-License-Identifier: GPL-3.0-or-later
"""Sums of two multiples in one lane against the oracle: digits, tables, extreme scalars, and sums that meet exceptions."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
from double_scalars import Item, crafted, extremes
from lanes_here import raw_value
from numba import njit

from supervm.crypto.oracle import edwards
from supervm.crypto.oracle import weierstrass as oracle
from supervm.crypto.params.curve25519 import EDWARDS25519
from supervm.crypto.params.secp256k1 import SECP256K1
from supervm.kernels.cpu.curves import double_scalar_multiply as dm
from supervm.kernels.cpu.curves import one_lane_edwards, one_lane_weierstrass
from supervm.kernels.cpu.curves.curve import Curve, base_field, lanes_of
from supervm.kernels.cpu.curves.non_adjacent import BASE_WINDOW, WINDOW, write_digits
from supervm.kernels.cpu.curves.one_lane_weierstrass import sum_all
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields import multiword as wd
from supervm.kernels.cpu.lanes.lanes import LANES_64

N = SECP256K1.scalar_field.modulus
P = EDWARDS25519.field.modulus
L = EDWARDS25519.scalar_field.modulus


def little(numbers: list[int], words: int = 4) -> np.ndarray:
    return np.array([number >> (64 * k) & (2**64 - 1) for number in numbers for k in range(words)], np.uint64)


@pytest.mark.parametrize("window", [2, WINDOW, 8, BASE_WINDOW])
def test_digits(window):
    """They recombine, are odd, within their tables, and stand `window` places apart."""
    source = random.Random(window)
    numbers = [0, 1, 2, 3, 2**64 - 1, 2**64, 2**127, 2**128 - 1, 2**128 - 2, int("55" * 16, 16), 0xAA << 120]
    numbers += [2**128 - 2**k for k in range(60, 70)] + [source.getrandbits(128) for _ in range(200)]
    for number in numbers:
        for negative in (False, True):
            digits = np.full(131, 77, np.int16)
            write_digits(np.array([9, *little([number], 2), 9], np.uint64), 1, 2, window, negative, digits, 1)
            assert digits[0] == digits[130] == 77
            found = digits[1:130].tolist()
            assert sum(digit << place for place, digit in enumerate(found)) == (
                -number if negative else number
            )
            places = [place for place, digit in enumerate(found) if digit]
            assert all(
                abs(found[place]) % 2 == 1 and abs(found[place]) < 1 << (window - 1) for place in places
            )
            assert all(after - before >= window for before, after in pairwise(places))


def test_tables():
    found = one_lane_weierstrass.base_tables(SECP256K1)
    assert len(found) == 2048
    for half, start in enumerate((1, 1 << 128)):
        for index in (0, 1, 2, 511, 1022, 1023):
            expected = oracle.multiply((2 * index + 1) * start, SECP256K1.base)
            assert found[1024 * half + index] == expected
    rows = one_lane_edwards.base_table(EDWARDS25519)
    assert len(rows) == 1024
    for index in (0, 1, 2, 511, 1022, 1023):
        plus, minus, product = rows[index]
        x, y = (plus - minus) * pow(2, -1, P) % P, (plus + minus) * pow(2, -1, P) % P
        point = edwards.multiply(2 * index + 1, edwards.BASE)
        assert edwards.equal(edwards.from_affine(x, y), point)
        assert product == EDWARDS25519.d2 * x * y % P


@njit(nogil=True)
def sums(curve, base, work, scalars, groups, infinite):  # type: ignore[no-untyped-def]
    sum_all(curve, base, work, scalars, dm.windows_of(curve, 0), groups, infinite)
    dm.invert_results(curve, work, groups)


def test_weierstrass():
    """Random, extreme and crafted sums, infinite and exceptional ones too: one alone, then as many as share an inversion."""
    curve = Curve(SECP256K1, LANES_64)
    limbs, source = curve.field.limbs, random.Random(3)
    items = [Item(source.randrange(N), source.randrange(N), source.randrange(1, N)) for _ in range(40)]
    items += [Item(u, source.choice(extremes()), source.randrange(1, N)) for u in extremes()]
    items += [Item(source.choice(extremes()), u, source.randrange(1, N)) for u in extremes()]
    items += crafted()
    base = curve.table(one_lane_weierstrass.base_tables(SECP256K1))
    results = []
    for start, stop in [(0, 1), *((at, at + dm.GROUPS) for at in range(1, len(items), dm.GROUPS))]:
        part = items[start:stop]
        work = np.zeros((len(part), dm.GROUP_ELEMENTS, limbs), np.uint64)
        for row, item in zip(work, part, strict=True):
            point = oracle.multiply(item.q, SECP256K1.base)
            assert point is not None
            row[0], row[1] = map(curve.field.represent, point)
        infinite = np.empty(len(part), np.int64)
        scalars = little([u for item in part for u in (item.u1, item.u2)])
        sums(curve, base, work.reshape(-1), scalars, len(part), infinite)
        for row, empty in zip(work, infinite, strict=True):
            x, y = (raw_value(curve.field.element.code, c) % SECP256K1.field.modulus for c in row[:2])
            assert not empty or (x, y) == (0, 0)
            results.append(None if empty else (x, y))
    for item, found in zip(items, results, strict=True):
        assert found == oracle.multiply((item.u1 + item.u2 * item.q) % N, SECP256K1.base), item
    assert results.count(None) >= 20


@njit(nogil=True)
def edwards_sum(curve, base, numbers, points, out):  # type: ignore[no-untyped-def]
    F = base_field(curve)
    size = fe.storage(F)
    for index in range(len(points) // (2 * size)):
        h = wd.read_little(lanes_of(curve), numbers, 8, 0, index, index)
        s = wd.read_little(lanes_of(curve), numbers, 8, 4, index, index)
        x, y = fe.load(F, points, 2 * index * size), fe.load(F, points, (2 * index + 1) * size)
        X, Y, Z = one_lane_edwards.double_scalar(curve, base, x, y, h, s)
        fe.store(out, 3 * index * size, X)
        fe.store(out, (3 * index + 1) * size, Y)
        fe.store(out, (3 * index + 2) * size, Z)


def test_edwards():
    """Any two numbers of 256 bits, and points of any order: the formulas are complete."""
    curve = Curve(EDWARDS25519, LANES_64)
    limbs, source = curve.field.limbs, random.Random(5)
    edges = [0, 1, 2, 15, 16, 17, L - 1, L, 8 * L, 2**252, 2**255, 2**256 - 1, 2**256 - 2, 2**128 - 1]
    pairs = [(h, source.choice(edges)) for h in edges] + [(source.choice(edges), s) for s in edges]
    pairs += [(0, 0)] + [(source.getrandbits(256), source.getrandbits(256)) for _ in range(20)]
    torsion = [(0, 1), (0, P - 1), (pow(2, (P - 1) // 4, P), 0)]
    affine, points = [], []
    for index in range(len(pairs)):
        if index % 5 == 4:
            x, y = torsion[index // 5 % 3]
        else:
            X, Y, Z, _ = edwards.multiply(source.randrange(1, L), edwards.BASE)
            x, y = X * pow(Z, -1, P) % P, Y * pow(Z, -1, P) % P
        affine.append(edwards.from_affine(x, y))
        points += [curve.field.represent(x), curve.field.represent(y)]
    out = np.empty(3 * len(pairs) * limbs, np.uint64)
    numbers = little([number for pair in pairs for number in pair])
    base = curve.table(one_lane_edwards.base_table(EDWARDS25519))
    edwards_sum(curve, base, numbers, np.array(points, np.uint64).reshape(-1), out)
    for (h, s), point, row in zip(pairs, affine, out.reshape(-1, 3, limbs), strict=True):
        X, Y, Z = (raw_value(curve.field.element.code, c) % P for c in row)
        assert Z != 0
        inverse = pow(Z, -1, P)
        found = edwards.from_affine(X * inverse % P, Y * inverse % P)
        assert edwards.equal(found, edwards.multiply_sum(h, point, s, edwards.BASE)), (h, s)
