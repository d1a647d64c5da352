# SPDX-License-Identifier: GPL-3.0-or-later
"""Spans and log lines of calls to a real gRPC server, whose methods are the test's own."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import grpc
import grpc.aio
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from supervm.tiers.observability.logs import start_logs, stop_logs
from supervm.tiers.observability.traces import Tracer
from supervm.tiers.service.observed_calls import observed_calls

TRACE = "0af7651916cd43dd8448eb211c80319c"
log = logging.getLogger("supervm.tiers.test")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    one = io.StringIO()
    start_logs("debug", "json", one)
    yield one
    stop_logs()


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exporter: InMemorySpanExporter) -> Tracer:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Tracer(provider)


async def echo(request: bytes, context: Any) -> bytes:
    log.info("inside")
    if request == b"refuse":
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")
    if request == b"break":
        raise ValueError("broken")
    return request


async def echoes(requests: Any, context: Any) -> Any:
    async for request in requests:
        yield request


def call(tracer: Tracer, method: str, request: bytes, *metadata: tuple[str, str | bytes]) -> Any:
    """What a client gets from one call: the answer, or the status code."""

    async def run() -> Any:
        server = grpc.aio.server(interceptors=observed_calls(tracer))
        handlers = {
            "Echo": grpc.unary_unary_rpc_method_handler(echo),
            "Echoes": grpc.stream_stream_rpc_method_handler(echoes),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                if method == "Echoes":
                    return [each async for each in channel.stream_stream("/test/Echoes")(iter([request]))]
                return await channel.unary_unary(f"/test/{method}")(request, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            return error.code()
        finally:
            await server.stop(None)

    return asyncio.run(run())


def test_a_call_has_a_span_and_a_line(
    tracer: Tracer, exporter: InMemorySpanExporter, stream: io.StringIO
) -> None:
    headers = (
        ("x-request-id", "r-1"),
        ("traceparent", f"00-{TRACE}-b7ad6b7169203331-01"),
        ("x-bin", b"\xff"),
    )
    assert call(tracer, "Echo", b"hello", *headers) == b"hello"
    (span,) = exporter.get_finished_spans()
    assert (span.name, f"{span.context.trace_id:032x}") == ("Echo", TRACE)
    inside, answered = map(json.loads, stream.getvalue().splitlines())
    assert (inside["message"], inside["request"]) == ("inside", "r-1")
    assert {key: answered[key] for key in ("message", "request", "call", "code")} == {
        "message": "answered",
        "request": "r-1",
        "call": "Echo",
        "code": "OK",
    }
    assert answered["seconds"] > 0


@pytest.mark.parametrize("identity", [None, "", "a b", 'forged","level":"error', "x" * 65])
def test_an_id_that_is_none_is_replaced(stream: io.StringIO, identity: str | None) -> None:
    headers = () if identity is None else (("x-request-id", identity),)
    call(Tracer(), "Echo", b"hello", *headers)
    (found,) = {json.loads(each)["request"] for each in stream.getvalue().splitlines()}
    assert len(found) == 16
    assert int(found, 16) >= 0


@pytest.mark.parametrize(("request_", "code"), [(b"refuse", "RESOURCE_EXHAUSTED"), (b"break", "UNKNOWN")])
def test_what_went_wrong_is_named(
    tracer: Tracer, exporter: InMemorySpanExporter, stream: io.StringIO, request_: bytes, code: str
) -> None:
    assert call(tracer, "Echo", request_) is grpc.StatusCode[code]
    assert json.loads(stream.getvalue().splitlines()[-1])["code"] == code
    (span,) = exporter.get_finished_spans()
    assert not span.status.is_ok


def test_streams_and_unknown_methods_pass(tracer: Tracer, exporter: InMemorySpanExporter) -> None:
    assert call(tracer, "Echoes", b"one") == [b"one"]
    assert call(tracer, "Nothing", b"") is grpc.StatusCode.UNIMPLEMENTED
    assert exporter.get_finished_spans() == ()


def test_nobody_stands_between_unless_asked() -> None:
    assert observed_calls(Tracer()) == ()
    start_logs("info", "json", io.StringIO())
    assert observed_calls(Tracer()) == ()
    stop_logs()
