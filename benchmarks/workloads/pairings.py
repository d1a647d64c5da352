# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairing checks of two pairs, e(a·P, Q) · e(−P, a·Q) = 1, as a proof or a signature asks for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.benchmarks.workloads import random_elements
from supervm.crypto import curves, pairings
from supervm.kernels.array_types import Words

_MADE = 256
"""Different checks; more are these again."""


@dataclass(frozen=True)
class PairingChecks:
    """n checks.

    Args:
        curve: of the pairing.
        first, second: points, two for each check.
    """

    curve: str
    first: Words
    second: Words

    @property
    def items(self) -> int:
        """How many checks."""
        return len(self.first) // 2

    def run(self, backend: str) -> object:
        """The public function on all checks."""
        offsets = 2 * np.arange(self.items + 1)
        return pairings.get(self.curve).check(self.first, self.second, offsets, backend=backend)

    def answers(self, result: Any) -> list[Any]:
        """Whether each product is one."""
        return [bool(verdict == 1) for verdict in result]

    def part(self, start: int, stop: int) -> PairingChecks:
        """Checks start … stop − 1, whose points are not copied."""
        chosen = slice(2 * start, 2 * stop)
        return replace(self, first=self.first[chosen], second=self.second[chosen])

    def moved(self, copy: Callable[[NDArray[Any]], NDArray[Any]]) -> PairingChecks:
        """The same checks, with their points in the arrays that `copy` returns."""
        return replace(self, first=copy(self.first), second=copy(self.second))

    def damaged(self) -> PairingChecks:
        """The same checks, every third of them wrong."""
        first = self.first.copy()
        first[1::6] = first[0::6]
        return replace(self, first=first)


def checks(curve: str) -> Callable[[int], PairingChecks]:
    """A maker of checks."""
    return partial(_make, curve)


def _make(curve: str, count: int) -> PairingChecks:
    groups, made = curves.get(curve), min(count, _MADE)
    scalars = random_elements(groups.order, 2 * made, salt=7).reshape(2, made, 4)
    p = groups.g1.multiply(np.repeat(groups.g1.generator[None], made, 0), scalars[0])
    q = np.repeat(groups.g2.generator[None], made, 0)
    first = np.stack((groups.g1.multiply(p, scalars[1]), groups.g1.negate(p)), 1)
    second = np.stack((q, groups.g2.multiply(q, scalars[1])), 1)
    rows = np.arange(count) % made
    return PairingChecks(
        curve,
        first[rows].reshape(2 * count, *p.shape[1:]),
        second[rows].reshape(2 * count, *q.shape[1:]),
    )
