# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's pages on a port of their own, and on a thread of their own: they answer however busy the process is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial

from supervm.tiers.observability.observing import Observation
from supervm.tiers.observability.routes import operations_app
from supervm.tiers.service.http_port import HttpLimits, HttpPort

LIMITS = HttpLimits(connections=256, each=64)
PORT = "operations"
STOP_SECONDS = 1.0


class OperationsServer:
    """An HTTP server of the pages, in the clear.

    Args:
        seen: what they show.
        address: HOST:PORT; port 0 is any free one.
    """

    def __init__(self, seen: Observation, address: str) -> None:
        self._seen = seen
        self.address = address
        self._stop: Callable[[], object] = lambda: None
        self._failed: BaseException | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervm-operations", daemon=True)

    def start(self) -> None:
        """Serve; `address` is then the one that is listened on.

        Raises:
            OSError: the address cannot be listened on.
        """
        self._thread.start()
        self._ready.wait()
        if self._failed is not None:
            self._thread.join(2 * STOP_SECONDS)
            raise self._failed

    def stop(self) -> None:
        """Serve no more."""
        if self._thread.is_alive():
            self._stop()
            self._thread.join(2 * STOP_SECONDS)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._failed = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        stopped, loop = asyncio.Event(), asyncio.get_running_loop()
        metrics = self._seen.metrics
        app = operations_app(metrics, self._seen.board)
        port = HttpPort(app, self.address, LIMITS, closed=lambda reason: metrics.closed(PORT, reason))
        self.address = await port.start()
        self._stop = partial(loop.call_soon_threadsafe, stopped.set)
        self._ready.set()
        await stopped.wait()
        await port.stop(STOP_SECONDS)
