# SPDX-License-Identifier: GPL-3.0-or-later
"""Random points and scalars: sums of two tables of multiples of the generator, so that a million points take seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.benchmarks.workloads import random_elements
from supervm.crypto import curves, msm
from supervm.crypto.oracle import edwards
from supervm.crypto.params.curve25519 import EDWARDS25519
from supervm.kernels.array_types import Words
from supervm.kernels.arrays import integers


@dataclass(frozen=True)
class MsmItems:
    """One multi-scalar multiplication; an item is a point with its scalar.

    Args:
        curve: as `supervm.crypto.msm` calls it.
        group: `g1` or `g2`.
        points: affine, in words.
        scalars: uint64 (n, 4).
    """

    curve: str
    group: str
    points: Words
    scalars: Words

    @property
    def items(self) -> int:
        """How many points."""
        return len(self.scalars)

    def run(self, backend: str) -> object:
        """The sum, with every point checked to lie on the curve."""
        return msm.msm(self.curve, self.points, self.scalars, group=self.group, backend=backend)

    def answers(self, result: Any) -> list[Any]:
        """One answer: the coordinates of the sum."""
        return [tuple(integers(result))]

    def part(self, start: int, stop: int) -> MsmItems:
        """The sum over points start … stop − 1 alone, which are not copied."""
        return MsmItems(self.curve, self.group, self.points[start:stop], self.scalars[start:stop])

    def moved(self, copy: Callable[[NDArray[Any]], NDArray[Any]]) -> MsmItems:
        """The same sum, with points and scalars in the arrays that `copy` returns."""
        return MsmItems(self.curve, self.group, copy(self.points), copy(self.scalars))


def random_msm(curve: str, group: str = "g1") -> Callable[[int], MsmItems]:
    """A maker of random points of the group of prime order with random scalars."""
    return partial(_make, curve, group)


@cache
def _make(curve: str, group: str, count: int) -> MsmItems:
    side = max(1, isqrt(count - 1) + 1)
    if curve == "ed25519":
        points, order = _edwards_points(side, count), EDWARDS25519.scalar_field.modulus
    else:
        whole = curves.get(curve)
        points, order = _sums(whole.g1 if group == "g1" else whole.g2, whole.order, side, count), whole.order
    return MsmItems(curve, group, points, random_elements(order, count, salt=3))


def _sums(group: Any, order: int, side: int, count: int) -> Words:
    """The first `count` of the side² sums of two tables' entries."""
    tables = []
    for salt in (1, 2):
        bases = np.repeat(group.generator[None], side, axis=0)
        tables.append(group.multiply(bases, random_elements(order, side, salt)))
    numbers = np.arange(count)
    total: Words = group.add(tables[0][numbers // side], tables[1][numbers % side])
    return total


def _edwards_points(side: int, count: int) -> Words:
    """The same with Python integers: this curve's batch is small."""
    order = EDWARDS25519.scalar_field.modulus
    tables = [
        [
            edwards.multiply(scalar, edwards.from_affine(*EDWARDS25519.base))
            for scalar in integers(random_elements(order, side, salt))
        ]
        for salt in (1, 2)
    ]
    rows = []
    for number in range(count):
        X, Y, Z, _ = edwards.add(tables[0][number // side], tables[1][number % side])
        inverse = EDWARDS25519.field.inverse(Z)
        rows += [(part * inverse % EDWARDS25519.field.modulus).to_bytes(32, "little") for part in (X, Y)]
    return np.frombuffer(b"".join(rows), np.uint64).reshape(count, 2, 4)
