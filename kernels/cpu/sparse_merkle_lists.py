# SPDX-License-Identifier: GPL-3.0-or-later
"""The lists of leaves of dirty buckets: put in order, read out, measured.

A list is nearly always short and in order. Where leaves came or went it is sorted here, in n·log n steps however many
leaves somebody made share a bucket.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from supervm.kernels.cpu.conflicts_table import prefetch, swapped
from supervm.kernels.cpu.sparse_merkle_state import (
    ABSENT,
    END,
    MARKED,
    PATH_BITS,
    WORDS,
    leading_zeros,
    trailing_zeros,
)

_AHEAD = 8
"""Buckets whose lists are asked for before they are read."""


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
def common_bits(paths: Any, a: Any, b: Any) -> Any:
    """How many bits the paths of leaves a and b share from the front: 256 if they are equal."""
    for word in range(WORDS):
        differ = swapped(paths[WORDS * a + word]) ^ swapped(paths[WORDS * b + word])
        if differ:
            return 64 * word + leading_zeros(differ)
    return np.int64(PATH_BITS)


@njit(nogil=True, cache=True, forceinline=True)
def path_bit(paths: Any, leaf: Any, place: Any) -> Any:
    """Bit `place` of a leaf's path."""
    word = swapped(paths[WORDS * leaf + (place >> 6)])
    return (word >> np.uint64(63 - (place & 63))) & np.uint64(1)


@njit(nogil=True, cache=True)
def precedes(paths: Any, a: Any, b: Any) -> Any:
    """Whether the path of leaf a is smaller than that of leaf b."""
    shared = common_bits(paths, a, b)
    return shared < PATH_BITS and path_bit(paths, b, shared) == 1


@njit(nogil=True, cache=True)
def sort_leaves(paths: Any, run: Any, start: Any, stop: Any) -> None:
    """Sort run[start:stop], ids, by path: insertion for a few, else merges of ever longer parts."""
    if stop - start <= 16:
        for end in range(start + 1, stop):
            leaf = run[end]
            place = end
            while place > start and precedes(paths, np.int64(leaf), np.int64(run[place - 1])):
                run[place] = run[place - 1]
                place -= 1
            run[place] = leaf
        return
    source, target = run[start:stop].copy(), run[start:stop]
    length = 1
    while length < source.size:
        for low in range(0, source.size, 2 * length):
            middle, high = min(low + length, source.size), min(low + 2 * length, source.size)
            left, right = low, middle
            for place in range(low, high):
                if left < middle and (
                    right == high or not precedes(paths, np.int64(source[right]), np.int64(source[left]))
                ):
                    target[place] = source[left]
                    left += 1
                else:
                    target[place] = source[right]
                    right += 1
        source[:] = target
        length *= 2


@njit(nogil=True, cache=True)
def put_in_order(paths: Any, links: Any, first: Any, bucket: Any, run: Any, start: Any, stop: Any) -> Any:
    """Take marked leaves out of a bucket's list and sort the others.

    Args:
        run: run[start:stop] holds the ids of the list; the sorted ids that remain are written there.

    Returns:
        Where they end.
    """
    kept = start
    for place in range(start, stop):
        leaf = run[place]
        if links[leaf] & MARKED:
            links[leaf] = ABSENT
        else:
            run[kept] = leaf
            kept += 1
    sort_leaves(paths, run, start, kept)
    following = END
    for place in range(kept - 1, start - 1, -1):
        links[run[place]] = following
        following = run[place]
    first[bucket] = following
    return kept


@njit(nogil=True, cache=True)
def read_lists(
    paths: Any,
    links: Any,
    first: Any,
    depth: Any,
    buckets: Any,
    start: Any,
    stop: Any,
    run: Any,
    shared: Any,
    ends: Any,
) -> Any:
    """Read the lists of buckets `start` to `stop`, as many as `run` has room for.

    Args:
        paths, links, first, depth: the tree's.
        buckets: int64, numbers of buckets.
        run: uint32, written: the ids of their leaves, one bucket after the other, each ascending by path.
        shared: int16, written: the bits that a leaf shares with the next one of its bucket, depth − 1 for the last.
        ends: int64, written: where the leaves of each bucket end in `run`, at the place of the bucket.

    Returns:
        The place of the first bucket that was not read; how many nodes with two leaves and more there are from `depth`
        on; the id of a leaf whose path another leaf has too, or −1.
    """
    filled = np.int64(0)
    nodes = np.int64(0)
    twin = np.int64(-1)
    for place in range(start, stop):
        ahead = first[buckets[min(place + _AHEAD, stop - 1)]]
        prefetch(paths, np.uint64(WORDS) * ahead)
        prefetch(links, np.uint64(ahead))
        prefetch(first, np.uint64(buckets[min(place + 2 * _AHEAD, stop - 1)]))
        begin = filled
        ordered = True
        leaf = first[buckets[place]]
        last = np.uint64(0)
        while leaf != END and filled < run.size:
            following = links[leaf]
            word = swapped(paths[WORDS * np.int64(leaf)])
            ordered &= (following & MARKED) == 0 and word > last
            run[filled] = leaf
            filled += 1
            last = word
            leaf = following & ~MARKED
        if leaf != END:
            return place, nodes, twin
        if not ordered:
            filled = put_in_order(paths, links, first, buckets[place], run, begin, filled)
        before = depth - 1
        for index in range(begin, filled):
            bits = depth - 1
            if index + 1 < filled:
                bits = common_bits(paths, np.int64(run[index]), np.int64(run[index + 1]))
                if bits == PATH_BITS:
                    twin = np.int64(run[index])
                    bits -= 1
            shared[index] = bits
            nodes += max(0, bits - max(before, depth - 1))
            before = bits
        ends[place] = filled
    return stop, nodes, twin
