# SPDX-License-Identifier: GPL-3.0-or-later
"""A call that is computed alone, as a job of a pool."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from supervm.tiers.errors import ServiceError
from supervm.tiers.service.gathering import expired


class Computation:
    """See `job_pool.Job`.

    Args:
        compute: makes the reply, on the pool's thread.
        deadline: `time.monotonic()` after which nobody wants it, or None.
        future: gets the reply, or a `ServiceError`; cancelled by who no longer waits.
        failed: turns what `compute` raised into an answer.
        leave: takes the request out of the queue.
    """

    def __init__(
        self,
        compute: Callable[[], Any],
        deadline: float | None,
        future: asyncio.Future[Any],
        failed: Callable[[BaseException], ServiceError],
        leave: Callable[[], None],
    ) -> None:
        self._future = future
        self._compute, self._deadline, self._failed, self._leave = compute, deadline, failed, leave
        self._reply: Any = None

    def start(self) -> bool:
        """See `lanes.Job`; where the deadline has passed, the future is told, and the request leaves the queue."""
        late = self._deadline is not None and self._deadline <= time.monotonic()
        if late:
            self.fail(expired())
        elif self._future.done():
            self._leave()
        return not late and not self._future.done()

    def step(self) -> bool:
        """See `lanes.Job`; computes the whole reply, so that no piece is left."""
        self._reply = self._compute()
        return False

    def finish(self) -> None:
        """See `lanes.Job`; the request leaves the queue, and the future gets the reply unless it was cancelled."""
        self._leave()
        if not self._future.done():
            self._future.set_result(self._reply)

    def fail(self, error: BaseException) -> None:
        """See `lanes.Job`; the request leaves the queue, and the future gets what `failed` makes of the error."""
        self._leave()
        if not self._future.done():
            self._future.set_exception(self._failed(error))
