# SPDX-License-Identifier: GPL-3.0-or-later
"""Signed windows of scalars, as multi-scalar multiplication cuts them on any backend."""

from __future__ import annotations


class SharedWindows:
    """Windows of so many bits, some of which share buckets through precomputed multiples of the points."""

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


def windows_of(largest: int, bits: int) -> int:
    """Signed windows that a scalar up to `largest` needs."""
    windows = -(-max(1, largest.bit_length()) // bits)
    return windows if largest + offset(bits, windows) < 1 << (bits * windows) else windows + 1


def offset(bits: int, windows: int) -> int:
    """Σ 2^(bits − 1)·2^(bits·w), which turns digits from 0 into digits from −2^(bits − 1)."""
    return sum(1 << (bits * window + bits - 1) for window in range(windows))
