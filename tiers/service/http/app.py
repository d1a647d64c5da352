# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP/JSON before the service, for people and scripts: docs/http.md.

A request is a body of JSON, whatever its Content-Type says, so that `curl -d` will do. Who calls is known, and its size,
before a byte of it is parsed; it becomes the message that gRPC would have carried, and goes the same way.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from supervm.tiers.environment import version
from supervm.tiers.errors import ServiceError
from supervm.tiers.observability.routes import Methods, operations_router
from supervm.tiers.service.codes import Code
from supervm.tiers.service.http.bodies import MOST_BYTES, Bodies
from supervm.tiers.service.http.calls import calls_router
from supervm.tiers.service.http.document import document_of
from supervm.tiers.service.http.problems import of_validation, problem, respond

if TYPE_CHECKING:
    from supervm.tiers.observability.metrics import Metrics
    from supervm.tiers.observability.status import StatusBoard
    from supervm.tiers.service.core import VerificationService
    from supervm.tiers.settings import Settings

OFF = "off"

DESCRIPTION = """Signatures, hashes, Merkle roots, multi-scalar multiplication, Poseidon and conflict detection in batches.

Bytes are hexadecimal digits, with or without `0x`. An invalid signature is an answer, not an error: there is a verdict for
every item. Errors are problem details (RFC 9457) that name the member that is wrong."""


def create_app(
    service: VerificationService,
    metrics: Metrics,
    board: StatusBoard,
    settings: Settings,
) -> FastAPI:
    """The application, for an ASGI server in the service's event loop.

    Args:
        service: what is called, and who may call.
        metrics: counts requests, by path; exported at `/metrics`.
        board: for the status page, `/healthz` and `/readyz`.
        settings: `service.body.bytes` bounds a body, `service.message.bytes` also the message that it becomes,
            `service.message.seconds` the time in which it comes; `service.queue.bytes` all bodies. The pages of operations
            are here unless they have a port.
    """
    # The pages that show the document load their scripts from elsewhere, which a service's own pages do not.
    app = FastAPI(
        title="SuperVM verification service",
        version=version(),
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        license_info={"name": "GPL-3.0-or-later", "identifier": "GPL-3.0-or-later"},
    )
    most = settings.service_message_bytes
    bodies = Bodies(
        min(settings.service_body_bytes, most),
        settings.service_queue_bytes,
        service.queue,
        settings.service_message_seconds,
    )
    app.include_router(calls_router(service, metrics, bodies, min(most, MOST_BYTES)))
    if settings.service_operations == OFF:
        app.include_router(operations_router(metrics, board))
    app.add_middleware(Methods)
    app.add_exception_handler(ServiceError, _refused)
    app.add_exception_handler(RequestValidationError, partial(_invalid, metrics))
    app.add_exception_handler(HTTPException, _not_routed)
    app.openapi = lambda: document_of(app, service.access.needs_token)  # type: ignore[method-assign]
    return app


async def _refused(request: Request, error: Any) -> Response:
    return problem(error)


async def _invalid(metrics: Metrics, request: Request, error: Any) -> Response:
    """A header that is wrong; the request does not get as far as its call, where others are counted."""
    refusal = of_validation(error.errors())
    metrics.request(request.scope["route"].path, refusal.code.name, 0.0)
    return problem(refusal)


async def _not_routed(request: Request, error: Any) -> Response:
    """A path or method that there is not."""
    detail = f"{request.method} {request.url.path}: see /openapi.json for what there is"
    return respond(error.status_code, Code.UNIMPLEMENTED.name, detail, headers=error.headers)
