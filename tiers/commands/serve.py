# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm serve`: the verification service."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from supervm.tiers import console, progress
from supervm.tiers.commands import options
from supervm.tiers.errors import ENVIRONMENT_PROBLEM
from supervm.tiers.hardware import Hardware
from supervm.tiers.settings import Settings

if TYPE_CHECKING:
    from supervm.tiers.service.serving import Ready
    from supervm.tiers.service.worker import Instructions

Grpc = Annotated[str | None, typer.Option("--grpc", help="HOST:PORT for gRPC; port 0 is any free one.")]
Http = Annotated[str | None, typer.Option("--http", help="HOST:PORT for HTTP, or 'off'.")]

KzgSetup = Annotated[
    str | None, typer.Option("--kzg-setup", help="A file of the trusted setup that blobs are verified under.")
]
Processes = Annotated[
    str | None,
    typer.Option(
        "--processes", help="How many processes serve; 'numa' or 'gpu' is one for each node or GPU."
    ),
]
Addresses = Annotated[
    str | None,
    typer.Option("--addresses", help="'shared' by all processes, or 'own': ports that follow one another."),
]


def serve(
    grpc: Grpc = None,
    http: Http = None,
    processes: Processes = None,
    addresses: Addresses = None,
    groth16_keys: options.Groth16Keys = None,
    allow_test_keys: options.AllowTestKeys = False,
    kzg_setup: KzgSetup = None,
    tokens: options.Tokens = None,
    tls_certificate: options.TlsCertificate = None,
    tls_key: options.TlsKey = None,
    tls_clients: options.TlsClients = None,
    tier: options.TierName = None,
    config: options.ConfigFile = None,
    threads: options.Threads = None,
    backend: options.Backend = None,
    strategy: options.Strategy = None,
    as_json: options.AsJson = False,
) -> None:
    """Serve verification over gRPC and HTTP until a signal stops it.

    The first SIGTERM or SIGINT drains: what was accepted is answered, within `service.drain.seconds`. A second one stops at
    once. Several processes are replaced one by one at SIGHUP. Exit code 0 if everything accepted was answered, else 3. With
    `--json` the object appears when the service is ready.
    """
    flags: dict[str, str | None] = {
        "service.grpc": grpc,
        "service.http": http,
        "service.processes": processes,
        "service.addresses": addresses,
        **options.groth16_flags("service", groth16_keys, allow_test_keys),
        "service.kzg.setup": kzg_setup,
        **options.port_flags("service", tokens, tls_certificate, tls_key, tls_clients),
    }
    with console.reporting(as_json):
        hardware, settings = options.settings_of(tier, config, threads, backend, None, strategy, flags)
        if settings.service_processes == 1:
            answered = _serve_here(settings, hardware, as_json)
        else:
            from supervm.tiers.service.worker import Instructions

            common = {"workers": threads, "backend": backend, "strategy": strategy, **flags}
            given = {name: value for name, value in common.items() if value is not None}
            told = Instructions(0, tier, None if config is None else str(config), given)
            answered = _serve_in_processes(settings, hardware, told, as_json)
    if not answered:
        console.warn("requests were cut off before they were answered")
        raise typer.Exit(ENVIRONMENT_PROBLEM)


def _serve_here(settings: Settings, hardware: Hardware, as_json: bool) -> bool:
    import uvloop

    from supervm.tiers.observability.observing import observing
    from supervm.tiers.service.serving import serve as serve_until_stopped

    tell = _telling(as_json)

    def ready(found: Ready) -> None:
        line.update("")  # from here on only compilations are told
        tell(asdict(found), (found.grpc, found.http, found.operations))

    with observing(settings, hardware) as seen, console.progress_line(progress.log.info) as line:
        line.update("starting")
        return uvloop.run(serve_until_stopped(settings, hardware, ready, seen))


def _serve_in_processes(
    settings: Settings, hardware: Hardware, instructions: Instructions, as_json: bool
) -> bool:
    import asyncio

    from supervm.tiers.observability.logs import start_logs, stop_logs
    from supervm.tiers.service.placement import places
    from supervm.tiers.service.process_pages import told
    from supervm.tiers.service.security import access_of, server_tls
    from supervm.tiers.service.supervision import Keeper, supervise

    tell = _telling(as_json)
    for check in (server_tls, access_of):  # what is wrong there is told before anything starts
        check(settings, "service")

    def ready(keepers: Iterable[Keeper], operations: str | None) -> None:
        children = [keeper.child for keeper in keepers if keeper.child is not None]
        where = {
            name: ",".join(dict.fromkeys(child.ready[name] for child in children if child.ready[name]))
            or None
            for name in ("grpc", "http")
        }
        said = {**children[0].ready, "process": os.getpid(), **where, "operations": operations}
        said["threads"] = sum(child.ready["threads"] for child in children)
        tell({**said, "processes": list(map(told, keepers))}, (where["grpc"], where["http"], operations))

    start_logs(settings.log_level, settings.log_format)
    try:
        return asyncio.run(supervise(settings, places(settings, hardware), instructions, ready))
    finally:
        stop_logs()


def _telling(as_json: bool) -> Callable[[dict[str, Any], tuple[str | None, ...]], None]:
    """Says that the service is ready: what it is as an object, or its addresses."""
    begun = time.perf_counter()

    def tell(said: dict[str, Any], addresses: tuple[str | None, ...]) -> None:
        if as_json:
            console.print_json({**said, "seconds": time.perf_counter() - begun})
            return
        for name, address in zip(("gRPC", "HTTP", "operations"), addresses, strict=True):
            if address:
                console.answers().print(console.plain(f"{name} on {address}"))

    return tell
