# SPDX-License-Identifier: GPL-3.0-or-later
"""gRPC before the service: `supervm.v1.Verification`, health and reflection.

An error's status has the field in its text; the trailer `supervm-refusal-bin` has it as a `Refusal`, and
`grpc-retry-pushback-ms` says when to try again, or with a negative number that this is of no use.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import unquote

import grpc
from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from supervm.tiers.errors import ServiceError
from supervm.tiers.observability.traces import Tracer
from supervm.tiers.service.access import authorization_of
from supervm.tiers.service.codes import Code
from supervm.tiers.service.core import Caller, State, VerificationService
from supervm.tiers.service.observed_calls import observed_calls
from supervm.tiers.service.security import ServerTls
from supervm.tiers.service.streams import CALL as STREAM
from supervm.tiers.service.streams import Stream, refusal
from supervm.tiers.service.v1 import verification_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["Verification"].full_name
PUSH_BACK = "grpc-retry-pushback-ms"
REFUSAL = "supervm-refusal-bin"
SMALL_REPLY = 4 << 10
"""Bytes of a reply that is not worth counting until its caller has read it."""
STATUSES = {status.value[0]: status for status in grpc.StatusCode}

Method = Callable[[Any, Caller], Awaitable[Message]]


@dataclass(frozen=True)
class Transport:
    """How the port is served.

    Args:
        address: HOST:PORT; port 0 is any free one.
        message_bytes: of a request, at most.
        calls: at a time, of gRPC; as many connections of HTTP.
        stream_requests: in flight in one stream.
        tls: None for a port in the clear.
    """

    address: str = "127.0.0.1:0"
    message_bytes: int = 16 << 20
    calls: int = 1024
    stream_requests: int = 64
    tls: ServerTls | None = None


class GrpcServer:
    """The port.

    Args:
        service: what is called.
        transport: how.
        tracer: of unary calls.
    """

    def __init__(
        self, service: VerificationService, transport: Transport, tracer: Tracer | None = None
    ) -> None:
        self._service, self._transport = service, transport
        self._streams: set[Stream] = set()
        self._telling: set[asyncio.Future[None]] = set()
        self._health = health_aio.HealthServicer()
        self._server = grpc.aio.server(
            interceptors=observed_calls(tracer or Tracer()),
            options=(
                ("grpc.max_receive_message_length", transport.message_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_concurrent_streams", transport.calls),
                ("grpc.so_reuseport", 0),
            ),
            maximum_concurrent_rpcs=transport.calls,
        )
        self._register()

    async def start(self) -> str:
        """Listen; returns the address.

        Raises:
            OSError: the address cannot be listened on.
            BrokenFile: a file of certificates or keys.
        """
        address = self._transport.address
        try:
            if self._transport.tls is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, self._transport.tls.credentials())
        except RuntimeError as error:
            raise OSError(f"cannot listen on {address}: {error}") from None
        await self._tell(self._service.state)
        self._service.watch(self._state_changed)
        await self._server.start()
        return f"{address.rpartition(':')[0]}:{port}"

    def stop_streams(self, reason: ServiceError) -> None:
        """End every stream when what is in flight in it is answered."""
        for stream in self._streams:
            stream.stop(reason)

    async def stop(self, grace: float) -> None:
        """Take no further call, and cut off what is not answered within `grace` seconds."""
        await self._server.stop(grace)

    # Calls ------------------------------------------------------------------------------------------------

    def _register(self) -> None:
        service = self._service
        calls: dict[str, tuple[type[Message], Method]] = {
            "Verify": (pb.VerifyRequest, service.verify),
            "Recover": (pb.RecoverRequest, service.recover),
            "Hash": (pb.HashRequest, service.hash),
            "MerkleRoot": (pb.MerkleRootRequest, service.merkle_root),
            "Msm": (pb.MsmRequest, service.msm),
            "Poseidon": (pb.PoseidonRequest, service.poseidon),
            "DetectConflicts": (pb.DetectConflictsRequest, service.detect_conflicts),
            "VerifyGroth16": (pb.VerifyGroth16Request, service.verify_groth16),
            "VerifyBls": (pb.VerifyBlsRequest, service.verify_bls),
        }
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            name: grpc.unary_unary_rpc_method_handler(
                self._unary(name, kind, method), response_serializer=_written
            )
            for name, (kind, method) in calls.items()
        }
        handlers[STREAM] = grpc.stream_stream_rpc_method_handler(
            self._stream, request_deserializer=_request_of_stream, response_serializer=_written
        )
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (SERVICE, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)

    def _unary(self, name: str, kind: type[Message], method: Method) -> Any:
        meter, queue = self._service.meter, self._service.queue
        read = _reader(kind)

        # What a call gets, gRPC keeps until its answer. That is the packed message, so that the message itself can go.
        async def call(packed: bytes, context: Any) -> Message:
            begun, failure = time.perf_counter(), None
            try:
                reply = await method(read(packed), self._caller(context))
            except Exception as error:
                # Its frames hold the request, and an abort from here would hold them in a cycle until some collection.
                failure = self._service.failed(error, vital=False).with_traceback(None)
            if failure is not None:
                meter.request(name, failure.code.name, time.perf_counter() - begun)
                await _abort(context, failure)
            meter.request(name, "OK", time.perf_counter() - begun)
            size = reply.ByteSize()
            if size > SMALL_REPLY:
                queue.unread += size
                context.add_done_callback(lambda _: queue.taken(size))
            return reply

        return call

    async def _stream(self, _: Any, context: Any) -> None:
        try:
            caller = self._caller(context)
            stream = Stream(self._service, caller, context, grpc.aio.EOF, self._transport.stream_requests)
            self._streams.add(stream)
            try:
                await stream.run()
            finally:
                self._streams.discard(stream)
        except ServiceError as error:
            await _abort(context, error)

    def _caller(self, context: Any) -> Caller:
        remaining = context.time_remaining()
        deadline = None if remaining is None else time.monotonic() + remaining
        if not self._service.names_clients:  # nobody asks, and asking costs a unary call some microseconds
            return Caller(deadline=deadline)
        authorization = subject = None
        if self._service.access.needs_token:
            authorization = authorization_of(context.invocation_metadata())
        elif self._transport.tls is not None and self._transport.tls.clients is not None:
            subject = _subject(context.auth_context())
        return Caller(self._service.access.client(authorization, subject, _host(context.peer())), deadline)

    # State ------------------------------------------------------------------------------------------------

    def _state_changed(self, state: State) -> None:
        telling = asyncio.ensure_future(self._tell(state))
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    async def _tell(self, state: State) -> None:
        """Say it to whoever checks or watches the service's health."""
        if state is State.DRAINING:
            await self._health.enter_graceful_shutdown()
            return
        serving = health_pb2.HealthCheckResponse.ServingStatus.Value(
            "SERVING" if state is State.READY else "NOT_SERVING"
        )
        for name in ("", SERVICE):
            await self._health.set(name, serving)


