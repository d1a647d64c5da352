# SPDX-License-Identifier: GPL-3.0-or-later
"""light-poseidon-python: Light Protocol's Rust crate (arkworks fields, circomlib's parameters), as Solana uses it."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from supervm.benchmarks.cases import Answers, Peer
from supervm.benchmarks.peers import version
from supervm.benchmarks.workloads.merkle import MerkleItems
from supervm.benchmarks.workloads.poseidon import PoseidonItems
from supervm.kernels.arrays import integers

PACKAGE = "light-poseidon-python"


def hashes() -> Peer:
    """`Hasher(2).hash(inputs)`, the hasher made once: it takes two inputs and no other number."""
    released = version(PACKAGE)

    def prepare(workload: PoseidonItems) -> Callable[[], Answers]:
        hasher = importlib.import_module("light_poseidon_python").Hasher(2)
        numbers = integers(workload.inputs)
        inputs = [numbers[at : at + 2] for at in range(0, len(numbers), 2)]
        return lambda: [hasher.hash(each) for each in inputs]

    return Peer(PACKAGE, released, prepare, _numbers)


def _numbers(answers: Answers) -> Answers:
    """It answers with decimal digits."""
    return [int(answer) for answer in answers]


def tree() -> Peer:
    """A binary tree, level by level, over `Hasher(2).hash`."""
    released = version(PACKAGE)

    def prepare(workload: MerkleItems) -> Callable[[], Answers]:
        hasher = importlib.import_module("light_poseidon_python").Hasher(2)
        leaves = integers(workload.leaves)

        def run() -> Answers:
            level, empty = leaves, 0
            while len(level) > 1:
                if len(level) % 2:
                    level = [*level, empty]
                empty = hasher.hash([empty, empty])
                level = [hasher.hash(level[at : at + 2]) for at in range(0, len(level), 2)]
            return level

        return run

    return Peer(PACKAGE, released, prepare, _numbers)
