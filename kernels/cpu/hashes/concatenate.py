# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages with bytes before and behind them, for hashes over more than the message."""

from __future__ import annotations

import numpy as np
from numba import njit

# mypy: disallow_untyped_defs=False


@njit(nogil=True, cache=True)
def prefixed(constant, a, a_row, a_bytes, b, b_row, b_bytes, data, offsets, start, stop):
    """constant ‖ a[i] ‖ b[i] ‖ message i, for i in start … stop − 1.

    Args:
        constant: uint8 (c,), the same for all.
        a, b: flat uint8 rows of a_row and b_row bytes, of which the first a_bytes and b_bytes are taken.
        data, offsets: the messages.

    Returns:
        (uint8 buffer, int64 offsets of stop − start + 1 entries).
    """
    head = constant.size + a_bytes + b_bytes
    count = stop - start
    out = np.empty(count * head + offsets[stop] - offsets[start], np.uint8)
    bounds = np.empty(count + 1, np.int64)
    at = 0
    for index in range(count):
        item = start + index
        bounds[index] = at
        for position in range(constant.size):
            out[at + position] = constant[position]
        at += constant.size
        for position in range(a_bytes):
            out[at + position] = a[item * a_row + position]
        at += a_bytes
        for position in range(b_bytes):
            out[at + position] = b[item * b_row + position]
        at += b_bytes
        begin = offsets[item]
        length = offsets[item + 1] - begin
        for position in range(length):
            out[at + position] = data[begin + position]
        at += length
    bounds[count] = at
    return out, bounds


@njit(nogil=True, cache=True)
def surrounded(before, behind, data, offsets):
    """before ‖ message i ‖ behind for every message, the same bytes for all.

    Args:
        before, behind: uint8.
        data, offsets: the messages.

    Returns:
        (uint8 buffer, int64 offsets of n + 1 entries).
    """
    count = offsets.size - 1
    around = before.size + behind.size
    out = np.empty(count * around + offsets[count] - offsets[0], np.uint8)
    bounds = np.empty(count + 1, np.int64)
    at = 0
    for item in range(count):
        bounds[item] = at
        for position in range(before.size):
            out[at + position] = before[position]
        at += before.size
        begin = offsets[item]
        length = offsets[item + 1] - begin
        for position in range(length):
            out[at + position] = data[begin + position]
        at += length
        for position in range(behind.size):
            out[at + position] = behind[position]
        at += behind.size
    bounds[count] = at
    return out, bounds


@njit(nogil=True, cache=True)
def cut(offsets, most_items, most_bytes):
    """Boundaries of slices of at most `most_items` messages and, beyond their first, `most_bytes` bytes."""
    count = offsets.size - 1
    bounds = np.empty(count + 2, np.int64)
    slices = 0
    start = 0
    bounds[0] = 0
    for item in range(count):
        if item > start and (item - start >= most_items or offsets[item + 1] - offsets[start] > most_bytes):
            slices += 1
            bounds[slices] = item
            start = item
    if count > 0:
        slices += 1
        bounds[slices] = count
    return bounds[: slices + 1]
