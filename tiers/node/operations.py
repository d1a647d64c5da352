# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's pages of a node, on a thread of their own."""

from __future__ import annotations

import socket
import threading

import uvicorn
from fastapi import APIRouter, FastAPI

STOP_SECONDS = 1
"""How long an answer has to reach its caller when the node stops; what has not is cut off."""


class OperationsServer:
    """An HTTP server of one router.

    Args:
        router: what it serves.
        address: HOST:PORT; port 0 is any free one.

    Raises:
        OSError: the address cannot be listened on.
    """

    def __init__(self, router: APIRouter, address: str) -> None:
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, int(port)), family=family)
        self.address = f"{address.rpartition(':')[0]}:{self._socket.getsockname()[1]}"
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        app.include_router(router)
        config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=STOP_SECONDS)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="supervm-node-http", daemon=True
        )

    def start(self) -> None:
        """Serve."""
        self._thread.start()

    def stop(self) -> None:
        """Serve no more, whatever callers do."""
        self._server.should_exit = True
        self._thread.join(2 * STOP_SECONDS)
        self._socket.close()
