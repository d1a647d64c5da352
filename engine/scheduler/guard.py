# SPDX-License-Identifier: GPL-3.0-or-later
"""Guarded runs on accelerators: a failure costs time, never correctness.

What a device reports as failed is computed in smaller pieces (out of memory) or on the CPU; what it reports as done is
sampled (`recheck.py`), and a result with one mismatch is thrown away as a whole. Either way items stay in order: pieces are
slices of the caller's arrays.
"""

from __future__ import annotations

import logging
import threading
import time

from supervm.engine.scheduler.device import Ticket
from supervm.engine.scheduler.executors import Finished, Pending
from supervm.engine.scheduler.metrics import FALLBACKS, MISMATCHES, Metrics
from supervm.engine.scheduler.plan import DeviceRoute, Plan, Route
from supervm.engine.scheduler.recheck import Sampler
from supervm.engine.scheduler.settings import SchedulerSettings
from supervm.kernels.backend_trace import computed
from supervm.kernels.errors import (
    ArgumentError,
    DeviceError,
    DeviceLost,
    DeviceOutOfMemory,
    DeviceTimeout,
)
from supervm.kernels.work import Batch, Work

NO_DEVICE, UNAVAILABLE = "no_device", "unavailable"
"""Reasons under which `Guard.missing` counts: there is no device, or the backend cannot run here."""

_log = logging.getLogger("supervm.engine.scheduler")


def label(error: Exception) -> str:
    """The short reason under which an error is counted."""
    names = (
        (DeviceOutOfMemory, "out_of_memory"),
        (DeviceTimeout, "timeout"),
        (DeviceLost, "device_lost"),
        (DeviceError, "device_error"),
    )
    return next((name for kind, name in names if isinstance(error, kind)), "exception")


class Guard:
    """What every guarded run of a scheduler shares.

    Args:
        settings: the policy.
        sampler: checks results.
        metrics: counts.
    """

    def __init__(self, settings: SchedulerSettings, sampler: Sampler, metrics: Metrics) -> None:
        self.sampler = sampler
        self._smallest_piece = settings.smallest_piece
        self._metrics = metrics
        self._lock = threading.Lock()
        self._told: set[tuple[str, str, str]] = set()

    def start(self, plan: Plan, route: DeviceRoute, work: Work) -> Pending:
        """Begin to run `work` on a device; the result is in `work`, whatever the device does."""
        if not route.executor.ready:
            self.unready(plan, route)
            self.on_cpu(plan.cpu, work)
            return Finished(work)
        return GuardedRun(self, plan, route, work)

    def on_cpu(self, route: Route, work: Work, size: int = -1) -> None:
        """Run `work`, of `size` bytes if they were counted already, on this thread, and learn from the time it took."""
        begun = time.perf_counter()
        work.run(route.function)
        spent = time.perf_counter() - begun
        computed(work.operation, route.executor.backend)
        route.seconds.add(spent)
        if route.model is not None:
            route.model.observe(work.items, work.bytes if size < 0 else size, spent)

    def run_on_cpu(self, route: Route, work: Work) -> Pending:
        """The same as a part of something larger: an error is kept until the other parts have ended."""
        try:
            self.on_cpu(route, work)
        except Exception as error:
            return Finished(work, error)
        return Finished(work)

    def wrong(self, plan: Plan, found: Work, seconds: float) -> int:
        """How many sampled results of `found`, which took a device so many seconds, are not the CPU's."""
        return self.sampler.mismatches(found, plan.cpu.function, seconds, plan.cpu.model)

    def unready(self, plan: Plan, route: DeviceRoute) -> None:
        """Work that would have gone to a device goes elsewhere, because it is not well."""
        reason = route.executor.trouble or route.executor.breaker.reason
        self.fell_back(plan.operation, "circuit_open", route.executor.name, reason)

    def mismatched(self, plan: Plan, route: DeviceRoute, count: int) -> None:
        """A result was wrong and said nothing."""
        self._metrics.series(MISMATCHES, plan.operation).add()
        self.fell_back(plan.operation, "mismatch", route.executor.name, f"{count} sampled results differ")
        route.executor.breaker.mismatch(plan.operation)

    def failed(self, plan: Plan, route: DeviceRoute, error: Exception) -> None:
        """A call failed and said so; what that means for the device."""
        name, breaker = label(error), route.executor.breaker
        self.fell_back(plan.operation, name, route.executor.name, f"{type(error).__name__}: {error}")
        if isinstance(error, DeviceLost):
            route.executor.lose(error.reason)
        elif isinstance(error, DeviceTimeout):
            breaker.trip(plan.operation, error.reason)
        else:
            breaker.failure(plan.operation, str(error))

    def fell_back(self, operation: str, name: str, executor: str, reason: str) -> None:
        """Count a fallback, and tell the log of the first of its kind."""
        self._metrics.series(FALLBACKS, operation, name).add()
        key = (operation, name, executor)
        if self._first(key):
            _log.warning("%s on %s: %s (%s); the work is done elsewhere", *key, reason)

    def missing(self, operation: str, name: str, reason: str) -> None:
        """No device can run an operation: count it, and tell the log of this reason once, whatever the operation.

        A machine without a GPU is as it should be: that is information, no warning.
        """
        self._metrics.series(FALLBACKS, operation, name).add()
        if self._first((name, reason, "")):
            level = logging.INFO if name == NO_DEVICE else logging.WARNING
            _log.log(
                level, "%s runs on the CPU: %s", operation if name == UNAVAILABLE else "all work", reason
            )

    def _first(self, key: tuple[str, str, str]) -> bool:
        with self._lock:
            if key in self._told:
                return False
            self._told.add(key)
            return True

    def split(self, plan: Plan, route: DeviceRoute, work: Batch, error: DeviceOutOfMemory) -> None:
        """Run the halves of a batch that was too large, one after the other."""
        self.fell_back(plan.operation, label(error), route.executor.name, str(error))
        middle = work.items // 2
        for start, stop in ((0, middle), (middle, work.items)):
            self.start(plan, route, work.part(start, stop)).result()

    def divisible(self, work: Work) -> bool:
        """Whether a work that does not fit a device may be halved."""
        return isinstance(work, Batch) and work.items > self._smallest_piece


