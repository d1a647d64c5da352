# SPDX-License-Identifier: GPL-3.0-or-later
"""The gRPC port under attack: whatever one caller does, others are served, health answers, and memory stays bounded."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes
from patience import PATIENCE, until_async
from served import HeldService, Served, run, served
from signed_requests import single

from supervm.benchmarks.attack.grpc_attackers import PREFACE, PREFIX, REFLECTION, VERIFY, WATCH, usual_headers
from supervm.benchmarks.service.process import server
from supervm.tiers.service.access import Access
from supervm.tiers.service.core import VerificationService, stopping
from supervm.tiers.service.meters import Unmetered
from supervm.tiers.service.refusals import PUSH_BACK
from supervm.tiers.service.server import Transport
from supervm.tiers.service.v1.verification_pb2_grpc import VerificationStub

TOKEN = "correct-horse-battery"
MIB = 1 << 20

ATTACK_SECONDS = PATIENCE
"""That an attacker goes on, if nobody stops it."""

ATTACKER = """
import sys
from supervm.benchmarks.attack import grpc_attackers
getattr(grpc_attackers, sys.argv[1])(sys.argv[2], float(sys.argv[3]))
"""


class Counting(Unmetered):
    """Counts requests by name and status."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()

    def request(self, call: str, code: str, seconds: float) -> None:
        self.counts[call, code] += 1


@asynccontextmanager
async def another(to: Served) -> Any:
    """A connection of its own to the service."""
    options = (("grpc.use_local_subchannel_pool", 1),)
    async with grpc.aio.insecure_channel(to.address, options) as channel:
        yield channel


async def well(to: Served) -> None:
    """Somebody who comes now gets verdicts, and hears that the service is well."""
    async with another(to) as channel:
        for _ in range(3):
            assert (await VerificationStub(channel).Verify(single(1))).verdicts == b"\1"
        check = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert (await check).status == 1


SMALL = Transport(calls=64, address_calls=48, connection_calls=32)


@pytest.mark.parametrize(
    "name", ["silent_calls", "silent_streams", "silent_checks", "silent_reflection", "watches"]
)
def test_calls_that_say_nothing_shut_nobody_out(name: str) -> None:
    async def test() -> None:
        async with served(transport=SMALL) as to, attacked(name, to.address):
            guard = to.server._guard
            places = [guard._calls, *guard._reserves.values()]
            await until_async(lambda: max(each.taken for each in places) >= 48)
            for _ in range(5):
                await well(to)

    run(test)


def test_without_a_token_no_place_is_taken(tmp_path: Path) -> None:
    """It is refused on its headers: a message is not waited for."""
    path = tmp_path / "tokens"
    path.write_text(f"me {TOKEN}\n")

    async def test() -> None:
        meter = Counting()
        service = VerificationService(access=Access.of_file(path), meter=meter)
        async with served(service=service, transport=SMALL) as to, attacked("silent_calls", to.address):
            await until_async(lambda: meter.counts["Verify", "UNAUTHENTICATED"] > 64)
            assert to.server._guard._calls.taken == 0
            good = (("authorization", f"Bearer {TOKEN}"),)
            assert (await to.stub.Verify(single(1), metadata=good)).verdicts == b"\1"
            stream = to.stub.VerifyStream()
            assert await stream.code() is grpc.StatusCode.UNAUTHENTICATED
            assert meter.counts["VerifyStream", "UNAUTHENTICATED"] == 1

    run(test)


def test_a_message_has_to_come_in_time() -> None:
    async def test() -> None:
        meter = Counting()
        service = VerificationService(meter=meter)
        async with served(service=service, transport=Transport(message_seconds=0.2)) as to:
            for name, call in (
                ("Verify", to.channel.stream_unary(VERIFY)),
                ("VerifyStream", to.stub.VerifyStream),
                ("Watch", to.channel.stream_stream(WATCH)),
                ("ServerReflectionInfo", to.channel.stream_stream(REFLECTION)),
            ):
                silent = call()
                assert await silent.code() is grpc.StatusCode.UNAVAILABLE
                assert dict(await silent.trailing_metadata())[PUSH_BACK].isdecimal()
                assert meter.counts[name, "UNAVAILABLE"] == 1
            assert to.server._guard._calls.taken == 0

    run(test)


