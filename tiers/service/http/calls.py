# SPDX-License-Identifier: GPL-3.0-or-later
"""The routes of the calls: a body to a message, to the service, to an answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Header, Request, Response
from google.protobuf.message import Message
from pydantic import BaseModel, ValidationError

from supervm.tiers.errors import ServiceError
from supervm.tiers.service.codes import Code
from supervm.tiers.service.core import Caller, VerificationService
from supervm.tiers.service.http import conversion, models
from supervm.tiers.service.http.answers import Answer
from supervm.tiers.service.http.bodies import Bodies
from supervm.tiers.service.http.bodies import gone as gone_away
from supervm.tiers.service.http.document import ERRORS, body_of
from supervm.tiers.service.http.problems import of_validation, problem
from supervm.tiers.service.meters import Meter

log = logging.getLogger(__name__)

LONGEST_TIMEOUT = 86_400.0
MOST_FINDINGS = 100
"""In one body; beyond, none is named: each takes half a kilobyte, and a body has room for millions of unknown members."""

Timeout = Annotated[
    float | None,
    Header(
        alias="Request-Timeout",
        gt=0,
        le=LONGEST_TIMEOUT,
        allow_inf_nan=False,
        description="Seconds after which nobody wants the answer any more: then it is 504.",
        examples=[2.5],
    ),
]


class Route(NamedTuple):
    """A call by HTTP.

    Args:
        path, summary: of the route.
        body, answer: their models.
        request: from the body to the message.
        reply: from message and reply to the answer.
        method: of the service.
    """

    path: str
    summary: str
    body: type[BaseModel]
    answer: type[BaseModel]
    request: Callable[[Any], Message]
    reply: Callable[[Any, Any], BaseModel]
    method: Callable[[Any, Caller], Awaitable[Any]]


def _routes(service: VerificationService) -> tuple[Route, ...]:
    to, of = conversion, models
    return (
        Route(
            "/v1/verify",
            "Verify signatures",
            of.VerifyBody,
            of.VerifyAnswer,
            to.verify,
            to.verdicts,
            service.verify,
        ),
        Route(
            "/v1/recover",
            "Recover the public keys of ECDSA signatures over secp256k1",
            of.RecoverBody,
            of.RecoverAnswer,
            to.recover,
            to.recovered,
            service.recover,
        ),
        Route("/v1/hash", "Hash messages", of.HashBody, of.HashAnswer, to.hashed, to.digests, service.hash),
        Route(
            "/v1/merkle-root",
            "The root of the Merkle tree over leaves",
            of.MerkleRootBody,
            of.MerkleRootAnswer,
            to.merkle_root,
            to.root,
            service.merkle_root,
        ),
        Route(
            "/v1/msm",
            "Multi-scalar multiplication",
            of.MsmBody,
            of.MsmAnswer,
            to.msm,
            to.point,
            service.msm,
        ),
        Route(
            "/v1/poseidon",
            "Poseidon hashes",
            of.PoseidonBody,
            of.PoseidonAnswer,
            to.poseidon,
            to.field_digests,
            service.poseidon,
        ),
        Route(
            "/v1/conflicts",
            "Detect conflicts between the transactions of a block",
            of.ConflictsBody,
            of.ConflictsAnswer,
            to.conflicts,
            to.waves,
            service.detect_conflicts,
        ),
        Route(
            "/v1/verify-groth16",
            "Verify Groth16 proofs: 501 until the engine has pairings",
            of.Groth16Body,
            of.VerifyAnswer,
            to.groth16,
            to.verdicts,
            service.verify_groth16,
        ),
        Route(
            "/v1/verify-bls",
            "Verify BLS signatures: 501 until the engine has pairings",
            of.BlsBody,
            of.VerifyAnswer,
            to.bls,
            to.verdicts,
            service.verify_bls,
        ),
    )


def calls_router(service: VerificationService, meter: Meter, bodies: Bodies) -> APIRouter:
    """The routes `/v1/…`.

    Args:
        service: what is called, and who may call.
        meter: counts requests, by path.
        bodies: reads them.
    """
    router = APIRouter(tags=["verification"])
    for route in _routes(service):
        router.add_api_route(
            route.path,
            _endpoint(route, service, meter, bodies),
            methods=["POST"],
            summary=route.summary,
            description=route.body.__doc__,
            operation_id=route.path.removeprefix("/v1/").replace("-", "_"),
            response_model=route.answer,
            responses=ERRORS,
            openapi_extra=body_of(route.body),
        )
    return router


def _endpoint(route: Route, service: VerificationService, meter: Meter, bodies: Bodies) -> Any:
    access = service.access

    async def endpoint(request: Request, request_timeout: Timeout = None) -> Response:
        begun = time.monotonic()
        code = Code.INTERNAL.name
        try:
            host = request.client.host if request.client else "local"
            name = access.client(request.headers.get("authorization"), None, host)
            deadline = None if request_timeout is None else begun + request_timeout
            async with bodies.read(request) as content:
                message = route.request(route.body.model_validate_json(content))
            bodies.check_size(message.ByteSize())
            reply = await _answered(request, route.method(message, Caller(name, deadline)), deadline)
            bodies.check_size(reply.ByteSize())
            answer = route.reply(message, reply).model_dump_json(exclude_none=True)
            code = "OK"
            return Answer(answer.encode(), service.queue)
        except (ServiceError, ValidationError) as error:
            refused = error if isinstance(error, ServiceError) else _invalid(error)
            code = refused.code.name
            refused.with_traceback(None)  # its frames hold the message, and this one would hold it in a cycle
            return problem(refused)
        except Exception as error:
            log.exception("a request to %s failed", route.path)
            text = f"a defect of the service, {type(error).__name__}; its log says more"
            return problem(ServiceError(Code.INTERNAL, "", text))
        finally:
            meter.request(route.path, code, time.monotonic() - begun)

    return endpoint


def _invalid(error: ValidationError) -> ServiceError:
    found = error.error_count()
    if found > MOST_FINDINGS:
        return ServiceError(Code.INVALID_ARGUMENT, "", f"found {found} members that are wrong or unknown")
    return of_validation(error.errors(include_url=False, include_context=False, include_input=False))


async def _answered(request: Request, call: Awaitable[Any], deadline: float | None) -> Any:
    """What the service says, unless the deadline passes or the caller goes away first.

    Raises:
        ServiceError: DEADLINE_EXCEEDED, CANCELLED, or the service's own.
    """
    working, gone = asyncio.ensure_future(call), asyncio.ensure_future(_gone(request))
    left = None if deadline is None else max(0.0, deadline - time.monotonic())
    try:
        done, _ = await asyncio.wait({working, gone}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if working in done:
            return working.result()
        if gone in done:
            raise gone_away()
        raise ServiceError(Code.DEADLINE_EXCEEDED, "Request-Timeout", "no answer came before it was over")
    finally:
        working.cancel()
        gone.cancel()


async def _gone(request: Request) -> None:
    """Returns when the connection is closed; nothing else comes after the body."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
