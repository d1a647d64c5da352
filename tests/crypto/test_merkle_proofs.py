# SPDX-License-Identifier: GPL-3.0-or-later
"""Proofs of Merkle trees: the oracle's verdicts, and everything that must not pass as a proof."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from merkle_trees import FIELDS, HASHES, check_tree, new_leaves, plain

from supervm.crypto import merkle, merkle_hashes
from supervm.crypto.merkle import Proofs, Root
from supervm.crypto.oracle import merkle as oracle
from supervm.crypto.oracle.poseidon import compress
from supervm.crypto.params.poseidon import poseidon
from supervm.kernels import set_threads
from supervm.kernels.errors import ArgumentError


@pytest.fixture
def threads():
    yield set_threads
    set_threads(1)


@pytest.mark.parametrize("hash", HASHES)
@pytest.mark.parametrize("arity", [2, 3, 5])
@pytest.mark.parametrize("size", [1, 2, 11, 25])
def test_proofs_are_the_oracles(hash, arity, size, backend):
    leaves = new_leaves(hash, size)
    rows = plain(hash, leaves)
    tree = merkle.build(leaves, hash, arity)
    indices = np.random.default_rng(size).integers(0, size, 9)
    proofs = tree.prove_batch(indices)
    assert (merkle.verify_batch(tree.root, leaves[indices], proofs, backend=backend) == 1).all()
    value = oracle.root(rows, hash, arity)
    for item, index in enumerate(indices.tolist()):
        siblings = oracle.prove(rows, index, hash, arity)
        assert [plain(hash, level) for level in proofs.siblings[item]] == siblings
        assert oracle.verify(value, rows[index], index, siblings, hash, arity, size, tree.depth) == 1
        one = tree.prove(index)
        assert np.array_equal(one.siblings[0], proofs.siblings[item])
        assert len(one) == 1


def verdicts_of(root, leaves, proofs, backend="auto"):
    """The verdicts; each is the oracle's."""
    found = merkle.verify_batch(root, leaves, proofs, backend=backend).tolist()
    value = plain(root.hash, root.value[None])[0]
    for item, verdict in enumerate(found):
        siblings = [plain(root.hash, level) for level in proofs.siblings[item]]
        (leaf,) = plain(root.hash, leaves[item : item + 1])
        index = int(proofs.indices[item])
        answer = oracle.verify(value, leaf, index, siblings, root.hash, root.arity, root.size, root.depth)
        assert verdict == answer, item
    return found


@pytest.mark.parametrize("hash", HASHES)
@pytest.mark.parametrize("arity", [2, 5])
def test_tampered_proofs(hash, arity, backend):
    """Every sibling, the leaf, the root and the index, one after the other."""
    leaves = new_leaves(hash, 11)
    tree = merkle.build(leaves, hash, arity)
    root, proof = tree.root, tree.prove(6)
    columns = proof.siblings.reshape(-1, proof.siblings.shape[-1])
    changed, taken = [], []
    for place in range(len(columns) + 1):
        siblings, leaf = columns.copy(), leaves[6].copy()
        (siblings[place] if place < len(columns) else leaf)[0] ^= 1
        changed.append(siblings.reshape(proof.siblings.shape[1:]))
        taken.append(leaf)
    many = Proofs(np.full(len(changed), 6), np.array(changed))
    assert verdicts_of(root, np.array(taken), many, backend) == [0] * len(changed)
    everywhere = Proofs(np.arange(-2, 14), np.repeat(proof.siblings, 16, axis=0))
    found = verdicts_of(root, np.repeat(leaves[6:7], 16, axis=0), everywhere, backend)
    assert found == [-1, -1, *(int(index == 6) for index in range(11)), -1, -1, -1]
    for index in (np.iinfo(np.int64).max, np.iinfo(np.int64).min, 6 + arity**tree.depth):
        far = Proofs(np.array([index], np.int64), proof.siblings)
        assert verdicts_of(root, leaves[6:7], far, backend) == [-1]
    other = root.value.copy()
    other[0] ^= 1
    assert verdicts_of(replace(root, value=other), leaves[6:7], proof, backend) == [0]
    # Neighbours that change places.
    assert verdicts_of(root, leaves[[7, 6]], tree.prove_batch([6, 7]), backend) == [0, 0]


