# SPDX-License-Identifier: GPL-3.0-or-later
"""The gRPC port: calls, streams, refusals, deadlines, cancellation, limits, health, reflection, drain."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from patience import until_async
from served import HeldService, Served, run, served
from signed_requests import ed25519_signed, expected, over_messages, single

from supervm.kernels import get_threads, set_threads
from supervm.kernels.errors import BackendUnavailable, DeviceLost, DeviceOutOfMemory, DeviceTimeout
from supervm.tiers.service.core import BATCHES_AT_ONCE, Limits, State, stopping
from supervm.tiers.service.job_pool import AHEAD
from supervm.tiers.service.refusals import PUSH_BACK, REFUSAL
from supervm.tiers.service.server import SERVICE, Transport
from supervm.tiers.service.streams import together
from supervm.tiers.service.v1 import verification_pb2 as pb
from supervm.tiers.service.v1.verification_pb2_grpc import VerificationStub


async def refused(call: Awaitable[Any]) -> tuple[grpc.StatusCode, pb.Refusal, dict[str, Any]]:
    """The status of a refused call, what the trailer says, and all trailers."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    trailers = dict(caught.value.trailing_metadata() or ())
    refusal = pb.Refusal.FromString(trailers.get(REFUSAL, b""))
    return caught.value.code(), refusal, trailers


