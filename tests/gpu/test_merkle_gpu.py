# SPDX-License-Identifier: GPL-3.0-or-later
"""Merkle trees on a real device: every row is the CPU's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from supervm.crypto import merkle, merkle_hashes
from supervm.kernels.cuda import merkle as cuda_merkle

pytestmark = pytest.mark.gpu

SIZES = (1, 2, 129, 4096, 100_003)


def new_leaves(hash: str, count: int) -> Any:
    rows = np.random.default_rng(count).integers(0, 256, (count, 32), np.uint8)
    if merkle_hashes.get(hash).curve:
        rows[:, -1] &= 15
        return rows.view(np.uint64)
    return rows


def same(one: merkle.Tree, other: merkle.Tree) -> None:
    assert one.root == other.root
    for level in range(one.depth + 1):
        assert np.array_equal(one.level(level), other.level(level)), f"level {level} of {one.size} leaves"


@pytest.mark.parametrize("arity", [2, 3, 16])
@pytest.mark.parametrize("hash", list(merkle_hashes.HASHES))
def test_trees(hash: str, arity: int) -> None:
    for size in SIZES:
        leaves = new_leaves(hash, size)
        found, expected = (merkle.build(leaves, hash, arity, backend=backend) for backend in ("cuda", "auto"))
        same(found, expected)
        assert merkle.root(leaves, hash, arity, backend="cuda") == expected.root
        for tree in (found, expected):
            tree.append(leaves[: size // 2 + 1])
        same(found, expected)


@pytest.mark.parametrize("hash", list(merkle_hashes.HASHES))
def test_pieces(hash: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small ones on two streams."""
    monkeypatch.setattr(cuda_merkle, "PIECE_LEAVES", 4096)
    monkeypatch.setattr(cuda_merkle, "FULL_ROWS", 256)
    leaves = new_leaves(hash, 100_003)
    same(merkle.build(leaves, hash, backend="cuda"), merkle.build(leaves, hash))


@pytest.mark.parametrize("hash", list(merkle_hashes.HASHES))
def test_resident_leaves(hash: str) -> None:
    import cupy

    leaves = new_leaves(hash, 50_001)
    there = cupy.asarray(leaves)
    same(merkle.build(there, hash), merkle.build(leaves, hash))
    assert merkle.root(there, hash) == merkle.root(leaves, hash)
