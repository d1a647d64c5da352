# SPDX-License-Identifier: GPL-3.0-or-later
"""How a multi-scalar multiplication is cut: bits of a window, windows and points at a time, and what memory they need.

The cost of a plan is counted in additions of affine points, all of which take the same time: one for each point in each
window, and two for each bucket on every level of the reduction.
"""

from __future__ import annotations

from dataclasses import dataclass

from supervm.kernels.cpu.msm.bucket_reduction import LOG, reduction_rows
from supervm.kernels.errors import ArgumentError
from supervm.kernels.signed_windows import SharedWindows, windows_of

BLOCK = 1 << 12
"""Entries summed at once: half as many rows of scratch, which with the points they come from fit a second-level cache."""

PAIRS = 1 << 11
"""Pairs that share an inversion at most."""

MOST_BITS = 20
"""Of a window: beyond 2^26 points, more would be a little faster and need gigabytes of buckets."""

LEAST_POINTS = 8
"""A group of lanes: what must fit a memory limit."""

GROUP_ENTRIES = 1 << 20
"""Entries of the windows that are worked on together, where a single window has no more."""


@dataclass(frozen=True)
class Plan(SharedWindows):
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

    def additions(self) -> float:
        """The cost."""
        reduction = 2 * self.buckets * (1 + 1 / ((1 << LOG) - 1))
        return self.windows * self.points + self.shared * reduction

    def group(self, threads: int, limit: int | None = None) -> int:
        """Windows at a time: no more than give every thread its share, than GROUP_ENTRIES allow, and than `limit` bytes do
        if a single window stays within them."""
        fair = -(-self.shared // threads)
        group = max(1, min(fair, GROUP_ENTRIES // max(1, self.points * self.levels)))
        while limit is not None and group > 1 and self.bytes(threads, group) > limit:
            group -= 1
        return group

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
        return (
            8 * entries
            + 20 * sums
            + row * (sums + reduction + scratch)
            + BLOCK * 28
            + PAIRS * (12 + 12 * row // 8)
        )

    def bytes(self, threads: int, group: int) -> int:
        """Bytes beside the arguments: rows, and what every thread needs for `group` windows."""
        return self.rows_bytes() + min(threads, self.shared) * self.group_bytes(group)

    def fits(self, threads: int, limit: int) -> bool:
        """Whether `limit` bytes are enough, with a window at a time if need be."""
        return self.bytes(threads, 1) <= limit


def choose(points: int, row_words: int, largest: int, precompute: int = 1) -> Plan:
    """The cheapest plan for n points and scalars up to `largest`, with `precompute` multiples of each point."""

    def plan(bits: int) -> Plan:
        windows = windows_of(largest, bits)
        return Plan(points, row_words, bits, windows, -(-windows // precompute))

    return min((plan(bits) for bits in range(2, MOST_BITS + 1)), key=Plan.additions)


def piece(points: int, row_words: int, largest: int, threads: int, limit: int | None) -> int:
    """Points at a time, so that the plan for them stays within `limit` bytes.

    Raises:
        ArgumentError: not even a group of lanes fits.
    """

    def fits(count: int) -> bool:
        return limit is None or choose(count, row_words, largest).fits(threads, limit)

    least = min(points, LEAST_POINTS)
    if fits(points):
        return points
    if not fits(least):
        needed = choose(least, row_words, largest).bytes(threads, 1)
        raise ArgumentError("memory_limit", f"{limit} bytes", f"{needed} bytes or more")
    low, high = least, points
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
