# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands before the calls of a gRPC port from their headers on, so that no caller takes it from the others.

A call is looked at when its headers are there and nothing of its message is read: who is refused, has cost that. Then its
message is waited for, and for no longer than a while. There are places for so many calls of one connection, of one address
and of all; who has most gives way. Bytes count from the first one on. Health has places of its own. A connection whose
caller abandons call after call is ended.

    guard = Guard(bounds, meter, held, identify)
    server = grpc.aio.server(interceptors=(guard, *others), options=guard.options)
    port = server.add_insecure_port(address)
    guard.start(port)
    await server.start()
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha import reflection

from supervm.tiers.errors import ServiceError
from supervm.tiers.service.arrivals import CALL_BYTES, TICK, Arrivals, Held
from supervm.tiers.service.codes import Code
from supervm.tiers.service.connections import RESTRAINED_SECONDS, Connection, Connections
from supervm.tiers.service.health import NAME as HEALTH
from supervm.tiers.service.places import Line, Places
from supervm.tiers.service.refusals import abort
from supervm.tiers.service.sockets import Sockets

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Meter = Callable[[str, str, float], None]
"""Told of each refusal: the call's name, the status, and the seconds since its headers came."""

WINDOW = 64 << 10
"""Bytes that a caller may send of a message before it is read. gRPC would let them grow to what a connection carries in a
round trip, and keep as many for every call."""

RESERVE = (256, 64)
"""Checks of health at a time, as many that watch it, and streams of reflection: of all, and of an address. They ask for no
token, and have places that nobody else takes."""

RETRY_AFTER = 0.25
"""Seconds; and as long waits who is refused on the headers, so that a connection cannot keep the service busy with that."""

HANDSHAKE_MILLISECONDS = 10_000

CONNECTION = "connection"
"""What a connection that is ended counts as."""


@dataclass(frozen=True)
class Bounds:
    """What callers may take.

    Args:
        calls, address_calls, connection_calls: at a time.
        connections, address_connections: at a time.
        message_bytes: of a message, at most.
        message_seconds: in which a call's first message has to come.
        arriving_bytes: of messages that are not whole.
        idle_seconds: after which a stream that says nothing is ended, and a connection without calls.
        resets: calls that a connection may abandon in a second.
    """

    calls: int = 1024
    address_calls: int = 512
    connection_calls: int = 64
    connections: int = 4096
    address_connections: int = 256
    message_bytes: int = 16 << 20
    message_seconds: float = 30.0
    arriving_bytes: int = 128 << 20
    idle_seconds: float = 600.0
    resets: int = 200


class Call:
    """One call, from its headers to its end.

    Args:
        connection: that it came on.
        line: of the calls of its sort there.
        now: `time.monotonic()`.

    Attributes:
        waits: where it stands while it waits for a message.
        since: when that began.
        turn: to read the first one; None if it is there.
        resting: it waits for nothing but changes of state, and may be ended at any time.
        busy: tells whether it is doing something, so that it cannot give way.
        error: why the port ends it, if it does.
    """

    __slots__ = ("begun", "busy", "connection", "error", "line", "resting", "since", "task", "turn", "waits")

    def __init__(self, connection: Connection, line: Line, now: float) -> None:
        self.connection, self.line, self.begun, self.since = connection, line, now, now
        self.task: Any = asyncio.current_task()
        self.waits: dict[Call, None] | None = None
        self.turn = connection.turn()
        self.resting = False
        self.busy: Callable[[], object] = _never
        self.error: ServiceError | None = None

    @property
    def idle(self) -> bool:
        """See `places.Placed`."""
        return (self.resting or self.waits is not None) and not self.busy()

    def give_way(self, error: ServiceError) -> None:
        """See `places.Placed`."""
        if self.error is None:
            self.error = error
            self.task.cancel()


def _never() -> bool:
    return False


