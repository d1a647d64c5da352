# SPDX-License-Identifier: GPL-3.0-or-later
"""Spans as the SDK's exporter in memory gets them; and nothing at all where nobody asked."""

from __future__ import annotations

import subprocess
import sys

import pytest
from observed import block_result
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from supervm.tiers.errors import SettingError
from supervm.tiers.observability import traces
from supervm.tiers.observability.traces import Tracer

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exporter: InMemorySpanExporter) -> Tracer:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Tracer(provider)


def named(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


def test_a_request_is_a_child_of_its_caller_s_span(tracer: Tracer, exporter: InMemorySpanExporter) -> None:
    with tracer.request("Verify", {"traceparent": CALLER}) as span:
        assert span is not None
        span.set_attribute("supervm.items", 4096)
    found = named(exporter)["Verify"]
    assert found.kind is SpanKind.SERVER
    assert found.attributes == {"supervm.items": 4096}
    assert f"{found.context.trace_id:032x}" == CALLER.split("-")[1]
    assert found.parent is not None
    assert f"{found.parent.span_id:016x}" == CALLER.split("-")[2]


@pytest.mark.parametrize("carrier", [None, {}, {"traceparent": "nonsense"}])
def test_a_request_without_a_caller_s_span_begins_a_trace(
    tracer: Tracer, exporter: InMemorySpanExporter, carrier: dict[str, str] | None
) -> None:
    with tracer.request("Hash", carrier):
        pass
    assert named(exporter)["Hash"].parent is None


def test_an_error_is_recorded_and_goes_on(tracer: Tracer, exporter: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="wrong"), tracer.request("Verify"):
        raise ValueError("wrong")
    found = named(exporter)["Verify"]
    assert found.status.status_code is StatusCode.ERROR
    assert [event.name for event in found.events] == ["exception"]


def test_the_stages_of_a_block_lie_end_to_end_inside_it(
    tracer: Tracer, exporter: InMemorySpanExporter
) -> None:
    tracer.block(block_result(9))
    spans = named(exporter)
    block = spans.pop("block")
    assert block.attributes is not None
    assert (block.attributes["block.height"], block.attributes["block.transactions"]) == (9, 8)
    assert list(spans) == ["verify", "execute", "commit"]
    place = block.start_time
    for span, seconds in zip(spans.values(), (0.004, 0.02, 0.008), strict=True):
        assert span.parent is not None
        assert span.parent.span_id == block.context.span_id
        assert span.start_time == place
        assert span.end_time is not None
        assert span.start_time is not None
        assert span.end_time - span.start_time == round(seconds * 1e9)
        place = span.end_time
    assert place == block.end_time


def test_without_an_endpoint_nothing_is_made_or_imported() -> None:
    script = """
import sys
from supervm.tiers.observability.traces import tracer
off = tracer("")
with off.request("Verify", {}) as span:
    assert span is None
off.block(None)
off.close()
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.grpc.trace_exporter", None)
    with pytest.raises(SettingError, match=r"supervm-engine\[traces\]"):
        traces.tracer("http://127.0.0.1:4317")


def test_an_endpoint_gives_a_tracer_that_can_be_closed() -> None:
    made = traces.tracer("http://127.0.0.1:9")
    made.close()
