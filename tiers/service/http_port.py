# SPDX-License-Identifier: GPL-3.0-or-later
"""An ASGI application on a port of the running event loop (uvicorn); signals are the service's own business."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from supervm.tiers.service.server import Transport


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpPort:
    """The port.

    Args:
        app: ASGI.
        address: HOST:PORT; port 0 is any free one.
        transport: whose certificates are used, and for how many connections.
    """

    def __init__(self, app: Any, address: str, transport: Transport) -> None:
        host, _, port = address.rpartition(":")
        self._host, self._name, self._port = host.strip("[]"), host, int(port)
        tls = transport.tls
        clients = None if tls is None else tls.clients
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=transport.calls + 1,  # at which uvicorn begins to answer 503
            ssl_certfile=None if tls is None else tls.certificate,
            ssl_keyfile=None if tls is None else tls.key,
            ssl_ca_certs=None if clients is None else str(clients),
            ssl_cert_reqs=ssl.CERT_NONE if clients is None else ssl.CERT_REQUIRED,
        )
        self._server = _Server(config)
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Listen; returns the address.

        Raises:
            OSError: the address cannot be listened on.
        """
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listening = socket.create_server((self._host, self._port), family=family, backlog=2048)
        self._serving = asyncio.create_task(self._server.serve([listening]))
        while not self._server.started:
            if self._serving.done():
                await self._serving
                raise OSError(f"cannot serve HTTP on {self._host}:{self._port}")
            await asyncio.sleep(0.001)
        return f"{self._name}:{listening.getsockname()[1]}"

    async def stop(self, *, at_once: bool) -> None:
        """Close the port, when what is in flight is answered or at once."""
        self._server.should_exit, self._server.force_exit = True, at_once
        if self._serving is not None:
            await self._serving
