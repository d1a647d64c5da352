# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads: batches, single calls, streams; each bounded in time, each answer checked byte by byte.

Closed loads send the next request when an answer came and find the rate; paced loads send when a request is due, whatever
the service does, and find how long answers take. Every client has a connection of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from supervm.benchmarks.service.requests import STREAM, VERIFY, Signatures, head
from supervm.benchmarks.service.tally import Tally
from supervm.tiers.service.v1 import verification_pb2 as pb

CHANNEL = (
    ("grpc.use_local_subchannel_pool", 1),  # a connection for each client
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
)
GRACE = 30.0
"""Seconds that the last answers of a load may take before they count as lost."""


@dataclass(frozen=True)
class Pace:
    """How a load goes.

    Args:
        clients: each with a connection.
        in_flight: requests of a client without an answer, at most.
        seconds: from the moment at which every connection stands; after them nothing more is sent.
        rate: requests a second of all clients; None sends as answers come.
    """

    clients: int
    in_flight: int
    seconds: float
    rate: float | None = None

    def due(self, client: int, sent: int) -> float:
        """When request number `sent` of a client is due, in seconds after the load's begin."""
        assert self.rate is not None
        return (sent + client / self.clients) * self.clients / self.rate


async def unary(
    target: str, requests: Sequence[tuple[bytes, bytes]], pace: Pace, tally: Tally, timeout: float = GRACE
) -> None:
    """Calls of `Verify`.

    Args:
        target: HOST:PORT.
        requests: (request, right reply), taken in turn.
        pace: `in_flight` calls of each client at a time.
        tally: counts.
        timeout: of a call, seconds.
    """
    async with _channels(target, pace.clients) as channels:
        methods = [channel.unary_unary(VERIFY) for channel in channels]
        begin = tally.begun = time.perf_counter()
        until = begin + pace.seconds

        async def caller(client: int, turn: int) -> None:
            place, sent = client * 7919 + turn * 104729, 0
            while (now := time.perf_counter()) < until:
                due = now
                if pace.rate is not None:
                    due = begin + pace.due(client, sent * pace.in_flight + turn)
                    if due >= until:
                        return
                    await asyncio.sleep(due - now)
                request, right = requests[(place + sent) % len(requests)]
                sent += 1
                await _call(methods[client], request, right, due, tally, timeout)

        async with asyncio.TaskGroup() as group:
            for client in range(pace.clients):
                for turn in range(pace.in_flight):
                    group.create_task(caller(client, turn))


async def flood(
    target: str, requests: Sequence[tuple[bytes, bytes]], pace: Pace, tally: Tally, timeout: float = GRACE
) -> int:
    """Calls of `Verify` at a pace that does not wait for answers; how many were sent."""
    assert pace.rate is not None
    sent = 0
    async with _channels(target, pace.clients) as channels, asyncio.TaskGroup() as group:
        methods = [channel.unary_unary(VERIFY) for channel in channels]
        begin = tally.begun = time.perf_counter()
        while (due := begin + sent / pace.rate) < begin + pace.seconds:
            await asyncio.sleep(due - time.perf_counter())
            request, right = requests[sent % len(requests)]
            method = methods[sent % len(methods)]
            group.create_task(_call(method, request, right, time.perf_counter(), tally, timeout))
            sent += 1
    return sent


async def streams(target: str, items: Signatures, pace: Pace, tally: Tally) -> None:
    """Single signatures over one stream for each client, a message each."""
    bodies = [items.single(index) for index in range(len(items))]
    async with _channels(target, pace.clients) as channels, asyncio.TaskGroup() as group:
        tally.begun = time.perf_counter()
        for client, channel in enumerate(channels):
            group.create_task(_Stream(channel, client, items, bodies, pace, tally).run())


class _Stream:
    """One client's stream: a slot for each request in flight, named by the request's id."""

    def __init__(
        self, channel: Any, client: int, items: Signatures, bodies: list[bytes], pace: Pace, tally: Tally
    ) -> None:
        self._bodies, self._client, self._pace, self._tally = bodies, client, pace, tally
        self._until = tally.begun + pace.seconds
        slots = range(1, pace.in_flight + 1)
        self._heads = {slot: head(slot) for slot in slots}
        self._verdicts = [verdict.tobytes() for verdict in items.verdicts]
        self._waiting: dict[int, tuple[float, bytes]] = {}
        self._free = list(slots)
        self._room = asyncio.Event()
        self._next = client * 7919 % len(bodies)
        self._call = channel.stream_stream(STREAM, response_deserializer=pb.VerifyReplies.FromString)()

    async def run(self) -> None:
        """Send until the time is over, then wait for what is still to come."""
        try:
            async with asyncio.timeout(self._until - time.perf_counter() + GRACE):
                if self._pace.rate is None:
                    for _ in range(self._pace.in_flight):
                        await self._send(time.perf_counter())
                    await self._exchange()
                else:
                    await asyncio.gather(self._paced(), self._receive())
        except grpc.aio.AioRpcError as error:
            self._tally.error(error.code().name)
        except TimeoutError:
            self._call.cancel()
        for _ in self._waiting:
            self._tally.error("no answer")

    async def _exchange(self) -> None:
        while self._waiting:
            if not await self._answers():
                return
            while self._free and (now := time.perf_counter()) < self._until:
                await self._send(now)
        await self._call.done_writing()

    async def _paced(self) -> None:
        sent = 0
        while (due := self._tally.begun + self._pace.due(self._client, sent)) < self._until:
            await asyncio.sleep(due - time.perf_counter())
            while not self._free:
                self._room.clear()
                await self._room.wait()
            await self._send(due)
            sent += 1
        await self._call.done_writing()

    async def _receive(self) -> None:
        while await self._answers():
            self._room.set()

    async def _send(self, due: float) -> None:
        slot, index = self._free.pop(), self._next
        self._next = (index + 1) % len(self._bodies)
        self._waiting[slot] = (due, self._verdicts[index])
        await self._call.write(self._heads[slot] + self._bodies[index])

    async def _answers(self) -> bool:
        """Take the answers of one message; False at the end of the stream."""
        message = await self._call.read()
        if message is grpc.aio.EOF:
            return False
        for answer in message.replies:
            if answer.id not in self._waiting or answer.HasField("refusal"):
                self._tally.error("an answer to nothing, or a refusal")
                continue
            due, right = self._waiting.pop(answer.id)
            self._free.append(answer.id)
            self._tally.answered(due, answer.verdicts == right)
        return True


async def _call(method: Any, request: bytes, right: bytes, due: float, tally: Tally, timeout: float) -> None:
    begin = time.perf_counter()
    try:
        packed = await method(request, timeout=timeout)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
            tally.refused.append(time.perf_counter() - begin)
        else:
            tally.error(error.code().name)
        return
    tally.answered(due, packed == right)


@asynccontextmanager
async def _channels(target: str, count: int) -> AsyncIterator[list[Any]]:
    async with AsyncExitStack() as stack:
        channels = []
        for _ in range(count):
            channel = grpc.aio.insecure_channel(target, options=CHANNEL)
            channels.append(await stack.enter_async_context(channel))
        await asyncio.gather(*(channel.channel_ready() for channel in channels))
        yield channels
