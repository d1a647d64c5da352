# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts from tests of ranges, sums modulo a prime and sums of points, against plain Python."""

from __future__ import annotations

import random

import numpy as np
import pytest

from supervm.crypto import curves, weighted
from supervm.crypto.oracle.pairing_groups import GROUPS
from supervm.crypto.weighted import inner_products, point_sums, random_weights, split, spread, verdicts

CURVES = ("bn254", "bls12_381")


class Items:
    """Items of which some are bad, and how often ranges and items were tested."""

    def __init__(self, count, bad):
        self.good = np.ones(count, bool)
        self.good[list(bad)] = False
        self.ranges = self.in_ranges = self.alone = self.calls = 0

    def hold(self, starts, stops):
        assert (starts < stops).all()
        assert (starts[1:] >= stops[:-1]).all()
        self.calls += 1
        self.ranges += len(starts)
        self.in_ranges += int((stops - starts).sum())
        return np.array(
            [self.good[start:stop].all() for start, stop in zip(starts, stops, strict=True)], bool
        )

    def hold_alone(self, items):
        assert len(set(items.tolist())) == len(items)
        self.calls += 1
        self.alone += len(items)
        return self.good[items]

    def found(self):
        return verdicts(len(self.good), self.hold, self.hold_alone)

    def pairs(self):
        """The work for Groth16: pairs, and a last exponentiation as two."""
        return self.in_ranges + 5 * self.ranges + 6 * self.alone


@pytest.mark.parametrize("count", [0, 1, 2, 8, 9, 17, 100, 1024, 1025, 5000])
def test_verdicts_are_those_of_the_items(count):
    drawn = random.Random(count)
    for bad in {0, 1, 2, count // 2, count}:
        if bad <= count:
            items = Items(count, drawn.sample(range(count), bad))
            assert np.array_equal(items.found(), items.good)
            assert items.found().dtype == np.int8


def test_all_good_are_tested_once():
    items = Items(5000, [])
    items.found()
    assert (items.calls, items.ranges, items.in_ranges, items.alone) == (1, 5, 5000, 0)


def test_a_caller_may_have_failed_ranges_checked_at_once():
    items = Items(500, [3, 400])
    found = verdicts(500, items.hold, items.hold_alone, 500)
    assert np.array_equal(found, items.good)
    assert (items.ranges, items.alone) == (1, 500)


def test_one_alone_needs_no_weights():
    items = Items(1, [])
    items.found()
    assert (items.ranges, items.alone) == (0, 1)


def test_the_work_is_what_is_said():
    """In pairs: one bad item costs 2.2 times the first test; half of them, at random, 1.6 times checking each alone."""
    first = 1024 + 5
    one = Items(1024, [700])
    one.found()
    assert one.pairs() <= 2.25 * first
    half = Items(1024, random.Random(3).sample(range(1024), 512))
    half.found()
    assert half.pairs() <= 1.65 * 6 * 1024


def test_the_item_alone_decides():
    """A range that is said to fail, as a device's fault might have it, makes no good item bad."""
    items = Items(100, [3])
    found = verdicts(100, lambda starts, _: np.zeros(len(starts), bool), items.hold_alone)
    assert np.array_equal(found, items.good)


def test_weights_are_fresh_numbers_of_128_bits():
    weights = random_weights(1000)
    assert weights.shape == (1000, 4)
    assert not weights[:, 2:].any()
    assert len({row.tobytes() for row in np.concatenate((weights, random_weights(1000)))}) == 2000
    bits = np.unpackbits(weights[:, :2].copy().view(np.uint8)).reshape(1000, 128).mean(axis=0)
    assert (bits > 0.3).all()
    assert (bits < 0.7).all()


def test_split_and_spread():
    starts, stops = split(np.array([5, 100]), np.array([15, 107]), np.array([3, 7]))
    assert starts.tolist() == [5, 8, 11, *range(100, 107)]
    assert stops.tolist() == [8, 11, 15, *range(101, 108)]
    assert spread(np.array([7, 3, 9]), np.array([2, 0, 3])).tolist() == [7, 8, 9, 10, 11]


def words(numbers):
    return np.frombuffer(b"".join(n.to_bytes(32, "little") for n in numbers), np.uint64).reshape(-1, 4)


def number(row):
    return int.from_bytes(row.tobytes(), "little")


@pytest.mark.parametrize("name", CURVES)
def test_inner_products(name, monkeypatch):
    """At the edges of limbs, and over blocks that a place reaches across."""
    monkeypatch.setattr(weighted, "_BLOCK", 7)
    order, drawn = curves.get(name).order, random.Random(4)
    edges = [0, 1, order - 1, (1 << 253) - 1, int("ffff" * 15, 16)]
    places = np.repeat(np.arange(9), [1, 2, 30, 1, 1, 5, 9, 1, 14])
    left = [drawn.choice([0, (1 << 128) - 1, drawn.getrandbits(128)]) for _ in places]
    right = [drawn.choice([*edges, drawn.randrange(order)]) % order for _ in places]
    found = inner_products(words(left), words(right), places, order)
    for place, row in enumerate(found):
        terms = (a * b for a, b, at in zip(left, right, places.tolist(), strict=True) if at == place)
        assert number(row) == sum(terms) % order
    none = np.zeros((0, 4), np.uint64)
    assert inner_products(none, none, np.zeros(0, np.int64), order).shape == (0, 4)


def test_inner_products_do_not_overflow():
    """As many of the largest products as a range of one key has at the most, in one place."""
    order, count = curves.get("bls12_381").order, 1 << 15
    left, right = (1 << 128) - 1, order - 1
    both = [np.repeat(words([value]), count, axis=0) for value in (left, right)]
    (found,) = inner_products(*both, np.zeros(count, np.int64), order)
    assert number(found) == count * left * right % order


@pytest.mark.parametrize("name", ["bn254.g1", "bls12_381.g2"])
def test_point_sums(name, monkeypatch):
    """Rows of every length, through products and through one multi-scalar multiplication."""
    curve, _, which = name.partition(".")
    group, oracle, drawn = getattr(curves.get(curve), which), GROUPS[name], random.Random(5)
    counts = [0, 1, 2, 5, 0, 8, 3]
    numbers = [drawn.choice([0, 1, drawn.getrandbits(128), group.order - 1]) for _ in range(sum(counts))]
    generators = np.tile(group.generator, (len(numbers), *[1] * group.generator.ndim))
    points = group.multiply(generators, words(range(1, len(numbers) + 1)))
    points[3] = 0
    offsets = np.append(0, np.cumsum(counts))
    monkeypatch.setattr(weighted, "SUMMED", 6)
    found = point_sums(group, points, words(numbers), offsets, "auto")
    kept = points.copy()
    for row, total in enumerate(found):
        own = range(offsets[row], offsets[row + 1])
        expected = sum((i + 1) * numbers[i] for i in own if i != 3) % group.order
        base = oracle.multiply(expected, oracle.generator)
        parts = () if base is None else (*oracle.field.parts(base[0]), *oracle.field.parts(base[1]))
        size = 8 * oracle.base.words
        assert total.tobytes() == b"".join(part.to_bytes(size, "little") for part in parts).ljust(
            total.nbytes, b"\0"
        )
    assert np.array_equal(points, kept)
