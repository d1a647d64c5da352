# SPDX-License-Identifier: GPL-3.0-or-later
"""The lists of leaves of dirty buckets: put in order, read out, measured.

A list is nearly always short. Where leaves came or went it is sorted here, in n·log n steps however many leaves somebody
made share a bucket.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from supervm.kernels.cpu.conflicts_table import prefetch, swapped
from supervm.kernels.cpu.sparse_merkle_state import (
    ABSENT,
    END,
    HINT_BITS,
    LINK,
    MARKED,
    PATH_BITS,
    RECORD,
    RECORD_WORDS,
    WORDS,
    leading_zeros,
    trailing_zeros,
    word_at,
)

_AHEAD = 8
"""Buckets by which one link of a list is asked for before the next one is."""

_ID_SHIFT = np.uint64(32)
_HINT = np.uint64(LINK)
"""An entry of a run: an id and its hint."""


@njit(nogil=True, cache=True)
def take_dirty(dirty: Any, start: Any, stop: Any, out: Any) -> Any:
    """The numbers of the bits that are set in words `start` to `stop`, ascending, in `out`; how many. Clears them."""
    count = np.int64(0)
    for word in range(start, stop):
        bits = dirty[word]
        dirty[word] = 0
        while bits:
            out[count] = 64 * word + trailing_zeros(bits)
            count += 1
            bits &= bits - np.uint64(1)
    return count


@njit(nogil=True, cache=True, forceinline=True)
def common_bits(records_at: Any, a: Any, b: Any) -> Any:
    """How many bits the paths of leaves a and b share from the front: 256 if they are equal.

    Args:
        records_at: the address of the records.
    """
    for word in range(WORDS):
        differ = swapped(word_at(records_at + RECORD * a + 8 * word)) ^ swapped(word_at(records_at + RECORD * b + 8 * word))
        if differ:
            return 64 * word + leading_zeros(differ)
    return np.int64(PATH_BITS)


@njit(nogil=True, cache=True, forceinline=True)
def path_bit(records_at: Any, leaf: Any, place: Any) -> Any:
    """Bit `place` of a leaf's path."""
    word = swapped(word_at(records_at + RECORD * leaf + 8 * (place >> 6)))
    return (word >> np.uint64(63 - (place & 63))) & np.uint64(1)


@njit(nogil=True, cache=True)
def precedes(records_at: Any, a: Any, b: Any) -> Any:
    """Whether the path of leaf a is smaller than that of leaf b."""
    shared = common_bits(records_at, a, b)
    return shared < PATH_BITS and path_bit(records_at, b, shared) == 1


@njit(nogil=True, cache=True, forceinline=True)
def entry_id(entry: Any) -> Any:
    """The id in an entry of a run."""
    return np.int64(entry >> _ID_SHIFT)


@njit(nogil=True, cache=True, forceinline=True)
def entry_shared(entry: Any) -> Any:
    """How many bits the entry's path shares with that of the next one in its bucket."""
    return np.int64((entry >> np.uint64(HINT_BITS)) & np.uint64(PATH_BITS - 1))


@njit(nogil=True, cache=True, forceinline=True)
def entry_bit(records_at: Any, entry: Any, depth: Any, place: Any) -> Any:
    """Bit `place` of the entry's path, from `depth` on."""
    if place < depth + HINT_BITS:
        return (entry >> np.uint64(depth + HINT_BITS - 1 - place)) & np.uint64(1)
    return path_bit(records_at, entry_id(entry), place)


@njit(nogil=True, cache=True)
def sort_entries(records_at: Any, run: Any, start: Any, stop: Any) -> None:
    """Sort run[start:stop] by path: insertion for a few, else merges of ever longer parts."""
    if stop - start <= 16:
        for end in range(start + 1, stop):
            entry = run[end]
            place = end
            while place > start and precedes(records_at, entry_id(entry), entry_id(run[place - 1])):
                run[place] = run[place - 1]
                place -= 1
            run[place] = entry
        return
    source, target = run[start:stop].copy(), run[start:stop]
    length = 1
    while length < source.size:
        for low in range(0, source.size, 2 * length):
            middle, high = min(low + length, source.size), min(low + 2 * length, source.size)
            left, right = low, middle
            for place in range(low, high):
                if left < middle and (
                    right == high or not precedes(records_at, entry_id(source[right]), entry_id(source[left]))
                ):
                    target[place] = source[left]
                    left += 1
                else:
                    target[place] = source[right]
                    right += 1
        source[:] = target
        length *= 2


