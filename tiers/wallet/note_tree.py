# SPDX-License-Identifier: GPL-3.0-or-later
"""Roots and paths of a pool's note tree from the leaves of one group and the roots of all groups.

A group is 1,024 leaves. Nobody keeps the nodes between leaves and groups: for a path those of one group are computed, and
those above all groups, which for a million notes is two thousand hashes.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from supervm.crypto import merkle, poseidon
from supervm.crypto.merkle_hashes import get
from supervm.crypto.notes import CURVE, HASH
from supervm.crypto.params.notes import TREE_DEPTH
from supervm.kernels.array_types import Words

GROUP_LEVELS = 10
GROUP = 1 << GROUP_LEVELS
"""Leaves of a group."""


@cache
def empty() -> Words:
    """The root of a subtree without leaves of each height, uint64 (33, 4)."""
    return get(HASH).empty(2, TREE_DEPTH)


def group_root(leaves: Words) -> Words:
    """The root over the leaves of a group, uint64 (n, 4), n up to 1,024."""
    return np.asarray(merkle.root(leaves, HASH, depth=GROUP_LEVELS).value)


def group_path(leaves: Words, place: int) -> list[Words]:
    """The siblings of a leaf inside of its group, from the leaf up."""
    [siblings] = merkle.build(leaves, HASH, depth=GROUP_LEVELS).prove(place).siblings
    return list(siblings[:, 0])


def above(groups: Words, place: int = 0) -> tuple[list[Words], Words]:
    """The siblings of a group from its root up, and the root of the tree.

    Args:
        groups: the roots of all groups, uint64 (m, 4).
        place: which group.
    """
    siblings: list[Words] = []
    rows = groups if len(groups) else empty()[GROUP_LEVELS : GROUP_LEVELS + 1]
    for level in range(GROUP_LEVELS, TREE_DEPTH):
        if len(rows) % 2:
            rows = np.concatenate((rows, empty()[level : level + 1]))
        siblings.append(rows[place ^ 1])
        rows = poseidon.hash_batch(CURVE, rows.reshape(-1, 2, 4))
        place >>= 1
    return siblings, rows[0]


def root_of_frontier(size: int, frontier: Words) -> Words:
    """The root of a tree of `size` leaves, below 2^32, from the roots of its whole subtrees.

    Args:
        frontier: uint64 (32, 4); row k is the last whole subtree of 2^k leaves where bit k of the size is set.
    """
    node: Words = empty()[0]
    for level in range(TREE_DEPTH):
        pair = (frontier[level], node) if size >> level & 1 else (node, empty()[level])
        [node] = poseidon.hash_batch(CURVE, np.array([pair]))
    return node
