# SPDX-License-Identifier: GPL-3.0-or-later
"""The frontier of a Merkle tree of arity 2 and fixed depth: what it takes to append leaves and to know the root.

A tree of n leaves has whole subtrees of 2^k leaves for the bits k of n that are 1, from the left, the largest first. Their
roots are the frontier; no other row is needed, whatever is appended. `supervm.crypto.merkle.Tree` keeps all, for proofs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from supervm.crypto import merkle_hashes
from supervm.crypto.merkle_hashes import may_be_dedicated
from supervm.crypto.merkle_proof import checked_depth
from supervm.crypto.merkle_work import Build
from supervm.kernels import registry
from supervm.kernels.array_types import Array
from supervm.kernels.errors import ArgumentError
from supervm.kernels.merkle_levels import WORDS, Growth, Rows, level_sizes, padded

__all__ = ["Frontier", "append", "empty"]

_ARITY = 2


@dataclass(frozen=True, eq=False)
class Frontier:
    """The whole subtrees of a tree.

    Args:
        size: leaves of the tree.
        rows: uint64 (depth, 4); row k is the root of the whole subtree of 2^k leaves if bit k of `size` is 1, else 0.
    """

    size: int
    rows: Rows

    @property
    def depth(self) -> int:
        """Levels of the tree above the leaves."""
        return len(self.rows)


def empty(hash: str, depth: int) -> tuple[Frontier, Array]:
    """The frontier of the tree without leaves, and its root.

    Args:
        hash: the name of a hash function of `supervm.crypto.merkle`.
        depth: levels above the leaves, 1 or more.

    Raises:
        ArgumentError: an unknown hash, or a depth out of range.
    """
    tree_hash = merkle_hashes.get(hash)
    levels = checked_depth(depth, _ARITY)
    row = tree_hash.empty(_ARITY, levels)[levels]
    return Frontier(0, np.zeros((levels, WORDS), np.uint64)), tree_hash.shown(row.copy())


def append(frontier: Frontier, leaves: Array, hash: str, *, backend: str = "auto") -> tuple[Frontier, Array]:
    """Append leaves, all rows of a level at once.

    Args:
        frontier: of the tree so far; it stays as it is.
        leaves: one or more, as `merkle.build` takes them.
        hash: the tree's.
        backend: `auto`, or one that the registry lists for `merkle.<hash>`.

    Returns:
        (the frontier of the larger tree, its root as `merkle.Root.value` has it).

    Raises:
        ArgumentError: leaves of another form, none, or more than the tree has room for.
        BackendUnavailable: the named backend cannot run here.

    >>> start, root = empty("poseidon_bn254", 32)
    >>> grown, root = append(start, np.ones((3, 4), np.uint64), "poseidon_bn254")
    >>> grown.size, root.shape
    (3, (4,))
    """
    tree_hash = merkle_hashes.get(hash)
    data = tree_hash.canonical(tree_hash.leaves(leaves))
    depth, size = frontier.depth, frontier.size + len(data)
    if not len(data) or size > _ARITY**depth:
        found = f"{len(data)} beside {frontier.size}"
        raise ArgumentError("leaves", found, f"one or more, {_ARITY**depth} in all at most")
    sizes = level_sizes(size, _ARITY, depth)
    # Of each level, from the first pair that changes: its left row is the frontier's where it is there already.
    firsts = [frontier.size >> level for level in range(depth + 1)]
    begins = [first - first % _ARITY for first in firsts]
    parts = [
        np.empty((padded(rows, _ARITY) - begin, WORDS), np.uint64)
        for rows, begin in zip(sizes, begins, strict=True)
    ]
    for level in range(depth):
        if firsts[level] > begins[level]:
            parts[level][0] = frontier.rows[level]
    growth = Growth(
        data,
        tuple(parts),
        tuple(first - begin for first, begin in zip(firsts, begins, strict=True)),
        tuple(rows - begin for rows, begin in zip(sizes, begins, strict=True)),
        _ARITY,
        tree_hash.empty(_ARITY, depth),
        dedicated=may_be_dedicated(tree_hash, backend),
    )
    registry.run(Build(tree_hash.operation, growth), backend)
    rows = np.zeros((depth, WORDS), np.uint64)
    for level in range(depth):
        if size >> level & 1:
            rows[level] = parts[level][(size >> level) - 1 - begins[level]]
    return Frontier(size, rows), tree_hash.shown(parts[depth][0].copy())
