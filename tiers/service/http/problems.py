# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors as problem details (RFC 9457)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from supervm.tiers.errors import ServiceError
from supervm.tiers.service.codes import Code
from supervm.tiers.service.columns import shortened

MEDIA_TYPE = "application/problem+json"

STATUSES = {
    Code.CANCELLED: 499,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.UNAUTHENTICATED: 401,
}
"""By code; a request that never fits, RESOURCE_EXHAUSTED without a time to try again, is 413."""

RETRY_WHEN_DRAINING = 1


class Problem(BaseModel):
    """Why there is no answer."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "title": "Bad Request",
                    "status": 400,
                    "detail": "found 31 bytes, expected 32 bytes, 64 digits",
                    "code": "INVALID_ARGUMENT",
                    "field": "public_keys[0]",
                }
            ]
        }
    )

    title: str = Field(description="The status in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What came, what is expected, what to do.")
    code: str = Field(description="The same as a gRPC status code.")
    field: str | None = Field(None, description="The member or header that is wrong, with an item's place.")
    retry_after: float | None = Field(None, description="Seconds after which to try again.")


def status_of(error: ServiceError) -> int:
    """The HTTP status of an error."""
    if error.code is Code.RESOURCE_EXHAUSTED and not error.retry_after:
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return STATUSES[error.code]


def problem(error: ServiceError) -> Response:
    """The response for an error of the service."""
    status = status_of(error)
    retry_after = error.retry_after or (RETRY_WHEN_DRAINING if error.code is Code.UNAVAILABLE else 0)
    headers = {}
    if retry_after:
        headers["Retry-After"] = str(math.ceil(retry_after))
    if error.code is Code.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = "Bearer"
    return respond(status, error.code.name, error.message, error.field or None, retry_after or None, headers)


def respond(
    status: int,
    code: str,
    detail: str,
    field: str | None = None,
    retry_after: float | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """A problem as a response; `headers` go with it."""
    title = "Client Closed Request" if status == STATUSES[Code.CANCELLED] else HTTPStatus(status).phrase
    body = Problem(title=title, status=status, detail=detail, code=code, field=field, retry_after=retry_after)
    return Response(body.model_dump_json(exclude_none=True), status, headers, MEDIA_TYPE)


def of_validation(errors: Sequence[Any]) -> ServiceError:
    """What pydantic found wrong, its first finding, as an error of the service."""
    first = errors[0]
    if first["type"] == "json_invalid":
        return ServiceError(Code.INVALID_ARGUMENT, "", f"no JSON: {first['msg']}")
    place = [part for part in first["loc"] if part not in ("header", "body")]
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
    return ServiceError(Code.INVALID_ARGUMENT, shortened(field), str(first["msg"]))
