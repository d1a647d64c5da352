# SPDX-License-Identifier: GPL-3.0-or-later
"""The sparse Merkle tree with Poseidon: how byte strings become elements, histories, crafted paths, proofs."""

from __future__ import annotations

import numpy as np
import pytest
from lanes_here import FULL

from supervm.crypto.oracle import sparse_merkle as oracle
from supervm.crypto.oracle.poseidon import compress
from supervm.crypto.params.poseidon import FIELDS, poseidon
from supervm.crypto.sparse_merkle import EMPTY, Proof, SparseMerkleTree, verify_proof
from supervm.kernels import set_threads
from supervm.kernels.errors import ArgumentError, BackendUnavailable

HASH = "poseidon_bn254"
P = FIELDS["bn254"].modulus

EDGES = [0, 1, 30, 31, 32, 61, 62, 63, 92, 93, 94, 124, 185, 186, 187, 300]
"""Lengths around whole numbers and whole steps."""


@pytest.fixture(params=FULL)
def backend(request):
    """The backends of a tree."""
    return request.param


class PathTree(SparseMerkleTree):
    """A tree whose paths are given, not hashed from keys."""

    def add_paths(self, paths):
        rows = np.frombuffer(b"".join(paths), np.uint8).reshape(-1, 32)
        self._new_paths(self.keys, len(rows))[...] = rows
        self._arrays.keys += len(rows)


def put(tree, mapping):
    """Ids to values, None for absent; the new root."""
    ids = np.array(list(mapping), np.uint32)
    present = np.array([value is not None for value in mapping.values()], bool)
    return tree.update(ids, [value or b"" for value in mapping.values()], present)


def hashed(*inputs):
    return compress(poseidon("bn254", len(inputs) + 1), inputs)


def row(element):
    return element.to_bytes(32, "little")


def path_of(element):
    """The path of a key whose element this is: its bits, the lowest first."""
    bits = f"{element:0256b}"[::-1]
    return int(bits, 2).to_bytes(32, "big")


def test_texts_by_hand():
    """A string's number is its bytes, the least significant first; the length comes before all."""
    assert oracle.HASHES[HASH].value(b"") == row(hashed(0, 0, 0, 0))
    assert oracle.HASHES[HASH].value(b"\1\2") == row(hashed(2, 0x201, 0, 0))
    assert oracle.HASHES[HASH].value(b"\1\2\0") == row(hashed(3, 0x201, 0, 0))
    text = bytes(range(1, 95))
    numbers = [int.from_bytes(text[place : place + 31], "little") for place in (0, 31, 62, 93)]
    first = hashed(94, *numbers[:3])
    assert oracle.HASHES[HASH].value(text) == row(hashed(first, numbers[3], 0, 0))
    assert oracle.HASHES[HASH].path(text) == path_of(hashed(first, numbers[3], 0, 0))


def test_root_by_hand(backend):
    """Even elements on the left: leaves P(key, value, 1), nodes P(left, right), as circomlib's `smt` has them."""
    tree = PathTree(HASH, backend=backend)
    elements = [4, 7, 1]
    tree.add_paths([path_of(element) for element in elements])
    values = [int.from_bytes(oracle.HASHES[HASH].value(text), "little") for text in (b"a", b"b", b"c")]
    leaves = [hashed(key, value, 1) for key, value in zip(elements, values, strict=True)]
    assert tree.root == EMPTY
    assert put(tree, {0: b"a"}) == row(leaves[0])
    assert put(tree, {1: b"b"}) == row(hashed(leaves[0], leaves[1]))
    odd = hashed(leaves[2], leaves[1])
    assert put(tree, {2: b"c"}) == row(hashed(leaves[0], odd))
    assert put(tree, {0: None}) == row(hashed(0, odd))
    assert put(tree, {2: None}) == row(leaves[1])
    assert put(tree, {1: None}) == EMPTY


