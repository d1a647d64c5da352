# SPDX-License-Identifier: GPL-3.0-or-later
"""Random polynomials of a power of two many coefficients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from numpy.typing import NDArray

from supervm.benchmarks.workloads import random_elements
from supervm.crypto import curves, ntt
from supervm.kernels.array_types import Words
from supervm.kernels.arrays import integers


@dataclass(frozen=True)
class NttItems:
    """One forward transform in natural order; an item is a coefficient.

    Args:
        curve: whose scalar field.
        values: uint64 (n, 4).
    """

    curve: str
    values: Words

    @property
    def items(self) -> int:
        """How many coefficients."""
        return len(self.values)

    def run(self, backend: str) -> object:
        """The transform, canonical words in and out."""
        return ntt.ntt(self.curve, self.values, backend=backend)

    def answers(self, result: Any) -> list[Any]:
        """The values at the roots of unity."""
        return list(integers(result))

    def part(self, start: int, stop: int) -> NttItems:
        """The transform of coefficients start … stop − 1 alone, a power of two of them, which are not copied."""
        return NttItems(self.curve, self.values[start:stop])

    def moved(self, copy: Callable[[NDArray[Any]], NDArray[Any]]) -> NttItems:
        """The same transform, with its coefficients in the array that `copy` returns."""
        return NttItems(self.curve, copy(self.values))


def random_polynomial(curve: str) -> Callable[[int], NttItems]:
    """A maker of random coefficients."""
    return partial(_make, curve)


@cache
def _make(curve: str, count: int) -> NttItems:
    return NttItems(curve, random_elements(curves.get(curve).order, count, salt=1))
