# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals to a service that has a request in flight, and to one whose callers do nothing that would end their calls; and the
HTTP port by itself."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import trustme
from command_line import process
from grpc_health.v1 import health_pb2, health_pb2_grpc
from patience import PATIENCE, until_async
from raw_http2 import RawConnection
from served import HeldService, run, served
from signed_requests import single

from supervm.tiers import Hardware
from supervm.tiers.observability import status
from supervm.tiers.observability.observing import Observation
from supervm.tiers.service.ending import Order, Orders, Times, until_stopped
from supervm.tiers.service.http_port import HttpPort
from supervm.tiers.service.security import ServerTls
from supervm.tiers.service.serving import Ports, transport
from supervm.tiers.service.v1 import verification_pb2 as pb
from supervm.tiers.service.v1.verification_pb2_grpc import VerificationStub
from supervm.tiers.settings import load

importlib.import_module("supervm.tiers.service.http.app")  # pydantic warns when it is loaded

Stopping = Callable[[HeldService, "asyncio.Future[bool]", "asyncio.Future[Any]"], Awaitable[None]]


def stopped(limit: float, act: Stopping) -> None:
    """Run `act` with a held service, what becomes of it, and a call in flight."""
    hardware = Hardware(cores=1, memory=1 << 30)
    settings = load(hardware, flags={"service.grpc": "127.0.0.1:0"}, environment={})

    async def test() -> None:
        service = HeldService()
        ports = Ports(service, settings, transport(settings), Observation.of(settings, hardware))
        address, http, operations = await ports.start()
        assert address is not None
        assert http is operations is None
        outcome = asyncio.ensure_future(until_stopped(service, ports, Times(limit), lambda: None))
        async with grpc.aio.insecure_channel(address) as channel:
            call = asyncio.ensure_future(_verdicts(VerificationStub(channel)))
            await until_async(lambda: service.queue.requests)
            os.kill(os.getpid(), signal.SIGTERM)
            await act(service, outcome, call)
        service.release.set()
        service.close()

    run(test)


async def _verdicts(stub: Any) -> bytes:
    verdicts: bytes = (await stub.Verify(single(1))).verdicts
    return verdicts


async def _cut_off(call: asyncio.Future[Any]) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def test_a_signal_waits_for_what_was_accepted() -> None:
    async def act(service: HeldService, outcome: asyncio.Future[bool], call: asyncio.Future[Any]) -> None:
        await asyncio.sleep(0.1)
        assert not outcome.done()
        service.release.set()
        assert await call == b"\1"
        assert await outcome

    stopped(30, act)


def test_a_second_signal_cuts_off() -> None:
    async def act(service: HeldService, outcome: asyncio.Future[bool], call: asyncio.Future[Any]) -> None:
        await asyncio.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)
        assert not await outcome
        await _cut_off(call)

    stopped(30, act)


def test_so_does_the_limit() -> None:
    async def act(service: HeldService, outcome: asyncio.Future[bool], call: asyncio.Future[Any]) -> None:
        assert not await outcome
        await _cut_off(call)

    stopped(0.1, act)


def test_limits_that_end_together() -> None:
    """gRPC's server crashes where two that stop it are out of time within a fraction of a millisecond."""

    async def test(later: float) -> None:
        service = HeldService()
        async with served(service=service) as to:
            call = asyncio.ensure_future(_verdicts(to.stub))
            await until_async(lambda: service.queue.requests)

            async def cut_off() -> None:
                await asyncio.sleep(0.03)
                await to.server.stop(0)

            await asyncio.gather(to.server.stop(0.03 + later), cut_off())
            service.release.set()
            await _cut_off(call)
        service.close()

    for step in range(60):
        run(lambda later=step * 2e-5: test(later))


