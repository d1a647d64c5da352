# SPDX-License-Identifier: GPL-3.0-or-later
"""Frontiers against trees that keep all rows."""

from __future__ import annotations

import numpy as np
import pytest

from supervm.crypto import merkle, merkle_frontier
from supervm.kernels.errors import ArgumentError

SIZES = [1, 1, 2, 3, 5, 8, 1, 16, 31, 64, 2, 130]


def leaves_of(hash: str, count: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    if hash.startswith("poseidon"):
        return random.integers(0, 2**60, (count, 4)).astype(np.uint64)
    return random.integers(0, 256, (count, 20), dtype=np.uint8)


@pytest.mark.parametrize("hash", ["poseidon_bn254", "sha256", "keccak256"])
def test_a_frontier_has_the_roots_of_the_tree(hash: str):
    frontier, root = merkle_frontier.empty(hash, 32)
    tree = merkle.build(leaves_of(hash, 0, 0), hash, depth=32)
    assert np.array_equal(root, tree.root.value)
    for seed, count in enumerate(SIZES):
        leaves = leaves_of(hash, count, seed)
        tree.append(leaves)
        before = frontier.rows.copy()
        grown, root = merkle_frontier.append(frontier, leaves, hash)
        assert np.array_equal(root, tree.root.value)
        assert grown.size == tree.size
        assert grown.depth == 32
        assert np.array_equal(frontier.rows, before)
        for level in range(32):
            if grown.size >> level & 1:
                there = np.ascontiguousarray(tree.level(level)[(grown.size >> level) - 1])
                assert np.array_equal(grown.rows[level], there.view(np.uint64).reshape(-1))
            else:
                assert not grown.rows[level].any()
        frontier = grown


def test_a_tree_is_filled_to_its_last_leaf_and_not_further():
    frontier, _ = merkle_frontier.empty("sha256", 3)
    frontier, _ = merkle_frontier.append(frontier, leaves_of("sha256", 5, 1), "sha256")
    for count in (0, 4):
        with pytest.raises(ArgumentError, match="leaves"):
            merkle_frontier.append(frontier, leaves_of("sha256", count, 2), "sha256")
    full, root = merkle_frontier.append(frontier, leaves_of("sha256", 3, 2), "sha256")
    both = np.concatenate([leaves_of("sha256", 5, 1), leaves_of("sha256", 3, 2)])
    assert np.array_equal(root, merkle.root(both, "sha256", depth=3).value)
    assert full.size == 8
    assert not full.rows.any()


def test_leaves_above_the_modulus_and_strange_depths_are_refused():
    frontier, _ = merkle_frontier.empty("poseidon_bn254", 32)
    with pytest.raises(ArgumentError, match="leaves"):
        merkle_frontier.append(frontier, np.full((1, 4), 2**64 - 1, np.uint64), "poseidon_bn254")
    with pytest.raises(ArgumentError, match="depth"):
        merkle_frontier.empty("poseidon_bn254", 65)
    with pytest.raises(ArgumentError, match="hash"):
        merkle_frontier.empty("md5", 3)
