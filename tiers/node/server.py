# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm.v1.Node` over gRPC, around the calls of a node of any tier."""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from supervm.engine.errors import MalformedBatch
from supervm.kernels.errors import ArgumentError, SupervmError
from supervm.tiers.node.admission import CALLS, MOST_CALLS, Gate
from supervm.tiers.node.errors import (
    BlockRefused,
    NodeError,
    NotKept,
    TaskRefused,
    TooManySnapshots,
    UpstreamFailed,
)
from supervm.tiers.node.upstream import MOST_MESSAGE_BYTES, caller_waits
from supervm.tiers.observability.traces import Tracer
from supervm.tiers.service.access import Access
from supervm.tiers.service.security import ServerTls
from supervm.tiers.service.v1 import node_pb2 as pb

log = logging.getLogger(__name__)

KEEPALIVE_MILLISECONDS = 60_000
PING_MILLISECONDS = 60_000
"""After how long without a word a connection is asked whether anybody is there, and how long that answer may take: so long
a caller that vanished holds the places of its streams."""

SERVICE = pb.DESCRIPTOR.services_by_name["Node"]

Meter = Callable[[str, str, float], None]
"""Told of each call: its name, the status it ended with, and the seconds it took."""


class NodeServer:
    """A server of a node's calls.

    Args:
        service: `FullService` or `EdgeService`.
        address: HOST:PORT to listen on; port 0 is any free one.
        meter: told of each call.
        most_bytes: of a request.
        tracer: of calls that ask once; a stream lasts as long as its caller.
        tls: None for a port in the clear.
        access: whether calls need a token.

    Raises:
        OSError: the address cannot be listened on.
        BrokenFile: a file of certificates or keys.
    """

    def __init__(
        self,
        service: Any,
        address: str,
        meter: Meter = lambda call, code, seconds: None,
        most_bytes: int = MOST_MESSAGE_BYTES,
        tracer: Tracer | None = None,
        tls: ServerTls | None = None,
        access: Access | None = None,
    ) -> None:
        self._service, self._meter, self._tracer = service, meter, tracer or Tracer()
        credentials = None if tls is None else tls.credentials()
        self._pool = ThreadPoolExecutor(CALLS, thread_name_prefix="supervm-node-call")
        options = [
            ("grpc.max_send_message_length", MOST_MESSAGE_BYTES),
            ("grpc.max_receive_message_length", most_bytes),
            ("grpc.so_reuseport", 0),  # else a second process would share the port, and the calls
            ("grpc.keepalive_time_ms", KEEPALIVE_MILLISECONDS),
            ("grpc.http2.ping_timeout_ms", PING_MILLISECONDS),
        ]
        self._server = grpc.server(
            self._pool,
            interceptors=[Gate(access or Access(), lambda call, code: meter(call, code.name, 0.0))],
            options=options,
            maximum_concurrent_rpcs=MOST_CALLS,
        )
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        handlers = {method.name: self._handler(method) for method in SERVICE.methods}
        generic = grpc.method_handlers_generic_handler(SERVICE.full_name, handlers)
        self._server.add_generic_rpc_handlers((generic,))
        names = (SERVICE.full_name, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        host, _, port = address.rpartition(":")
        try:
            if credentials is None:
                bound = self._server.add_insecure_port(address)
            else:
                bound = self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            self._pool.shutdown()
            raise OSError(f"cannot listen on {address}: {error}") from None
        self.address = f"{host}:{bound if port == '0' else port}"

    def start(self) -> None:
        """Answer calls."""
        self._server.start()
        for name in ("", SERVICE.full_name):
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    def stop(self, seconds: float = 2.0) -> None:
        """Take no more calls, and let those in progress end within so many seconds."""
        self._health.enter_graceful_shutdown()
        self._server.stop(seconds).wait()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _handler(self, method: Any) -> Any:
        function = getattr(self._service, re.sub(r"(?<!^)(?=[A-Z])", "_", method.name).lower())
        codec: dict[str, Any] = {
            "request_deserializer": GetMessageClass(method.input_type).FromString,
            "response_serializer": GetMessageClass(method.output_type).SerializeToString,
        }
        if method.client_streaming:
            return grpc.stream_stream_rpc_method_handler(self._stream(method.name, function), **codec)
        return grpc.unary_unary_rpc_method_handler(self._unary(method.name, function), **codec)

    def _unary(self, name: str, function: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
        def answer(request: Any, context: Any) -> Any:
            began, code = time.perf_counter(), grpc.StatusCode.OK
            left = context.time_remaining()
            caller_waits.set(math.inf if left is None else time.monotonic() + left)
            headers = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
            try:
                with self._tracer.request(name, headers):
                    return function(request)
            except Exception as error:
                code, text = status_of(error)
                context.abort(code, text)
            finally:
                self._meter(name, code.name, time.perf_counter() - began)

        return answer

    def _stream(self, name: str, function: Callable[..., Iterator[Any]]) -> Callable[[Any, Any], Any]:
        def answer(requests: Iterator[Any], context: Any) -> Iterator[Any]:
            began, code = time.perf_counter(), grpc.StatusCode.OK
            try:
                yield from function(requests, context.is_active)
            except Exception as error:
                code, text = status_of(error)
                context.abort(code, text)
            finally:
                self._meter(name, code.name, time.perf_counter() - began)

        return answer


def status_of(error: Exception) -> tuple[grpc.StatusCode, str]:
    """The status that an error is answered with, and its text."""
    if isinstance(error, UpstreamFailed):
        # Who is refused upstream is this node, for its own token; its caller's may be right.
        if error.code == grpc.StatusCode.UNAUTHENTICATED.name:
            log.warning("the upstream refuses this node", extra={"problem": str(error)})
            return grpc.StatusCode.UNAVAILABLE, str(error)
        return grpc.StatusCode[error.code], str(error)
    for kinds, code in (
        ((BlockRefused, ArgumentError, MalformedBatch), grpc.StatusCode.INVALID_ARGUMENT),
        ((NotKept,), grpc.StatusCode.NOT_FOUND),
        ((TaskRefused,), grpc.StatusCode.FAILED_PRECONDITION),
        ((TooManySnapshots,), grpc.StatusCode.RESOURCE_EXHAUSTED),
        ((NodeError,), grpc.StatusCode.UNAVAILABLE),
        ((TimeoutError,), grpc.StatusCode.DEADLINE_EXCEEDED),
    ):
        if isinstance(error, kinds):
            return code, str(error) or type(error).__name__
    if not isinstance(error, SupervmError):
        log.error("a call failed", exc_info=error)
    return grpc.StatusCode.INTERNAL, str(error) or type(error).__name__
