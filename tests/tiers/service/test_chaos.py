# SPDX-License-Identifier: GPL-3.0-or-later
"""The service under mixed load while everything fails: devices, callers, deadlines, and the process itself.

A server on two faulty devices is stopped and started, once by SIGTERM and once by SIGKILL, while patient callers repeat what
was refused, impatient ones give deadlines too short, and others vanish in the middle of a call or a stream. Nobody may ever
get a verdict that is not the library's for his own signatures; patient callers get all of theirs, and everybody gets an
answer or an error in time.
"""

from __future__ import annotations

import asyncio
import random
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from patience import PATIENCE

from supervm.benchmarks.service.process import Server, server
from supervm.benchmarks.service.requests import SCHEMES, STREAM, VERIFY, Signatures, head, signatures
from supervm.tiers.client import AsyncClient, Retry
from supervm.tiers.service.v1 import verification_pb2 as pb

CHAOS = (sys.executable, str(Path(__file__).parents[2] / "support" / "chaos_server.py"))

ITEMS = 1024
LIVES = (3.0, 3.0, 3.0)
"""Seconds of each of the server's lives; the first ends by SIGTERM, the second by SIGKILL, the last with the test."""
CODES = {status.value[0]: status.name for status in grpc.StatusCode}
TOLERATED = {"CANCELLED", "DEADLINE_EXCEEDED", "UNAVAILABLE", "RESOURCE_EXHAUSTED"}
"""What a call may end with here besides an answer. Faults of devices are no error of a call: the processor computes."""


@dataclass
class Outcome:
    """What callers saw, by kind of caller."""

    right: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)


@dataclass
class World:
    """What all callers share."""

    target: str
    items: dict[str, Signatures]
    until: float
    outcome: Outcome = field(default_factory=Outcome)

    def draw(self, chance: random.Random) -> tuple[Signatures, int, int]:
        """A scheme's signatures, and a stretch of them: first, count."""
        items = self.items[chance.choice(list(self.items))]
        count = chance.choice([1, 1, 2, 17, 100])
        return items, chance.randrange(ITEMS - count), count

    def compare(self, who: str, found: bytes, right: bytes) -> None:
        """Note an answer."""
        if found == right:
            self.outcome.right[who] += 1
        else:
            self.outcome.wrong.append(f"{who}: {found!r} in place of {right!r}")


async def patient(world: World, chance: random.Random) -> None:
    """Repeats what is refused; every call must end with its verdicts."""
    retry = Retry(attempts=200, first=0.05, longest=0.5)
    async with AsyncClient(world.target, timeout=PATIENCE, retry=retry) as client:
        methods: dict[str, Callable[..., Awaitable[Any]]] = {
            "ed25519": client.verify_ed25519,
            "ecdsa": client.verify_ecdsa,
            "schnorr": client.verify_schnorr,
        }
        while time.monotonic() < world.until:
            items, first, count = world.draw(chance)
            part = items.items.part(first, first + count)
            found = await methods[items.scheme](part.keys, part.messages, part.signatures)
            world.compare("patient", found.tobytes(), items.verdicts[first : first + count].tobytes())


async def impatient(world: World, chance: random.Random) -> None:
    """Gives deadlines from nothing to a little."""
    async with channel_of(world) as channel:
        method = channel.unary_unary(VERIFY)
        while time.monotonic() < world.until:
            items, first, count = world.draw(chance)
            call = method(items.batch(first, count), timeout=chance.uniform(0.0, 0.03))
            await ended(world, "impatient", call, items.reply(first, count))
            await asyncio.sleep(0.005)


async def vanishing(world: World, chance: random.Random) -> None:
    """Cancels calls in the middle."""
    async with channel_of(world) as channel:
        method = channel.unary_unary(VERIFY)
        while time.monotonic() < world.until:
            items, first, count = world.draw(chance)
            call = method(items.batch(first, count), timeout=PATIENCE)
            asyncio.get_running_loop().call_later(chance.uniform(0.0, 0.02), call.cancel)
            await ended(world, "vanishing", call, items.reply(first, count))
            await asyncio.sleep(0.005)


async def streaming(world: World, chance: random.Random) -> None:
    """Sends single signatures through streams, and leaves some streams in the middle, connection and all."""
    while time.monotonic() < world.until:
        async with channel_of(world) as channel:
            call = channel.stream_stream(STREAM)(timeout=PATIENCE)
            try:
                await one_stream(world, chance, call)
            except grpc.aio.AioRpcError as error:
                code = grpc.StatusCode.UNAVAILABLE if of_a_write(error) else error.code()
            except asyncio.InvalidStateError:  # a write after the end
                code = await call.code()
            else:
                continue
            world.outcome.errors[f"streaming {code.name}"] += 1
            await asyncio.sleep(0.05)


def of_a_write(error: grpc.aio.AioRpcError) -> bool:
    """Whether a connection broke while the caller wrote: gRPC's asyncio calls that an internal error, of its own making."""
    return error.code() is grpc.StatusCode.INTERNAL and "SendMessageOperation" in error.debug_error_string()


