# SPDX-License-Identifier: GPL-3.0-or-later
"""What is let in: a queue bounded in items and bytes, and a rate for each client. Refusals cost nothing and come at once."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from supervm.tiers.errors import ServiceError
from supervm.tiers.service.codes import Code

SHORTEST_RETRY, LONGEST_RETRY = 0.01, 5.0
MOST_CLIENTS = 10_000
"""Clients whose rate is remembered; beyond, the one that was quiet longest begins anew."""


class Queue:
    """Counts what is arriving, what is accepted and not yet answered, and answers that are on their way.

    Args:
        items, size: what the queue may hold; bytes of requests and of their answers.

    Attributes:
        unread: bytes of answers that their callers have not taken yet: whoever reads slowly, or never, holds them.
        arriving: bytes of requests that are not whole yet: whoever sends slowly, or never ends, holds them.
    """

    def __init__(self, items: int, size: int) -> None:
        self.most_items, self.most_size = items, size
        self.items = self.size = self.requests = self.unread = self.arriving = 0
        self._wait = SHORTEST_RETRY

    def enter(self, items: int, size: int) -> None:
        """Take a request in.

        Raises:
            ServiceError: RESOURCE_EXHAUSTED; without a time to try again if the request never fits.
        """
        if items > self.most_items or size > self.most_size:
            raise ServiceError(
                Code.RESOURCE_EXHAUSTED,
                "",
                f"the request has {items} items and {size} bytes with its answer, expected at most {self.most_items} "
                f"and {self.most_size}: send less at once",
            )
        held = self.size + self.unread + self.arriving
        if self.items + items > self.most_items or held + size > self.most_size:
            raise ServiceError(
                Code.RESOURCE_EXHAUSTED,
                "",
                f"the queue is full: {self.items} items and {held} bytes of {self.most_items} and "
                f"{self.most_size}: try again later",
                self.retry_after,
            )
        self.items += items
        self.size += size
        self.requests += 1

    def leave(self, items: int, size: int, seconds: float) -> None:
        """A request was answered, or given up, after so many seconds."""
        self.items -= items
        self.size -= size
        self.requests -= 1
        self._wait += (seconds - self._wait) / 16

    def taken(self, size: int) -> None:
        """The caller has so many bytes of `unread`, or is gone."""
        self.unread -= size

    @property
    def retry_after(self) -> float:
        """Half of what requests waited lately: by then about half of a full queue is done."""
        return min(max(self._wait / 2, SHORTEST_RETRY), LONGEST_RETRY)


class Rates:
    """A token bucket for each client: `rate` items a second, a second's worth at once; a request may overdraw it.

    Args:
        rate: items a second; 0 is without a limit.
        clock: seconds.
    """

    def __init__(self, rate: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._clock = rate, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def spend(self, client: str, items: int) -> None:
        """Count a request of `client`.

        Raises:
            ServiceError: RESOURCE_EXHAUSTED, with the time at which the debt is paid.
        """
        if not self._rate:
            return
        now = self._clock()
        left, then = self._buckets.get(client, (float(self._rate), now))
        left = min(left + (now - then) * self._rate, float(self._rate))
        if left <= 0:
            raise ServiceError(
                Code.RESOURCE_EXHAUSTED,
                "",
                f"this client sends more than {self._rate} items a second: send more slowly",
                max(-left / self._rate, SHORTEST_RETRY),
            )
        self._buckets[client] = (left - max(1, items), now)
        self._buckets.move_to_end(client)
        if len(self._buckets) > MOST_CLIENTS:
            self._buckets.popitem(last=False)
