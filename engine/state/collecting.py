# SPDX-License-Identifier: GPL-3.0-or-later
"""When old versions are dropped: in passes at adaptive intervals, or at once if history takes too much memory."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from supervm.engine.state.store import StateStore, key_numbers
from supervm.kernels.array_types import Numbers

if TYPE_CHECKING:
    from supervm.engine.config import Collection

USEFUL = 0.5
"""Share of replaced versions that a pass should free; below it, the next one waits longer."""


class Collector:
    """Drops versions of a store after its commits, as a `Collection` says.

    Keys that a commit wrote are remembered until nobody needs what it replaced: a version that a reader or a snapshot
    still sees is not lost sight of, though its key may never be written again.

    Args:
        store: whose commits it is told of.
        rules: what stays and when passes are made.
        clock: gives seconds.
    """

    def __init__(
        self, store: StateStore, rules: Collection, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store, self._rules, self._clock = store, rules, clock
        self._written: deque[tuple[float, int, Numbers]] = deque()
        self._seen = np.zeros(0, np.bool_)
        """By key number: versions of it have had their time and were seen by somebody."""
        self._interval = rules.least_interval
        self._last_pass = clock()

    def committed(self, written: Numbers) -> None:
        """The last published commit wrote these keys, as `versions.HAS_MORE` says."""
        store, rules = self._store, self._rules
        now = self._clock()
        if store.replaced_bytes > rules.history_bytes or rules.versions == 1:
            store.collect_replaced(written)
            if store.pinned().size:
                self.remember(key_numbers(written))
            due = now - self._last_pass >= rules.seconds
        else:
            self._written.append((now, store.watermark, written))
            due = True
        if due and store.replaced >= rules.threshold and now - self._last_pass >= self._interval:
            self.collect()

    def remember(self, numbers: Numbers) -> None:
        """Look at these keys again at every pass, as long as they have older versions."""
        if self._seen.size < len(self._store.keys):
            grown = np.zeros(max(len(self._store.keys), 2 * self._seen.size), np.bool_)
            grown[: self._seen.size] = self._seen
            self._seen = grown
        self._seen[self._store.with_history(numbers)] = True

    def collect(self) -> int:
        """Make a pass now; how many versions went."""
        store, rules = self._store, self._rules
        now = self._clock()
        self._last_pass = now
        oldest, old = 0, [np.flatnonzero(self._seen)]
        while self._written and now - self._written[0][0] >= rules.seconds:
            _, oldest, written = self._written.popleft()
            old.append(key_numbers(written))
        recent = [key_numbers(written) for _, _, written in self._written]
        before = store.replaced
        freed = store.collect(np.unique(np.concatenate(old + recent)), oldest, rules.versions)
        self._seen[:] = False
        self.remember(np.concatenate(old))
        enough = freed >= USEFUL * before
        factor = 0.5 if enough else 2.0
        self._interval = min(max(self._interval * factor, rules.least_interval), rules.most_interval)
        return freed
