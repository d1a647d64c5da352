# SPDX-License-Identifier: GPL-3.0-or-later
"""Sums of products before their reduction, run on a builder of integers and of intervals: right, and within their words."""

from __future__ import annotations

import random
from typing import Any

import pytest
from interval_builder import BoundError, Interval, Standin

from supervm.crypto.params.poseidon import FIELDS
from supervm.kernels.cpu.fields.element_type import generator
from supervm.kernels.cpu.fields.montgomery import MontgomeryField
from supervm.kernels.cpu.fields.wide_codegen import LARGEST_SUM, Alternating, WideLanes, WideOne
from supervm.kernels.cpu.hashes.poseidon_sums import SHIFT, SumsInLanes, SumsInOne
from supervm.kernels.cpu.lanes.lanes import IFMA_64X8, LANES_64

KINDS = {"lanes": IFMA_64X8.type, "word": LANES_64.type}
LARGEST = 6
"""Elements with lanes are below so many times p here; `test_poseidon.py` shows that they are in its kernels."""


def made(curve: str, kind: str) -> tuple[Any, Alternating]:
    """The generator of sums for one field and lane type, and a builder of intervals to run it on."""
    code = generator(FIELDS[curve], KINDS[kind])
    assert isinstance(code, MontgomeryField)
    wide = WideLanes(code) if kind == "lanes" else WideOne(code)
    return wide, Alternating(Standin(modulo_word=[code.minus_inverse]), KINDS[kind])


def exact(wide: Any, e: Alternating, value: int) -> list[tuple[Interval, ...]]:
    radix = wide.code.radix
    parts = [value >> radix * i & ((1 << radix) - 1) for i in range(wide.limbs)]
    return [tuple(Interval(part, part) for _ in range(e.count)) for part in parts]


def value(wide: Any, limbs: list[tuple[Interval, ...]]) -> int:
    """The integer that every group holds."""
    groups = {
        sum(limb[g].lo << wide.code.radix * i for i, limb in enumerate(limbs)) for g in range(len(limbs[0]))
    }
    assert all(part.exact for limb in limbs for part in limb)
    (only,) = groups
    return only


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("curve", FIELDS)
def test_values(curve, kind):
    wide, e = made(curve, kind)
    p, r = FIELDS[curve].modulus, wide.code.r
    back = pow(r, -1, p)
    chosen = random.Random(5)
    edges = [0, 1, p - 1, 1 << 208, (1 << 208) - 1, *(chosen.randrange(p) for _ in range(8))]
    for start, first in ((edges[-1], 0), (0, p - 1), (p - 1, 1)):
        columns, expected = wide.begin(e, exact(wide, e, start)), start
        for a, b in zip(edges, [*edges[3:], first, p - 1, 2], strict=True):
            columns = wide.gather(e, columns, exact(wide, e, a), exact(wide, e, b))
            expected += a * b * back
        found = value(wide, wide.reduce(e, columns))
        assert found % p == expected % p
        assert found < (2 if kind == "lanes" else 1) * p + (p if kind == "lanes" else 0)
    for a in edges:
        assert value(wide, wide.reduce(e, wide.square(e, exact(wide, e, a)))) % p == a * a * back % p
        assert value(wide, wide.add(e, exact(wide, e, a), exact(wide, e, p - 1))) % p == (a - 1) % p


@pytest.mark.parametrize("curve", FIELDS)
def test_lanes_keep_within_their_words(curve):
    """The most products of the largest elements; the square of the largest; and one product too many is seen."""
    wide, e = made(curve, "lanes")
    top = 52 * (wide.limbs - 1)

    def below(bound: int) -> list[tuple[Interval, ...]]:
        limbs = [(1 << 52) - 1] * (wide.limbs - 1) + [bound - 1 >> top]
        return [(Interval(0, limb),) * e.count for limb in limbs]

    p = FIELDS[curve].modulus
    columns = wide.begin(e, below(p))
    for _ in range(LARGEST_SUM):
        columns = wide.gather(e, columns, below(LARGEST * p), below(p))
    assert all(limb[0].hi < 1 << 52 for limb in wide.reduce(e, columns)[:-1])
    wide.reduce(e, wide.square(e, below(LARGEST * p)))
    wide.add(e, below(LARGEST * p), below(LARGEST * p))
    full = [(Interval(0, (1 << 64) - 1),) * e.count] * wide.size
    with pytest.raises(BoundError):
        wide.gather(e, full, below(p), below(p))


@pytest.mark.parametrize("curve", FIELDS)
def test_one_lane_reduces_the_largest_sum(curve):
    wide, e = made(curve, "word")
    p, r = FIELDS[curve].modulus, wide.code.r
    columns = wide.begin(e, exact(wide, e, p - 1))
    for _ in range(LARGEST_SUM):
        columns = wide.gather(e, columns, exact(wide, e, p - 1), exact(wide, e, p - 1))
    found = value(wide, wide.reduce(e, columns))
    assert found == (p - 1 + LARGEST_SUM * (p - 1) ** 2 * pow(r, -1, p)) % p


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("curve", FIELDS)
def test_sums_are_reduced(curve, kind):
    """Sums of 1 to 30 elements, at the edges of multiples of p and elsewhere."""
    wide, e = made(curve, kind)
    sums = SumsInLanes(wide, e) if kind == "lanes" else SumsInOne(wide, e)
    p, chosen = FIELDS[curve].modulus, random.Random(8)
    for count in (1, 2, 3, 5, 17, 30):
        for _ in range(12):
            parts = [chosen.choice((0, 1, p - 1, p - 1, chosen.randrange(p))) for _ in range(count)]
            total = sums.raw(exact(wide, e, parts[0]))
            for part in parts[1:]:
                total = sums.add(total, sums.raw(exact(wide, e, part)))
            found = value(wide, sums.reduced(total, count))
            assert found % p == sum(parts) % p
            assert found < (1.1 * p if kind == "lanes" else p)
            if sum(parts) < wide.code.r and kind == "lanes":
                assert value(wide, sums.carried(total, count)) == sum(parts)


@pytest.mark.parametrize("curve", FIELDS)
def test_sums_keep_within_their_words(curve):
    """2^SHIFT elements of the largest limbs; what the multiplier reads is within 52 bits."""
    wide, e = made(curve, "lanes")
    top = FIELDS[curve].modulus - 1 >> 52 * (wide.limbs - 1)
    limbs = [(1 << 52) - 1] * (wide.limbs - 1) + [top]
    total = [(Interval(0, limb << SHIFT),) * e.count for limb in limbs]
    reduced = SumsInLanes(wide, e).reduced(total, 1 << SHIFT)
    assert all(limb[0].hi < 1 << 52 for limb in reduced)
