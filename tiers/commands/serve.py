# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm serve`: the verification service."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated

import typer

from supervm.tiers import console, progress
from supervm.tiers.commands import options
from supervm.tiers.errors import ENVIRONMENT_PROBLEM
from supervm.tiers.observability.observing import observing
from supervm.tiers.service.serving import Ready
from supervm.tiers.service.serving import serve as serve_until_stopped

Grpc = Annotated[str | None, typer.Option("--grpc", help="HOST:PORT for gRPC; port 0 is any free one.")]
Http = Annotated[str | None, typer.Option("--http", help="HOST:PORT for HTTP, or 'off'.")]

KzgSetup = Annotated[
    str | None, typer.Option("--kzg-setup", help="A file of the trusted setup that blobs are verified under.")
]


def serve(
    grpc: Grpc = None,
    http: Http = None,
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
    once. Exit code 0 if everything accepted was answered, else 3. With `--json` the object appears when the service is
    ready.
    """
    begun = time.perf_counter()

    def ready(found: Ready) -> None:
        line.update("")  # from here on only compilations are told
        seconds = time.perf_counter() - begun
        if as_json:
            console.print_json({**asdict(found), "seconds": seconds})
        else:
            for name, address in (
                ("gRPC", found.grpc),
                ("HTTP", found.http),
                ("operations", found.operations),
            ):
                if address:
                    console.answers().print(console.plain(f"{name} on {address}"))

    flags = {
        "service.grpc": grpc,
        "service.http": http,
        **options.groth16_flags("service", groth16_keys, allow_test_keys),
        "service.kzg.setup": kzg_setup,
        **options.port_flags("service", tokens, tls_certificate, tls_key, tls_clients),
    }
    with console.reporting(as_json):
        import uvloop

        hardware, settings = options.settings_of(tier, config, threads, backend, None, strategy, flags)
        with observing(settings, hardware) as seen, console.progress_line(progress.log.info) as line:
            line.update("starting")
            answered = uvloop.run(serve_until_stopped(settings, hardware, ready, seen))
    if not answered:
        console.warn("requests were cut off before they were answered")
        raise typer.Exit(ENVIRONMENT_PROBLEM)
