# SPDX-License-Identifier: GPL-3.0-or-later
"""Products by known factors and the sums between them: exact on integers, and within their bounds on intervals.

The generators write through an LLVM builder. A stand-in takes its place, whose 64-bit words are ranges of integers; on
ranges of one number it computes what the compiled code would.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from supervm.crypto.params import bls12_381, bn254
from supervm.kernels.cpu.fields.element_type import generator
from supervm.kernels.cpu.lanes.emitter import Emitter, digits
from supervm.kernels.cpu.lanes.lanes import FMA_64X4, IFMA_64X8, LANES_64
from supervm.kernels.cpu.ntt import ntt, shoup
from supervm.kernels.cpu.ntt.passes import INPUT_BOUND

FIELDS = {spec.name: spec for spec in (bn254.FR, bls12_381.FR)}
LIMB = 1 << 52

Range = tuple[int, int]


class Machine:
    """A builder on signed 64-bit words that are known to lie in a range; nothing may leave a word."""

    module = property(lambda self: self)
    globals = property(lambda self: self)

    def get(self, name: str) -> str:
        return name

    def add(self, a: Any, b: Any) -> Range:
        (x, u), (y, v) = _read(a), _read(b)
        return _fit(x + y, u + v)

    def sub(self, a: Any, b: Any) -> Range:
        (x, u), (y, v) = _read(a), _read(b)
        return _fit(x - v, u - y)

    def ashr(self, a: Any, b: Any) -> Range:
        (x, u), (count, _) = _read(a), _read(b)
        return x >> count, u >> count

    def lshr(self, a: Any, b: Any) -> Range:
        assert _read(a)[0] >= 0, "an unsigned shift of what may be negative"
        return self.ashr(a, b)

    def and_(self, a: Any, b: Any) -> Range:
        (x, u), (mask, _) = _read(a), _read(b)
        return (x & mask, x & mask) if x == u else (0, mask)

    def call(self, name: str, args: list[Any]) -> Range:
        (x, u), (y, v) = _read(args[1]), _read(args[2])
        if (x, y) != (u, v):
            return self.add(args[0], (0, LIMB - 1))
        product = (x % LIMB) * (y % LIMB)
        part = product % LIMB if "52l" in name else product >> 52
        return self.add(args[0], (part, part))

    def icmp_unsigned(self, predicate: str, a: Any, b: Any) -> bool:
        (x, u), (limit, _) = _read(a), _read(b)
        assert predicate == ">="
        assert x == u >= 0
        return x >= limit

    def select(self, condition: bool, a: Range, b: Range) -> Range:
        return a if condition else b


def _read(value: Any) -> Range:
    if isinstance(value, tuple):
        return value
    constant = value.constant[0].constant
    return constant, constant


def _fit(low: int, high: int) -> Range:
    assert -(1 << 63) <= low <= high < 1 << 63, "a word overflows"
    return low, high


@pytest.fixture(params=FIELDS)
def code(request):
    return generator(FIELDS[request.param], IFMA_64X8.type)


@pytest.fixture
def emitter(code):
    return Emitter(Machine(), code.lanes)  # type: ignore[arg-type]


def limbs_of(code, number):
    return [(digit, digit) for digit in digits(number, 52, code.limbs)]


def loosened(code, number, source):
    """Other signed limbs of the same number modulo R."""
    limbs = [low for low, _ in limbs_of(code, number)]
    for index in range(code.limbs):
        borrowed = source.randrange(-(1 << 9), 1 << 9)
        limbs[index] += borrowed * LIMB
        if index + 1 < code.limbs:
            limbs[index + 1] -= borrowed
    return [(limb, limb) for limb in limbs]


def value_of(code, limbs):
    """The number modulo R."""
    assert all(low == high for low, high in limbs)
    return sum(low << (52 * index) for index, (low, _) in enumerate(limbs)) % code.r


def factor_of(code, w):
    return limbs_of(code, w) + limbs_of(code, (w * code.r) // code.spec.modulus)


def numbers(code, source):
    p, r = code.spec.modulus, code.r
    edges = [0, 1, p - 1, p, 2 * p - 1, 2 * p, 3 * p - 1, r - 1, r - 2, r // 2, LIMB, LIMB - 1, r - LIMB]
    edges += [k * p + d for k in (7, shoup.room(code) // 2, shoup.room(code)) for d in (-1, 0, 1)]
    return edges + [source.randrange(r) for _ in range(200)]


def test_products(code, emitter):
    p, source = code.spec.modulus, random.Random(1)
    for a in numbers(code, source):
        for w in (0, 1, 2, p - 1, source.randrange(p)):
            product = shoup.multiply(emitter, code, loosened(code, a, source), factor_of(code, w))
            found = value_of(code, product)
            assert found < shoup.PRODUCT_BOUND * p
            assert found % p == a * w % p


def test_canonical_numbers(code, emitter):
    p, source = code.spec.modulus, random.Random(2)
    half = shoup.room(code) // 2
    for a in numbers(code, source):
        assert value_of(code, shoup.reduced(emitter, code, loosened(code, a, source))) == a % p
        halved = shoup.halved(emitter, code, loosened(code, a, source))
        assert value_of(code, halved) == a - half * p * (a >= half * p)
        assert value_of(code, halved) < (half + 2) * p
        assert value_of(code, shoup.masked(emitter, loosened(code, a, source))) == a


def test_sums(code, emitter):
    p, source = code.spec.modulus, random.Random(3)
    for _ in range(100):
        a, t = source.randrange(20 * p), source.randrange(3 * p)
        x, y = loosened(code, a, source), loosened(code, t, source)
        assert value_of(code, shoup.combine(emitter, code, x, y, 1, 0)) == a + t
        for multiple in (3, 6):
            difference = shoup.combine(emitter, code, x, y, -1, multiple)
            assert value_of(code, difference) == a - t + multiple * p


def test_limbs_fit_their_words_through_every_level(code, emitter):
    """Sums are carried only into products: what piles up in one limb over all levels stays within 64 bits."""
    carried = [(0, LIMB - 1)] * code.limbs
    factor = [(0, LIMB - 1)] * (2 * code.limbs)
    limbs = shoup.multiply(emitter, code, carried, factor)  # scaled on the way in
    for _ in range(ntt.BITS + 1):
        product = shoup.multiply(emitter, code, limbs, factor)
        both = [shoup.combine(emitter, code, limbs, product, sign, 6 * (sign < 0)) for sign in (1, -1)]
        limbs = [(min(x, y), max(u, v)) for (x, u), (y, v) in zip(*both, strict=True)]
    shoup.masked(emitter, limbs)


def test_values_stay_below_r(code):
    """The bounds that `ntt_passes` counts with, in multiples of p."""
    p, room = code.spec.modulus, shoup.room(code)
    assert room >= 35
    assert room >= 4 * INPUT_BOUND + 2 * shoup.PRODUCT_BOUND
    assert room // 2 + 1 + 2 * shoup.PRODUCT_BOUND <= room
    assert (room + 1) * p - room // 2 * p <= (room // 2 + 2) * p  # R < (room + 1)·p, less half of room
    assert room // 2 * p < (room // 2 + 1) * p
    factor = p + 4 * p * p // code.r  # a product of two elements below 2p in Montgomery form
    twisted = (code.r * factor + p * code.r) // code.r
    assert twisted < 1 << 256
    assert twisted < INPUT_BOUND * p
    assert code.r * factor < code.r * code.r


def test_one_lane_and_doubles_have_no_bound():
    for lanes, words in ((LANES_64, 4), (FMA_64X4, 5)):
        one = generator(bn254.FR, lanes.type)
        assert shoup.room(one) > 3 << 20
        assert shoup.row_words(one) == words
    assert shoup.row_words(generator(bn254.FR, IFMA_64X8.type)) == 10
