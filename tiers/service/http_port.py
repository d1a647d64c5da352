# SPDX-License-Identifier: GPL-3.0-or-later
"""An ASGI application on a port of the running event loop (uvicorn); signals are the service's own business."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

from supervm.tiers.service.access import network_of
from supervm.tiers.service.http.connections import Connections
from supervm.tiers.service.http.protocol import Connection, Port
from supervm.tiers.service.security import ServerTls

SWEEP_SECONDS = 0.25
"""How late a time-out may be noticed."""

BACKLOG = 2048
LAST = (b"connection", b"close")
"""The header of a connection's last answer (RFC 9112, 9.6)."""

ACCEPTED_AT_ONCE = 16
PAUSE_SECONDS = 0.5
"""Until the port accepts again when it could not."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HttpLimits:
    """What callers may take of a port.

    Args:
        connections: at a time.
        each: of one address.
        idle: seconds that a connection may take for a request's head, from its beginning or the last answer on.
    """

    connections: int = 1024
    each: int = 256
    idle: float = 10.0


def uncounted(reason: str) -> None:
    """Where nobody counts why connections are ended."""


def listen(address: str) -> socket.socket:
    """A socket that listens at HOST:PORT; port 0 is any free one.

    Raises:
        OSError: the address cannot be listened on.
    """
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), int(port)), family=family, backlog=BACKLOG)
    except OSError as error:
        raise OSError(f"cannot listen on {address}: {error}") from None


class _Server(uvicorn.Server):
    """Serves connections that others accept."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.servers = []
        self.started = True


class HttpPort:
    """The port.

    Args:
        app: ASGI.
        address: HOST:PORT; port 0 is any free one.
        limits: of its callers.
        tls: None in the clear.
        closed: told why a connection was ended; see `Port`.
        listening: a socket that listens already, in place of the address; other processes may accept from it too.
    """

    def __init__(
        self,
        app: Any,
        address: str,
        limits: HttpLimits | None = None,
        tls: ServerTls | None = None,
        closed: Callable[[str], None] = uncounted,
        listening: socket.socket | None = None,
    ) -> None:
        self._address, self._listening = address, listening
        limits = limits or HttpLimits()
        self._port = Port(Connections(limits.connections, limits.each), limits.idle, closed)
        clients = None if tls is None else tls.clients
        self._config = uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # else whoever is on this machine could say that it is somebody else
            timeout_keep_alive=round(limits.idle) + 60,  # the port's own time-out comes first
            ssl_certfile=None if tls is None else tls.certificate,
            ssl_keyfile=None if tls is None else tls.key,
            ssl_ca_certs=None if clients is None else str(clients),
            ssl_cert_reqs=ssl.CERT_NONE if clients is None else ssl.CERT_REQUIRED,
        )
        self._config.load()
        self._port.tls = self._config.ssl
        self._server = _Server(self._config)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> str:
        """Listen; returns the address.

        Raises:
            OSError: the address cannot be listened on.
        """
        if self._listening is None:
            self._listening = listen(self._address)
        self._listening.setblocking(False)
        self._tasks = [asyncio.create_task(self._server.serve()), asyncio.create_task(self._sweep())]
        self._accepting(True)
        return f"{self._address.rpartition(':')[0]}:{self._listening.getsockname()[1]}"

    def stop_listening(self) -> None:
        """Accept no more; another process may, from the same socket."""
        if self._listening is not None:
            self._accepting(False)
            self._listening.close()
            self._listening = None

    def leave(self) -> None:
        """Have each answer from now on be the last one of its connection, whose caller then goes elsewhere."""
        self._config.encoded_headers.append(LAST)
        self._server.server_state.default_headers.append(LAST)

    async def stop(self, grace: float) -> None:
        """Close the port, and what is not answered within `grace` seconds."""
        if not self._tasks:
            return
        self.stop_listening()
        serving, sweeping = self._tasks
        self._server.should_exit = True
        if grace:
            await asyncio.wait({serving}, timeout=grace)
        self._server.force_exit = True
        self._port.end()
        sweeping.cancel()
        await asyncio.wait({serving, sweeping})
        if serving.exception() is not None:
            await serving

    def _accepting(self, on: bool) -> None:
        loop = asyncio.get_running_loop()
        if self._listening is None:
            return
        if on:
            loop.add_reader(self._listening, self._accept, self._listening)
        else:
            loop.remove_reader(self._listening)

    def _accept(self, listening: socket.socket) -> None:
        """Let some of those in who wait; between some and the next, those that are in have their turn."""
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                accepted, peer = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # no descriptor or no memory is left: some may be soon
                log.error("cannot accept a connection: %s", error)
                self._accepting(False)
                asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._accepting, True)
                return
            accepted.setblocking(False)
            connection = Connection(self._port, network_of(peer[0]), self._config, self._server.server_state)
            if not connection.enter(accepted):
                self._port.closed("full")
                accepted.close()

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._port.sweep(loop.time())
