# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads bodies of requests: no further than they may be long, and no more of them at a time than there is room for.

A body's stated length is taken from the room before it is read; without one, what has come. Where there is no room, bodies
wait in turn, and one that hardly moves is given up for them. An eighth of the room is for small bodies, and large ones of an
address take no more than half of it, so that those that never end are in each other's way alone.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import Request
from starlette.requests import ClientDisconnect

from supervm.tiers.errors import ServiceError
from supervm.tiers.service.access import network_of
from supervm.tiers.service.admission import Queue
from supervm.tiers.service.codes import Code

MOST_BYTES = 16 << 20
"""Of a message that a body becomes, and of an answer."""

RETRY_AFTER = 0.5

MOST_SECONDS = 30.0
"""For a body to come: one that never ends must not keep the room of others."""

SMALL_BYTES = 32 << 10
SMALL_SHARE = 8
"""Of the room, a part of this many is for bodies of at most `SMALL_BYTES`."""

ADDRESS_SHARE = 2
"""Large bodies of an address may take a part of this many, or one may be there."""

PACE_SECONDS, SLOWEST_RATE = 1.0, 32 << 10
"""A body of which fewer bytes a second came for so long may be given up for others."""

MOST_WAITING = 64
"""Of large bodies, and as many small ones."""

WAIT_SECONDS = 2.0
LOOK_SECONDS = 0.1
"""How often those that wait look for stalled ones."""

STEP_BYTES = 64 << 10
"""Of room that a body without a stated length takes at a time."""


class Pace:
    """How fast something comes, a second at a time: who began fast, or sends a byte now and then, is slow none the less.

    Args:
        now: seconds.
    """

    __slots__ = ("_bytes", "_last", "_since", "_was_slow")

    def __init__(self, now: float) -> None:
        self._since = self._last = now
        self._bytes, self._was_slow = 0, False

    def add(self, size: int, now: float) -> None:
        """So many bytes have come."""
        if now - self._since >= PACE_SECONDS:
            self._was_slow = self.rate(now) < SLOWEST_RATE
            self._since, self._bytes = now, 0
        self._bytes += size
        self._last = now

    def rate(self, now: float) -> float:
        """Bytes a second of late."""
        return self._bytes / max(now - self._since, 1e-3)

    def slow(self, now: float) -> bool:
        """Whether others need not wait for it."""
        if self._was_slow or now - self._last >= PACE_SECONDS:
            return True
        return now - self._since >= PACE_SECONDS and self.rate(now) < SLOWEST_RATE


class Body:
    """A body that was read, and its room, which is given back when the last one who has it leaves.

    Args:
        content: of the body.
        give_back: called once.
    """

    def __init__(self, content: bytes, give_back: Callable[[], None]) -> None:
        self.content, self._give_back = content, give_back
        self._holders = 1

    def share(self) -> None:
        """One more has it; who does not wait for them may leave before."""
        self._holders += 1

    def leave(self) -> None:
        """One of them has it no more."""
        self._holders -= 1
        if not self._holders:
            self.content = b""
            self._give_back()


class _Incoming:
    """A body that is being read.

    Args:
        address: whose.
        small: whether it stays within `SMALL_BYTES`, as far as is known.
        limit: ends the reading.
    """

    def __init__(self, address: str, small: bool, limit: asyncio.Timeout) -> None:
        self.address, self.small, self.limit = address, small, limit
        self.pace = Pace(time.monotonic())
        self.content = bytearray()
        self.held = self.arrived = 0
        self.given_up = False
        self.wanted = 0
        self.turn: asyncio.Future[None] | None = None

    def stalled(self, now: float) -> bool:
        """Whether others need not wait for it. One that waits for room itself is not to blame."""
        return self.turn is None and not self.given_up and self.pace.slow(now)


