# SPDX-License-Identifier: GPL-3.0-or-later
"""What happened in the last minute, second by second: the source of rates and of the curves of the status page."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

SECONDS = 60
"""How far back a window reaches."""

RECENT = 10
"""Whole seconds over which a rate is taken."""


class Window:
    """Counts and sums by second; may be added to from any thread.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts = [0] * SECONDS
        self._totals = [0.0] * SECONDS
        self._second = self._born = int(clock())

    def add(self, total: float, count: int = 1) -> None:
        """Add `total`, which `count` things make up, to the current second."""
        with self._lock:
            place = self._turn()
            self._counts[place] += count
            self._totals[place] += total

    @property
    def rate(self) -> float:
        """Sum a second, over the last whole seconds: `RECENT` of them, or as many as there were."""
        _, totals, age = self._recent()
        return sum(totals) / age if age else 0.0

    @property
    def mean(self) -> float | None:
        """Sum ÷ count of the last `RECENT` whole seconds and the current one; None if nothing was added."""
        with self._lock:
            place = self._turn()
            places = [(place - back) % SECONDS for back in range(RECENT + 1)]
            count = sum(self._counts[each] for each in places)
            return sum(self._totals[each] for each in places) / count if count else None

    @property
    def history(self) -> list[float]:
        """The sums of the last whole seconds, oldest first, `SECONDS` − 1 of them."""
        with self._lock:
            place = self._turn()
            return [self._totals[(place + ahead) % SECONDS] for ahead in range(1, SECONDS)]

    def _recent(self) -> tuple[list[int], list[float], int]:
        with self._lock:
            place = self._turn()
            age = min(RECENT, self._second - self._born)
            places = [(place - back) % SECONDS for back in range(1, age + 1)]
            return [self._counts[each] for each in places], [self._totals[each] for each in places], age

    def _turn(self) -> int:
        """The place of the current second, after those that passed unused were emptied. The lock is held."""
        now = int(self._clock())
        for second in range(max(self._second + 1, now - SECONDS + 1), now + 1):
            self._counts[second % SECONDS] = 0
            self._totals[second % SECONDS] = 0.0
        self._second = max(self._second, now)
        return self._second % SECONDS
