# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator asks over HTTP: the status page, the same as JSON, metrics, and whether the process is well and ready.

app.include_router(operations_router(metrics, board))
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from pathlib import Path
from typing import Any

import msgspec
from fastapi import APIRouter, FastAPI
from fastapi.responses import PlainTextResponse, Response
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from supervm.tiers.observability.metrics import Metrics
from supervm.tiers.observability.status import State, StatusBoard

PAGE = Path(__file__).parent / "status.html"
"""The status page: one file that needs nothing else."""

PATHS = frozenset(("/", "/status.json", "/metrics", "/healthz", "/readyz"))
"""Of the routes."""

UNREADY, NOT_ALLOWED, NO_CONTENT = 503, 405, 204
UNREADY_ANSWER: dict[int | str, dict[str, Any]] = {
    UNREADY: {
        "description": "It is not; the body names the state.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}
FRESH = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""Headers of answers that are true only now."""


def operations_router(metrics: Metrics, board: StatusBoard) -> APIRouter:
    """The routes `/`, `/status.json`, `/metrics`, `/healthz` and `/readyz`.

    Args:
        metrics: what `/metrics` exports.
        board: what the others tell.
    """
    router = APIRouter(tags=["operations"])
    page, page_headers = status_page()

    @router.get("/", include_in_schema=False)
    def show_page() -> Response:
        return Response(page, media_type="text/html", headers=page_headers)

    @router.get("/status.json", summary="How this process is doing")
    def show_status() -> Response:
        return Response(msgspec.json.encode(board.snapshot()), media_type="application/json", headers=FRESH)

    @router.get("/metrics", summary="Metrics for Prometheus", response_class=PlainTextResponse)
    def show_metrics() -> Response:
        body, content_type = metrics.exposition()
        return Response(body, headers={"Content-Type": content_type, **FRESH})

    @router.get(
        "/healthz",
        summary="Whether the process is well; 503 if it should be restarted",
        response_class=PlainTextResponse,
        responses=UNREADY_ANSWER,
    )
    async def show_health() -> Response:
        return _answer(board, board.state is not State.FAILING)

    @router.get(
        "/readyz",
        summary="Whether it takes work; 503 if it does not",
        response_class=PlainTextResponse,
        responses=UNREADY_ANSWER,
    )
    async def show_readiness() -> Response:
        return _answer(board, board.state is State.READY)

    return router


def _answer(board: StatusBoard, well: bool) -> Response:
    return PlainTextResponse(f"{board.state.value}\n", 200 if well else UNREADY, headers=FRESH)


def operations_app(metrics: Metrics, board: StatusBoard) -> FastAPI:
    """The routes as an application of their own, for a port of their own."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(operations_router(metrics, board))
    app.add_middleware(Methods)
    return app


class Methods:
    """HEAD and OPTIONS of every path, from what it answers to GET and to a method that it does not have.

    Args:
        app: ASGI.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope.get("method")
        if method == "HEAD":
            scope = {**scope, "method": "GET"}

        empty = method == "HEAD"

        async def answer(message: Message) -> None:
            nonlocal empty
            if message["type"] == "http.response.start" and message["status"] == NOT_ALLOWED:
                empty = empty or method == "OPTIONS"
                message = _allowing(message, method == "OPTIONS")
            elif message["type"] == "http.response.body" and empty:
                message = {**message, "body": b""}
            await send(message)

        await self._app(scope, receive, answer)


def _allowing(start: Message, asked: bool) -> Message:
    """The answer to a method that a path does not have; to one that `asked` which it has, without a body."""
    headers = MutableHeaders(raw=list(start["headers"]))
    allowed = {name.strip() for name in headers.get("allow", "").split(",")}
    if "GET" in allowed:
        headers["allow"] = ", ".join(sorted(allowed | {"HEAD"}))
    if not asked:
        return {**start, "headers": headers.raw}
    for name in ("content-length", "content-type"):
        del headers[name]
    return {**start, "status": NO_CONTENT, "headers": headers.raw}


@functools.cache
def status_page() -> tuple[bytes, dict[str, str]]:
    """The page and its headers.

    The policy lets nothing run or be drawn but the page's own script and style, named by their digests, and lets the script
    ask nobody but the server that it came from.
    """
    text = PAGE.read_text(encoding="utf-8")
    policy = [
        "default-src 'none'",
        f"script-src {_digest(text, 'script')}",
        f"style-src {_digest(text, 'style')}",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    return text.encode(), {
        "Content-Security-Policy": "; ".join(policy),
        "Cache-Control": "no-cache",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


def _digest(text: str, tag: str) -> str:
    """The source expression for the one element of this name."""
    (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
