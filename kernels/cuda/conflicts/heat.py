# SPDX-License-Identifier: GPL-3.0-or-later
"""The most accessed keys on a device: a radix select by count descending, then key ascending.

Digit by digit from the highest, a histogram of the candidates says where the limit falls: lower digits are hot for
certain, higher ones are not, equal ones remain. Eight bits a digit, not more: a histogram of 256 numbers fits the shared
memory of a block, so that a digit in which all candidates agree, as high bytes of counts do, costs no contention beyond a
block; candidates are fewer by a factor of up to 256 a level, so the first levels cost nearly all. What remains when
there are few is ranked on the host.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from supervm.kernels.accesses import HOT_KEYS
from supervm.kernels.cuda.runtime.device import Buffer, Stream
from supervm.kernels.cuda.runtime.radix_sort import (
    BUFFER_BYTES,
    DIGITS,
    GROUP,
    MOST_BLOCKS,
    PROGRAM,
    fetch,
    within,
)

FEW = 1024
"""Candidates that the host ranks."""

COUNT_DIGITS = 4

HEAT_BYTES = 4 * DIGITS + 4 * HOT_KEYS + 8 + 2 * (4 + 32) * FEW + 8 * BUFFER_BYTES
"""Device memory that `hottest` allocates at most."""


@dataclass(frozen=True)
class Segments:
    """Sorted accesses by key.

    Args:
        distinct: how many keys.
        starts: uint32 (distinct + 1,), where the accesses of each begin.
        payload: uint32, the number of each access.
        lists: work space for two lists of uint32 (distinct,).
    """

    distinct: int
    starts: Buffer
    payload: Buffer
    lists: tuple[Buffer | np.uint64, Buffer | np.uint64]


@dataclass(frozen=True)
class _Ranking:
    """What the kernels are given besides the candidates."""

    stream: Stream
    segments: Segments
    width: int
    arguments: tuple[Buffer | int, ...]

    def histogram(
        self, count: int, level: int, listed: int, candidates: Buffer | np.uint64
    ) -> NDArray[np.int64]:
        """How many candidates have each digit."""
        found = self.stream.allocate(4 * DIGITS)
        self.stream.clear(found)
        blocks = min(-(-count // GROUP), MOST_BLOCKS)
        self.stream.launch(
            PROGRAM, "heat_digits", blocks, GROUP, count, level, listed, candidates, *self.arguments, found
        )
        return fetch(self.stream, found, np.uint32, DIGITS).astype(np.int64)

    def gathered(
        self, count: int, listed: int, segments: Buffer | np.uint64
    ) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Keys, as `Detected` has them, and counts of so many segments."""
        counts_buffer = self.stream.allocate(4 * max(1, count))
        words_buffer = self.stream.allocate(8 * self.width * max(1, count))
        self.stream.launch_items(
            PROGRAM,
            "heat_gather",
            count,
            count,
            listed,
            segments,
            *self.arguments,
            counts_buffer,
            words_buffer,
        )
        counts = fetch(self.stream, counts_buffer, np.uint32, count).astype(np.int64)
        words = fetch(self.stream, words_buffer, np.uint64, count * self.width).reshape(count, self.width)
        return (words if self.width == 1 else words.byteswap()), counts


def hottest(
    stream: Stream, segments: Segments, reads: int, width: int, read_keys: Buffer, write_keys: Buffer
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Keys and counts of the up to 64 most accessed: count descending, then key ascending. Waits for the stream."""
    arguments = (reads, width, read_keys, write_keys, segments.starts, segments.payload)
    ranking = _Ranking(stream, segments, width, arguments)
    hot, counters = stream.allocate(4 * HOT_KEYS), stream.allocate(8)
    count, listed, sure = segments.distinct, 0, 0
    current, other = segments.lists
    for level in range(COUNT_DIGITS + 8 * width):
        if count <= FEW:
            break
        below = np.cumsum(ranking.histogram(count, level, listed, current))
        within(int(below[-1]), count, count, "candidates in all")
        digit = int(np.searchsorted(below, HOT_KEYS - sure))
        fewer = int(below[digit - 1]) if digit else 0
        if below[digit] - fewer == count:
            continue
        stream.upload(np.array([sure, 0], np.uint32), counters)
        stream.launch(
            PROGRAM, "heat_split", min(-(-count // GROUP), MOST_BLOCKS), GROUP, count, level, digit, listed, current,
            *arguments, hot, counters, other, np.uint64(counters.address + 4),
        )  # fmt: skip
        sure, count, listed = sure + fewer, int(below[digit]) - fewer, 1
        current, other = other, current
    found = [ranking.gathered(sure, 1, hot), ranking.gathered(count, listed, current)]
    keys, counts = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((*keys.T[::-1], -counts))[:HOT_KEYS]
    return keys[order], counts[order]
