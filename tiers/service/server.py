# SPDX-License-Identifier: GPL-3.0-or-later
"""gRPC before the service: `supervm.v1.Verification`, health and reflection, behind a `Guard`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from supervm.tiers.errors import ServiceError
from supervm.tiers.observability.traces import Tracer
from supervm.tiers.service.access import authorization_of
from supervm.tiers.service.bounds import Bounds
from supervm.tiers.service.codes import Code
from supervm.tiers.service.core import Caller, State, VerificationService
from supervm.tiers.service.guard import Guard
from supervm.tiers.service.guarded_calls import requests
from supervm.tiers.service.health import NAME as HEALTH
from supervm.tiers.service.health import Health
from supervm.tiers.service.observed_calls import observed_calls
from supervm.tiers.service.refusals import abort
from supervm.tiers.service.security import ServerTls
from supervm.tiers.service.sockets import peer_of
from supervm.tiers.service.streams import CALL as STREAM
from supervm.tiers.service.streams import Stream
from supervm.tiers.service.v1 import verification_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["Verification"].full_name
ARRIVING = 2
"""One part in so many of the queue's bytes is for requests that have begun to come."""

FOR_EVER = 1e9
"""Seconds that gRPC has to stop; `GrpcServer.stop` keeps the time."""

SMALL_REPLY = 4 << 10
"""Bytes of a reply that is not worth counting until its caller has read it."""

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
        connections, address_connections, address_calls, connection_calls, message_seconds, idle_seconds, resets,
            connection_seconds, shared: of gRPC; see `Bounds`.
    """

    address: str = "127.0.0.1:0"
    message_bytes: int = 16 << 20
    calls: int = 1024
    stream_requests: int = 64
    tls: ServerTls | None = None
    connections: int = Bounds.connections
    address_connections: int = Bounds.address_connections
    address_calls: int = Bounds.address_calls
    connection_calls: int = Bounds.connection_calls
    message_seconds: float = Bounds.message_seconds
    idle_seconds: float = Bounds.idle_seconds
    resets: int = Bounds.resets
    connection_seconds: float = Bounds.connection_seconds
    shared: bool = Bounds.shared

    def bounds(self, arriving_bytes: int) -> Bounds:
        """What callers of gRPC may take.

        Args:
            arriving_bytes: of messages that are not whole.
        """
        return Bounds(
            calls=self.calls,
            address_calls=self.address_calls,
            connection_calls=self.connection_calls,
            connections=self.connections,
            address_connections=self.address_connections,
            message_bytes=self.message_bytes,
            message_seconds=self.message_seconds,
            arriving_bytes=arriving_bytes,
            idle_seconds=self.idle_seconds,
            resets=self.resets,
            connection_seconds=self.connection_seconds,
            shared=self.shared,
        )


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
        self._reason: ServiceError | None = None
        self._stopped: asyncio.Task[None] | None = None
        self._health = Health((SERVICE, HEALTH, reflection.SERVICE_NAME))
        queue = service.queue
        self._guard = Guard(
            transport.bounds(queue.most_size // ARRIVING),
            lambda call, code, seconds: service.meter.request(call, code, seconds),
            queue,
            self._client if service.access.needs_token else None,
        )
        observed = observed_calls(tracer or Tracer())
        self._server = grpc.aio.server(interceptors=(self._guard, *observed), options=self._guard.options)
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
        self._tell(self._service.state)
        self._service.watch(self._tell)
        self._guard.start(port)
        await self._server.start()
        return f"{address.rpartition(':')[0]}:{port}"

    def stop_listening(self) -> None:
        """Take no further connection: another process listens at the same address."""
        self._guard.stop_listening()

    def stop_streams(self, reason: ServiceError) -> None:
        """End every stream when what is in flight in it is answered, and every call whose request has not come."""
        self._reason = (
            reason  # of those too that are opened now, before their callers hear that they should not
        )
        for stream in self._streams:
            stream.stop(reason)
        self._guard.stop(reason)

    async def stop(self, grace: float) -> None:
        """Take no further call, and cut off what is not answered within `grace` seconds."""
        # Where two calls of gRPC's stop are out of time together, the later one uses a server that is gone (SIGSEGV).
        # So one waits without a limit, and what cuts off (None) waits for nothing before.
        if self._stopped is None:
            self._stopped = asyncio.ensure_future(self._server.stop(FOR_EVER))
        await asyncio.wait({self._stopped}, timeout=grace)
        if not self._stopped.done():
            await self._server.stop(None)
        await asyncio.shield(self._stopped)
        self._guard.close()

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
            "VerifyBlobs": (pb.VerifyBlobsRequest, service.verify_blobs),
        }
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            name: grpc.unary_unary_rpc_method_handler(
                self._unary(name, kind, method), response_serializer=_written
            )
            for name, (kind, method) in calls.items()
        }
        handlers[STREAM] = grpc.stream_stream_rpc_method_handler(self._stream, response_serializer=_written)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection((SERVICE, HEALTH, reflection.SERVICE_NAME), self._server)

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
                await abort(context, failure)
            meter.request(name, "OK", time.perf_counter() - begun)
            size = reply.ByteSize()
            if size > SMALL_REPLY:
                queue.unread += size
                context.add_done_callback(lambda _: queue.taken(size))
            return reply

        return call

    async def _stream(self, _: Any, context: Any) -> None:
        asked = requests.get()
        stream = Stream(
            self._service, self._caller(context), asked.read, context.write, self._transport.stream_requests
        )
        asked.call.busy = stream.answering
        self._streams.add(stream)
        if self._reason is not None:
            stream.stop(self._reason)
        try:
            await stream.run()
        finally:
            self._streams.discard(stream)

    def _caller(self, context: Any) -> Caller:
        remaining = context.time_remaining()
        deadline = None if remaining is None else time.monotonic() + remaining
        if not self._service.names_clients:  # nobody asks, and asking costs a unary call some microseconds
            return Caller(deadline=deadline)
        return Caller(self._client(context), deadline)

    def _client(self, context: Any) -> str:
        """The name of the client; raises `ServiceError` where it may not call."""
        authorization = subject = None
        if self._service.access.needs_token:
            authorization = authorization_of(context.invocation_metadata())
        elif self._transport.tls is not None and self._transport.tls.clients is not None:
            subject = _subject(context.auth_context())
        return self._service.access.client(authorization, subject, peer_of(context.peer()).host)

    def _tell(self, state: State) -> None:
        """Say it to whoever checks or watches the service's health."""
        self._health.set(serving=state is State.READY)


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


def _written(message: Message) -> bytes:
    return message.SerializeToString()


def _subject(identity: Any) -> str | None:
    """The common name of the peer's certificate, or else its first alternative name."""
    for key in ("x509_common_name", "x509_subject_alternative_name"):
        for value in identity.get(key, ()):
            return str(value.decode("utf-8", "replace"))
    return None
