# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams of single signatures: each verdict reaches its own future, whatever the service and the connection do."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading

import grpc
import numpy as np
import pytest
from patience import PATIENCE
from scripted_service import Refusal, serving

from supervm.kernels.errors import ArgumentError
from supervm.tiers.client import (
    AsyncClient,
    Client,
    DeadlineExceeded,
    Retry,
    ServiceRefused,
    ServiceUnavailable,
)
from supervm.tiers.service.v1 import verification_pb2 as pb

FULL = grpc.StatusCode.RESOURCE_EXHAUSTED
QUICK = Retry(attempts=4, first=0.001, longest=0.002)


def _outcome(future):
    """A verdict, or an error."""
    error = future.exception()
    return future.result() if error is None else error


def _sync(address, items, retry=QUICK, **options):
    """Outcomes of signatures, given as (name of a scheme, arguments), in one stream."""
    with Client(address, retry=retry) as client:
        with client.stream(**options) as stream:
            futures = [getattr(stream, f"submit_{scheme}")(*rest) for scheme, *rest in items]
        return [_outcome(future) for future in futures]


def _async(address, items, retry=QUICK, **options):
    async def main():
        async with AsyncClient(address, retry=retry) as client:
            async with client.stream(**options) as stream:
                futures = [await getattr(stream, f"submit_{scheme}")(*rest) for scheme, *rest in items]
            return [_outcome(future) for future in futures]

    return asyncio.run(main())


@pytest.fixture(params=[_sync, _async], ids=["sync", "asyncio"])
def stream(request):
    return request.param


@pytest.fixture
def items(signatures):
    """items(n): n Ed25519 signatures as `stream` takes them, and their verdicts."""

    def make(count):
        keys, messages, signed, verdicts = signatures(count)
        rows = zip(keys, messages, signed, strict=True)
        return [("ed25519", key.tobytes(), message, row.tobytes()) for key, message, row in rows], verdicts

    return make


def signatures_of(request):
    """(key, what is signed, signature) of every item of a request."""
    count = len(request.signatures) // 64
    width = len(request.public_keys) // count
    if request.digests:
        signed = [request.digests[at : at + 32] for at in range(0, 32 * count, 32)]
    elif request.HasField("messages"):
        bounds = np.frombuffer(request.messages.offsets, "<u8").tolist()
        signed = [request.messages.data[start:stop] for start, stop in itertools.pairwise(bounds)]
    else:
        signed = [request.message]
    return [
        (request.public_keys[i * width :][:width], signed[i], request.signatures[64 * i :][:64])
        for i in range(count)
    ]


