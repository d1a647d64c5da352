# SPDX-License-Identifier: GPL-3.0-or-later
"""Counters of the scheduler, in memory; who exports them reads a snapshot."""

from __future__ import annotations

import threading
from dataclasses import dataclass

FALLBACKS = "supervm_backend_fallback_total"
MISMATCHES = "supervm_backend_mismatch_total"
SECONDS = "supervm_kernel_seconds"
ITEMS = "supervm_batch_items"

LABELS = {
    FALLBACKS: ("operation", "reason"),
    MISMATCHES: ("operation",),
    SECONDS: ("operation", "backend"),
    ITEMS: ("operation",),
}
"""Metric → its labels, in the order in which `Metrics.series` takes their values."""


@dataclass(frozen=True)
class Reading:
    """One series at one moment.

    Args:
        name: of the metric.
        labels: (label, value) pairs.
        count: how often something was added.
        total: the sum of what was added; equal to `count` for a plain counter.
    """

    name: str
    labels: tuple[tuple[str, str], ...]
    count: int
    total: float


class Series:
    """A sum and a count; may be added to from any thread."""

    __slots__ = ("_count", "_lock", "_total")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count, self._total = 0, 0.0

    def add(self, value: float = 1.0) -> None:
        """Add a value."""
        with self._lock:
            self._count += 1
            self._total += value

    def read(self) -> tuple[int, float]:
        """(count, total)."""
        with self._lock:
            return self._count, self._total


class Metrics:
    """All series of one scheduler."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._series: dict[tuple[str, ...], Series] = {}

    def series(self, name: str, *values: str) -> Series:
        """The series of the metric `name` with these label values, made when first asked for."""
        if name not in LABELS or len(values) != len(LABELS[name]):
            raise ValueError(f"no metric {name} with {len(values)} labels")
        with self._lock:
            return self._series.setdefault((name, *values), Series())

    def snapshot(self) -> tuple[Reading, ...]:
        """Every series, by name and labels."""
        with self._lock:
            listed = sorted(self._series.items())
        return tuple(
            Reading(name, tuple(zip(LABELS[name], values, strict=True)), *series.read())
            for (name, *values), series in listed
        )
