# SPDX-License-Identifier: GPL-3.0-or-later
"""How a multi-scalar multiplication is cut: bits of a window, windows at a time, points at a time, and what memory they need.

The cost of a plan is counted in additions of affine points, all of which take the same time: windows · (n + 2·(1 + 2^−LOG + …)
· 2^(bits − 1)), one for each point and two for each bucket.
"""

from __future__ import annotations

from dataclasses import dataclass

from supervm.kernels.cpu.bucket_reduction import LOG, reduction_rows
from supervm.kernels.errors import ArgumentError

BLOCK = 1 << 13
"""Entries summed at once: half as many rows of scratch, which with the points they come from fit a second-level cache."""

PAIRS = 1 << 12
"""Pairs that share an inversion at most."""

MOST_BITS = 20

GROUP_ENTRIES = 1 << 21
"""Entries of the windows that are worked on together, where a single window has no more."""


@dataclass(frozen=True)
class Plan:
    """One way to cut the work.

    Args:
        points: n, at a time.
        row_words: words of a packed point.
        bits: of a window.
        windows: of a scalar.
        shared: windows with buckets of their own: windows w and w + shared share, through precomputed multiples.
    """

    points: int
    row_words: int
    bits: int
    windows: int
    shared: int

    @property
    def levels(self) -> int:
        """Multiples of each point, itself included."""
        return -(-self.windows // self.shared)

    @property
    def buckets(self) -> int:
        """Buckets of a window."""
        return 1 << (self.bits - 1)

    def additions(self) -> float:
        """The cost."""
        reduction = 2 * self.buckets * (1 + 1 / ((1 << LOG) - 1))
        return self.windows * self.points + self.shared * reduction

    def group(self, threads: int) -> int:
        """Windows at a time: no more than give every thread its share, nor than GROUP_ENTRIES allow."""
        fair = -(-self.shared // threads)
        return max(1, min(fair, GROUP_ENTRIES // max(1, self.points * self.levels)))

    def rows_bytes(self) -> int:
        """Bytes of the packed points and their multiples."""
        return self.points * self.levels * (8 * self.row_words) + self.points

    def group_bytes(self, group: int) -> int:
        """Bytes that one thread needs for `group` windows: a digit and an entry for each point, sums and their starts,
        the reduction, and scratch of a block."""
        entries = self.points * self.levels * group
        sums = self.buckets * group
        reduction = reduction_rows(group, self.buckets)
        scratch = BLOCK // 2 + 2
        row = 8 * self.row_words
        return 8 * entries + 20 * sums + row * (sums + reduction + scratch) + BLOCK * 28 + PAIRS * (12 + 12 * row // 8)

    def bytes(self, threads: int) -> int:
        """Bytes at a time: rows, and what every thread needs."""
        return self.rows_bytes() + threads * self.group_bytes(self.group(threads))


def windows_of(largest: int, bits: int) -> int:
    """Signed windows that a scalar up to `largest` needs."""
    windows = -(-max(1, largest.bit_length()) // bits)
    return windows if largest + offset(bits, windows) < 1 << (bits * windows) else windows + 1


def offset(bits: int, windows: int) -> int:
    """Σ 2^(bits − 1)·2^(bits·w), which turns digits from 0 into digits from −2^(bits − 1)."""
    return sum(1 << (bits * window + bits - 1) for window in range(windows))


def choose(points: int, row_words: int, largest: int, precompute: int = 1) -> Plan:
    """The cheapest plan for n points and scalars up to `largest`, with `precompute` multiples of each point."""

    def plan(bits: int) -> Plan:
        windows = windows_of(largest, bits)
        return Plan(points, row_words, bits, windows, -(-windows // precompute))

    return min((plan(bits) for bits in range(2, MOST_BITS + 1)), key=Plan.additions)


def pieces(points: int, row_words: int, largest: int, threads: int, memory_limit: int | None) -> int:
    """Points at a time, so that the plan for them stays within `memory_limit` bytes.

    Raises:
        ArgumentError: not even a group of lanes fits.
    """
    if memory_limit is None or choose(points, row_words, largest).bytes(threads) <= memory_limit:
        return points
    low, high = 0, points
    while high - low > 1:
        middle = (low + high) // 2
        if choose(middle, row_words, largest).bytes(threads) <= memory_limit:
            low = middle
        else:
            high = middle
    if low < min(points, 8):
        least = choose(min(points, 8), row_words, largest).bytes(threads)
        raise ArgumentError("memory_limit", f"{memory_limit} bytes", f"{least} bytes or more")
    return low
