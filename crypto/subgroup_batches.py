# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether all of many points are in the subgroup, by the sums of random buckets.

A round puts every point P or its opposite, at random, into one of B buckets and tests the sums of the buckets. If a point is
outside the subgroup, all sums are in it with a probability of 1/(2B) at most: wherever the other points are, at most one of
the 2B places hides it. For let P be hidden in two. If these are in different buckets, the sum of the first is in the
subgroup without P, by the second place, and with it, by the first: so P is. If they are P and −P in one bucket, the
difference 2·P of its sums is in the subgroup, and so is P, since the cofactor is odd.

k rounds with (2B)^k ≥ 2^128 miss it with 2^−128 at most. That holds for parts of any order, of small order too, where random
multiples fail: a third of all multipliers hides a part of order 3.

Nothing is said of a single point: if a sum fails, each point is tested by itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from supervm.kernels.array_types import Verdicts, Words
from supervm.kernels.cpu.curves.curve import Curve
from supervm.kernels.cpu.msm.bucket_sums import bucket_sums
from supervm.kernels.cpu.msm.msm import Packed, pack
from supervm.kernels.threads import get_threads, run_slices

SECURITY_BITS = 128

TEST_COSTS = {"bls12_381.g1": 45, "bls12_381.g2": 20, "bn254.g2": 30}
"""Additions in lists that take as long as the test of one point, by group: measured, on `ifma` and `avx2`."""

MOST_BITS = 13

Test = Callable[[Words], Verdicts]


@dataclass(frozen=True)
class Rounds:
    """How points are dealt out.

    Args:
        count: of rounds.
        bits: log₂ of the places for a point, two in each bucket.
    """

    count: int
    bits: int

    def cost(self, points: int, test: int) -> int:
        """Additions that all rounds take, where testing a point costs `test` of them."""
        return self.count * (points + test * self.buckets)

    @property
    def buckets(self) -> int:
        return 1 << (self.bits - 1)


def plan(group: str, points: int) -> Rounds | None:
    """The cheapest rounds for so many points of a group; None where testing each point is no dearer."""
    test = TEST_COSTS.get(group)
    if test is None:
        return None
    choices = (Rounds(-(-SECURITY_BITS // bits), bits) for bits in range(1, MOST_BITS + 1))
    best = min(choices, key=lambda rounds: rounds.cost(points, test))
    return best if best.cost(points, test) < points * test else None


def all_in_subgroup(curve: Curve, points: Words, rounds: Rounds, test: Test) -> bool:
    """Whether all points are in the subgroup; wrong with a probability of 2^−128 at most, and then True.

    Args:
        curve: a marker.
        points: uint64 (n, words), canonical, of points on the curve.
        rounds: how they are dealt out.
        test: the verdicts of rows of points, each by itself.
    """
    packed = pack(curve, points.reshape(-1))
    buckets = rounds.buckets
    at_once = get_threads()
    sums = np.empty((at_once, buckets, points.shape[1]), np.uint64)
    for first in range(0, rounds.count, at_once):
        count = min(at_once, rounds.count - first)

        def deal(start: int, stop: int) -> None:
            for index in range(start, stop):
                places = _places(packed, rounds.bits)
                sums[index] = bucket_sums(
                    packed, places >> np.uint16(1), (places & np.uint16(1)) == 1, buckets
                )

        run_slices(deal, count, 1)
        if (test(sums[:count].reshape(count * buckets, -1)) != 1).any():
            return False
    return True


def _places(packed: Packed, bits: int) -> npt.NDArray[np.uint16]:
    """For each point twice its bucket, and 1 more for its opposite, from the operating system's random numbers."""
    return np.frombuffer(os.urandom(2 * packed.points), np.uint16) & np.uint16((1 << bits) - 1)
