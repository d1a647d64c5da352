# SPDX-License-Identifier: GPL-3.0-or-later
"""Roots as values of their own, and trees that grow by much while older roots and proofs are held."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from supervm.crypto import merkle, merkle_hashes
from supervm.crypto.merkle import Root
from supervm.kernels import set_threads
from supervm.kernels.errors import ArgumentError

HASHES = ["sha256", "keccak256", "poseidon_bn254", "poseidon_bls12_381"]


@pytest.fixture
def threads():
    yield set_threads
    set_threads(1)


def new_leaves(hash, count):
    """Leaves as `build` takes them; those of a field are below its modulus."""
    rows = np.random.default_rng(count).integers(0, 256, (count, 32), np.uint8)
    if merkle_hashes.get(hash).modulus:
        rows[:, -1] &= 15
        return rows.view(np.uint64)
    return rows


@pytest.mark.parametrize("hash", ["sha256", "poseidon_bn254"])
@pytest.mark.parametrize("arity", [2, 3, 16])
def test_appending_many(hash, arity, threads):
    """More than a slice at once, behind a group that is there in part; what was taken before stays as it is."""
    leaves = new_leaves(hash, 700)
    tree = merkle.build(leaves[:37], hash, arity)
    root, proofs, rows = tree.root, tree.prove_batch(range(37)), tree.level(0)
    threads(2)
    for start, stop in ((37, 400), (400, 700)):
        tree.append(leaves[start:stop])
        whole = merkle.build(leaves[:stop], hash, arity)
        assert tree.root == whole.root
        for level in range(tree.depth + 1):
            assert np.array_equal(tree.level(level), whole.level(level))
    assert (merkle.verify_batch(root, leaves[:37], proofs) == 1).all()
    assert not (merkle.verify_batch(tree.root, leaves[:37], proofs) == 1).any()
    assert np.array_equal(rows, whole.level(0)[:37])


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.int64])
def test_numbers_of_numpy(kind):
    """They are taken as what they say, though their powers would wrap around."""
    leaves = new_leaves("sha256", 20)
    root = merkle.root(leaves, "sha256", 16, depth=12)
    assert merkle.root(leaves, "sha256", kind(16), depth=kind(12)) == root
    tree = merkle.build(leaves, "sha256", kind(16), depth=kind(12))
    again = Root("sha256", kind(16), kind(20), kind(12), root.value)
    assert again == tree.root == root
    assert (merkle.verify_batch(again, leaves, tree.prove_batch(range(20))) == 1).all()
    with pytest.raises(ArgumentError, match="depth"):
        merkle.root(leaves, "sha256", kind(4), depth=kind(62))
    with pytest.raises(ArgumentError, match="depth"):
        Root("sha256", kind(4), kind(20), kind(62), root.value)


@pytest.mark.parametrize("hash", HASHES)
def test_roots_keep_their_value(hash):
    """Of any strides, and whatever becomes of the array that it came in."""
    leaves = new_leaves(hash, 4)
    tree = merkle.build(leaves, hash)
    doubled = np.repeat(tree.root.value, 2)
    root = replace(tree.root, value=doubled[::2])
    doubled[:] = 0
    assert root == tree.root
    assert (merkle.verify_batch(root, leaves, tree.prove_batch(range(4))) == 1).all()
    with pytest.raises(ValueError, match="read-only"):
        root.value[0] = 0
