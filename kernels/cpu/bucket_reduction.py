# SPDX-License-Identifier: GPL-3.0-or-later
"""Σ (b + 1)·S_b over the buckets of every window, by running sums of segments that all advance together.

With segments of L = 2^LOG buckets, R_i = Σ_j S_(L·i + j) and T_i = Σ_j (j + 1)·S_(L·i + j), the sum is Σ T_i + L·Σ i·R_i, and
Σ i·R_i is the same problem with L times fewer buckets. Segments of all windows are independent, so that a step over them is
one list of pairs.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from supervm.kernels.cpu import field as fe
from supervm.kernels.cpu import lanes as ln
from supervm.kernels.cpu.pair_sums import add_pairs, lanes_of_field, signed
from supervm.kernels.cpu.rows import EMPTY, SCRATCH, gather, words_in_row, write_coordinates

# mypy: disallow_untyped_defs=False

LOG = 4
"""log₂ of the buckets of a segment."""

_EMPTY, _SCRATCH = np.uint32(EMPTY), np.uint32(SCRATCH)


def reduction_rows(windows: int, buckets: int) -> int:
    """Rows that the reduction needs beyond the sums."""
    rows, left = 1 + windows, buckets
    while left:
        segments = -(-left >> LOG)
        rows += 3 * windows * segments
        left = segments - 1
    return rows


@njit(nogil=True, cache=True)
def _add_lists(field, points, sums, target, other, rows, pairs, before, cases, room, wary):
    """target[i] += other[i] for all i, an EMPTY one being nothing; results go to row rows + i of `sums`."""
    left, right, out = pairs
    room_for = left.size
    count = 0
    for index in range(target.size):
        if other[index] == _EMPTY:
            continue
        if target[index] == _EMPTY:
            target[index] = other[index]
            continue
        left[count], right[count] = target[index], other[index]
        out[count] = target[index] = _SCRATCH | np.uint32(rows + index)
        count += 1
        if count == room_for:
            wary = add_pairs(field, points, sums, left, right, out, count, before, cases, room, wary)
            count = 0
    return add_pairs(field, points, sums, left, right, out, count, before, cases, room, wary)


@njit(nogil=True, cache=True)
def _column(buckets, width, step, segments, windows):
    """Entry `step` of every segment of every window; EMPTY beyond the last bucket."""
    column = np.full(windows * segments, _EMPTY, np.uint32)
    for window in range(windows):
        for segment in range(segments):
            bucket = (segment << LOG) + step
            if bucket < width:
                column[window * segments + segment] = buckets[window * width + bucket]
    return column


@njit(nogil=True, cache=True)
def _total(field, points, sums, totals, windows, rows, pairs, before, cases, room, wary):
    """The sum of each window's entries, as a tree; uses as many rows as there are entries."""
    span = totals.size // windows
    while span > 1:
        half, odd = span >> 1, span & 1
        even = np.empty(windows * (half + odd), np.uint32)
        other = np.full(windows * (half + odd), _EMPTY, np.uint32)
        for window in range(windows):
            for index in range(half + odd):
                even[window * (half + odd) + index] = totals[window * span + 2 * index]
                if 2 * index + 1 < span:
                    other[window * (half + odd) + index] = totals[window * span + 2 * index + 1]
        wary = _add_lists(field, points, sums, even, other, rows, pairs, before, cases, room, wary)
        rows += even.size
        totals = even
        span = half + odd
    return totals, rows, wary


@njit(nogil=True, cache=True)
def reduce_windows(field, points, sums, found, windows, pairs, before, cases, room):
    """The entry of each window's sum.

    Args:
        field: the marker of the coordinates' field.
        points: flat uint64, rows.
        sums: rows: one for each bucket, then as many as `reduction_rows` says, which are overwritten.
        found: uint32, the entries of the buckets, window by window.
        windows: how many.
        pairs, before, cases, room: scratch of `add_pairs`.

    Returns:
        uint32 (windows,); EMPTY where there is no point at all.
    """
    buckets, width = found, found.size // windows
    rows = found.size
    partial = np.full((8, windows), _EMPTY, np.uint32)
    levels = 0
    wary = False
    while width > 0:
        segments = (width + (1 << LOG) - 1) >> LOG
        running = np.full(windows * segments, _EMPTY, np.uint32)
        totals = np.full(windows * segments, _EMPTY, np.uint32)
        for step in range((1 << LOG) - 1, -1, -1):
            column = _column(buckets, width, step, segments, windows)
            wary = _add_lists(field, points, sums, running, column, rows, pairs, before, cases, room, wary)
            wary = _add_lists(
                field, points, sums, totals, running, rows + running.size, pairs, before, cases, room, wary
            )
        rows += 2 * running.size
        totals, rows, wary = _total(field, points, sums, totals, windows, rows, pairs, before, cases, room, wary)
        partial[levels] = totals
        levels += 1
        buckets = running.reshape(windows, segments)[:, 1:].copy().reshape(-1)
        width = segments - 1
    value = partial[levels - 1].copy()
    for level in range(levels - 2, -1, -1):
        for _ in range(LOG):
            _add_lists(field, points, sums, value, value, rows, pairs, before, cases, room, True)
        _add_lists(field, points, sums, value, partial[level], rows, pairs, before, cases, room, wary)
    return value


@njit(nogil=True, cache=True)
def write_affine(field, points, sums, entries, out):
    """Canonical words of the points that entries name, zeros for infinity and EMPTY.

    Args:
        points, sums: flat uint64, rows.
        entries: uint32 (n,).
        out: flat uint64, two coordinates each, written.
    """
    width = ln.lane_width(lanes_of_field(field))
    n = entries.size
    names = np.zeros(width, np.uint32)
    nothing = np.full(words_in_row(field), np.uint64(0xFFFFFFFFFFFFFFFF), np.uint64)
    for first in range(0, n, width):
        for lane in range(width):
            names[lane] = entries[min(first + lane, n - 1)]
        empty = False
        for lane in range(width):
            empty |= names[lane] == _EMPTY
        if empty:  # lane by lane, the missing ones from a row of their own
            for lane in range(min(width, n - first)):
                one = names[lane]
                if one == _EMPTY:
                    _write(field, nothing, nothing, np.zeros(width, np.uint32), first + lane, first + lane + 1, out)
                else:
                    _write(field, points, sums, np.full(width, one, np.uint32), first + lane, first + lane + 1, out)
        else:
            _write(field, points, sums, names, first, n, out)


@njit(nogil=True, cache=True)
def _write(field, points, sums, names, first, stop, out):
    x, y, negated, infinite = gather(field, points, sums, names, 0)
    write_coordinates(out, first, stop, fe.to_words(x), fe.to_words(signed(field, y, negated)), infinite)
