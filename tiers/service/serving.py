# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that serves: from settings to ports. `ending` has what follows a signal."""

from __future__ import annotations

import importlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from supervm.crypto.schemes import SCHEMES
from supervm.kernels.errors import BackendUnavailable
from supervm.tiers.compose import scheduling, threads
from supervm.tiers.errors import ServiceError
from supervm.tiers.hardware import Hardware
from supervm.tiers.known_answers import known_answers
from supervm.tiers.observability import status
from supervm.tiers.observability.observing import Observation
from supervm.tiers.service.core import Limits, VerificationService
from supervm.tiers.service.ending import Orders, Times, until_stopped
from supervm.tiers.service.process import OFF, allow_open_files, check_addresses, prepare, settle
from supervm.tiers.service.security import access_of, mode, server_tls
from supervm.tiers.service.server import GrpcServer, Transport
from supervm.tiers.service.setups import circuits, trusted_setup
from supervm.tiers.settings import Settings

if TYPE_CHECKING:
    from supervm.tiers.service.http_port import HttpPort

CONNECTIONS = 4
"""Connections of gRPC for each call that there may be: silent ones must not keep others out until they are ended."""


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


def transport(settings: Settings, *, shared: bool = False) -> Transport:
    """How the settings have the ports served; the process may have as many files open afterwards as that takes.

    Args:
        shared: whether other processes may listen at the same address.

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
        connection_seconds=settings.service_connection_seconds,
        shared=shared,
        message_seconds=settings.service_message_seconds,
        idle_seconds=settings.service_stream_seconds,
        resets=settings.service_connection_resets,
        stream_requests=settings.service_stream_requests,
        tls=server_tls(settings, "service"),
    )


async def serve(
    settings: Settings,
    hardware: Hardware,
    ready: Callable[[Ready], None],
    seen: Observation | None = None,
    group: Group | None = None,
) -> bool:
    """Serve until a signal stops it.

    It shortens the interval at which this process's threads take turns.

    Args:
        ready: called once, when every port listens.
        seen: what counts and traces, if it shall be seen from outside; see `observing`.
        group: of processes that this one belongs to, if it does.

    Returns:
        Whether everything that was accepted is answered.

    Raises:
        SettingError: settings, certificates or tokens that cannot be used.
        BackendUnavailable: what is to compute cannot, or gives wrong answers.
        OSError: an address that cannot be listened on.
    """
    prepare()
    how = transport(settings, shared=group is not None)
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
        ports = Ports(service, settings, how, seen, group.http if group else None)
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
            orders = Orders() if group is None else group.watch(service)
            return await until_stopped(service, ports, Times.of(settings), lambda: ready(listening), orders)
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


class Group(Protocol):
    """Processes that serve at the same addresses, as one of them sees it.

    Attributes:
        http: the socket of HTTP that all of them accept from; None without HTTP.
    """

    http: socket.socket | None

    def watch(self, service: VerificationService) -> Orders:
        """Tell of the service's states, and bring orders."""


class Ports:
    """What the service listens on: gRPC, HTTP or both, and perhaps a port for operators.

    Args:
        service: what is called.
        settings: where, and of what size.
        how: the ports are served.
        seen: counts and traces.
        listening: the socket of HTTP, where another process has opened it.
    """

    def __init__(
        self,
        service: VerificationService,
        settings: Settings,
        how: Transport,
        seen: Observation,
        listening: socket.socket | None = None,
    ) -> None:
        check_addresses(settings)
        self._grpc = None if settings.service_grpc == OFF else GrpcServer(service, how, seen.tracer)
        self._http = None if settings.service_http == OFF else _http(service, settings, how, seen, listening)
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

    def stop_listening(self) -> None:
        """Take no further connection: another process does, at the same addresses."""
        if self._grpc:
            self._grpc.stop_listening()
        if self._http:
            self._http.stop_listening()

    def leave(self) -> None:
        """Have the callers of HTTP connect anew for what they ask next."""
        if self._http:
            self._http.leave()

    def stop_streams(self, reason: ServiceError) -> None:
        """End streams when what is in flight in them is answered."""
        if self._grpc:
            self._grpc.stop_streams(reason)

    async def stop_calls(self, grace: float) -> None:
        """Have callers of gRPC call elsewhere from now on (GOAWAY); their calls may take `grace` seconds to end."""
        if self._grpc:
            await self._grpc.stop(grace)

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


def _http(
    service: VerificationService,
    settings: Settings,
    how: Transport,
    seen: Observation,
    listening: socket.socket | None,
) -> HttpPort:
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
        listening,
    )
