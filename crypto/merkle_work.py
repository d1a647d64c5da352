# SPDX-License-Identifier: GPL-3.0-or-later
"""Building a Merkle tree, or a part of one, as a unit of work for a scheduler."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from supervm.crypto.merkle_hashes import TreeHash
from supervm.kernels.array_types import Array, Indices
from supervm.kernels.merkle_levels import WORDS, Growth, Rows, fresh, least_depth
from supervm.kernels.work import Function, Work


class Build(Work):
    """A call of `merkle.*`; its items are leaves, but it is one piece.

    Args:
        operation: its name in the registry.
        growth: what is to be computed; its levels are written.
    """

    def __init__(self, operation: str, growth: Growth) -> None:
        assert growth.leaves is not None
        self.operation, self.growth = operation, growth
        self.items, self.bytes = len(growth.leaves), growth.leaves.nbytes

    def run(self, function: Function) -> None:
        """Call `function(growth)`, which writes the levels from `starts` on."""
        function(self.growth)

    def twin(self) -> Build:
        """The same leaves with levels of its own; the rows before `starts` are copied."""
        levels = tuple(np.empty_like(level) for level in self.growth.levels)
        for mine, other, start in zip(self.growth.levels, levels, self.growth.starts, strict=True):
            other[:start] = mine[:start]
        return Build(self.operation, replace(self.growth, levels=levels))

    def publish(self, other: Work) -> None:
        """Copy the levels of a twin over this call's."""
        assert isinstance(other, Build)
        for mine, found in zip(self.growth.levels, other.growth.levels, strict=True):
            mine[...] = found

    def mismatches(self, function: Function, share: float, random: np.random.Generator) -> int:
        """How many random leaves have a wrong path to the root: the leaf's row, or a node that is not its children's hash.

        Where lower levels are not kept, a random subtree takes the leaf's place. A path costs one hash per level, the whole
        tree one or two per leaf: `share` is a share of the hashes, not of the paths.
        """
        growth = self.growth
        rows = growth.ends[0] - growth.starts[0]
        if not rows:
            return 0
        growth.pad()
        count = rows if share >= 1 else min(rows, max(1, math.ceil(rows * share / (growth.steps + 1))))
        every = count == rows
        chosen = (
            np.arange(rows) if every else np.sort(random.choice(rows, count, replace=False, shuffle=False))
        )
        wrong = self._wrong_rows(function, chosen)
        places = chosen + growth.starts[0]
        for step in range(growth.steps):
            places //= growth.arity
            wrong |= self._wrong_nodes(function, step, places)
            places += growth.starts[step + 1]
        return int(np.count_nonzero(wrong))

    def _wrong_rows(self, function: Function, chosen: Indices) -> npt.NDArray[np.bool_]:
        """Of which of the lowest level's new rows the leaves say something else."""
        growth = self.growth
        assert growth.leaves is not None
        size = growth.subtree_leaves()
        leaves = (chosen[:, None] * size + np.arange(size)).reshape(-1)
        taken = growth.leaves[leaves[leaves < len(growth.leaves)]]
        again = fresh(taken, growth.arity, growth.lowest, growth.empty, growth.lowest, growth.dedicated)
        function(again)
        return _differ(again.levels[0], growth.levels[0][growth.starts[0] + chosen])

    def _wrong_nodes(self, function: Function, step: int, groups: Indices) -> npt.NDArray[np.bool_]:
        """Which groups of a level have another parent than they should."""
        growth = self.growth
        children = growth.levels[step][: groups.max() * growth.arity + growth.arity]
        again = growth.groups(children.reshape(-1, growth.arity, WORDS)[groups])
        function(again)
        return _differ(again.levels[1], growth.levels[step + 1][growth.starts[step + 1] + groups])


def _differ(one: Rows, other: Rows) -> npt.NDArray[np.bool_]:
    differ: npt.NDArray[np.bool_] = (one != other).any(axis=1)
    return differ


def whole_tree(tree_hash: TreeHash, leaves: Array, arity: int = 2) -> Build:
    """A tree over checked leaves, from nothing."""
    depth = least_depth(len(leaves), arity)
    return Build(tree_hash.operation, fresh(leaves, arity, depth, tree_hash.empty(arity, depth)))
