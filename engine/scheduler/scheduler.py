# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides where each batch runs, and guarantees that the answer does not depend on it.

Installed as the registry's dispatcher it is asked for everything that callers leave to `auto`:

    with Scheduler(SchedulerSettings(strategy=Strategy.AUTO), devices):
        verdicts = ed25519.verify_batch(keys, messages, signatures)

On one executor, work runs at once. With several, measured cost decides (`cost.py`, `calibration.py`), accelerated results
are sampled (`recheck.py`), failures fall back in order (`guard.py`), and a device that fails too often is left alone
(`breaker.py`).
"""

from __future__ import annotations

import math
import os
import threading
import weakref
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType

from supervm.crypto import selftest
from supervm.engine.scheduler.calibration import CPU_SIZES, DEVICE_SIZES, calibrate
from supervm.engine.scheduler.cost import cheapest
from supervm.engine.scheduler.device import Device, GpuExecutor
from supervm.engine.scheduler.guard import Guard
from supervm.engine.scheduler.metrics import Metrics, Reading
from supervm.engine.scheduler.plan import DeviceRoute, Plan, Route
from supervm.engine.scheduler.planner import Planner, require_devices
from supervm.engine.scheduler.probe import KnownAnswers, Prober
from supervm.engine.scheduler.recheck import Sampler
from supervm.engine.scheduler.report import (
    OperationReport,
    SchedulerReport,
    executor_report,
    operation_report,
    unavailable_report,
)
from supervm.engine.scheduler.settings import SchedulerSettings, Strategy
from supervm.engine.scheduler.store import CalibrationStore, Models, this_machine
from supervm.engine.scheduler.workloads import Workload, workload
from supervm.kernels import registry
from supervm.kernels.choices import Choices, Stretches
from supervm.kernels.errors import BackendUnavailable, DeviceError, UnknownOperation
from supervm.kernels.work import Batch, Work

EXPLORE = 64
"""Every so many batches of an operation the calibration alone decides: an executor that was slow for a while, and is avoided
since, gets the chance to show that it no longer is."""

FORKED = "a forked process cannot use the devices of its parent"


class Scheduler:
    """Runs work on the executors of this machine.

    Any number of threads may call `dispatch` at once. A forked process goes on with the CPU (under
    `gpu-only`: BackendUnavailable), and counts from zero.

    Args:
        settings: the policy.
        devices: accelerators, in the order of preference.
        no_devices: why there is none, for messages; '' if nobody looked.
        workload: makes work to time executors with.
        known_answers: the tests that let a device in again.
        folder: where timings, and the CPU backends that they favour, are kept; under the cache root if None.
        models: timings to begin with, besides the stored ones.
        seed: of the samples, for tests.

    Raises:
        BackendUnavailable: `gpu-only` without a device; what to install.
    """

    def __init__(
        self,
        settings: SchedulerSettings | None = None,
        devices: Sequence[Device] = (),
        *,
        no_devices: str = "",
        workload: Workload = workload,
        known_answers: KnownAnswers = selftest.known_answers,
        folder: Path | None = None,
        models: Models | None = None,
        seed: int | None = None,
    ) -> None:
        self.settings = settings or SchedulerSettings()
        if self.settings.strategy is Strategy.GPU_ONLY:
            require_devices(devices, no_devices)
        self._workload, self._seed = workload, seed
        self._prober = Prober(known_answers, workload)
        used = () if self.settings.strategy is Strategy.CPU_ONLY else devices
        self._store = CalibrationStore(this_machine(device.name for device in used), folder)
        self._choices = Choices(self._store.path.parent)
        stored = self._store.load() if self.settings.remember else {}
        self._build(used, no_devices, stored | (models or {}))
        _living.add(self)

    def _build(self, devices: Sequence[Device], no_devices: str, models: Models) -> None:
        """Everything that holds a lock or a thread, which a forked process needs anew."""
        self._models = models
        self._metrics = Metrics()
        self._guard = Guard(
            self.settings,
            Sampler(self.settings.recheck, self.settings.recheck_cap, self._seed),
            self._metrics,
        )
        self._devices = tuple(GpuExecutor(device, models, self.settings) for device in devices)
        self._no_devices = no_devices
        self._planner = Planner(self.settings, self._devices, models, self._metrics, self._guard, no_devices)
        self._plans: dict[str, Plan] = {}
        self._planning = threading.RLock()
        self._measuring = threading.Lock()

    # What callers ask for

    def dispatch(self, work: Work) -> None:
        """Compute `work`; its result is where its caller expects it.

        Raises:
            UnknownOperation: no such operation.
            BackendUnavailable: no CPU backend can run it; or, under `gpu-only`, no device can.
            Exception: what a CPU backend raises, and ArgumentError from any.
        """
        plan = self._plans.get(work.operation) or self._plan(work.operation)
        items = work.items
        plan.items.add(items)
        if not items:
            work.run(plan.cpu.function)
            return
        if not (plan.devices or plan.others):
            self._guard.on_cpu(plan.cpu, work)
            return
        if plan.unmeasured:
            self._measure(plan)
        size = work.bytes
        if (
            self.settings.strategy is Strategy.BALANCE
            and isinstance(work, Batch)
            and plan.cpu.model is not None
        ):
            self._balance(plan, work, size, plan.cpu.model.estimate(items, size))
            return
        route = self._choose(plan, items, size)
        if isinstance(route, DeviceRoute):
            self._guard.start(plan, route, work).result()
        else:
            self._guard.on_cpu(route, work, size)

    def install(self) -> None:
        """Be what `auto` asks in the whole process; whatever was asked before is asked no more."""
        registry.set_dispatcher(self.dispatch)

    def uninstall(self) -> None:
        """Leave `auto` to the best CPU backend, if this scheduler was installed."""
        if registry.dispatcher() == self.dispatch:  # another scheduler may have taken its place
            registry.set_dispatcher(None)

    def close(self) -> None:
        """Uninstall, keep what was measured, and end the devices' threads. Work that comes later runs on the CPU."""
        self.uninstall()
        if self.settings.remember and any(model.observed for model in list(self._models.values())):
            self._store.save(self._models)
        for device in self._devices:
            device.close()

    def __enter__(self) -> Scheduler:
        self.install()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # What operators ask for

    def calibrate(self, operations: Iterable[str] | None = None) -> None:
        """Time the executors of these operations (all, if None) now, unless they are measured already or cannot run.

        Raises:
            UnknownOperation: a name that the registry does not list.
        """
        for operation in registry.operations() if operations is None else operations:
            with suppress(BackendUnavailable):
                plan = self._plans.get(operation) or self._plan(operation)
                if plan.unmeasured:
                    self._measure(plan)

    def report(self, operations: Iterable[str] | None = None) -> SchedulerReport:
        """What is known of these operations (all, if None), without timing any.

        Raises:
            UnknownOperation: a name that the registry does not list.
        """
        names = registry.operations() if operations is None else operations
        cpus = [executor_report(executor) for executor in self._planner.cpus]
        devices = [
            executor_report(
                executor, executor.breaker.state.value, executor.trouble or executor.breaker.reason
            )
            for executor in self._devices
        ]
        return SchedulerReport(
            strategy=self.settings.strategy.value,
            executors=(*cpus, *devices),
            no_devices=self._no_devices,
            operations=tuple(self._operation(name) for name in names),
            calibration_file=str(self._store.path) if self.settings.remember else "",
        )

    def metrics(self) -> tuple[Reading, ...]:
        """Every counter as it is now."""
        return self._metrics.snapshot()

    def device_memory(self) -> dict[str, int]:
        """Bytes that this process holds on each device, by name; a device that does not answer is left out."""
        held = {}
        for executor in self._devices:
            if executor.ready:
                with suppress(DeviceError):
                    held[executor.name] = executor.device.held_bytes()
        return held

    def _operation(self, name: str) -> OperationReport:
        try:
            return operation_report(self._plans.get(name) or self._plan(name))
        except BackendUnavailable as error:
            return unavailable_report(name, str(error))

    # How it chooses

    def _plan(self, operation: str) -> Plan:
        with self._planning:
            plan = self._plans.get(operation)
            if plan is None:
                plan = self._plans[operation] = self._planner.plan(operation)
            return plan

    def _choose(self, plan: Plan, items: int, size: int) -> Route:
        """The route that should be done first, of those that are well."""
        only_devices = self.settings.strategy is Strategy.GPU_ONLY
        if plan.cpu.model is None and not only_devices:
            wanted: Sequence[Route] = (
                plan.devices if items >= self.settings.default_threshold else (plan.cpu,)
            )
        else:
            wanted = plan.devices if only_devices else plan.routes
        plan.turn += 1
        calibrated = plan.turn % EXPLORE == 0
        while True:
            route = _cheapest(wanted, items, size, calibrated)
            if route is None:
                return plan.cpu
            if not isinstance(route, DeviceRoute) or self._usable(plan, route):
                return route
            wanted = [other for other in wanted if other is not route]

    def _balance(self, plan: Plan, work: Batch, size: int, seconds: float) -> None:
        """Cut a batch across all that are well, unless the CPU has done it (in `seconds`) before any device has begun."""
        wanted = [route for route in plan.devices if route.model is not None and route.model.least < seconds]
        if not wanted:
            self._guard.on_cpu(plan.cpu, work, size)
            return
        for route in wanted:
            self._usable(plan, route)
        assert plan.hybrid is not None
        plan.hybrid.submit(work).result()

    def _usable(self, plan: Plan, route: DeviceRoute) -> bool:
        """Whether a device that would be given work is well; the fallback is counted if it is not."""
        if route.executor.ready or self._prober.revive(route.executor):
            return True
        self._guard.unready(plan, route)
        return False

    # How it measures

    def _measure(self, plan: Plan) -> None:
        """Time what was not timed yet. One thread does; others go on with what is known."""
        if not self._measuring.acquire(blocking=False):
            return
        try:
            fresh = [route for route in list(plan.unmeasured) if self._measured(plan, route)]
        finally:
            self._measuring.release()
        if fresh and self.settings.remember:
            known = {(plan.operation, route.executor.name): route.model for route in fresh}
            self._store.save({key: model for key, model in known.items() if model is not None})
            self._choices.save(_choices_of(plan))

    def _measured(self, plan: Plan, route: Route) -> bool:
        """Whether this route was timed just now."""
        budget = self.settings.calibration_seconds / len(plan.routes)
        try:
            if not isinstance(route, DeviceRoute):
                model = calibrate(plan.operation, partial(_run, route), self._workload, CPU_SIZES, budget)
            elif route.executor.ready or self._prober.revive(route.executor):
                run = partial(self._trial, plan, route)
                model = calibrate(plan.operation, run, self._workload, DEVICE_SIZES, budget)
            else:
                return False
        except UnknownOperation:  # nothing to time it with: the threshold decides
            plan.unmeasured.remove(route)
            return False
        except Exception as error:
            if not isinstance(route, DeviceRoute):
                plan.unmeasured.remove(route)  # the batch itself will tell whether this backend works
            elif not isinstance(error, _Mismatch):
                self._guard.failed(plan, route, error)
            return False
        route.model = self._models[plan.operation, route.executor.name] = model
        plan.unmeasured.remove(route)
        return True

    def _trial(self, plan: Plan, route: DeviceRoute, work: Work) -> None:
        """What an accelerated batch costs: the twin, the device, the sample, and the copy into the caller's arrays."""
        ticket = route.executor.submit(work)
        found = ticket.result()
        wrong = self._guard.wrong(plan, found, ticket.seconds)
        if wrong:
            self._guard.mismatched(plan, route, wrong)
            raise _Mismatch(route.executor.name, f"{wrong} results differ from the CPU's")
        work.publish(found)

    def _forked(self) -> None:
        self._build((), FORKED if self._devices else self._no_devices, dict(self._models))


