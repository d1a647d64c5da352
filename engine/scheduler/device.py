# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs work on one accelerator: its own thread, a deadline for every call, and late results discarded."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from supervm.engine.scheduler.breaker import CircuitBreaker
from supervm.engine.scheduler.executors import BackendExecutor, ExecutorKind
from supervm.engine.scheduler.settings import SchedulerSettings
from supervm.engine.scheduler.store import Models
from supervm.kernels.errors import DeviceLost, DeviceTimeout
from supervm.kernels.work import Work

HAND_OVER = 0.05
"""Seconds after which somebody who waits looks again whether the thread has taken up a call."""


class Device(Protocol):
    """An accelerator, as `kernels.cuda` describes it."""

    @property
    def name(self) -> str:
        """Unique on the machine; its executor has the same."""

    @property
    def index(self) -> int:
        """Its number in CUDA's order, from 0."""

    def use(self) -> AbstractContextManager[Any]:
        """Make it the current device of this thread."""

    def held_bytes(self) -> int:
        """Device memory that this process holds."""


class Ticket:
    """A call that waits for a device, runs there, or has ended.

    Args:
        call: what to run on the device's thread.
        what: its name, for errors.
        deadline: seconds that it may run.
        expected: seconds that it is thought to run.
    """

    def __init__(
        self, executor: GpuExecutor, call: Callable[[], Any], what: str, deadline: float, expected: float
    ) -> None:
        self.call, self.what, self.deadline, self.expected = call, what, deadline, expected
        self.begun: float | None = None
        self.seconds = 0.0
        self.done = threading.Event()
        self.value: Any = None
        self.error: BaseException | None = None
        self._executor = executor

    def result(self) -> Any:
        """Wait until it ends or its deadline passes; what `call` returned.

        Raises:
            DeviceTimeout: the deadline passed, of this call or of the one before it.
            DeviceLost: the device does not run anything any more.
            Exception: what `call` raised.
        """
        while not self.done.is_set():
            self.done.wait(self._executor.patience(self))
        if self.error is not None:
            raise self.error
        return self.value


