# SPDX-License-Identifier: GPL-3.0-or-later
"""When old versions go: in passes at intervals that adapt, or at once where history takes too much memory."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from supervm.engine.state.store import Numbers, StateStore, key_numbers

if TYPE_CHECKING:
    from supervm.engine.config import Collection

USEFUL = 0.5
"""Share of replaced versions that a pass should free; below it, the next one waits longer."""


class Collector:
    """Drops versions of a store after its commits, as a `Collection` says.

    Args:
        store: whose commits it is told of.
        rules: what stays and when passes are made.
    """

    def __init__(self, store: StateStore, rules: Collection) -> None:
        self._store, self._rules = store, rules
        self._written: deque[tuple[float, int, Numbers]] = deque()
        self._interval = rules.least_interval
        self._last_pass = time.monotonic()

    def committed(self, written: Numbers) -> None:
        """The last published commit wrote these keys."""
        store, rules = self._store, self._rules
        if store.replaced_bytes > rules.history_bytes or rules.versions == 1:
            store.collect_replaced(written)
            return
        now = time.monotonic()
        self._written.append((now, store.watermark, written))
        if store.replaced >= rules.threshold and now - self._last_pass >= self._interval:
            self.collect()

    def collect(self) -> int:
        """Make a pass now; how many versions went."""
        store, rules = self._store, self._rules
        now = time.monotonic()
        self._last_pass = now
        if not self._written:
            return 0
        oldest = 0
        for when, commit, _ in self._written:
            if now - when >= rules.seconds:
                oldest = commit
        numbers = np.unique(np.concatenate([key_numbers(written) for _, _, written in self._written]))
        before = store.replaced
        freed = store.collect(numbers, oldest, rules.versions)
        while self._written and self._written[0][1] <= oldest:
            self._written.popleft()
        enough = freed >= USEFUL * before
        factor = 0.5 if enough else 2.0
        self._interval = min(max(self._interval * factor, rules.least_interval), rules.most_interval)
        return freed