def test_a_stream_that_falls_silent_is_ended_but_not_one_that_waits_for_an_answer() -> None:
    async def test() -> None:
        service = HeldService()
        async with served(service=service, transport=Transport(idle_seconds=0.2)) as to:
            silent, waiting = to.stub.VerifyStream(), to.stub.VerifyStream()
            await waiting.write(single(1))
            await until_async(lambda: service.queue.requests == 1)
            await silent.write(single(2))
            await until_async(lambda: service.queue.requests == 2)
            service.release.set()
            await silent.read()
            assert await silent.code() is grpc.StatusCode.UNAVAILABLE
            assert (await waiting.read()).replies[0].id == 1

    run(test)


@pytest.mark.parametrize("name", ["unfinished_calls", "unfinished_streams", "bombs"])
def test_memory_stays_bounded(name: str) -> None:
    """900 messages of 4 MiB without their last byte, or of a gigabyte once unpacked, at a queue of 64 MiB."""
    growth = (64 + 32 + 128) * MIB  # the queue, windows of 512 calls, 16 messages of each of two connections

    async def test() -> None:
        with server("--grpc", "127.0.0.1:0", "--http", "off", "--tier", "L4") as running:
            async with AsyncExitStack() as stack:
                channel = await stack.enter_async_context(grpc.aio.insecure_channel(running.grpc))
                stub = VerificationStub(channel)
                assert (await stub.Verify(single(1))).verdicts == b"\1"
                before = most = running.resident()
                await stack.enter_async_context(attacked(name, running.grpc))
                ends = time.monotonic() + 8
                while time.monotonic() < ends:
                    most = max(most, running.resident())
                    await asyncio.sleep(0.01)
                assert most - before < growth
                assert (await stub.Verify(single(1))).verdicts == b"\1"

    run(test)


def test_who_sends_too_much_gives_way_and_who_sends_little_does_not() -> None:
    async def test() -> None:
        meter = Counting()
        service = VerificationService(meter=meter)
        service.queue.most_size = 16 * MIB
        async with served(service=service, transport=Transport(message_bytes=4 * MIB)) as to:
            slow = to.channel.stream_unary(VERIFY)()
            await slow.wait_for_connection()
            async with attacked("unfinished_calls", to.address):
                await until_async(lambda: meter.counts["Verify", "RESOURCE_EXHAUSTED"] > 0)
                await well(to)
            await until_async(lambda: service.queue.arriving == 0)
            assert not slow.done()
            slow.cancel()

    run(test)


def test_calls_that_are_given_up_at_once_end_their_connection_alone() -> None:
    async def test() -> None:
        meter = Counting()
        service = VerificationService(meter=meter)
        async with served(service=service) as to:
            assert (await to.stub.Verify(single(1))).verdicts == b"\1"
            async with attacked("resets", to.address):
                calls = 0
                while not meter.counts["connection", "RESOURCE_EXHAUSTED"] or calls < 200:
                    calls += 1
                    assert (await to.stub.Verify(single(1))).verdicts == b"\1"
                await well(to)

    run(test)


def test_a_connection_that_abandons_what_it_asked_is_ended() -> None:
    async def test() -> None:
        meter = Counting()
        service = VerificationService(meter=meter)
        async with served(service=service, transport=Transport(resets=20)) as to, another(to) as channel:
            stub = VerificationStub(channel)
            for _ in range(1000):
                call = stub.VerifyStream()
                try:
                    await call.wait_for_connection()
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.UNAVAILABLE:
                        raise
                    break  # the end came while this one was asked
                call.cancel()
                if meter.counts["connection", "RESOURCE_EXHAUSTED"]:
                    break
                await asyncio.sleep(0.001)
            assert meter.counts["connection", "RESOURCE_EXHAUSTED"] == 1
            assert meter.counts["VerifyStream", "CANCELLED"]
            await well(to)

    run(test)


def test_silent_connections_of_one_address_are_ended_before_those_that_call() -> None:
    async def test() -> None:
        meter = Counting()
        service = VerificationService(meter=meter)
        async with served(service=service, transport=Transport(address_connections=8)) as to:
            assert (await to.stub.Verify(single(1))).verdicts == b"\1"
            host, port = to.address.rsplit(":", 1)
            async with AsyncExitStack() as stack:
                readers = []
                for _ in range(40):
                    reader, writer = await asyncio.open_connection(host, int(port))
                    stack.callback(writer.close)
                    writer.write(PREFACE)
                    readers.append(reader)
                ends = [asyncio.ensure_future(reader.read()) for reader in readers]
                await until_async(lambda: sum(end.done() for end in ends) >= 33)
                assert (await to.stub.Verify(single(1))).verdicts == b"\1"
                assert to.channel.get_state() is grpc.ChannelConnectivity.READY
                for end in ends:
                    end.cancel()
            assert meter.counts["connection", "RESOURCE_EXHAUSTED"] >= 33

    run(test)


