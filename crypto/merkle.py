# SPDX-License-Identifier: GPL-3.0-or-later
"""Merkle trees over n leaves, of arity 2 to 16: root, proofs, batch verification of proofs, and appending.

Hash functions over bytes, `sha256` and `keccak256`: a leaf is H(`00` ‖ data), a node H(`01` ‖ its children), an empty
subtree 32 zero bytes. Leaves occupy the first n of arity^depth places; the depth is the smallest that fits, or the one
that the caller asks for. `supervm.crypto.oracle.merkle` is the definition; docs/merkle.md explains the rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from supervm.crypto import merkle_hashes
from supervm.crypto.merkle_hashes import TreeHash, may_be_dedicated
from supervm.crypto.merkle_proof import Proofs, Root, checked_arity, checked_depth, verify_batch
from supervm.crypto.merkle_work import Build
from supervm.kernels import registry
from supervm.kernels.array_types import Array
from supervm.kernels.cpu.merkle.merkle import gather_siblings
from supervm.kernels.cuda.runtime.arrays import DeviceArray, fetched
from supervm.kernels.errors import ArgumentError
from supervm.kernels.merkle_levels import WORDS, Growth, Rows, fresh, least_depth, level_sizes, padded

__all__ = ["Proofs", "Root", "Tree", "build", "root", "verify_batch"]

_SUBTREE_LEAVES = 1 << 12
"""Most leaves of a subtree of which `root` keeps the root alone."""


class Tree:
    """A tree in memory, 32 bytes per node, made by `build`. Only one thread may use it at a time.

    Args:
        growth: the computed levels of the tree.
        tree_hash: its hash function.
        fixed: whether its depth was asked for and stays.
        backend: what computes the rows of appended leaves.
    """

    def __init__(self, growth: Growth, tree_hash: TreeHash, fixed: bool, backend: str) -> None:
        self._hash, self._fixed, self._backend = tree_hash, fixed, backend
        self._arity, self._size = growth.arity, growth.ends[0]
        self._levels, self._empty = list(growth.levels), growth.empty

    @property
    def hash(self) -> str:
        """The name of the hash function."""
        return self._hash.name

    @property
    def arity(self) -> int:
        """Children of a node."""
        return self._arity

    @property
    def size(self) -> int:
        """The number of leaves."""
        return self._size

    @property
    def depth(self) -> int:
        """Levels above the leaves."""
        return len(self._levels) - 1

    @property
    def root(self) -> Root:
        """The root, with what a verifier needs to know of the tree."""
        row = self._levels[-1][0] if self._size else self._empty[self.depth]
        return Root(self.hash, self._arity, self._size, self.depth, self._hash.shown(row.copy()))

    def memory_bytes(self) -> int:
        """Bytes of all rows, with the room for further leaves."""
        return sum(level.nbytes for level in self._levels)

    def level(self, level: int) -> Array:
        """The rows of a level, 0 that of the leaves: uint8 (rows, 32), or uint64 (rows, 4) for Poseidon; a copy.

        Raises:
            ArgumentError: there is no such level.
        """
        if isinstance(level, bool) or level not in range(self.depth + 1):
            raise ArgumentError("level", repr(level), f"0 … {self.depth}")
        rows = level_sizes(self._size, self._arity, self.depth)[level]
        return self._hash.shown(self._levels[level][:rows].copy())

    def prove(self, index: int) -> Proofs:
        """The proof of one leaf, as a batch of one; errors as `prove_batch`."""
        return self.prove_batch([index])

    def prove_batch(self, indices: Sequence[int] | npt.NDArray[Any]) -> Proofs:
        """The proofs of m leaves, in any order, repeats allowed.

        Raises:
            ArgumentError: an index that is not a whole number below the tree's size.
        """
        places = _indices(indices, self._size)
        siblings = np.empty((places.size, self.depth, self._arity - 1, WORDS), np.uint64)
        going = places.copy()
        for level in range(self.depth):
            gather_siblings(self._levels[level], going, self._arity, level, siblings)
        return Proofs(places, self._hash.shown(siblings))

    def append(self, leaves: Array) -> None:
        """Append leaves; the tree is then the one that `build` makes from all leaves.

        Of each level the new rows and the one before them are computed; room grows by half, so that O(n) rows are moved for
        n leaves, however they come.

        Args:
            leaves: as `build` takes them, of any width where they are hashed.

        Raises:
            ArgumentError: leaves of another form, or more than a tree of this depth has room for: nothing has changed.
        """
        data = self._hash.canonical(self._hash.leaves(fetched(leaves, "leaves")))
        size, arity = self._size + len(data), self._arity
        depth = self.depth if self._fixed else max(self.depth, _fitting_depth(size, arity))
        if size > arity**depth:
            raise ArgumentError("leaves", f"{size} in all", f"{arity**depth} at most, at depth {depth}")
        if not len(data):
            return
        empty = self._hash.empty(arity, depth)
        sizes = level_sizes(size, arity, depth)
        begins, parts = self._edge(sizes)
        starts = tuple(self._size // arity**k - begin for k, begin in enumerate(begins))
        ends = tuple(rows - begin for rows, begin in zip(sizes, begins, strict=True))
        dedicated = may_be_dedicated(self._hash, self._backend)
        growth = Growth(data, parts, starts, ends, arity, empty, dedicated=dedicated)
        registry.run(Build(self._hash.operation, growth), self._backend)
        levels = [_with_room(self._levels[k : k + 1], sizes[k], arity) for k in range(depth + 1)]
        for level, begin, part in zip(levels, begins, parts, strict=True):
            level[begin : begin + len(part)] = part
        self._levels, self._empty, self._size = levels, empty, size

    def _edge(self, sizes: tuple[int, ...]) -> tuple[list[int], tuple[Rows, ...]]:
        """Of levels that will have so many rows, where the first group begins that changes, and memory from there on, with
        the rows that stay."""
        begins, parts = [], []
        first = self._size
        for level, rows in enumerate(sizes):
            begin = first // self._arity * self._arity
            part = np.empty((padded(rows, self._arity) - begin, WORDS), np.uint64)
            if first > begin:
                part[: first - begin] = self._levels[level][begin:first]
            begins.append(begin)
            parts.append(part)
            first //= self._arity
        return begins, tuple(parts)


def build(
    leaves: Array, hash: str, arity: int = 2, *, depth: int | None = None, backend: str = "auto"
) -> Tree:
    """The tree over leaves.

    Args:
        leaves: uint8 (n, k), of any k ≥ 0; for Poseidon uint64 (n, 4), canonical field elements, least significant word
            first. They are not kept, unless they are rows. An array on a GPU is not copied to the host: its tree is built
            there, and copied.
        hash: the name of a hash function, see the module.
        arity: children of a node, 2 … 16.
        depth: levels above the leaves, or None for the fewest that have room; one that is given stays when leaves are
            appended.
        backend: `auto`, or one that the registry lists for `merkle.<hash>`.

    Memory: 32 bytes for each row, ⌈n / arity^k⌉ rows of level k rounded up to whole groups: about
    32 · n · arity / (arity − 1).

    Raises:
        ArgumentError: leaves of another form or that are not canonical, an unknown hash, an arity or depth out of range.
        BackendUnavailable: the named backend cannot run here.

    >>> tree = build(np.zeros((3, 32), np.uint8), "sha256")
    >>> tree.size, tree.depth, tree.prove(2).siblings.shape
    (3, 2, (1, 2, 1, 32))
    """
    tree_hash, data, arity, levels = _checked(leaves, hash, arity, depth)
    dedicated = may_be_dedicated(tree_hash, backend)
    growth = fresh(data, arity, levels, tree_hash.empty(arity, levels), dedicated=dedicated)
    _run(tree_hash, growth, backend)
    return Tree(growth, tree_hash, depth is not None, backend)


def root(
    leaves: Array, hash: str, arity: int = 2, *, depth: int | None = None, backend: str = "auto"
) -> Root:
    """The root over leaves, without a tree: a 4096th of its memory, and about 256 KiB for each thread.

    Arguments and errors are those of `build`.

    >>> leaves = np.zeros((3, 32), np.uint8)
    >>> root(leaves, "sha256") == build(leaves, "sha256").root
    True
    """
    tree_hash, data, arity, levels = _checked(leaves, hash, arity, depth)
    lowest = 0
    while lowest < levels and arity ** (lowest + 1) <= _SUBTREE_LEAVES:
        lowest += 1
    empty = tree_hash.empty(arity, levels)
    growth = fresh(data, arity, levels, empty, lowest, may_be_dedicated(tree_hash, backend))
    _run(tree_hash, growth, backend)
    row = growth.levels[-1][0] if len(data) else empty[levels]
    return Root(hash, arity, len(data), levels, tree_hash.shown(row.copy()))


def _run(tree_hash: TreeHash, growth: Growth, backend: str) -> None:
    if isinstance(growth.leaves, DeviceArray):
        _run_there(tree_hash, growth, growth.leaves, backend)
        return
    work = Build(tree_hash.operation, growth)
    if work.items:
        registry.run(work, backend)
    else:
        registry.resolve(tree_hash.operation, backend)  # raises where the backend cannot run


def _run_there(tree_hash: TreeHash, growth: Growth, leaves: DeviceArray, backend: str) -> None:
    """Compute where the leaves are."""
    if backend not in ("auto", "cuda"):
        raise ArgumentError("backend", repr(backend), "'auto' or 'cuda' for leaves that lie on a GPU")
    function = registry.resolve(tree_hash.operation, "cuda").function
    if not len(leaves):
        return
    device = leaves.device()
    with device.use():
        device.synchronize()  # whatever writes the leaves may be on a stream that nobody named
        function(growth)


def _checked(leaves: Any, hash: Any, arity: Any, depth: Any) -> tuple[TreeHash, Array, int, int]:
    """Hash function, leaves, arity and depth of a tree."""
    tree_hash = merkle_hashes.get(hash)
    arity = checked_arity(arity)
    data = tree_hash.canonical(tree_hash.leaves(leaves))
    least = _fitting_depth(len(data), arity)
    levels = least if depth is None else checked_depth(depth, arity)
    if levels < least:
        raise ArgumentError("depth", repr(depth), f"{least} at least, for {len(data)} leaves")
    return tree_hash, data, arity, levels


def _fitting_depth(size: int, arity: int) -> int:
    return checked_depth(least_depth(size, arity), arity)


def _with_room(known: list[Rows], rows: int, arity: int) -> Rows:
    """A level with room for so many rows: the one there is, a larger copy of it, or a new one."""
    room = len(known[0]) if known else 0
    if known and room >= padded(rows, arity):
        return known[0]
    level = np.empty((padded(max(rows, room + room // 2), arity), WORDS), np.uint64)
    if known:
        level[:room] = known[0]
    return level


def _indices(indices: Any, size: int) -> npt.NDArray[np.int64]:
    """Leaf numbers as an array of their own."""
    places = np.asarray(indices)
    if not places.size and places.ndim == 1:
        places = places.astype(np.int64)
    if places.ndim != 1 or places.dtype.kind not in "iu":
        raise ArgumentError("indices", f"{places.dtype} {places.shape}", "whole numbers, in one dimension")
    outside = (places < 0) | (places >= size)
    if outside.any():
        at = int(np.argmax(outside))
        raise ArgumentError("indices", f"{places[at]} at {at}", f"indices below {size}, the number of leaves")
    return places.astype(np.int64)
