# SPDX-License-Identifier: GPL-3.0-or-later
"""The sparse Merkle tree against its definition: histories, crafted paths, threads, backends, proofs."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lanes_here import FULL

from supervm.crypto.oracle import sparse_merkle as oracle
from supervm.crypto.sparse_merkle import EMPTY, Proof, SparseMerkleTree, verify_proof
from supervm.crypto.sparse_merkle_proof import Proof as ProofOfModule
from supervm.kernels import set_threads
from supervm.kernels.errors import ArgumentError, BackendUnavailable


class PathTree(SparseMerkleTree):
    """A tree whose paths are given, not hashed from keys."""

    def add_paths(self, paths):
        rows = np.frombuffer(b"".join(paths), np.uint8).reshape(-1, 32)
        self._new_paths(self.keys, len(rows))[...] = rows
        self._arrays.keys += len(rows)

    def set(self, mapping):
        """Ids to values, None for absent; the new root."""
        ids = np.array(list(mapping), np.uint32)
        values = [value or b"" for value in mapping.values()]
        present = np.array([value is not None for value in mapping.values()], bool)
        return self.update(ids, values, present)


@pytest.fixture(params=["auto", *FULL])
def backend(request):
    """The backends of a tree."""
    return request.param


@pytest.fixture
def threads():
    yield set_threads
    set_threads(1)


def keyed_tree(count, **options):
    tree = PathTree(**options)
    keys = [b"key %d" % number for number in range(count)]
    tree.add_keys(0, keys)
    return tree, keys


def path_of_bits(bits, rest=0):
    """A path that begins with these bits and goes on with a number's."""
    return int(bits + f"{rest % (1 << (256 - len(bits))):0{256 - len(bits)}b}", 2).to_bytes(32, "big")


@pytest.mark.parametrize("hash", ["sha256", "keccak256"])
def test_root_by_hand(hash, backend):
    h = {"sha256": oracle.sha256, "keccak256": oracle.keccak256}[hash]
    tree = PathTree(hash, backend=backend)
    assert tree.root == EMPTY == bytes(32)
    tree.add_paths([bytes(32), b"\x80" + bytes(31), b"\xc0" + bytes(31)])
    leaf = [
        h(b"\0" + path + h(value))
        for path, value in ((bytes(32), b"a"), (b"\x80" + bytes(31), b"b"), (b"\xc0" + bytes(31), b"c"))
    ]
    assert tree.set({0: b"a"}) == leaf[0]
    assert tree.set({1: b"b"}) == h(b"\1" + leaf[0] + leaf[1])
    right = h(b"\1" + leaf[1] + leaf[2])
    assert tree.set({2: b"c"}) == h(b"\1" + leaf[0] + right)
    assert tree.set({0: None}) == h(b"\1" + EMPTY + right)
    assert tree.set({1: None}) == leaf[2]
    assert tree.set({2: None}) == EMPTY


@settings(max_examples=25)
@given(st.data())
def test_histories(data):
    """Inserts, changes, deletes and repeated deletes in any order, in batches of any size."""
    hash = data.draw(st.sampled_from(["sha256", "sha256", "keccak256"]))
    tree, keys = keyed_tree(40, hash=hash)
    state = {}
    value = st.one_of(st.none(), st.binary(max_size=70))
    for _ in range(data.draw(st.integers(1, 6))):
        changes = data.draw(st.dictionaries(st.integers(0, 39), value, max_size=40))
        root = tree.set(changes)
        state |= {keys[identity]: new for identity, new in changes.items()}
        state = {key: new for key, new in state.items() if new is not None}
        assert root == tree.root == oracle.root(state, hash)
        assert tree.leaves == len(state)


