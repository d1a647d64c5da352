# SPDX-License-Identifier: GPL-3.0-or-later
"""What came back: answers by the clock, how long each took, refusals, and everything that must not happen."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from supervm.benchmarks.measure import Timing


@dataclass
class Tally:
    """Counts of one load.

    Attributes:
        begun: when the load began, `time.perf_counter()`.
        done: when each answer came, `time.perf_counter()`.
        took: seconds from the moment at which the request was due to its answer.
        refused: seconds that each refusal took.
        wrong: answers that differ from the library's.
        failed: requests that ended in an error other than a refusal, by its name.
    """

    begun: float = 0.0
    done: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    wrong: int = 0
    failed: dict[str, int] = field(default_factory=dict)

    def answered(self, due: float, right: bool) -> None:
        """An answer came to a request that was due then."""
        now = time.perf_counter()
        self.done.append(now)
        self.took.append(now - due)
        self.wrong += not right

    def error(self, name: str) -> None:
        """A request got an error."""
        self.failed[name] = self.failed.get(name, 0) + 1

    def timing(self, begin: float, seconds: float, rounds: int, items: int = 1) -> Timing:
        """Rate and spread over equal parts of a time.

        Args:
            begin: of the first part, `time.perf_counter()`.
            seconds: of a part.
            rounds: how many parts.
            items: of a request.
        """
        edges = begin + seconds * np.arange(rounds + 1)
        counts = np.histogram(np.array(self.done), edges)[0]
        rates = np.maximum(counts, 1e-9) * items / seconds
        # A part's time for as many items as the best part had: `Timing` compares times of equal work.
        return Timing.of(1, (1 / rates).tolist())

    def percentile(self, share: float, begin: float = 0.0) -> float:
        """Seconds within which this share (0 to 1) of the answers after `begin` came; NaN without answers."""
        took = np.array(self.took)[np.array(self.done) >= begin] if self.done else np.empty(0)
        return float(np.quantile(took, share)) if len(took) else float("nan")
