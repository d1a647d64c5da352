# SPDX-License-Identifier: GPL-3.0-or-later
"""The standard health service. Whoever watches and does not read keeps nobody else waiting.

That of `grpcio-health-checking` holds a lock while it writes to a watcher (1.85 at least): one that takes nothing stops all
others, and whoever changes the state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

NAME = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Health(health_pb2_grpc.HealthServicer):
    """Says of every name in `names`, and of the whole server, which is "", the same.

    Args:
        names: of services.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = {"", *names}
        self._status = health_pb2.HealthCheckResponse.NOT_SERVING
        self._changed = asyncio.Event()

    def set(self, serving: bool) -> None:
        """Tell who checks or watches."""
        response = health_pb2.HealthCheckResponse
        self._status = response.SERVING if serving else response.NOT_SERVING
        self._changed.set()
        self._changed = asyncio.Event()

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        """As gRPC calls it: the status of one name; ends with NOT_FOUND where `names` does not have it."""
        if request.service not in self._names:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return health_pb2.HealthCheckResponse(status=self._status)

    async def List(self, request: Any, context: Any) -> Any:  # noqa: N802
        """As gRPC calls it: the status of every name."""
        response = health_pb2.HealthCheckResponse(status=self._status)
        return health_pb2.HealthListResponse(statuses=dict.fromkeys(self._names, response))

    async def Watch(self, request: Any, context: Any) -> None:  # noqa: N802
        """As gRPC calls it: write the status of one name now and at each change, until the caller goes.

        A name that `names` does not have is told once, as SERVICE_UNKNOWN, and the call stays open.
        """
        known, told = request.service in self._names, None
        while True:
            changed, status = self._changed, self._status if known else _UNKNOWN
            if status != told:
                await context.write(health_pb2.HealthCheckResponse(status=status))
                told = status
            await changed.wait()
