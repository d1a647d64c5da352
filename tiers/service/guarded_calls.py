# SPDX-License-Identifier: GPL-3.0-or-later
"""A call of gRPC that is guarded, and its messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import Any, NoReturn, Protocol

import grpc.aio

from supervm.tiers.errors import ServiceError
from supervm.tiers.service.codes import Code
from supervm.tiers.service.connections import Connection
from supervm.tiers.service.places import Line

MOMENT = 0.01
"""Seconds after the end of a call's messages within which gRPC says that the call was given up, if it was."""


class Call:
    """One call, from its headers to its end.

    Args:
        connection: that it came on.
        line: of the calls of its sort there.
        now: `time.monotonic()`.

    Attributes:
        waits: for a message.
        since: when that began.
        first: that is its first one.
        turn: to read that; None if it is there.
        resting: it waits for nothing but changes of state, and may be ended at any time.
        held: bytes of the message that it works on.
        busy: tells whether it is doing something, so that it cannot give way.
        error: why the port ends it, if it does.
    """

    __slots__ = (
        "begun",
        "busy",
        "connection",
        "error",
        "first",
        "held",
        "line",
        "resting",
        "since",
        "task",
        "turn",
        "waits",
    )

    def __init__(self, connection: Connection, line: Line, now: float) -> None:
        self.connection, self.line = connection, line
        self.begun = self.since = now
        self.task: Any = asyncio.current_task()
        self.turn = connection.turn()
        self.waits = self.first = True
        self.resting = False
        self.held = 0
        self.busy: Callable[[], object] = _never
        self.error: ServiceError | None = None

    @property
    def idle(self) -> bool:
        """See `places.Placed`."""
        return (self.resting or self.waits) and not self.busy()

    def give_way(self, error: ServiceError) -> None:
        """See `places.Placed`."""
        if self.error is None:
            self.error = error
            self.task.cancel()


def _never() -> bool:
    return False


class Waits(Protocol):
    """Who looks after calls that wait for a message."""

    def waits(self, call: Call) -> None:
        """A call waits for its next message."""

    def came(self, call: Call, packed: Any) -> None:
        """It is there: a message, or `grpc.aio.EOF`."""


class Requests:
    """The messages of a stream, packed.

    Args:
        guard: is told what is waited for, and what came.
        call: the stream.
        context: of gRPC.
    """

    def __init__(self, guard: Waits, call: Call, context: Any) -> None:
        self._guard, self.call, self._read = guard, call, context.read

    async def read(self) -> Any:
        """The next one, or `grpc.aio.EOF`."""
        call = self.call
        if not call.waits:
            self._guard.waits(call)
        elif call.turn is not None:
            await call.turn
        packed = await self._read()
        self._guard.came(call, packed)
        return packed


requests: ContextVar[Requests] = ContextVar("requests")
"""What the handler of a stream reads, in place of its context."""


async def single(asked: Requests, parse: Callable[[bytes], Any]) -> Any:
    """The only message of a call whose answers are a stream, and which may be ended from now on."""
    packed = await asked.read()
    if packed is grpc.aio.EOF:
        await nothing_came()
    asked.call.resting = True
    return parse(packed)


async def parsed(asked: Requests, parse: Callable[[bytes], Any]) -> AsyncIterator[Any]:
    """The messages of a stream."""
    while (packed := await asked.read()) is not grpc.aio.EOF:
        yield parse(packed)


async def nothing_came() -> NoReturn:
    """Raises:
    CancelledError: the caller has given the call up, or gRPC has refused the message: then that comes in a moment.
    ServiceError: there was none.
    """
    await asyncio.sleep(MOMENT)
    raise ServiceError(Code.INVALID_ARGUMENT, "", "the call ended without a message")
