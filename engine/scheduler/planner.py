# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds out, once for each operation, which executors can run it and why the others cannot."""

from __future__ import annotations

from collections.abc import Sequence

from supervm.engine.scheduler.device import GpuExecutor
from supervm.engine.scheduler.executors import BackendExecutor, CpuExecutor, HybridExecutor, Pending
from supervm.engine.scheduler.guard import NO_DEVICE, UNAVAILABLE, Guard
from supervm.engine.scheduler.metrics import ITEMS, SECONDS, Metrics
from supervm.engine.scheduler.plan import DeviceRoute, Plan, Route
from supervm.engine.scheduler.settings import SchedulerSettings, Strategy
from supervm.engine.scheduler.store import Models
from supervm.kernels import registry
from supervm.kernels.errors import BackendUnavailable
from supervm.kernels.work import Work

CPU_BACKENDS = tuple(name for name in registry.BACKENDS if name != "cuda")

INSTALL = (
    "the strategy gpu-only needs an NVIDIA GPU, its driver, and CuPy: install supervm-engine[cuda13], "
    "or supervm-engine[cuda12] for a driver of CUDA 12"
)


def require_devices(devices: Sequence[object], reason: str) -> None:
    """For `gpu-only`.

    Raises:
        BackendUnavailable: there is no device; why, and what to install.
    """
    if not devices:
        raise BackendUnavailable("cuda", f"{reason or 'no GPU was found'}; {INSTALL}")


class Planner:
    """Makes plans.

    Args:
        settings: the policy.
        devices: one executor for each.
        models: measurements, stored ones included.
        metrics, guard: of the scheduler.
        no_devices: why `devices` is empty, '' if nobody asked for any.
    """

    def __init__(
        self,
        settings: SchedulerSettings,
        devices: Sequence[GpuExecutor],
        models: Models,
        metrics: Metrics,
        guard: Guard,
        no_devices: str,
    ) -> None:
        self.cpus = tuple(CpuExecutor(name, models) for name in CPU_BACKENDS)
        self._settings, self._devices, self._metrics, self._guard = settings, tuple(devices), metrics, guard
        self._no_devices = no_devices

    def plan(self, operation: str) -> Plan:
        """The routes of an operation.

        Raises:
            UnknownOperation: no such operation.
            BackendUnavailable: no CPU backend can run it here (an accelerator's results could be neither checked nor
                replaced); or, under `gpu-only`, no device can.
        """
        reasons = []
        cpus = []
        for executor in self.cpus:
            reason = executor.reason(operation)
            if reason:
                reasons.append(f"{executor.name}: {reason}")
            else:
                cpus.append(self._route(executor, operation))
        if not cpus:
            raise BackendUnavailable("auto", f"no CPU backend of {operation} can run on this machine")
        devices = self._device_routes(operation, reasons)
        plan = Plan(
            operation,
            cpu=cpus[0],
            others=tuple(
                route for route in cpus[1:] if self._settings.all_cpu_backends or route.model is not None
            ),
            devices=devices,
            items=self._metrics.series(ITEMS, operation),
            reasons=tuple(reasons),
        )
        if self._settings.calibrate and len(plan.routes) > 1:
            plan.unmeasured.extend(route for route in plan.routes if route.model is None)
        plan.hybrid = HybridExecutor(
            [route.executor for route in (plan.cpu, *devices)],
            lambda executor, part: self._start(plan, executor, part),
        )
        return plan

    def _route(self, executor: CpuExecutor, operation: str) -> Route:
        seconds = self._metrics.series(SECONDS, operation, executor.backend)
        return Route(executor, executor.function(operation), seconds, executor.model(operation))

    def _device_routes(self, operation: str, reasons: list[str]) -> tuple[DeviceRoute, ...]:
        strategy = self._settings.strategy
        if strategy is Strategy.CPU_ONLY:
            reasons.append("cuda: the strategy is cpu-only")
            return ()
        if strategy is Strategy.GPU_ONLY:
            require_devices(self._devices, self._no_devices)
            registry.resolve(operation, "cuda")
        listed = {backend.name: backend for backend in registry.backends(operation)}
        if "cuda" not in listed:
            reasons.append(f"cuda: {operation} is not implemented for it")
            return ()
        reason = self._no_devices if not self._devices else listed["cuda"].reason
        if reason:
            reasons.append(f"cuda: {reason}")
            self._guard.missing(operation, UNAVAILABLE if self._devices else NO_DEVICE, reason)
        if reason or not self._devices:
            return ()
        seconds = self._metrics.series(SECONDS, operation, "cuda")
        return tuple(
            DeviceRoute(executor, executor.function(operation), seconds, executor.model(operation))
            for executor in self._devices
        )

    def _start(self, plan: Plan, executor: BackendExecutor, part: Work) -> Pending:
        for route in plan.devices:
            if route.executor is executor:
                return self._guard.start(plan, route, part)
        return self._guard.run_on_cpu(plan.cpu, part)