@pytest.mark.parametrize("hash", HASHES)
def test_proofs_of_other_trees(hash, backend):
    leaves = new_leaves(hash, 12)
    tree = merkle.build(leaves, hash)
    some = tree.prove_batch([3, 9])
    picked = leaves[[3, 9]]
    same_shape = merkle.build(new_leaves(hash, 12, seed=5), hash).root
    assert verdicts_of(same_shape, picked, some, backend) == [0, 0]
    deeper, wider = merkle.build(leaves, hash, depth=5).root, merkle.build(leaves, hash, 4).root
    smaller = replace(tree.root, size=9)
    assert verdicts_of(deeper, picked, some, backend) == [-1, -1]
    assert verdicts_of(wider, picked, some, backend) == [-1, -1]
    assert verdicts_of(smaller, picked, some, backend) == [1, -1]
    cut = Proofs(some.indices, some.siblings[:, 1:])
    assert verdicts_of(tree.root, picked, cut, backend) == [-1, -1]


@pytest.mark.parametrize("hash", HASHES)
def test_a_node_is_no_leaf(hash):
    """The way to an inner node, shown as that to a leaf: another depth, or, as data, another hash."""
    leaves = new_leaves(hash, 8)
    tree = merkle.build(leaves, hash)
    proof = tree.prove(2)
    node = tree.level(1)[1:2]
    short = Proofs(np.array([1]), proof.siblings[:, 1:])
    assert verdicts_of(tree.root, node, short) == [-1]
    level = tree.level(0)
    if not merkle_hashes.get(hash).modulus:
        both = np.concatenate([level[2], level[3]])[None]
        assert verdicts_of(replace(tree.root, depth=2, size=4), both, short) == [0]
        assert verdicts_of(replace(tree.root, depth=2, size=4), node, short) == [0]


@pytest.mark.parametrize("hash", FIELDS)
def test_elements_that_are_not_canonical(hash, backend):
    """A leaf, a sibling, a root: the modulus and what is above it, of which the sum with p is the same element."""
    modulus = merkle_hashes.get(hash).modulus
    leaves = new_leaves(hash, 6)
    leaves[2] = 0
    leaves[4] = 0
    large = {
        value: np.frombuffer(value.to_bytes(32, "little"), np.uint64) for value in (modulus, (1 << 256) - 1)
    }
    tree = merkle.build(leaves, hash)
    for value, row in large.items():
        wrong = leaves.copy()
        wrong[[3, 5]] = row
        for function in (merkle.build, merkle.root, lambda leaves, hash: tree.append(leaves)):
            with pytest.raises(ArgumentError, match=f"{hex(value)} at row 3") as raised:
                function(wrong, hash)
            assert raised.value.argument == "leaves"
        with pytest.raises(ArgumentError, match="value"):
            replace(tree.root, value=row)
        proofs = tree.prove_batch(range(6))
        taken = leaves.copy()
        taken[2] = row
        # Leaf 5's sibling is leaf 4, which is 0.
        proofs.siblings[5, 0, 0] = row
        assert verdicts_of(tree.root, taken, proofs, backend) == [1, 1, -1, 1, 1, -1]
    assert tree.size == 6
    below = np.frombuffer((modulus - 1).to_bytes(32, "little"), np.uint64)
    check_tree(merkle.build(np.stack([below] * 3), hash, backend=backend), np.stack([below] * 3))


@pytest.mark.parametrize("hash", FIELDS)
def test_an_incremental_tree_of_circuits(hash):
    """Fixed depth, missing leaves 0, each level's zero the hash of two below."""
    spec = poseidon(merkle_hashes.get(hash).curve, 3)
    zeros = [0]
    for _ in range(20):
        zeros.append(compress(spec, [zeros[-1]] * 2))
    tree = merkle.build(np.zeros((0, 4), np.uint64), hash, depth=20)
    assert plain(hash, tree.root.value[None]) == [zeros[20]]
    tree.append(np.array([[7, 0, 0, 0]], np.uint64))
    node = 7
    for zero in zeros[:20]:
        node = compress(spec, [node, zero])
    assert plain(hash, tree.root.value[None]) == [node]
    assert plain(hash, tree.prove(0).siblings[0, :, 0]) == zeros[:20]


