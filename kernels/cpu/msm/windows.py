# SPDX-License-Identifier: GPL-3.0-or-later
"""The two kernels that carry out lists of additions: the sums of windows, and sums of rows with rows."""

from __future__ import annotations

import numpy as np
from numba import njit

from supervm.kernels.cpu.msm.addition_lists import add_pairs
from supervm.kernels.cpu.msm.bucket_reduction import reduce_windows, write_affine
from supervm.kernels.cpu.msm.buckets import sum_buckets
from supervm.kernels.cpu.msm.packed_points import SCRATCH

# mypy: disallow_untyped_defs=False

_SCRATCH = np.uint32(SCRATCH)


@njit(nogil=True, cache=True)
def window_sums(
    curve,
    points,
    scratch,
    sums,
    entries,
    starts,
    found,
    current,
    segments,
    pairs,
    before,
    cases,
    room,
    windows,
    out,
):
    """Σ (b + 1)·S_b over the buckets of every window, as canonical words.

    Args:
        scratch, sums, found, current, segments, pairs, before, cases, room: as `sum_buckets` and `reduce_windows` say.
        points: flat uint64, rows.
        entries, starts: points sorted by window and bucket.
        windows: how many.
        out: flat uint64, a point for each window, written.
    """
    sum_buckets(
        curve, points, scratch, sums, entries, starts, found, current, segments, pairs, before, cases, room
    )
    values = reduce_windows(curve, points, sums, found, windows, pairs, before, cases, room)
    write_affine(curve, points, sums, values, out)


@njit(nogil=True, cache=True)
def add_rows(curve, rows, first, other, step, target, count, doublings, pairs, before, cases, room):
    """Row target + i = row first + i + row other + step·i, for i < count; then doubled that many times.

    Args:
        rows: flat uint64, rows; the targets may be the first rows or beyond all others.
        pairs, before, cases, room: scratch of `add_pairs`.
    """
    left, right, out = pairs
    for start in range(0, count, left.size):
        span = min(left.size, count - start)
        for doubling in range(doublings + 1):
            for index in range(span):
                place = start + index
                left[index] = _SCRATCH | np.uint32((first if doubling == 0 else target) + place)
                right[index] = _SCRATCH | np.uint32(other + step * place if doubling == 0 else target + place)
                out[index] = _SCRATCH | np.uint32(target + place)
            add_pairs(curve, rows, rows, left, right, out, span, before, cases, room, True, out[:0])