async def _abort(context: Any, error: ServiceError) -> NoReturn:
    trailers: list[tuple[str, str | bytes]] = [(REFUSAL, refusal(error).SerializeToString())]
    if error.code is Code.RESOURCE_EXHAUSTED:
        trailers.append((PUSH_BACK, str(error.retry_after_ms or -1)))
    await context.abort(STATUSES[error.code], error.text, tuple(trailers))
    raise error  # not reached: aborting raises


def _reader(kind: type[Message]) -> Callable[[bytes], Message]:
    """Reads a message, or raises INVALID_ARGUMENT."""

    def read(packed: bytes) -> Message:
        try:
            return kind.FromString(packed)
        except DecodeError:
            raise ServiceError(
                Code.INVALID_ARGUMENT, "", f"a message that is no {kind.DESCRIPTOR.name}"
            ) from None

    return read


def _request_of_stream(packed: bytes) -> pb.VerifyRequest | None:
    """None is what cannot be read: an exception here would end the stream as a defect of the service."""
    try:
        return pb.VerifyRequest.FromString(packed)
    except DecodeError:
        return None


def _written(message: Message) -> bytes:
    return message.SerializeToString()


def _host(peer: str) -> str:
    """The address in gRPC's name of a peer, such as ipv4:127.0.0.1:50000 or ipv6:%5B::1%5D:50000."""
    kind, _, rest = unquote(peer).partition(":")
    return rest.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else peer


def _subject(identity: Any) -> str | None:
    """The common name of the peer's certificate, or else its first alternative name."""
    for key in ("x509_common_name", "x509_subject_alternative_name"):
        for value in identity.get(key, ()):
            return str(value.decode("utf-8", "replace"))
    return None
