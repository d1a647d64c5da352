# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaves for Merkle trees, and trees as the oracle has them."""

from __future__ import annotations

import numpy as np

from supervm.crypto import merkle, merkle_hashes
from supervm.crypto.oracle import merkle as oracle

HASHES = ["sha256", "keccak256", "poseidon_bn254", "poseidon_bls12_381"]
FIELDS = [name for name in HASHES if merkle_hashes.get(name).curve]


def new_leaves(hash, count, seed=0, width=32):
    """Leaves as `build` takes them; those of a field are below its modulus."""
    rows = np.random.default_rng(seed).integers(0, 256, (count, width), np.uint8)
    if merkle_hashes.get(hash).modulus:
        rows[:, -1] &= 15
        return rows.view(np.uint64)
    return rows


def plain(hash, rows):
    """Rows as the oracle has them."""
    rows = np.ascontiguousarray(rows)
    if merkle_hashes.get(hash).modulus:
        return [int.from_bytes(row.tobytes(), "little") for row in rows]
    return [row.tobytes() for row in rows]


def root_of(hash, value):
    """A root of the oracle as an array."""
    if isinstance(value, int):
        return np.frombuffer(value.to_bytes(32, "little"), np.uint64)
    return np.frombuffer(value, np.uint8)


def check_tree(tree, leaves):
    """Every level and every proof is the oracle's, and every proof is accepted."""
    expected = plain(tree.hash, leaves)
    rows = oracle.levels(expected, tree.hash, tree.arity, tree.depth)
    assert (tree.size, tree.depth) == (len(leaves), len(rows) - 1)
    for level, wanted in enumerate(rows):
        assert plain(tree.hash, tree.level(level)) == wanted
    assert np.array_equal(
        tree.root, root_of(tree.hash, oracle.root(expected, tree.hash, tree.arity, tree.depth))
    )
    proofs = tree.prove_batch(range(len(leaves)))
    assert (merkle.verify_batch(tree.root, leaves, proofs) == 1).all()
    return proofs