def test_many_proofs(threads, monkeypatch):
    """More than one piece, on two threads."""
    monkeypatch.setattr("supervm.crypto.merkle_proof._PIECE_BYTES", 1 << 12)
    threads(2)
    leaves = new_leaves("sha256", 333)
    tree = merkle.build(leaves, "sha256", 3)
    indices = np.random.default_rng(0).integers(0, 333, 1000)
    taken = leaves[indices]
    taken[::7, 0] ^= 1
    found = merkle.verify_batch(tree.root, taken, tree.prove_batch(indices))
    assert np.array_equal(found == 1, np.arange(1000) % 7 != 0)
    assert set(found.tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("argument", "change"),
    [
        ("hash", {"hash": "md5"}),
        ("arity", {"arity": 1}),
        ("size", {"size": 5}),
        ("size", {"size": -1}),
        ("size", {"size": True}),
        ("depth", {"depth": 80}),
        ("value", {"value": np.zeros(31, np.uint8)}),
        ("value", {"value": bytes(32)}),
    ],
)
def test_bad_roots(argument, change):
    root = merkle.build(new_leaves("sha256", 3), "sha256").root
    with pytest.raises(ArgumentError) as raised:
        replace(root, **change)
    assert raised.value.argument == argument


@pytest.mark.parametrize(
    ("argument", "indices", "siblings"),
    [
        ("indices", [0], np.zeros((1, 2, 1, 32), np.uint8)),
        ("indices", np.zeros(1, np.int32), np.zeros((1, 2, 1, 32), np.uint8)),
        ("indices", np.zeros((1, 1), np.int64), np.zeros((1, 2, 1, 32), np.uint8)),
        ("siblings", np.zeros(1, np.int64), np.zeros((2, 2, 1, 32), np.uint8)),
        ("siblings", np.zeros(1, np.int64), np.zeros((1, 2, 1, 31), np.uint8)),
        ("siblings", np.zeros(1, np.int64), np.zeros((1, 2, 1, 4), np.int64)),
        ("siblings", np.zeros(1, np.int64), np.zeros((1, 2, 32), np.uint8)),
        ("siblings", np.zeros(1, np.int64), None),
    ],
)
def test_bad_columns(argument, indices, siblings):
    with pytest.raises(ArgumentError) as raised:
        Proofs(indices, siblings)
    assert raised.value.argument == argument


def test_bad_arguments_of_verify():
    leaves = new_leaves("sha256", 3)
    tree = merkle.build(leaves, "sha256")
    proofs = tree.prove_batch(range(3))
    words = Proofs(proofs.indices, np.zeros((3, 2, 1, 4), np.uint64))
    for argument, given in (
        ("root", (tree.root.value, leaves, proofs)),
        ("leaves", (tree.root, leaves[:2], proofs)),
        ("leaves", (tree.root, leaves.tolist(), proofs)),
        ("proofs", (tree.root, leaves, proofs.siblings)),
        ("proofs", (tree.root, leaves, words)),
    ):
        with pytest.raises(ArgumentError) as raised:
            merkle.verify_batch(*given)
        assert argument in (raised.value.argument, "leaves" if raised.value.argument == "proofs" else "")
    with pytest.raises(ArgumentError, match="backend"):
        merkle.verify_batch(tree.root, leaves, proofs, backend="gpu")


def test_roots_are_values():
    leaves = new_leaves("sha256", 4)
    root = merkle.build(leaves, "sha256").root
    again = Root("sha256", 2, 4, 2, root.value.copy())
    assert root == again
    assert hash(root) == hash(again)
    assert root != replace(root, size=3)
    assert root != "root"
    assert np.asarray(root).tobytes() == root.value.tobytes()