@njit(nogil=True, cache=True)
def put_in_order(
    records: Any, links: Any, first: Any, depth: Any, bucket: Any, run: Any, start: Any, stop: Any
) -> Any:
    """Take marked leaves out of a bucket's list, sort the others and give them their hints.

    Args:
        run: run[start:stop] are the entries of the list; those that remain are written there in order.

    Returns:
        Where they end; the id of a leaf whose path another one has too, or −1.
    """
    kept = start
    for place in range(start, stop):
        leaf = entry_id(run[place])
        if links[leaf] & np.uint64(MARKED):
            links[leaf] = ABSENT
        else:
            run[kept] = run[place]
            kept += 1
    records_at = records.ctypes.data
    sort_entries(records_at, run, start, kept)
    following = np.int64(END)
    twin = np.int64(-1)
    for place in range(kept - 1, start - 1, -1):
        leaf = entry_id(run[place])
        bits = depth - 1
        if following != END:
            bits = common_bits(records_at, leaf, following)
            if bits == PATH_BITS:
                twin = leaf
                bits -= 1
        # Depths are below 32, which is what ids have room for.
        some = swapped(records[RECORD_WORDS * leaf]) << np.uint64(depth)
        hint = np.uint64(bits << HINT_BITS) | (some >> np.uint64(64 - HINT_BITS))
        links[leaf] = (hint << _ID_SHIFT) | np.uint64(following)
        run[place] = (np.uint64(leaf) << _ID_SHIFT) | hint
        following = leaf
    first[bucket] = following
    return kept, twin


@njit(nogil=True, cache=True)
def read_lists(
    records: Any,
    links: Any,
    first: Any,
    nodes: Any,
    depth: Any,
    buckets: Any,
    start: Any,
    stop: Any,
    run: Any,
    ends: Any,
) -> Any:
    """Read the lists of buckets `start` to `stop`, as many as `run` has room for, and put those in order that changed.

    Args:
        records, links, first, nodes, depth: the tree's; nodes are only asked for.
        buckets: int64, numbers of buckets.
        run: uint64, written: an entry for each of their leaves, one bucket after the other, each ascending by path.
        ends: int64, written: where the leaves of each bucket end in `run`, at the place of the bucket.

    Returns:
        The place of the first bucket that was not read; how many nodes with two leaves and more there are from `depth`
        on; the id of a leaf whose path another leaf has too, or −1.
    """
    filled = np.int64(0)
    steps = np.int64(0)
    twin = np.int64(-1)
    most = np.int64(links.size - 1)
    for place in range(start, stop):
        prefetch(first, np.uint64(buckets[min(place + 3 * _AHEAD, stop - 1)]))
        bucket = buckets[min(place + 2 * _AHEAD, stop - 1)]
        prefetch(nodes, np.uint64(WORDS * ((np.int64(1) << depth) + bucket)))
        ahead = min(np.int64(first[bucket]) & ~MARKED, most)
        prefetch(links, np.uint64(ahead))
        ahead = min(np.int64(first[buckets[min(place + _AHEAD, stop - 1)]]) & ~MARKED, most)
        ahead = np.int64(links[ahead]) & ~MARKED & LINK
        prefetch(links, np.uint64(ahead))
        begin = filled
        head = np.int64(first[buckets[place]])
        leaf = head & ~MARKED
        while leaf != END and filled < run.size:
            record = links[leaf]
            run[filled] = (np.uint64(leaf) << _ID_SHIFT) | (record >> _ID_SHIFT)
            filled += 1
            leaf = np.int64(record & np.uint64(END))
        if leaf != END:
            return place, steps, twin
        if head & MARKED:
            filled, found = put_in_order(records, links, first, depth, buckets[place], run, begin, filled)
            twin = max(twin, found)
        before = depth - 1
        for index in range(begin, filled):
            bits = entry_shared(run[index])
            steps += max(0, bits - max(before, depth - 1))
            before = bits
        ends[place] = filled
    return stop, steps, twin
