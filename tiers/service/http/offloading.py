# SPDX-License-Identifier: GPL-3.0-or-later
"""Work on texts, away from the event loop where it is large."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from supervm.tiers.service.computation import Computation
from supervm.tiers.service.core import VerificationService
from supervm.tiers.service.http.bodies import gone

T = TypeVar("T")

LARGE_BYTES = 32 << 10
"""Of a body, or of a request and its reply, beyond which a thread works on them. Below, the loop takes 0.3 ms as a rule, and
1.5 ms for the slowest contents: no more than the way to a thread and back takes under load."""


class Thread:
    """A thread for large texts: they take turns, as each takes many times its bytes while it is worked on.

    Args:
        name: of the thread.
        service: with which it ends.
    """

    def __init__(self, name: str, service: VerificationService) -> None:
        self._pool = service.pool(name)
        self._failed = partial(service.failed, vital=False)

    def run(self, work: Callable[[], T], left: Callable[[], None]) -> asyncio.Future[T]:
        """Have work done; its result, or a `ServiceError`. If it is cancelled before its turn, it is not done.

        Args:
            work: done on the thread.
            left: called on the loop when the thread has nothing of the work any more, whoever still waits for it.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._pool.put(Computation(partial(_wanted, future, work), None, future, self._failed, left))
        return future


def _wanted(future: asyncio.Future[T], work: Callable[[], T]) -> T:
    if future.done():
        raise gone()
    return work()
