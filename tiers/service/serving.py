# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that serves: from settings to ports, and from a signal to the end.

The first SIGTERM or SIGINT drains: health says NOT_SERVING, new requests are refused with UNAVAILABLE, accepted ones are
answered, streams end. A second one, or the end of `service.drain.seconds`, cuts off what is left.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from supervm.crypto.schemes import SCHEMES
from supervm.kernels.errors import BackendUnavailable
from supervm.tiers.compose import scheduling, threads
from supervm.tiers.errors import ServiceError, SettingError
from supervm.tiers.hardware import Hardware
from supervm.tiers.known_answers import known_answers
from supervm.tiers.observability import status
from supervm.tiers.observability.observing import Observation
from supervm.tiers.service.core import Limits, VerificationService, stopping
from supervm.tiers.service.process import allow_open_files, prepare, settle
from supervm.tiers.service.security import access_of, mode, server_tls
from supervm.tiers.service.server import GrpcServer, Transport
from supervm.tiers.service.setups import circuits, trusted_setup
from supervm.tiers.settings import Settings

if TYPE_CHECKING:
    from supervm.tiers.service.http_port import HttpPort

SIGNALS = (signal.SIGTERM, signal.SIGINT)
OFF = "off"
CONNECTIONS = 4
"""Connections of gRPC for each call that there may be: silent ones must not keep others out until they are ended."""

CUT_OFF_SECONDS = 1.0
"""How long calls that are over may take to reach their callers."""


@dataclass(frozen=True)
class Ready:
    """What a service says of itself when it listens.

    Args:
        process: its number.
        grpc, http, operations: addresses; None where it does not listen.
        tls: 'off', 'on', or 'mutual' where callers need a certificate.
        tokens: whether callers need a token.
    """

    process: int
    grpc: str | None
    http: str | None
    operations: str | None
    tls: str
    tokens: bool
    tier: str
    backend: str
    threads: int


def limits(settings: Settings) -> Limits:
    """The limits that the settings state."""
    return Limits(
        batch_items=settings.service_batch_items,
        batch_age=settings.service_batch_milliseconds / 1000,
        proof_items=settings.service_proofs_items,
        proof_age=settings.service_proofs_milliseconds / 1000,
        queue_items=settings.service_queue_items,
        queue_bytes=settings.service_queue_bytes,
        client_rate=settings.service_client_rate,
    )


def transport(settings: Settings) -> Transport:
    """How the settings have the ports served; the process may have as many files open afterwards as that takes.

    Raises:
        SettingError: files of certificates that cannot be used.
    """
    calls = settings.service_calls
    room = allow_open_files("service.calls", calls, (CONNECTIONS + 1) * calls)
    return Transport(
        address=settings.service_grpc,
        message_bytes=settings.service_message_bytes,
        calls=calls,
        connections=min(CONNECTIONS * calls, room),
        address_connections=settings.service_client_connections,
        address_calls=settings.service_client_calls,
        connection_calls=settings.service_connection_calls,
        message_seconds=settings.service_message_seconds,
        idle_seconds=settings.service_stream_seconds,
        resets=settings.service_connection_resets,
        stream_requests=settings.service_stream_requests,
        tls=server_tls(settings, "service"),
    )


async def serve(
    settings: Settings, hardware: Hardware, ready: Callable[[Ready], None], seen: Observation | None = None
) -> bool:
    """Serve until a signal stops it.

    It shortens the interval at which this process's threads take turns.

    Args:
        ready: called once, when every port listens.
        seen: what counts and traces, if it shall be seen from outside; see `observing`.

    Returns:
        Whether everything that was accepted is answered.

    Raises:
        SettingError: settings, certificates or tokens that cannot be used.
        BackendUnavailable: what is to compute cannot, or gives wrong answers.
        OSError: an address that cannot be listened on.
    """
    prepare()
    how = transport(settings)
    access = access_of(settings, "service")
    seen = seen or Observation.of(settings, hardware)
    metrics, board = seen.metrics, seen.board
    with scheduling(settings, hardware) as scheduler:
        check(settings.backend)
        seen.watch(scheduler)
        service = VerificationService(
            limits(settings),
            access=access,
            backend=settings.backend,
            meter=metrics,
            circuits=circuits(
                settings.service_groth16_keys,
                allow_test_only=settings.service_groth16_test_keys == "allow",
            ),
            setup=trusted_setup(settings.service_kzg_setup),
        )
        service.watch(lambda state: board.become(status.State(state.value)))
        ports = Ports(service, settings, how, seen)
        try:
            grpc, http, operations = await ports.start()
            board.become(status.State.READY)
            settle()
            listening = Ready(
                process=os.getpid(),
                grpc=grpc,
                http=http,
                operations=operations,
                tls=mode(how.tls),
                tokens=access.needs_token,
                tier=settings.tier.name,
                backend=settings.backend,
                threads=threads(settings, hardware),
            )
            return await until_stopped(
                service, ports, settings.service_drain_seconds, lambda: ready(listening)
            )
        finally:
            ports.close()
            service.close()


