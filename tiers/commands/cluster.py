# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm cluster`: machines that compute together. Thin over `ray start` and `ray stop`, which start and end all of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from supervm.tiers import console, output
from supervm.tiers.cluster import connecting
from supervm.tiers.cluster.errors import ClusterError, NoCluster
from supervm.tiers.cluster.nodes import START_SECONDS
from supervm.tiers.cluster.pool import NodeStatus, Pool
from supervm.tiers.commands import options
from supervm.tiers.commands.verify_cluster import node_json
from supervm.tiers.errors import UsageError
from supervm.tiers.tables import NUMBER, print_table

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

RAY = (sys.executable, "-m", "ray.scripts.scripts")
"""Ray's own command, of this environment."""

Cores = Annotated[
    int | None, typer.Option(min=0, help="Cores that this machine computes with; all if not given.")
]
Gpus = Annotated[int | None, typer.Option(min=0, help="GPUs that it computes with; all if not given.")]
Store = Annotated[
    str | None,
    typer.Option(help="Shared memory for work and answers, such as 8GiB; what Ray takes if not given."),
]
Block = Annotated[bool, typer.Option("--block", help="Stay until this process is stopped, as services do.")]
Address = Annotated[
    str | None, typer.Argument(metavar="[ADDRESS]", help="HOST:PORT of the head; else the setting.")
]


@app.callback()
def cluster() -> None:
    """Start, join, show or stop a cluster: machines that compute together, on Ray.

    Whoever reaches a cluster's ports can run any program on its machines: see docs/cluster.md before you open them.
    """


@app.command()
def start(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where the head listens.")] = 6379,
    host: Annotated[str | None, typer.Option(help="This machine's address, as others reach it.")] = None,
    cores: Cores = None,
    gpus: Gpus = None,
    store: Store = None,
    storage: Annotated[
        Path | None,
        typer.Option(
            help="A folder where the head keeps what it knows: it can restart while others compute."
        ),
    ] = None,
    block: Block = False,
    as_json: options.AsJson = False,
) -> None:
    """Begin a cluster: its head, and its first node, are on this machine."""
    with console.reporting(as_json):
        arguments = ["--head", f"--port={port}", "--include-dashboard=false", "--disable-usage-stats"]
        arguments += [f"--node-ip-address={host}"] if host else []
        variables = {}
        if storage is not None:
            storage.mkdir(parents=True, exist_ok=True)
            place = str(storage.resolve())
            variables = {"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": place}
        address = f"{host or _own_address()}:{port}"
        _begin(address, [*arguments, *_capacity(cores, gpus, store)], variables, block, as_json)


@app.command()
def join(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="HOST:PORT of the head.")],
    host: Annotated[str | None, typer.Option(help="This machine's address, as others reach it.")] = None,
    cores: Cores = None,
    gpus: Gpus = None,
    store: Store = None,
    block: Block = False,
    as_json: options.AsJson = False,
) -> None:
    """Make this machine a node of a cluster, if its sources are those of the cluster."""
    with console.reporting(as_json):
        connecting.reach(address)
        connecting.require_same_sources(address)
        arguments = [f"--address={address}", "--disable-usage-stats"]
        arguments += [f"--node-ip-address={host}"] if host else []
        _begin(address, [*arguments, *_capacity(cores, gpus, store)], {}, block, as_json)


@app.command()
def status(
    address: Address = None,
    config: options.ConfigFile = None,
    as_json: options.AsJson = False,
) -> None:
    """Show the nodes of a cluster: who computes, with what, and who does not, and why."""
    with console.reporting(as_json):
        _, settings = options.settings_of(config=config, more={"cluster.address": address})
        if settings.cluster_address == "off":
            raise UsageError("no cluster is named: give its ADDRESS, or set cluster.address")
        with console.telling("asking the nodes"), Pool.connect(settings.cluster_address) as pool:
            nodes = pool.nodes()
        _tell(settings.cluster_address, nodes, as_json)