class GpuExecutor(BackendExecutor):
    """Runs the `cuda` backend of every operation on one device.

    Every call runs on one daemon thread, on a twin of the work. A call that outlives its deadline is left to itself: whoever
    waits gets DeviceTimeout, whatever it still writes goes to the twin, and the device is given no work for as long as the
    call has not come back. (One that hangs never does; after a pause of the whole machine it may, and then the breaker
    lets it in again once its cool-down is over and the known answers are right.) A deadline is kept by those who wait for
    a result; it counts from the moment the call reaches the device.

    Args:
        device: the accelerator.
        models: what operations cost.
        settings: deadlines and cool-downs.
    """

    kind = ExecutorKind.GPU

    def __init__(self, device: Device, models: Models, settings: SchedulerSettings) -> None:
        super().__init__(device.name, "cuda", models)
        self.device = device
        self.breaker = CircuitBreaker(settings.cooldown, settings.most_cooldown)
        self._settings = settings
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[Ticket | None] = queue.SimpleQueue()
        self._waiting: list[Ticket] = []
        self._thread: threading.Thread | None = None
        self._current: Ticket | None = None
        self._stuck: Ticket | None = None
        self._lost = ""
        self._warm: set[str] = set()
        self._unfinished = 0
        self.backlog = 0.0
        """Seconds that the calls which have not ended are thought to take."""

    @property
    def ready(self) -> bool:
        """Whether the circuit is closed, no call is overdue and the device is not lost."""
        return self.breaker.closed and self._stuck is None and not self._lost

    @property
    def idle(self) -> bool:
        """Whether a call would be taken up at once."""
        return not self._unfinished

    @property
    def trouble(self) -> str:
        """Why it runs nothing now, or ''."""
        if self._lost:
            return self._lost
        stuck = self._stuck
        if stuck is not None:
            return f"{stuck.what} has not come back; its deadline was {stuck.deadline:.3g} s"
        return ""

    def submit(self, work: Work) -> Ticket:
        """Run the work on a twin, which is the result.

        Raises: as `function`.
        """
        function = self.function(work.operation)
        twin = work.twin()

        def call() -> Work:
            twin.run(function)
            return twin

        expected = self._expected(work)
        return self.begin(call, work.operation, self.deadline(work.operation, expected), expected)

    def begin(self, call: Callable[[], Any], what: str, deadline: float, expected: float = 0.0) -> Ticket:
        """Run anything on the device's thread; `what` names the operation."""
        ticket = Ticket(self, call, what, deadline, expected)
        if (
            threading.current_thread() is self._thread
        ):  # a backend asks for more work: it cannot wait for itself
            return self._at_once(ticket)
        with self._lock:
            if self._lost:
                self._settle(ticket, None, DeviceLost(self.name, self._lost))
            elif self._stuck is not None:
                self._settle(ticket, None, DeviceTimeout(self.name, self.trouble))
            else:
                self._unfinished += 1
                self.backlog += expected
                self._waiting.append(ticket)
                self._queue.put(ticket)
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=self._serve, name=f"supervm {self.name}", daemon=True
                    )
                    self._thread.start()
        return ticket

    def deadline(self, operation: str, expected: float) -> float:
        """Seconds that a call may run; the first one of an operation may compile kernels."""
        usual = self._settings.deadline_factor * expected
        if operation not in self._warm:
            return max(usual, self._settings.first_deadline)
        return usual + self._settings.deadline_floor

    def lose(self, reason: str) -> None:
        """Run nothing here any more, for the rest of this process."""
        with self._lock:
            self._give_up(reason)

    def close(self, wait: float = 1.0) -> None:
        """End the thread, after the calls that it has; wait at most so many seconds for them."""
        with self._lock:
            self._lost = self._lost or "the scheduler was closed"
            thread, stuck = self._thread, self._stuck is not None
            self._queue.put(None)
        if thread is not None and not stuck:
            thread.join(wait)

    def patience(self, ticket: Ticket) -> float:
        """Seconds after which whoever waits for `ticket` should ask again; gives up a call whose deadline has passed."""
        with self._lock:
            running = self._current
            if running is None or running.begun is None or ticket.done.is_set():
                return HAND_OVER
            left = running.begun + running.deadline - time.monotonic()
            if left <= 0:
                self._overdue(running)
            return max(left, 0.0) if running is ticket else min(max(left, 0.0), HAND_OVER)

    def _expected(self, work: Work) -> float:
        model = self.model(work.operation)
        return 0.0 if model is None else model.estimate(work.items, work.bytes)

    def _at_once(self, ticket: Ticket) -> Ticket:
        value, error, begun = None, None, time.monotonic()
        try:
            value = ticket.call()
        except Exception as caught:
            error = caught
        ticket.seconds = time.monotonic() - begun
        self._settle(ticket, value, error)
        return ticket

    def _serve(self) -> None:
        while (ticket := self._queue.get()) is not None:
            with self._lock:
                if ticket.done.is_set():  # given up while it waited
                    continue
                self._waiting.remove(ticket)
                self._current, ticket.begun = ticket, time.monotonic()
            value, error = None, None
            try:
                with self.device.use():
                    value = ticket.call()
            except BaseException as caught:  # the one who waits must hear of it, whatever it is
                error = caught
            with self._lock:
                ticket.seconds = time.monotonic() - ticket.begun
                self._current = self._stuck = None
                if error is None:
                    self._warm.add(ticket.what)
                self._settle(ticket, value, error)
                if isinstance(error, DeviceLost):
                    self._give_up(error.reason)
            del ticket, value, error  # or the last batch stays in memory until the next one comes

    def _settle(self, ticket: Ticket, value: Any, error: BaseException | None) -> None:
        """End a ticket, unless it has ended: a call that comes back late changes nothing. The lock is held."""
        if not ticket.done.is_set():
            ticket.value, ticket.error = value, error
            if ticket.begun is not None or ticket in self._waiting:
                self._unfinished -= 1
                self.backlog = self.backlog - ticket.expected if self._unfinished else 0.0
            ticket.done.set()

    def _overdue(self, running: Ticket) -> None:
        self._stuck = running
        self._settle(running, None, DeviceTimeout(self.name, f"no answer within {running.deadline:.3g} s"))
        self._drain(DeviceTimeout(self.name, self.trouble))

    def _give_up(self, reason: str) -> None:
        self._lost = self._lost or reason
        self.breaker.lose(self._lost)
        self._drain(DeviceLost(self.name, self._lost))

    def _drain(self, error: Exception) -> None:
        for ticket in self._waiting:
            self._settle(ticket, None, error)
        self._waiting.clear()
