# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm shard`: shards of a state, and a coordinator that runs blocks on them."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from supervm.engine.workloads import read_workload
from supervm.kernels.errors import ArgumentError
from supervm.tiers import console, progress
from supervm.tiers.client.connection import Tls
from supervm.tiers.commands import options
from supervm.tiers.service.security import ServerTls
from supervm.tiers.service.v1 import shard_pb2 as pb
from supervm.tiers.shards.coordinator import Coordinator
from supervm.tiers.shards.errors import ShardMapInvalid
from supervm.tiers.shards.genesis import place_genesis
from supervm.tiers.shards.links import GrpcLink
from supervm.tiers.shards.server import Ready, run_shard
from supervm.tiers.shards.shard_map import ShardMap

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

STATUS_SECONDS = 5.0

MapFile = Annotated[Path, typer.Option("--map", help="The shard map.")]
Authorities = Annotated[
    Path | None, typer.Option("--tls-authorities", help="A PEM file of who signs the shards' certificates.")
]
Certificate = Annotated[
    Path | None, typer.Option("--tls-certificate", help="A PEM file of our certificate, if shards ask.")
]
Key = Annotated[Path | None, typer.Option("--tls-key", help="A PEM file of its key.")]


@app.callback()
def shard() -> None:
    """Split a state over shards, and run blocks on all of them."""


@app.command("map")
def make_map(
    file: Annotated[Path, typer.Argument(help="The file to write.")],
    address: Annotated[list[str], typer.Option(help="HOST:PORT of a shard; once for each.")],
    as_json: options.AsJson = False,
) -> None:
    """Make a shard map of equal ranges: accounts, contracts and objects by the first bytes of address or id."""
    with console.reporting(as_json):
        found = ShardMap.uniform(len(address), address)
        file.write_text(found.text(), encoding="utf-8")
        _answer({"map": str(file), "shards": len(found), "digest": found.digest.hex()}, as_json)


@app.command()
def serve(
    number: Annotated[int, typer.Argument(help="Which shard of the map, from 0.")],
    map_file: MapFile,
    state: Annotated[
        Path | None, typer.Option(help="The shard's own directory; without, it keeps nothing.")
    ] = None,
    grpc_address: Annotated[
        str | None, typer.Option("--grpc", help="HOST:PORT to listen on, in place of the map's.")
    ] = None,
    http: Annotated[str, typer.Option(help="HOST:PORT for an operator's HTTP, or 'off'.")] = "off",
    groth16_keys: options.Groth16Keys = None,
    allow_test_keys: options.AllowTestKeys = False,
    tls_certificate: options.TlsCertificate = None,
    tls_key: options.TlsKey = None,
    tls_clients: options.TlsClients = None,
    signatures: Annotated[
        bool, typer.Option("--signatures/--no-signatures", help="Whether transactions are signed.")
    ] = True,
    config: options.ConfigFile = None,
    backend: options.Backend = None,
    as_json: options.AsJson = False,
) -> None:
    """Run one shard until a signal stops it."""
    with console.reporting(as_json), console.progress_line(progress.log.info) as line:
        shards = ShardMap.read(map_file)
        if not 0 <= number < len(shards):
            raise ArgumentError("number", str(number), f"0 to {len(shards) - 1}, as the map has them")
        if (tls_certificate is None) != (tls_key is None) or (tls_clients and tls_certificate is None):
            raise ArgumentError("tls-certificate", "one file of TLS", "a certificate and its key, or neither")
        tls = None
        if tls_certificate is not None and tls_key is not None:
            tls = ServerTls(
                Path(tls_certificate), Path(tls_key), None if tls_clients is None else Path(tls_clients)
            )
        flags = options.groth16_flags("node", groth16_keys, allow_test_keys)
        hardware, settings = options.settings_of(None, config, 1, backend, more=flags)
        line.update("starting")

        def ready(found: Ready) -> None:
            line.update("")
            if as_json:
                console.print_json(asdict(found))
            else:
                words = f"shard {found.shard} at version {found.version}; gRPC on {found.grpc}"
                console.notes().print(console.plain(words))

        where = grpc_address or shards.addresses[number]
        run_shard(settings, hardware, shards, number, state, where, http, tls, ready, signatures=signatures)