@app.command()
def stop(
    force: Annotated[bool, typer.Option("--force", help="Kill what does not end.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """End everything of Ray on this machine: the head if it has it, and its node. Others go on without it."""
    with console.reporting(as_json):
        _ray(["stop", *(["--force"] if force else [])], {})
        if as_json:
            console.print_json({"stopped": True})
        else:
            console.answers().print("stopped")


def _capacity(cores: int | None, gpus: int | None, store: str | None) -> list[str]:
    """What a node offers, as options of `ray start`."""
    given = {"--num-cpus": cores, "--num-gpus": gpus, "--object-store-memory": store and _bytes(store)}
    return [f"{name}={value}" for name, value in given.items() if value is not None]


def _bytes(text: str) -> int:
    from supervm.tiers.settings_kinds import ByteCount, Mismatch

    kind = ByteCount(75 << 20)  # the least that Ray takes
    try:
        value = kind.of_text(text)
    except Mismatch as found:
        raise UsageError(f"--store: found {found}, expected {kind.expected}") from None
    assert isinstance(value, int)
    return value


def _begin(address: str, arguments: list[str], variables: dict[str, str], block: bool, as_json: bool) -> None:
    """Start Ray here, note our sources at the head, and wait until this machine's actor is warm."""
    staying = _stay(arguments, variables) if block else None
    try:
        with console.telling("starting Ray"):
            if staying is None:
                _ray(["start", *arguments], variables)
            _until_it_answers(address, staying)
        connecting.note_sources(address)
        with console.telling("asking the nodes"), Pool.connect(address) as pool:
            nodes = pool.nodes()
        if staying is None:
            _tell(address, nodes, as_json)
            return
        # Only now: a connection to a cluster has its own way to end, and takes that away when it is closed.
        signal.signal(signal.SIGTERM, lambda *_: staying.terminate())
        _tell(address, nodes, as_json)
        output.finish()
        staying.wait()  # told to end once: a second time would have it leave its processes alone
    finally:
        if staying is not None and staying.poll() is None:
            staying.terminate()
            staying.wait()


def _stay(arguments: list[str], variables: dict[str, str]) -> subprocess.Popen[bytes]:
    """Ray in a process that ends with this one; what it says goes to standard error."""
    words = [*RAY, "start", *arguments, "--block"]
    return subprocess.Popen(words, env=_environment(variables), stdout=sys.stderr.fileno())


def _until_it_answers(address: str, staying: subprocess.Popen[bytes] | None) -> None:
    """Wait for the head, and for this machine to be a node of it.

    Raises:
        ClusterError: Ray has ended, or takes too long.
    """
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            connecting.connect(address)
            return
        except NoCluster as error:
            if staying is not None and staying.poll() is not None:
                raise ClusterError(f"ray start ended with {staying.returncode}") from None
            if time.monotonic() > until:
                raise ClusterError(f"ray start: {error.problem}") from None
        time.sleep(0.2)


def _ray(arguments: list[str], variables: dict[str, str]) -> None:
    """Run Ray's command.

    Raises:
        ClusterError: it failed; its last words.
    """
    done = subprocess.run(
        [*RAY, *arguments], env=_environment(variables), capture_output=True, text=True, check=False
    )
    if done.returncode:
        words = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise ClusterError(f"ray {arguments[0]}: {words[-1].strip() if words else 'it said nothing'}")


def _environment(variables: dict[str, str]) -> dict[str, str]:
    # A node's actor stays as long as the node does: Ray would wait for it to end, and shares go to others anyway.
    no_drain = {"RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0"}
    # `ray start` asks for a token where it finds one; who connects to an address sends one only if told to (Ray 2.60).
    as_told = {"RAY_AUTH_MODE": "disabled"}
    return no_drain | as_told | os.environ | {"RAY_USAGE_STATS_ENABLED": "0"} | variables


def _own_address() -> str:
    import ray

    return str(ray.util.get_node_ip_address())


def _tell(address: str, nodes: tuple[NodeStatus, ...], as_json: bool) -> None:
    if as_json:
        console.print_json({"address": address, "nodes": [node_json(node) for node in nodes]})
        return
    rows = [
        (
            node.name,
            node.state,
            str(node.about.threads) if node.about else "",
            ", ".join(node.about.gpus) if node.about else "",
            node.about.digest if node.about else "",
            node.trouble,
        )
        for node in nodes
    ]
    print_table(("node", "state", NUMBER + "threads", "GPUs", "sources", "why not"), rows)
    console.answers().print(f"the head is at {address}")
