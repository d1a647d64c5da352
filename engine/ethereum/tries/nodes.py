# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes of many tries in one table, and their hashes, a level at a time.

A node is a row of the table. What its parent holds of it is its *reference*: the node's own encoding if that is shorter
than 32 bytes, else the hash of it. A row whose `REFERENCE_SIZE` is 0 is yet to be encoded; so are then all rows above it.
Row 0 is the empty node. Source: the Yellow Paper, appendices C and D.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from supervm.crypto import hashes
from supervm.crypto.messages import Messages
from supervm.engine.ethereum.rlp import LIST, STRING
from supervm.engine.ethereum.rlp_memory import header_size, put_header_at, put_string_at
from supervm.kernels.array_types import Bytes, Indices
from supervm.kernels.cpu.lanes.addresses import copy, load8, store8

KIND, START, END, CHILD, VALUE, SIZE, REFERENCE_SIZE = range(7)
"""Columns of a row. The nibbles `START` to `END` of the row's path are the node's own; `CHILD` is the row below an
extension, or a branch's row of `children`; the value of a leaf, or the encoding of a node that is not opened yet, is `SIZE`
bytes from `VALUE` on (−1: it is to be looked for by its hash)."""

FIELDS = 8
"""Columns of a row with one to spare: a row is a line of the cache."""

LEAF, EXTENSION, BRANCH, CLOSED = range(4)
"""Kinds. `CLOSED` is a node of which only the reference is known so far."""

KEY_BYTES = 32
KEY_NIBBLES = 64
CHILDREN = 16
HASH = 32
HASHED = 1 + HASH
"""Size of a reference that is a hash; no other reference is so long."""

Arena = tuple[npt.NDArray[np.int64], Bytes, npt.NDArray[np.int32], Bytes]
"""What kernels take of `Nodes`: rows, paths, children, references."""


@dataclass
class Nodes:
    """The table.

    | array | dtype, shape | meaning |
    |---|---|---|
    | `rows` | int64 (m, 8) | the columns above |
    | `paths` | uint8 (m, 32) | nibbles of a key, two a byte; valid from `START` to `END` |
    | `children` | int32 (b, 16) | of each branch: the row below each nibble, 0 for none |
    | `references` | uint8 (m, 33) | the first `REFERENCE_SIZE` bytes count |
    """

    rows: npt.NDArray[np.int64]
    paths: Bytes
    children: npt.NDArray[np.int32]
    references: Bytes

    @classmethod
    def empty(cls, rows: int, branches: int) -> Nodes:
        """A table of so many rows and branches, with the empty node in row 0."""
        made = cls(
            np.zeros((rows, FIELDS), np.int64),
            np.zeros((rows, KEY_BYTES), np.uint8),
            np.zeros((branches, CHILDREN), np.int32),
            np.zeros((rows, HASHED), np.uint8),
        )
        made.rows[0, REFERENCE_SIZE] = 1
        made.references[0, 0] = STRING
        return made

    def grown(self, rows: int, branches: int) -> Nodes:
        """The same nodes in a table of this size."""
        more = Nodes.empty(rows, branches)
        more.rows[: len(self.rows)] = self.rows
        more.paths[: len(self.paths)] = self.paths
        more.children[: len(self.children)] = self.children
        more.references[: len(self.references)] = self.references
        return more

    @property
    def arena(self) -> Arena:
        return self.rows, self.paths, self.children, self.references


def hash_nodes(nodes: Nodes, roots: Indices, values: Bytes, backend: str) -> None:
    """Encode and hash every row below `roots` that is yet to be encoded, from the deepest level to the roots.

    Args:
        nodes: the table; its references are filled in.
        roots: rows, 0 for an empty trie.
        values: what the `VALUE` of a leaf points into.
        backend: where Keccak-256 runs.
    """
    order = np.empty(len(nodes.rows), np.int64)
    levels = np.zeros(KEY_NIBBLES + 3, np.int64)
    count = _levels(nodes.rows, nodes.children, roots, order, levels)
    for level in range(count - 1, -1, -1):
        rows = order[levels[level] : levels[level + 1]]
        encoded = _encoded(nodes, rows, values)
        _store_references(nodes.rows, nodes.references, rows, *encoded.ragged, keccak(encoded, backend))


def root_hashes(nodes: Nodes, roots: Indices, backend: str) -> Bytes:
    """The hash of each root, which is one even where its encoding is short, uint8 (t, 32)."""
    hashed = nodes.references[roots, 1:]
    short = np.flatnonzero(nodes.rows[roots, REFERENCE_SIZE] != HASHED)
    if len(short):
        rows = roots[short]
        sizes = nodes.rows[rows, REFERENCE_SIZE]
        kept = np.arange(HASHED) < sizes[:, None]
        offsets = np.append(0, np.cumsum(sizes))
        hashed[short] = keccak(Messages(nodes.references[rows][kept], offsets), backend)
    return hashed


def keccak(messages: Messages, backend: str) -> Bytes:
    """Keccak-256 of each message, uint8 (n, 32)."""
    digests: Bytes = hashes.keccak256_batch(messages, backend=backend)
    return digests


def _encoded(nodes: Nodes, rows: Indices, values: Bytes) -> Messages:
    offsets = np.zeros(len(rows) + 1, np.int64)
    sizes = np.empty(len(rows), np.int64)
    _measure(nodes.arena, rows, values, sizes, offsets)
    out = np.empty(int(offsets[-1]), np.uint8)
    _write(nodes.arena, rows, values, sizes, offsets, out)
    return Messages(out, offsets)


