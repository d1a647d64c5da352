# SPDX-License-Identifier: GPL-3.0-or-later
"""A verification service behind a real gRPC port, in the test's own event loop, and one that can be held back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from patience import PATIENCE

from supervm.tiers.service.access import Access
from supervm.tiers.service.core import Limits, VerificationService
from supervm.tiers.service.server import GrpcServer, Transport
from supervm.tiers.service.v1 import verification_pb2_grpc as rpc


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run a coroutine function, which ends."""
    asyncio.run(asyncio.wait_for(test(), PATIENCE))  # type: ignore[arg-type]


@dataclass
class Served:
    """What a test works with."""

    service: VerificationService
    server: GrpcServer
    address: str
    channel: grpc.aio.Channel
    stub: Any


@asynccontextmanager
async def served(
    limits: Limits | None = None,
    transport: Transport | None = None,
    access: Access | None = None,
    credentials: grpc.ChannelCredentials | None = None,
    service: VerificationService | None = None,
) -> AsyncIterator[Served]:
    """Serve, connect, and end both."""
    service = service or VerificationService(limits, access=access)
    server = GrpcServer(service, transport or Transport())
    address = await server.start()
    if credentials is None:
        channel = grpc.aio.insecure_channel(address)
    else:
        channel = grpc.aio.secure_channel(address.replace("127.0.0.1", "localhost"), credentials)
    try:
        yield Served(service, server, address, channel, rpc.VerificationStub(channel))
    finally:
        await channel.close()
        await server.stop(0)
        service.close()


class HeldService(VerificationService):
    """Computes nothing before `release` is set."""

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__(limits)
        self.release = threading.Event()
        self.computed = 0
        self._counting = threading.Lock()

    def _verify(self, kind: Any, keys: Any, signed: Any, packed: Any) -> Any:
        assert self.release.wait(PATIENCE)
        with self._counting:
            self.computed += len(keys)
        return super()._verify(kind, keys, signed, packed)