async def health(to: Served, name: str = SERVICE) -> int:
    stub = health_pb2_grpc.HealthStub(to.channel)
    return (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status


SERVING, NOT_SERVING = 1, 2


def test_unary_calls() -> None:
    async def test() -> None:
        async with served() as to:
            replies = await asyncio.gather(*(to.stub.Verify(single(index)) for index in range(200)))
            assert [(reply.id, reply.verdicts) for reply in replies] == [
                (index, expected([ed25519_signed(index)])) for index in range(200)
            ]
            reply = await to.stub.MerkleRoot(pb.MerkleRootRequest(hash="sha256", leaves=bytes(96)))
            assert len(reply.root) == 32
            blobs = to.stub.VerifyBlobs(pb.VerifyBlobsRequest())
            assert (await refused(blobs))[0] is grpc.StatusCode.UNIMPLEMENTED

    run(test)


def test_a_bad_field_is_named_in_text_and_trailer() -> None:
    async def test() -> None:
        async with served() as to:
            code, refusal, trailers = await refused(
                to.stub.Verify(pb.VerifyRequest(scheme=1, signatures=b"x"))
            )
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            assert (refusal.code, refusal.field) == (code.value[0], "signatures")
            assert PUSH_BACK not in trailers

    run(test)


def test_a_stream_answers_each_request_and_goes_on_after_a_bad_one() -> None:
    async def test() -> None:
        async with served(transport=Transport(stream_requests=4)) as to:
            stream = to.stub.VerifyStream()

            async def send() -> None:
                for index in range(100):
                    bad = pb.VerifyRequest(id=index, scheme=1, signatures=b"x")
                    await stream.write(bad if index == 50 else single(index))
                await stream.done_writing()

            sending = asyncio.ensure_future(send())
            replies = {reply.id: reply async for message in stream for reply in message.replies}
            await sending
            assert sorted(replies) == list(range(100))
            bad = replies.pop(50)
            assert (bad.refusal.code, bad.refusal.field, bad.verdicts) == (3, "signatures", b"")
            assert all(reply.verdicts == expected([ed25519_signed(i)]) for i, reply in replies.items())
            assert not any(reply.HasField("refusal") for reply in replies.values())
            assert await stream.code() is grpc.StatusCode.OK

    run(test)


def test_no_more_are_read_than_may_be_in_flight() -> None:
    async def test() -> None:
        service = HeldService()
        async with served(service=service, transport=Transport(stream_requests=3)) as to:
            stream = to.stub.VerifyStream()
            for index in range(10):
                await stream.write(single(index))
            await until_async(lambda: service.queue.requests == 3)
            await asyncio.sleep(0.2)
            assert service.queue.requests == 3
            service.release.set()
            await stream.done_writing()
            assert len([reply async for message in stream for reply in message.replies]) == 10

    run(test)


def test_no_more_calls_than_there_may_be_at_a_time() -> None:
    """Streams that say nothing are calls. They give way to a call of another connection, but not to one of their own."""

    async def test() -> None:
        async with served(transport=Transport(calls=3)) as to:
            idle = [to.stub.VerifyStream() for _ in range(3)]
            await asyncio.gather(*(stream.wait_for_connection() for stream in idle))
            await until_async(lambda: len(to.server._streams) == 3)
            code, refusal, trailers = await refused(to.stub.Verify(single(1)))
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert trailers[PUSH_BACK] == str(refusal.retry_after_ms)
            options = (("grpc.use_local_subchannel_pool", 1),)
            async with grpc.aio.insecure_channel(to.address, options) as channel:
                assert (await VerificationStub(channel).Verify(single(1))).verdicts == b"\1"
            ended, *others = sorted(idle, key=lambda stream: not stream.done())
            assert (await refused(ended.read()))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert not any(stream.done() for stream in others)
            for stream in others:
                stream.cancel()

    run(test)


def test_a_full_queue_refuses_at_once_with_a_time_to_try_again() -> None:
    async def test() -> None:
        service = HeldService(Limits(queue_items=5))
        async with served(service=service) as to:
            accepted = [to.stub.Verify(single(index)) for index in range(5)]
            await until_async(lambda: service.queue.requests == 5)
            code, refusal, trailers = await refused(to.stub.Verify(single(9)))
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert refusal.retry_after_ms > 0
            assert trailers[PUSH_BACK] == str(refusal.retry_after_ms)
            stream = to.stub.VerifyStream()
            await stream.write(single(8))
            (reply,) = (await stream.read()).replies
            assert (reply.id, reply.refusal.code) == (8, grpc.StatusCode.RESOURCE_EXHAUSTED.value[0])
            assert reply.refusal.retry_after_ms > 0
            await stream.done_writing()
            service.release.set()
            assert [reply.id for reply in await asyncio.gather(*accepted)] == [0, 1, 2, 3, 4]
            assert (service.queue.items, service.queue.size, service.queue.requests) == (0, 0, 0)
            assert (await to.stub.Verify(single(1))).verdicts == b"\1"

    run(test)


def test_what_never_fits_is_refused_without_a_time() -> None:
    async def test() -> None:
        async with served(Limits(queue_items=5)) as to:
            large = over_messages(pb.SCHEME_ED25519, [ed25519_signed(index) for index in range(6)])
            code, refusal, trailers = await refused(to.stub.Verify(large))
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert (refusal.retry_after_ms, trailers[PUSH_BACK]) == (0, "-1")

    run(test)


def test_a_message_above_the_limit() -> None:
    async def test() -> None:
        async with served(transport=Transport(message_bytes=2000)) as to:
            large = over_messages(pb.SCHEME_ED25519, [ed25519_signed(index) for index in range(60)])
            assert (await refused(to.stub.Verify(large)))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert (await to.stub.Verify(single(1))).verdicts == b"\1"
            assert to.service.queue.requests == 0

    run(test)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_expired_and_cancelled_requests_are_not_computed(threads: int) -> None:
    handed = min(BATCHES_AT_ONCE, threads) + AHEAD

    async def test() -> None:
        service = HeldService(Limits(batch_items=1))
        async with served(service=service) as to:
            held = [to.stub.Verify(single(index)) for index in range(handed)]  # the pool has these
            await until_async(lambda: service.queue.requests == handed)
            late = to.stub.Verify(single(3), timeout=2.0)
            left = to.stub.Verify(single(4))
            stream = to.stub.VerifyStream()
            await stream.write(single(5))
            await until_async(lambda: service.queue.requests == handed + 3)
            left.cancel()
            stream.cancel()
            with pytest.raises(asyncio.CancelledError):
                await left
            assert (await refused(late))[0] is grpc.StatusCode.DEADLINE_EXCEEDED
            await until_async(lambda: to.server._guard._calls.taken == handed)
            service.release.set()
            await asyncio.gather(*held)
            await until_async(lambda: service.queue.requests == 0)
            assert service.computed == handed

    usual = get_threads()
    set_threads(threads)
    try:
        run(test)
    finally:
        set_threads(usual)


def test_one_client_is_too_fast_and_others_are_not_disturbed() -> None:
    async def test() -> None:
        async with served(Limits(client_rate=5)) as to:
            signed = [ed25519_signed(index) for index in range(50)]
            await to.stub.Verify(over_messages(pb.SCHEME_ED25519, signed))
            code, refusal, _ = await refused(to.stub.Verify(single(9)))
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert 0 < refusal.retry_after_ms <= 9000
            await to.service.verify(single(1))  # another client: nobody's address

    run(test)


def test_health_and_its_changes() -> None:
    async def test() -> None:
        async with served() as to:
            assert await health(to) == await health(to, "") == SERVING
            watch = health_pb2_grpc.HealthStub(to.channel).Watch(
                health_pb2.HealthCheckRequest(service=SERVICE)
            )
            assert (await watch.read()).status == SERVING
            to.service.drain()
            assert (await watch.read()).status == NOT_SERVING
            assert await health(to) == await health(to, "") == NOT_SERVING

    run(test)


def test_a_lost_device_is_internal_and_health_says_so_until_something_computes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test() -> None:
        async with served() as to:
            sound = to.service._batch_function

            def lost(*_: object) -> Any:
                raise DeviceLost("gpu 0", "fell off the bus")

            monkeypatch.setattr(to.service, "_batch_function", lambda kind: lost)
            code, refusal, _ = await refused(to.stub.Verify(single(1)))
            assert code is grpc.StatusCode.INTERNAL
            assert "fell off the bus" in refusal.message
            assert await health(to) == NOT_SERVING
            assert to.service.state is State.FAILING
            monkeypatch.setattr(to.service, "_batch_function", sound)
            assert (await to.stub.Verify(single(1))).verdicts == b"\1"
            await until_async(lambda: to.service.state is State.READY)
            assert await health(to) == SERVING

    run(test)


@pytest.mark.parametrize(
    "error", [BackendUnavailable("ifma", "not implemented for it"), DeviceTimeout("gpu 0", "late")]
)
def test_what_a_backend_cannot_compute_says_nothing_of_health(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A call that any caller may send must not turn the service off for all."""

    async def test() -> None:
        def fails(*_: object, **__: object) -> Any:
            raise error

        monkeypatch.setattr("supervm.tiers.service.calls.conflicts.detect", fails)
        async with served() as to:
            request = pb.DetectConflictsRequest(read_offsets=bytes(16), write_offsets=bytes(16))
            code, *_ = await refused(to.stub.DetectConflicts(request))
            assert code is grpc.StatusCode.INTERNAL
            assert to.service.state is State.READY
            assert await health(to) == SERVING

    run(test)


def test_a_device_without_memory_asks_for_less(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        def fails(*_: object) -> Any:
            raise DeviceOutOfMemory("gpu 0", "full")

        async with served() as to:
            monkeypatch.setattr(to.service, "_batch_function", lambda kind: fails)
            assert (await refused(to.stub.Verify(single(1))))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert to.service.state is State.READY

    run(test)


LONG = "\x01" * 100_000


@pytest.mark.parametrize(
    ("call", "request_", "field"),
    [
        ("MerkleRoot", pb.MerkleRootRequest(hash=LONG), "hash"),
        ("Msm", pb.MsmRequest(curve=LONG), "curve"),
        ("Msm", pb.MsmRequest(curve="bn254", group=LONG), "group"),
        ("Msm", pb.MsmRequest(curve="bn254", encoding=LONG), "encoding"),
        ("Msm", pb.MsmRequest(curve="ed25519", encoding=LONG), "encoding"),
        ("Poseidon", pb.PoseidonRequest(field=LONG), "field"),
    ],
)
def test_a_long_name_is_not_sent_back(call: str, request_: Any, field: str) -> None:
    async def test() -> None:
        async with served() as to:
            code, refusal, _ = await refused(getattr(to.stub, call)(request_))
            assert (code, refusal.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)
            assert len(refusal.message) < 2000

    run(test)


def test_a_defect_is_internal_in_calls_and_streams(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A stream goes on: it waited for ever for an answer to what had failed before the queue."""

    def broken(*_: object) -> Any:
        raise RuntimeError("secret")

    async def test() -> None:
        async with served() as to:
            with monkeypatch.context() as patch:
                patch.setattr("supervm.tiers.service.core.signatures", broken)
                code, refusal, _ = await refused(to.stub.Verify(single(1)))
                assert code is grpc.StatusCode.INTERNAL
                assert "secret" not in refusal.message
                stream = to.stub.VerifyStream()
                await stream.write(single(7))
                (reply,) = (await stream.read()).replies
                assert (reply.id, reply.refusal.code) == (7, grpc.StatusCode.INTERNAL.value[0])
            await stream.write(single(8))
            await stream.done_writing()
            (reply,) = (await stream.read()).replies
            assert reply.verdicts == expected([ed25519_signed(8)])
            assert await stream.read() is grpc.aio.EOF
            assert to.service.state is State.READY

    run(test)
    assert "secret" in caplog.text


def test_a_reply_counts_until_its_caller_has_it() -> None:
    """A client that is stopped keeps megabytes of its reply here; the queue must not forget them."""
    program = "\n".join(
        (
            "import sys, grpc",
            "from supervm.tiers.service.v1 import verification_pb2 as pb",
            "from supervm.tiers.service.v1.verification_pb2_grpc import VerificationStub",
            "with grpc.insecure_channel(sys.argv[1], [('grpc.max_receive_message_length', -1)]) as channel:",
            "    call = VerificationStub(channel).Hash",
            "    request = pb.HashRequest(function=2, messages=pb.Rows(offsets=bytes(8 * 100_001)))",
            "    assert len(call(request).digests) == 6_400_000",
        )
    )

    async def test() -> None:
        async with served() as to:
            queue = to.service.queue
            enter = queue.enter
            client = await asyncio.create_subprocess_exec(sys.executable, "-c", program, to.address)

            def stop_client(items: int, size: int) -> None:
                client.send_signal(signal.SIGSTOP)
                enter(items, size)

            queue.enter = stop_client  # type: ignore[method-assign]
            await until_async(lambda: queue.unread > 6_000_000)
            assert queue.requests == 0
            client.send_signal(signal.SIGCONT)
            assert await client.wait() == 0
            await until_async(lambda: queue.unread == 0)

    run(test)


def test_reflection_shows_the_published_protocol() -> None:
    async def test() -> None:
        async with served() as to:
            stub = reflection_pb2_grpc.ServerReflectionStub(to.channel)
            asked = [
                reflection_pb2.ServerReflectionRequest(list_services=""),
                reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE),
            ]
            names, files = [reply async for reply in stub.ServerReflectionInfo(iter(asked))]
            assert SERVICE in {service.name for service in names.list_services_response.service}
            found = FileDescriptorProto.FromString(files.file_descriptor_response.file_descriptor_proto[0])
            assert found.name == "supervm/v1/verification.proto"

    run(test)


def test_drain_answers_what_was_accepted_and_refuses_the_rest() -> None:
    async def test() -> None:
        service = HeldService()
        async with served(service=service) as to:
            unary, stream = to.stub.Verify(single(1)), to.stub.VerifyStream()
            await stream.write(single(2))
            await until_async(lambda: service.queue.requests == 2)
            service.drain()
            to.server.stop_streams(stopping())
            assert (await refused(to.stub.Verify(single(3))))[0] is grpc.StatusCode.UNAVAILABLE
            idle = asyncio.ensure_future(service.idle())
            await asyncio.sleep(0.05)
            assert not idle.done()
            service.release.set()
            assert (await unary).verdicts == b"\1"
            (reply,) = (await stream.read()).replies
            assert (reply.id, reply.verdicts) == (2, b"\1")
            assert (await refused(stream.read()))[0] is grpc.StatusCode.UNAVAILABLE
            await idle

    run(test)


def test_replies_that_are_ready_together_travel_together() -> None:
    async def test() -> None:
        service = HeldService()
        async with served(service=service) as to:
            stream = to.stub.VerifyStream()
            for index in range(8):
                await stream.write(single(index))
            await until_async(lambda: service.queue.requests == 8)
            await stream.done_writing()
            service.release.set()
            messages = [[reply.id for reply in message.replies] async for message in stream]
            assert sorted(number for message in messages for number in message) == list(range(8))
            assert len(messages) < 8

    run(test)


@pytest.mark.parametrize(
    ("sizes", "first"),
    [([1], 1), ([1] * 9, 9), ([1 << 20], 1), ([1 << 20, 1], 1), ([1 << 15] * 3, 2), ([5, 1 << 16], 1)],
)
def test_a_message_of_replies_is_of_bounded_length(sizes: list[int], first: int) -> None:
    assert together([pb.VerifyReply(verdicts=bytes(size)) for size in sizes]) == first