class Requests:
    """The messages of a stream, packed.

    Args:
        guard: of the port.
        call: the stream.
        context: of gRPC.
    """

    def __init__(self, guard: Guard, call: Call, context: Any) -> None:
        self._guard, self.call, self._read = guard, call, context.read

    async def read(self) -> Any:
        """The next one, or `grpc.aio.EOF`."""
        self._guard.waits(self.call)
        if self.call.turn is not None:
            await self.call.turn
        packed = await self._read()
        self._guard.came(self.call, packed)
        return packed


requests: ContextVar[Requests] = ContextVar("requests")
"""What the handler of a stream reads, in place of its context."""


class Guard(grpc.aio.ServerInterceptor):
    """The first interceptor of a server.

    Args:
        bounds: of its callers.
        meter: told of refusals.
        held: where the bytes of messages that are not whole count.
        identify: called with the context of every call but those of health and reflection, before anything of it is read;
            raises `ServiceError` where it is refused.
    """

    def __init__(
        self, bounds: Bounds, meter: Meter, held: Held, identify: Callable[[Any], object] | None = None
    ) -> None:
        self._bounds, self._meter, self._held, self._identify = bounds, meter, held, identify
        self._calls = Places("calls", bounds.calls, bounds.address_calls)
        self._reserves = {
            f"{HEALTH}/Watch": Places("watches of health", *RESERVE),
            HEALTH: Places("checks of health", *RESERVE),
            reflection.SERVICE_NAME: Places("streams of reflection", *RESERVE),
        }
        self._handlers: dict[str, Handler] = {}
        self._first: dict[Call, None] = {}
        self._next: dict[Call, None] = {}
        self._ticking: asyncio.TimerHandle | None = None
        self._no_method: Handler = grpc.stream_stream_rpc_method_handler(self._unimplemented)

    @property
    def options(self) -> tuple[tuple[str, int], ...]:
        """Of the server."""
        bounds = self._bounds
        return (
            ("grpc.max_receive_message_length", bounds.message_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_concurrent_streams", bounds.connection_calls),
            ("grpc.http.overload_protection", 0),
            ("grpc.http2.bdp_probe", 0),
            ("grpc.http2.lookahead_bytes", WINDOW),
            ("grpc.max_allowed_incoming_connections", bounds.connections),
            ("grpc.max_connection_idle_ms", int(bounds.idle_seconds * 1000)),
            ("grpc.server_handshake_timeout_ms", HANDSHAKE_MILLISECONDS),
            ("grpc.so_reuseport", 0),  # else a second process would share the port, and the calls
        )

    def start(self, port: int) -> None:
        """Guard the calls of a server that listens on this port."""
        bounds = self._bounds
        sockets = Sockets(port)
        self._arrivals = Arrivals(sockets, bounds.message_bytes, bounds.arriving_bytes, self._held)
        self._connections = Connections(
            sockets,
            bounds.address_connections,
            bounds.resets,
            bounds.connection_calls * WINDOW,
            bounds.message_bytes,
            self._dropped,
        )
        self._loop = asyncio.get_running_loop()
        self._looking_after = self._loop.create_task(self._connections.look_after())

    def stop(self, reason: ServiceError) -> None:
        """End the calls that wait for a message and do nothing."""
        for call in (*self._first, *self._next):
            if call.idle:
                call.give_way(reason)

    def close(self) -> None:
        """Look after nothing any more."""
        self._looking_after.cancel()
        if self._ticking is not None:
            self._ticking.cancel()

    # Calls ------------------------------------------------------------------------------------------------

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """The guarded handler of a method."""
        method = handler_call_details.method
        guarded = self._handlers.get(method)
        if guarded is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return self._no_method
            guarded = self._handlers[method] = self._guarded(method.lstrip("/"), handler)
        return guarded

    def _guarded(self, method: str, handler: Handler) -> Handler:
        """The handler, as one of a stream: the same on the wire, but here a message is read when that is wanted."""
        service, _, name = method.partition("/")
        places = self._reserves.get(method) or self._reserves.get(service) or self._calls
        if handler.unary_unary is not None:
            unary = self._unary(name, places, handler)
            return grpc.stream_unary_rpc_method_handler(unary, None, handler.response_serializer)
        stream = self._stream(name, places, handler)
        return grpc.stream_stream_rpc_method_handler(stream, None, handler.response_serializer)

    def _unary(self, name: str, places: Places, handler: Handler) -> Any:
        parse = handler.request_deserializer or _as_it_is
        inner: Any = handler.unary_unary

        async def behave(_: Any, context: Any) -> Any:
            connection, call = self._connections.of(context.peer()), None
            try:
                call = self._enter(connection, places, context)
                if call.turn is not None:
                    await call.turn
                packed = await context.read()
                self.came(call, packed)
                if packed is not grpc.aio.EOF:
                    return await inner(parse(packed), context)
                error = _nothing_came()
            except (asyncio.CancelledError, ServiceError, DecodeError) as caught:
                error = self._ended(call, context, caught)
            finally:
                self._leave(call, places)
            return await self._refuse(name, connection, call, context, error)

        return behave

    def _stream(self, name: str, places: Places, handler: Handler) -> Any:
        asks_once, parse = handler.unary_stream, handler.request_deserializer or _as_it_is
        inner: Any = asks_once or handler.stream_stream

        async def behave(_: Any, context: Any) -> None:
            connection, call = self._connections.of(context.peer()), None
            try:
                call = self._enter(connection, places, context)
                asked = Requests(self, call, context)
                requests.set(asked)
                answers = inner(await _single(asked, parse) if asks_once else _parsed(asked, parse), context)
                if isinstance(answers, Awaitable):
                    await answers
                else:
                    async for answer in answers:
                        await context.write(answer)
                return
            except (asyncio.CancelledError, ServiceError, DecodeError) as caught:
                error = self._ended(call, context, caught)
            finally:
                self._leave(call, places)
            await self._refuse(name, connection, call, context, error)

        return behave

    async def _unimplemented(self, _: Any, context: Any) -> None:
        connection = self._connections.of(context.peer())
        error = ServiceError(Code.UNIMPLEMENTED, "", "there is no such method")
        await self._refuse("unknown", connection, None, context, error)

    def _enter(self, connection: Connection, places: Places, context: Any) -> Call:
        """A call with a place, whose message is waited for.

        Raises:
            ServiceError: it is refused.
        """
        if connection.dropped:
            raise ServiceError(Code.UNAVAILABLE, "", "the connection is ended", RETRY_AFTER)
        if places is self._calls and self._identify is not None:
            self._identify(context)
        line = connection.lines.get(places)
        if line is None:
            line = connection.lines[places] = places.line(connection.network, connection)
        now = time.monotonic()
        call = Call(connection, line, now)
        try:
            places.take(call)
        except ServiceError:
            connection.turn_over(call.turn)
            raise
        connection.explained += CALL_BYTES
        self._wait(call, self._first, now)
        return call

    def _leave(self, call: Call | None, places: Places) -> None:
        if call is not None:
            if call.waits is not None:
                self._arrivals.lost(call.connection, WINDOW)
                self._stop_waiting(call)
            places.leave(call)

    def _ended(self, call: Call | None, context: Any, caught: BaseException) -> ServiceError:
        """Why the port ends a call; raises what was caught where its caller, or the server, does."""
        if isinstance(caught, ServiceError):
            return caught
        if isinstance(caught, DecodeError):
            return ServiceError(Code.INVALID_ARGUMENT, "", "a message that is not of the call's type")
        if call is not None and call.error is not None:
            call.task.uncancel()
            return call.error
        # A caller whose deadline passed while its request was worked on has not given it up for nothing.
        if call is not None and (call.waits is not None or context.time_remaining() != 0):
            self._connections.abandoned(call.connection)
        raise caught

    async def _refuse(
        self, name: str, connection: Connection, call: Call | None, context: Any, error: ServiceError
    ) -> None:
        self._meter(name, error.code.name, 0.0 if call is None else time.monotonic() - call.begun)
        if call is None:
            connection.explained += CALL_BYTES + WINDOW
            try:
                await asyncio.sleep(RETRY_AFTER)
            except asyncio.CancelledError:
                self._connections.abandoned(connection)
                raise
        await abort(context, error.with_traceback(None))

    def _dropped(self) -> None:
        """A connection is ended."""
        self._meter(CONNECTION, Code.RESOURCE_EXHAUSTED.name, 0.0)

    # Messages ---------------------------------------------------------------------------------------------

    def waits(self, call: Call) -> None:
        """A call waits for its next message; for the first one it does already."""
        if call.waits is None:
            call.since = time.monotonic()
            self._wait(call, self._next, call.since)

    def came(self, call: Call, packed: Any) -> None:
        """What a call has waited for is there: a message, or `grpc.aio.EOF`."""
        if packed is not grpc.aio.EOF:
            self._arrivals.came(call.connection, len(packed))
        self._stop_waiting(call)

    def _wait(self, call: Call, where: dict[Call, None], now: float) -> None:
        where[call] = None
        call.waits = where
        self._arrivals.wait(call, now)
        if self._ticking is None:
            self._ticking = self._loop.call_later(TICK, self._tick)

    def _stop_waiting(self, call: Call) -> None:
        if call.waits is not None:
            if call.waits is self._first:
                call.connection.turn_over(call.turn)
            del call.waits[call]
            call.waits = None
            self._arrivals.leave(call)

    # What is looked after ---------------------------------------------------------------------------------

    def _tick(self) -> None:
        """End what has waited too long, and clear who has sent too much; called while a message is waited for."""
        now, bounds = time.monotonic(), self._bounds
        for waiting, seconds in ((self._first, bounds.message_seconds), (self._next, bounds.idle_seconds)):
            for call in _since(waiting, now - seconds):
                call.give_way(_late(seconds))
        if self._arrivals.look(now):
            self._connections.look()
        while (connection := self._arrivals.too_much()) is not None:
            for call in list(connection.waiting):
                call.give_way(_too_much(bounds.arriving_bytes))
            connection.restrained = now + RESTRAINED_SECONDS
            self._arrivals.clear(connection)
        waits = self._first or self._next
        self._ticking = self._loop.call_later(TICK, self._tick) if waits else None


def _since(waiting: Iterable[Call], before: float) -> list[Call]:
    """The calls that have waited since before then, and do nothing else."""
    return [call for call in itertools.takewhile(lambda each: each.since < before, waiting) if call.idle]


def _as_it_is(packed: bytes) -> bytes:
    return packed


async def _single(asked: Requests, parse: Callable[[bytes], Any]) -> Any:
    """The only message of a call whose answers are a stream, and which may be ended from now on."""
    packed = await asked.read()
    if packed is grpc.aio.EOF:
        raise _nothing_came()
    asked.call.resting = True
    return parse(packed)


async def _parsed(asked: Requests, parse: Callable[[bytes], Any]) -> AsyncIterator[Any]:
    """The messages of a stream."""
    while (packed := await asked.read()) is not grpc.aio.EOF:
        yield parse(packed)


def _nothing_came() -> ServiceError:
    return ServiceError(Code.INVALID_ARGUMENT, "", "the call ended without a message")


def _late(seconds: float) -> ServiceError:
    text = f"no message came within {seconds:g} seconds: send it sooner, or try again"
    return ServiceError(Code.UNAVAILABLE, "", text, RETRY_AFTER)


def _too_much(most: int) -> ServiceError:
    text = f"more than {most} bytes of messages are arriving, most of them from this address: try again later"
    return ServiceError(Code.RESOURCE_EXHAUSTED, "", text, RETRY_AFTER)
