# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairings of every backend against the oracle, the laws of a pairing, and products of any number of pairs."""

from __future__ import annotations

import itertools
import random
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from lanes_here import on_kinds_and_twin

from supervm.crypto import curves, pairings
from supervm.crypto.oracle.pairings import PAIRINGS, Element
from supervm.kernels.errors import ArgumentError, BackendUnavailable

Words = npt.NDArray[np.uint64]


@pytest.fixture(params=list(PAIRINGS))
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def _scalars(values: list[int]) -> Words:
    return np.frombuffer(b"".join(value.to_bytes(32, "little") for value in values), np.uint64).reshape(-1, 4)


def _multiples(name: str, factors: list[int], others: list[int]) -> tuple[Words, Words]:
    """Points factor·G₁ and other·G₂."""
    curve = curves.get(name)
    count = len(factors)
    first = curve.g1.multiply(
        np.repeat(curve.g1.generator[None], count, 0), _scalars(factors), backend="scalar"
    )
    second = curve.g2.multiply(
        np.repeat(curve.g2.generator[None], count, 0), _scalars(others), backend="scalar"
    )
    return first, second


def _integers(value: Words) -> list[int]:
    return [int.from_bytes(part.tobytes(), "little") for part in value]


def _flat(value: Element) -> list[int]:
    return [part for pair in value for part in pair]


@on_kinds_and_twin
def test_products_are_the_oracles(name: str, backend: str) -> None:
    """Items of no, one and several pairs; infinity on one side, on both, and in all pairs of an item."""
    oracle = PAIRINGS[name]
    factors, others = [5, 0, 1 << 100, 9, 0, oracle.first.order - 1], [7, 3, 0, 1 << 77, 0, 1]
    first, second = _multiples(name, factors, others)
    offsets = [0, 1, 1, 3, 5, 6]
    found = pairings.get(name).product(first, second, offsets, backend=backend)
    # By bilinearity all of them are powers of one value.
    base = oracle.pair(oracle.first.generator, oracle.second.generator)
    for item, (start, stop) in enumerate(itertools.pairwise(offsets)):
        exponent = sum(a * b for a, b in zip(factors[start:stop], others[start:stop], strict=True))
        exponent *= 1 if oracle.divided else 3
        assert _integers(found[item]) == _flat(oracle.power(base, exponent % oracle.first.order)), item


@on_kinds_and_twin
def test_checks_of_many_sizes(name: str, backend: str) -> None:
    """Items from 0 to 150 pairs in one call; in half of them one pair is wrong."""
    source, order = random.Random(f"{name} {backend}"), PAIRINGS[name].first.order
    sizes = [2, 0, 1, 3, 17, 150, 2, 2, 33, 4]
    factors: list[int] = []
    others: list[int] = []
    expected = []
    for size in sizes:
        total = 0
        for index in range(size):
            a, b = source.randrange(order), source.choice((source.randrange(1, 1 << 30), 1))
            if index == size - 1:
                a = -total * pow(b, -1, order) % order
            factors.append(a)
            others.append(b)
            total += a * b
        good = size < 2 or source.random() < 0.5
        if not good:
            at = source.randrange(size)
            factors[len(factors) - 1 - at] = (factors[len(factors) - 1 - at] + 1) % order
        expected.append(int(good))
    assert set(expected) == {0, 1}
    first, second = _multiples(name, factors, others)
    offsets = np.cumsum([0, *sizes])
    assert pairings.get(name).check(first, second, offsets, backend=backend).tolist() == expected


@on_kinds_and_twin
def test_items_alone_and_side_by_side(name: str, backend: str) -> None:
    """Few items have all lanes to themselves, and so have those that are left of whole groups of lanes; infinity in both
    places."""
    oracle = PAIRINGS[name]
    factors, others = [3, 1 << 70, 0, 8, 1, oracle.first.order - 2], [1 << 50, 5, 9, 0, 1, 6]
    first, second = _multiples(name, factors, others)
    base = oracle.pair(oracle.first.generator, oracle.second.generator)
    cube = 1 if oracle.divided else 3
    powers = [
        _flat(oracle.power(base, cube * a * b % oracle.first.order))
        for a, b in zip(factors, others, strict=True)
    ]
    pairing = pairings.get(name)
    for start, count in ((0, 1), (1, 1), (2, 1), (3, 1), (4, 2), (0, 3), (0, 9), (3, 10)):
        rows = np.arange(start, start + count) % len(factors)
        found = pairing.product(first[rows], second[rows], np.arange(count + 1), backend=backend)
        assert [_integers(value) for value in found] == [powers[row] for row in rows], (start, count)
    for count in (3, 4, 6):
        exponent = cube * sum(a * b for a, b in zip(factors[:count], others[:count], strict=True))
        (found,) = pairing.product(first[:count], second[:count], [0, count], backend=backend)
        assert _integers(found) == _flat(oracle.power(base, exponent % oracle.first.order)), count


