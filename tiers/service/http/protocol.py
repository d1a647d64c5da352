# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection of an HTTP port: uvicorn's, with an end to whatever its caller may put off.

| what | how long |
|---|---|
| the TLS handshake, and the head of a request, from the connection or the last answer on | `Port.idle` |
| taking the next part of an answer | `SEND_SECONDS` |
| the rest of a body that was answered before it had come; closing | `LINGER_SECONDS` |

A body that is read has its time in `bodies`. What comes is parsed a slice at a time, between which others have their turn.
"""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import h11
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from supervm.tiers.errors import ServiceError
from supervm.tiers.observability.routes import PATHS
from supervm.tiers.service.codes import Code
from supervm.tiers.service.columns import shortened
from supervm.tiers.service.http.bodies import PACE_SECONDS, Pace
from supervm.tiers.service.http.connections import Connections, State
from supervm.tiers.service.http.parser import Parser
from supervm.tiers.service.http.problems import problem, respond

SLICE = 16 << 10
"""Bytes that are parsed before others have their turn: at worst, chunks of one byte, they take 15 ms."""

SEND_SECONDS = 20.0
LINGER_SECONDS = 2.0
RETRY_AFTER = 1.0

# uvicorn warns of each request that it cannot read: strangers would fill the log. They are counted instead.
log = logging.getLogger(__name__)
log.setLevel(logging.ERROR)


@dataclass
class Port:
    """What the connections of a port share.

    Args:
        books: who is connected.
        idle: seconds that a connection may take for the head of a request.
        closed: told why a connection was ended: "silent", "slow", "full", "malformed", "handshake".
        tls: None in the clear.
        open: all that are in the books.
    """

    books: Connections
    idle: float
    closed: Callable[[str], None]
    tls: ssl.SSLContext | None = None
    open: set[Connection] = field(default_factory=set)

    def sweep(self, now: float) -> None:
        """End what is over its time."""
        for connection in [one for one in self.open if one.over(now)]:
            connection.expire()

    def end(self) -> None:
        """End everything."""
        for connection in tuple(self.open):
            connection.abort()


class _Flow(FlowControl):
    """Pauses and resumes reading; what was read and is not parsed yet comes first."""

    def __init__(self, transport: asyncio.Transport, resumed: Callable[[], None]) -> None:
        super().__init__(transport)
        self._resumed = resumed

    def resume_reading(self) -> None:
        if self.read_paused:
            self.read_paused = False
            self._resumed()


class Connection(H11Protocol):
    """One connection.

    What uvicorn needs for it is made when its first bytes come: a flood of silent ones costs half as much.

    Args:
        port: whose.
        address: of the caller, as `network_of`.
        config, server_state: uvicorn's.
    """

    def __init__(self, port: Port, address: str, config: Config, server_state: ServerState) -> None:
        self._port, self._address = port, address
        self._uvicorn = config, server_state
        self._begun = False
        self._accepted: socket.socket | None = None
        self._opening: asyncio.Task[None] | None = None
        self._wire: asyncio.Transport | None = None
        self._entered = self._feeding = self._held = False
        self._state = State.WAITING
        self.since = asyncio.get_running_loop().time()
        self._deadline = self.since + port.idle
        self._pace = Pace(self.since)
        self._unparsed = bytearray()

    def enter(self, accepted: socket.socket) -> bool:
        """Begin on an accepted socket, which is then this connection's; whether there is a place."""
        self._entered = self._port.books.enter(self, self._address)
        if self._entered:
            self._port.open.add(self)
            self._accepted = accepted
            self._opening = asyncio.get_running_loop().create_task(self._open(accepted))
        return self._entered

    # What the transport calls -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As the loop calls it when the transport is open, TLS agreed on: abort what was ended meanwhile."""
        self._wire = transport
        if not self._entered:  # it was ended while it shook hands
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """As the loop calls it: parse what came, `SLICE` bytes at once at most; the rest waits for its turn."""
        if not self._begun:
            self._begin()
        if self._feeding or self._unparsed or len(data) > SLICE:
            self._unparsed += data
            if not self._feeding:
                self._feed()
        else:
            self._parse(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """As the loop calls it at the end: leave the books and, if bytes have come before, tell uvicorn."""
        self._unparsed.clear()
        self._leave()
        if self._begun:
            super().connection_lost(exc)

    def pause_writing(self) -> None:
        """As the loop calls it when much is unsent: the caller has `SEND_SECONDS` to take of it."""
        self._deadline = self.loop.time() + SEND_SECONDS
        super().pause_writing()

    def resume_writing(self) -> None:
        """As the loop calls it when little is unsent: a request in hand has no deadline any more."""
        if self._state is not State.WAITING:
            self._deadline = math.inf
        super().resume_writing()

    # Time and room ----------------------------------------------------------------------------------------

    def over(self, now: float) -> bool:
        """Whether its time is over."""
        if self._deadline == math.inf and self._closing:
            self._deadline = now + LINGER_SECONDS
        return now >= self._deadline

    def expire(self) -> None:
        """End it, since its time is over."""
        if self._wire is None:
            reason = "handshake"
        elif self._state is not State.WAITING or self._closing:
            reason = "slow"
        else:
            reason = "silent"
        self._port.closed(reason)
        self._end()

    def idle(self) -> bool:
        """See `connections.Member`; a body that comes on slowly counts, unless reading is paused, and work does not."""
        now = asyncio.get_running_loop().time()
        if self._state is State.READING:
            # Where reading is paused, it waits for room, and not for its caller.
            return self._pace.slow(now) and not self.flow.read_paused
        return self._state is State.WAITING and now - self.since >= PACE_SECONDS

    def evict(self) -> None:
        """See `connections.Member`; the port counts it as "full"."""
        self._port.closed("full")
        self._end()

    def abort(self) -> None:
        """End it at once, with what is not sent."""
        if self._wire is not None:
            self._wire.abort()
        elif self._accepted is not None:
            with suppress(OSError):
                self._accepted.shutdown(socket.SHUT_RDWR)  # which the handshake, or the loop, then finds

    def shutdown(self) -> None:
        """As uvicorn calls it when the server stops: close, if need be after the answer in hand; abort where h11 refuses."""
        try:
            super().shutdown()
        except h11.ProtocolError:
            self.abort()

    @property
    def _closing(self) -> bool:
        return self._wire is not None and self._wire.is_closing()

    def _end(self) -> None:
        self._leave()
        wire = self._wire
        # A TLS connection closes when its caller agrees, and an answer is written when its caller has read it.
        if wire is None or self._port.tls is not None or wire.is_closing() or wire.get_write_buffer_size():
            self.abort()
        else:
            wire.close()

    def _leave(self) -> None:
        """Take it out of the books, once."""
        if self._entered:
            self._entered = False
            self._port.open.discard(self)
            self._port.books.leave(self, self._address)

    # Inside -----------------------------------------------------------------------------------------------

    async def _open(self, accepted: socket.socket) -> None:
        """Make the transport, and shake hands."""
        tls, loop = self._port.tls, asyncio.get_running_loop()
        patience = None if tls is None else self._port.idle
        try:
            await loop.connect_accepted_socket(
                lambda: self, accepted, ssl=tls, ssl_handshake_timeout=patience
            )
        except (OSError, ssl.SSLError):
            accepted.close()
            if self._entered:  # else it was ended for another reason, and counted
                self._port.closed("handshake")
                self._leave()

    def _begin(self) -> None:
        """Become uvicorn's connection."""
        assert self._wire is not None
        self._begun = True
        super().__init__(*self._uvicorn, {}, asyncio.get_running_loop())
        self.logger = log
        self.conn = Parser()
        self._inner: Any = self.app
        self.app = self._answer
        super().connection_made(self._wire)
        self.flow = _Flow(self._wire, self._read_on)

    def _feed(self) -> None:
        """Parse the next slice of what has come, and let others have their turn before the one after it."""
        self._feeding = False
        if not self._closing and not self.flow.read_paused:
            piece = bytes(self._unparsed[:SLICE])
            del self._unparsed[:SLICE]
            self._parse(piece)
        if self._closing:
            self._unparsed.clear()
        elif self._unparsed:
            if not self._held:
                self._held = True
                self.transport.pause_reading()
            if not self.flow.read_paused:
                self._feed_soon()
        elif self._held and not self.flow.read_paused:
            self._held = False
            self.transport.resume_reading()

    def _feed_soon(self) -> None:
        if not self._feeding:
            self._feeding = True
            self.loop.call_soon(self._feed)

    def _read_on(self) -> None:
        """What uvicorn has parsed is dealt with."""
        if self._unparsed:
            self._feed_soon()
        else:
            self._held = False
            self.transport.resume_reading()

    def _parse(self, data: bytes) -> None:
        if self._state is State.READING:
            self._pace.add(len(data), self.loop.time())
        try:
            super().data_received(data)
        except h11.ProtocolError:  # of a connection whose end is on its way
            self.abort()
        self._settle()

    def on_response_complete(self) -> None:
        """As uvicorn calls it when an answer is written: go on to the next request, and begin the time that it has."""
        super().on_response_complete()
        self._settle()

    def _settle(self) -> None:
        """Tell the books what it does now, and begin the time that this may take."""
        if self.cycle is None or self.cycle.response_complete:
            state = State.WAITING
        else:
            state = State.READING if self.cycle.more_body else State.WORKING
        if self._closing:
            self._deadline = self.loop.time() + LINGER_SECONDS
        if state is self._state or not self._entered:
            return
        self._state, self.since = state, self.loop.time()
        self._pace = Pace(self.since)
        self._port.books.move(self, self._address, state)
        if state is not State.WAITING:
            self._deadline = math.inf
        elif not self._closing:
            unread = self.conn.their_state is h11.SEND_BODY
            self._deadline = self.since + (LINGER_SECONDS if unread else self._port.idle)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["abort"] = self.abort
        if self._entered and scope["path"] not in PATHS and self._port.books.crowded(self._address):
            self._port.closed("full")
            text = "too many requests are being answered: try again later, or send more in one"
            await problem(ServiceError(Code.RESOURCE_EXHAUSTED, "", text, RETRY_AFTER))(scope, receive, send)
            return
        await self._inner(scope, receive, send)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP; uvicorn calls this while it handles h11's error."""
        self._port.closed("malformed")
        error = sys.exc_info()[1]
        hint = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.abort()  # its answer has begun
            return
        detail = shortened(f"no HTTP/1.1 that is understood here: {error}")
        response = respond(hint, Code.INVALID_ARGUMENT.name, detail, headers={"Connection": "close"})
        start = h11.Response(status_code=hint, headers=response.raw_headers)
        for event in (start, h11.Data(data=bytes(response.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
