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
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha import reflection

from supervm.tiers.errors import ServiceError
from supervm.tiers.service.arrivals import CALL_BYTES, MESSAGE_BYTES, TICK, Arrivals, Held
from supervm.tiers.service.bounds import WINDOW, Bounds
from supervm.tiers.service.codes import Code
from supervm.tiers.service.connections import (
    READ_AT_ONCE,
    RESTRAINED_SECONDS,
    Connection,
    Connections,
    Patience,
)
from supervm.tiers.service.guarded_calls import Call, Requests, nothing_came, parsed, requests, single
from supervm.tiers.service.health import NAME as HEALTH
from supervm.tiers.service.places import Places
from supervm.tiers.service.refusals import abort
from supervm.tiers.service.sockets import Sockets

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Meter = Callable[[str, str, float], None]
"""Told of each refusal: the call's name, the status, and the seconds since its headers came."""

RESERVE = (256, 64)
"""Checks of health at a time, as many that watch it, and streams of reflection: of all, and of an address. They ask for no
token, and have places that nobody else takes."""

RETRY_AFTER = 0.25
"""Seconds; and about as long waits who is refused on the headers, or several times as long whose address is refused often,
so that nobody keeps the port busy with that."""

CONNECTION = "connection"
"""What a connection that is ended counts as."""

NO_PLACES: Mapping[str, Places] = MappingProxyType({})


