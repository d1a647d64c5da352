# SPDX-License-Identifier: GPL-3.0-or-later
"""Pippenger's buckets: digits of scalars, points sorted by digit, and the sum of every bucket.

Pippenger, "On the evaluation of powers and monomials" (SIAM J. Computing 9, 1980); signed digits halve the buckets. A bucket
is summed as a tree: in each round neighbours in the sorted order are paired, and the pairs of all buckets of a block
share inversions (`pair_sums`). A bucket of any size is summed as fast as many small ones, and a block's sums stay in the
second-level cache.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from supervm.kernels.cpu.pair_sums import add_pairs
from supervm.kernels.cpu.rows import EMPTY, NEGATED, SCRATCH, words_in_row

# mypy: disallow_untyped_defs=False

_EMPTY, _NEGATED, _SCRATCH = np.uint32(EMPTY), np.uint32(NEGATED), np.uint32(SCRATCH)


@njit(nogil=True, cache=True)
def significant(scalars):
    """(w0, w1, w2, w3): the words of all scalars joined by or."""
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
            partial = scalars[4 * index + word] + offset[word]
            total = partial + carry
            carry = np.uint64(partial < offset[word]) | np.uint64(total < carry)
            raised[word] = total
        raised[4] = offset[4] + carry
        for window in range(first, last):
            base = (window - first) * half
            for level in range(levels):
                digit = 0
                bit = (window + level * shared) * bits
                if window + level * shared < windows and infinite[index] == 0:
                    word, shift = bit >> 6, np.uint64(bit & 63)
                    value = raised[word] >> shift | (raised[word + 1] << np.uint64(1)) << (np.uint64(63) - shift)
                    digit = np.int64(value & mask) - half
                digits[((window - first) * levels + level) * n + index] = digit
                if digit != 0:
                    starts[base + abs(digit)] += 1
    buckets = (last - first) * half
    for bucket in range(buckets):
        starts[bucket + 1] += starts[bucket]
    place = starts[:buckets].copy()
    for window in range(last - first):
        for level in range(levels):
            for index in range(n):
                digit = digits[(window * levels + level) * n + index]
                if digit != 0:
                    bucket = window * half + abs(digit) - 1
                    entry = np.uint32(level * n + index)
                    entries[place[bucket]] = entry | _NEGATED if digit < 0 else entry
                    place[bucket] += 1


@njit(nogil=True, cache=True)
def copy_row(field, source, row, target, to):
    """Row `row` of `source` to row `to` of `target`."""
    words = words_in_row(field)
    for word in range(words):
        target[to * words + word] = source[row * words + word]


@njit(nogil=True, cache=True)
def _round(field, points, scratch, current, segments, used, pairs, before, cases, room, wary):
    """Add up neighbours of every segment once: (whether any were added, rows in use, wary)."""
    left, right, out = pairs
    room_for = left.size
    count = 0
    any_pairs = False
    for segment in range(segments.shape[0]):
        start, length = segments[segment, 0], segments[segment, 1]
        half = length >> 1
        for pair in range(half):
            first, second = current[start + 2 * pair], current[start + 2 * pair + 1]
            result = first
            if first & _SCRATCH == 0:
                result = _SCRATCH | np.uint32(used)
                used += 1
            left[count], right[count], out[count] = first, second, result
            current[start + pair] = result
            count += 1
            if count == room_for:
                wary = add_pairs(
                    field, points, scratch, left, right, out, count, before, cases, room, wary
                )
                count = 0
                any_pairs = True
        if length & 1:
            current[start + half] = current[start + length - 1]
        segments[segment, 1] = half + (length & 1)
    if count:
        wary = add_pairs(field, points, scratch, left, right, out, count, before, cases, room, wary)
    return any_pairs or count > 0, used, wary


@njit(nogil=True, cache=True)
def sum_buckets(field, points, scratch, sums, entries, starts, found, current, segments, pairs, before, cases, room):
    """The sum of every bucket.

    Args:
        field: the marker of the coordinates' field.
        points: flat uint64, rows.
        scratch: rows, one more than half a block.
        sums: rows, one for each bucket, written where a bucket has several points.
        entries, starts: as `sort_windows` leaves them.
        found: uint32, one for each bucket, written: an entry with `sums` as the second array, or EMPTY.
        current: uint32 (block + 1,), scratch; a block is as many entries as are summed at once.
        segments: int64 (block + 1, 3), scratch.
        pairs, before, cases, room: scratch of `add_pairs`; as many pairs share an inversion as `cases` has groups for.
    """
    buckets = found.size
    block = current.size - 1
    found[:] = _EMPTY
    position, bucket = 0, 0
    carried = _EMPTY
    wary = False
    while position < entries.size and position < starts[buckets]:
        stop = min(position + block, starts[buckets])
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
        used = 1  # row 0 holds the sum of a bucket that the block before did not finish
        more = True
        while more:
            more, used, wary = _round(
                field, points, scratch, current, segments[:count], used, pairs, before, cases, room, wary
            )
        for segment in range(count):
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
