# SPDX-License-Identifier: GPL-3.0-or-later
"""Traces by OpenTelemetry, for who asks for them: `supervm-engine[traces]` and the setting `traces.endpoint`.

Without, `Tracer` is a few calls of empty functions, and nothing of OpenTelemetry is imported. A request is one span; a block
is one with a child for each stage, made after the fact from `BlockStats.stages`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from supervm.tiers.environment import version
from supervm.tiers.errors import SettingError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

    from supervm.engine.blocks.result import BlockResult

NANOSECONDS = 10**9


class Tracer:
    """Makes spans, or does nothing.

    Args:
        provider: OpenTelemetry's, where traces are wanted.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("supervm", version()) if provider is not None else None

    @property
    def on(self) -> bool:
        """Whether spans go anywhere."""
        return self._tracer is not None

    @contextmanager
    def request(self, call: str, carrier: Mapping[str, str] | None = None) -> Iterator[Span | None]:
        """A span around a request; an error that leaves the block is recorded in it.

        Args:
            call: its name.
            carrier: headers of the request; `traceparent` makes the span a child of the caller's.
        """
        if self._tracer is None:
            yield None
            return
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        context = TraceContextTextMapPropagator().extract(carrier or {})
        with self._tracer.start_as_current_span(call, context, SpanKind.SERVER) as span:
            yield span

    def block(self, result: BlockResult) -> None:
        """The spans of a block that has just become part of the state.

        Stages are laid end to end, the last one ending now: their lengths were measured, their places were not.
        """
        if self._tracer is None:
            return
        from opentelemetry.trace import set_span_in_context

        stats = result.stats
        end = time.time_ns()
        place = end - sum(_nanoseconds(seconds) for seconds in stats.stages.values())
        attributes: dict[str, Any] = {
            "block.height": result.height,
            "block.transactions": stats.transactions,
            "block.rejected": stats.rejected,
            "block.way": stats.way,
        }
        span = self._tracer.start_span("block", attributes=attributes, start_time=place)
        context = set_span_in_context(span)
        for stage, seconds in stats.stages.items():
            child = self._tracer.start_span(stage, context, start_time=place)
            place += _nanoseconds(seconds)
            child.end(place)
        span.end(end)

    def close(self) -> None:
        """Send what has not been sent."""
        if self._provider is not None:
            self._provider.shutdown()


def tracer(endpoint: str) -> Tracer:
    """The tracer that the setting `traces.endpoint` asks for.

    Args:
        endpoint: where an OTLP collector listens for gRPC, such as "http://127.0.0.1:4317"; '' for no traces.

    Raises:
        SettingError: traces are asked for, and OpenTelemetry is not installed.
    """
    if not endpoint:
        return Tracer()
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise SettingError(
            "supervm", "traces.endpoint", repr(endpoint), "'', or supervm-engine[traces] installed"
        ) from None
    provider = TracerProvider(
        resource=Resource.create({"service.name": "supervm", "service.version": version()})
    )
    exporter = OTLPSpanExporter(endpoint=endpoint, insecure=endpoint.startswith("http://"))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Tracer(provider)


def _nanoseconds(seconds: float) -> int:
    return round(seconds * NANOSECONDS)
