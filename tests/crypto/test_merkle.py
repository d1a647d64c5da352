# SPDX-License-Identifier: GPL-3.0-or-later
"""Merkle trees against their definition: roots, growth, and the work that a scheduler checks."""

from __future__ import annotations

import numpy as np
import pytest
from host_device import ResidentArray
from merkle_trees import HASHES, check_tree, new_leaves, plain, root_of

from supervm.crypto import merkle, merkle_hashes
from supervm.crypto.merkle_work import Build, whole_tree
from supervm.crypto.oracle import merkle as oracle
from supervm.kernels import merkle_levels, set_threads
from supervm.kernels.cuda.runtime import devices
from supervm.kernels.errors import ArgumentError, BackendUnavailable
from supervm.kernels.merkle_levels import fresh
from supervm.kernels.registry import resolve, set_dispatcher

SIZES = [*range(1, 41), 63, 64, 65]


@pytest.fixture
def threads():
    yield set_threads
    set_threads(1)


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


def test_a_share_is_of_the_hashes():
    """A way through a tree of 64 leaves has seven hashes: six of them are as many as a share of 0.6 of the leaves."""
    tree_hash = merkle_hashes.get("sha256")
    function = resolve(tree_hash.operation).function
    work = whole_tree(tree_hash, new_leaves("sha256", 64))
    work.run(function)
    checked = []

    def counting(growth):
        checked.append(growth.ends[-1])
        function(growth)

    assert work.mismatches(counting, 0.6, np.random.default_rng(0)) == 0
    assert checked == [6] * 7
    checked.clear()
    assert work.mismatches(counting, 1.0, np.random.default_rng(0)) == 0
    assert checked == [64] * 7


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


# Leaves on a GPU


@pytest.mark.twin
@pytest.mark.parametrize("hash", HASHES)
@pytest.mark.parametrize("size", [0, 1, 37])
def test_leaves_on_a_device(device, hash, size):
    """The tree that they have on the host; its work is the device's, and nobody looks into the array."""
    leaves = new_leaves(hash, size)
    there = ResidentArray(leaves)
    expected = merkle.build(leaves, hash, 3)
    tree = merkle.build(there, hash, 3)
    assert tree.root == merkle.root(there, hash, 3, backend="cuda") == expected.root
    assert bool(device.launches) == (size > 0)
    check_tree(tree, leaves)
    tree.append(there)
    expected.append(leaves)
    assert tree.root == expected.root
    if size:
        proofs = tree.prove_batch(range(size))
        assert (merkle.verify_batch(tree.root, there, proofs) == 1).all()
    with pytest.raises(ArgumentError, match="backend"):
        merkle.build(there, hash, backend="scalar")


@pytest.mark.twin
def test_elements_on_a_device_are_canonical(device):
    leaves = new_leaves("poseidon_bn254", 9)
    leaves[[4, 6]] = np.iinfo(np.uint64).max
    with pytest.raises(ArgumentError, match=f"{hex((1 << 256) - 1)} at row 4"):
        merkle.build(ResidentArray(leaves), "poseidon_bn254")
    with pytest.raises(ArgumentError, match="leaves"):
        merkle.build(ResidentArray(leaves[:, :3].copy()), "poseidon_bn254")
