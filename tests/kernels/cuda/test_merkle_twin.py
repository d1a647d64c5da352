# SPDX-License-Identifier: GPL-3.0-or-later
"""Merkle trees on the host twin: pieces, levels that are not kept, little memory, and growth."""

from __future__ import annotations

import host_twin
import numpy as np
import pytest
from host_device import HostDevice

from supervm.crypto import cuda, merkle_hashes
from supervm.kernels.cuda import merkle
from supervm.kernels.errors import DeviceOutOfMemory
from supervm.kernels.merkle_levels import Growth, fresh, least_depth, level_sizes, padded
from supervm.kernels.registry import resolve

pytestmark = [
    pytest.mark.twin,
    pytest.mark.skipif(bool(host_twin.missing()), reason=host_twin.missing() or "a compiler is there"),
]

HASHES = [operation.removeprefix("merkle.") for operation in cuda.TREES]


def growths(hash, size, arity, lowest=0, width=32):
    """The same growth twice: as the CPU computes it, and as it is before."""
    tree_hash = merkle_hashes.get(hash)
    leaves = np.random.default_rng(size).integers(0, 256, (size, width), np.uint8)
    if tree_hash.modulus:
        leaves[:, -1] &= 15
        leaves = leaves.view(np.uint64)
    depth = max(least_depth(size, arity), lowest)
    both = [fresh(leaves, arity, depth, tree_hash.empty(arity, depth), lowest) for _ in range(2)]
    resolve(tree_hash.operation).function(both[0])
    return both


def same(one: Growth, other: Growth) -> bool:
    """Whether all rows are equal, the padding of groups too."""
    return all(np.array_equal(a, b) for a, b in zip(one.levels, other.levels, strict=True))


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(merkle, "PIECE_LEAVES", 16)
    monkeypatch.setattr(merkle, "FULL_ROWS", 4)


@pytest.mark.parametrize("hash", HASHES)
@pytest.mark.parametrize("arity", [2, 3, 16])
@pytest.mark.parametrize("lowest", [0, 1])
def test_pieces(small_pieces, hash, arity, lowest):
    """More than one piece for each stream; the last one is ragged, whole, or a single leaf."""
    for size in (1, 5, 16, 81, 97, 128, 130):
        expected, growth = growths(hash, size, arity, lowest)
        merkle.grow(cuda.TREES[f"merkle.{hash}"], HostDevice(), growth)
        assert same(growth, expected), size


@pytest.mark.parametrize("hash", ["sha256", "keccak256"])
@pytest.mark.parametrize("width", [0, 1, 2, 3, 4, 7, 54, 55, 56, 64, 119, 134, 135, 136, 137, 271])
def test_widths(hash, width):
    """Rows at every alignment, and messages around the edges of blocks."""
    expected, growth = growths(hash, 9, 2, width=width)
    merkle.grow(cuda.TREES[f"merkle.{hash}"], HostDevice(), growth)
    assert same(growth, expected)


def needed(pieces, height, steps):
    """What a device must have for pieces of that height: the plan uses nine tenths."""
    return -(-pieces._need(pieces.arity**height, steps) * 10 // 9)


def test_as_little_memory_as_there_is(monkeypatch):
    """Every size between too little and plenty gives the tree; the twin refuses what goes beyond its memory."""
    monkeypatch.setattr(merkle, "FULL_ROWS", 64)
    expected, growth = growths("sha256", 2000, 2)
    hasher = cuda.TREES["merkle.sha256"]
    pieces = merkle._Pieces(hasher, HostDevice(), growth)
    plans = set()
    least = min(needed(pieces, height, steps) for height in range(12) for steps in range(height + 1))
    for memory in (least, least + 2000, 2 * least, 3 * least, 1 << 20):
        device = HostDevice(memory=memory)
        plans.add(pieces._plan(int(device.free_bytes() * 0.9)))
        for level in growth.levels:
            level[...] = 0
        merkle.grow(hasher, device, growth)
        assert same(growth, expected)
        assert device.taken == 0
    assert len(plans) > 2
    with pytest.raises(DeviceOutOfMemory, match="small pieces"):
        merkle.grow(hasher, HostDevice(memory=least * 9 // 10), growth)


@pytest.mark.parametrize("hash", HASHES)
@pytest.mark.parametrize("memory", [1 << 13, 1 << 15, 1 << 30])
def test_growth_of_a_tree_that_is_there(hash, memory, monkeypatch):
    """Leaves behind others, level by level, in pieces where there is little memory."""
    if merkle_hashes.get(hash).curve and memory < 1 << 15:
        pytest.skip("the constants of Poseidon are larger")
    size, more, arity = 7, 100, 3
    expected, _ = growths(hash, size + more, arity)
    parts, starts, ends = [], [], []
    first = size
    for level, rows in zip(expected.levels, level_sizes(size + more, arity, expected.steps), strict=True):
        begin = first // arity * arity
        part = np.zeros((padded(rows, arity) - begin, 4), np.uint64)
        part[: first - begin] = level[begin:first]
        parts.append(part)
        starts.append(first - begin)
        ends.append(rows - begin)
        first //= arity
    growth = Growth(expected.leaves[size:], tuple(parts), tuple(starts), tuple(ends), arity, expected.empty)
    merkle.grow(cuda.TREES[f"merkle.{hash}"], HostDevice(memory=memory), growth)
    for part, level in zip(parts[:-1], expected.levels[:-1], strict=True):
        assert np.array_equal(part, level[-len(part) :])
    assert np.array_equal(parts[-1][:1], expected.levels[-1])
    with pytest.raises(DeviceOutOfMemory):
        merkle.grow(cuda.TREES[f"merkle.{hash}"], HostDevice(memory=1000), growth)


def test_few_launches(monkeypatch):
    """A level that does not fill the device is computed once for the whole tree."""
    monkeypatch.setattr(merkle, "PIECE_LEAVES", 64)
    monkeypatch.setattr(merkle, "FULL_ROWS", 16)
    _, growth = growths("sha256", 1024, 2)
    device = HostDevice()
    merkle.grow(cuda.TREES["merkle.sha256"], device, growth)
    assert len(device.launches) == 16 * (1 + 2) + 8


def test_programs_are_listed():
    listed = {program.digest for program in cuda.programs().values()}
    for hasher in cuda.TREES.values():
        if isinstance(hasher, merkle.ByteHasher):
            used = [hasher.program]
        else:
            used = [program for arity in range(2, 17) for program in hasher.program(arity).programs]
        assert {program.digest for program in used} <= listed
