# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory of a sparse Merkle tree: how it grows with keys and leaves, and the way to a path through it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from supervm.kernels.array_types import Words
from supervm.kernels.cpu.hashes.pair import ROW
from supervm.kernels.cpu.merkle.sparse_state import ABSENT, END, LINK, WORDS, relink

Node = Callable[[bytes, bytes], bytes]

LEAST_DEPTH = 6
"""Fewest levels above the buckets: the dirty ones are noted in words of 64 bits."""

WIDE_DEPTH = 19
"""Depth below which a bucket has at most half a leaf, which spares most lists of several; at it the arrays take 37 MB."""

_LEAST_CAPACITY = 1024
"""Ids for which there is room as soon as there is one."""

_LINE = 64
"""Bytes of a cache line, where rows begin: the two children of a node share one."""


def new_rows(count: int) -> Words:
    """Zeros for `count` rows of 32 bytes, from the start of a cache line, uint64 (4 · count,)."""
    memory = np.zeros(WORDS * count + _LINE // 8, np.uint64)
    skip = -memory.ctypes.data % _LINE // 8
    return memory[skip : skip + WORDS * count]


def _most_leaves(depth: int) -> int:
    """Leaves from which on a tree gets another level."""
    return 1 << (depth - 1) if depth < WIDE_DEPTH else 2 << depth


class TreeArrays:
    """What `supervm.kernels.cpu.merkle.sparse_state` describes, for ids 0 … `keys` − 1.

    Args:
        records: uint64, of each id a row for its path and one for its leaf's hash, if it is a leaf.
        links: uint64, of each id.
        nodes: uint64 rows, counts: uint8, of each node of levels 0 to `depth`.
        first: uint32, of each bucket.
        dirty: uint64, a bit for each bucket.
    """

    def __init__(self) -> None:
        self.keys = 0
        self.records = new_rows(0)
        self.links = np.zeros(0, np.uint64)
        self._set_depth(LEAST_DEPTH)

    @property
    def used_links(self) -> Words:
        """The links of the ids that there are."""
        return self.links[: self.keys]

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        arrays = (self.records, self.links, self.nodes, self.counts, self.first, self.dirty)
        return sum(array.nbytes for array in arrays)

    def path_rows(self, start: int, stop: int) -> npt.NDArray[np.uint8]:
        """The paths of ids `start` … `stop` − 1, uint8 (n, 32), for writing."""
        return self.records.view(np.uint8).reshape(-1, 2 * ROW)[start:stop, :ROW]

    def reserve(self, keys: int) -> None:
        """Make room for this many keys: for a sixteenth more than there was room for, at least."""
        room = self.links.size
        if keys <= room:
            return
        capacity = max(keys, room + room // 16, _LEAST_CAPACITY)
        records = new_rows(2 * capacity)
        records[: self.records.size] = self.records
        self.records = records
        links = np.full(capacity, ABSENT, np.uint64)
        links[:room] = self.links
        self.links = links

    def fit_depth(self, leaves: int) -> bool:
        """Choose the depth for this many leaves: up to half a leaf for each bucket below `WIDE_DEPTH`, up to two from it on.

        It shrinks at half the leaves that it grew at, so that it changes rarely.

        Returns:
            Whether it changed: then every bucket with a leaf is dirty, and no node is computed.
        """
        depth = self.depth
        while leaves >= _most_leaves(depth):
            depth += 1
        while depth > LEAST_DEPTH and 2 * leaves < _most_leaves(depth - 1):
            depth -= 1
        if depth == self.depth:
            return False
        self._set_depth(depth)
        relink(self.records, self.used_links, depth, self.first, self.dirty)
        return True

    def _set_depth(self, depth: int) -> None:
        self.depth = depth
        self.nodes, self.counts = new_rows(2 << depth), np.zeros(2 << depth, np.uint8)
        self.first = np.full(1 << depth, END, np.uint32)
        self.dirty = np.zeros(max(1, (1 << depth) // 64), np.uint64)

    def node(self, index: int) -> bytes:
        """The hash of a node."""
        return self.nodes[WORDS * index : WORDS * (index + 1)].tobytes()

    def path(self, identity: int) -> bytes:
        """The path of an id."""
        return self.records[2 * WORDS * identity :][:WORDS].tobytes()

    def leaf(self, identity: int) -> bytes:
        """The hash of an id's leaf."""
        return self.records[2 * WORDS * identity + WORDS :][:WORDS].tobytes()

    def find(self, path: bytes, node: Node) -> tuple[tuple[bytes, ...], int | None]:
        """Where a path leads.

        Args:
            path: 32 bytes.
            node: the hash over a left and a right one.

        Returns:
            The hashes of the subtrees beside the way, from the root down, and the id of the leaf at its end, or None.
        """
        siblings: list[bytes] = []
        index = 1
        while self.counts[index] > 1 and len(siblings) < self.depth:
            index = 2 * index + bit(path, len(siblings))
            siblings.append(self.node(index ^ 1))
        found = self._below(index)
        while len(found) > 1:
            level = len(siblings)
            sides: tuple[list[int], list[int]] = ([], [])
            for identity in found:
                sides[bit(self.path(identity), level)].append(identity)
            own = bit(path, level)
            siblings.append(self._subtree(sides[1 - own], level + 1, node))
            found = sides[own]
        return tuple(siblings), found[0] if found else None

    def _below(self, index: int) -> list[int]:
        """The ids of the leaves of a bucket's node, or of a node with one leaf or none."""
        if not self.counts[index]:
            return []
        while index < 1 << self.depth:
            index = 2 * index + int(self.counts[2 * index] == 0)
        found = []
        identity = int(self.first[index - (1 << self.depth)])
        while identity != END:
            found.append(identity)
            identity = int(self.links[identity]) & LINK
        return found

    def _subtree(self, ids: list[int], level: int, node: Node) -> bytes:
        """The hash over leaves that share their first `level` bits."""
        if len(ids) < 2:
            return self.leaf(ids[0]) if ids else bytes(ROW)
        sides: tuple[list[int], list[int]] = ([], [])
        for identity in ids:
            sides[bit(self.path(identity), level)].append(identity)
        left, right = (self._subtree(side, level + 1, node) for side in sides)
        return node(left, right)


def bit(row: bytes, place: int) -> int:
    """A bit of a row, from the uppermost of its first byte."""
    return row[place // 8] >> (7 - place % 8) & 1