def test_every_length(backend):
    """Keys and values of the lengths at which numbers and steps begin, in one batch."""
    random = np.random.default_rng(3)
    keys = [random.bytes(length) for length in EDGES]
    tree = SparseMerkleTree(HASH, backend=backend)
    tree.add_keys(0, keys)
    state = {}
    for turn in range(2):
        values = [random.bytes(length) for length in EDGES[::-1]]
        state = dict(zip(keys, values, strict=True))
        put(tree, dict(enumerate(values)))
        assert tree.root == oracle.root(state, HASH), turn
    # Strings that end in zeros are not those without them.
    assert len({oracle.HASHES[HASH].value(b"x" + bytes(count)) for count in range(40)}) == 40


@pytest.mark.parametrize("hash", ["poseidon_bn254", "poseidon_bls12_381"])
def test_grows_and_shrinks(hash, backend):
    """From nothing over several depths and back; some changes take values away."""
    if hash != HASH and backend == "scalar":
        pytest.skip("one field on each backend, and the other on the best of them")
    random = np.random.default_rng(5)
    tree = SparseMerkleTree(hash, backend=backend)
    keys, state, depths = [], {}, set()
    for count in (1, 2, 20, 130, 260):
        new = [random.bytes(random.integers(0, 60)) + b"%d" % number for number in range(len(keys), count)]
        tree.add_keys(len(keys), new)
        keys += new
        changes = {
            int(i): random.bytes(random.integers(0, 70)) for i in random.permutation(count)[: count // 2 + 1]
        }
        changes |= {int(i): None for i in random.permutation(count)[: count // 8]}
        put(tree, changes)
        state |= {keys[identity]: value for identity, value in changes.items()}
        assert tree.root == oracle.root({k: v for k, v in state.items() if v is not None}, hash)
        depths.add(tree._arrays.depth)
    assert len(depths) > 1
    assert put(tree, dict.fromkeys(range(len(keys)))) == EMPTY


def crafted():
    """Elements that hashing would not give."""
    random = np.random.default_rng(9)
    spread = [int.from_bytes(random.bytes(32), "big") % P for _ in range(60)]
    yield "the largest and the smallest", [P - 1, 0]
    yield "252 shared bits", [spread[0] % (1 << 252), spread[0] % (1 << 252) + (1 << 252)]
    yield "every length of common prefix", [0, *(1 << place for place in range(253))]
    yield "one bucket", [(element << 50) % (1 << 250) for element in spread]
    yield "all in one half", [element // 2 * 2 for element in spread]


CRAFTED = dict(crafted())


@pytest.mark.parametrize("what", CRAFTED)
def test_crafted_paths(what, backend):
    """Inserted in two parts, then taken away."""
    elements = sorted(set(CRAFTED[what]))
    paths = [path_of(element) for element in elements]
    tree = PathTree(HASH, backend=backend)
    tree.add_paths(paths)
    half = len(paths) // 2
    put(tree, dict.fromkeys(range(half), b"first"))
    assert put(tree, dict.fromkeys(range(half, len(paths)), b"second")) == oracle.root_of_paths(
        {path: b"first" if place < half else b"second" for place, path in enumerate(paths)}, HASH
    )
    put(tree, dict.fromkeys(range(half)))
    assert tree.root == oracle.root_of_paths(dict.fromkeys(paths[half:], b"second"), HASH)


def test_threads():
    """Enough changes for several subtrees; the same root as on one thread."""
    random = np.random.default_rng(3)
    keys = random.integers(0, 256, (6000, 20), np.uint8)
    values = random.integers(0, 256, (6000, 9), np.uint8)
    roots = []
    for count in (1, 2, 3):
        set_threads(count)
        try:
            tree = SparseMerkleTree(HASH)
            tree.add_keys(0, keys)
            roots.append(tree.update(np.arange(6000, dtype=np.uint32), values, np.ones(6000, bool)))
        finally:
            set_threads(1)
    assert len(set(roots)) == 1


@pytest.fixture(scope="module")
def filled():
    """A tree, its keys and values by id."""
    keys = [b"key %d" % number for number in range(60)]
    tree = SparseMerkleTree(HASH)
    tree.add_keys(0, keys)
    values = {identity: b"value %d" % identity for identity in range(0, 60, 2)}
    put(tree, values)
    return tree, keys, values


def test_proofs(filled):
    tree, keys, values = filled
    kinds = set()
    for identity, key in [*enumerate(keys[:20]), *((None, b"never %d" % number) for number in range(30))]:
        proof = tree.prove(key, value_of=values.__getitem__)
        value = values.get(identity)
        assert Proof.from_bytes(proof.to_bytes()) == proof
        assert verify_proof(tree.root, key, value, proof, hash=HASH)
        assert not verify_proof(tree.root, key, b"other" if value is None else None, proof, hash=HASH)
        assert not verify_proof(tree.root, key, b"other", proof, hash=HASH)
        assert not verify_proof(tree.root, key, value, proof, hash="poseidon_bls12_381")
        assert not verify_proof(tree.root, key, value, proof)
        kinds.add((proof.present, proof.other is not None))
    assert kinds == {(True, False), (False, False), (False, True)}


def test_any_change_is_refused(filled):
    """Every byte of an encoding of each kind."""
    tree, keys, values = filled
    picked = {}
    for identity, key in [*enumerate(keys), *((None, b"never %d" % number) for number in range(20))]:
        proof = tree.prove(key, value_of=values.__getitem__)
        picked[proof.present, proof.other is None] = (key, values.get(identity), proof.to_bytes())
    assert len(picked) == 3
    for key, value, encoded in picked.values():
        for place in range(0, len(encoded), 1 if len(encoded) < 200 else 3):
            changed = bytearray(encoded)
            changed[place] ^= 1
            assert not verify_proof(tree.root, key, value, bytes(changed), hash=HASH), place


def test_rows_above_the_modulus_are_refused(filled):
    """The same elements, written another way: a sibling, another leaf's path and its value's row."""
    tree, keys, values = filled
    proof = tree.prove(0)
    place = next(index for index, sibling in enumerate(proof.siblings) if sibling != EMPTY)
    sibling = int.from_bytes(proof.siblings[place], "little")
    again = list(proof.siblings)
    again[place] = row(sibling + P)
    wrong = Proof(proof.path, tuple(again), present=True)
    assert verify_proof(tree.root, keys[0], values[0], proof, hash=HASH)
    assert not verify_proof(tree.root, keys[0], values[0], wrong, hash=HASH)
    for number in range(60):
        key = b"absent %d" % number
        found = tree.prove(key, value_of=values.__getitem__)
        if found.other is None:
            continue
        path, value = found.other
        assert verify_proof(tree.root, key, None, found, hash=HASH)
        element = int(f"{int.from_bytes(path, 'big'):0256b}"[::-1], 2)
        value_above = row(int.from_bytes(value, "little") + P)
        siblings = found.siblings
        assert not verify_proof(
            tree.root, key, None, Proof(found.path, siblings, False, (path, value_above)), hash=HASH
        )
        above = path_of(element + P)
        try:
            other = Proof(found.path, siblings, False, (above, value))
        except ArgumentError:
            continue  # the path leads elsewhere
        assert not verify_proof(tree.root, key, None, other, hash=HASH)
        if not siblings:
            break


def test_a_path_above_the_modulus_is_refused():
    """With no siblings any other path stands where the key would, and p + x is the element x."""
    tree = PathTree(HASH)
    tree.add_paths([path_of(5)])
    root = put(tree, {0: b"v"})
    value = oracle.HASHES[HASH].value(b"v")
    path = oracle.HASHES[HASH].path(b"key")
    assert verify_proof(root, b"key", None, Proof(path, (), False, (path_of(5), value)), hash=HASH)
    assert not verify_proof(root, b"key", None, Proof(path, (), False, (path_of(5 + P), value)), hash=HASH)


def test_names():
    with pytest.raises(ArgumentError, match="poseidon_bls12_381"):
        SparseMerkleTree("poseidon")
    with pytest.raises(BackendUnavailable):
        SparseMerkleTree(HASH, backend="cuda")
