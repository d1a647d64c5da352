# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scheduler knows, as plain data: for `supervm doctor`, and to explain why a batch ran where it did."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from supervm.engine.scheduler.cost import cheaper_stretch
from supervm.engine.scheduler.executors import BackendExecutor
from supervm.engine.scheduler.plan import DeviceRoute, Plan
from supervm.engine.scheduler.tasks import type_of


@dataclass(frozen=True)
class RouteReport:
    """One executor for one operation.

    Args:
        executor: its name.
        kind: of executor.
        backend: in the registry.
        measured: items of each size that was timed; empty if it was not.
        fixed, per_item, per_byte: the fitted line, seconds; None if it was not timed.
        crossover: items from which on it is cheaper than the first route; None for that, or if there is no such number.
        until: the last number of items of that stretch; None if it never ends.
        reason: why it runs nothing now, or ''.
    """

    executor: str
    kind: str
    backend: str
    measured: tuple[int, ...]
    fixed: float | None
    per_item: float | None
    per_byte: float | None
    crossover: int | None
    until: int | None
    reason: str


@dataclass(frozen=True)
class OperationReport:
    """One operation: its type of task and cost, its routes, the CPU first, and why other executors cannot run it."""

    operation: str
    task: str
    cost: int | None
    routes: tuple[RouteReport, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class ExecutorReport:
    """One executor: its name, kind and circuit, and what is wrong with it, or ''."""

    name: str
    kind: str
    circuit: str
    reason: str


@dataclass(frozen=True)
class SchedulerReport:
    """The whole: strategy, executors, why there is no device ('' if there is one), operations, where timings are kept."""

    strategy: str
    executors: tuple[ExecutorReport, ...]
    no_devices: str
    operations: tuple[OperationReport, ...]
    calibration_file: str

    def to_json(self) -> dict[str, Any]:
        """Plain types, for `--json`."""
        return asdict(self)


def operation_report(plan: Plan) -> OperationReport:
    """What is known of one operation."""
    routes = []
    for route in plan.routes:
        model, reason = route.model, ""
        stretch = None
        if route is not plan.cpu and model is not None and plan.cpu.model is not None:
            stretch = cheaper_stretch(plan.cpu.model, model)
        line = None if model is None else model.line()
        if isinstance(route, DeviceRoute):
            reason = route.executor.trouble or route.executor.breaker.reason
        routes.append(
            RouteReport(
                executor=route.executor.name,
                kind=route.executor.kind.value,
                backend=route.executor.backend,
                measured=() if model is None else model.sizes,
                fixed=line.fixed if line else None,
                per_item=line.per_item if line else None,
                per_byte=line.per_byte if line else None,
                crossover=stretch[0] if stretch else None,
                until=stretch[1] if stretch else None,
                reason=reason,
            )
        )
    return _report(plan.operation, tuple(routes), plan.reasons)


def unavailable_report(operation: str, reason: str) -> OperationReport:
    """An operation that nothing can run."""
    return _report(operation, (), (reason,))


def _report(operation: str, routes: tuple[RouteReport, ...], reasons: tuple[str, ...]) -> OperationReport:
    task = type_of(operation)
    return OperationReport(
        operation, task.value if task else "", task.cost if task else None, routes, reasons
    )


def executor_report(executor: BackendExecutor, circuit: str = "closed", reason: str = "") -> ExecutorReport:
    """What is known of one executor."""
    return ExecutorReport(executor.name, executor.kind.value, circuit, reason)
