# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads bodies of requests: no further than they may be long, and no more of them at a time than there is room for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import Request
from starlette.requests import ClientDisconnect

from supervm.tiers.errors import ServiceError
from supervm.tiers.service.codes import Code

MOST_BYTES = 16 << 20
"""Texts take many times their bytes while they are parsed; who sends more uses gRPC."""

RETRY_AFTER = 0.5

MOST_SECONDS = 30.0
"""For a body to come: one that never ends must not keep the room of others."""


class Body:
    """A body that was read, and its room, which is given back when the last one who has it leaves.

    Args:
        content: of the body.
        give_back: its size.
    """

    def __init__(self, content: bytes, give_back: Callable[[int], None]) -> None:
        self.content, self._give_back = content, give_back
        self._size, self._holders = len(content), 1

    def share(self) -> None:
        """One more has it; who does not wait for them may leave before."""
        self._holders += 1

    def leave(self) -> None:
        """One of them has it no more."""
        self._holders -= 1
        if not self._holders:
            self.content = b""
            self._give_back(self._size)


class Bodies:
    """For all requests of an application.

    Args:
        most_bytes: of a body, and of the message that it becomes.
        room: bytes of all bodies that are being read or parsed.
        most_seconds: for a body to come.
    """

    def __init__(self, most_bytes: int, room: int, most_seconds: float = MOST_SECONDS) -> None:
        self._most_bytes, self._room, self._most_seconds = most_bytes, room, most_seconds
        self._held = 0

    def check_size(self, size: int) -> None:
        """Raises:
        ServiceError: RESOURCE_EXHAUSTED, without a time to try again, for more than a body or message may have.
        """
        check_size(size, self._most_bytes)

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[Body]:
        """The body; its room is free again when it is left, and nobody else has it.

        Raises:
            ServiceError: RESOURCE_EXHAUSTED, where it is too long or there is no room; DEADLINE_EXCEEDED, where it does not
                come; CANCELLED, where its caller goes away.
        """
        stated = request.headers.get("content-length", "")
        if stated.isdecimal():
            self.check_size(int(stated))
        content = bytearray()
        try:
            await self._fill(content, request)
        except BaseException:
            self._held -= len(content)
            raise
        body = Body(bytes(content), self._give_back)
        del content
        try:
            yield body
        finally:
            body.leave()

    def _give_back(self, size: int) -> None:
        self._held -= size

    async def _fill(self, content: bytearray, request: Request) -> None:
        try:
            async with asyncio.timeout(self._most_seconds):
                async for part in request.stream():
                    content += part
                    self._held += len(part)
                    self.check_size(len(content))
                    if self._held > self._room:
                        text = (
                            f"{self._held} bytes of bodies are being read, of {self._room}: try again later"
                        )
                        raise ServiceError(Code.RESOURCE_EXHAUSTED, "", text, RETRY_AFTER)
        except TimeoutError:
            text = (
                f"{len(content)} bytes of the body came in {self._most_seconds:g} seconds, expected all of it"
            )
            raise ServiceError(Code.DEADLINE_EXCEEDED, "", text) from None
        except ClientDisconnect:
            raise gone() from None


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
