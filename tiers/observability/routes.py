# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator asks over HTTP: the status page, the same as JSON, metrics, and whether the process is well and ready.

app.include_router(operations_router(metrics, board))
"""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response

from supervm.tiers.observability.metrics import Metrics
from supervm.tiers.observability.page import status_page
from supervm.tiers.observability.status import State, StatusBoard

UNREADY = 503
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
