# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm bench`: operations beside the libraries that people use today."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from supervm.benchmarks.cases import SUITES, missing_peers
from supervm.benchmarks.results import record as keep
from supervm.benchmarks.rows import Row
from supervm.benchmarks.runner import run_suite
from supervm.tiers import console
from supervm.tiers.commands import options
from supervm.tiers.environment import environment
from supervm.tiers.errors import VERIFICATION_FAILED, WRONG_USE
from supervm.tiers.hardware import detect

CODES = {
    "PeerDisagrees": VERIFICATION_FAILED,
    "RunsDisagree": VERIFICATION_FAILED,
    "ResultsMalformed": WRONG_USE,
}


def bench(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help=f"{', '.join(SUITES[:-1])} or {SUITES[-1]}.")],
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
    as_json: options.AsJson = False,
) -> None:
    """Measure operations beside the libraries that people use today.

    Every peer's answers are compared with ours before anything is timed; exit code 1 if they differ. A
    ratio is ours divided by the peer's, in items per second. With --backend cuda each batch size has two
    rows: kernels alone, with inputs and results on the device, and end to end; peers stand beside one.
    """
    with console.reporting(as_json, CODES):
        with console.progress_line() as line:
            line.update(f"preparing {suite}")

            def progress(done: int, total: int, name: str) -> None:
                line.update(f"{name}, {done + 1} of {total}", done / total)

            rows = run_suite(
                suite, threads=threads, batch=batch, backend=backend, sweep=sweep, progress=progress
            )
        missing = missing_peers(suite)
        if missing:
            console.notes().print(f"not installed, so not measured beside: {', '.join(missing)}")
        measured = environment(detect())
        if record:
            path = keep(suite, rows, measured, _command(suite, threads, batch, backend, sweep))
            console.notes().print(f"recorded in {console.plain(str(path))}")
        if as_json:
            console.print_json({"environment": measured, "rows": [row.to_json() for row in rows]})
        else:
            console.answers().print(_table(rows))


def _command(suite: str, threads: int | None, batch: int | None, backend: str | None, sweep: bool) -> str:
    """The command line that measures the same again."""
    flags = {"--threads": threads, "--batch": batch, "--backend": backend}
    given = [f"{flag} {value}" for flag, value in flags.items() if value is not None]
    return " ".join(["supervm bench", suite, *["--sweep"] * sweep, *given])


def _table(rows: list[Row]) -> Table:
    table = Table("operation", "backend", "threads", "batch", "items/s", "ns/item", "peers (ratio)")
    for column in table.columns[2:6]:
        column.justify = "right"
    how = {"none": "cuda, kernels alone", "included": "cuda, end to end"}
    for row in rows:
        peers = ", ".join(f"{peer.name} {peer.version}: {peer.ratio:.2f}x" for peer in row.peers)
        table.add_row(
            console.plain(row.operation),
            how[row.transfers] if row.backend == "cuda" else row.backend,
            str(row.threads),
            f"{row.batch:,}",
            f"{row.items_per_second:,.0f}",
            f"{row.ns_per_item:,.1f}",
            console.plain(peers),
        )
    return table
