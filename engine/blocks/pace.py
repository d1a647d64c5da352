# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether executing ahead pays: what it and block order cost on this engine's blocks, on the machine as it is now.

With few transactions in a block, with many that conflict, or with other programs on the cores, threads that wait for each
other cost more than they save. No rule knows that beforehand, so both ways are timed. The result of a block is the same.
"""

from __future__ import annotations

from dataclasses import dataclass

LEAST_PAUSE, MOST_PAUSE = 4, 64
"""Blocks in order after execution ahead did not pay, before it is tried again; twice as many each time."""

FIRST_COMPARISON = 4
"""Blocks ahead before block order is timed for the first time; after that it is every `MOST_PAUSE`."""

WEIGHT = 0.25
"""Of the newest time in a mean."""


@dataclass
class _Size:
    """What is known about blocks of one size; seconds a transaction, None if that is not known."""

    ordered: float | None = None
    ahead: float | None = None
    pause: int = 0
    next_pause: int = LEAST_PAUSE
    left: int = FIRST_COMPARISON


class Pace:
    """Chooses between execution ahead and block order; blocks whose sizes have as many bits are alike."""

    def __init__(self) -> None:
        self._sizes: dict[int, _Size] = {}

    def goes_ahead(self, count: int, measured: bool) -> bool:
        """Whether a block is to be executed ahead.

        Args:
            count: its transactions that do not take the fast path.
            measured: whether times count; otherwise only conflicts do.
        """
        size = self._size(count)
        if size.pause:
            size.pause -= 1
            return False
        if measured and size.left == 0:
            size.left = MOST_PAUSE
            return False
        return True

    def in_order(self, count: int, seconds: float) -> None:
        """A block was executed in order; what that took."""
        size = self._size(count)
        size.ordered = _mean(size.ordered, seconds / count)

    def ahead(self, count: int, seconds: float, measured: bool) -> None:
        """A block was executed ahead to its end; what that took."""
        size = self._size(count)
        size.ahead = _mean(size.ahead, seconds / count)
        size.left = max(0, size.left - 1)
        if measured and size.ordered is not None and size.ahead > size.ordered:
            self.conflicts(count)
        else:
            size.next_pause = LEAST_PAUSE

    def conflicts(self, count: int) -> None:
        """Executing a block ahead did not pay, or would not have: the next ones are executed in order."""
        size = self._size(count)
        size.ahead = None
        size.pause, size.next_pause = size.next_pause, min(MOST_PAUSE, 2 * size.next_pause)

    def _size(self, count: int) -> _Size:
        return self._sizes.setdefault(count.bit_length(), _Size())


def _mean(old: float | None, new: float) -> float:
    return new if old is None else old + WEIGHT * (new - old)
