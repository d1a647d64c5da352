# SPDX-License-Identifier: GPL-3.0-or-later
"""Roots of Merkle trees, proofs that leaves belong to them, and their verification in batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from supervm.crypto import merkle_hashes
from supervm.crypto.arguments import same_count
from supervm.crypto.merkle_hashes import MOST_ARITY, ROW, TreeHash
from supervm.kernels import merkle_levels
from supervm.kernels.array_types import Array, Verdicts
from supervm.kernels.arrays import borrow
from supervm.kernels.cpu.merkle.merkle import arrange, compare_rows, mark_large
from supervm.kernels.cuda.runtime.arrays import fetched
from supervm.kernels.errors import ArgumentError
from supervm.kernels.merkle_levels import WORDS
from supervm.kernels.registry import resolve

MOST_PLACES = 1 << 62
"""A tree has no more places for leaves."""

_PIECE_BYTES = 1 << 24
"""Bytes of the children that are hashed at once; several threads share them."""


@dataclass(frozen=True, eq=False)
class Root:
    """What a verifier trusts: a root, and of which tree. As a NumPy array it is its value.

    Args:
        hash: the name of the hash function.
        arity: children of a node, 2 … 16.
        size: the number of leaves.
        depth: levels above the leaves.
        value: uint8 (32,), or uint64 (4,) for Poseidon; a copy is kept, which nobody can write to.

    Raises:
        ArgumentError: another hash or arity, a size or depth that do not fit each other, a value that no root can have.
    """

    hash: str
    arity: int
    size: int
    depth: int
    value: Array

    def __post_init__(self) -> None:
        tree_hash = merkle_hashes.get(self.hash)
        arity = checked_arity(self.arity)
        depth = checked_depth(self.depth, arity)
        if not _whole(self.size) or not 0 <= self.size <= arity**depth:
            raise ArgumentError("size", repr(self.size), f"a number of leaves, {arity**depth} at most")
        shape, dtype = tree_hash.row
        if not isinstance(self.value, np.ndarray) or self.value.dtype != dtype or self.value.shape != shape:
            raise ArgumentError("value", repr(self.value), f"a {np.dtype(dtype)} array of shape {shape}")
        value = self.value.copy()
        tree_hash.canonical(value.view(np.uint64).reshape(1, WORDS), "value")
        value.flags.writeable = False
        # NumPy's integers would wrap around in powers.
        kept = {"arity": arity, "size": int(self.size), "depth": depth, "value": value}
        for name, content in kept.items():
            object.__setattr__(self, name, content)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.value, dtype, copy=copy)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Root) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[str, int, int, int, bytes]:
        return self.hash, self.arity, self.size, self.depth, self.value.tobytes()


@dataclass(frozen=True, eq=False)
class Proofs:
    """Proofs of m leaves, in columns.

    Args:
        indices: int64 (m,), of the leaves.
        siblings: uint8 (m, depth, arity − 1, 32), or uint64 (m, depth, arity − 1, 4) for Poseidon: what stands beside the
            leaf and beside the nodes above it, from the leaf up, in ascending order of its places.

    Raises:
        ArgumentError: other dtypes or shapes.
    """

    indices: npt.NDArray[np.int64]
    siblings: Array

    def __post_init__(self) -> None:
        indices, siblings = self.indices, self.siblings
        if not isinstance(indices, np.ndarray) or indices.dtype != np.int64 or indices.ndim != 1:
            raise ArgumentError("indices", _found(indices), "an int64 array of shape (m,)")
        widths = {np.dtype(np.uint8): ROW, np.dtype(np.uint64): WORDS}
        good = isinstance(siblings, np.ndarray) and siblings.ndim == 4 and siblings.dtype in widths
        if not good or len(siblings) != len(indices) or siblings.shape[3] != widths[siblings.dtype]:
            m = len(indices)
            expected = f"uint8 ({m}, depth, arity - 1, {ROW}) or uint64 ({m}, depth, arity - 1, {WORDS})"
            raise ArgumentError("siblings", _found(siblings), expected)

    def __len__(self) -> int:
        return len(self.indices)


def checked_arity(arity: Any) -> int:
    """`arity` if a tree can have it.

    Raises:
        ArgumentError: anything else.
    """
    if not _whole(arity) or not 2 <= arity <= MOST_ARITY:
        raise ArgumentError("arity", repr(arity), f"2 … {MOST_ARITY}")
    return int(arity)


def checked_depth(depth: Any, arity: int) -> int:
    """`depth` if a tree of that arity can have it.

    Raises:
        ArgumentError: anything else.
    """
    if not _whole(depth) or depth < 0 or depth > 62 or arity ** int(depth) > MOST_PLACES:
        raise ArgumentError("depth", repr(depth), f"0 or more levels, {arity}^depth at most 2^62")
    return int(depth)


def verify_batch(root: Root, leaves: Array, proofs: Proofs, *, backend: str = "auto") -> Verdicts:
    """Whether leaves belong to the tree with a root, each at its proof's index.

    Args:
        root: of the tree: its hash function, arity, size and depth are what the verifier knows, not what a proof says.
        leaves: m leaves, as `build` takes them.
        proofs: of these leaves.
        backend: `auto`, which is the best of this processor, or one that the registry lists.

    Returns:
        int8 (m,): 1 the leaf stands there; 0 it does not; −1 malformed: the index is not below the size, the proof has
        another depth or arity than the tree, or a leaf or sibling is a field element that is not canonical.

    Raises:
        ArgumentError: arguments of other types, dtypes or lengths.
        BackendUnavailable: the named backend cannot run here.

    >>> from supervm.crypto import merkle
    >>> leaves = np.arange(12, dtype=np.uint8).reshape(3, 4)
    >>> tree = merkle.build(leaves, "sha256")
    >>> verify_batch(tree.root, leaves[[2, 0]], tree.prove_batch([2, 1])).tolist()
    [1, 0]
    """
    if not isinstance(root, Root):
        raise ArgumentError("root", type(root).__name__, "a Root, as `Tree.root` is")
    if not isinstance(proofs, Proofs):
        raise ArgumentError("proofs", type(proofs).__name__, "Proofs, as `Tree.prove_batch` gives them")
    tree_hash = merkle_hashes.get(root.hash)
    data = tree_hash.leaves(fetched(leaves, "leaves"))
    same_count(len(data), "leaves", {"proofs": len(proofs)})
    _, dtype = tree_hash.row
    if proofs.siblings.dtype != dtype:
        raise ArgumentError(
            "proofs", f"{proofs.siblings.dtype} siblings", f"{np.dtype(dtype)}, as {root.hash} has"
        )
    function = resolve(tree_hash.operation, backend).function
    if proofs.siblings.shape[1:3] != (root.depth, root.arity - 1):
        return np.full(len(data), -1, np.int8)
    verdicts = np.zeros(len(data), np.int8)
    piece = max(1, _PIECE_BYTES // (ROW * root.arity))
    dedicated = merkle_hashes.may_be_dedicated(tree_hash, backend)
    for start in range(0, len(data), piece):
        part = slice(start, start + piece)
        one = Proofs(proofs.indices[part], proofs.siblings[part])
        _verify(root, tree_hash, data[part], one, verdicts[part], function, dedicated)
    return verdicts


def _verify(
    root: Root,
    tree_hash: TreeHash,
    leaves: Array,
    proofs: Proofs,
    verdicts: Verdicts,
    function: merkle_levels.Backend,
    dedicated: bool,
) -> None:
    """Verdicts of one piece, level by level."""
    siblings = borrow(np.ascontiguousarray(proofs.siblings)).view(np.uint64)
    verdicts[(proofs.indices < 0) | (proofs.indices >= root.size)] = -1
    if tree_hash.modulus:
        mark_large(leaves[:, None], tree_hash.bound, verdicts)
        mark_large(siblings.reshape(len(leaves), -1, WORDS), tree_hash.bound, verdicts)
        # What is malformed may be hashed all the same, but only as field elements.
        leaves = np.where((verdicts < 0)[:, None], np.uint64(0), leaves)
        siblings = np.where((verdicts < 0)[:, None, None, None], np.uint64(0), siblings)
    empty = np.zeros((1, WORDS), np.uint64)
    first = merkle_levels.fresh(leaves, root.arity, 0, empty, dedicated=dedicated)
    function(first)
    nodes = first.levels[0]
    indices = np.where(verdicts < 0, 0, proofs.indices)
    children = np.empty((len(leaves), root.arity, WORDS), np.uint64)
    for level in range(root.depth):
        arrange(nodes, siblings, level, indices, root.arity, children)
        step = first.groups(children)
        function(step)
        nodes = step.levels[1]
    compare_rows(nodes, borrow(np.ascontiguousarray(root.value)).view(np.uint64), verdicts)


def _whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _found(value: Any) -> str:
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