class Guard(grpc.aio.ServerInterceptor):
    """The first interceptor of a server.

    Args:
        bounds: of its callers.
        meter: told of refusals.
        held: where the bytes of messages that are not whole count.
        identify: called with the context of every call but those of health and reflection, before anything of it is read;
            raises `ServiceError` where it is refused.
        own: places of methods that have some of their own, by name, such as `supervm.v1.Node/SubmitBlocks`.
    """

    def __init__(
        self,
        bounds: Bounds,
        meter: Meter,
        held: Held,
        identify: Callable[[Any], object] | None = None,
        own: Mapping[str, Places] = NO_PLACES,
    ) -> None:
        self._bounds, self._meter, self._held, self._identify = bounds, meter, held, identify
        self._calls = Places("calls", bounds.calls, bounds.address_calls)
        self._reserves = {
            f"{HEALTH}/Watch": Places("watches of health", *RESERVE),
            HEALTH: Places("checks of health", *RESERVE),
            reflection.SERVICE_NAME: Places("streams of reflection", *RESERVE),
        }
        self._own = {**self._reserves, **own}
        self._handlers: dict[str, Handler] = {}
        self._patience = Patience()
        self._ticking: asyncio.TimerHandle | None = None
        self._no_method: Handler = grpc.stream_stream_rpc_method_handler(self._unimplemented)

    @property
    def options(self) -> tuple[tuple[str, int], ...]:
        """Of the server."""
        return self._bounds.options

    def start(self, port: int) -> None:
        """Guard the calls of a server that listens on this port."""
        bounds = self._bounds
        self._sockets = sockets = Sockets(port)
        self._connections = Connections(
            sockets,
            bounds.address_connections,
            bounds.resets,
            min(bounds.connection_calls, READ_AT_ONCE) * WINDOW,
            bounds.message_bytes,
            bounds.connection_bytes,
            self._dropped,
        )
        self._arrivals = Arrivals(
            self._connections, sockets, bounds.message_bytes, bounds.arriving_bytes, self._held
        )
        self._loop = asyncio.get_running_loop()
        self._looking_after = self._loop.create_task(self._connections.look_after())

    def stop_listening(self) -> None:
        """Have the port take no further connection, while those that there are go on."""
        self._sockets.stop_listening()

    def stop(self, reason: ServiceError) -> None:
        """End the calls that wait for a message and do nothing."""
        for connection in self._connections.waiting():
            for call in connection.waiting:
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
        places = self._own.get(method) or self._own.get(service) or self._calls
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
                if packed is grpc.aio.EOF:
                    await nothing_came()
                self.came(call, packed)
                return await inner(parse(packed), context)
            except (asyncio.CancelledError, ServiceError, DecodeError) as caught:
                error = self._ended(name, call, context, caught)
            finally:
                if call is not None:
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
                answers = inner(await single(asked, parse) if asks_once else parsed(asked, parse), context)
                if isinstance(answers, Awaitable):
                    await answers
                else:
                    async for answer in answers:
                        await context.write(answer)
                return
            except (asyncio.CancelledError, ServiceError, DecodeError) as caught:
                error = self._ended(name, call, context, caught)
            finally:
                if call is not None:
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
        if self._identify is not None and places not in self._reserves.values():
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
        connection.waiting[call] = None
        if self._ticking is None:
            self._ticking = self._loop.call_later(TICK, self._tick)
        return call

    def _leave(self, call: Call, places: Places) -> None:
        if call.waits:
            self._stop_waiting(call)
            self._arrivals.lost(call.connection)
        self._answered(call)
        places.leave(call)
        call.task = None  # it holds its exception, which holds the frames of the call, and so its message

    def _ended(self, name: str, call: Call | None, context: Any, caught: BaseException) -> ServiceError:
        """Why the port ends a call; raises what was caught where its caller, or the server, does."""
        if isinstance(caught, ServiceError):
            return caught
        if isinstance(caught, DecodeError):
            return ServiceError(Code.INVALID_ARGUMENT, "", "a message that is not of the call's type")
        if call is not None and call.error is not None:
            call.task.uncancel()
            return call.error
        if call is not None:
            if call.waits and call.first:
                self._meter(name, Code.CANCELLED.name, time.monotonic() - call.begun)
            # A caller whose deadline passed while its request was worked on has not given it up for nothing.
            if call.waits or context.time_remaining() != 0:
                self._connections.abandoned(call.connection)
        raise caught

    async def _refuse(
        self, name: str, connection: Connection, call: Call | None, context: Any, error: ServiceError
    ) -> None:
        self._meter(name, error.code.name, 0.0 if call is None else time.monotonic() - call.begun)
        seconds = RETRY_AFTER * self._slowness(connection)
        if call is None:  # else gRPC may keep what has come of its message, until it ends
            connection.explained += CALL_BYTES + WINDOW
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                self._connections.abandoned(connection)
                raise
        await abort(context, error.with_traceback(None))

    async def refused(self, context: Any, held: int) -> None:
        """A call is refused by those behind the guard; where that is often, it keeps its place and its caller waits.

        Args:
            context: of the call.
            held: bytes of its message. One that is large is not kept for that.
        """
        times = self._slowness(self._connections.of(context.peer()))
        if times > 2 and held <= WINDOW:
            await asyncio.sleep(RETRY_AFTER * times)

    def _slowness(self, connection: Connection) -> float:
        """Count a refusal; how many times as long as usual it takes. Never the same: all would ask again at once, too."""
        return self._patience.refused(connection.network, time.monotonic()) * random.uniform(0.75, 1.25)

    def _dropped(self) -> None:
        """A connection is ended."""
        self._meter(CONNECTION, Code.RESOURCE_EXHAUSTED.name, 0.0)

    # Messages ---------------------------------------------------------------------------------------------

    def waits(self, call: Call) -> None:
        """A call waits for its next message."""
        self._answered(call)
        call.waits, call.first, call.since = True, False, time.monotonic()
        call.connection.waiting[call] = None
        if self._ticking is None:
            self._ticking = self._loop.call_later(TICK, self._tick)

    def came(self, call: Call, packed: Any) -> None:
        """What a call has waited for is there: a message, or `grpc.aio.EOF`."""
        connection, size = call.connection, 0 if packed is grpc.aio.EOF else len(packed)
        call.held = size
        connection.held += size
        if call.waits:
            self._stop_waiting(call)
        if packed is not grpc.aio.EOF:
            connection.explained += size + (size >> 7) + MESSAGE_BYTES
            if connection.arriving:
                self._arrivals.delivered(connection, size)

    def _answered(self, call: Call) -> None:
        """What a call has had is answered, or given up."""
        if call.held:
            call.connection.answered(call.held)
            call.held = 0

    def _stop_waiting(self, call: Call) -> None:
        call.waits = False
        del call.connection.waiting[call]
        if call.first:
            call.connection.turn_over(call.turn)

    # What is looked after ---------------------------------------------------------------------------------

    def _tick(self) -> None:
        """End what has waited too long, and clear who has sent too much; called while a message is waited for."""
        now, bounds = time.monotonic(), self._bounds
        waiting = self._connections.waiting()
        for connection in waiting:
            if connection.since < now - min(bounds.message_seconds, bounds.idle_seconds):
                self._end_late(connection, now)
        if self._arrivals.look(now):
            self._connections.look()
        while (heaviest := self._arrivals.too_much()) is not None:
            for call in heaviest.waiting:
                call.give_way(_too_much(bounds.arriving_bytes))
            heaviest.restrained = now + RESTRAINED_SECONDS
            self._arrivals.clear(heaviest)
        self._ticking = self._loop.call_later(TICK, self._tick) if waiting else None

    def _end_late(self, connection: Connection, now: float) -> None:
        for call in connection.waiting:
            seconds = self._bounds.message_seconds if call.first else self._bounds.idle_seconds
            if call.since < now - seconds and call.idle:
                call.give_way(_late(seconds))


def _as_it_is(packed: bytes) -> bytes:
    return packed


def _late(seconds: float) -> ServiceError:
    text = f"no message came within {seconds:g} seconds: send it sooner, or try again"
    return ServiceError(Code.UNAVAILABLE, "", text, RETRY_AFTER)


def _too_much(most: int) -> ServiceError:
    text = f"more than {most} bytes of messages are arriving, most of them from this address: try again later"
    return ServiceError(Code.RESOURCE_EXHAUSTED, "", text, RETRY_AFTER)
