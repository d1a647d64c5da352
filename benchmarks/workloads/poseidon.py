# SPDX-License-Identifier: GPL-3.0-or-later
"""Random inputs of Poseidon and Poseidon2, t − 1 field elements each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from numpy.typing import NDArray

from supervm.benchmarks.workloads import random_elements
from supervm.crypto import curves, poseidon
from supervm.kernels.array_types import Words
from supervm.kernels.arrays import integers


@dataclass(frozen=True)
class PoseidonItems:
    """n independent hashes.

    Args:
        curve: whose scalar field.
        variant: `poseidon` or `poseidon2`.
        inputs: uint64 (n, t − 1, 4).
    """

    curve: str
    variant: str
    inputs: Words

    @property
    def items(self) -> int:
        """How many hashes."""
        return len(self.inputs)

    def run(self, backend: str) -> object:
        """The public function on all inputs."""
        return poseidon.hash_batch(self.curve, self.inputs, variant=self.variant, backend=backend)

    def answers(self, result: Any) -> list[Any]:
        """Each hash as an integer."""
        return list(integers(result))

    def part(self, start: int, stop: int) -> PoseidonItems:
        """Hashes start … stop − 1, whose inputs are not copied."""
        return PoseidonItems(self.curve, self.variant, self.inputs[start:stop])

    def moved(self, copy: Callable[[NDArray[Any]], NDArray[Any]]) -> PoseidonItems:
        """The same hashes, with their inputs in the array that `copy` returns."""
        return PoseidonItems(self.curve, self.variant, copy(self.inputs))


def random_inputs(curve: str, width: int, variant: str = "poseidon") -> Callable[[int], PoseidonItems]:
    """A maker of inputs for the permutation of `width` elements."""
    return partial(_make, curve, width, variant)


def _make(curve: str, width: int, variant: str, count: int) -> PoseidonItems:
    rows = random_elements(curves.get(curve).order, count * (width - 1), salt=width)
    return PoseidonItems(curve, variant, rows.reshape(count, width - 1, 4))
