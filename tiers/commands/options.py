# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that several commands share, the settings they lead to, and bytes in hexadecimal digits."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import typer

from supervm.kernels.errors import ArgumentError
from supervm.tiers import console
from supervm.tiers.hardware import Hardware, detect
from supervm.tiers.settings import Settings, load
from supervm.tiers.settings_keys import PREFIX

SHOWN = 40
"""Characters of a wrong text that a message repeats."""

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
TierName = Annotated[
    str | None, typer.Option("--tier", help="L1, L2, L3 or L4, in place of the detected tier.")
]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="A TOML file of settings.")]
Threads = Annotated[
    int | None, typer.Option("--threads", help="Threads, at most the usable cores; 0 is one for each.")
]
Backend = Annotated[str | None, typer.Option("--backend", help="auto, or one that doctor lists.")]
Strategy = Annotated[
    str | None,
    typer.Option("--strategy", help="auto, cpu-only, gpu-only or balance: where auto's work goes."),
]
Batch = Annotated[int | None, typer.Option("--batch", help="Items that are verified together, at most.")]

Tokens = Annotated[str | None, typer.Option("--tokens", help="A file of bearer tokens, NAME TOKEN a line.")]
TlsCertificate = Annotated[
    str | None, typer.Option("--tls-certificate", help="A PEM file of the server's certificate: TLS is on.")
]
TlsKey = Annotated[str | None, typer.Option("--tls-key", help="A PEM file of its key.")]
TlsClients = Annotated[
    str | None, typer.Option("--tls-clients", help="A PEM file of who signs callers' certificates.")
]
Groth16Keys = Annotated[
    str | None,
    typer.Option("--groth16-keys", help="A folder of Groth16 verification keys, ID.json for the circuit ID."),
]
AllowTestKey = Annotated[
    bool,
    typer.Option("--allow-test-key", help="Take a --key that is made for tests: its proofs can be forged."),
]
AllowTestKeys = Annotated[
    bool,
    typer.Option(
        "--allow-test-keys", help="Take Groth16 keys that are made for tests: their proofs can be forged."
    ),
]
TaskUpstream = Annotated[
    str | None,
    typer.Option(
        "--upstream", help="Have it done by the node at this HOST:PORT, or the least busy of several."
    ),
]
UpstreamToken = Annotated[
    str | None, typer.Option("--upstream-token", help="A file with the bearer token for the upstream.")
]
UpstreamAuthorities = Annotated[
    str | None,
    typer.Option("--upstream-tls-authorities", help="A PEM file of who signs the upstream's certificate."),
]
UpstreamCertificate = Annotated[
    str | None,
    typer.Option("--upstream-tls-certificate", help="A PEM file of our certificate, if the upstream asks."),
]
UpstreamKey = Annotated[str | None, typer.Option("--upstream-tls-key", help="A PEM file of its key.")]

Cluster = Annotated[
    str | None,
    typer.Option("--cluster", help="Compute on the cluster whose head is at this HOST:PORT; off for here."),
]


def groth16_flags(side: str, keys: str | None, allow_test_keys: bool) -> dict[str, str | None]:
    """The settings that these options of a `service` or `node` are."""
    return {
        f"{side}.groth16.keys": keys,
        f"{side}.groth16.test_keys": "allow" if allow_test_keys else None,
    }


def upstream_flags(
    upstream: str | None,
    token: str | None,
    authorities: str | None,
    certificate: str | None,
    key: str | None,
) -> dict[str, str | None]:
    """Where a node's upstream is and how it is reached, as `more` of `settings_of`."""
    return {
        "node.upstream": upstream,
        "upstream.token": token,
        "upstream.tls.authorities": authorities,
        "upstream.tls.certificate": certificate,
        "upstream.tls.key": key,
    }


def port_flags(
    table: str, tokens: str | None, certificate: str | None, key: str | None, clients: str | None
) -> dict[str, str | None]:
    """Who may come through a port, as `more` of `settings_of`.

    Args:
        table: 'service' or 'node'.
    """
    return {
        f"{table}.tokens": tokens,
        f"{table}.tls.certificate": certificate,
        f"{table}.tls.key": key,
        f"{table}.tls.clients": clients,
    }


def settings_of(
    tier: str | None = None,
    config: Path | None = None,
    threads: int | None = None,
    backend: str | None = None,
    batch: int | None = None,
    strategy: str | None = None,
    more: Mapping[str, str | None] = MappingProxyType({}),
) -> tuple[Hardware, Settings]:
    """Detect the machine and collect the settings; warns of variables that name no setting.

    Args:
        more: dotted name → what a command's own flag gave, or None.
    """
    with console.telling("looking at the machine"):
        hardware = detect()
    flags: dict[str, object] = {
        "workers": threads,
        "backend": backend,
        "batch.items": batch,
        "strategy": strategy,
    }
    flags |= more
    settings = load(hardware, flags=flags, tier=tier, config=config)
    for name in settings.ignored_variables:
        console.warn(f"the variable {name} names no setting and is ignored")
    bounded_threads(settings.workers, hardware, settings.origins["workers"])
    return hardware, settings


def bounded_threads(count: int, hardware: Hardware, origin: str) -> int:
    """The number of threads that was asked for, or of cores that this process may use where that is less, which is told.

    Args:
        origin: where it was asked for, in words.
    """
    if count > hardware.cores:
        console.warn(
            f"{origin}: {count} threads; this process may use {hardware.cores} cores, and uses as many"
        )
    return min(count, hardware.cores)


def passphrase() -> str:
    """What a wallet's keys are encrypted with, from the environment; '' for none."""
    return os.environ.get(PREFIX + "WALLET_PASSPHRASE", "")


def from_hex(argument: str, text: str, size: int | None = None) -> bytes:
    """The bytes of a text of hexadecimal digits, with or without `0x`.

    Args:
        argument: its name, for the message.
        text: what was given.
        size: how many bytes it must be; None for any number.

    Raises:
        ArgumentError: other characters, an odd number of digits, or another size.
    """
    expected = "hexadecimal digits" if size is None else f"{2 * size} hexadecimal digits"
    digits = text[2:] if text[:2] in ("0x", "0X") else text
    found = repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        raise ArgumentError(argument, found, expected) from None
    # `fromhex` passes over spaces.
    if 2 * len(data) != len(digits) or size not in (None, len(data)):
        raise ArgumentError(argument, f"{found}, {len(data)} bytes", expected)
    return data
