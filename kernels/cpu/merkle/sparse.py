# SPDX-License-Identifier: GPL-3.0-or-later
"""The hashes of a sparse Merkle tree above changed leaves: buckets first, then level by level up to the root.

Nodes of one level do not depend on each other, so that every group of lanes but the last of a level is full. Disjoint
subtrees may be computed by several threads; the few levels above them are left to one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from supervm.kernels.cpu.hashes.pair import PAIR_PLAN_ROWS, ROW
from supervm.kernels.cpu.lanes.cache_lines import prefetch
from supervm.kernels.cpu.merkle.sparse_lists import (
    bit_below,
    put_in_order,
    shared_bits,
    take_dirty,
)
from supervm.kernels.cpu.merkle.sparse_nodes import hash_first_nodes, hash_nodes, node_group
from supervm.kernels.cpu.merkle.sparse_state import (
    END,
    MARKED,
    PATH_BITS,
    RECORD,
    WORDS,
    copy_row,
    join_rows,
    prefetch_at,
)

_AHEAD = 32
"""Nodes whose children are asked for before they are read."""

_BUCKETS_AHEAD = 8
"""Buckets by which one link of a list is asked for before the next one is."""

STEP_COLUMNS = 4
"""Columns of a step: where its left row lies, its right one, where the digest goes, the next step of its level."""


@njit(nogil=True, cache=True)
def update_subtrees(
    kernel: Any,
    records: Any,
    links: Any,
    first: Any,
    dirty: Any,
    nodes: Any,
    counts: Any,
    depth: Any,
    top: Any,
    start: Any,
    stop: Any,
    most: Any,
) -> Any:
    """Compute what lies above changed leaves, from their buckets up to nodes `start` to `stop` of level `top`.

    Args:
        kernel: what hashes nodes, see `sparse_merkle_nodes`.
        records, links, first, dirty, nodes, counts: the tree's; the bits of what is computed are cleared.
        depth: level of the buckets; at least `top` + 6, so that no word of `dirty` belongs to two subtrees.
        most: no more buckets than this are dirty.

    Returns:
        The id of a leaf whose path another leaf has too, or −1.
    """
    words = np.int64(1) << (depth - top - 6)
    buckets = np.empty(min(most, 64 * words * (stop - start)), np.int64)
    taken = take_dirty(dirty, start * words, stop * words, buckets)
    twin = np.int64(-1)
    for place in range(taken):
        prefetch(first, np.uint64(buckets[min(place + _AHEAD, taken - 1)]))
        if np.int64(first[buckets[place]]) & MARKED:
            twin = max(twin, put_in_order(records, links, first, depth, buckets[place]))
    steps = 4 * (taken + PATH_BITS)
    while True:
        plan = np.empty(STEP_COLUMNS * steps, np.int64)
        # Addresses into it are all that is left of it in the plan: this function keeps the array alive.
        digests = np.empty(WORDS * steps, np.uint64)
        heads = np.full(PATH_BITS, -1, np.int64)
        if plan_steps(records, links, first, nodes, counts, depth, buckets, taken, plan, digests, heads):
            break
        steps *= 2
    run_steps(kernel, depth, plan, digests, heads)
    for place in range(taken):
        buckets[place] += np.int64(1) << depth
    hash_levels(kernel, nodes, counts, buckets, taken, depth - top)
    return twin


@njit(nogil=True, cache=True)
def run_steps(kernel: Any, depth: Any, plan: Any, digests: Any, heads: Any) -> None:
    """Compute the hashes that `plan_steps` wrote down, the deepest level first; `digests` is written.

    Rows are asked for when their step is a group ahead of the one that is hashed.
    """
    lanes = node_group(kernel)
    group = np.empty(PAIR_PLAN_ROWS * lanes, np.int64)
    group_at = group.ctypes.data
    for level in range(PATH_BITS - 1, depth - 1, -1):
        step = heads[level]
        ahead = step
        for _ in range(lanes):
            if ahead >= 0:
                prefetch_at(plan[ahead])
                prefetch_at(plan[ahead + 1])
                ahead = plan[ahead + 3]
        filled = 0
        while step >= 0:
            group[filled] = plan[step]
            group[lanes + filled] = plan[step + 1]
            group[2 * lanes + filled] = plan[step + 2]
            step = plan[step + 3]
            if ahead >= 0:
                prefetch_at(plan[ahead])
                prefetch_at(plan[ahead + 1])
                ahead = plan[ahead + 3]
            filled += 1
            if filled == lanes:
                hash_nodes(kernel, group_at)
                filled = 0
        if filled:
            hash_first_nodes(kernel, group, filled)


@njit(nogil=True, cache=True, forceinline=True)
def ask_for_lists(
    place: Any, taken: Any, buckets: Any, first: Any, links: Any, records_at: Any, rows_at: Any
) -> None:
    """Ask for what `plan_steps` reads of buckets after the one at `place`, each link before the one behind it.

    Args:
        rows_at: the address of the row of bucket 0.
    """
    most = np.int64(links.size - 1)
    prefetch(first, np.uint64(buckets[min(place + 3 * _BUCKETS_AHEAD, taken - 1)]))
    bucket = buckets[min(place + 2 * _BUCKETS_AHEAD, taken - 1)]
    prefetch_at(rows_at + ROW * bucket)
    leaf = min(np.int64(first[bucket]), most)
    prefetch(links, np.uint64(leaf))
    prefetch_at(records_at + RECORD * leaf)
    leaf = min(np.int64(first[buckets[min(place + _BUCKETS_AHEAD, taken - 1)]]), most)
    prefetch(links, links[leaf] & np.uint64(END))


@njit(nogil=True, cache=True)
def plan_steps(
    records: Any,
    links: Any,
    first: Any,
    nodes: Any,
    counts: Any,
    depth: Any,
    buckets: Any,
    taken: Any,
    plan: Any,
    digests: Any,
    heads: Any,
) -> Any:
    """Write down every hash that some buckets need, and settle those that need none.

    Args:
        records, links, first, nodes, counts, depth: the tree's; lists are in order.
        buckets: int64, the first `taken` of them.
        plan: int64, STEP_COLUMNS for each step, written.
        digests: uint64, a row for each step: where its digest will be.
        heads: int64 (PATH_BITS,) of −1: for each level the first of its steps (an index into `plan`), written.

    Returns:
        Whether the plan had room for all.
    """
    records_at, nodes_at, digests_at = records.ctypes.data, nodes.ctypes.data, digests.ctypes.data
    bases = records_at, nodes_at, digests_at
    rows = np.empty(PATH_BITS + 2, np.int64)
    meets = np.empty(PATH_BITS + 2, np.int64)
    meets[0] = depth - 1
    step = np.int64(0)
    for place in range(taken):
        ask_for_lists(place, taken, buckets, first, links, records_at, nodes_at + (ROW << depth))
        begin = step
        leaf = np.int64(first[buckets[place]])
        if leaf != END and np.int64(links[leaf] & np.uint64(END)) == END:
            row = records_at + RECORD * leaf + ROW
        else:
            step, row = plan_bucket(bases, links, leaf, depth, plan, heads, rows, meets, begin)
            if step < 0:
                return False
        node = (np.int64(1) << depth) + buckets[place]
        if step > begin:
            plan[step - STEP_COLUMNS + 2] = nodes_at + ROW * node
            counts[node] = 2
        else:
            counts[node] = row != nodes_at
            copy_row(nodes_at + ROW * node, row)
    return True


@njit(nogil=True, cache=True, forceinline=True)
def plan_bucket(
    bases: Any, links: Any, leaf: Any, depth: Any, plan: Any, heads: Any, rows: Any, meets: Any, step: Any
) -> Any:
    """The steps of one bucket, the last of which gives its hash.

    Leaves come in ascending order. The subtrees that still miss their right part lie on a stack, each deeper than the
    one below it: what two neighbours share says at which level they meet, and where nothing else comes between, a
    subtree goes up alone, hashed with an empty one at each level.

    Args:
        bases: the addresses of the records, of the nodes, the first of which is an empty one, and of the digests.
        leaf: the first of the bucket, or END.
        rows, meets: int64, the stack: where the hash of a subtree lies, at which level it meets the one below it.
        step: where the plan goes on.

    Returns:
        Where it goes on afterwards, −1 if there is no room; where the bucket's hash will be, or is if there was no step.
    """
    records_at, nodes_at, digests_at = bases
    top = np.int64(-1)
    row = nodes_at
    while leaf != END:
        if step + 2 * STEP_COLUMNS * PATH_BITS > plan.size:
            return np.int64(-1), row
        record = links[leaf]
        following = shared_bits(record)
        top += 1
        row, level = records_at + RECORD * leaf + ROW, np.int64(PATH_BITS)
        while True:
            meet = meets[top]
            floor = max(meet, following) + 1
            while floor < level < PATH_BITS:
                level -= 1
                aside = bit_below(records_at, leaf, record, depth, level)
                plan[step], plan[step + 1] = (nodes_at, row) if aside else (row, nodes_at)
                row = digests_at + (ROW // STEP_COLUMNS) * step
                plan[step + 2], plan[step + 3] = row, heads[level]
                heads[level] = step
                step += STEP_COLUMNS
            if meet <= following:
                break
            top -= 1
            level = meet
            plan[step], plan[step + 1] = rows[top], row
            row = digests_at + (ROW // STEP_COLUMNS) * step
            plan[step + 2], plan[step + 3] = row, heads[level]
            heads[level] = step
            step += STEP_COLUMNS
        rows[top] = row
        meets[top + 1] = following
        leaf = np.int64(record & np.uint64(END))
    return step, row


@njit(nogil=True, cache=True)
def hash_levels(kernel: Any, nodes: Any, counts: Any, dirty: Any, taken: Any, levels: Any) -> None:
    """Compute the ancestors of some nodes of one level, `levels` levels up.

    Args:
        dirty: int64, the nodes, ascending; overwritten.
        taken: how many they are.
    """
    lanes = node_group(kernel)
    plan = np.empty(PAIR_PLAN_ROWS * lanes, np.int64)
    plan_at, nodes_at = plan.ctypes.data, nodes.ctypes.data
    for _ in range(levels):
        parents, previous = np.int64(0), np.int64(0)
        for place in range(taken):
            # Written anyway and kept if it is not the one before: a branch on that could not be predicted.
            node = dirty[place] >> 1
            parents += np.int64(node != previous)
            dirty[parents - 1] = node
            previous = node
        filled = 0
        for place in range(parents):
            node = dirty[place]
            prefetch_at(nodes_at + RECORD * dirty[min(place + _AHEAD, parents - 1)])
            children = nodes_at + RECORD * node
            plan[filled] = children
            plan[lanes + filled] = children + ROW
            plan[2 * lanes + filled] = nodes_at + ROW * node
            count = np.int64(counts[2 * node]) + np.int64(counts[2 * node + 1])
            counts[node] = min(count, 2)
            # Right where at most one child is not empty, since an empty one is zeros; else the hash is written over it. That
            # too could not be predicted.
            join_rows(nodes_at + ROW * node, children)
            filled += int(count > 1)
            if filled == lanes:
                hash_nodes(kernel, plan_at)
                filled = 0
        if filled:
            hash_first_nodes(kernel, plan, filled)
        taken = parents
