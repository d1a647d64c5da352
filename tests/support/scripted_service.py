# SPDX-License-Identifier: GPL-3.0-or-later
"""A gRPC server that does as a test says: it refuses, breaks off or waits first, and then answers by a rule.

The verdict of a signature is its first byte, so that a test chooses the verdicts, and no kernel is needed.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import grpc
from grpc_health.v1.health import HealthServicer
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from patience import PATIENCE

from supervm.tiers.service.v1 import verification_pb2 as pb
from supervm.tiers.service.v1.verification_pb2_grpc import (
    VerificationServicer,
    add_VerificationServicer_to_server,
)


@dataclass
class Refusal:
    """What is answered in place of verdicts; `retry_after_ms` is the push-back."""

    code: grpc.StatusCode
    retry_after_ms: int | None = None
    message: str = "no"
    field: str = ""


@dataclass
class Script:
    """What happens, and what happened.

    Attributes:
        refusals: of the next requests, one each, before any is answered; in a stream too.
        breaks: in a stream: after so many requests the call is aborted, once for each entry.
        stream_refusal: what every stream is aborted with, before it is read.
        ends: as `breaks`, but the call ends well.
        delay: seconds before an answer.
        silent: no call is answered before it has ended for its caller.
        requests, metadata: what came.
    """

    refusals: deque[Refusal] = field(default_factory=deque)
    breaks: deque[int] = field(default_factory=deque)
    ends: deque[int] = field(default_factory=deque)
    stream_refusal: Refusal | None = None
    delay: float = 0.0
    silent: bool = False
    requests: list[Any] = field(default_factory=list)
    metadata: list[dict[str, Any]] = field(default_factory=list)


class ScriptedService(VerificationServicer):  # type: ignore[misc]
    """Plays a script."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.lock = threading.Lock()

    def Verify(self, request: pb.VerifyRequest, context: Any) -> pb.VerifyReply:  # noqa: N802
        with self.lock:
            self.script.requests.append(request)
            self.script.metadata.append(dict(context.invocation_metadata()))
            refusal = self.script.refusals.popleft() if self.script.refusals else None
        if refusal is not None:
            _abort(context, refusal)
        self._wait(context)
        return pb.VerifyReply(id=request.id, verdicts=request.signatures[::64])

    def VerifyStream(self, requests: Iterator[pb.VerifyRequest], context: Any) -> Iterator[pb.VerifyReplies]:  # noqa: N802
        script = self.script
        breaks = script.breaks.popleft() if script.breaks else -1
        ends = script.ends.popleft() if script.ends else -1
        if script.stream_refusal is not None:
            _abort(context, script.stream_refusal)
        for number, request in enumerate(requests, 1):
            script.requests.append(request)
            if number == breaks:
                context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
            if number == ends:
                return
            if script.refusals:
                said = script.refusals.popleft()
                refusal = pb.Refusal(
                    code=said.code.value[0],
                    field=said.field,
                    message=said.message,
                    retry_after_ms=said.retry_after_ms or 0,
                )
                yield pb.VerifyReplies(replies=[pb.VerifyReply(id=request.id, refusal=refusal)])
                continue
            self._wait(context)
            reply = pb.VerifyReply(id=request.id, verdicts=request.signatures[::64])
            yield pb.VerifyReplies(replies=[reply])

    def _wait(self, context: Any) -> None:
        ended = threading.Event()
        if self.script.silent and context.add_callback(ended.set):
            ended.wait(PATIENCE)
        time.sleep(self.script.delay)


def _abort(context: Any, refusal: Refusal) -> NoReturn:
    trailers: list[tuple[str, Any]] = []
    if refusal.field:
        said = pb.Refusal(code=refusal.code.value[0], field=refusal.field, message=refusal.message)
        trailers.append(("supervm-refusal-bin", said.SerializeToString()))
    if refusal.retry_after_ms is not None:
        trailers.append(("grpc-retry-pushback-ms", str(refusal.retry_after_ms)))
    context.set_trailing_metadata(tuple(trailers))
    context.abort(refusal.code, refusal.message)
    raise AssertionError("abort returns")


@contextmanager
def serving(
    script: Script,
    credentials: grpc.ServerCredentials | None = None,
    message_bytes: int = 4 << 20,
    health: HealthServicer | None = None,
) -> Iterator[str]:
    """The address of a server that plays `script`, with a health service if one is given."""
    server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", message_bytes)])
    add_VerificationServicer_to_server(ScriptedService(script), server)
    if health is not None:
        add_HealthServicer_to_server(health, server)
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
