# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node's port lets in: callers with a token, where tokens are asked for, and streams until others would lack room.

A stream may idle for as long as its caller likes, and one that sends requests holds a thread meanwhile.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import grpc
from grpc_health.v1 import health
from grpc_reflection.v1alpha import reflection

from supervm.tiers.errors import ServiceError
from supervm.tiers.service.access import Access, authorization_of
from supervm.tiers.service.v1 import node_pb2 as pb

CALLS = 32
"""Calls that are answered at once, each by a thread."""

MOST_CALLS = 4 * CALLS
"""Calls that are answered or wait for a thread, and streams; gRPC refuses more."""

NODE = pb.DESCRIPTOR.services_by_name["Node"].full_name

STREAMS = {NODE: CALLS // 2, reflection.SERVICE_NAME: CALLS // 8, health.SERVICE_NAME: CALLS}
"""Streams of a service at a time. Half of the threads is for calls that submit blocks, so that the node answers others
whatever those do. Reflection asks for no token, and is bounded apart: it takes no place from who has one. Who watches
health takes no thread, but is one of `MOST_CALLS`."""


Refused = Callable[[str, grpc.StatusCode], None]
"""Told of each refusal: the call's name and the status."""


class Places:
    """Streams of one service.

    Args:
        name: of the service.
        most: at a time.
    """

    def __init__(self, name: str, most: int) -> None:
        self.full = f"{most} streams of {name} are open, the most at a time: end one, or try again later"
        self._left, self._lock = most, threading.Lock()

    def take(self) -> bool:
        """Take a place; whether one was left."""
        with self._lock:
            left = self._left > 0
            self._left -= left
            return left

    def give_back(self) -> None:
        """A stream that had a place is over."""
        with self._lock:
            self._left += 1


class Gate(grpc.ServerInterceptor):
    """Looks at calls before anything of them is read.

    Args:
        access: who needs a token.
        refused: told of refusals.
    """

    def __init__(self, access: Access, refused: Refused) -> None:
        self._access, self._refused = access, refused
        self._places = {name: Places(name, most) for name, most in STREAMS.items()}

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """The handler of a call, or one that refuses it; None where there is no such call."""
        handler = continuation(details)
        if handler is None:
            return None
        service, _, call = details.method.lstrip("/").partition("/")
        if service == NODE:
            try:
                self._access.client(authorization_of(details.invocation_metadata), None, "")
            except ServiceError as error:
                code, text = grpc.StatusCode[error.code.name], error.text
                return grpc.stream_stream_rpc_method_handler(  # of any call: a stream's waits for no request
                    lambda _, context: self._refuse(context, call, code, text)
                )
        if handler.request_streaming:
            return self._sending(handler, self._places[service], call)
        return self._watching(handler, self._places[service], call) if handler.response_streaming else handler

    def _sending(self, handler: Any, places: Places, call: str) -> Any:
        """A stream of requests has its place for as long as it has its thread."""

        def behave(requests: Iterator[Any], context: Any) -> Iterator[Any]:
            if not places.take():
                self._refuse(context, call, grpc.StatusCode.RESOURCE_EXHAUSTED, places.full)
            try:
                yield from handler.stream_stream(requests, context)
            finally:
                places.give_back()

        return grpc.stream_stream_rpc_method_handler(
            behave, handler.request_deserializer, handler.response_serializer
        )

    def _watching(self, handler: Any, places: Places, call: str) -> Any:
        """A stream of replies has its place until the call is over: its function returns long before that."""

        @functools.wraps(handler.unary_stream)  # with the mark by which gRPC knows it
        def behave(request: Any, context: Any, *more: Any) -> Any:
            if not places.take():
                self._refuse(context, call, grpc.StatusCode.RESOURCE_EXHAUSTED, places.full)
            if not context.add_callback(places.give_back):  # it is over already
                places.give_back()
                return None
            return handler.unary_stream(request, context, *more)

        return grpc.unary_stream_rpc_method_handler(
            behave, handler.request_deserializer, handler.response_serializer
        )

    def _refuse(self, context: Any, call: str, code: grpc.StatusCode, text: str) -> NoReturn:
        self._refused(call, code)
        context.abort(code, text)
        raise AssertionError  # not reached: aborting raises
