# SPDX-License-Identifier: GPL-3.0-or-later
"""The circuit breaker of one executor: after too many failures it gets no work until it passes a known-answer test.

closed ──2 mismatches in a row, 3 failures in a minute, or a call past its deadline──▶ open
open ──cool-down over; one caller becomes the prober──▶ half open
half open ──known answers right──▶ closed          half open ──wrong, or it failed──▶ open, twice as long
any ──the device is lost──▶ lost, until this process ends
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from enum import Enum

MISMATCHES_IN_A_ROW = 2
FAILURES = 3
FAILURE_WINDOW = 60.0
"""Seconds within which that many failures open the circuit."""


class State(Enum):
    """Of a circuit."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"
    LOST = "lost"


class CircuitBreaker:
    """Counts what goes wrong on one executor; every method may be called from any thread.

    A pass of the known-answer test closes the circuit, but only a clean batch makes the next cool-down short again: a device
    that answers tests rightly and work wrongly is asked less and less often.

    Args:
        cooldown: seconds that it stays open the first time.
        most_cooldown: seconds that it stays open at most; each time without a clean batch in between doubles them.
        clock: seconds since some moment.
    """

    def __init__(
        self, cooldown: float, most_cooldown: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._cooldown, self._most_cooldown, self._clock = cooldown, most_cooldown, clock
        self._lock = threading.Lock()
        self._state = State.CLOSED
        self._wait = cooldown
        self._until = 0.0
        self._mismatches: dict[str, int] = {}
        self._failures: deque[float] = deque(maxlen=FAILURES)
        self._suspects: dict[str, None] = {}
        self._reason = ""

    @property
    def state(self) -> State:
        """Where it stands."""
        return self._state

    @property
    def closed(self) -> bool:
        """Whether work may go to the executor."""
        return self._state is State.CLOSED

    @property
    def reason(self) -> str:
        """What went wrong last, '' if nothing did since the last clean known-answer test."""
        return self._reason

    def success(self, operation: str) -> None:
        """A batch of `operation` was computed and its sample agreed."""
        if operation in self._mismatches or self._wait != self._cooldown:
            with self._lock:
                self._mismatches.pop(operation, None)
                self._wait = self._cooldown

    def mismatch(self, operation: str) -> None:
        """A sample of a batch did not agree with the CPU."""
        with self._lock:
            self._note(operation, f"{operation}: a result differs from the CPU's")
            self._mismatches[operation] = self._mismatches.get(operation, 0) + 1
            if sum(self._mismatches.values()) >= MISMATCHES_IN_A_ROW:
                self._open()

    def failure(self, operation: str, reason: str) -> None:
        """A call failed and said so."""
        with self._lock:
            self._note(operation, f"{operation}: {reason}")
            now = self._clock()
            self._failures.append(now)
            if len(self._failures) == FAILURES and now - self._failures[0] <= FAILURE_WINDOW:
                self._open()

    def trip(self, operation: str, reason: str) -> None:
        """A call did not come back in time: open at once."""
        with self._lock:
            self._note(operation, f"{operation}: {reason}")
            self._open()

    def lose(self, reason: str) -> None:
        """The device will not answer any more in this process: open for good."""
        with self._lock:
            self._state, self._reason = State.LOST, reason

    def probe(self) -> tuple[str, ...]:
        """If the cool-down is over, make the caller the one who tests the executor.

        Returns:
            The operations that went wrong, whose known answers it has to ask for before it calls `probed`; empty if the
            circuit is not open, still cools down, or is being tested by somebody else.
        """
        with self._lock:
            if self._state is not State.OPEN or self._clock() < self._until:
                return ()
            self._state = State.HALF_OPEN
            return tuple(self._suspects)

    def probed(self, reason: str) -> None:
        """End of the test that `probe` asked for: '' if every answer was right, else what went wrong."""
        with self._lock:
            if self._state is not State.HALF_OPEN:
                return
            if reason:
                self._reason = reason
                self._open()
            else:
                self._state, self._reason = State.CLOSED, ""
                self._suspects.clear()

    def _note(self, operation: str, reason: str) -> None:
        self._suspects[operation] = None
        if self._state is not State.LOST:
            self._reason = reason

    def _open(self) -> None:
        # Batches that were on their way when the circuit opened may fail too: they do not prolong the cool-down.
        if self._state in (State.LOST, State.OPEN):
            return
        self._state = State.OPEN
        self._until = self._clock() + self._wait
        self._wait = min(self._most_cooldown, 2 * self._wait)
        self._mismatches.clear()
        self._failures.clear()
