# SPDX-License-Identifier: GPL-3.0-or-later
"""A stream of requests: read as long as few are in flight, answered as verdicts come, together where they come together.

There is no task for a request: one reads, and one writes whatever answers have come since it wrote last.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc.aio
from google.protobuf.message import DecodeError

from supervm.tiers.errors import ServiceError
from supervm.tiers.service.codes import Code
from supervm.tiers.service.core import Caller, VerificationService
from supervm.tiers.service.gathering import Answer, Pending
from supervm.tiers.service.refusals import refusal
from supervm.tiers.service.v1 import verification_pb2 as pb

CALL = "VerifyStream"

MESSAGE_VERDICTS = 1 << 16
"""Verdicts that are put together in one message: what a caller of gRPC receives is limited to 4 MiB by default."""


class Stream:
    """One call of `VerifyStream`; see `gathering.Sink`.

    Args:
        service: verifies.
        caller: who sends.
        read: the next request, packed, or `grpc.aio.EOF`.
        write: sends a message.
        most: requests in flight; while there are so many, no more are read.
    """

    def __init__(
        self,
        service: VerificationService,
        caller: Caller,
        read: Callable[[], Awaitable[Any]],
        write: Callable[[pb.VerifyReplies], Awaitable[None]],
        most: int,
    ) -> None:
        self.gone = False
        self._service, self._caller, self._most = service, caller, most
        self._read_next, self._write_one = read, write
        self._replies: list[pb.VerifyReply] = []
        self._in_flight = 0
        self._ended = False
        self._reason: ServiceError | None = None
        self._wake, self._room = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        """Answer requests until the caller ends the stream, or it is stopped.

        Raises:
            ServiceError: why the stream ends before the caller ended it.
        """
        reader = asyncio.ensure_future(self._read())
        try:
            while not self._ended or self._in_flight:
                await self._wake.wait()
                self._wake.clear()
                await self._write()
            if self._reason is not None:
                raise self._reason
            await reader
        finally:
            self.gone = True
            reader.cancel()

    def answering(self) -> int:
        """Requests that are not answered yet."""
        return self._in_flight

    def stop(self, reason: ServiceError) -> None:
        """Read no further; end for this reason when what is in flight is answered."""
        if not self._ended:
            self._ended, self._reason = True, reason
            self._wake.set()

    def deliver(self, request: Pending, answer: Answer) -> None:
        """See `gathering.Sink`; verdicts or a refusal, under the request's tag, wait to be written."""
        if isinstance(answer, ServiceError):
            self._refuse(request.tag, answer, request.begun)
            return
        self._replies.append(pb.VerifyReply(id=request.tag, verdicts=answer))
        self._wake.set()
        self._service.meter.request(CALL, "OK", time.monotonic() - request.begun)

    def _refuse(self, tag: int, error: ServiceError, begun: float) -> None:
        self._replies.append(pb.VerifyReply(id=tag, refusal=refusal(error)))
        self._wake.set()
        self._service.meter.request(CALL, error.code.name, time.monotonic() - begun)

    async def _read(self) -> None:
        service, caller, read = self._service, self._caller, self._read_next
        try:
            while not self._ended:
                packed = await read()
                if packed is grpc.aio.EOF:
                    break
                try:
                    request = pb.VerifyRequest.FromString(packed)
                except DecodeError:
                    self.stop(ServiceError(Code.INVALID_ARGUMENT, "", "a message that is no VerifyRequest"))
                    return
                del packed
                self._in_flight += 1
                try:
                    service.submit(request, caller, self)
                except Exception as error:
                    self._refuse(request.id, service.failed(error, vital=False), time.monotonic())
                while self._in_flight >= self._most:
                    self._room.clear()
                    await self._room.wait()
        finally:
            self._ended = True
            self._wake.set()

    async def _write(self) -> None:
        """Write what has come; a request is in flight until then, so that a caller who does not read is not read."""
        while self._replies:
            count = together(self._replies)
            replies, self._replies = self._replies[:count], self._replies[count:]
            await self._write_one(pb.VerifyReplies(replies=replies))
            self._in_flight -= count
            self._room.set()


def together(replies: Sequence[pb.VerifyReply]) -> int:
    """How many of these replies, one at least, go in one message: `MESSAGE_VERDICTS` verdicts, or a single longer reply."""
    room = MESSAGE_VERDICTS
    for count, reply in enumerate(replies):
        room -= len(reply.verdicts)
        if room < 0:
            return max(count, 1)
    return len(replies)