def check(backend: str) -> None:
    """Verify signatures whose verdicts are known, which also loads what verifies them.

    Raises:
        BackendUnavailable: a verdict is wrong, or there is none.
    """
    for scheme in SCHEMES:
        test = known_answers(scheme.operation, backend)
        if not test.ok:
            raise BackendUnavailable(
                backend, f"{scheme.operation}: {test.detail}; `supervm doctor` says more"
            )


class Ports:
    """What the service listens on: gRPC, HTTP or both, and perhaps a port for operators."""

    def __init__(
        self,
        service: VerificationService,
        settings: Settings,
        how: Transport,
        seen: Observation,
    ) -> None:
        if OFF == settings.service_grpc == settings.service_http:
            raise SettingError(
                settings.origins["service.grpc"], "service.grpc", "'off', and service.http too", "an address"
            )
        self._grpc = None if settings.service_grpc == OFF else GrpcServer(service, how, seen.tracer)
        self._http = None if settings.service_http == OFF else _http(service, settings, how, seen)
        self._operations = None
        if settings.service_operations != OFF:
            from supervm.tiers.service.operations import OperationsServer

            self._operations = OperationsServer(seen, settings.service_operations)

    async def start(self) -> tuple[str | None, str | None, str | None]:
        """Listen; the addresses of gRPC, HTTP and operations."""
        operations = None
        if self._operations:
            self._operations.start()
            operations = self._operations.address
        grpc = await self._grpc.start() if self._grpc else None
        return grpc, await self._http.start() if self._http else None, operations

    def stop_streams(self, reason: ServiceError) -> None:
        """End streams when what is in flight in them is answered."""
        if self._grpc:
            self._grpc.stop_streams(reason)

    async def stop(self, grace: float) -> None:
        """Close; calls that are over may take `grace` seconds to reach their callers, or none are waited for."""
        if self._grpc:
            await self._grpc.stop(grace)
        if self._http:
            await self._http.stop(grace)

    def close(self) -> None:
        """Have operators no longer answered, who see how a service stops until it has."""
        if self._operations:
            self._operations.stop()


def _http(service: VerificationService, settings: Settings, how: Transport, seen: Observation) -> HttpPort:
    # Loaded where it is wanted alone: it takes longer to import than everything else.
    from supervm.tiers.service.http_port import HttpLimits, HttpPort

    app: Any = importlib.import_module("supervm.tiers.service.http.app")
    limits = HttpLimits(
        settings.service_calls, settings.service_client_connections, settings.service_idle_seconds
    )
    return HttpPort(
        app.create_app(service, seen.metrics, seen.board, settings),
        settings.service_http,
        limits,
        how.tls,
        partial(seen.metrics.closed, "http"),
    )


async def until_stopped(
    service: VerificationService, ports: Ports, limit: float, caught: Callable[[], None]
) -> bool:
    """Wait for a signal, and drain until a second one or for `limit` seconds; whether no request was cut off.

    Args:
        caught: called when signals are caught: who is told then may stop the process at once.
    """
    loop = asyncio.get_running_loop()
    signals: asyncio.Queue[int] = asyncio.Queue()
    for number in SIGNALS:
        loop.add_signal_handler(number, signals.put_nowait, number)
    try:
        caught()
        await signals.get()
        service.drain()
        draining = asyncio.ensure_future(_drain(service, ports))
        again = asyncio.ensure_future(signals.get())
        done, _ = await asyncio.wait({draining, again}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        again.cancel()
        if draining in done:
            await draining
            return True
        cut_off = service.queue.requests
        draining.cancel()
        with suppress(asyncio.CancelledError):
            await draining
        await ports.stop(0)
        return not cut_off
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


async def _drain(service: VerificationService, ports: Ports) -> None:
    ports.stop_streams(stopping())
    await service.idle()
    await ports.stop(CUT_OFF_SECONDS)
