# SPDX-License-Identifier: GPL-3.0-or-later
"""Quadratic extensions: compiled arithmetic against Python integers, and the generator's bounds on intervals."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from interval_builder import Interval, Standin
from lanes_here import HERE, raw_limbs, raw_value, scale
from numba import njit

from supervm.crypto.params import bls12_381, bn254, secp256k1
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields import multiword as wd
from supervm.kernels.cpu.fields import quadratic
from supervm.kernels.cpu.fields.doubles import DoublesField
from supervm.kernels.cpu.fields.element_type import Field, generator
from supervm.kernels.cpu.fields.powers import inverse
from supervm.kernels.cpu.fields.quadratic_codegen import QuadraticField
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.cpu.lanes.emitter import Emitter
from supervm.kernels.cpu.lanes.lanes import IFMA_64X8
from supervm.kernels.spec import QuadraticSpec

SPECS = {spec.name: spec for spec in (bn254.FP2, bls12_381.FP2)}

Pair = tuple[int, int]


@njit(nogil=True)
def _apply(field, array, out, flags):  # type: ignore[no-untyped-def]
    """Every operation of RESULTS on one group of four elements."""
    size = fe.storage(field)
    a, b = fe.load(field, array, 0), fe.load(field, array, size)
    c, d = fe.load(field, array, 2 * size), fe.load(field, array, 3 * size)
    real, imaginary = quadratic.parts(a)
    results = (
        fe.mul(a, b),
        fe.sqr(a),
        fe.mul_add(2, a, b, -3, c),
        fe.sqr_add_two(a, -1, c, -2, d),
        fe.mul_two(a, b, c, d),
        fe.sum_of_products((a, b, c, d, a, b, c, d), (b, c, d, a, c, d, a, b)),
        fe.add(a, b),
        fe.sub(a, b),
        fe.scale(-3, a),
        fe.mul(fe.lazy(1, a, -1, b, 2), fe.lazy(1, c, 1, d, 0)),
        fe.sqr(fe.lazy(1, a, -1, b, 2)),
        inverse(field, a),
        quadratic.conjugate(a),
        quadratic.scaled(a, fe.add(real, imaginary)),
        quadratic.join(field, imaginary, real),
        fe.constant(field, 5),
        fe.select(fe.equal(a, b), c, a),
        fe.from_words(field, fe.to_words(a)),
    )
    for index in range(18):
        fe.store(out, index * size, results[index])
    flags[0] = ln.mask_bits(fe.is_zero(a))
    flags[1] = ln.mask_bits(fe.equal(a, b))


def _expected(spec: QuadraticSpec, a: Pair, b: Pair, c: Pair, d: Pair) -> list[Pair]:
    p = spec.base.modulus
    mul = spec.multiply

    def total(*terms: tuple[int, Pair]) -> Pair:
        return sum(k * t[0] for k, t in terms) % p, sum(k * t[1] for k, t in terms) % p

    pairs = [(a, b), (b, c), (c, d), (d, a), (a, c), (b, d), (c, a), (d, b)]
    apart, together = total((1, a), (-1, b)), total((1, c), (1, d))
    return [
        mul(a, b),
        mul(a, a),
        total((2, mul(a, b)), (-3, c)),
        total((1, mul(a, a)), (-1, c), (-2, d)),
        total((1, mul(a, b)), (1, mul(c, d))),
        total(*((1, mul(x, y)) for x, y in pairs)),
        total((1, a), (1, b)),
        apart,
        total((-3, a)),
        mul(apart, together),
        mul(apart, apart),
        spec.inverse(a) if a != (0, 0) else (0, 0),
        (a[0], -a[1] % p),
        mul(a, ((a[0] + a[1]) % p, 0)),
        (a[1], a[0]),
        (5, 0),
        c if a == b else a,
        a,
    ]


def _elements(spec: QuadraticSpec, source: random.Random, width: int) -> list[list[Pair]]:
    p = spec.base.modulus
    edges = [0, 1, 2, p - 1, p - 2, (p - 1) // 2, 1 << 52, (1 << 104) - 1]
    lanes = []
    for lane in range(width):
        drawn = [
            (source.choice(edges), source.choice(edges))
            if source.random() < 0.5
            else (source.randrange(p),) * 2
            for _ in range(4)
        ]
        if lane % 3 == 1:
            drawn[1] = drawn[0]
        if lane % 4 == 2:
            drawn[0] = (0, 0)
        lanes.append(drawn)
    return lanes


def _row(field: Field, values: list[Pair], excess: int) -> list[list[int]]:
    """Limbs of one element in every lane; `excess` times p more, which lanes allow once, or for doubles, p less."""
    code: Any = field.element.code
    base = code.base
    more = base.spec.modulus * (-excess if isinstance(base, DoublesField) else excess)
    rows = []
    for value in values:
        limbs = code.represent(value)
        if base.lanes.width > 1 and excess:
            parts = [raw_limbs(base, part * base.r % base.spec.modulus + more) for part in value]
            limbs = parts[0] + parts[1]
        rows.append(limbs)
    return np.array(rows, np.uint64).T.tolist()


def _value(field: Field, limbs: list[int]) -> Pair:
    code: Any = field.element.code
    base = code.base
    p = base.spec.modulus
    low, high = (
        (-p, p) if isinstance(base, DoublesField) else (0, 2 * p - 1 if base.lanes.width > 1 else p - 1)
    )
    found = []
    for part in code.parts(limbs):
        raw = raw_value(base, part)
        assert low <= raw <= high
        found.append(raw * scale(base) % p)
    return found[0], found[1]


@pytest.mark.parametrize("name", SPECS)
def test_operations(name: str, backend: str):
    spec, lanes = SPECS[name], HERE[backend]
    field = Field(spec, lanes)
    source = random.Random(f"{name} {backend}")
    for turn in range(12):
        elements = _elements(spec, source, lanes.width)
        rows = [_row(field, [drawn[index] for drawn in elements], turn % 2) for index in range(4)]
        out = np.zeros(18 * field.limbs * lanes.width, np.uint64)
        flags = np.zeros(2, np.int64)
        _apply(field, np.array(rows, np.uint64).reshape(-1), out, flags)
        found = out.reshape(18, field.limbs, lanes.width)
        for lane, (a, b, c, d) in enumerate(elements):
            for index, expected in enumerate(_expected(spec, a, b, c, d)):
                assert _value(field, found[index, :, lane].tolist()) == expected, (turn, lane, index)
            assert flags[0] >> lane & 1 == (a == (0, 0))
            assert flags[1] >> lane & 1 == (a == b)


@njit(nogil=True)
def _canonical(field, marker, words, groups, flags):  # type: ignore[no-untyped-def]
    width = ln.lane_width(marker)
    for group in range(groups):
        at = 8 * width * group
        first = (
            ln.load(marker, words, at),
            ln.load(marker, words, at + width),
            ln.load(marker, words, at + 2 * width),
            ln.load(marker, words, at + 3 * width),
        )
        second = (
            ln.load(marker, words, at + 4 * width),
            ln.load(marker, words, at + 5 * width),
            ln.load(marker, words, at + 6 * width),
            ln.load(marker, words, at + 7 * width),
        )
        flags[group] = ln.mask_bits(wd.below_modulus(field, first + second))


def test_both_parts_must_be_below_the_modulus(backend: str):
    p, lanes = bn254.FP.modulus, HERE[backend]
    values = [(0, 0), (p - 1, p - 1), (p, 0), (0, p), (p, p), (p - 1, p), (p + 1, 1), (1 << 255, 1)]
    groups = len(values) // lanes.width
    words = np.zeros((groups, 8, lanes.width), np.uint64)
    for item, value in enumerate(values):
        for part in range(2):
            for index in range(4):
                word = value[part] >> 64 * index & (1 << 64) - 1
                words[item // lanes.width, 4 * part + index, item % lanes.width] = word
    flags = np.zeros(groups, np.int64)
    _canonical(Field(bn254.FP2, lanes), lanes, words.reshape(-1), groups, flags)
    found = [int(flags[item // lanes.width]) >> item % lanes.width & 1 for item in range(len(values))]
    assert found == [1, 1, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("name", SPECS)
def test_nothing_overflows(name: str):
    """In lanes, on the widest elements. (Limb by limb intervals cannot know that 4p − a is positive for a lazy a.)"""
    code = generator(SPECS[name], IFMA_64X8.type)
    assert isinstance(code, QuadraticField)
    base = code.base

    def widest() -> list[Interval]:
        top = (2 * base.spec.modulus - 1) >> base.radix * (base.limbs - 1)
        bounds = [*[(1 << base.radix) - 1] * (base.limbs - 1), top] * 2
        return [Interval(0, bound) for bound in bounds]

    builder = Standin(True, [base.minus_inverse])
    e = Emitter(builder, code.lanes)  # type: ignore[arg-type]
    a, b, c = widest(), widest(), widest()
    for factors in ([(a, b)], [(a, a)], [(a, b)] * 9, [(a, a), (b, c)]):
        code.products(e, factors, [(1, []), (2, [(-1, c)])])
    assert builder.lost() == 0


def test_sums_stay_below_the_montgomery_bound():
    """What `_groups` puts together is below R·p, and so is a lone product or square of factors below 4p."""
    for spec in SPECS.values():
        code: Any = generator(spec, IFMA_64X8.type)
        room = code.base.r // spec.base.modulus
        assert room > 4 * 4 + 4 * 4  # product of two lazy elements: a₀b₀ + (4p − a₁)b₁
        assert room > 8 * 8  # square of a lazy element
        element = [None] * code.limbs
        for factors in ([(element, list(element))] * 40, [(element, element)] * 9):
            for group in code._groups(factors):
                assert sum(24 if a is b else 12 for a, b in group) < room


def test_an_extension_of_a_field_that_folds_is_refused():
    with pytest.raises(TypeError, match="folds"):
        generator(QuadraticSpec("no", secp256k1.FP), IFMA_64X8.type)