@pytest.mark.parametrize("hash", ["sha256", "keccak256"])
def test_grows_and_shrinks(hash, backend):
    """From nothing to thousands and back to nothing, over many depths; keys are added on the way."""
    random = np.random.default_rng(5)
    most = 5000 if hash == "sha256" else 300
    tree = PathTree(hash, backend=backend)
    state, keys, depths = {}, [], set()
    for count in (1, 2, 3, 60, 127, 128, 129, 300, most):
        new = [random.bytes(random.integers(0, 60)) + b"%d" % number for number in range(len(keys), count)]
        tree.add_keys(len(keys), new)
        keys += new
        order = random.permutation(count)[: max(1, count * 3 // 4)]
        changes = {int(identity): random.bytes(random.integers(0, 80)) for identity in order}
        changes |= {int(i): None for i in random.permutation(count)[: count // 8]}
        tree.set(changes)
        state |= {keys[identity]: value for identity, value in changes.items()}
        assert tree.root == oracle.root({k: v for k, v in state.items() if v is not None}, hash)
        depths.add(tree._arrays.depth)
    left = list(random.permutation(len(keys)))
    while left:
        gone, left = left[: len(left) // 2 + 1], left[len(left) // 2 + 1 :]
        tree.set({int(identity): None for identity in gone})
        state |= {keys[identity]: None for identity in gone}
        assert tree.root == oracle.root({k: v for k, v in state.items() if v is not None}, hash)
        depths.add(tree._arrays.depth)
    assert tree.root == EMPTY
    assert tree.leaves == 0
    assert len(depths) > 1


def crafted():
    """Paths that hashing would not give, by what is special about them."""
    random = np.random.default_rng(9)
    spread = [random.bytes(32) for _ in range(200)]
    yield "all in the left half", [bytes([row[0] & 127]) + row[1:] for row in spread]
    yield "all in the right half", [bytes([row[0] | 128]) + row[1:] for row in spread]
    yield "first and last", [bytes(32), b"\xff" * 32]
    yield "255 shared bits", [b"\xff" * 32, b"\xff" * 31 + b"\xfe"]
    yield (
        "255 shared bits, twice, among others",
        [
            *spread[:50],
            bytes(32),
            bytes(31) + b"\1",
            spread[60],
            spread[60][:31] + bytes([spread[60][31] ^ 1]),
        ],
    )
    yield (
        "every length of common prefix",
        [bytes(32)] + [(1 << place).to_bytes(32, "big") for place in range(256)],
    )
    yield (
        "every length, from above",
        [b"\xff" * 32] + [((1 << 256) - 1 - (1 << place)).to_bytes(32, "big") for place in range(256)],
    )
    yield "one bucket", [b"bucket" + row[6:] for row in spread]
    yield "one bucket, deep", [b"b" * 28 + number.to_bytes(4, "big") for number in range(100)]
    yield "words of zeros", [bytes(8 * word) + row[8 * word :] for word in range(4) for row in spread[:9]]


CRAFTED = dict(crafted())


@pytest.mark.parametrize("what", CRAFTED)
@pytest.mark.parametrize("others", [0, 600])
def test_crafted_paths(what, others, backend):
    """Alone and in a tree that is deeper for the sake of others; inserted, changed, and taken away piece by piece."""
    random = np.random.default_rng(1)
    tree = PathTree(backend=backend)
    rows = [*CRAFTED[what], *(random.bytes(32) for _ in range(others))]
    tree.add_paths(rows)
    state = {}
    for share in (0.4, 0.7, 1.0):
        changes = {int(i): random.bytes(9) for i in random.permutation(len(rows))[: int(share * len(rows))]}
        tree.set(changes)
        state |= {rows[identity]: value for identity, value in changes.items()}
        assert tree.root == oracle.root_of_paths(state)
    for part in np.array_split(random.permutation(len(rows)), 3):
        tree.set({int(identity): None for identity in part})
        for identity in part:
            state.pop(rows[identity], None)
        assert tree.root == oracle.root_of_paths(state)
    assert tree.root == EMPTY


def test_a_bucket_of_thousands():
    """Sorted by merges; more hashes than the plan has room for at first."""
    random = np.random.default_rng(2)
    paths = sorted({b"same" + random.bytes(2) + bytes(25) + random.bytes(1) for _ in range(6000)})
    random.shuffle(paths)
    tree = PathTree()
    tree.add_paths(paths)
    state = dict.fromkeys(paths, b"x")
    assert tree.set(dict.fromkeys(range(len(paths)), b"x")) == oracle.root_of_paths(state)
    gone = random.permutation(len(paths))[:2500]
    for identity in gone:
        del state[paths[identity]]
    assert tree.set({int(identity): None for identity in gone}) == oracle.root_of_paths(state)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_threads(threads, count):
    """Enough changes for several subtrees; the same roots as on one thread."""
    random = np.random.default_rng(3)
    keys = [random.bytes(20) for _ in range(20000)]
    history = []
    for _ in range(3):
        ids = random.permutation(len(keys))[:12000].astype(np.uint32)
        values = random.integers(0, 256, (ids.size, 9), dtype=np.uint8)
        history.append((ids, values, random.random(ids.size) < 0.8))
    state, tree = {}, SparseMerkleTree()
    threads(count)
    tree.add_keys(0, keys)
    for ids, values, present in history:
        tree.update(ids, values, present)
        for identity, value, kept in zip(ids, values, present, strict=True):
            state[keys[identity]] = value.tobytes() if kept else None
    assert tree.root == oracle.root({key: value for key, value in state.items() if value is not None})


def test_update_of_nothing_and_of_absent_keys():
    tree, keys = keyed_tree(5)
    none = np.zeros(0, np.uint32)
    assert tree.update(none, [], np.zeros(0, bool)) == EMPTY
    assert tree.set({3: None, 1: None}) == EMPTY
    assert tree.set({3: b""}) == oracle.root({keys[3]: b""})
    assert tree.set({1: None}) == oracle.root({keys[3]: b""})
    assert tree.leaves == 1


def test_values_and_arrays_as_they_come(backend):
    """Read-only arrays, arrays with strides, offsets that do not begin at 0, values of many blocks."""
    tree, keys = keyed_tree(4, backend=backend)
    ids = np.array([0, 9, 2, 9, 3, 9], np.uint32)[::2]
    present = np.array([True, False] * 3)[::2]
    data = np.frombuffer(b"###" + b"a" * 1000 + b"b" * 64 + b"###", np.uint8)
    offsets = np.array([3, 1003, 1003, 1067])
    present.flags.writeable = False
    tree.update(ids, (data, offsets), present)
    assert tree.root == oracle.root({keys[0]: b"a" * 1000, keys[2]: b"", keys[3]: b"b" * 64})


@pytest.mark.parametrize(
    "arguments",
    [
        ("ids", np.array([0, 1], np.int64), [b"", b""], np.ones(2, bool)),
        ("ids", np.array([[0, 1]], np.uint32), [b"", b""], np.ones(2, bool)),
        ("ids", [0, 1], [b"", b""], np.ones(2, bool)),
        ("ids", np.array([0, 5], np.uint32), [b"", b""], np.ones(2, bool)),
        ("ids", np.array([0, 0xFFFFFFFF], np.uint32), [b"", b""], np.ones(2, bool)),
        ("ids", np.array([1, 1], np.uint32), [b"", b""], np.ones(2, bool)),
        ("values", np.array([0, 1], np.uint32), [b""], np.ones(2, bool)),
        ("values", np.array([0, 1], np.uint32), "ab", np.ones(2, bool)),
        ("present", np.array([0, 1], np.uint32), [b"", b""], np.ones(2, np.uint8)),
        ("present", np.array([0, 1], np.uint32), [b"", b""], np.ones(3, bool)),
    ],
)
def test_bad_updates_change_nothing(arguments):
    name, *given_ = arguments
    tree, keys = keyed_tree(5)
    root = tree.set({1: b"x", 4: b"y"})
    with pytest.raises(ArgumentError) as raised:
        tree.update(*given_)
    assert raised.value.argument == name
    assert tree.root == root
    assert tree.set({2: b"z"}) == oracle.root({keys[1]: b"x", keys[4]: b"y", keys[2]: b"z"})


def test_bad_trees_and_keys():
    with pytest.raises(ArgumentError, match="hash"):
        SparseMerkleTree("sha512")
    with pytest.raises(ArgumentError, match="backend"):
        SparseMerkleTree(backend="gpu")
    with pytest.raises(BackendUnavailable):
        SparseMerkleTree(backend="cuda")
    tree = SparseMerkleTree()
    for first in (1, -1, False, "0"):
        with pytest.raises(ArgumentError, match="first_id"):
            tree.add_keys(first, [b"a"])
    with pytest.raises(ArgumentError, match="keys"):
        tree.add_keys(0, "a")
    for wrong in (0, -1, True, "a", None):
        with pytest.raises(ArgumentError, match="id_or_key"):
            tree.prove(wrong)


def test_a_key_under_two_ids():
    """Nothing is wrong while one of them has a value; when both have, the tree says so and gives nothing more."""
    tree = PathTree()
    tree.add_keys(0, [b"a", b"b", b"a"])
    assert tree.set({0: b"1"}) == tree.set({1: None})
    assert tree.set({0: None, 2: b"1"}) == oracle.root({b"a": b"1"})
    for _ in range(2):
        with pytest.raises(ArgumentError, match="keys"):
            tree.set({0: b"1"})
    with pytest.raises(ArgumentError, match="keys"):
        tree.prove(0)


def test_memory():
    """Every array is counted, and a million leaves take no more than 110 bytes each."""
    tree = SparseMerkleTree()
    tree.add_keys(0, np.arange(1000, dtype=np.uint32).view(np.uint8).reshape(-1, 4))
    arrays = vars(tree._arrays).values()
    assert tree.memory_bytes() == sum(a.nbytes for a in arrays if isinstance(a, np.ndarray))
    tree._arrays.reserve(1_000_000)
    tree._arrays.fit_depth(1_000_000)
    assert tree.memory_bytes() < 110_000_000


# ---------------------------------------------------------------------------------------------------------
# Proofs


def proof_cases(hash="sha256"):
    """Tree, values by id, and keys that were never added."""
    tree, keys = keyed_tree(300, hash=hash)
    values = {identity: b"value %d" % identity for identity in range(0, 300, 2)}
    tree.set(values)
    return tree, keys, values, [b"never %d" % number for number in range(60)]


@pytest.mark.parametrize("hash", ["sha256", "keccak256"])
def test_proofs(hash):
    tree, keys, values, never = proof_cases(hash)
    kinds = set()
    step = 1 if hash == "sha256" else 17
    for identity, key in [*enumerate(keys), *((None, key) for key in never)][::step]:
        proof = tree.prove(key, value_of=values.__getitem__)
        if identity is not None:
            assert tree.prove(identity, value_of=values.__getitem__) == proof
        value = values.get(identity)
        assert Proof.from_bytes(proof.to_bytes()) == proof
        assert verify_proof(tree.root, key, value, proof, hash=hash)
        assert verify_proof(tree.root, key, value, proof.to_bytes(), hash=hash)
        wrong = b"other" if value is None else None
        assert not verify_proof(tree.root, key, wrong, proof, hash=hash)
        assert not verify_proof(tree.root, key, b"other", proof, hash=hash)
        kinds.add((proof.present, proof.other is not None))
    assert kinds == {(True, False), (False, False), (False, True)}


def test_proofs_of_empty_and_single():
    tree, keys = keyed_tree(2)
    proof = tree.prove(keys[0])
    assert proof == Proof(oracle.sha256(keys[0]), (), present=False)
    assert verify_proof(EMPTY, keys[0], None, proof)
    tree.set({1: b"x"})
    with pytest.raises(ArgumentError, match="value_of"):
        tree.prove(keys[0])
    with pytest.raises(ArgumentError, match="value_of"):
        tree.prove(keys[0], value_of=lambda identity: b"y")
    assert verify_proof(tree.root, keys[0], None, tree.prove(keys[0], value_of=lambda identity: b"x"))
    assert verify_proof(tree.root, keys[1], b"x", tree.prove(1))


def test_proofs_in_deep_buckets():
    """Where the siblings are not stored: pairs at the last level, and lists of many leaves."""
    key = b"a key whose path is shared almost to its end"
    path = hashlib.sha256(key).digest()
    other = path[:31] + bytes([path[31] ^ 1])
    cousins = [path[:30] + bytes([path[30] ^ number, number]) for number in range(1, 40)]
    tree = PathTree()
    tree.add_paths([path, other, *cousins])
    values = {identity: b"%d" % identity for identity in range(1, 41)}
    tree.set(values)
    absent = tree.prove(key, value_of=values.__getitem__)
    assert absent.other is not None
    assert verify_proof(tree.root, key, None, absent)
    tree.set({0: b"here"})
    proof = tree.prove(key)
    assert len(proof.siblings) == 256
    assert verify_proof(tree.root, key, b"here", proof)
    assert Proof.from_bytes(proof.to_bytes()) == proof


def test_any_change_is_refused():
    """Every byte of the encoding, of the root, of key and value."""
    tree, keys, values, never = proof_cases()
    picked = {}
    for identity, key in [*enumerate(keys), *((None, key) for key in never)]:
        proof = tree.prove(key, value_of=values.__getitem__)
        picked[proof.present, proof.other is None] = (key, values.get(identity), proof.to_bytes())
    assert len(picked) == 3
    for key, value, encoded in picked.values():
        assert verify_proof(tree.root, key, value, encoded)
        for place in range(len(encoded)):
            for flip in (1, 128):
                changed = bytearray(encoded)
                changed[place] ^= flip
                assert not verify_proof(tree.root, key, value, bytes(changed))
        for place in range(32):
            root = bytearray(tree.root)
            root[place] ^= 1
            assert not verify_proof(bytes(root), key, value, encoded)
        assert not verify_proof(tree.root, key + b"!", value, encoded)
        if value is not None:
            assert not verify_proof(tree.root, key, value + b"!", encoded)
        for cut in (encoded[:-1], encoded + b"\0", encoded[:-32], encoded + bytes(32), b""):
            assert not verify_proof(tree.root, key, value, cut)
            with pytest.raises(ArgumentError, match="data"):
                Proof.from_bytes(cut)
        assert not verify_proof(tree.root, key, value, encoded, hash="keccak256")


def test_a_bit_beyond_the_depth_is_refused():
    """With the row that it stands for, so that the length is right."""
    key, value = b"k", b"v"
    h = oracle.sha256
    path = h(key)
    sibling = b"\x11" * 32
    leaf = h(b"\0" + path + h(value))
    root = h(b"\1" + (sibling + leaf if path[0] & 128 else leaf + sibling))
    encoded = Proof(path, (sibling,), present=True).to_bytes()
    assert verify_proof(root, key, value, encoded)
    more = encoded[:36] + b"\xc0" + encoded[37:] + b"\x22" * 32
    assert not verify_proof(root, key, value, more)
    with pytest.raises(ArgumentError, match="data"):
        Proof.from_bytes(more)


@settings(max_examples=200)
@given(st.data())
def test_decoding_is_strict(data):
    """What decodes has exactly one encoding; the decoder and the oracle agree on what an encoding is."""
    path = data.draw(st.binary(min_size=32, max_size=32))
    rows = st.one_of(st.just(EMPTY), st.binary(min_size=32, max_size=32))
    siblings = tuple(data.draw(st.lists(rows, max_size=20)))
    encoded = bytearray(36)
    kind = data.draw(st.integers(0, 3))
    encoded[:] = bytes((1, kind)) + len(siblings).to_bytes(2, "big") + path
    bits = "".join("0" if row == EMPTY and data.draw(st.integers(0, 9)) else "1" for row in siblings)
    size = -(-len(bits) // 8)
    encoded += int(bits.ljust(8 * size, "0") or "0", 2).to_bytes(size, "big")
    encoded += b"".join(row for row, bit in zip(siblings, bits, strict=True) if bit == "1")
    encoded += path + EMPTY if kind == 2 and data.draw(st.booleans()) else b""
    try:
        proof = Proof.from_bytes(bytes(encoded))
    except ArgumentError:
        return
    assert proof.to_bytes() == bytes(encoded)
    assert proof.siblings == siblings


@pytest.mark.parametrize(
    ("argument", "given_"),
    [
        ("path", (b"short", (), True)),
        ("siblings", (bytes(32), (b"short",), True)),
        ("siblings", (bytes(32), (b"x" * 32, EMPTY), True)),
        ("siblings", (bytes(32), (b"x" * 32,) * 257, True)),
        ("present", (bytes(32), (), 1)),
        ("other", (bytes(32), (), False, (bytes(32), bytes(32)))),
        ("other", (bytes(32), (b"x" * 32,), False, (b"\xff" * 32, bytes(32)))),
        ("other", (bytes(32), (), True, (b"\xff" * 32, bytes(32)))),
        ("other", (bytes(32), (), False, (b"\xff" * 32,))),
    ],
)
def test_bad_proofs(argument, given_):
    with pytest.raises(ArgumentError) as raised:
        Proof(*given_)
    assert raised.value.argument == argument


@pytest.mark.parametrize(
    ("argument", "given_"),
    [
        ("root", (b"x", b"k", b"v", b"")),
        ("key", (EMPTY, "k", b"v", b"")),
        ("value", (EMPTY, b"k", "v", b"")),
        ("proof", (EMPTY, b"k", b"v", "p")),
    ],
)
def test_bad_arguments_of_verify(argument, given_):
    with pytest.raises(ArgumentError) as raised:
        verify_proof(*given_)
    assert raised.value.argument == argument
    with pytest.raises(ArgumentError, match="hash"):
        verify_proof(EMPTY, b"k", b"v", b"", hash="md5")


def test_one_proof_class():
    assert Proof is ProofOfModule
