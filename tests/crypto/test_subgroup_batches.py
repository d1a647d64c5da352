# SPDX-License-Identifier: GPL-3.0-or-later
"""Many points are in the subgroup, or one of them is not: the sums of random buckets say what each point's own test says."""

from __future__ import annotations

import numpy as np
import pytest

from supervm.crypto import curves, subgroup_batches
from supervm.crypto.group_operations import CURVES, _tested
from supervm.crypto.subgroup_batches import Rounds, all_in_subgroup, plan
from supervm.kernels.cpu.msm.bucket_sums import bucket_sums
from supervm.kernels.cpu.msm.msm import pack
from supervm.kernels.threads import get_threads, set_threads

G1 = curves.get("bls12_381").g1
MARKER = CURVES["bls12_381.g1", "scalar"]
ORDER_3 = np.zeros((1, 2, 6), np.uint64)
ORDER_3[0, 1, 0] = 2
"""(0, 2): y² = x³ + 4 has it, its tangent meets the curve there three times."""

ROUNDS = Rounds(22, 6)


@pytest.fixture(scope="module")
def points():
    """48 multiples of the generator."""
    scalars = np.random.default_rng(1).integers(0, 2**62, (48, 4), dtype=np.uint64)
    return G1.multiply(np.repeat(G1.generator[None], 48, axis=0), scalars, backend="scalar")


def alone(rows):
    return _tested(MARKER, rows)


def together(points, rounds=ROUNDS):
    return all_in_subgroup(MARKER, points.reshape(len(points), 12), rounds, alone)


def test_the_point_of_order_3():
    assert not G1.add(G1.double(ORDER_3), ORDER_3).any()
    assert G1.in_subgroup(ORDER_3).tolist() == [0]


def test_all_of_them(points):
    assert together(points)
    assert together(
        np.concatenate((points, np.zeros_like(points), points))
    )  # infinity, and the same points again
    assert together(np.zeros_like(points))
    assert together(points[:1])
    assert together(points[:0])


def test_one_is_not(points):
    for trial in range(20):
        given = points.copy()
        given[trial] = G1.add(given[trial : trial + 1], ORDER_3)[0]
        assert not together(given)


def test_parts_that_cancel(points):
    """Three points whose parts of order 3 add up to infinity: the sum of all is in the subgroup, and so are sums of buckets
    that get all three."""
    given = points[:3].copy()
    for place in range(3):
        given[place] = G1.add(given[place : place + 1], ORDER_3)[0]
    assert G1.in_subgroup(G1.sum(given)[None]).tolist() == [1]
    assert not any(together(given) for _ in range(20))


@pytest.mark.parametrize("group", subgroup_batches.TEST_COSTS)
def test_no_point_outside_is_its_own_opposite(group):
    """The argument for both signs needs it."""
    assert CURVES[group, "scalar"].spec.cofactor % 2 == 1


def test_as_often_as_said(points, monkeypatch):
    """One bucket and one round miss three parts of order 3 in a quarter of the cases, where all have one sign; six rounds
    in few. Seeded, so that the counts stay what they are."""
    random = np.random.default_rng(2)
    monkeypatch.setattr(
        subgroup_batches,
        "_places",
        lambda packed, bits: random.integers(0, 1 << bits, packed.points, np.uint16),
    )
    given = points[:3].copy()
    for place in range(3):
        given[place] = G1.add(given[place : place + 1], ORDER_3)[0]
    missed = [sum(together(given, Rounds(count, 1)) for _ in range(64)) for count in (1, 6)]
    assert 8 <= missed[0] <= 24
    assert missed[1] == 0


def test_verdicts_of_each(points):
    """Enough points for rounds: in one call, some outside the subgroup, some not on the curve, some infinite."""
    many = np.concatenate([points] * 50)
    assert plan("bls12_381.g1", len(many))
    assert (G1.in_subgroup(many, backend="scalar") == 1).all()
    expected = np.ones(len(many), np.int8)
    many[7], many[100], many[2000] = ORDER_3[0], 0, 5
    expected[[7, 2000]] = 0, -1
    assert (G1.in_subgroup(many, backend="scalar") == expected).all()
    many[7] = 0
    expected[7] = 1
    assert (G1.in_subgroup(many, backend="scalar") == expected).all()
    encoded = G1.to_bytes(many[:2000], encoding="zcash_compressed", backend="scalar")
    encoded[11] = 255
    read, verdicts = G1.from_bytes(encoded, encoding="zcash_compressed", backend="scalar")
    assert np.flatnonzero(verdicts != 1).tolist() == [11]
    assert (np.delete(read, 11, 0) == np.delete(many[:2000], 11, 0)).all()


def test_sums_of_buckets(points):
    """Of 5,000 points or their opposites, among them infinite ones and equal ones, in 61 buckets of which one is empty: each
    sum is that of its points."""
    many = np.concatenate([points] * 105)[:5_000]
    many[::1_000] = 0
    random = np.random.default_rng(3)
    owners, negated = random.integers(0, 60, 5_000), random.integers(0, 2, 5_000) == 1
    owners[owners >= 17] += 1
    found = bucket_sums(pack(MARKER, many.reshape(-1)), owners, negated, 61)
    many[negated] = G1.negate(many[negated], backend="scalar")
    for bucket in range(61):
        expected = G1.sum(many[owners == bucket], backend="scalar")
        assert found[bucket].tolist() == expected.reshape(-1).tolist(), bucket
    assert not found[17].any()


def test_one_among_5_000(points):
    many = np.concatenate([points] * 105)[:5_000]
    many[4_321] = G1.add(many[4_321:4_322], ORDER_3)[0]
    assert plan("bls12_381.g1", len(many))
    assert np.flatnonzero(G1.in_subgroup(many, backend="scalar") != 1).tolist() == [4_321]


def test_threads(points):
    before = get_threads()
    bad = np.concatenate((points, ORDER_3))
    try:
        for threads in (1, 2, 5):
            set_threads(threads)
            assert together(points)
            assert not together(bad)
    finally:
        set_threads(before)


@pytest.mark.parametrize("group", subgroup_batches.TEST_COSTS)
@pytest.mark.parametrize("count", [1, 10, 500, 1_000, 3_000, 10_000, 100_000, 10**7])
def test_plans(group, count):
    rounds = plan(group, count)
    if rounds:
        assert rounds.count * rounds.bits >= 128
        assert (
            rounds.cost(count, subgroup_batches.TEST_COSTS[group])
            < count * subgroup_batches.TEST_COSTS[group]
        )
    least = {"bls12_381.g1": 1_000, "bn254.g2": 3_000, "bls12_381.g2": 100_000}
    assert (rounds is None) == (count < least[group])


def test_a_group_of_prime_order_has_none():
    assert plan("bn254.g1", 100_000) is None
