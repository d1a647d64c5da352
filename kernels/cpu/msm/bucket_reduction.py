# SPDX-License-Identifier: GPL-3.0-or-later
"""Σ (b + 1)·S_b over the buckets of every window, by running sums of segments that all advance together.

With segments of L = 2^LOG buckets, R_i = Σ_j S_(L·i + j) and T_i = Σ_j (j + 1)·S_(L·i + j), the sum is Σ T_i + L·Σ i·R_i,
and Σ i·R_i is the same problem with L times fewer buckets. Segments of all windows are independent, so that a step over
them is one list of pairs.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from supervm.kernels.cpu.curves.curve import base_field, lanes_of
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.cpu.msm.addition_lists import add_pairs, signed_point
from supervm.kernels.cpu.msm.packed_points import EMPTY, SCRATCH, gather, words_in_row, write_coordinates

# mypy: disallow_untyped_defs=False

LOG = 4
"""log₂ of the buckets of a segment."""

_LEVELS = 8
"""Levels at most: 16^8 buckets."""

_EMPTY, _SCRATCH = np.uint32(EMPTY), np.uint32(SCRATCH)


def reduction_rows(windows: int, buckets: int) -> int:
    """Rows that the reduction needs beyond the sums."""
    rows, left = 1 + windows, buckets
    while left:
        segments = -(-left >> LOG)
        rows += windows * (3 * segments + segments.bit_length())
        left = segments - 1
    return rows


@njit(nogil=True, cache=True)
def _list_sums(target, other, first, rows, left, right, out):
    """List the additions target[i] += other[i], from i = first on, until the lists are full or all are listed.

    Where one of the two is EMPTY the other is the sum. Results go to row rows + i.

    Returns:
        (additions listed, index to go on with).
    """
    count = 0
    while first < target.size and count < left.size:
        if target[first] == _EMPTY:
            target[first] = other[first]
        elif other[first] != _EMPTY:
            left[count], right[count] = target[first], other[first]
            out[count] = target[first] = _SCRATCH | np.uint32(rows + first)
            count += 1
        first += 1
    return count, first


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
def _halve(totals, windows):
    """(entries of even, of odd place) of each window; EMPTY where the last even one has no neighbour."""
    span = totals.size // windows
    half = (span + 1) >> 1
    even = np.empty(windows * half, np.uint32)
    odd = np.full(windows * half, _EMPTY, np.uint32)
    for window in range(windows):
        for index in range(half):
            even[window * half + index] = totals[window * span + 2 * index]
            if 2 * index + 1 < span:
                odd[window * half + index] = totals[window * span + 2 * index + 1]
    return even, odd


_STEPS = 1 << LOG


@njit(nogil=True, cache=True, inline="always")
def reduce_windows(curve, points, sums, found, windows, pairs, before, cases, room):
    """The entry of each window's sum.

    Args:
        curve: a `Curve` marker.
        points: flat uint64, rows.
        sums: rows: one for each bucket, then as many as `reduction_rows` says, which are overwritten.
        found: uint32, the entries of the buckets, window by window.
        windows: how many.
        pairs, before, cases, room: scratch of `add_pairs`.

    Returns:
        uint32 (windows,); EMPTY where there is no point at all.

    The additions are listed by four kinds of step, which alternate so that the code that carries them out is there once:
    running sums, their totals, the tree of the totals; then doublings and additions on the way back.
    """
    left, right, out = pairs
    buckets, width = found, found.size // windows
    rows = found.size
    partial = np.full(_LEVELS * windows, _EMPTY, np.uint32)
    level, step = 0, 0
    segments = (width + _STEPS - 1) >> LOG
    running = np.full(windows * segments, _EMPTY, np.uint32)
    totals = np.full(windows * segments, _EMPTY, np.uint32)
    target, other, base = running, running, rows
    wary, back, done = False, False, False
    while not done:
        if not back and step < 2 * _STEPS:
            if step & 1 == 0:
                target, base = running, rows
                other = _column(buckets, width, _STEPS - 1 - (step >> 1), segments, windows)
            else:
                target, other, base = totals, running, rows + running.size
            step += 1
        elif not back and totals.size > windows:
            if step == 2 * _STEPS:
                rows += 2 * running.size
                step += 1
            totals, other = _halve(totals, windows)
            target, base = totals, rows
            rows += totals.size
        elif not back:
            if step == 2 * _STEPS:
                rows += 2 * running.size
            _copy(totals, 0, partial, level * windows, windows)
            if segments > 1:
                level += 1
                step = 0
                buckets = _without_first(running, windows)
                width = segments - 1
                segments = (width + _STEPS - 1) >> LOG
                running = np.full(windows * segments, _EMPTY, np.uint32)
                totals = np.full(windows * segments, _EMPTY, np.uint32)
                target = other = running
            else:
                back = True
                step = 0
                target = totals
                other = np.full(windows, _EMPTY, np.uint32)
                base = rows
        elif level > 0:
            if step < LOG:
                other = target
                wary = True
                step += 1
            else:
                level -= 1
                step = 0
                other = np.empty(windows, np.uint32)
                _copy(partial, level * windows, other, 0, windows)
        else:
            done = True
            other = np.full(windows, _EMPTY, np.uint32)
        first = 0
        while first < target.size:
            listed, first = _list_sums(target, other, first, base, left, right, out)
            wary = add_pairs(
                curve, points, sums, left, right, out, listed, before, cases, room, wary, other[:0]
            )
    return target


@njit(nogil=True, cache=True)
def _copy(source, first, target, to, count):
    for index in range(count):
        target[to + index] = source[first + index]


@njit(nogil=True, cache=True)
def _without_first(running, windows):
    """All but the first entry of each window."""
    segments = running.size // windows
    rest = np.empty(windows * (segments - 1), np.uint32)
    for window in range(windows):
        for segment in range(1, segments):
            rest[window * (segments - 1) + segment - 1] = running[window * segments + segment]
    return rest


@njit(nogil=True, cache=True)
def write_affine(curve, points, sums, entries, out):
    """Canonical words of the points that entries name, zeros for infinity and EMPTY.

    Args:
        points, sums: flat uint64, rows.
        entries: uint32 (n,).
        out: flat uint64, two coordinates each, written.
    """
    field = base_field(curve)
    width = ln.lane_width(lanes_of(curve))
    names = np.zeros(width, np.uint32)
    nothing = np.full(words_in_row(field), np.uint64(0xFFFFFFFFFFFFFFFF), np.uint64)
    index = 0
    while index < entries.size:
        # A group of lanes together, but one that is EMPTY by itself, since its row is in an array of its own.
        empty = entries[index] == _EMPTY
        span = 1
        while not empty and span < min(width, entries.size - index) and entries[index + span] != _EMPTY:
            span += 1
        for lane in range(width):
            names[lane] = np.uint32(0) if empty else entries[index + min(lane, span - 1)]
        source = nothing if empty else points
        x, y, negated, infinite = gather(field, source, sums, names, 0)
        x, y = signed_point(curve, x, y, negated)
        write_coordinates(out, index, index + span, fe.to_words(x), fe.to_words(y), infinite)
        index += span
