# SPDX-License-Identifier: GPL-3.0-or-later
"""What a verifier of proofs did, in numbers."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from supervm.kernels.array_types import Verdicts

RECENT = 4_096
"""Proofs whose latencies are kept."""


@dataclass(frozen=True)
class ProofStatistics:
    """What a verifier did since it was made; all zero at first.

    Args:
        proofs: that got a verdict.
        failed: those of them that are invalid or malformed.
        batches: in which they were verified.
        errors: batches that ended in an error and gave nobody a verdict.
        last_seconds, mean_seconds: of a batch, the last one and on average; decoding is part of it, waiting is not.
        per_second: proofs ÷ seconds in batches.
        p50_seconds, p95_seconds: from handing a proof in to its verdict, over the last `RECENT` proofs.
    """

    proofs: int = 0
    failed: int = 0
    batches: int = 0
    errors: int = 0
    last_seconds: float = 0.0
    mean_seconds: float = 0.0
    per_second: float = 0.0
    p50_seconds: float = 0.0
    p95_seconds: float = 0.0


class ProofMeter:
    """Counts; every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._proofs = self._failed = self._batches = self._errors = 0
        self._last = self._busy = 0.0
        self._latencies: NDArray[np.float64] = np.zeros(0)

    def batch(self, verdicts: Verdicts, seconds: float, latencies: NDArray[np.float64]) -> None:
        """A batch got its verdicts, int8 (n,), after so many seconds; seconds from handing in, float64 (n,)."""
        with self._lock:
            self._proofs += len(verdicts)
            self._failed += int(np.count_nonzero(verdicts != 1))
            self._batches += 1
            self._last = seconds
            self._busy += seconds
            self._latencies = np.concatenate((self._latencies, latencies))[-RECENT:]

    def error(self) -> None:
        """A batch ended in an error."""
        with self._lock:
            self._errors += 1

    def read(self) -> ProofStatistics:
        """The numbers as they are."""
        with self._lock:
            p50, p95 = (
                np.percentile(self._latencies, (50, 95)).tolist() if len(self._latencies) else (0.0, 0.0)
            )
            return ProofStatistics(
                proofs=self._proofs,
                failed=self._failed,
                batches=self._batches,
                errors=self._errors,
                last_seconds=self._last,
                mean_seconds=self._busy / self._batches if self._batches else 0.0,
                per_second=self._proofs / self._busy if self._busy else 0.0,
                p50_seconds=p50,
                p95_seconds=p95,
            )