class Leaving:
    """A service that is told to end, with a time of notice.

    Args:
        notice: seconds.
        quiet: see `Times`.
    """

    def __init__(self, notice: float, quiet: bool = False) -> None:
        hardware = Hardware(cores=1, memory=1 << 30)
        flags = {"service.grpc": "127.0.0.1:0", "service.http": "127.0.0.1:0"}
        settings = load(hardware, flags=flags, environment={})
        self.service, self.orders = HeldService(), Orders()
        self.service.release.set()
        seen = Observation.of(settings, hardware)
        self.service.watch(lambda state: seen.board.become(status.State(state.value)))
        self.ports = Ports(self.service, settings, transport(settings), seen)
        self.times = Times(30, notice, quiet)

    async def __aenter__(self) -> Leaving:
        self.grpc, self.http, _ = await self.ports.start()
        self.channel = grpc.aio.insecure_channel(self.grpc)
        self.stub = VerificationStub(self.channel)
        assert await _verdicts(self.stub) == b"\1"
        self.outcome = asyncio.ensure_future(
            until_stopped(self.service, self.ports, self.times, lambda: None, self.orders)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.channel.close()
        self.service.close()

    async def healthy(self) -> bool:
        """What a caller with a connection hears."""
        found = await health_pb2_grpc.HealthStub(self.channel).Check(health_pb2.HealthCheckRequest())
        return bool(found.status == health_pb2.HealthCheckResponse.SERVING)


def test_in_the_time_of_notice_requests_are_answered_and_health_sends_callers_away() -> None:
    async def test() -> None:
        async with Leaving(0.5) as to, httpx.AsyncClient() as caller:
            url = f"http://{to.http}/healthz"
            assert "connection" not in (await caller.get(url)).headers
            to.orders.signalled()
            while await to.healthy():
                await asyncio.sleep(0.01)
            assert await _verdicts(to.stub) == b"\1"
            answer = await caller.get(url)
            assert (answer.text, answer.headers["connection"]) == ("leaving\n", "close")
            assert (await caller.get(f"http://{to.http}/readyz")).status_code == 503
            assert not to.outcome.done()
            assert await to.outcome
            await _cut_off(asyncio.ensure_future(_verdicts(to.stub)))

    run(test)


def test_a_second_signal_ends_the_time_of_notice() -> None:
    async def test() -> None:
        async with Leaving(50) as to:
            to.orders.signalled()
            to.service.release.clear()
            call = asyncio.ensure_future(_verdicts(to.stub))
            await until_async(lambda: to.service.queue.requests)
            to.orders.signalled()
            assert not await to.outcome
            to.service.release.set()
            await _cut_off(call)

    run(test)


def test_who_leaves_its_place_to_another_takes_no_new_connection_and_answers_those_that_it_has() -> None:
    async def test() -> None:
        async with Leaving(0, quiet=True) as to:
            to.orders.give(Order.LEAVE)
            for address in (to.grpc, to.http):
                await until_async(lambda address=address: not _connects(address))
            assert await _verdicts(to.stub) == b"\1"
            assert await to.healthy()  # its callers have no other address
            assert not to.outcome.done()
            assert await to.outcome

    run(test)


def _connects(address: str | None) -> bool:
    assert address is not None
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 5).close()
    except ConnectionRefusedError:
        return False
    return True


async def _echo(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers everything; it has no life span."""
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


def test_the_http_port_speaks_tls_where_grpc_does(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    certificate, key, authorities = (tmp_path / name for name in ("cert", "key", "ca"))
    issued.private_key_pem.write_to_path(key)
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    authority.cert_pem.write_to_path(authorities)
    trusting, known = ssl.create_default_context(), ssl.create_default_context()
    for context in (trusting, known):
        authority.configure_trust(context)
    authority.issue_cert("caller").configure_cert(known)

    async def test() -> None:
        port = HttpPort(
            _echo,
            "127.0.0.1:0",
            tls=ServerTls(certificate, key, authorities),
        )
        url = f"https://localhost:{(await port.start()).rpartition(':')[2]}/here"
        async with httpx.AsyncClient(verify=known) as client:
            assert (await client.get(url)).text == "/here"
        async with httpx.AsyncClient(verify=trusting) as client:
            with pytest.raises((httpx.TransportError, ssl.SSLError)):
                await client.get(url)
        await port.stop(1)

    asyncio.run(test())


def test_an_http_address_in_use() -> None:
    async def test() -> None:
        first = HttpPort(_echo, "127.0.0.1:0")
        address = await first.start()
        with pytest.raises(OSError, match="in use"):
            await HttpPort(_echo, address).start()
        await first.stop(0)

    asyncio.run(test())


SERVICE = "/supervm.v1.Verification/"


def silent(address, stack):
    """Calls and streams without a message."""
    connection = RawConnection(address)
    stack.callback(connection.close)
    for method in ("Verify", "VerifyStream"):
        for _ in range(20):
            connection.call(SERVICE + method)


def unfinished(address, stack):
    """Messages of which only the first bytes come."""
    for method in 5 * ("Verify", "VerifyStream"):
        connection = RawConnection(address)
        stack.callback(connection.close)
        connection.begin_message(connection.call(SERVICE + method), 1 << 20, bytes(60_000))


def unread(address, stack):
    """Answers that nobody reads, and states of health."""
    request = pb.MerkleRootRequest(hash="keccak256", leaves=bytes(64)).SerializeToString()
    for method, message in ((SERVICE + "MerkleRoot", request), ("/grpc.health.v1.Health/Watch", b"")):
        for _ in range(5):
            connection = RawConnection(address, window=0)
            stack.callback(connection.close)
            stream = connection.call(method)
            connection.begin_message(stream, len(message), message)
            connection.end(stream)


def test_it_ends_in_time(monkeypatch):
    # Roots may take some, on a machine that does other things.
    monkeypatch.setenv("SUPERVM_SERVICE_DRAIN_SECONDS", "20")
    with process("serve", "--threads", 1, "--grpc", "127.0.0.1:0") as (child, ready), ExitStack() as stack:
        for caller in (silent, unfinished, unread):
            caller(ready["grpc"], stack)
        time.sleep(0.5)
        child.send_signal(signal.SIGTERM)
        _, errors = child.communicate(timeout=PATIENCE)
        assert child.returncode == 0, errors
