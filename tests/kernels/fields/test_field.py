# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiled field arithmetic against Python integers, for every kind of lanes.

`test_bounds` runs the code generators on integers for every operation that the kernels use; here the same
operations go through LLVM, every lane with its own values, from and to memory.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from lanes_here import HERE, raw_limbs, raw_value, scale
from numba import njit

from supervm.crypto.params import curve25519, secp256k1
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields.doubles import DoublesField, bits_of
from supervm.kernels.cpu.fields.element_type import Field
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.spec import FieldSpec

# BLS12-381's base field: p = (x − 1)²·(x⁴ − x² + 1)/3 + x (draft-irtf-cfrg-pairing-friendly-curves, section 4.2.1).
_X = -0xD201_0000_0001_0000
BLS12_381_P = FieldSpec("bls12_381.fp", (_X - 1) ** 2 * (_X**4 - _X**2 + 1) // 3 + _X)

FIELDS = {spec.name: spec for spec in (curve25519.FP, secp256k1.FP, secp256k1.FN, BLS12_381_P)}


@njit(nogil=True)
def products(field, array, groups, out):  # type: ignore[no-untyped-def]
    """Every product of PRODUCTS for each group of four elements, one after the other."""
    size = fe.storage(field)
    at = 0
    for group in range(groups):
        base = 4 * group * size
        a, b = fe.load(field, array, base), fe.load(field, array, base + size)
        c, d = fe.load(field, array, base + 2 * size), fe.load(field, array, base + 3 * size)
        results = (
            fe.mul(a, b),
            fe.sqr(a),
            fe.mul_scaled(4, a, b),
            fe.mul_scaled(-1, a, b),
            fe.sqr_scaled(3, a),
            fe.mul_add(1, a, b, -8, c),
            fe.mul_add(-1, a, b, 1, c),
            fe.sqr_add(-1, a, 1, c),
            fe.sqr_add(2, a, 1, c),
            fe.sqr_add_two(a, -1, c, -2, d),
            fe.mul_two(a, b, c, d),
        )
        for index in range(11):
            fe.store(out, at, results[index])
            at += size


PRODUCTS = (
    lambda a, b, c, d: a * b,
    lambda a, b, c, d: a * a,
    lambda a, b, c, d: 4 * a * b,
    lambda a, b, c, d: -a * b,
    lambda a, b, c, d: 3 * a * a,
    lambda a, b, c, d: a * b - 8 * c,
    lambda a, b, c, d: c - a * b,
    lambda a, b, c, d: c - a * a,
    lambda a, b, c, d: 2 * a * a + c,
    lambda a, b, c, d: a * a - c - 2 * d,
    lambda a, b, c, d: a * b + c * d,
)


@njit(nogil=True)
def sums(field, array, groups, out):  # type: ignore[no-untyped-def]
    """Every sum of SUMS for each group of four elements."""
    size = fe.storage(field)
    at = 0
    for group in range(groups):
        base = 4 * group * size
        a, b = fe.load(field, array, base), fe.load(field, array, base + size)
        room = fe.local(field, 2)
        fe.put(room, 0, a)
        fe.put(room, 1, b)
        results = (
            fe.add(a, b),
            fe.sub(a, b),
            fe.linear(3, a, -2, b),
            fe.scale(-1, a),
            fe.scale(7, a),
            fe.add(fe.get(room, 1), fe.constant(field, -5)),
            fe.select(fe.equal(a, b), fe.constant(field, 1), a),
        )
        for index in range(7):
            fe.store(out, at, results[index])
            at += size


SUMS = (
    lambda a, b, p: a + b,
    lambda a, b, p: a - b,
    lambda a, b, p: 3 * a - 2 * b,
    lambda a, b, p: -a,
    lambda a, b, p: 7 * a,
    lambda a, b, p: b - 5,
    lambda a, b, p: 1 if (a - b) % p == 0 else a,
)


@njit(nogil=True)
def conversions(field, marker, words, groups, back, elements, zeros):  # type: ignore[no-untyped-def]
    """Words of each group as an element and back, and whether the element is zero."""
    width = ln.lane_width(marker)
    for group in range(groups):
        at = 4 * group * width
        element = fe.from_words(
            field,
            (
                ln.load(marker, words, at),
                ln.load(marker, words, at + width),
                ln.load(marker, words, at + 2 * width),
                ln.load(marker, words, at + 3 * width),
            ),
        )
        fe.store(elements, group * fe.storage(field), element)
        result = fe.to_words(element)
        for index in range(4):
            ln.store(back, at + index * width, result[index])
        zeros[group] = ln.mask_bits(fe.is_zero(element))


Limbs = list[int]


class Batch:
    """Elements of one field as the rows that kernels load: element i of group g, lane by lane."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self.code: Any = field.element.code
        self.scale = scale(self.code)

    def stored(self, rows: list[Limbs]) -> np.ndarray:
        """Elements as they are stored; their count is a multiple of the width."""
        width = self.field.lanes.width
        array = np.array(rows, np.uint64).reshape(-1, width, self.field.limbs)
        return np.ascontiguousarray(array.transpose(0, 2, 1)).reshape(-1)

    def values(self, array: np.ndarray) -> list[int]:
        """What stored elements stand for; each keeps the contract of an element."""
        width, limbs = self.field.lanes.width, self.field.limbs
        rows = array.reshape(-1, limbs, width).transpose(0, 2, 1).reshape(-1, limbs)
        found = []
        for row in rows:
            raw = raw_value(self.code, row)
            if isinstance(self.code, DoublesField):
                self._check_limbs(row, raw)
            else:
                assert 0 <= raw < 2 * self.field.spec.modulus
            found.append(raw * self.scale % self.field.spec.modulus)
        return found

    def _check_limbs(self, row: Any, raw: int) -> None:
        for limb, place, bound in zip(row, self.code.places, self.code.bounds, strict=True):
            alone = [int(limb) if at == place else 0 for at in self.code.places]
            assert abs(raw_value(self.code, alone)) >> place <= bound
        assert self.field.spec.fold or abs(raw) <= self.field.spec.modulus

    def edges(self) -> list[Limbs]:
        """Stored limbs at the edges of what an element may hold."""
        p = self.field.spec.modulus
        found = [0, 1, 2, p - 1, p - 2, p >> 1, (1 << 51) - 1, (1 << 52) - 1]
        if isinstance(self.code, DoublesField):
            return [
                raw_limbs(self.code, sign * number) for number in found for sign in (1, -1)
            ] + self._widest()
        if self.field.spec.fold:
            top = 1 << self.field.spec.bits
            found += [p, p + 1, top - 1, top, top + (1 << 218) - 1, (1 << 218) - 1]
        elif self.field.lanes.width > 1:
            found += [p, p + 1, 2 * p - 1]
        return [raw_limbs(self.code, number) for number in found]

    def _widest(self) -> list[Limbs]:
        """Doubles with every limb at its bound, of one sign and of both, within p where the field is in Montgomery form."""
        found = []
        for signs in ((1, 1), (-1, -1), (1, -1), (-1, 1)):
            limbs = [bound * signs[index % 2] for index, bound in enumerate(self.code.bounds)]
            if not self.field.spec.fold:
                rest = sum(limb << place for limb, place in zip(limbs[:-1], self.code.places, strict=False))
                room = self.field.spec.modulus - abs(rest)
                limbs[-1] = (1 if limbs[-1] > 0 else -1) * (room >> self.code.places[-1])
            found.append([bits_of(limb) for limb in limbs])
        return found

    def random(self, source: random.Random, count: int) -> list[Limbs]:
        return [raw_limbs(self.code, source.randrange(self.field.spec.modulus)) for _ in range(count)]


@pytest.fixture(params=list(FIELDS))
def batch(request: pytest.FixtureRequest, backend: str) -> Batch:
    return Batch(Field(FIELDS[request.param], HERE[backend]))


def inputs(batch: Batch) -> tuple[np.ndarray, list[tuple[int, ...]], int]:
    """(limbs, (a, b, c, d) of each item, groups): every pair of edges, and random elements."""
    source = random.Random(batch.field.spec.name)
    edges = batch.edges()
    items = [(a, b, source.choice(edges), source.choice(edges)) for a in edges for b in edges]
    items += [tuple(batch.random(source, 4)) for _ in range(300)]
    items = items[: len(items) // 8 * 8]
    width = batch.field.lanes.width
    groups = len(items) // width
    stored = [
        items[width * group + lane][k] for group in range(groups) for k in range(4) for lane in range(width)
    ]
    p = batch.field.spec.modulus
    values = [tuple(raw_value(batch.code, limbs) * batch.scale % p for limbs in item) for item in items]
    return batch.stored(stored), values, groups


def check(batch: Batch, out: np.ndarray, items: list[tuple[int, ...]], wanted: Any) -> None:
    """`out` holds, group by group, one element for each function of `wanted`."""
    width, p = batch.field.lanes.width, batch.field.spec.modulus
    found = batch.values(out)
    for index, item in enumerate(items):
        group, lane = divmod(index, width)
        for k, function in enumerate(wanted):
            at = (group * len(wanted) + k) * width + lane
            assert found[at] == function(*item) % p, (k, item)


def test_products(batch):
    array, items, groups = inputs(batch)
    out = np.empty(len(PRODUCTS) * len(array) // 4, np.uint64)
    products(batch.field, array, groups, out)
    check(batch, out, items, PRODUCTS)


def test_sums(batch):
    array, items, groups = inputs(batch)
    out = np.empty(len(SUMS) * len(array) // 4, np.uint64)
    sums(batch.field, array, groups, out)
    p = batch.field.spec.modulus
    check(batch, out, items, [lambda a, b, c, d, f=function: f(a, b, p) for function in SUMS])


def test_words(backend):
    """Any four words become an element; back come the canonical ones. Zero is found in each of its forms."""
    for spec in (curve25519.FP, secp256k1.FP, curve25519.FL, secp256k1.FN):
        field = Field(spec, HERE[backend])
        batch, width, p = Batch(field), field.lanes.width, spec.modulus
        source = random.Random(1)
        numbers = [
            0,
            1,
            p - 1,
            p,
            p + 1,
            min(2 * p, (1 << 256) - 1),
            (1 << 256) - 1,
            1 << 255,
            1 << 208,
            (1 << 255) - 1,
        ]
        numbers += [source.getrandbits(256) for _ in range(54)]
        words = np.array([[(n >> (64 * k)) % (1 << 64) for k in range(4)] for n in numbers], np.uint64)
        rows = np.ascontiguousarray(words.reshape(-1, width, 4).transpose(0, 2, 1))
        groups = len(rows)
        back, zeros = np.empty(rows.size, np.uint64), np.empty(groups, np.int64)
        elements = np.empty(groups * field.limbs * width, np.uint64)
        conversions(field, HERE[backend], rows.reshape(-1), groups, back, elements, zeros)
        assert batch.values(elements) == [number % p for number in numbers]
        returned = back.reshape(-1, 4, width).transpose(0, 2, 1).reshape(-1, 4)
        assert [sum(int(w) << (64 * k) for k, w in enumerate(row)) for row in returned] == [
            n % p for n in numbers
        ]
        found = [(int(zeros[index // width]) >> index % width) & 1 for index in range(len(numbers))]
        assert found == [number % p == 0 for number in numbers]
