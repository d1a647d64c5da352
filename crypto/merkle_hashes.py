# SPDX-License-Identifier: GPL-3.0-or-later
"""The hash functions of Merkle trees: what a leaf and a row are, the rows of empty subtrees, and the backends.

Hash functions over bytes, SHA-256 and Keccak-256: a leaf is H(`00` ‖ data), a node H(`01` ‖ its children), an empty subtree
32 zero bytes. Poseidon: a leaf is the field element that it is, a node the hash of its children, a missing leaf 0, and an
empty subtree the node over empty subtrees.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from supervm.crypto import cuda
from supervm.crypto.cuda import LEAF_BYTE, NODE_BYTE
from supervm.crypto.hashes import DEDICATED, KERNELS
from supervm.crypto.params.poseidon import FIELDS
from supervm.crypto.poseidon import permutation
from supervm.kernels import merkle_levels
from supervm.kernels.array_types import Array
from supervm.kernels.arrays import borrow
from supervm.kernels.cpu.backends import CpuBackend, register_on_cpu
from supervm.kernels.cpu.fields.range_check import first_not_below
from supervm.kernels.cpu.hashes.emitter import HashKernel
from supervm.kernels.cpu.hashes.poseidon import hash_slice
from supervm.kernels.cpu.lanes.features import prefers_sha
from supervm.kernels.cpu.merkle.merkle import hash_rows
from supervm.kernels.cuda.runtime.arrays import DeviceArray, viewed
from supervm.kernels.errors import ArgumentError
from supervm.kernels.merkle_levels import WORDS, Compressor, Growth, Rows, grow
from supervm.kernels.registry import resolve

ROW = 8 * WORDS
"""Bytes of a row."""

MOST_ARITY = 16
"""Children of a node, at most: Poseidon of 17 elements is the widest."""


@dataclass(frozen=True)
class TreeHash:
    """A hash function that trees are made with.

    Args:
        name: as callers give it.
        curve: whose scalars leaves and rows are; empty where they are bytes.
    """

    name: str
    curve: str = ""

    @property
    def operation(self) -> str:
        """The name of building a tree with it in the registry."""
        return f"merkle.{self.name}"

    @property
    def modulus(self) -> int:
        """Of the field whose elements leaves and rows are; 0 where they are bytes."""
        return FIELDS[self.curve].modulus if self.curve else 0

    @functools.cached_property
    def bound(self) -> Rows:
        """The modulus, uint64 (WORDS,)."""
        return np.frombuffer(self.modulus.to_bytes(ROW, "little"), np.uint64).copy()

    @property
    def row(self) -> tuple[tuple[int, ...], type]:
        """Shape and dtype of a row as callers see it."""
        return ((WORDS,), np.uint64) if self.modulus else ((ROW,), np.uint8)

    def leaves(self, leaves: Any, argument: str = "leaves") -> Any:
        """Checked leaves, contiguous: a NumPy array, or a `DeviceArray` of one that lies on a GPU.

        Raises:
            ArgumentError: another dtype or shape; `canonical` asks for more.
        """
        found = viewed(leaves, argument)
        known = isinstance(found, (np.ndarray, DeviceArray))
        dtype, shape = (np.uint64, "(n, 4)") if self.curve else (np.uint8, "(n, k)")
        good = known and found.dtype == dtype and found.ndim == 2
        if not good or (self.curve and found.shape[1] != WORDS):
            came = f"{found.dtype} {found.shape}" if known else type(leaves).__name__
            raise ArgumentError(argument, came, f"a {np.dtype(dtype)} array of shape {shape}")
        return found if isinstance(found, DeviceArray) else borrow(np.ascontiguousarray(found))

    def canonical(self, leaves: Any, argument: str = "leaves") -> Any:
        """The leaves, none of which is a field element above the modulus.

        Raises:
            ArgumentError: one is; the first of them is named.
        """
        if self.curve:
            if isinstance(leaves, DeviceArray):
                at = cuda.first_row_above(self.curve, leaves) if len(leaves) else -1
            else:
                at = first_not_below(leaves.reshape(-1), self.bound, 0, len(leaves))
            if at >= 0:
                row = leaves[at : at + 1]
                text = (row.fetched() if isinstance(row, DeviceArray) else row).tobytes()
                found = f"{hex(int.from_bytes(text, 'little'))} at row {at}"
                raise ArgumentError(argument, found, f"field elements below {hex(self.modulus)}")
        return leaves

    def shown(self, rows: Rows) -> Array:
        """Rows, uint64 (…, WORDS), as callers see them: the same memory."""
        return rows if self.modulus else rows.view(np.uint8)

    def empty(self, arity: int, depth: int) -> Rows:
        """The row of an empty subtree of each level 0 … `depth`, uint64 (depth + 1, WORDS)."""
        if not self.modulus:
            return np.zeros((depth + 1, WORDS), np.uint64)
        return _computed_empty(self, arity, depth)


@functools.cache
def _computed_empty(tree_hash: TreeHash, arity: int, depth: int) -> Rows:
    rows = np.zeros((depth + 1, WORDS), np.uint64)
    function = resolve(tree_hash.operation).function
    for level in range(depth):
        step = merkle_levels.fresh(rows[:0], arity, 0, rows[:1]).groups(
            rows[None, level].repeat(arity, 0)[None]
        )
        function(step)
        rows[level + 1] = step.levels[1][0]
    rows.flags.writeable = False
    return rows


HASHES: dict[str, TreeHash] = {
    **{name: TreeHash(name) for name in ("sha256", "keccak256")},
    **{
        name: TreeHash(name, name.removeprefix("poseidon_"))
        for name in ("poseidon_bn254", "poseidon_bls12_381")
    },
}
"""Every hash function of a tree by its name."""


def get(name: Any) -> TreeHash:
    """The hash function of that name.

    Raises:
        ArgumentError: there is none.
    """
    if not isinstance(name, str) or name not in HASHES:
        raise ArgumentError("hash", repr(name), f"one of {', '.join(HASHES)}")
    return HASHES[name]


def may_be_dedicated(tree_hash: TreeHash, backend: str) -> bool:
    """Whether the processor's own instructions may be used: of `auto` only, and where they are faster."""
    return tree_hash.name == "sha256" and backend == "auto" and prefers_sha(resolve("sha256").name)