class GuardedRun:
    """A work on its way through a device."""

    def __init__(self, guard: Guard, plan: Plan, route: DeviceRoute, work: Work) -> None:
        self._guard, self._plan, self._route, self._work = guard, plan, route, work
        self._alone = route.executor.idle
        self._begun = time.perf_counter()
        self._ticket: Ticket | None = None
        self._refused: Exception | None = None
        try:
            self._ticket = route.executor.submit(work)
        except Exception as error:  # no memory for a twin, say: it counts as the device's failure
            self._refused = error

    def result(self) -> Work:
        """Wait for the work that was handed in, which has the result of the device or, where that failed, of the CPU.

        Raises:
            ArgumentError: the caller's, on every backend.
            Exception: what the CPU raised in the device's place.
        """
        guard, plan, route, work = self._guard, self._plan, self._route, self._work
        waited = self._ticket is not None and not self._ticket.done.is_set()
        try:
            if self._accepted(self._found(), waited):
                return work
        except ArgumentError:  # the caller's, on every backend
            raise
        except DeviceOutOfMemory as error:
            if guard.divisible(work):
                assert isinstance(work, Batch)
                guard.split(plan, route, work, error)
                return work
            guard.failed(plan, route, error)
        except Exception as error:
            guard.failed(plan, route, error)
        guard.on_cpu(plan.cpu, work)
        return work

    def _found(self) -> Work:
        if self._ticket is None:
            assert self._refused is not None
            raise self._refused
        result: Work = self._ticket.result()
        return result

    def _accepted(self, found: Work, waited: bool) -> bool:
        """Sample the result, and publish it if the sample agrees."""
        guard, plan, route, work = self._guard, self._plan, self._route, self._work
        assert self._ticket is not None
        arrived = time.perf_counter()
        wrong = guard.wrong(plan, found, self._ticket.seconds)
        if wrong:
            guard.mismatched(plan, route, wrong)
            return False
        work.publish(found)
        computed(work.operation, route.executor.backend)
        ended = time.perf_counter()
        # With nobody before it and somebody waiting, all that passed is its cost; else what it can be charged with.
        own = ended - self._begun if waited and self._alone else self._ticket.seconds + ended - arrived
        route.executor.breaker.success(plan.operation)
        route.seconds.add(own)
        if route.model is not None:
            route.model.observe(work.items, work.bytes, own)
        return True
