# SPDX-License-Identifier: GPL-3.0-or-later
"""When a call is attempted again: every call is pure, so what was refused for want of room or of a server is repeated.

Pauses grow exponentially with full jitter (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015);
a server's push-back (gRFC A6) is the least there is.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from supervm.kernels.errors import ArgumentError
from supervm.tiers.client.errors import ClientError, ServiceRefused, ServiceUnavailable

FULL = "RESOURCE_EXHAUSTED"

__all__ = ["NEVER", "Deadline", "Retry", "may_retry", "pause_before_retry"]


@dataclass(frozen=True)
class Retry:
    """How often, and after which pauses.

    Args:
        attempts: of one request, the first among them; 1 never tries again.
        first: longest pause before the second attempt, in seconds; it doubles with each further one.
        longest: what a pause is cut to, in seconds. A push-back may be longer.

    Raises:
        ArgumentError: no attempt, or a pause below zero.
    """

    attempts: int = 6
    first: float = 0.05
    longest: float = 2.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ArgumentError("attempts", repr(self.attempts), "a whole number, 1 or more")
        if not 0 <= self.first <= self.longest:
            raise ArgumentError("first", repr(self.first), f"seconds from 0 to 'longest', {self.longest}")

    def pause(self, attempt: int, push_back: float | None) -> float:
        """Seconds to wait after attempt number `attempt`, counted from 1, failed."""
        jitter = random.uniform(0, min(self.longest, self.first * 2 ** min(attempt - 1, 62)))
        return jitter + (push_back or 0.0)


@dataclass(frozen=True)
class Deadline:
    """A moment of the monotonic clock, in seconds; infinite where a call may take for ever."""

    moment: float

    @classmethod
    def after(cls, timeout: float | None) -> Deadline:
        """The moment in `timeout` seconds.

        Raises:
            ArgumentError: a timeout that is not above zero.
        """
        if timeout is None:
            return NEVER
        if not timeout > 0:
            raise ArgumentError("timeout", repr(timeout), "seconds above 0, or None")
        return cls(time.monotonic() + timeout)

    @property
    def left(self) -> float | None:
        """Seconds from now, 0 at least; None without a limit."""
        return None if self.moment == float("inf") else max(0.0, self.moment - time.monotonic())


NEVER = Deadline(float("inf"))


def pause_before_retry(error: ClientError, retry: Retry, attempt: int, deadline: Deadline) -> float | None:
    """Seconds until a request may be sent again, or None if its error is final.

    Final is what another attempt cannot change (RESOURCE_EXHAUSTED without a push-back is a request that never fits), the
    last attempt, and a pause that would outlast the deadline.
    """
    if not may_retry(error, retry, attempt):
        return None
    pause = retry.pause(attempt, getattr(error, "retry_after", None))
    left = deadline.left
    return pause if left is None or pause < left else None


def may_retry(error: ClientError, retry: Retry, attempt: int) -> bool:
    """Whether a request may be sent again whose attempt number `attempt` failed so, whenever that is."""
    if attempt >= retry.attempts:
        return False
    if isinstance(error, ServiceRefused):
        return error.code == FULL and error.retry_after is not None
    return isinstance(error, ServiceUnavailable)