class _Mismatch(DeviceError):
    """A device was wrong while it was timed; counted already."""


def _run(route: Route, work: Work) -> None:
    work.run(route.function)


def _choices_of(plan: Plan) -> dict[str, Stretches]:
    """Which CPU backend is cheapest from how many items on, for whoever has no scheduler; nothing if one was timed alone."""
    models = {route.executor.backend: route.model for route in (plan.cpu, *plan.others)}
    timed = {name: model for name, model in models.items() if model is not None}
    return {plan.operation: cheapest(timed)} if len(timed) > 1 else {}


def _cheapest(routes: Sequence[Route], items: int, size: int, calibrated: bool) -> Route | None:
    """The route that should be done first; the first one, where none of them was measured.

    Args:
        calibrated: whether later batches than the calibration's are left aside.
    """
    best, least = None, math.inf
    for route in routes:
        model = route.model
        if model is None:
            seconds = math.inf
        else:
            seconds = model.measured(items, size) if calibrated else model.estimate(items, size)
        if isinstance(route, DeviceRoute):
            seconds += route.executor.backlog
        if best is None or seconds < least:
            best, least = route, seconds
    return best


_living: weakref.WeakSet[Scheduler] = weakref.WeakSet()


def _after_fork() -> None:
    for scheduler in list(_living):
        scheduler._forked()


os.register_at_fork(after_in_child=_after_fork)