async def one_stream(world: World, chance: random.Random, call: Any) -> None:
    """Up to 40 signatures, of which an unlucky stream waits for some answers only."""
    chosen = [world.draw(chance)[:2] for _ in range(chance.randrange(1, 40))]
    answers = chance.randrange(len(chosen)) if chance.random() < 0.3 else len(chosen)
    for identity, (items, index) in enumerate(chosen, 1):
        await call.write(head(identity) + items.single(index))
    waiting = {identity: items.verdicts[index].tobytes() for identity, (items, index) in enumerate(chosen, 1)}
    while len(waiting) > len(chosen) - answers:
        packed = await call.read()
        if packed is grpc.aio.EOF:
            raise AssertionError("a stream that was neither broken nor finished has ended")
        for answer in pb.VerifyReplies.FromString(packed).replies:
            right = waiting.pop(answer.id)  # an answer to nothing, or a second one, ends the test
            if answer.HasField("refusal"):
                world.outcome.errors[f"streaming {CODES[answer.refusal.code]}"] += 1
            else:
                world.compare("streaming", answer.verdicts, right)
    if answers == len(chosen):
        await call.done_writing()
    else:
        call.cancel()


async def ended(world: World, who: str, call: Any, right: bytes) -> None:
    """Wait for a call's end, whatever it is."""
    try:
        world.compare(who, await call, right)
    except grpc.aio.AioRpcError as error:
        world.outcome.errors[f"{who} {error.code().name}"] += 1
    except asyncio.CancelledError:
        if not call.cancelled():
            raise
        world.outcome.errors[f"{who} CANCELLED"] += 1


@asynccontextmanager
async def channel_of(world: World) -> AsyncIterator[Any]:
    options = (
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 300),
    )
    async with grpc.aio.insecure_channel(world.target, options=options) as channel:
        yield channel


CALLERS = (patient, patient, patient, impatient, vanishing, streaming, streaming)


async def load(world: World) -> None:
    """All callers until the end; they must come to theirs."""
    async with asyncio.timeout(world.until - time.monotonic() + PATIENCE):
        await asyncio.gather(
            *(caller(world, random.Random(place)) for place, caller in enumerate(CALLERS)),
        )


async def lives(target: str, variables: dict[str, str], items: dict[str, Signatures]) -> World:
    """Start the load when the first server is ready; end its lives as they say."""
    world = World(target, items, 0.0)
    arguments = ("serve", "--json", "--grpc", target, "--http", "off", "--strategy", "gpu-only")

    def running() -> AbstractContextManager[Server]:
        return server(*arguments, command=CHAOS, variables=variables)

    loaded: asyncio.Task[None] | None = None
    for number, seconds in enumerate(LIVES):
        async with threaded(running()) as one:
            if loaded is None:
                # Later lives begin with a start, during which nobody answers.
                world.until = time.monotonic() + 3 * sum(LIVES)
                loaded = asyncio.create_task(load(world))
            before = world.outcome.right.total()
            await until_served(world, one, before + 1)
            await asyncio.sleep(seconds)
            if number == len(LIVES) - 1:
                world.until = 0.0
                await loaded
            elif number == 1:
                await asyncio.to_thread(one.kill)
    return world


@asynccontextmanager
async def threaded(manager: AbstractContextManager[Server]) -> AsyncIterator[Server]:
    """Enter and leave on a thread: callers go on while a server starts and stops."""
    one = await asyncio.to_thread(manager.__enter__)
    try:
        yield one
    except BaseException:
        await asyncio.to_thread(manager.__exit__, *sys.exc_info())
        raise
    await asyncio.to_thread(manager.__exit__, None, None, None)


async def until_served(world: World, one: Server, answers: int) -> None:
    """Wait until callers have so many right answers."""
    async with asyncio.timeout(PATIENCE):
        while world.outcome.right.total() < answers:
            assert one.process.poll() is None, "the server ended"
            await asyncio.sleep(0.05)


@pytest.mark.fault
@pytest.mark.slow
def test_no_caller_ever_gets_a_wrong_verdict() -> None:
    with socket.create_server(("127.0.0.1", 0)) as found:
        target = f"127.0.0.1:{found.getsockname()[1]}"
    items = {scheme: signatures(ITEMS, scheme) for scheme in SCHEMES}
    for one in items.values():
        assert {0, 1} <= set(np.unique(one.verdicts).tolist())
    world = asyncio.run(lives(target, {"SUPERVM_SERVICE_DRAIN_SECONDS": "10"}, items))
    outcome = world.outcome
    assert not outcome.wrong, outcome.wrong[:5]
    assert {"patient", "streaming"} <= set(outcome.right), outcome
    strange = {name for name in outcome.errors if name.split()[-1] not in TOLERATED}
    assert not strange, outcome.errors
