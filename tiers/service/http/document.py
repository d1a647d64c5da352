# SPDX-License-Identifier: GPL-3.0-or-later
"""The OpenAPI document, as far as FastAPI cannot tell it by itself: bodies that are read late, and problems."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from supervm.tiers.service.http import models
from supervm.tiers.service.http.problems import MEDIA_TYPE, Problem

REFERENCE = "#/components/schemas/{model}"
BODIES = (
    models.VerifyBody,
    models.RecoverBody,
    models.HashBody,
    models.MerkleRootBody,
    models.MsmBody,
    models.PoseidonBody,
    models.ConflictsBody,
    models.Groth16Body,
    models.BlsBody,
    models.BlobsBody,
)
SECONDS = {"description": "Seconds after which to try again.", "schema": {"type": "integer", "minimum": 1}}


def _problem(description: str, **headers: dict[str, Any]) -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": {"$ref": REFERENCE.format(model=Problem.__name__)}}}
    return {"description": description, "content": content, "headers": headers}


ERRORS: dict[int | str, dict[str, Any]] = {
    400: _problem("The body is no JSON, or `field` is wrong."),
    401: _problem(
        "Tokens are asked for, and there is no known one.",
        **{"WWW-Authenticate": {"description": "Bearer", "schema": {"type": "string"}}},
    ),
    413: _problem(
        "The body is larger than the service takes, or never fits its queue: send less at once, or over gRPC."
    ),
    429: _problem("The queue is full, or this client too fast.", **{"Retry-After": SECONDS}),
    500: _problem("Nothing could compute the answer."),
    501: _problem("The server is not set up for this call."),
    503: _problem("The service is stopping.", **{"Retry-After": SECONDS}),
    504: _problem("`Request-Timeout` was over first."),
}


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """What an operation says of its body."""
    schema = {"$ref": REFERENCE.format(model=model.__name__)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def document_of(app: FastAPI, tokens: bool) -> dict[str, Any]:
    """The document, made once.

    Args:
        app: whose it is.
        tokens: whether calls need one.
    """
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            license_info=app.license_info,
            routes=app.routes,
        )
        _add_models(document)
        for path, operations in document["paths"].items():
            for operation in operations.values():
                operation["responses"].pop("422", None)  # what FastAPI promises; here it is 400
                if tokens and path.startswith("/v1/"):
                    operation["security"] = [{"bearer": []}]
        if tokens:
            document["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
        app.openapi_schema = document
    return app.openapi_schema


def _add_models(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    _, found = models_json_schema(
        [*((model, "validation") for model in BODIES), (Problem, "serialization")], ref_template=REFERENCE
    )
    schemas.update(found["$defs"])
