# SPDX-License-Identifier: GPL-3.0-or-later
"""Merkle trees against their definition: roots, growth, proofs, and everything that must not pass as a proof."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from supervm.crypto import cuda, merkle, merkle_hashes
from supervm.crypto.merkle import Proofs, Root
from supervm.crypto.merkle_work import Build, whole_tree
from supervm.crypto.oracle import merkle as oracle
from supervm.crypto.oracle.poseidon import compress
from supervm.crypto.params.poseidon import poseidon
from supervm.kernels import merkle_levels, set_threads
from supervm.kernels.cuda import devices
from supervm.kernels.errors import ArgumentError, BackendUnavailable
from supervm.kernels.merkle_levels import fresh
from supervm.kernels.registry import resolve, set_dispatcher

HASHES = ["sha256", "keccak256", "poseidon_bn254", "poseidon_bls12_381"]
FIELDS = [name for name in HASHES if merkle_hashes.get(name).curve]
SIZES = [*range(1, 41), 63, 64, 65]


@pytest.fixture(autouse=True)
def runs_there(request):
    """Skip a hash that has no program for a GPU."""
    params = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    if params.get("backend") == "cuda" and f"merkle.{params.get('hash', 'sha256')}" not in cuda.TREES:
        pytest.skip(f"{params['hash']} has no program for a GPU")


@pytest.fixture
def threads():
    yield set_threads
    set_threads(1)


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


# Building


@pytest.mark.parametrize("hash", HASHES)
@pytest.mark.parametrize("arity", [2, 3, 4, 16])
def test_sizes(hash, arity, backend):
    """Powers of the arity and their neighbours among them; the root alone is the tree's."""
    sizes = SIZES if arity == 2 and hash in ("sha256", "poseidon_bn254") else [1, 2, 15, 16, 17, 27, 40]
    for size in sizes:
        leaves = new_leaves(hash, size)
        tree = merkle.build(leaves, hash, arity, backend=backend)
        rows = plain(hash, leaves)
        assert tree.depth == oracle.least_depth(size, arity)
        assert np.array_equal(tree.root, root_of(hash, oracle.root(rows, hash, arity)))
        assert merkle.root(leaves, hash, arity, backend=backend) == tree.root


@pytest.mark.parametrize("hash", ["sha256", "poseidon_bn254"])
@pytest.mark.parametrize("arity", range(2, 17))
def test_arities(hash, arity, backend):
    leaves = new_leaves(hash, 2 * arity + 1)
    check_tree(merkle.build(leaves, hash, arity, backend=backend), leaves)


@pytest.mark.parametrize("hash", ["sha256", "keccak256"])
@pytest.mark.parametrize("width", [0, 1, 31, 54, 55, 64, 135, 136, 300])
def test_widths(hash, width, backend):
    """Leaves of any width, the edges of blocks among them."""
    leaves = new_leaves(hash, 19, width=width)
    check_tree(merkle.build(leaves, hash, 3, backend=backend), leaves)


@pytest.mark.parametrize("hash", HASHES)
@pytest.mark.parametrize("size", [0, 1, 5, 8])
def test_a_depth_that_is_asked_for(hash, size, backend):
    leaves = new_leaves(hash, size)
    tree = merkle.build(leaves, hash, depth=5, backend=backend)
    check_tree(tree, leaves)
    assert tree.root == merkle.root(leaves, hash, depth=5, backend=backend)
    assert tree.root.depth == tree.prove_batch([]).siblings.shape[1] == 5


@pytest.mark.parametrize("hash", HASHES)
def test_nothing(hash, backend):
    """No leaves: the root is a missing leaf, or the empty subtree of the depth that is asked for."""
    leaves = new_leaves(hash, 0)
    tree = merkle.build(leaves, hash, backend=backend)
    assert (tree.size, tree.depth) == (0, 0)
    assert tree.root == merkle.root(leaves, hash, backend=backend)
    assert np.array_equal(tree.root, root_of(hash, oracle.root([], hash)))
    assert len(merkle.verify_batch(tree.root, leaves, tree.prove_batch([]))) == 0
    tree.append(leaves)
    assert tree.size == 0
    tree.append(new_leaves(hash, 3))
    check_tree(tree, new_leaves(hash, 3))


def several_blocks(hash, monkeypatch):
    """Blocks of 64 leaves and subtrees of 64, so that few leaves make many."""
    monkeypatch.setattr(merkle_levels, "_BLOCK_ROWS", 64)
    monkeypatch.setattr(merkle_levels, "_BLOCK_TOP", 4)
    monkeypatch.setattr(merkle, "_SUBTREE_LEAVES", 64)
    return new_leaves(hash, 1000)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("arity", [2, 3, 5])
