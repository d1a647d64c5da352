# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm bench`: operations beside the libraries that people use today."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from supervm.benchmarks.cases import CLUSTER, EVM, SERVICE, SUITES, missing_peers
from supervm.benchmarks.results import command
from supervm.benchmarks.results import record as keep
from supervm.benchmarks.rows import Row
from supervm.benchmarks.runner import run_suite
from supervm.engine.errors import MissingPackage
from supervm.kernels.errors import ArgumentError
from supervm.tiers import console
from supervm.tiers.commands import options
from supervm.tiers.environment import environment
from supervm.tiers.errors import VERIFICATION_FAILED, WRONG_USE, exit_code
from supervm.tiers.hardware import detect
from supervm.tiers.tables import print_table

ALL = "all"

CODES = {
    "PeerDisagrees": VERIFICATION_FAILED,
    "RunsDisagree": VERIFICATION_FAILED,
    "ServiceWrong": VERIFICATION_FAILED,
    "ResultsMalformed": WRONG_USE,
}


def bench(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help=f"{', '.join(SUITES)} or all.")],
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Only this number; else 1, 2 and every core.")
    ] = None,
    batch: Annotated[int | None, typer.Option("--batch", min=1, help="Only this number of items.")] = None,
    backend: Annotated[
        str | None, typer.Option("--backend", help="Only this one; cuda is the GPU. Else every CPU backend.")
    ] = None,
    sweep: Annotated[
        bool,
        typer.Option("--sweep", help="How it grows, from 2^8 to 2^22 items; msm, ntt, poseidon, merkle."),
    ] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Keep the result under benchmarks/results/.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Of all: where files and page go.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Of all: small batches and no sweeps, to see that it works.")
    ] = False,
    soak: Annotated[
        float | None, typer.Option(min=1, metavar="SECONDS", help="Of service: a mixed load for so long.")
    ] = None,
    overload: Annotated[
        float | None, typer.Option(min=1, metavar="SECONDS", help="Of service: five times what it can do.")
    ] = None,
    peer_python: Annotated[
        Path | None,
        typer.Option(
            "--peer-python", metavar="PYTHON", help="Of evm: a Python that has peers which this one lacks."
        ),
    ] = None,
    cluster: options.Cluster = None,
    as_json: options.AsJson = False,
) -> None:
    """Measure operations beside the libraries that people use today.

    Every peer's answers are compared with ours before anything is timed; exit code 1 if they differ. A
    ratio is ours divided by the peer's, in items per second. With --backend cuda each batch size has two
    rows: kernels alone, with inputs and results on the device, and end to end; peers stand beside one.
    `all` measures every suite and writes a file of results for each, and one page with plots, into --out DIR.
    """
    with console.reporting(as_json, CODES):
        if threads is not None:
            threads = options.bounded_threads(threads, detect(), "flag --threads")
        if soak is not None or overload is not None:
            if suite != SERVICE or batch or backend or sweep or record or out or quick:
                raise ArgumentError(
                    "suite", f"{suite} with --soak or --overload", "service, and --threads at most"
                )
            from supervm.benchmarks.service.endurance import endure  # needs what the service needs

            return endure(soak, overload, threads, as_json)
        if peer_python is not None and suite != EVM:
            raise ArgumentError("suite", f"{suite} with --peer-python", EVM)
        if cluster is not None and suite != CLUSTER:
            raise ArgumentError("suite", f"{suite} with --cluster", CLUSTER)
        if suite == ALL:
            narrowed = sweep or batch is not None or backend is not None
            return _bench_all(out, threads, quick, record, as_json, narrowed)
        if out is not None or quick:
            raise ArgumentError("suite", f"{suite} with --out or --quick", "these go with all")
        with console.progress_line() as line:
            line.update(f"preparing {suite}")

            def progress(done: int, total: int, name: str) -> None:
                line.update(f"{name}, {done + 1} of {total}", done / total)

            rows = run_suite(
                suite,
                threads=threads,
                batch=batch,
                backend=backend,
                sweep=sweep,
                peer_python=peer_python,
                cluster=None if cluster == "off" else cluster,
                progress=progress,
            )
        missing = missing_peers(suite, peer_python)
        if missing:
            console.notes().print(f"not installed, so not measured beside: {', '.join(missing)}")
        measured = environment(detect())
        if record:
            again = command(suite, sweep=sweep, threads=threads, batch=batch, backend=backend)
            path = keep(suite, rows, measured, again)
            console.notes().print(f"recorded in {console.plain(str(path))}")
        if as_json:
            console.print_json({"environment": measured, "rows": [row.to_json() for row in rows]})
        else:
            _show(rows)


def _bench_all(
    out: Path | None, threads: int | None, quick: bool, record: bool, as_json: bool, narrowed: bool
) -> None:
    """Every suite into a folder; where some cannot be measured, the highest of their exit codes, after the others were."""
    if out is None or narrowed or (record and quick):
        raise ArgumentError(
            "suite",
            f"all {'without --out' if out is None else 'with options of one suite, or --quick with --record'}",
            "all --out DIR, with --threads, --json, and --quick or --record",
        )
    try:
        from supervm.benchmarks.reports.collection import measure_all
    except ModuleNotFoundError as absent:
        raise MissingPackage(absent.name or "matplotlib", "drawing plots") from absent
    with console.progress_line() as line:
        line.update("preparing")

        def progress(suite: str, done: int, total: int, name: str) -> None:
            line.update(f"{suite}: {name}, {done + 1} of {total}", done / total)

        found = measure_all(out, environment(detect()), threads=threads, quick=quick, progress=progress)
    for run in found.runs if record else ():
        path = keep(run.suite, run.rows, run.environment, run.command)
        console.notes().print(f"recorded in {console.plain(str(path))}")
    for name, error in found.failures.items():
        console.warn(f"{name} was not measured: {error}")
    if as_json:
        failures = {name: console.error_json(error) for name, error in found.failures.items()}
        files = [str(path) for path in found.files]
        console.print_json({"page": str(found.page), "files": files, "failures": failures})
    else:
        rows = sum(len(run.rows) for run in found.runs)
        console.print_pairs([("rows", f"{rows:,} in {len(found.files)} files"), ("page", str(found.page))])
    if found.failures:
        codes = [CODES.get(type(error).__name__, exit_code(error)) for error in found.failures.values()]
        raise typer.Exit(max(codes))


def _show(rows: list[Row]) -> None:
    how = {"none": "cuda, kernels alone", "included": "cuda, end to end"}
    cells = []
    for row in rows:
        peers = ", ".join(f"{peer.name} {peer.version}: {peer.ratio:.2f}x" for peer in row.peers)
        if row.p99_ms is not None:
            peers += f"; 99 of 100 within {row.p99_ms:.1f} ms"
        cells.append(
            (
                console.plain(row.operation),
                how[row.transfers] if row.backend == "cuda" else row.backend,
                str(row.threads),
                f"{row.batch:,}",
                f"{row.items_per_second:,.0f}",
                f"{row.ns_per_item:,.1f}",
                console.plain(peers),
            )
        )
    columns = ("operation", "backend", "#threads", "#batch", "#items/s", "#ns/item", "peers (ratio)")
    print_table(columns, cells)
