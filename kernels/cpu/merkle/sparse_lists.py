# SPDX-License-Identifier: GPL-3.0-or-later
"""Dirty buckets and their lists of leaves.

A list is nearly always short. Where leaves came or went it is sorted here, in n·log n steps however many leaves somebody
made share a bucket.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from supervm.kernels.cpu.lanes.cache_lines import swapped
from supervm.kernels.cpu.merkle.sparse_state import (
    ABSENT,
    END,
    HINT_BITS,
    HINT_SHIFT,
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
        differ = swapped(word_at(records_at + RECORD * a + 8 * word)) ^ swapped(
            word_at(records_at + RECORD * b + 8 * word)
        )
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
def shared_bits(record: Any) -> Any:
    """From a leaf's link and hint: how many bits its path shares with that of the next one of its bucket."""
    return np.int64((record >> np.uint64(HINT_SHIFT + HINT_BITS)) & np.uint64(PATH_BITS - 1))


@njit(nogil=True, cache=True, forceinline=True)
def bit_below(records_at: Any, leaf: Any, record: Any, depth: Any, place: Any) -> Any:
    """Bit `place` of a leaf's path, from `depth` on, where its hint has it or else where its path lies."""
    if place < depth + HINT_BITS:
        return (record >> np.uint64(HINT_SHIFT + HINT_BITS - 1 + depth - place)) & np.uint64(1)
    return path_bit(records_at, leaf, place)


@njit(nogil=True, cache=True)
def sort_leaves(records_at: Any, run: Any) -> None:
    """Sort ids by path: insertion for a few, else merges of ever longer parts."""
    if run.size <= 16:
        for end in range(1, run.size):
            leaf = run[end]
            place = end
            while place > 0 and precedes(records_at, leaf, run[place - 1]):
                run[place] = run[place - 1]
                place -= 1
            run[place] = leaf
        return
    source = run.copy()
    length = 1
    while length < run.size:
        for low in range(0, run.size, 2 * length):
            middle, high = min(low + length, run.size), min(low + 2 * length, run.size)
            left, right = low, middle
            for place in range(low, high):
                if left < middle and (right == high or not precedes(records_at, source[right], source[left])):
                    run[place] = source[left]
                    left += 1
                else:
                    run[place] = source[right]
                    right += 1
        source[:] = run
        length *= 2


@njit(nogil=True, cache=True)
def put_in_order(records: Any, links: Any, first: Any, depth: Any, bucket: Any) -> Any:
    """Take marked leaves out of a bucket's list, sort the others and give them their hints.

    Returns:
        The id of a leaf whose path another one has too, or −1.
    """
    count = np.int64(0)
    leaf = np.int64(first[bucket]) & ~MARKED
    while leaf != END:
        count += 1
        leaf = np.int64(links[leaf]) & END
    run = np.empty(count, np.int64)
    kept = np.int64(0)
    leaf = np.int64(first[bucket]) & ~MARKED
    while leaf != END:
        link = np.int64(links[leaf]) & LINK
        if link & MARKED:
            links[leaf] = ABSENT
        else:
            run[kept] = leaf
            kept += 1
        leaf = link & END
    records_at = records.ctypes.data
    sort_leaves(records_at, run[:kept])
    following = np.int64(END)
    twin = np.int64(-1)
    for place in range(kept - 1, -1, -1):
        leaf = run[place]
        shared = depth - 1
        if following != END:
            shared = common_bits(records_at, leaf, following)
            if shared == PATH_BITS:
                twin = leaf
                shared -= 1
        # Depths are below 32: there are no more ids.
        rest = swapped(records[RECORD_WORDS * leaf]) << np.uint64(depth)
        hint = np.uint64(shared << HINT_BITS) | (rest >> np.uint64(64 - HINT_BITS))
        links[leaf] = (hint << np.uint64(HINT_SHIFT)) | np.uint64(following)
        following = leaf
    first[bucket] = following
    return twin