class HashCompressor:
    """A hash function over bytes; see `supervm.kernels.merkle_levels.Compressor`."""

    grain = 4096

    def __init__(self, kernel: HashKernel) -> None:
        self.kernel = kernel
        self.group = kernel.lanes.width

    def leaves(self, data: Array, out: Rows, target: int, start: int, stop: int) -> None:
        """H(`00` ‖ data)."""
        hash_rows(
            self.kernel, LEAF_BYTE, data.reshape(-1), data.shape[1], out.reshape(-1), target, start, stop
        )

    def nodes(self, level: Rows, arity: int, out: Rows, target: int, start: int, stop: int) -> None:
        """H(`01` ‖ children)."""
        data = level.reshape(-1).view(np.uint8)
        hash_rows(self.kernel, NODE_BYTE, data, arity * ROW, out.reshape(-1), target, start, stop)


class FieldCompressor:
    """Poseidon over the scalars of a curve; see `supervm.kernels.merkle_levels.Compressor`."""

    group = 16
    grain = 1024

    def __init__(self, curve: str, backend: str) -> None:
        self.curve, self.backend = curve, backend

    def leaves(self, data: Array, out: Rows, target: int, start: int, stop: int) -> None:
        """The elements as they are."""
        out[target + start : target + stop] = data[start:stop]

    def nodes(self, level: Rows, arity: int, out: Rows, target: int, start: int, stop: int) -> None:
        """The hash of as many elements as a node has children."""
        chosen = permutation(self.curve, arity + 1, backend=self.backend)
        source, digests = level.reshape(-1), out[target:].reshape(-1)
        field = chosen.field
        hash_slice(field, field.lanes, chosen.constants, chosen.shape, source, digests, 1, start, stop)


def _grow(plain: Compressor, dedicated: Compressor, growth: Growth) -> None:
    grow(dedicated if growth.dedicated else plain, growth)


def _grower(name: str, backend: CpuBackend) -> Callable[[Growth], None]:
    """What grows a tree of a hash on a backend."""
    curve = HASHES[name].curve
    plain: Compressor = (
        FieldCompressor(curve, backend.name) if curve else HashCompressor(KERNELS[name, backend.name])
    )
    dedicated = HashCompressor(DEDICATED[backend.name]) if name == "sha256" else plain
    return functools.partial(_grow, plain, dedicated)


for _name, _tree_hash in HASHES.items():
    register_on_cpu(_tree_hash.operation, functools.partial(_grower, _name))
    cuda.register_tree(_tree_hash.operation)