@pytest.mark.parametrize("hash", ["sha256", "keccak256", "poseidon_bn254"])
def test_blocks_and_threads(hash, arity, count, threads, monkeypatch):
    """Blocks whose lower levels are computed together, the last one ragged; the same rows on every number of threads."""
    leaves = several_blocks(hash, monkeypatch)
    threads(count)
    for size in (255, 256, 257, 1000) if hash != "poseidon_bn254" else (257,):
        tree = merkle.build(leaves[:size], hash, arity)
        rows = oracle.levels(plain(hash, leaves[:size]), hash, arity)
        assert [plain(hash, tree.level(level)) for level in range(len(rows))] == rows
        assert merkle.root(leaves[:size], hash, arity) == tree.root


def test_arrays_as_they_come(backend):
    """Strides, other alignments and the read-only mark."""
    leaves = new_leaves("sha256", 9)
    expected = merkle.build(leaves, "sha256", backend=backend).root
    wide = np.zeros((18, 33), np.uint8)
    wide[::2, 1:] = leaves
    frozen = leaves.copy()
    frozen.flags.writeable = False
    for same in (wide[::2, 1:], frozen, np.asfortranarray(leaves)):
        assert merkle.build(same, "sha256", backend=backend).root == expected


# Growth


@pytest.mark.parametrize("hash", HASHES)
@pytest.mark.parametrize("arity", [2, 3, 16])
def test_appending_is_building(hash, arity, backend):
    """In random steps, of nothing and of one among them, over several depths."""
    random = np.random.default_rng(arity)
    leaves = new_leaves(hash, 150)
    size = int(random.integers(0, 4))
    tree = merkle.build(leaves[:size], hash, arity, backend=backend)
    while size < len(leaves):
        step = int(random.choice([0, 1, 1, 2, 7, 30]))
        tree.append(leaves[size : size + step])
        size = min(size + step, len(leaves))
        assert tree.root == merkle.root(leaves[:size], hash, arity, backend=backend)
    check_tree(tree, leaves)


def test_appending_to_a_fixed_depth():
    leaves = new_leaves("sha256", 8)
    tree = merkle.build(leaves[:3], "sha256", depth=3)
    tree.append(leaves[3:6])
    assert tree.depth == 3
    check_tree(tree, leaves[:6])
    root = tree.root
    with pytest.raises(ArgumentError, match="8 at most, at depth 3"):
        tree.append(leaves[:3])
    assert tree.root == root
    tree.append(leaves[6:])
    check_tree(tree, leaves)


def test_appending_takes_other_widths():
    tree = merkle.build(new_leaves("sha256", 3, width=5), "sha256")
    tree.append(new_leaves("sha256", 3, width=70))
    rows = plain("sha256", new_leaves("sha256", 3, width=5)) + plain(
        "sha256", new_leaves("sha256", 3, width=70)
    )
    assert tree.root.value.tobytes() == oracle.root(rows, "sha256")


def test_room_grows_by_half():
    """Copies of a level are as rare as its growth: one by one, n leaves are moved O(n) times."""
    tree = merkle.build(new_leaves("sha256", 1), "sha256")
    rooms = set()
    for _ in range(300):
        tree.append(new_leaves("sha256", 1))
        rooms.add(tree.memory_bytes())
    assert len(rooms) < 45
    assert tree.memory_bytes() <= 32 * (2 * 1.5 * 301 + 40)
    exact = merkle.build(new_leaves("sha256", 1000), "sha256", 4)
    assert exact.memory_bytes() == 32 * (1000 + 252 + 64 + 16 + 4 + 1)


# Proofs


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
def test_a_root_of_circomlib_trees(hash):
    """Semaphore's and Tornado Cash's shape: fixed depth, missing leaves 0, each level's zero the hash of two below."""
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


# Errors


@pytest.mark.parametrize(
    ("argument", "arguments", "options"),
    [
        ("hash", (np.zeros((1, 32), np.uint8), "md5"), {}),
        ("hash", (np.zeros((1, 32), np.uint8), None), {}),
        ("leaves", (np.zeros((1, 32), np.int8), "sha256"), {}),
        ("leaves", (np.zeros(32, np.uint8), "sha256"), {}),
        ("leaves", ([b"leaf"], "sha256"), {}),
        ("leaves", (np.zeros((1, 32), np.uint8), "poseidon_bn254"), {}),
        ("leaves", (np.zeros((1, 5), np.uint64), "poseidon_bn254"), {}),
        ("leaves", (np.zeros(4, np.uint64), "poseidon_bn254"), {}),
        ("leaves", (np.zeros((1, 4), np.uint64), "sha256"), {}),
        ("arity", (np.zeros((1, 32), np.uint8), "sha256", 1), {}),
        ("arity", (np.zeros((1, 32), np.uint8), "sha256", 17), {}),
        ("arity", (np.zeros((1, 32), np.uint8), "sha256", True), {}),
        ("depth", (np.zeros((3, 32), np.uint8), "sha256"), {"depth": 1}),
        ("depth", (np.zeros((3, 32), np.uint8), "sha256"), {"depth": 63}),
        ("depth", (np.zeros((3, 32), np.uint8), "sha256"), {"depth": -1}),
        ("depth", (np.zeros((3, 32), np.uint8), "sha256"), {"depth": 2.0}),
        ("backend", (np.zeros((3, 32), np.uint8), "sha256"), {"backend": "gpu"}),
    ],
)
def test_bad_arguments(argument, arguments, options):
    for function in (merkle.build, merkle.root):
        with pytest.raises(ArgumentError) as raised:
            function(*arguments, **options)
        assert raised.value.argument == argument


