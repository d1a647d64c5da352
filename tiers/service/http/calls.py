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
from pydantic import BaseModel

from supervm.tiers.errors import ServiceError
from supervm.tiers.service.codes import Code
from supervm.tiers.service.core import Caller, VerificationService
from supervm.tiers.service.http import conversion, models
from supervm.tiers.service.http.answers import Answer, Answers
from supervm.tiers.service.http.bodies import Bodies, check_size
from supervm.tiers.service.http.bodies import gone as gone_away
from supervm.tiers.service.http.document import ERRORS, body_of
from supervm.tiers.service.http.offloading import LARGE_BYTES, Thread
from supervm.tiers.service.http.parsing import parse
from supervm.tiers.service.http.problems import problem
from supervm.tiers.service.http.writing import Members, written
from supervm.tiers.service.meters import Meter

log = logging.getLogger(__name__)

LONGEST_TIMEOUT = 86_400.0
HEX = 2
"""Bytes of an answer's text for a byte of the reply, or more."""

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
        reply: from message and reply to the members of the answer.
        method: of the service.
    """

    path: str
    summary: str
    body: type[BaseModel]
    answer: type[BaseModel]
    request: Callable[[Any], Message]
    reply: Callable[[Any, Any], Members]
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
            "Verify Groth16 proofs",
            of.Groth16Body,
            of.VerifyAnswer,
            to.groth16,
            to.verdicts,
            service.verify_groth16,
        ),
        Route(
            "/v1/verify-bls",
            "Verify BLS signatures on BLS12-381",
            of.BlsBody,
            of.VerifyAnswer,
            to.bls,
            to.verdicts,
            service.verify_bls,
        ),
        Route(
            "/v1/verify-blobs",
            "Verify blobs against their KZG commitments",
            of.BlobsBody,
            of.VerifyAnswer,
            to.blobs,
            to.verdicts,
            service.verify_blobs,
        ),
    )


def calls_router(service: VerificationService, meter: Meter, bodies: Bodies, most_bytes: int) -> APIRouter:
    """The routes `/v1/…`.

    Args:
        service: what is called, and who may call.
        meter: counts requests, by path.
        bodies: reads them.
        most_bytes: of the message that a body becomes, and of a reply.
    """
    router = APIRouter(tags=["verification"])
    calls = _Calls(service, meter, bodies, most_bytes)
    for route in _routes(service):
        router.add_api_route(
            route.path,
            calls.endpoint(route),
            methods=["POST"],
            summary=route.summary,
            description=route.body.__doc__,
            operation_id=route.path.removeprefix("/v1/").replace("-", "_"),
            response_model=route.answer,
            responses=ERRORS,
            openapi_extra=body_of(route.body),
        )
    return router


class _Calls:
    """What requests go through.

    Args: as `calls_router`.
    """

    def __init__(self, service: VerificationService, meter: Meter, bodies: Bodies, most_bytes: int) -> None:
        self._service, self._meter, self._bodies = service, meter, bodies
        self._most_bytes = most_bytes
        self._answers = Answers(service.queue)
        # Two, so that answers, which free memory, never wait for bodies, which take it.
        self._parsing, self._writing = Thread("supervm-bodies", service), Thread("supervm-answers", service)

    def endpoint(self, route: Route) -> Any:
        """What FastAPI calls for a route."""

        async def endpoint(request: Request, request_timeout: Timeout = None) -> Response:
            begun = time.monotonic()
            code = Code.INTERNAL.name
            try:
                response = await self._response(route, request, request_timeout, begun)
                code = "OK"
                return response
            except ServiceError as error:
                code = error.code.name
                # Its frames hold the message, and this one would hold it in a cycle.
                error.with_traceback(None)
                return problem(error)
            except Exception as error:
                log.exception("a request to %s failed", route.path)
                text = f"a defect of the service, {type(error).__name__}; its log says more"
                return problem(ServiceError(Code.INTERNAL, "", text))
            finally:
                self._meter.request(route.path, code, time.monotonic() - begun)

        return endpoint

    async def _response(
        self, route: Route, request: Request, timeout: float | None, begun: float
    ) -> Response:
        """Raises: ServiceError."""
        host = request.client.host if request.client else "local"
        name = self._service.access.client(request.headers.get("authorization"), None, host)
        deadline = None if timeout is None else begun + timeout
        message = await self._message(route, request, deadline)
        reply = await _answered(request, route.method(message, Caller(name, deadline)), deadline)
        answered = reply.ByteSize()
        check_size(answered, self._most_bytes)

        def convert() -> bytes:
            return written(route.reply(message, reply))

        queue, size = self._service.queue, message.ByteSize() + answered
        if size <= LARGE_BYTES:
            return Answer(convert(), self._answers)
        self._answers.check_room(HEX * answered)
        queue.unread += size  # until it is a text, which counts itself
        writing = self._writing.run(convert, lambda: queue.taken(size))
        return Answer(await _answered(request, writing, deadline), self._answers)

    async def _message(self, route: Route, request: Request, deadline: float | None) -> Message:
        """Read a body and make a message of it. Raises: ServiceError."""
        async with self._bodies.read(request, deadline) as body:
            content = body.content

            def convert() -> Message:
                message = route.request(parse(route.body, content))
                check_size(message.ByteSize(), self._most_bytes)
                return message

            if len(content) <= LARGE_BYTES:
                return convert()
            body.share()
            message: Message = await _answered(request, self._parsing.run(convert, body.leave), deadline)
        return message


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
