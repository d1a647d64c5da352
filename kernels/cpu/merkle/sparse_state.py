# SPDX-License-Identifier: GPL-3.0-or-later
"""A sparse Merkle tree as flat arrays: which leaves there are, and in which bucket each one stands.

The upper levels are a complete binary tree of `depth` levels in heap order: node 1 is the root, the children of node i
are 2i and 2i + 1, level `depth` are the buckets. Row i of `nodes` is the hash of node i and `counts[i]` says how many
leaves stand below it, 0, 1 or 2 for more; row 0 is 32 zero bytes, an empty subtree. The two children of a node fill one
cache line, which is the message that the node is the hash of.

Row 2i of `records` is the path of id i and row 2i + 1 the hash of its leaf: one cache line for each id.

The leaves of a bucket are a list, ascending by path: `first[bucket]` is an id or END, and so is the lower half of
`links[id]`. The upper half is the leaf's hint, so that nobody has to look at paths, which lie anywhere in memory, while
lists stay as they are: 8 bits, how many bits its path shares with that of the next leaf (`depth` − 1 for the last one),
then 24 bits, what follows the first `depth` bits of its path. An update puts new leaves in front, marks removed ones,
and marks the bucket; who computes the bucket's hash puts the list in order.

A row is four uint64 words as they lie in memory; bit 0 of a path is the uppermost bit of its first byte.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from supervm.kernels.cpu.hashes.batch import hash_slice
from supervm.kernels.cpu.hashes.pair import PAIR_PLAN_ROWS, ROW, hash_pairs, pair_width
from supervm.kernels.cpu.hashes.short_messages import SHORT, hash_short, is_dedicated
from supervm.kernels.cpu.lanes.cache_lines import prefetch, swapped
from supervm.kernels.cpu.lanes.lanes import I1, I8, I32, I64, call_llvm
from supervm.kernels.cpu.merkle.sparse_nodes import hash_first

WORDS = ROW // 8
"""Words of a row."""

RECORD = 2 * ROW
"""Bytes of the record of an id, and of the two children of a node."""

RECORD_WORDS = 2 * WORDS
"""Words of a record."""

PATH_BITS = 8 * ROW
"""Levels of the whole tree."""

MARKED = 1 << 31
"""Bit of a link: this leaf is to be taken out of its list. Of the first id of a bucket: its list is to be put in order."""

END = (1 << 31) - 1
"""Link of the last leaf of a list."""

LINK = (1 << 32) - 1
"""The half of `links[id]` that is not the hint."""

ABSENT = (1 << 32) - 2
"""Link of an id that is no leaf."""

HINT_SHIFT = 32
"""Where the hint begins in `links[id]`."""

HINT_BITS = 24
"""Bits of the path in a hint."""

MOST_IDS = (1 << 31) - 2
"""Ids are below this number."""

LEAF_PREFIX = 0
"""The byte before the two rows in the hash of a leaf, where the hash is over bytes."""

_AHEAD = 16
"""Changes whose links are asked for before they are read."""

_CHUNK = 512
"""Values that are hashed before their leaves are: their digests stay in the first-level cache."""


def _count_zeros(name: str) -> Any:
    @intrinsic
    def count(typingctx: Any, word: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return call_llvm(builder, f"llvm.{name}.i64", I64, [args[0], ir.Constant(I1, 0)])

        return types.int64(types.uint64), codegen

    return count


@intrinsic
def word_at(typingctx: Any, address: Any) -> Any:
    """The uint64 at an address. Small functions take one: of an array, Numba would count a reference each time."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(builder.inttoptr(args[0], I64.as_pointer()), align=8)

    return types.uint64(types.int64), codegen


