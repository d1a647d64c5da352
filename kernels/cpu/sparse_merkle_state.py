# SPDX-License-Identifier: GPL-3.0-or-later
"""A sparse Merkle tree as flat arrays: which leaves there are, and in which bucket each one stands.

The upper levels are a complete binary tree of `depth` levels in heap order: node 1 is the root, the children of node i
are 2i and 2i + 1, level `depth` are the buckets. Row i of `nodes` is the hash of node i and `counts[i]` says how many
leaves stand below it, 0, 1 or 2 for more; row 0 is 32 zero bytes, an empty subtree. The two children of a node fill one
cache line, which is the message that the node is the hash of.

The leaves of a bucket are a list: `first[bucket]` is an id or END, `links[id]` the next one. It is ascending by path
between updates. New leaves are put in front and removed ones marked; who next computes the bucket's hash puts the list
in order.

A row is four uint64 words as they lie in memory; bit 0 of a path is the uppermost bit of its first byte.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from supervm.kernels.cpu.conflicts_table import prefetch, swapped
from supervm.kernels.cpu.hash_batch import hash_slice
from supervm.kernels.cpu.hash_group import width
from supervm.kernels.cpu.hash_pair import PAIR_PLAN_ROWS, ROW, hash_pairs
from supervm.kernels.cpu.lanes import I1, I64, call_llvm

WORDS = ROW // 8
"""Words of a row."""

PATH_BITS = 8 * ROW
"""Levels of the whole tree."""

MARKED = np.uint32(1 << 31)
"""Bit of a link: this leaf is to be taken out of its list."""

END = np.uint32((1 << 31) - 1)
"""Link of the last leaf of a list."""

ABSENT = np.uint32((1 << 32) - 2)
"""Link of an id that is no leaf."""

MOST_IDS = (1 << 31) - 2
"""Ids are below this number."""

LEAF_PREFIX, NODE_PREFIX = 0, 1
"""The byte before the two rows in the hash of a leaf and of a node."""

_CHUNK = 512
"""Values that are hashed before their leaves are: their digests stay in the first-level cache."""


def _count_zeros(name: str) -> Any:
    @intrinsic
    def count(typingctx: Any, word: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return call_llvm(builder, f"llvm.{name}.i64", I64, [args[0], ir.Constant(I1, 0)])

        return types.int64(types.uint64), codegen

    return count


leading_zeros = _count_zeros("ctlz")
trailing_zeros = _count_zeros("cttz")


@njit(nogil=True, cache=True)
def examine(ids: Any, present: Any, links: Any, seen: Any) -> Any:
    """What a batch of changes asks for, before anything is changed.

    Args:
        ids: uint32 (n,).
        present: bool (n,), whether the id is a leaf afterwards.
        links: uint32, one for each id that has a path.
        seen: uint64, zeros, a bit for each of those.

    Returns:
        The place of the first id that has no path or came before, n if there is none; by how much the number of leaves
        grows.
    """
    change = np.int64(0)
    for place in range(ids.size):
        identity = np.int64(ids[place])
        if identity >= links.size:
            return place, change
        bit = np.uint64(1) << np.uint64(identity & 63)
        if seen[identity >> 6] & bit:
            return place, change
        seen[identity >> 6] |= bit
        change += np.int64(present[place]) - np.int64(links[identity] != ABSENT)
    return ids.size, change


@njit(nogil=True, cache=True)
def hash_leaves(
    kernel: Any,
    data: Any,
    offsets: Any,
    ids: Any,
    present: Any,
    paths: Any,
    leaves: Any,
    depth: Any,
    buckets: Any,
    start: Any,
    stop: Any,
) -> None:
    """The hashes of the leaves that changes `start` to `stop` write, and the bucket of each change.

    Args:
        kernel: a `HashKernel`.
        data, offsets: uint8 and int64, a value for each change.
        ids: uint32; present: bool.
        paths: uint64, rows.
        leaves: uint64, rows; those of present ids are written.
        depth: of the buckets.
        buckets: uint32, written.
    """
    lanes = width(kernel)
    digests = np.empty(_CHUNK * ROW, np.uint8)
    plan = np.empty(PAIR_PLAN_ROWS * lanes, np.int64)
    paths_at, digests_at, leaves_at = paths.ctypes.data, digests.ctypes.data, leaves.ctypes.data
    filled = 0
    for first in range(start, stop, _CHUNK):
        last = min(first + _CHUNK, stop)
        for change in range(first, last):
            prefetch(paths, np.uint64(WORDS) * ids[change])
            prefetch(leaves, np.uint64(WORDS) * ids[change])
        hash_slice(kernel, data, offsets[first : last + 1], digests, 0, last - first)
        for change in range(first, last):
            identity = np.int64(ids[change])
            buckets[change] = swapped(paths[WORDS * identity]) >> np.uint64(64 - depth)
            if present[change]:
                plan[filled] = paths_at + ROW * identity
                plan[lanes + filled] = digests_at + ROW * (change - first)
                plan[2 * lanes + filled] = leaves_at + ROW * identity
                filled += 1
                if filled == lanes:
                    hash_pairs(kernel, LEAF_PREFIX, plan.ctypes.data)
                    filled = 0
        # What is left over needs the digests of this chunk.
        if filled:
            hash_first(kernel, LEAF_PREFIX, plan, filled)
            filled = 0


@njit(nogil=True, cache=True)
def hash_first(kernel: Any, prefix: Any, plan: Any, filled: Any) -> None:
    """Hash the first `filled` lanes of a plan, at least one; the others repeat the last of them."""
    lanes = width(kernel)
    for row in range(PAIR_PLAN_ROWS):
        for lane in range(filled, lanes):
            plan[row * lanes + lane] = plan[row * lanes + filled - 1]
    hash_pairs(kernel, prefix, plan.ctypes.data)


@njit(nogil=True, cache=True)
def link(ids: Any, present: Any, buckets: Any, links: Any, first: Any, dirty: Any) -> None:
    """Put new leaves in front of their buckets' lists, mark removed ones, and note which buckets change.

    Args:
        ids, present, buckets: of each change.
        links, first: uint32, the lists.
        dirty: uint64, a bit for each bucket.
    """
    for change in range(ids.size):
        identity, bucket = ids[change], np.int64(buckets[change])
        old = links[identity]
        if old == ABSENT:
            if not present[change]:
                continue
            links[identity] = first[bucket]
            first[bucket] = identity
        elif not present[change]:
            links[identity] = old | MARKED
        dirty[bucket >> 6] |= np.uint64(1) << np.uint64(bucket & 63)


@njit(nogil=True, cache=True)
def relink(paths: Any, links: Any, depth: Any, first: Any, dirty: Any) -> None:
    """Spread all leaves over the empty buckets of another depth, and note those that have one."""
    for identity in range(links.size):
        if links[identity] == ABSENT:
            continue
        bucket = np.int64(swapped(paths[WORDS * identity]) >> np.uint64(64 - depth))
        links[identity] = first[bucket]
        first[bucket] = identity
        dirty[bucket >> 6] |= np.uint64(1) << np.uint64(bucket & 63)
