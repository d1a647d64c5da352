# SPDX-License-Identifier: GPL-3.0-or-later
"""A span and a log line for each unary call, where traces or the log level `debug` ask for them; else nobody stands between.

A stream has neither: it lasts as long as its client, and its requests are too many and too small to be told one by one.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import grpc
import grpc.aio

from supervm.tiers.observability.logs import new_request_id, request_id
from supervm.tiers.observability.traces import Tracer

REQUEST_ID = "x-request-id"
"""The header in which a caller may name its request."""

_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)

log = logging.getLogger(__name__)

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


def observed_calls(tracer: Tracer) -> tuple[grpc.aio.ServerInterceptor, ...]:
    """The interceptors that a server needs: none, where nobody asks."""
    return (ObservedCalls(tracer),) if tracer.on or log.isEnabledFor(logging.DEBUG) else ()


class ObservedCalls(grpc.aio.ServerInterceptor):
    """Stands around every unary call.

    Args:
        tracer: makes the spans.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """As gRPC calls it for each call: the handler of the method, with span and log line around it if it is unary.

        Args:
            continuation: finds the handler.
            handler_call_details: names the method.

        Returns:
            A handler that takes its place; that of a stream as it is; None where there is no such method.
        """
        handler = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:  # of a method that does not exist there is none
            return handler
        name = handler_call_details.method.rpartition("/")[2]
        return grpc.unary_unary_rpc_method_handler(
            self._around(name, handler.unary_unary), handler.request_deserializer, handler.response_serializer
        )

    def _around(self, name: str, inner: Any) -> Any:
        async def call(request: Any, context: Any) -> Any:
            begun, otherwise = time.perf_counter(), "UNKNOWN"
            given = context.invocation_metadata() or ()
            headers = {key: value for key, value in given if isinstance(value, str)}
            identity = headers.get(REQUEST_ID, "")
            if not _ID.fullmatch(identity):
                identity = new_request_id()
            with request_id(identity), self._tracer.request(name, headers):
                try:
                    reply = await inner(request, context)
                    otherwise = "OK"
                    return reply
                finally:
                    set_code = context.code()
                    code = set_code.name if isinstance(set_code, grpc.StatusCode) else otherwise
                    seconds = time.perf_counter() - begun
                    log.debug("answered", extra={"call": name, "code": code, "seconds": seconds})

        return call