@app.command()
def run(
    workload: Annotated[Path, typer.Argument(help="A workload file (`supervm run --save`).")],
    map_file: MapFile,
    log: Annotated[
        Path | None, typer.Option(help="The coordinator's log; without, for shards that keep nothing.")
    ] = None,
    tls_authorities: Authorities = None,
    tls_certificate: Certificate = None,
    tls_key: Key = None,
    as_json: options.AsJson = False,
) -> None:
    """Run a workload on shards that answer: its genesis first, then its blocks; a second run goes on where one stopped."""
    with console.reporting(as_json), console.progress_line(progress.log.info) as line, ExitStack() as stack:
        found, shards = read_workload(workload), ShardMap.read(map_file)
        tls = _tls(tls_authorities, tls_certificate, tls_key)
        coordinator = stack.enter_context(Coordinator(shards, _links(shards, tls), log))
        line.update("placing the genesis")
        done = max(0, coordinator.height - place_genesis(coordinator, found.genesis))
        blocks = [block for number, block in enumerate(found.blocks) if number >= done]
        transactions = cross = committed = 0
        began = perf_counter()
        for number, block in enumerate(coordinator.run(blocks), 1):
            line.update(f"block {number:,} of {len(blocks):,}")
            transactions += block.transactions
            cross += block.cross
            committed += int(block.receipts.accepted.sum())
        seconds = perf_counter() - began
        answer = {
            "height": coordinator.height,
            "roots": [root.hex() for root in coordinator.roots],
            "blocks": len(blocks),
            "transactions": transactions,
            "cross_shard": cross,
            "committed": committed,
            "seconds": round(seconds, 3),
        }
        _answer(answer, as_json)


@app.command()
def status(
    map_file: MapFile,
    tls_authorities: Authorities = None,
    tls_certificate: Certificate = None,
    tls_key: Key = None,
    as_json: options.AsJson = False,
) -> None:
    """Ask every shard where it stands, and for which blocks it has voted."""
    with console.reporting(as_json):
        shards = ShardMap.read(map_file)
        request = pb.VersionRequest(map_digest=shards.digest)
        rows = []
        for number, link in enumerate(_links(shards, _tls(tls_authorities, tls_certificate, tls_key))):
            reply = link.call("Version", request, STATUS_SECONDS)()
            link.close()
            voted = [each.height for each in reply.voted]
            rows.append(
                {
                    "shard": number,
                    "address": link.address,
                    "version": reply.version,
                    "root": reply.root.hex(),
                    "voted": voted,
                }
            )
        if as_json:
            console.print_json({"shards": rows})
            return
        for row in rows:
            console.print_pairs((name, _words(value)) for name, value in row.items())


def _tls(authorities: Path | None, certificate: Path | None, key: Path | None) -> Tls | None:
    if authorities is None:
        if certificate is not None or key is not None:
            raise ArgumentError("tls-authorities", "none", "a file of them, where there is a certificate")
        return None
    return Tls(authorities, certificate, key)


def _links(shards: ShardMap, tls: Tls | None) -> list[GrpcLink]:
    if not all(shards.addresses) or not shards.addresses:
        raise ShardMapInvalid("addresses", "a shard without one", "HOST:PORT of every shard")
    credentials = None if tls is None else tls.credentials()
    return [GrpcLink(number, address, credentials) for number, address in enumerate(shards.addresses)]


def _answer(answer: dict[str, object], as_json: bool) -> None:
    if as_json:
        console.print_json(answer)
        return
    console.print_pairs((name, _words(value)) for name, value in answer.items())


def _words(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)