@pytest.mark.parametrize("pack", [1, 8])
def test_verdicts_reach_their_futures(stream, address, script, items, pack):
    given, verdicts = items(300)
    assert stream(address, given, in_flight=16, pack=pack) == verdicts
    sent = [signature for request in script.requests for signature in signatures_of(request)]
    assert sent == [tuple(rest) for _, *rest in given]
    sizes = [len(request.signatures) // 64 for request in script.requests]
    assert max(sizes) == 1 if pack == 1 else 1 < max(sizes) <= 8


def test_only_signatures_of_one_kind_share_a_request(stream, address, script):
    one, zero = b"\1" + bytes(63), bytes(64)
    given = [
        ("ed25519", bytes(32), b"m", one),
        ("schnorr", bytes(32), b"m", zero),
        ("ecdsa", bytes(33), bytes(32), one),
        ("ecdsa", bytes(65), bytes(32), zero),
        ("ed25519", bytes(32), b"", one),
    ] * 3
    assert stream(address, given) == [1, 0, 1, 0, 1] * 3
    kinds = [(request.scheme, len(signatures_of(request)[0][0])) for request in script.requests]
    assert set(kinds) == {(1, 32), (3, 32), (2, 33), (2, 65)}
    assert sum(len(request.signatures) // 64 for request in script.requests) == 15


def test_no_more_than_so_many_are_in_flight(address, script):
    script.delay = 0.05

    async def main():
        async with AsyncClient(address) as client, client.stream(in_flight=3, pack=1) as stream:
            futures = [await stream.submit_ed25519(bytes(32), b"", bytes(64)) for _ in range(3)]
            fourth = asyncio.create_task(stream.submit_ed25519(bytes(32), b"", bytes(64)))
            await asyncio.sleep(0)
            assert not fourth.done()
            assert await asyncio.wait_for(futures[0], PATIENCE) == 0
            futures.append(await fourth)
            return [await future for future in futures]

    assert asyncio.run(main()) == [0] * 4


@pytest.mark.parametrize("pack", [1, 4])
def test_a_full_service_is_asked_again(stream, address, script, items, pack):
    script.refusals.extend([Refusal(FULL, 1)] * 3)
    given, verdicts = items(40)
    assert stream(address, given, in_flight=8, pack=pack) == verdicts


def test_refusals_without_a_push_back_are_final(stream, address, script, items):
    script.refusals.extend([Refusal(grpc.StatusCode.INVALID_ARGUMENT, message="wrong", field="messages")])
    given, verdicts = items(5)
    first, *others = stream(address, given, pack=1)
    assert isinstance(first, ServiceRefused)
    assert (first.code, first.field, first.message) == ("INVALID_ARGUMENT", "messages", "wrong")
    assert others == verdicts[1:]


def test_attempts_in_a_stream_are_bounded(stream, address, script, items):
    script.refusals.extend([Refusal(FULL, 1)] * 4)
    ((given, *_), _) = items(1)
    (found,) = stream(address, [given])
    assert isinstance(found, ServiceRefused)
    assert found.code == "RESOURCE_EXHAUSTED"
    assert len(script.requests) == 4


@pytest.mark.parametrize("way", ["breaks", "ends"])
def test_a_broken_connection_is_replaced(stream, address, script, items, way):
    getattr(script, way).extend([1, 5, 20])
    given, verdicts = items(200)
    assert stream(address, given, in_flight=16, pack=2) == verdicts


@pytest.mark.parametrize("pack", [1, 32])
def test_a_refused_stream(stream, address, script, items, pack):
    script.stream_refusal = Refusal(
        grpc.StatusCode.UNAUTHENTICATED, message="no token", field="authorization"
    )
    for error in stream(address, items(20)[0], pack=pack):
        assert isinstance(error, ServiceRefused)
        assert (error.code, error.field) == ("UNAUTHENTICATED", "authorization")


def test_nobody_there(stream, nobody, items):
    given, _ = items(3)
    found = stream(nobody, given)
    assert all(isinstance(error, ServiceUnavailable) for error in found)


def test_a_deadline(stream, address, script, items):
    script.silent = True
    given, _ = items(3)
    found = stream(address, given, timeout=0.1, pack=1)
    assert all(isinstance(error, DeadlineExceeded) for error in found)


def test_a_token(address, script):
    async def main():
        async with AsyncClient(address, token="s3cret") as client, client.stream() as stream:
            return await (await stream.submit_schnorr(bytes(32), b"m", b"\1" + bytes(63)))

    assert asyncio.run(main()) == 1


def test_wrong_lengths_are_not_sent(stream, address, script):
    for item in (
        ("ed25519", bytes(31), b"", bytes(64)),
        ("ed25519", bytes(32), b"", bytes(63)),
        ("ecdsa", bytes(32), bytes(32), bytes(64)),
        ("ecdsa", bytes(33), bytes(31), bytes(64)),
        ("schnorr", bytes(33), b"", bytes(64)),
    ):
        with pytest.raises(ArgumentError):
            stream(address, [item])
    assert not script.requests


def _abandoned(client):
    """A future, and the stream that was left by an exception right after its submission."""
    found = []
    with contextlib.suppress(KeyError), client.stream() as stream:
        found = [stream.submit_ed25519(bytes(32), b"", bytes(64)), stream]
        raise KeyError
    return found


async def _abandoned_async(client):
    found = []
    with contextlib.suppress(KeyError):
        async with client.stream() as stream:
            found = [await stream.submit_ed25519(bytes(32), b"", bytes(64)), stream]
            raise KeyError
    return found


def test_leaving_by_an_exception_gives_up(address, script):
    script.silent = True
    with Client(address) as client:
        future, stream = _abandoned(client)
        assert isinstance(future.exception(timeout=PATIENCE), ServiceUnavailable)
        with pytest.raises(ServiceUnavailable):
            stream.submit_ed25519(bytes(32), b"", bytes(64))

    async def main():
        async with AsyncClient(address) as client:
            future, stream = await _abandoned_async(client)
            assert isinstance(future.exception(), ServiceUnavailable)
            with pytest.raises(ServiceUnavailable):
                await stream.submit_ed25519(bytes(32), b"", bytes(64))

    asyncio.run(main())


def test_threads_share_a_stream(address, items):
    given, verdicts = items(400)
    found = [None] * len(given)

    with Client(address) as client, client.stream(in_flight=8) as stream:

        def work(start):
            for index in range(start, len(given), 4):
                found[index] = stream.submit_ed25519(*given[index][1:])

        threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [future.result() for future in found] == verdicts


def test_a_cancelled_future_harms_no_other(address, script, items):
    script.delay = 0.02
    given, verdicts = items(6)

    async def main():
        async with AsyncClient(address) as client, client.stream(pack=1) as stream:
            futures = [await stream.submit_ed25519(*rest) for _, *rest in given]
            futures[1].cancel()
            return [await future for index, future in enumerate(futures) if index != 1]

    assert asyncio.run(main()) == [verdicts[0], *verdicts[2:]]


def test_a_reply_with_too_few_verdicts(monkeypatch, stream, script, items):
    def short(self, requests, context):
        for request in requests:
            unknown = pb.VerifyReply(id=request.id + 1000, verdicts=b"\1")
            yield pb.VerifyReplies(replies=[unknown, pb.VerifyReply(id=request.id, verdicts=b"")])

    monkeypatch.setattr("scripted_service.ScriptedService.VerifyStream", short)
    with serving(script) as address:
        (found,) = stream(address, items(1)[0])
    assert isinstance(found, ServiceRefused)
    assert found.code == "INTERNAL"


def test_requests_stay_below_the_limit(stream, address, script, items):
    """However many may go together, and however short their messages."""
    given, verdicts = items(12_000)
    given = [(scheme, key, b"", signed) for scheme, key, _, signed in given]
    assert stream(address, given, in_flight=12_000, pack=12_000) == verdicts
    assert max(request.ByteSize() for request in script.requests) <= 1 << 20


def test_a_message_that_no_request_may_hold(stream, address, script, items):
    """A server would end the stream for it, and with it the other signatures."""
    given, verdicts = items(2)
    scheme, key, _, signed = given[0]
    with pytest.raises(ArgumentError, match="message_bytes"):
        stream(address, [given[0], (scheme, key, bytes(4 << 20), signed)])
    assert stream(address, [(scheme, key, bytes((4 << 20) - 200), signed), given[1]]) == verdicts


def test_a_stream_of_a_closed_client(address, items):
    (_, *rest), *_ = items(1)[0]
    client = Client(address)
    with client.stream() as stream:
        client.close()
        future = stream.submit_ed25519(*rest)
        assert isinstance(future.exception(10), ServiceUnavailable)
        with pytest.raises(ServiceUnavailable):
            stream.submit_ed25519(*rest)
