# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that serves: from settings to ports, and from a signal to the end.

The first SIGTERM or SIGINT drains: health says NOT_SERVING, new requests are refused with UNAVAILABLE, accepted ones are
answered, streams end. A second one, or the end of `service.drain.seconds`, cuts off what is left.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from supervm.tiers.compose import scheduling, threads
from supervm.tiers.errors import SettingError
from supervm.tiers.hardware import Hardware
from supervm.tiers.service.access import Access
from supervm.tiers.service.core import Limits, VerificationService, stopping
from supervm.tiers.service.meters import Meter
from supervm.tiers.service.server import GrpcServer, Transport
from supervm.tiers.settings import Settings

SIGNALS = (signal.SIGTERM, signal.SIGINT)
CUT_OFF_SECONDS = 1.0
"""How long calls that are over may take to reach their callers."""


@dataclass(frozen=True)
class Ready:
    """What a service says of itself when it listens.

    Args:
        grpc, http: addresses; None where it does not listen.
        tls: 'off', 'on', or 'mutual' where callers need a certificate.
        tokens: whether callers need a token.
    """

    process: int
    grpc: str | None
    http: str | None
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
        queue_items=settings.service_queue_items,
        queue_bytes=settings.service_queue_bytes,
        client_rate=settings.service_client_rate,
    )


def transport(settings: Settings) -> Transport:
    """How the settings have the port served.

    Raises:
        SettingError: a key, or authorities of callers, without a certificate.
    """
    certificate, key = settings.service_tls_certificate, settings.service_tls_key
    if not certificate and (key or settings.service_tls_clients):
        raise SettingError("settings", "service.tls.certificate", "none", "the certificate of the key")
    return Transport(
        address=settings.service_grpc,
        message_bytes=settings.service_message_bytes,
        stream_requests=settings.service_stream_requests,
        certificate=_path(certificate),
        key=_path(key),
        client_certificates=_path(settings.service_tls_clients),
    )


async def serve(settings: Settings, hardware: Hardware, meter: Meter, ready: Callable[[Ready], None]) -> bool:
    """Serve until a signal stops it.

    Args:
        meter: what counts.
        ready: called once, when every port listens.

    Returns:
        Whether everything that was accepted is answered.

    Raises:
        SettingError, BrokenFile: settings, certificates or tokens that cannot be used.
        OSError: an address that cannot be listened on.
    """
    access = Access.of_file(Path(settings.service_tokens)) if settings.service_tokens else Access()
    how = transport(settings)
    with scheduling(settings, hardware):
        service = VerificationService(limits(settings), backend=settings.backend, meter=meter)
        try:
            server = GrpcServer(service, how, access)
            ready(
                Ready(
                    process=os.getpid(),
                    grpc=await server.start(),
                    http=None,
                    tls="off" if how.certificate is None else "mutual" if how.client_certificates else "on",
                    tokens=access.needs_token,
                    tier=settings.tier.name,
                    backend=settings.backend,
                    threads=threads(settings, hardware),
                )
            )
            return await _until_stopped(service, server, settings.service_drain_seconds)
        finally:
            service.close()


async def _until_stopped(service: VerificationService, server: GrpcServer, limit: float) -> bool:
    """Wait for a signal, and drain; whether nothing was cut off."""
    loop = asyncio.get_running_loop()
    signals: asyncio.Queue[int] = asyncio.Queue()
    for number in SIGNALS:
        loop.add_signal_handler(number, signals.put_nowait, number)
    try:
        await signals.get()
        service.drain()
        draining = asyncio.ensure_future(_drain(service, server))
        again = asyncio.ensure_future(signals.get())
        done, _ = await asyncio.wait({draining, again}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        again.cancel()
        if draining in done:
            return True
        draining.cancel()
        with suppress(asyncio.CancelledError):
            await draining
        await server.stop(0)
        return False
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


async def _drain(service: VerificationService, server: GrpcServer) -> None:
    server.stop_streams(stopping())
    await service.idle()
    await server.stop(CUT_OFF_SECONDS)


def _path(name: str) -> Path | None:
    return Path(name) if name else None
