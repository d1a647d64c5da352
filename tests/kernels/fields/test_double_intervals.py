# SPDX-License-Identifier: GPL-3.0-or-later
"""The builder that `test_bounds_of_doubles` stands on: a proof is worth what it refuses."""

from __future__ import annotations

import random

import pytest
from double_intervals import DoublesBuilder, Real, Word, double
from interval_builder import BoundError

from supervm.kernels.cpu.fields.doubles import HIGH, HIGH_WIDE, LOW, Column, Doubles, bits_of
from supervm.kernels.cpu.lanes.emitter import Emitter
from supervm.kernels.cpu.lanes.lanes import FMA_64X4


@pytest.fixture
def d():
    return Doubles(Emitter(DoublesBuilder(), FMA_64X4.type))  # type: ignore[arg-type]


def test_products(d):
    """A product is split up to 2^102, and up to 2^103 in the wide form."""
    large, largest = Real(-(1 << 51), 1 << 51, 0), Real(0, 1 << 52, 0)
    d.fma(large, large, d.constant(HIGH))
    d.fma(large, largest, d.constant(HIGH_WIDE))
    for a, b, centre in ((large, Real(0, (1 << 51) + 1, 0), HIGH), (largest, largest, HIGH_WIDE)):
        with pytest.raises(BoundError, match="binade"):
            d.fma(a, b, d.constant(centre))


def test_halves(d):
    """The low half is within 2^50 where it belongs to the high half, and rounded elsewhere."""
    a, b = Real(-(1 << 50), 1 << 50, 0), Real(-(1 << 51), 1 << 51, 0)
    h = d.fma(a, b, d.constant(HIGH))
    less = d.sub(d.constant(HIGH + LOW), h)
    low = d.fma(a, b, less)
    assert (low.lo, low.hi) == (5 << 50, 7 << 50)
    for x, y in ((b, a), (a, Real(b.lo, b.hi, 0))):
        with pytest.raises(BoundError, match="rounded"):
            d.bits(d.fma(x, y, less))


def test_sums(d):
    wide = Real(0, 1 << 53, 0)
    d.add(wide, Real(0, 0, 0))
    for step in (d.add, d.sub):
        with pytest.raises(BoundError, match="53 bits"):
            step(wide, Real(-1, 1, 0))
    with pytest.raises(BoundError, match="binade"):
        d.add(wide, d.constant(LOW))


def test_bits(d):
    word = d.bits(d.add(Real(-5, 7, 0), d.constant(LOW)))
    total = d.e.sub(word, d.e.constant(bits_of(LOW)))
    assert (total.lo, total.hi) == (-5, 7)
    with pytest.raises(BoundError, match="negative"):
        d.e.add(d.bits(Real(-5, 7, 0)), word)
    with pytest.raises(BoundError, match="binade"):
        d.e.add(d.bits(Real(5, 17, 0)), word)


def test_columns(d):
    column = Column(d.e)
    column.add(Word(-(1 << 62), (1 << 62) - 1), 0)
    d.e.shr(column.plus(1 << 62), 51)
    with pytest.raises(BoundError, match="word"):
        d.e.shr(column.plus((1 << 62) + 1), 51)
    with pytest.raises(BoundError, match="word"):
        d.e.shr(column.plus((1 << 62) - 1), 51)


def test_unsigned(d):
    x = d.from_unsigned(Word(0, (1 << 52) - 1), 5)
    assert x.integers == (-5, (1 << 52) - 6)
    with pytest.raises(BoundError, match="overlap"):
        d.from_unsigned(Word(0, 1 << 52))


def test_lost_bits(d):
    word = d.e.add(Word(0, 1 << 60), Word(0, 1))
    d.e.mask(word, 51)
    assert d.builder.lost() == 1
    d.e.shr(word, 51)
    assert d.builder.lost() == 0


def test_single_numbers_round_as_the_processor_does(d):
    """Python rounds an integer to the nearest double, too."""
    source = random.Random(3)
    for _ in range(300):
        a, b = (source.randint(-(1 << 51), 1 << 51) for _ in "ab")
        x, y = double(a).real, double(b).real
        scaled = d.scale(x, float(b))
        assert scaled.lo << scaled.grain == int(float(a * b))
        assert d.fma(x, y, d.constant(HIGH)).integers[0] == int(float(a * b + int(HIGH)))
        assert d.add(x, d.constant(HIGH / 2**40)).integers[0] == int(float(a + int(HIGH / 2**40)))
