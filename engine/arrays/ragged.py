# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns of byte strings: taking rows, joining, repeating."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from supervm.crypto.messages import Messages
from supervm.kernels.array_types import Bytes, Offsets
from supervm.kernels.arrays import borrow


def lengths(messages: Messages) -> Offsets:
    """Bytes of each message, int64 (n,)."""
    found: Offsets = np.diff(messages.offsets)
    return found


def offsets_of(counts: Offsets) -> Offsets:
    """Offsets from 0, int64 (n + 1,), of items of these sizes, int64 (n,)."""
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def part(messages: Messages, start: int, stop: int) -> Messages:
    """Messages start … stop − 1, which share the bytes of all."""
    return Messages(messages.data, messages.offsets[start : stop + 1])


def taken(messages: Messages, rows: Offsets) -> Messages:
    """A copy of the messages at these indices, int64 (m,), each within 0 … n − 1."""
    offsets = offsets_of(lengths(messages)[rows])
    data = np.empty(int(offsets[-1]), np.uint8)
    gather(borrow(messages.data), borrow(messages.offsets), borrow(rows), offsets, data)
    return Messages(data, offsets)


def taken_rows(messages: Messages, rows: Offsets, width: int) -> Bytes:
    """The messages at these indices, each of `width` bytes, as uint8 (m, width)."""
    found: Bytes = taken(messages, rows).data.reshape(len(rows), width)
    return found


def spread(offsets: Offsets, rows: Offsets) -> tuple[Offsets, Offsets]:
    """Which items the rows at these indices have.

    Args:
        offsets: int64 (n + 1,); row i has the items offsets[i] … offsets[i + 1] − 1.
        rows: int64 (m,).

    Returns:
        (offsets of the taken rows from 0, int64 (m + 1,); the items in their order, int64).
    """
    counts = np.diff(offsets)[rows]
    found = offsets_of(counts)
    items = np.arange(found[-1], dtype=np.int64) + np.repeat(offsets[rows] - found[:-1], counts)
    return found, items


def joined(parts: Sequence[Messages]) -> Messages:
    """All messages of all parts, in order, in one buffer."""
    bounds = [(int(each.offsets[0]), int(each.offsets[-1])) for each in parts]
    starts = np.cumsum([0, *(stop - start for start, stop in bounds)])
    data = [each.data[start:stop] for each, (start, stop) in zip(parts, bounds, strict=True)]
    offsets = [
        each.offsets[:-1] + (at - start)
        for each, (start, _), at in zip(parts, bounds, starts[:-1], strict=True)
    ]
    empty = np.zeros(0, np.uint8)
    return Messages(np.concatenate([empty, *data]), np.concatenate([*offsets, starts[-1:]]))


def joined_offsets(parts: Sequence[Offsets]) -> Offsets:
    """Offsets, each from 0, of parts whose items are joined in order."""
    starts = np.cumsum([0, *(int(each[-1]) for each in parts)])
    return np.concatenate(
        [*(each[:-1] + at for each, at in zip(parts, starts[:-1], strict=True)), starts[-1:]]
    )


def repeated(data: bytes, count: int) -> Messages:
    """`count` times the same message."""
    return Messages(
        np.tile(np.frombuffer(data, np.uint8), count), np.arange(count + 1, dtype=np.int64) * len(data)
    )


def equal(a: Messages, b: Messages) -> bool:
    """Whether two columns hold the same messages, wherever those lie in their buffers."""
    return np.array_equal(lengths(a), lengths(b)) and np.array_equal(
        a.data[a.offsets[0] : a.offsets[-1]], b.data[b.offsets[0] : b.offsets[-1]]
    )


@njit(nogil=True, cache=True)
def gather(data, offsets, rows, out_offsets, out):  # type: ignore[no-untyped-def]
    """Copy message rows[k] of (data, offsets) to out[out_offsets[k]:]."""
    for k in range(rows.size):
        # Unsigned, since a test for a negative index in the loop would keep it from being copied in words.
        source, to = np.uint64(offsets[rows[k]]), np.uint64(out_offsets[k])
        for position in range(np.uint64(out_offsets[k + 1] - out_offsets[k])):
            out[to + position] = data[source + position]


@njit(nogil=True, cache=True)
def ascending(offsets, most):  # type: ignore[no-untyped-def]
    """Whether no offset is below the one before it, or more than `most` above."""
    wrong = 0
    for k in range(1, offsets.size):
        wrong += (offsets[k] < offsets[k - 1]) | (offsets[k] - offsets[k - 1] > most)
    return wrong == 0
