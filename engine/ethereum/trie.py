# SPDX-License-Identifier: GPL-3.0-or-later
"""Root of the ordered Merkle Patricia trie that a block header commits to: rlp(index) → value.

The keys are known and sorted, so the shape of the trie follows from the prefixes that neighbours share: a
branch stands at every depth where two neighbours part. Nodes are built level by level from the deepest branch
up, and every level is hashed as one batch. Source: the Yellow Paper, appendices C and D.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from supervm.crypto import hashes
from supervm.crypto.messages import Messages
from supervm.engine.ethereum.rlp import LIST, MAX_HEADER, STRING, put_header, put_raw, put_string
from supervm.kernels.array_types import Bytes, Offsets

_NIBBLES = 10
"""Nibbles of rlp(index) at most: indices stay below 2^32."""
_PAST_KEY = 255
_REFERENCE = 33
"""Bytes of a reference to a node at most: its hash as a string; a node shorter than a hash stands itself."""


def ordered_trie_root(values: Messages, *, backend: str = "auto") -> Bytes:
    """The root of the trie that maps rlp(i) to value i, uint8 (32,).

    Args:
        values: the items in order; for a transactions root, their EIP-2718 encodings.
        backend: where Keccak-256 runs.
    """
    n = len(values)
    if n == 0:
        return _digests(Messages.of([bytes([STRING])]), backend).reshape(32)
    order, nibbles, lengths = _sorted_keys(n)
    shared = _shared_prefixes(nibbles)
    above = np.maximum(np.append(shared, -1), np.append(-1, shared))
    first_byte, end_byte = values.offsets[order], values.offsets[order + 1]
    nodes = _path_nodes(nibbles, above + 1, lengths, True, values.data, first_byte, end_byte)
    references, sizes = _references(nodes, backend)
    # Items are nodes that have no parent yet: the first of their keys, and the depth if it is a branch.
    first, depth = np.arange(n), np.full(n, -1)
    for level in range(int(shared.max(initial=-1)), -1, -1):
        parted = shared == level
        member = np.append(parted, False) | np.append(False, parted)
        far = np.flatnonzero(member & (depth > level + 1))
        start = far * _REFERENCE
        paths = nibbles[first[far]], np.full(len(far), level + 1), depth[far]
        nodes = _path_nodes(*paths, False, references.reshape(-1), start, start + sizes[far])
        references[far], sizes[far] = _references(nodes, backend)
        heads = np.flatnonzero(member & ~np.append(False, parted))
        nodes = _branches(heads, parted, nibbles[first, level], references, sizes)
        references[heads], sizes[heads] = _references(nodes, backend)
        depth[heads] = level
        kept = ~np.append(False, parted)
        first, depth, references, sizes = first[kept], depth[kept], references[kept], sizes[kept]
        shared = shared[~parted]
    return _digests(nodes, backend).reshape(32)


def _digests(messages: Messages, backend: str) -> Bytes:
    digests: Bytes = hashes.keccak256_batch(messages, backend=backend)
    return digests


def _sorted_keys(n: int) -> tuple[Offsets, Bytes, Offsets]:
    """Indices in the order of their keys; the keys' nibbles, padded; how many nibbles each has."""
    # rlp(0) is 0x80 and stands after 0x01 … 0x7f; longer keys start with 0x81, 0x82, … and follow.
    order = np.concatenate([np.arange(1, min(n, 128)), [0], np.arange(128, n)]).astype(np.int64)
    single = order < 128
    extra = np.where(single, 0, 1 + (order > 0xFF) + (order > 0xFFFF) + (order > 0xFFFFFF))
    key = np.full((n, _NIBBLES // 2), 0, np.int64)
    key[:, 0] = np.where(order == 0, STRING, np.where(single, order, STRING + extra))
    for k in range(1, key.shape[1]):
        key[:, k] = (order >> (8 * np.maximum(extra - k, 0))) & 0xFF
    nibbles = np.stack([key >> 4, key & 15], axis=2).reshape(n, _NIBBLES).astype(np.uint8)
    lengths = 2 + 2 * extra
    nibbles[np.arange(_NIBBLES) >= lengths[:, None]] = _PAST_KEY
    return order, nibbles, lengths


def _shared_prefixes(nibbles: Bytes) -> Offsets:
    """How many nibbles each key shares with the next."""
    shared: Offsets = np.argmax(nibbles[1:] != nibbles[:-1], axis=1).astype(np.int64)
    return shared


def _references(nodes: Messages, backend: str) -> tuple[Bytes, Offsets]:
    """What a parent holds of each node: the node itself if it is shorter than 32 bytes, else its hash."""
    sizes = np.diff(nodes.offsets)
    rows = np.full((len(nodes), _REFERENCE), STRING + 32, np.uint8)
    rows[:, 1:] = _digests(nodes, backend)
    short = np.flatnonzero(sizes < 32)
    for column in range(int(sizes[short].max(initial=0))):
        rows[short, column] = nodes.data[np.minimum(nodes.offsets[short] + column, len(nodes.data) - 1)]
    return rows, np.where(sizes < 32, sizes, _REFERENCE)


def _path_nodes(
    nibbles: Bytes, start: Offsets, stop: Offsets, leaf: bool, data: Bytes, first: Offsets, end: Offsets
) -> Messages:
    """Nodes of two items: the path `nibbles[start:stop]` and `data[first:end]`, which is a leaf's value or,
    in an extension, a reference."""
    slots = np.zeros(len(first) + 1, np.int64)
    np.cumsum(end - first + _NIBBLES + 3 * MAX_HEADER, out=slots[1:])
    out, offsets = np.zeros(int(slots[-1]), np.uint8), np.zeros(len(first) + 1, np.int64)
    size = _write_path_nodes(nibbles, start, stop, leaf, data, first, end, slots, out, offsets)
    return Messages.of((out[:size], offsets))


def _branches(
    heads: Offsets, joined: NDArray[np.bool_], slot: Bytes, references: Bytes, sizes: Offsets
) -> Messages:
    """Branches over the runs that start at `heads`; item i + 1 is in the run of item i where `joined[i]`."""
    room = MAX_HEADER + 17 + 16 * _REFERENCE
    out, offsets = np.zeros(len(heads) * room, np.uint8), np.zeros(len(heads) + 1, np.int64)
    size = _write_branches(heads, joined, slot, references, sizes, room, out, offsets)
    return Messages.of((out[:size], offsets))


@njit(nogil=True, cache=True)
def _write_path_nodes(nibbles, start, stop, leaf, data, first, end, slots, out, offsets):  # type: ignore[no-untyped-def]
    path = np.zeros(_NIBBLES // 2 + 1, np.uint8)
    size = 0
    for i in range(len(first)):
        last = slots[i + 1]
        if leaf:
            p = put_string(out, last, data, first[i], end[i])
        else:
            p = put_raw(out, last, data, first[i], end[i])
        # Hex prefix: a nibble of flags (2 a leaf, 1 an odd path), and a zero nibble if the path is even.
        length = stop[i] - start[i]
        odd = length & 1
        path[0] = (32 if leaf else 0) + (16 + nibbles[i, start[i]] if odd else 0)
        for k in range(length // 2):
            at = start[i] + odd + 2 * k
            path[k + 1] = (nibbles[i, at] << 4) | nibbles[i, at + 1]
        p = put_string(out, p, path, 0, length // 2 + 1)
        p = put_header(out, p, last - p, LIST)
        for k in range(last - p):
            out[size + k] = out[p + k]
        size += last - p
        offsets[i + 1] = size
    return size


@njit(nogil=True, cache=True)
def _write_branches(heads, joined, slot, references, sizes, room, out, offsets):  # type: ignore[no-untyped-def]
    size = 0
    for b in range(len(heads)):
        item = heads[b]
        while item < len(joined) and joined[item]:
            item += 1
        last = room * (b + 1)
        p = put_header(out, last, 0, STRING)
        for nibble in range(15, -1, -1):
            if item >= heads[b] and slot[item] == nibble:
                p = put_raw(out, p, references[item], 0, sizes[item])
                item -= 1
            else:
                p = put_header(out, p, 0, STRING)
        p = put_header(out, p, last - p, LIST)
        for k in range(last - p):
            out[size + k] = out[p + k]
        size += last - p
        offsets[b + 1] = size
    return size