@on_kinds_and_twin
def test_prepared_points(name: str, backend: str) -> None:
    """The products are those of the same pairs that are not prepared: one of the fixed points is infinity, and so are some
    that meet them; items without pairs of their own, with some, and with so many that they are cut into parts."""
    source, pairing = random.Random(name), pairings.get(name)
    _, fixed = _multiples(name, [1] * 3, [5, 0, 1 << 80])
    points, second = _multiples(
        name, [source.choice((0, source.randrange(1 << 60))) for _ in range(60)], [*range(60)]
    )
    prepared = pairing.prepare(fixed)
    assert len(prepared) == 3
    for counts in ([0], [1], [2, 2], [0, 1, 2], [1] * 9, [0] * 10, [0, 5, 0, 1, 40]):
        items, offsets = len(counts), np.cumsum([0, *counts])
        against = points[np.array([source.randrange(60) for _ in range(3 * items)])].reshape(items, 3, 2, -1)
        own = points[: offsets[-1]], second[: offsets[-1]]
        found = pairing.product(*own, offsets, prepared=prepared, against=against, backend=backend)
        rows = [
            (
                np.concatenate((own[0][start:stop], meeting)),
                np.concatenate((own[1][start:stop], fixed)),
            )
            for (start, stop), meeting in zip(itertools.pairwise(offsets), against, strict=True)
        ]
        left, right = (np.concatenate(column) for column in zip(*rows, strict=True))
        expected = pairing.product(left, right, offsets + 3 * np.arange(items + 1), backend=backend)
        assert (found == expected).all(), counts
        assert (pairing.prepare(fixed[:0]).points == fixed[:0]).all()


def test_prepared_points_in_a_check(name: str, backend: str) -> None:
    """e(a·G₁, G₂) · e(−G₁, a·G₂) is one, and with another a it is not; nothing is left of the caller's arrays."""
    first, second = _multiples(name, [7, -1 % PAIRINGS[name].first.order], [1, 7])
    pairing = pairings.get(name)
    prepared = pairing.prepare(second)
    second[:] = 0
    none = first[:0], second[:0]
    against = np.stack((first, first[::-1], first))
    said = pairing.check(*none, np.zeros(4, np.int64), prepared=prepared, against=against, backend=backend)
    assert said.tolist() == [1, 0, 1]
    assert pairing.check(*none, [0], prepared=prepared, against=against[:0], backend=backend).tolist() == []


def test_what_is_not_prepared(name: str) -> None:
    pairing, other = (pairings.get(each) for each in (name, "bn254" if name == "bls12_381" else "bls12_381"))
    size = pairing.spec.field.words
    points = np.zeros((2, 2, 2, size), np.uint64)
    none = np.zeros((0, 2, size), np.uint64), points[:0], [0, 0]
    with pytest.raises(ArgumentError, match="points"):
        pairing.prepare(points[0])
    with pytest.raises(ArgumentError, match="17 points"):
        pairing.prepare(np.zeros((17, 2, 2, size), np.uint64))
    against, prepared = np.zeros((1, 2, 2, size), np.uint64), pairing.prepare(points)
    with pytest.raises(ArgumentError, match="against"):
        pairing.product(*none, against=against)
    for wrong in (None, against[0], against[:, :1], against.astype(np.int64), np.repeat(against, 2, 0)):
        with pytest.raises(ArgumentError, match="against"):
            pairing.product(*none, prepared=prepared, against=wrong)
    strange = other.prepare(np.zeros((2, 2, 2, other.spec.field.words), np.uint64))
    for wrong in (strange, points):
        with pytest.raises(ArgumentError, match="prepared"):
            pairing.product(*none, prepared=wrong, against=against)  # type: ignore[arg-type]


def test_one_item_that_is_cut_into_parts(name: str, backend: str) -> None:
    """More pairs than lanes share: right, and wrong by one of them."""
    count = 17 * pairings.TOGETHER if backend != "scalar" else 40
    factors = [index + 1 for index in range(count - 1)]
    factors.append(-sum(factors) % PAIRINGS[name].first.order)
    first, second = _multiples(name, factors, [1] * count)
    pairing = pairings.get(name)
    assert pairing.check(first, second, [0, count], backend=backend).tolist() == [1]
    first[count // 2] = first[0]
    assert pairing.check(first, second, [0, count], backend=backend).tolist() == [0]


def test_nothing(name: str) -> None:
    pairing = pairings.get(name)
    size = pairing.spec.field.words
    first, second = np.zeros((0, 2, size), np.uint64), np.zeros((0, 2, 2, size), np.uint64)
    assert pairing.check(first, second, [0]).tolist() == []
    assert pairing.check(first, second, [0, 0, 0]).tolist() == [1, 1]
    assert pairing.product(first, second, [0, 0]).tolist() == [[[1] + [0] * (size - 1)] + [[0] * size] * 11]


@pytest.mark.parametrize(
    ("change", "argument"),
    [
        ({"first": np.zeros((2, 2, 4), np.int64)}, "first"),
        ({"first": np.zeros((2, 3, 4), np.uint64)}, "first"),
        ({"first": [1, 2]}, "first"),
        ({"second": np.zeros((2, 2, 4), np.uint64)}, "second"),
        ({"second": np.zeros((3, 2, 2, 4), np.uint64)}, "second"),
        ({"offsets": [0, 1]}, "offsets"),
        ({"offsets": [1, 2]}, "offsets"),
        ({"offsets": [0, 2, 1, 2]}, "offsets"),
        ({"offsets": [0.0, 2.0]}, "offsets"),
        ({"offsets": []}, "offsets"),
        ({"offsets": [[0, 2]]}, "offsets"),
    ],
)
def test_what_is_not_an_argument(change: dict[str, Any], argument: str) -> None:
    given: dict[str, Any] = {
        "first": np.zeros((2, 2, 4), np.uint64),
        "second": np.zeros((2, 2, 2, 4), np.uint64),
        "offsets": [0, 2],
    }
    given.update(change)
    with pytest.raises(ArgumentError, match=argument):
        pairings.get("bn254").check(given["first"], given["second"], given["offsets"])


def test_unknown_names() -> None:
    with pytest.raises(ArgumentError, match="bls12_377"):
        pairings.get("bls12_377")
    point = np.zeros((1, 2, 4), np.uint64), np.zeros((1, 2, 2, 4), np.uint64)
    with pytest.raises(BackendUnavailable, match="neon"):
        pairings.get("bn254").check(*point, [0, 1], backend="neon")
