# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics that are made when they are read: the counters of a scheduler and of a verifier of proofs, the build."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from supervm.engine.privacy.statistics import ProofStatistics
from supervm.engine.scheduler.metrics import FALLBACKS, ITEMS, LABELS, MISMATCHES, SECONDS
from supervm.tiers.environment import commit, version

if TYPE_CHECKING:
    from supervm.engine.privacy.batch_verifier import BatchVerifier
    from supervm.engine.scheduler import Scheduler

DEVICE_MEMORY = "supervm_device_memory_bytes"


class SchedulerCollector(Collector):
    """The counters of a scheduler, if there is one.

    Attributes:
        scheduler: whose.
    """

    def __init__(self) -> None:
        self.scheduler: Scheduler | None = None
        self._before: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[int, float]] = {}

    def watch(self, scheduler: Scheduler) -> None:
        """Export a scheduler, in place of an earlier one: of its batches those from now on.

        What it computed before, such as the known answers at the start, nobody sent.
        """
        self.scheduler = scheduler
        self._before = {
            (reading.name, reading.labels): (reading.count, reading.total)
            for reading in scheduler.metrics()
            if reading.name in (SECONDS, ITEMS)
        }

    def collect(self) -> Iterator[Metric]:
        """As Prometheus reads it: the scheduler's counters, then bytes by device; without one no values."""
        families = _families()
        scheduler = self.scheduler
        for reading in scheduler.metrics() if scheduler is not None else ():
            family = families[reading.name]
            labels = [value for _, value in reading.labels]
            if isinstance(family, SummaryMetricFamily):
                count, total = self._before.get((reading.name, reading.labels), (0, 0.0))
                family.add_metric(
                    labels, count_value=reading.count - count, sum_value=max(0.0, reading.total - total)
                )
            else:
                family.add_metric(labels, reading.total)
        yield from families.values()
        memory = GaugeMetricFamily(
            DEVICE_MEMORY, "Bytes that this process holds on a device.", labels=("device",)
        )
        for device, held in scheduler.device_memory().items() if scheduler is not None else ():
            memory.add_metric([device], held)
        yield memory


def _families() -> dict[str, CounterMetricFamily | SummaryMetricFamily]:
    return {
        FALLBACKS: CounterMetricFamily(
            FALLBACKS, "Times that work did not run on the device it was meant for.", labels=LABELS[FALLBACKS]
        ),
        MISMATCHES: CounterMetricFamily(
            MISMATCHES,
            "Batches of a device that were thrown away, since a sampled result was wrong.",
            labels=LABELS[MISMATCHES],
        ),
        SECONDS: SummaryMetricFamily(
            SECONDS, "Seconds of each batch, transfers and sampling included.", labels=LABELS[SECONDS]
        ),
        ITEMS: SummaryMetricFamily(ITEMS, "Items of each batch.", labels=LABELS[ITEMS]),
    }


class PrivacyCollector(Collector):
    """The statistics of a verifier of privacy proofs under the earlier system's names.

    Attributes:
        verifier: whose; without one all are 0.
    """

    def __init__(self) -> None:
        self.verifier: BatchVerifier | None = None

    def collect(self) -> Iterator[Metric]:
        """As Prometheus reads it: three counters and five gauges."""
        batch = "vm_privacy_zk_batch_verify"
        now = self.verifier.statistics if self.verifier is not None else ProofStatistics()
        for name, meaning, count in (
            (f"{batch}_total", "Privacy proofs verified.", now.proofs),
            (f"{batch}_failed_total", "Privacy proofs that were invalid or malformed.", now.failed),
            (f"{batch}_batches_total", "Batches of privacy proofs.", now.batches),
        ):
            yield CounterMetricFamily(name, meaning, value=count)
        verify = "vm_privacy_zk_verify"
        for name, meaning, value in (
            (
                f"{batch}_batch_latency_ms",
                "Milliseconds of the last batch of privacy proofs.",
                1e3 * now.last_seconds,
            ),
            (
                f"{batch}_avg_latency_ms",
                "Mean milliseconds of a batch of privacy proofs.",
                1e3 * now.mean_seconds,
            ),
            (f"{batch}_tps", "Privacy proofs a second, while any are verified.", now.per_second),
            (f"{verify}_p50_latency_ms", "Median milliseconds to a proof's verdict.", 1e3 * now.p50_seconds),
            (
                f"{verify}_p95_latency_ms",
                "95th percentile of the milliseconds to a proof's verdict.",
                1e3 * now.p95_seconds,
            ),
        ):
            yield GaugeMetricFamily(name, meaning, value=value)


class BuildCollector(Collector):
    """`supervm_build_info`: 1, labelled with what runs."""

    def __init__(self) -> None:
        built = commit()
        self._labels = {
            "version": version(),
            "commit": built["id"] if built else "",
            "python": platform.python_version(),
        }

    def collect(self) -> Iterator[Metric]:
        """As Prometheus reads it: one sample with the labels `version`, `commit` ('' if unknown) and `python`."""
        yield InfoMetricFamily("supervm_build", "What runs here.", value=self._labels)
