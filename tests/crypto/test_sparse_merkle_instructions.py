# SPDX-License-Identifier: GPL-3.0-or-later
"""The sparse Merkle tree with the processor's instructions for SHA-256."""

from __future__ import annotations

import numpy as np
import pytest
from lanes_here import FULL

from supervm.crypto.hashes import DEDICATED, KERNELS
from supervm.crypto.oracle import sparse_merkle as oracle
from supervm.crypto.sparse_merkle import SparseMerkleTree
from supervm.crypto.sparse_merkle_hashes import ByteHashing
from supervm.kernels.cpu.lanes.features import cpu_features
from supervm.kernels.registry import resolve


@pytest.mark.parametrize("name", FULL)
def test_beside_either_backend(name):
    """Values that fit one block, some that do not, and batches of one kind; some are absent."""
    if not cpu_features().sha:
        pytest.skip("the processor has no instructions for SHA-256, or Numba does not compile for them")
    random = np.random.default_rng(6)
    keys = [b"key %d" % number for number in range(3000)]
    tree = SparseMerkleTree()
    tree._hashing = ByteHashing(DEDICATED[name])
    tree.add_keys(0, keys)
    state = {}
    for most in (55, 56, 200, 0):
        ids = random.permutation(len(keys))[:1500].astype(np.uint32)
        values = [random.bytes(random.integers(0, most + 1)) for _ in ids]
        present = random.random(ids.size) < 0.9
        state |= {
            keys[i]: value if there else None for i, value, there in zip(ids, values, present, strict=True)
        }
        expected = oracle.root({key: value for key, value in state.items() if value is not None})
        assert tree.update(ids, values, present) == expected


def test_who_uses_them(monkeypatch):
    """Only `auto`, and only for SHA-256."""
    monkeypatch.setattr("supervm.crypto.sparse_merkle_hashes.prefers_sha", lambda backend: True)
    name = resolve("sha256").name
    assert SparseMerkleTree()._hashing.kernel is DEDICATED[name]
    assert SparseMerkleTree(backend=name)._hashing.kernel is KERNELS["sha256", name]
    assert SparseMerkleTree("keccak256")._hashing.kernel is KERNELS["keccak256", resolve("keccak256").name]