class Bodies:
    """For all requests of an application.

    Args:
        most_bytes: of a body.
        room: bytes of all bodies that are being read or decoded, and of what the queue holds.
        queue: is told what has come.
        most_seconds: for a body to come.
    """

    def __init__(self, most_bytes: int, room: int, queue: Queue, most_seconds: float = MOST_SECONDS) -> None:
        self._most_bytes, self._room, self._most_seconds = most_bytes, room, most_seconds
        self._queue, self._arrived = queue, 0
        self._room_of_large = room - room // SMALL_SHARE
        self._held = self._held_by_large = 0
        self._of_address: dict[str, int] = {}  # of large bodies
        self._incoming: set[_Incoming] = set()
        self._waiting: deque[_Incoming] = deque()

    @property
    def held(self) -> int:
        """Bytes of the room that are taken."""
        return self._held

    def _check_size(self, size: int) -> None:
        """Raises:
        ServiceError: RESOURCE_EXHAUSTED, without a time to try again, for more than a body may have.
        """
        if size > self._most_bytes:
            text = f"found a body of {size} bytes or more, expected at most {self._most_bytes}"
            hint = "send less at once, or larger batches over gRPC"
            limits = "the limit is the lower one of service.body.bytes and service.message.bytes"
            raise ServiceError(Code.RESOURCE_EXHAUSTED, "", f"{text}: {hint}; {limits}")

    @asynccontextmanager
    async def read(self, request: Request, deadline: float | None = None) -> AsyncIterator[Body]:
        """The body; its room is free again when it is left, and nobody else has it.

        Args:
            deadline: `time.monotonic()` after which nobody wants it any more.

        Raises:
            ServiceError: RESOURCE_EXHAUSTED, where it is too long, there is no room, or it was given up for others;
                DEADLINE_EXCEEDED, where it does not come; CANCELLED, where its caller goes away.
        """
        stated = request.headers.get("content-length", "")
        size = int(stated) if stated.isdecimal() else None
        if size is not None:
            self._check_size(size)
            check_size(size, self._room)
        seconds = self._most_seconds
        if deadline is not None:
            seconds = min(seconds, deadline - time.monotonic())
        incoming, content = await self._come(request, size, seconds)
        body = Body(content, lambda: self._give_back(incoming))
        del content
        try:
            yield body
        finally:
            body.leave()

    # Coming -----------------------------------------------------------------------------------------------

    async def _come(self, request: Request, size: int | None, seconds: float) -> tuple[_Incoming, bytes]:
        """Read a body, which holds its room. Raises: ServiceError."""
        incoming = None
        try:
            async with asyncio.timeout(seconds) as limit:
                address = network_of(request.client.host) if request.client else ""
                incoming = _Incoming(address, size is None or size <= SMALL_BYTES, limit)
                self._incoming.add(incoming)
                await self._take(incoming, SMALL_BYTES if size is None else size)
                async for part in request.stream():
                    incoming.content += part
                    self._count_arrived(incoming, len(part))
                    self._check_size(len(incoming.content))
                    if len(incoming.content) > incoming.held:
                        self._grow(incoming)
                        await self._take(incoming, max(STEP_BYTES, len(part)))
                if incoming.given_up:  # and has lost what came before that
                    raise self._unfinished(incoming, seconds)
                self._incoming.discard(incoming)
                content = bytes(incoming.content)
                incoming.content = bytearray()
                return incoming, content
        except TimeoutError:
            assert incoming is not None
            raise self._unfinished(incoming, seconds) from None
        except ClientDisconnect:
            raise gone() from None
        finally:
            if incoming in self._incoming:
                self._incoming.discard(incoming)
                incoming.content.clear()
                self._give_back(incoming)

    def _unfinished(self, incoming: _Incoming, seconds: float) -> ServiceError:
        came = len(incoming.content)
        if incoming.given_up:
            text = "this body came more slowly than others could wait for: try again later"
            return ServiceError(Code.RESOURCE_EXHAUSTED, "", text, RETRY_AFTER)
        text = f"{came} bytes of the body came in {max(seconds, 0):g} seconds, expected all of it"
        return ServiceError(Code.DEADLINE_EXCEEDED, "", text)

    # Room -------------------------------------------------------------------------------------------------

    def _grow(self, incoming: _Incoming) -> None:
        """It is no small one after all."""
        if incoming.small:
            incoming.small = False
            self._count_large(incoming, incoming.held)

    async def _take(self, incoming: _Incoming, size: int) -> None:
        """Have so much more of the room, perhaps after others. Raises: ServiceError, RESOURCE_EXHAUSTED."""
        if not size:
            return
        incoming.wanted = size
        if not self._waiting and self._fits(incoming):
            self._hold(incoming, size)
            return
        if sum(one.small == incoming.small for one in self._waiting) >= MOST_WAITING:
            raise self._no_room()
        incoming.turn = asyncio.get_running_loop().create_future()
        self._waiting.append(incoming)
        last = time.monotonic() + WAIT_SECONDS
        self._grant()
        try:
            while not incoming.turn.done():
                self._give_up_stalled(incoming)
                left = last - time.monotonic()
                if left <= 0:
                    raise self._no_room()
                await asyncio.wait({incoming.turn}, timeout=min(left, LOOK_SECONDS))
                self._grant()  # the queue may have room by now
        finally:
            if not incoming.turn.done():
                self._waiting.remove(incoming)
                self._grant()
            incoming.turn, incoming.pace = None, Pace(time.monotonic())

    def _no_room(self) -> ServiceError:
        text = f"no room for the body beside {self._held} bytes of others, of {self._room} in all: try again later"
        return ServiceError(Code.RESOURCE_EXHAUSTED, "", text, RETRY_AFTER)

    def _over_share(self, incoming: _Incoming) -> bool:
        if incoming.small:
            return False
        others = self._of_address.get(incoming.address, 0) - incoming.held
        return others > 0 and others + incoming.held + incoming.wanted > self._room // ADDRESS_SHARE

    def _fits(self, incoming: _Incoming) -> bool:
        if self._over_share(incoming):
            return False
        queue = self._queue
        of_others = queue.size + queue.unread + queue.arriving - self._arrived
        if self._held + of_others + incoming.wanted > self._room:
            return False
        alone = self._held_by_large == incoming.held  # one large body always has its place
        return incoming.small or alone or self._held_by_large + incoming.wanted <= self._room_of_large

    def _hold(self, incoming: _Incoming, size: int) -> None:
        incoming.held += size
        self._held += size
        if not incoming.small:
            self._count_large(incoming, size)

    def _count_arrived(self, incoming: _Incoming, size: int) -> None:
        incoming.arrived += size
        incoming.pace.add(size, time.monotonic())
        self._arrived += size
        self._queue.arriving += size

    def _give_back(self, incoming: _Incoming) -> None:
        self._arrived -= incoming.arrived
        self._queue.arriving -= incoming.arrived
        incoming.arrived = 0
        size, incoming.held = incoming.held, 0
        if not size:
            return
        self._held -= size
        if not incoming.small:
            self._count_large(incoming, -size)
        self._grant()

    def _count_large(self, incoming: _Incoming, size: int) -> None:
        self._held_by_large += size
        held = self._of_address[incoming.address] = self._of_address.get(incoming.address, 0) + size
        if not held:
            del self._of_address[incoming.address]

    def _grant(self) -> None:
        """Give room to those that wait: first to addresses that have least, and in turn.

        Who waits for its own address's share holds up nobody else, nor do large bodies small ones.
        """
        for small in (True, False):
            while waiting := [
                one for one in self._waiting if one.small is small and not self._over_share(one)
            ]:
                incoming = min(waiting, key=lambda one: self._of_address.get(one.address, 0))
                if not self._fits(incoming):
                    break
                self._waiting.remove(incoming)
                self._hold(incoming, incoming.wanted)
                assert incoming.turn is not None
                incoming.turn.set_result(None)

    def _give_up_stalled(self, incoming: _Incoming) -> None:
        """Where a body waits: end the slowest stalled one, of its address if that has its share, else of that with most."""
        now = time.monotonic()
        stalled = [one for one in self._incoming if one.held and one.stalled(now)]
        held = self._of_address
        if self._over_share(incoming):
            stalled = [one for one in stalled if one.address == incoming.address]
        if not stalled:
            return
        slowest = min(stalled, key=lambda one: (-held.get(one.address, 0), one.pace.rate(now)))
        slowest.given_up = True
        slowest.content.clear()
        self._give_back(slowest)
        slowest.limit.reschedule(asyncio.get_running_loop().time())


def check_size(size: int, most: int) -> None:
    """Raises:
    ServiceError: RESOURCE_EXHAUSTED, without a time to try again.
    """
    if size > most:
        text = f"found {size} bytes or more, expected at most {most}: send less at once"
        raise ServiceError(Code.RESOURCE_EXHAUSTED, "", text)


def gone() -> ServiceError:
    """What nobody reads any more."""
    return ServiceError(Code.CANCELLED, "", "the caller went away")
