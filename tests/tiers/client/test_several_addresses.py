# SPDX-License-Identifier: GPL-3.0-or-later
"""Several addresses: calls go to the least busy server that is well, and from one that is not to another."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import grpc
import pytest
from grpc import _channel
from grpc_health.v1.health import HealthServicer
from grpc_health.v1.health_pb2 import HealthCheckResponse
from patience import PATIENCE, until
from scripted_service import Refusal, Script, serving

from supervm.kernels.errors import ArgumentError
from supervm.tiers.client import AsyncClient, Client, Retry, ServiceUnavailable
from supervm.tiers.client.balancing import REST_SECONDS, SERVICE, Member, addresses

FULL, GONE = grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE
TWICE = Retry(attempts=2, first=0.0, longest=0.0)
CUT = {"message_bytes": 1000}
"""A batch of some hundred signatures is then many requests."""


class Several:
    """Servers under script, with health."""

    def __init__(self, stack, count):
        self.scripts = [Script() for _ in range(count)]
        self.health = [HealthServicer() for _ in range(count)]
        for one in self.health:
            one.set(SERVICE, HealthCheckResponse.SERVING)
        self.addresses = [
            stack.enter_context(serving(script, health=health))
            for script, health in zip(self.scripts, self.health, strict=True)
        ]

    @property
    def asked(self):
        return [len(script.requests) for script in self.scripts]


@pytest.fixture
def two():
    with ExitStack() as stack:
        yield Several(stack, 2)


@pytest.fixture
def three():
    with ExitStack() as stack:
        yield Several(stack, 3)


@pytest.mark.parametrize("given", [",".join, list, tuple], ids=["text", "list", "tuple"])
def test_all_are_asked_and_answers_come_in_order(call, three, signatures, given):
    keys, messages, signed, verdicts = signatures(600)
    found = call(given(three.addresses), "verify_ed25519", keys, messages, signed, **CUT)
    assert found.tolist() == verdicts
    assert min(three.asked) > sum(three.asked) / 10, three.asked


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_slow_server_gets_less(kind, two, signatures):
    two.scripts[0].delay = 0.1
    arguments = signatures(1)[:3]

    async def main():
        async with AsyncClient(two.addresses) as client:

            async def caller():
                for _ in range(20):
                    await client.verify_ed25519(*arguments)

            await asyncio.gather(*(caller() for _ in range(6)))

    if kind is Client:
        with Client(two.addresses) as client, ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda _: client.verify_ed25519(*arguments), range(120)))
    else:
        asyncio.run(main())
    slow, fast = two.asked
    assert 0 < 2 * slow < fast


def test_where_one_is_not_there_the_other_answers(call, two, nobody, signatures):
    keys, messages, signed, verdicts = signatures(100)
    for first, second in ((nobody, two.addresses[0]), (two.addresses[0], nobody)):
        found = call(f"{first},{second}", "verify_ed25519", keys, messages, signed, retry=TWICE, **CUT)
        assert found.tolist() == verdicts


def test_a_second_attempt_goes_elsewhere_before_the_state_of_the_first_is_known(
    call, two, nobody, signatures, monkeypatch
):
    """gRPC tells of a failed connection on a thread of its own, and the other server may not be connected yet."""
    monkeypatch.setattr(Member, "state", grpc.ChannelConnectivity.CONNECTING)
    keys, messages, signed, verdicts = signatures(100)
    addresses = [nobody, two.addresses[0]]
    found = call(addresses, "verify_ed25519", keys, messages, signed, retry=TWICE, **CUT)
    assert found.tolist() == verdicts


def test_where_none_is_there_all_are_named(call, nobody, signatures):
    with pytest.raises(ServiceUnavailable) as error:
        call([nobody, "127.0.0.1:1"], "verify_ed25519", *signatures(1)[:3], retry=TWICE)
    assert f"none of {nobody}, 127.0.0.1:1 answers: " in str(error.value)


@pytest.mark.parametrize("refusal", [Refusal(GONE), Refusal(FULL, 60_000)], ids=["gone", "full"])
def test_what_one_refuses_another_gets_at_once(call, two, signatures, refusal, monkeypatch):
    """Although the pause before a second attempt would be long, and with a push-back longer than there is time."""
    monkeypatch.setattr("supervm.tiers.client.balancing.random.randrange", lambda count: count - 1)
    two.scripts[0].refusals.append(refusal)
    keys, messages, signed, verdicts = signatures(3)
    patient = Retry(attempts=3, first=60.0, longest=60.0)
    assert call(two.addresses, "verify_ed25519", keys, messages, signed, retry=patient).tolist() == verdicts
    assert two.asked == [1, 1]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_one_that_says_that_it_does_not_serve_is_not_asked_until_it_does(kind, two, signatures):
    arguments = signatures(1)[:3]
    wanted = two.scripts[0]

    async def answered(client):
        found = client.verify_ed25519(*arguments)
        return found if kind is Client else await found

    async def asked_until(client, condition):
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end
            await answered(client)

    async def main():
        client = kind(two.addresses)
        try:
            await asked_until(client, lambda: all(two.asked))
            two.health[0].set(SERVICE, HealthCheckResponse.NOT_SERVING)
            while two.asked[0]:  # until it has heard of it
                wanted.requests.clear()
                for _ in range(20):
                    await answered(client)
            for _ in range(100):
                await answered(client)
            assert not wanted.requests
            two.health[0].set(SERVICE, HealthCheckResponse.SERVING)
            await asked_until(client, lambda: wanted.requests)
        finally:
            closed = client.close()
            if kind is AsyncClient:
                await closed

    asyncio.run(main())


def test_a_client_that_is_closed_at_once(two, monkeypatch):
    """The thread of gRPC that watches a channel takes a while to begin."""
    watch, ended = _channel._poll_connectivity, []

    def late(*arguments):
        time.sleep(0.3)
        try:
            watch(*arguments)
        except ValueError as error:
            ended.append(error)
        else:
            ended.append(None)

    monkeypatch.setattr(_channel, "_poll_connectivity", late)
    Client(two.addresses).close()
    until(lambda: len(ended) == 2)
    assert ended == [None, None]


def test_streams_go_on_elsewhere(two):
    """Whichever server breaks a stream, each signature gets its verdict."""
    for script in two.scripts:
        script.breaks.extend([3, 5])
    key = bytes(32)
    signed = [bytes([value % 2]) + bytes(63) for value in range(60)]
    quick = Retry(attempts=9, first=0.001, longest=0.002)

    with Client(two.addresses, retry=quick) as client, client.stream(in_flight=4, pack=1) as stream:
        futures = [stream.submit_ed25519(key, b"", signature) for signature in signed]
        assert [future.result() for future in futures] == [value % 2 for value in range(60)]
    assert all(two.asked)

    async def main():
        async with (
            AsyncClient(two.addresses, retry=quick) as client,
            client.stream(in_flight=4, pack=1) as stream,
        ):
            promises = [await stream.submit_ed25519(key, b"", signature) for signature in signed]
            return await asyncio.gather(*promises)

    assert asyncio.run(main()) == [value % 2 for value in range(60)]


@pytest.mark.parametrize(
    "target",
    [
        "",
        ",",
        "nowhere",
        "127.0.0.1",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "[::1",
        "a b:1",
        "127.0.0.1:1,,",
        [],
        [1],
    ],
)
def test_addresses_that_are_none(target):
    for kind in (Client, AsyncClient):
        with pytest.raises(ArgumentError, match="HOST:PORT") as error:
            kind(target)
        assert error.value.argument == "target"


def test_addresses_that_are_some():
    assert addresses("a:1, [::1]:2,a:1") == ["a:1", "[::1]:2"]
    assert addresses(["dns:///verifier:50051", "unix:/run/one"]) == ["dns:///verifier:50051", "unix:/run/one"]
    assert REST_SECONDS > 0