@intrinsic
def prefetch_at(typingctx: Any, address: Any) -> Any:
    """Ask for the cache line at an address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        read_into_all_caches = [ir.Constant(I32, number) for number in (0, 3, 1)]
        pointer = builder.inttoptr(args[0], I8.as_pointer())
        call_llvm(builder, "llvm.prefetch.p0", ir.VoidType(), [pointer, *read_into_all_caches])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic
def copy_row(typingctx: Any, target: Any, source: Any) -> Any:
    """Copy the row at one address to another."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = ir.VectorType(I64, WORDS).as_pointer()
        to, source = (builder.inttoptr(address, pointer) for address in args)
        builder.store(builder.load(source, align=8), to, align=8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def join_rows(typingctx: Any, target: Any, source: Any) -> Any:
    """Write the two rows at `source`, one or-ed into the other, to an address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to, source = (builder.inttoptr(address, ir.VectorType(I64, WORDS).as_pointer()) for address in args)
        rows = [builder.load(builder.gep(source, [ir.Constant(I64, place)]), align=8) for place in (0, 1)]
        builder.store(builder.or_(*rows), to, align=8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


leading_zeros = _count_zeros("ctlz")
trailing_zeros = _count_zeros("cttz")


@njit(nogil=True, cache=True)
def examine(ids: Any, present: Any, links: Any, seen: Any, moves: Any) -> Any:
    """What a batch of changes asks for, before anything is changed.

    Args:
        ids: uint32 (n,).
        present: bool (n,), whether the id is a leaf afterwards.
        links: uint64, one for each id that has a path.
        seen: uint64, zeros, a bit for each of those.
        moves: bool (n,), written: whether the id becomes a leaf or ceases to be one.

    Returns:
        The place of the first id that has no path or came before, n if there is none; by how much the number of leaves
        grows.
    """
    change = np.int64(0)
    for place in range(ids.size):
        prefetch(links, np.uint64(ids[min(place + _AHEAD, ids.size - 1)]))
        identity = np.int64(ids[place])
        if identity >= links.size:
            return place, change
        bit = np.uint64(1) << np.uint64(identity & 63)
        if seen[identity >> 6] & bit:
            return place, change
        seen[identity >> 6] |= bit
        grows = np.int64(present[place]) - np.int64(np.int64(links[identity]) & LINK != ABSENT)
        moves[place] = grows != 0
        change += grows
    return ids.size, change


@njit(nogil=True, cache=True, forceinline=True)
def longest(offsets: Any, start: Any, stop: Any) -> Any:
    """Bytes of the longest of messages `start` to `stop`."""
    most = np.int64(0)
    for item in range(start, stop):
        most = max(most, offsets[item + 1] - offsets[item])
    return most


@njit(nogil=True, cache=True)
def hash_leaves(
    kernel: Any,
    data: Any,
    offsets: Any,
    ids: Any,
    present: Any,
    records: Any,
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
        records: uint64; the leaves of present ids are written.
        depth: of the buckets.
        buckets: uint32, written.
    """
    lanes = pair_width(kernel)
    digests = np.empty(_CHUNK * ROW, np.uint8)
    plan = np.empty(PAIR_PLAN_ROWS * lanes, np.int64)
    records_at, digests_at, offsets_at = records.ctypes.data, digests.ctypes.data, offsets.ctypes.data
    for change in range(start, min(start + _CHUNK, stop)):
        prefetch_at(records_at + RECORD * np.int64(ids[change]))
    for first in range(start, stop, _CHUNK):
        last = min(first + _CHUNK, stop)
        if is_dedicated(kernel) and longest(offsets, first, last) <= SHORT:
            hash_short(kernel, data.ctypes.data, offsets_at + 8 * first, last - first, digests_at)
        else:
            hash_slice(kernel, data, offsets[first : last + 1], digests, 0, last - first)
        filled = 0
        for change in range(first, last):
            # Of the next chunk, one at a time: memory works while this one is hashed.
            prefetch_at(records_at + RECORD * np.int64(ids[min(change + _CHUNK, stop - 1)]))
            record = records_at + RECORD * np.int64(ids[change])
            buckets[change] = swapped(word_at(record)) >> np.uint64(64 - depth)
            if not present[change]:
                continue
            plan[filled] = record
            plan[lanes + filled] = digests_at + ROW * (change - first)
            plan[2 * lanes + filled] = record + ROW
            filled += 1
            if filled == lanes:
                hash_pairs(kernel, LEAF_PREFIX, plan.ctypes.data)
                filled = 0
        if filled:
            hash_first(kernel, LEAF_PREFIX, plan, filled)


@njit(nogil=True, cache=True)
def link(ids: Any, present: Any, moves: Any, buckets: Any, links: Any, first: Any, dirty: Any) -> None:
    """Note which buckets change, put new leaves in front of their lists and mark removed ones.

    Args:
        ids, present, moves, buckets: of each change.
        links, first: the lists.
        dirty: uint64, a bit for each bucket.
    """
    for change in range(ids.size):
        bucket = np.int64(buckets[change])
        if moves[change]:
            identity, head = np.int64(ids[change]), np.int64(first[bucket])
            if present[change]:
                links[identity] = head & ~MARKED
                head = identity
            else:
                links[identity] |= np.uint64(MARKED)
            first[bucket] = head | MARKED
        elif not present[change]:
            continue
        dirty[bucket >> 6] |= np.uint64(1) << np.uint64(bucket & 63)


@njit(nogil=True, cache=True)
def relink(records: Any, links: Any, depth: Any, first: Any, dirty: Any) -> None:
    """Spread all leaves over the empty buckets of another depth, and note those that have one."""
    for identity in range(links.size):
        if np.int64(links[identity]) & LINK == ABSENT:
            continue
        bucket = np.int64(swapped(records[RECORD_WORDS * identity]) >> np.uint64(64 - depth))
        links[identity] = np.int64(first[bucket]) & ~MARKED
        first[bucket] = identity | MARKED
        dirty[bucket >> 6] |= np.uint64(1) << np.uint64(bucket & 63)
