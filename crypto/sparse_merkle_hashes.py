# SPDX-License-Identifier: GPL-3.0-or-later
"""How a sparse Merkle tree hashes keys, values, leaves and nodes: the batches in compiled code, and one at a time."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from supervm.crypto.hashes import DEDICATED, KERNELS
from supervm.crypto.messages import Messages
from supervm.crypto.oracle import sparse_merkle as oracle
from supervm.crypto.poseidon import permutation
from supervm.kernels.array_types import Bytes
from supervm.kernels.arrays import borrow, words
from supervm.kernels.cpu.hashes.batch import digest_into
from supervm.kernels.cpu.hashes.emitter import HashKernel
from supervm.kernels.cpu.hashes.pair import ROW
from supervm.kernels.cpu.lanes.features import prefers_sha
from supervm.kernels.cpu.merkle.sparse_field import (
    GROUP,
    LEAF_INPUTS,
    NODE_INPUTS,
    TEXT_INPUTS,
    FieldTree,
    hash_field_leaves,
    hash_paths,
)
from supervm.kernels.cpu.merkle.sparse_state import hash_leaves
from supervm.kernels.errors import ArgumentError, BackendUnavailable
from supervm.kernels.registry import resolve
from supervm.kernels.threads import run_slices
from supervm.kernels.work import Ragged

FIELDS = {"poseidon_bn254": "bn254", "poseidon_bls12_381": "bls12_381"}
"""Names of Poseidon → the curve whose scalars it hashes."""

NAMES = ("sha256", "keccak256", *FIELDS)
"""The functions that a tree may be made with."""


class Hashing(Protocol):
    """A hash function as the tree uses it.

    Args:
        kernel: what `supervm.kernels.cpu.merkle.sparse` takes.
        group: leaves that are hashed together; slices of changes are multiples of it.
        least: fewest leaves that are worth another thread, which takes tens of microseconds to wake.
    """

    kernel: Any
    group: int
    least: int

    def paths(self, keys: Ragged, out: Bytes) -> None:
        """The path of every key, uint8 (n, 32), contiguous."""

    def hash_leaves(self, *arguments: Any) -> None:
        """`supervm.kernels.cpu.merkle.sparse_state.hash_leaves` without the kernel."""

    def path(self, key: bytes) -> bytes:
        """The path of a key."""

    def value(self, value: bytes) -> bytes:
        """The row of a value."""

    def leaf(self, path: bytes, hashed: bytes) -> bytes:
        """The row of a leaf."""

    def node(self, left: bytes, right: bytes) -> bytes:
        """The row of a node."""


class ByteHashing:
    """A hash function over bytes.

    Args:
        kernel: of SHA-256 or Keccak-256.
    """

    least = 1024

    def __init__(self, kernel: HashKernel) -> None:
        self.kernel = kernel
        self.group = kernel.lanes.width

    def paths(self, keys: Ragged, out: Bytes) -> None:
        """H(key) of every key to `out`, uint8 (n, 32), contiguous; several threads share them."""
        digest_into(self.kernel, keys, out)

    def hash_leaves(self, *arguments: Any) -> None:
        """`supervm.kernels.cpu.merkle.sparse_state.hash_leaves` with this kernel."""
        hash_leaves(self.kernel, *arguments)

    def path(self, key: bytes) -> bytes:
        """H(key), 32 bytes; `value` is the same of a value."""
        out = np.empty((1, ROW), np.uint8)
        digest_into(self.kernel, Messages.of([key]).ragged, out)
        return out.tobytes()

    value = path

    def leaf(self, path: bytes, hashed: bytes) -> bytes:
        """H(`00` ‖ path ‖ hashed), 32 bytes."""
        return self.path(b"\x00" + path + hashed)

    def node(self, left: bytes, right: bytes) -> bytes:
        """H(`01` ‖ left ‖ right), 32 bytes."""
        return self.path(b"\x01" + left + right)


class FieldHashing:
    """Poseidon over the scalars of a curve; one at a time, the oracle's.

    Args:
        curve: its name.
        backend: one of the processor.
    """

    group = GROUP
    least = 8 * GROUP

    def __init__(self, curve: str, backend: str) -> None:
        widths = (TEXT_INPUTS + 1, LEAF_INPUTS + 1, NODE_INPUTS + 1)
        self.kernel = FieldTree.of(*(permutation(curve, width, backend=backend) for width in widths))
        one = oracle.HASHES[f"poseidon_{curve}"]
        self.path, self.value, self.leaf, self.node = one.path, one.value, one.leaf, one.node

    def paths(self, keys: Ragged, out: Bytes) -> None:
        """E(key) of every key, the bits of each byte turned round, to `out`; several threads share them."""
        data, offsets, rows = borrow(keys.data), borrow(keys.offsets), words(out)

        def work(start: int, stop: int) -> None:
            hash_paths(self.kernel, data, offsets, rows, start, stop)

        run_slices(work, len(out), GROUP * 8)

    def hash_leaves(self, *arguments: Any) -> None:
        """`supervm.kernels.cpu.merkle.sparse_field.hash_field_leaves` with this kernel."""
        hash_field_leaves(self.kernel, *arguments)


def hashing(name: Any, backend: str) -> Hashing:
    """The hash function of that name in a backend's lanes.

    Raises:
        ArgumentError: another name or backend.
        BackendUnavailable: the named backend cannot run here.
    """
    if not isinstance(name, str) or name not in NAMES:
        raise ArgumentError("hash", repr(name), f"one of {', '.join(NAMES)}")
    if backend == "cuda":
        raise BackendUnavailable("cuda", "the tree lies in host memory; use auto")
    if name in FIELDS:
        curve = FIELDS[name]
        return FieldHashing(curve, resolve(f"{curve}.poseidon.t{NODE_INPUTS + 1}", backend).name)
    lanes = resolve(name, backend).name
    dedicated = name == "sha256" and backend == "auto" and prefers_sha(lanes)
    return ByteHashing(DEDICATED[lanes] if dedicated else KERNELS[name, lanes])
