# SPDX-License-Identifier: GPL-3.0-or-later
"""Random leaves of binary Merkle trees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.benchmarks.workloads import SEED, random_elements
from supervm.crypto import curves, merkle
from supervm.kernels.arrays import integers


@dataclass(frozen=True)
class MerkleItems:
    """One tree; an item is a leaf.

    Args:
        hash: as `supervm.crypto.merkle` calls it.
        leaves: uint8 (n, 32), or uint64 (n, 4) where the hash takes field elements.
    """

    hash: str
    leaves: NDArray[Any]

    @property
    def items(self) -> int:
        """How many leaves."""
        return len(self.leaves)

    def run(self, backend: str) -> object:
        """The tree, every node of it kept."""
        return merkle.build(self.leaves, self.hash, backend=backend)

    def answers(self, result: Any) -> list[Any]:
        """One answer: the root, as bytes or as an integer."""
        value = result.root.value
        return [value.tobytes() if value.dtype == np.uint8 else integers(value)[0]]

    def part(self, start: int, stop: int) -> MerkleItems:
        """A tree over leaves start … stop − 1 alone, which are not copied."""
        return MerkleItems(self.hash, self.leaves[start:stop])

    def rows(self) -> list[bytes]:
        """Each leaf as bytes."""
        return [row.tobytes() for row in self.leaves]

    def moved(self, copy: Callable[[NDArray[Any]], NDArray[Any]]) -> MerkleItems:
        """The same tree, with its leaves in the array that `copy` returns."""
        return MerkleItems(self.hash, copy(self.leaves))


def random_leaves(hash: str) -> Callable[[int], MerkleItems]:
    """A maker of leaves for trees over this hash."""
    return partial(_make, hash)


def _make(hash: str, count: int) -> MerkleItems:
    if hash.startswith("poseidon_"):
        curve = hash.removeprefix("poseidon_")
        return MerkleItems(hash, random_elements(curves.get(curve).order, count, salt=1))
    random = np.random.default_rng([SEED, count])
    return MerkleItems(hash, random.integers(0, 256, (count, 32), dtype=np.uint8))