@njit(nogil=True, cache=True)
def _levels(rows, children, roots, order, levels):  # type: ignore[no-untyped-def]
    """Rows that are yet to be encoded, by their distance from the root; how many levels there are."""
    end = 0
    for root in roots:
        if root != 0 and rows[root, REFERENCE_SIZE] == 0:
            order[end] = root
            end += 1
    count, first = 0, 0
    while end > first:
        count += 1
        levels[count] = end
        for place in range(first, levels[count]):
            row = order[place]
            if rows[row, KIND] == EXTENSION:
                child = rows[row, CHILD]
                if rows[child, REFERENCE_SIZE] == 0:
                    order[end] = child
                    end += 1
            elif rows[row, KIND] == BRANCH:
                branch = rows[row, CHILD]
                for nibble in range(CHILDREN):
                    child = np.int64(children[branch, nibble])
                    if rows[child, REFERENCE_SIZE] == 0:
                        order[end] = child
                        end += 1
        first = levels[count]
    return count


@njit(nogil=True, cache=True)
def _measure(arena, selected, values, sizes, offsets):  # type: ignore[no-untyped-def]
    """Bytes of each node's payload, and where its encoding begins."""
    rows, _, children, _ = arena
    for item in range(len(selected)):
        row = selected[item]
        kind = rows[row, KIND]
        if kind == BRANCH:
            size = 1
            branch = rows[row, CHILD]
            for nibble in range(CHILDREN):
                size += rows[children[branch, nibble], REFERENCE_SIZE]
        else:
            path = (rows[row, END] - rows[row, START]) // 2 + 1
            size = path + (1 if path > 1 else 0)
            if kind == EXTENSION:
                size += rows[rows[row, CHILD], REFERENCE_SIZE]
            else:
                value = rows[row, SIZE]
                alone = value == 1 and values[rows[row, VALUE]] < STRING
                size += value + (0 if alone else header_size(value))
        sizes[item] = size
        offsets[item + 1] = offsets[item] + size + header_size(size)


@njit(nogil=True, cache=True)
def _write(arena, selected, values, sizes, offsets, out):  # type: ignore[no-untyped-def]
    rows, paths, children, references = arena
    # Addresses: an array that is passed on costs a count of references, and there are millions of small items.
    target = out.ctypes.data
    value = values.ctypes.data
    reference = references.ctypes.data
    path = paths.ctypes.data
    for item in range(len(selected)):
        row = selected[item]
        kind = rows[row, KIND]
        p = np.int64(target + offsets[item + 1])
        if kind == BRANCH:
            p -= 1
            store8(p, STRING)
            branch = rows[row, CHILD]
            for nibble in range(CHILDREN - 1, -1, -1):
                child = np.int64(children[branch, nibble])
                if child == 0:
                    p -= 1
                    store8(p, STRING)
                elif rows[child, REFERENCE_SIZE] == HASHED:
                    p -= HASHED
                    copy(p, reference + HASHED * child, HASHED)
                else:
                    p -= rows[child, REFERENCE_SIZE]
                    copy(p, reference + HASHED * child, rows[child, REFERENCE_SIZE])
        else:
            if kind == EXTENSION:
                child = rows[row, CHILD]
                p -= rows[child, REFERENCE_SIZE]
                copy(p, reference + HASHED * child, rows[child, REFERENCE_SIZE])
            else:
                p = put_string_at(p, value + rows[row, VALUE], rows[row, SIZE])
            p = put_path(p, path + KEY_BYTES * row, rows[row, START], rows[row, END], kind == LEAF)
        put_header_at(p, sizes[item], LIST)


@njit(nogil=True, cache=True)
def put_path(p, path, start, end, leaf):  # type: ignore[no-untyped-def]
    """Nibbles `start` to `end` behind a nibble of flags (2 a leaf, 1 an odd path), and a zero one if the path is even."""
    odd = (end - start) & 1
    first = start + odd
    length = (end - first) >> 1
    p -= length
    if first & 1:
        for k in range(length):
            at = path + ((first + 2 * k) >> 1)
            store8(p + k, (load8(at) << 4) | (load8(at + 1) >> 4))
    else:
        copy(p, path + (first >> 1), length)
    flags = 32 if leaf else 0
    if odd:
        flags += 16 + ((load8(path + (start >> 1)) >> (4 - 4 * (start & 1))) & 15)
    p -= 1
    store8(p, flags)
    return put_header_at(p, length + 1, STRING) if length else p


@njit(nogil=True, cache=True)
def nibble_of(path, place):  # type: ignore[no-untyped-def]
    """Nibble `place` of a path, the upper half of a byte before the lower."""
    return np.int64((path[place >> 1] >> (4 - 4 * (place & 1))) & 15)


@njit(nogil=True, cache=True)
def put_nibble(path, place, nibble):  # type: ignore[no-untyped-def]
    """Write one nibble of a path."""
    at = place >> 1
    if place & 1:
        path[at] = (path[at] & 0xF0) | nibble
    else:
        path[at] = (path[at] & 0x0F) | (nibble << 4)


@njit(nogil=True, cache=True)
def _store_references(rows, references, selected, data, offsets, digests):  # type: ignore[no-untyped-def]
    reference = references.ctypes.data
    source = data.ctypes.data
    digest = digests.ctypes.data
    for item in range(len(selected)):
        row = selected[item]
        first = offsets[item]
        size = offsets[item + 1] - first
        at = np.int64(reference + HASHED * row)
        if size < HASH:
            copy(at, source + first, size)
            rows[row, REFERENCE_SIZE] = size
        else:
            store8(at, STRING + HASH)
            copy(at + 1, digest + HASH * item, HASH)
            rows[row, REFERENCE_SIZE] = HASHED