@pytest.mark.skipif(not devices.unavailable(), reason="there is a GPU")
def test_a_backend_that_is_not_there():
    for size in (0, 3):
        with pytest.raises(BackendUnavailable):
            merkle.build(np.zeros((size, 32), np.uint8), "sha256", backend="cuda")


@pytest.mark.parametrize(
    "indices", [[0, 3], [-1], [0.0], ["0"], [[0]], [True], np.array([1 << 63], np.uint64)]
)
def test_bad_indices(indices):
    tree = merkle.build(new_leaves("sha256", 3), "sha256")
    with pytest.raises(ArgumentError, match="indices"):
        tree.prove_batch(indices)


@pytest.mark.parametrize("level", [-1, 3, True, "0"])
def test_bad_levels(level):
    with pytest.raises(ArgumentError, match="level"):
        merkle.build(new_leaves("sha256", 3), "sha256").level(level)


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


# The work that a scheduler checks


@pytest.mark.parametrize("lowest", [0, 2])
@pytest.mark.parametrize("hash", HASHES)
def test_random_paths_find_what_is_wrong(hash, lowest):
    """A right tree has no mismatch; of a wrong row on every path each path knows, whichever row it is, at share 1."""
    leaves, random = new_leaves(hash, 21), np.random.default_rng(0)
    tree_hash = merkle_hashes.get(hash)
    function = resolve(tree_hash.operation).function
    work = Build(tree_hash.operation, fresh(leaves, 2, 5, tree_hash.empty(2, 5), lowest))
    work.run(function)
    for share in (0.0, 0.3, 1.0):
        assert work.mismatches(function, share, random) == 0
    growth = work.growth
    for level in range(len(growth.levels)):
        for row in range(growth.ends[level]):
            wrong = work.twin()
            wrong.publish(work)
            wrong.growth.levels[level][row, 1] ^= np.uint64(1)
            assert wrong.mismatches(function, 1.0, random) > 0, (level, row)
    work.growth.levels[-1][0] ^= np.uint64(1)
    assert work.mismatches(function, 0.0, random) == 1
    assert work.mismatches(function, 1.0, random) == growth.ends[0]


@pytest.mark.parametrize("lowest", [0, 2])
def test_the_right_tree_of_other_leaves(lowest):
    """Every node is its children's hash, and one leaf is another's."""
    tree_hash, random = merkle_hashes.get("sha256"), np.random.default_rng(0)
    function = resolve(tree_hash.operation).function
    leaves = new_leaves("sha256", 21)
    others = leaves.copy()
    others[8, 0] ^= 1
    work, wrong = (
        Build(tree_hash.operation, fresh(each, 2, 5, tree_hash.empty(2, 5), lowest))
        for each in (leaves, others)
    )
    wrong.run(function)
    work.publish(wrong)
    assert work.mismatches(function, 1.0, random) == 1


def test_no_leaves_no_mismatch():
    work = whole_tree(merkle_hashes.get("sha256"), np.zeros((0, 32), np.uint8))
    assert work.mismatches(resolve("merkle.sha256").function, 1.0, np.random.default_rng(0)) == 0


def test_a_twin_writes_nothing_of_the_callers():
    """Of appended leaves too, whose first group is there in part."""
    seen = []

    def dispatcher(work):
        twin = work.twin()
        before = [level.copy() for level in work.growth.levels]
        twin.run(resolve(work.operation).function)
        for level, old, start in zip(work.growth.levels, before, work.growth.starts, strict=True):
            assert np.array_equal(level[:start], old[:start])
        assert twin.mismatches(resolve(work.operation).function, 1.0, np.random.default_rng(0)) == 0
        work.publish(twin)
        seen.append(work.items)

    leaves = new_leaves("sha256", 20)
    set_dispatcher(dispatcher)
    try:
        tree = merkle.build(leaves[:7], "sha256", 3)
        tree.append(leaves[7:])
    finally:
        set_dispatcher(None)
    assert seen == [7, 13]
    check_tree(tree, leaves)
