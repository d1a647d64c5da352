# SPDX-License-Identifier: GPL-3.0-or-later
"""How a multi-scalar multiplication is cut on a device: windows, stretches, segments, and the memory that they take.

The formulas are explained in `supervm.kernels.cuda.msm`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from supervm.kernels.cuda.runtime.batch import ALLOCATION_UNIT
from supervm.kernels.cuda.runtime.radix_sort import sort_bytes
from supervm.kernels.signed_windows import SharedWindows, windows_of

SCALAR_BYTES = 32

SEGMENT = 8
"""Buckets of a thread in the reduction."""

THREADS_WANTED = 1 << 17
"""Stretches that fill a GPU: shorter ones are taken where there are fewer entries."""

SHORTEST, LONGEST = 4, 64
"""Entries of a stretch."""

MOST_BITS = 22

MOST_ENTRIES = (1 << 31) - 1
"""Of all sums that are queued together, and so many buckets: the highest bit of both says something else."""


@dataclass(frozen=True)
class Plan(SharedWindows):
    """How a sum is cut.

    Args:
        points: at a time.
        words: 32-bit words of a coordinate.
        row_words: 32-bit words of a point to be added, and of each of its multiples.
        bits, windows, shared: as in `supervm.kernels.cpu.msm.plan`.
        sums: over the same points, queued together.
    """

    points: int
    words: int
    row_words: int
    bits: int
    windows: int
    shared: int
    sums: int = 1

    @property
    def results(self) -> int:
        """Windows that are left of all sums."""
        return self.sums * self.shared

    @property
    def entries(self) -> int:
        """Pairs of a point and a window of a sum: what is sorted and added up."""
        return self.sums * self.points * self.windows

    @property
    def length(self) -> int:
        """Entries of a stretch in the first round."""
        return min(LONGEST, max(SHORTEST, self.entries // THREADS_WANTED))

    def products(self) -> float:
        """The cost."""
        reduction = 28 + 23 * self.bits / SEGMENT
        return 10 * self.entries + reduction * self.results * self.buckets

    @property
    def point_bytes(self) -> int:
        """Device memory of the points alone."""
        return self.points * (4 * self.row_words * self.levels + 1)

    def bytes(self) -> int:
        """Device memory of one piece."""
        return self.point_bytes + self.working_bytes()

    def working_bytes(self) -> int:
        """The same without the points."""
        entries, row = max(1, self.entries), 16 * self.words + 4
        slots = 2 * -(-entries // self.length)
        scalars = SCALAR_BYTES * self.sums * self.points
        sums = self.results * (self.buckets + 1) * (row - 4)
        sorting = 24 * entries + sort_bytes(entries)
        segments = 2 * self.results * -(-self.buckets // SEGMENT) * row
        return scalars + sums + sorting + 2 * slots * row + 2 * segments + 32 * ALLOCATION_UNIT

    def fits(self) -> bool:
        """Whether entries and buckets can be numbered."""
        return self.entries <= MOST_ENTRIES and self.results * self.buckets <= MOST_ENTRIES


class Summed(Protocol):
    """A group, as far as plans depend on it.

    Args:
        words, row_words: as in `Plan`.
        order: scalars are below it.
    """

    words: int
    row_words: int

    @property
    def order(self) -> int:
        """The order of the subgroup."""


def choose(group: Summed, points: int, precompute: int = 1) -> Plan:
    """The cheapest plan for n points."""

    def plan(bits: int) -> Plan:
        windows = windows_of(group.order - 1, bits)
        return Plan(points, group.words, group.row_words, bits, windows, -(-windows // precompute))

    return min((plan(bits) for bits in range(2, MOST_BITS + 1)), key=Plan.products)
