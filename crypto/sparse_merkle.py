# SPDX-License-Identifier: GPL-3.0-or-later
"""A sparse Merkle tree of 256 levels that is brought up to date in batches.

path = H(key), leaf = H(`00` ‖ path ‖ H(value)), node = H(`01` ‖ left ‖ right); an empty subtree is 32 zero bytes and a
subtree with one leaf is that leaf. H is SHA-256 or Keccak-256; what takes its place with Poseidon says
`supervm.crypto.oracle.sparse_merkle`. Keys have numbers, dense from 0, that the caller gives out; values are not kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from supervm.crypto.messages import Messages, MessagesLike
from supervm.crypto.sparse_merkle_arrays import LEAST_DEPTH, TreeArrays
from supervm.crypto.sparse_merkle_hashes import NAMES, hashing
from supervm.crypto.sparse_merkle_proof import EMPTY, Proof, verify_proof
from supervm.kernels.array_types import Bytes, Flags
from supervm.kernels.arrays import borrow
from supervm.kernels.cpu.merkle.sparse import hash_levels, update_subtrees
from supervm.kernels.cpu.merkle.sparse_state import MOST_IDS, examine, link
from supervm.kernels.cuda.runtime.arrays import DeviceArray
from supervm.kernels.errors import ArgumentError
from supervm.kernels.threads import get_threads, run_slices

__all__ = ["EMPTY", "HASHES", "Proof", "SparseMerkleTree", "verify_proof"]

HASHES = NAMES
"""The functions that a tree may be made with."""

Ids = npt.NDArray[np.uint32]

_LEAVES_PER_SLICE = 4096
"""Most changes whose leaves one call of a kernel hashes."""

_CHANGES_PER_SUBTREE = 512
"""Fewest changes for which a subtree is worth computing by itself: each one leaves lanes idle once a level."""


class SparseMerkleTree:
    """The tree, see the module. One thread may call it at a time; it uses `supervm.kernels.get_threads()` threads itself.

    Args:
        hash: one of HASHES.
        backend: `auto`, or one of the processor, as of the hash functions. Only `auto` may use the processor's instructions
            for SHA-256.

    Raises:
        ArgumentError: another hash or backend.
        BackendUnavailable: the named backend cannot run here.

    >>> tree = SparseMerkleTree()
    >>> tree.add_keys(0, [b"one", b"two"])
    >>> tree.update(np.array([1], np.uint32), [b"2"], np.array([True])) == tree.root
    True
    >>> proof = tree.prove(1)
    >>> verify_proof(tree.root, b"two", b"2", proof), verify_proof(tree.root, b"two", b"3", proof)
    (True, False)
    """

    def __init__(self, hash: str = "sha256", *, backend: str = "auto") -> None:
        self._hashing = hashing(hash, backend)
        self._arrays = TreeArrays()
        self._root = EMPTY
        self._leaves = 0
        self._twin = -1

    @property
    def root(self) -> bytes:
        """The root, 32 bytes."""
        return self._root

    @property
    def leaves(self) -> int:
        """How many keys have a value."""
        return self._leaves

    @property
    def keys(self) -> int:
        """How many keys were added."""
        return self._arrays.keys

    def memory_bytes(self) -> int:
        """Bytes of all arrays, with the room for further keys."""
        return self._arrays.nbytes

    def add_keys(self, first_id: int, keys: MessagesLike) -> None:
        """Give the ids `first_id`, `first_id` + 1, … their keys; they have no value yet.

        Args:
            first_id: the number of keys so far.
            keys: in any form that `Messages.of` takes. No key may be added twice: `update` finds two such leaves.

        Raises:
            ArgumentError: another first id, too many keys, keys in another form or on a GPU.
        """
        batch = _on_host(keys, "keys")
        paths = self._new_paths(first_id, len(batch))
        rows = np.empty(paths.shape, np.uint8)
        self._hashing.paths(batch.ragged, rows)
        paths[...] = rows
        self._arrays.keys += len(batch)

    def _new_paths(self, first_id: int, count: int) -> Bytes:
        """Where the paths of further ids are to be written."""
        arrays = self._arrays
        if isinstance(first_id, bool) or first_id != arrays.keys:
            raise ArgumentError("first_id", repr(first_id), f"{arrays.keys}, the number of keys so far")
        if arrays.keys + count > MOST_IDS:
            raise ArgumentError("keys", f"{arrays.keys + count} in all", f"{MOST_IDS} at most")
        arrays.reserve(arrays.keys + count)
        return arrays.path_rows(arrays.keys, arrays.keys + count)

    def update(self, ids: Ids, values: MessagesLike, present: Flags) -> bytes:
        """Give keys new values, or take their values away.

        Args:
            ids: uint32 (n,), of keys that were added, all different, in any order.
            values: n values, of any lengths, in any form that `Messages.of` takes; those of absent keys mean nothing.
            present: bool (n,); False takes the value away, if there is one.

        Returns:
            The new root.

        Raises:
            ArgumentError: other dtypes or lengths, an id that has no key or comes twice: then nothing has changed. Or two
                ids with values have the same key: then the tree cannot be used any more.
        """
        self._check_usable()
        batch = _on_host(values, "values")
        ids, present = _column(ids, np.uint32, "ids", None), _column(present, np.bool_, "present", len(ids))
        if len(batch) != ids.size:
            raise ArgumentError("values", f"{len(batch)} values", f"{ids.size}, as many as ids")
        change, moves = self._examine(ids, present)
        if not ids.size:
            return self._root
        rebuilt = self._arrays.fit_depth(self._leaves + change)
        self._change_leaves(ids, batch, present, moves)
        self._hash_nodes(ids.size + (self._leaves if rebuilt else 0))
        self._leaves += change
        self._root = self._arrays.node(1)
        self._check_usable()
        return self._root

    def _examine(self, ids: Ids, present: Flags) -> tuple[int, Flags]:
        """By how much the number of leaves will grow, and which ids become leaves or cease to be."""
        keys = self._arrays.keys
        seen = np.zeros(keys // 64 + 1, np.uint64)
        moves = np.empty(ids.size, np.bool_)
        place, change = examine(ids, present, self._arrays.used_links, seen, moves)
        if place < ids.size:
            known = int(ids[place]) < keys
            expected = "every id once" if known else f"ids below {keys}, the number of keys"
            raise ArgumentError("ids", f"{ids[place]} at {place}" + (" again" if known else ""), expected)
        return int(change), moves

    def _change_leaves(self, ids: Ids, values: Messages, present: Flags, moves: Flags) -> None:
        """Hash the new leaves, and put them in their buckets or mark them there."""
        arrays, hashing = self._arrays, self._hashing
        buckets = np.empty(ids.size, np.uint32)
        data, offsets = borrow(values.data), borrow(values.offsets)

        def work(start: int, stop: int) -> None:
            records, depth = arrays.records, arrays.depth
            hashing.hash_leaves(data, offsets, ids, present, records, depth, buckets, start, stop)

        share = -(-ids.size // (4 * get_threads())) if get_threads() > 1 else ids.size
        share, group = max(share, hashing.least), hashing.group
        run_slices(work, ids.size, -(-min(_LEAVES_PER_SLICE, share) // group) * group)
        link(ids, present, moves, buckets, arrays.used_links, arrays.first, arrays.dirty)

    def _hash_nodes(self, changes: int) -> None:
        """Compute everything above the dirty buckets, of which there are `changes` at most."""
        a, kernel = self._arrays, self._hashing.kernel
        top = min(_top(changes), a.depth - LEAST_DEPTH)
        twins = []

        def work(start: int, stop: int) -> None:
            lists = (a.records, a.used_links, a.first, a.dirty)
            tree = (a.nodes, a.counts, a.depth)
            twins.append(update_subtrees(kernel, *lists, *tree, top, start, stop, changes))

        run_slices(work, 1 << top, 1)
        if top:
            subtrees = np.arange(1 << top, 2 << top, dtype=np.int64)
            hash_levels(kernel, a.nodes, a.counts, subtrees, subtrees.size, top)
        self._twin = max(twins)

    def _check_usable(self) -> None:
        if self._twin >= 0:
            raise ArgumentError("keys", f"the key of id {self._twin} under another id too", "every key once")

    def prove(self, id_or_key: int | bytes, *, value_of: Callable[[int], bytes] | None = None) -> Proof:
        """A proof that a key has its value, or that it has none.

        Args:
            id_or_key: an id, or any key.
            value_of: the value of an id. It is asked for one leaf at most: where a key is absent because another leaf
                stands in its place, the proof holds the hash of that leaf's value, which the tree does not keep.

        Raises:
            ArgumentError: an id without a key; no `value_of` where it is needed, or one that gives another value than
                `update` was given.
        """
        self._check_usable()
        arrays = self._arrays
        path = self._path(id_or_key)
        siblings, found = arrays.find(path, self._hashing.node)
        if found is None:
            return Proof(path, siblings, present=False)
        other = arrays.path(found)
        if other == path:
            return Proof(path, siblings, present=True)
        if value_of is None:
            expected = f"a function: the leaf of id {found} stands where the key would"
            raise ArgumentError("value_of", "None", expected)
        hashed = self._hashing.value(value_of(found))
        if self._hashing.leaf(other, hashed) != arrays.leaf(found):
            raise ArgumentError(
                "value_of", f"another value for id {found}", "the value that it has in the tree"
            )
        return Proof(path, siblings, present=False, other=(other, hashed))

    def _path(self, id_or_key: int | bytes) -> bytes:
        if isinstance(id_or_key, bytes):
            return self._hashing.path(id_or_key)
        number = isinstance(id_or_key, (int, np.integer)) and not isinstance(id_or_key, bool)
        if number and 0 <= id_or_key < self._arrays.keys:
            return self._arrays.path(int(id_or_key))
        expected = f"a key, or an id below {self._arrays.keys}, the number of keys"
        raise ArgumentError("id_or_key", repr(id_or_key), expected)


def _top(changes: int) -> int:
    """The level whose subtrees are computed one by one, if there is enough to do: some for each thread, and at least
    eight, since what a subtree needs on its way should stay in the second-level cache."""
    wanted = max(8, 4 * get_threads())
    top = 0
    while 1 << top < wanted and _CHANGES_PER_SUBTREE << (top + 1) <= changes:
        top += 1
    return top


def _on_host(messages: MessagesLike, argument: str) -> Messages:
    batch = Messages.of(messages, argument)
    if isinstance(batch.data, DeviceArray):
        raise ArgumentError(argument, "bytes on a GPU", "bytes in host memory, where the tree lies")
    return batch


def _column(array: Any, dtype: type, argument: str, items: int | None) -> Any:
    """`array` as a contiguous one of this dtype and, if that is given, size."""
    found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
    shape = "(n,)" if items is None else f"({items},)"
    if (
        not isinstance(array, np.ndarray)
        or array.dtype != dtype
        or array.ndim != 1
        or array.size != (array.size if items is None else items)
    ):
        raise ArgumentError(argument, found, f"a {np.dtype(dtype)} array of shape {shape}")
    return borrow(np.ascontiguousarray(array))