def test_who_watches_health_and_reads_nothing_keeps_nobody_waiting() -> None:
    """The window of its replies is empty: a lock that was held while one is written stopped every other watcher."""

    async def test() -> None:
        async with served() as to:
            host, port = to.address.rsplit(":", 1)
            with closing(socket.create_connection((host, int(port)))) as deaf:
                http = H2Connection(H2Configuration())
                http.local_settings[SettingCodes.INITIAL_WINDOW_SIZE] = 0
                http.initiate_connection()
                http.send_headers(1, usual_headers(WATCH))
                http.send_data(1, PREFIX.pack(0, 0), end_stream=True)
                deaf.sendall(http.data_to_send())
                watches = next(
                    places for name, places in to.server._guard._reserves.items() if "Watch" in name
                )
                await until_async(lambda: watches.taken == 1)
                watch = health_pb2_grpc.HealthStub(to.channel).Watch(health_pb2.HealthCheckRequest())
                assert (await watch.read()).status == 1
                to.service.drain()
                assert (await watch.read()).status == 2
                watch.cancel()

    run(test)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (VERIFY, "Verify"),
        ("/supervm.v1.Verification/Hash", "Hash"),
        ("/supervm.v1.Verification/VerifyStream", "VerifyStream"),
        ("/grpc.health.v1.Health/Check", "Check"),
        (WATCH, "Watch"),
        (REFLECTION, "ServerReflectionInfo"),
    ],
)
def test_garbage_is_an_invalid_argument_and_counts(path: str, name: str) -> None:
    async def test() -> None:
        meter = Counting()
        async with served(service=VerificationService(meter=meter)) as to:
            call = to.channel.stream_stream(path)(iter([b"\xff\xff"]))
            assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert meter.counts == {(name, "INVALID_ARGUMENT"): 1}
            empty = to.channel.stream_unary(VERIFY)(iter([]))
            assert await empty.code() is grpc.StatusCode.INVALID_ARGUMENT

    run(test)


def test_what_does_not_exist_and_what_is_too_long_count() -> None:
    async def test() -> None:
        meter = Counting()
        service = VerificationService(meter=meter)
        async with served(service=service, transport=Transport(message_bytes=2000)) as to:
            unknown = to.channel.unary_unary("/supervm.v1.Verification/Nothing")(b"")
            assert await unknown.code() is grpc.StatusCode.UNIMPLEMENTED
            long = to.channel.unary_unary(VERIFY)(bytes(3000))
            assert await long.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            await until_async(lambda: meter.counts["Verify", "CANCELLED"])
            assert meter.counts["unknown", "UNIMPLEMENTED"] == 1

    run(test)


def test_calls_above_those_of_a_connection_wait_for_their_turn() -> None:
    """gRPC would refuse some of them, for calls that are over and not forgotten yet."""

    async def test() -> None:
        async with served(transport=Transport(connection_calls=8)) as to:
            replies = await asyncio.gather(*(to.stub.Verify(single(1)) for _ in range(200)))
            assert all(reply.verdicts == b"\1" for reply in replies)

    run(test)


def test_a_stop_does_not_wait_for_messages_that_never_come() -> None:
    async def test() -> None:
        async with served() as to:
            silent = to.channel.stream_unary(VERIFY)()
            await until_async(lambda: to.server._guard._calls.taken == 1)
            to.service.drain()
            to.server.stop_streams(stopping())
            assert await silent.code() is grpc.StatusCode.UNAVAILABLE

    run(test)


@asynccontextmanager
async def attacked(name: str, address: str) -> AsyncIterator[None]:
    """While one of `grpc_attackers` does its worst at a port, in a process of its own: the event loop is left alone."""
    attacker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ATTACKER, name, address, str(ATTACK_SECONDS)
    )
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            attacker.kill()
        await attacker.wait()
