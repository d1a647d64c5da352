# SPDX-License-Identifier: GPL-3.0-or-later
"""Compressed points of BLS12-381 that are read and tested for the subgroup, as keys and signatures are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.benchmarks.workloads import random_elements
from supervm.crypto import curves
from supervm.kernels.array_types import Bytes

ENCODING = "zcash_compressed"

_MADE = 4_096
"""Different points; more are these again."""


@dataclass(frozen=True)
class CompressedPoints:
    """n points.

    Args:
        group: `g1` or `g2`.
        encoded: uint8 (n, 48 or 96).
    """

    group: str
    encoded: Bytes

    @property
    def items(self) -> int:
        """How many."""
        return len(self.encoded)

    def run(self, backend: str) -> object:
        """The public function on all points."""
        group = getattr(curves.get("bls12_381"), self.group)
        return group.from_bytes(self.encoded, encoding=ENCODING, check="subgroup", backend=backend)[1]

    def answers(self, result: Any) -> list[Any]:
        """Whether each is a point of the subgroup."""
        return [bool(verdict == 1) for verdict in result]

    def part(self, start: int, stop: int) -> CompressedPoints:
        """Points start … stop − 1, not copied."""
        return replace(self, encoded=self.encoded[start:stop])

    def moved(self, copy: Callable[[NDArray[Any]], NDArray[Any]]) -> CompressedPoints:
        """The same points in the array that `copy` returns."""
        return replace(self, encoded=copy(self.encoded))

    def damaged(self) -> CompressedPoints:
        """The same points, every third of them with another x: not on the curve, or outside the subgroup."""
        encoded = self.encoded.copy()
        encoded[::3, -1] ^= 1
        return replace(self, encoded=encoded)


def compressed(group: str) -> Callable[[int], CompressedPoints]:
    """A maker of points of a group."""
    return partial(_make, group)


def _make(name: str, count: int) -> CompressedPoints:
    group, made = getattr(curves.get("bls12_381"), name), min(count, _MADE)
    scalars = random_elements(group.order, made, salt=8)
    points = group.multiply(np.repeat(group.generator[None], made, 0), scalars)
    return CompressedPoints(name, group.to_bytes(points, ENCODING)[np.arange(count) % made])
