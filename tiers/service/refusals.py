# SPDX-License-Identifier: GPL-3.0-or-later
"""How gRPC says no: an error's status has the field in its text, and trailers have the rest.

`supervm-refusal-bin` has the error as a `Refusal`; `grpc-retry-pushback-ms` says when to try again, or with a negative
number that this is of no use.
"""

from __future__ import annotations

from typing import Any, NoReturn

import grpc

from supervm.tiers.errors import ServiceError
from supervm.tiers.service.codes import Code
from supervm.tiers.service.v1 import verification_pb2 as pb

PUSH_BACK = "grpc-retry-pushback-ms"
REFUSAL = "supervm-refusal-bin"
STATUSES = {status.value[0]: status for status in grpc.StatusCode}


def refusal(error: ServiceError) -> pb.Refusal:
    """The error as a message."""
    return pb.Refusal(
        code=error.code, field=error.field, message=error.message, retry_after_ms=error.retry_after_ms
    )


async def abort(context: Any, error: ServiceError) -> NoReturn:
    """End a call of `grpc.aio` with an error."""
    trailers: list[tuple[str, str | bytes]] = [(REFUSAL, refusal(error).SerializeToString())]
    if error.code is Code.RESOURCE_EXHAUSTED or error.retry_after:
        trailers.append((PUSH_BACK, str(error.retry_after_ms or -1)))
    await context.abort(STATUSES[error.code], error.text, tuple(trailers))
    raise error  # not reached: aborting raises
