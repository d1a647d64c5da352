# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that a process which is to be observed begins with: logs, metrics, the board, traces.

with observing(settings, hardware) as seen, scheduling(settings, hardware) as scheduler:
    seen.watch(scheduler)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from supervm.engine.scheduler import Scheduler
from supervm.tiers.hardware import Hardware
from supervm.tiers.observability.logs import start_logs, stop_logs
from supervm.tiers.observability.metrics import Metrics
from supervm.tiers.observability.status import StatusBoard
from supervm.tiers.observability.traces import Tracer, tracer
from supervm.tiers.settings import Settings


@dataclass(frozen=True)
class Observation:
    """What a process tells of itself."""

    metrics: Metrics
    board: StatusBoard
    tracer: Tracer

    @classmethod
    def of(cls, settings: Settings, hardware: Hardware, traces: Tracer | None = None) -> Observation:
        """Metrics and a board from their beginning."""
        metrics = Metrics()
        return cls(metrics, StatusBoard(metrics, settings, hardware), traces or Tracer())

    def watch(self, scheduler: object) -> None:
        """Export a scheduler's counters; `compose.scheduling` gives something else where a backend is named."""
        if isinstance(scheduler, Scheduler):
            self.metrics.watch(scheduler)


@contextmanager
def observing(settings: Settings, hardware: Hardware, process: int | None = None) -> Iterator[Observation]:
    """Log as the settings say inside the block, and send what is left of the traces when it ends.

    Args:
        process: number of this one among those of a service, which its log lines then have.

    Raises:
        SettingError: traces are asked for, and OpenTelemetry is not installed.
    """
    traces = tracer(settings.traces_endpoint)
    start_logs(settings.log_level, settings.log_format, process=process)
    try:
        yield Observation.of(settings, hardware, traces)
    finally:
        traces.close()
        stop_logs()
