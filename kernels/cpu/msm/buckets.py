# SPDX-License-Identifier: GPL-3.0-or-later
"""Pippenger's buckets: digits of scalars, points sorted by digit, and the sum of every bucket.

Pippenger, "On the evaluation of powers and monomials" (SIAM J. Computing 9, 1980); signed digits halve the buckets. A bucket
is summed as a tree: in each round neighbours in the sorted order are paired, and the pairs of all buckets of a block
share inversions (`pair_sums`). A bucket of any size is summed as fast as many small ones, and a block's sums stay in the
second-level cache.

Indices are unsigned where there is one for each entry: a signed one is compared with 0 first.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from supervm.kernels.cpu.curves.curve import base_field
from supervm.kernels.cpu.msm.addition_lists import add_pairs
from supervm.kernels.cpu.msm.packed_points import EMPTY, NEGATED, SCRATCH, words_in_row

# mypy: disallow_untyped_defs=False

_EMPTY, _NEGATED, _SCRATCH = np.uint32(EMPTY), np.uint32(NEGATED), np.uint32(SCRATCH)


@njit(nogil=True, cache=True)
def significant(scalars):
    """uint64 (4,): the words of all scalars joined by or."""
    joined = np.zeros(4, np.uint64)
    for index in range(scalars.size // 4):
        for word in range(4):
            joined[word] |= scalars[4 * index + word]
    return joined


@njit(nogil=True, cache=True)
def sort_windows(scalars, infinite, offset, bits, windows, shared, first, last, digits, entries, starts):
    """Points sorted by window and bucket, for windows first … last − 1.

    A scalar plus `offset` = Σ 2^(bits − 1)·2^(bits·w) has the digit d + 2^(bits − 1) in window w, where d is the scalar's
    signed digit: every window can be read by itself.

    Args:
        scalars: flat uint64, four words each.
        infinite: uint8, one for each scalar; where it is set the point is left out.
        offset: uint64 (5,), with windows · bits bits.
        bits: of a window.
        windows: of a scalar.
        shared: windows that have buckets of their own; window w shares those of w mod shared, with the points of row
            (w div shared)·n + i.
        digits: int32, scratch: n for each window that is sorted and each that shares with it.
        entries: uint32, written, of the same size.
        starts: int64 ((last − first)·2^(bits − 1) + 1,), written: where each bucket's entries begin.
    """
    n = infinite.size
    levels = (windows + shared - 1) // shared
    half = 1 << (bits - 1)
    mask = np.uint64(2 * half - 1)
    starts[:] = 0
    raised = np.zeros(7, np.uint64)
    for index in range(n):
        carry = np.uint64(0)
        for word in range(4):
            partial = scalars[np.uint64(4 * index + word)] + offset[word]
            total = partial + carry
            carry = np.uint64(partial < offset[word]) | np.uint64(total < carry)
            raised[word] = total
        raised[4] = offset[4] + carry
        for window in range(first, last):
            base = (window - first) * half
            at = np.uint64((window - first) * levels * n + index)
            for level in range(levels):
                digit = 0
                bit = np.uint64((window + level * shared) * bits)
                if window + level * shared < windows and infinite[index] == 0:
                    low, shift = bit >> np.uint64(6), bit & np.uint64(63)
                    above = raised[low + np.uint64(1)] << np.uint64(1) << (np.uint64(63) - shift)
                    digit = np.int64((raised[low] >> shift | above) & mask) - half
                digits[at] = digit
                at += np.uint64(n)
                starts[np.uint64(base + abs(digit))] += digit != 0
    buckets = (last - first) * half
    for bucket in range(buckets):
        starts[bucket + 1] += starts[bucket]
    places = starts[:-1].copy()
    for window in range(last - first):
        for level in range(levels):
            row = digits[(window * levels + level) * n : (window * levels + level + 1) * n]
            for index in range(n):
                digit = row[index]
                if digit != 0:
                    to = np.uint64(window * half + abs(digit) - 1)
                    place = places[to]
                    entries[np.uint64(place)] = np.uint32(level * n + index) | np.uint32(digit) & _NEGATED
                    places[to] = place + 1


@njit(nogil=True, cache=True)
def copy_row(field, source, row, target, to):
    """Row `row` of `source` to row `to` of `target`."""
    words = words_in_row(field)
    for word in range(words):
        target[to * words + word] = source[row * words + word]


@njit(nogil=True, cache=True)
def pair_up(current, segments, segment, first, used, left, right, out):
    """List pairs of neighbours, from pair `first` of segment `segment` on, until the lists are full or all are listed.

    Returns:
        (pairs listed, segment and pair to go on with, rows of scratch in use).
    """
    count, room, one = np.uint64(0), np.uint64(left.size), np.uint64(1)
    while segment < len(segments) and count < room:
        start, length = np.uint64(segments[segment, 0]), np.uint64(segments[segment, 1])
        half = length >> one
        pair = np.uint64(first)
        last = min(half, pair + room - count)
        while pair < last:
            a, b = current[start + pair + pair], current[start + pair + pair + one]
            fresh = a & _SCRATCH == 0
            result = _SCRATCH | np.uint32(used) if fresh else a
            used += np.int64(fresh)
            left[count], right[count], out[count] = a, b, result
            current[start + pair] = result
            count += one
            pair += one
        first = np.int64(last)
        if last == half:
            odd = length & one
            if odd:
                current[start + half] = current[start + length - one]
            segments[segment, 1] = half + odd
            segment += 1
            first = 0
    return np.int64(count), segment, first, used


@njit(nogil=True, cache=True)
def next_block(entries, starts, position, bucket, carried, current, segments):
    """Copy entries from `position` on to `current`, as many as it has room for beside `carried`, and mark their buckets.

    Returns:
        (segments, position and bucket to go on with).
    """
    stop = min(position + current.size - 1, starts[starts.size - 1])
    count, at = 0, 0
    while position < stop:
        end = min(starts[bucket + 1], stop)
        if end > position:
            segments[count, 0] = at
            if carried != _EMPTY:
                current[at] = carried
                at += 1
                carried = _EMPTY
            for index in range(position, end):
                current[at] = entries[index]
                at += 1
            segments[count, 1] = at - segments[count, 0]
            segments[count, 2] = bucket
            count += 1
            position = end
        if position == starts[bucket + 1]:
            bucket += 1
    return count, position, bucket


@njit(nogil=True, cache=True)
def keep_sums(field, scratch, sums, starts, position, current, segments, found):
    """Move the sum of every bucket of a block to where it stays; that of a bucket which goes on is returned as an entry, its
    row at the start of `scratch`."""
    carried = _EMPTY
    for segment in range(len(segments)):
        entry, owner = current[segments[segment, 0]], segments[segment, 2]
        in_scratch = entry & _SCRATCH != 0
        row = np.int64(entry & (_SCRATCH - np.uint32(1)))
        if position < starts[owner + 1]:
            if in_scratch:
                copy_row(field, scratch, row, scratch, 0)
            carried = _SCRATCH if in_scratch else entry
        else:
            if in_scratch:
                copy_row(field, scratch, row, sums, owner)
            found[owner] = _SCRATCH | np.uint32(owner) if in_scratch else entry
    return carried


@njit(nogil=True, cache=True, inline="always")
def sum_buckets(
    curve, points, scratch, sums, entries, starts, found, current, segments, pairs, before, cases, room
):
    """The sum of every bucket.

    Args:
        curve: a `Curve` marker.
        points: flat uint64, rows.
        scratch: rows, one more than half a block.
        sums: rows, one for each bucket, written where a bucket has several points.
        entries, starts: as `sort_windows` leaves them.
        found: uint32, one for each bucket, written: an entry with `sums` as the second array, or EMPTY.
        current: uint32 (block + 1,), scratch; a block is as many entries as are summed at once.
        segments: int64 (block + 1, 3), scratch.
        pairs, before, cases, room: scratch of `add_pairs`; as many pairs share an inversion as `pairs` have room for.
    """
    left, right, out = pairs
    found[:] = _EMPTY
    position, bucket = 0, 0
    carried = _EMPTY
    wary = False
    while position < starts[starts.size - 1]:
        count, position, bucket = next_block(entries, starts, position, bucket, carried, current, segments)
        used = 1  # row 0 of scratch holds the sum of a bucket that the block before did not finish
        added = True
        coming = entries[position : min(position + current.size - 1, starts[starts.size - 1])]
        while added:
            added = False
            segment, first = 0, 0
            while segment < count:
                listed, segment, first, used = pair_up(
                    current, segments[:count], segment, first, used, left, right, out
                )
                added = added or listed > 0
                wary = add_pairs(
                    curve, points, scratch, left, right, out, listed, before, cases, room, wary, coming
                )
                coming = entries[:0]
        carried = keep_sums(
            base_field(curve), scratch, sums, starts, position, current, segments[:count], found
        )
