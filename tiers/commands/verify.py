# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm verify`: a file of signatures."""

from __future__ import annotations

import time
from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from supervm.kernels.errors import ArgumentError
from supervm.tiers import console
from supervm.tiers.commands import options
from supervm.tiers.compose import VerifyPipeline, verify_pipeline
from supervm.tiers.environment import environment
from supervm.tiers.errors import VERIFICATION_FAILED, WRONG_USE, BrokenFile
from supervm.tiers.progress import ProgressLine
from supervm.tiers.signature_files.formats import SignatureFile
from supervm.tiers.signature_files.verdict_writers import verdict_writer
from supervm.tiers.signature_files.verification import VERDICT_NAMES, Summary


class Rule(StrEnum):
    """Rules of Ed25519."""

    dalek = "dalek"
    strict = "strict"
    zip215 = "zip215"


def verify(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="JSON Lines, Parquet or Arrow IPC (file or stream).")
    ],
    rule: Annotated[Rule, typer.Option(help="How Ed25519 is checked.")] = Rule.dalek,
    low_s: Annotated[bool, typer.Option("--low-s/--no-low-s", help="Refuse a high s in ECDSA.")] = True,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Write the verdicts here: text, or a column if the name ends in .parquet or .arrow."
        ),
    ] = None,
    failures: Annotated[int, typer.Option(min=0, help="How many failures to list.")] = 10,
    tier: options.TierName = None,
    config: options.ConfigFile = None,
    threads: options.Threads = None,
    backend: options.Backend = None,
    strategy: options.Strategy = None,
    batch: options.Batch = None,
    as_json: options.AsJson = False,
) -> None:
    """Verify a file of signatures: JSON Lines, Parquet or Arrow.

    Columns: scheme (ed25519, ecdsa, schnorr), public_key, message or digest (ecdsa: digest), signature;
    hex or binary. Verdicts: 1 valid, 0 invalid, -1 malformed. Exit code 1 if any is not 1, 2 if the file
    is broken.
    """
    with console.reporting(as_json):
        hardware, settings = options.settings_of(tier, config, threads, backend, batch, strategy)
        pipeline = verify_pipeline(settings, hardware, rule=rule.value, low_s=low_s)
        if output is not None and output.exists() and file.exists() and output.samefile(file):
            raise ArgumentError("output", f"the input file {output}", "another file")
        summary = Summary(failures)
        signatures = pipeline.open(file)
        with console.progress_line() as line:
            begun = time.perf_counter()
            broken = _run(pipeline, signatures, summary, output, line)
            seconds = time.perf_counter() - begun
            compiling = line.compilations.seconds
        if as_json:
            answer: dict[str, Any] = {"file": str(file), "format": signatures.format}
            answer |= summary.to_json(signatures.place)
            answer |= {
                "error": console.error_json(broken) if broken else None,
                "rule": rule.value,
                "low_s": low_s,
                "output": str(output) if output else None,
                "seconds": seconds,
                "compile_seconds": compiling,
                "items_per_second": summary.rows / (seconds - compiling),
                "threads": pipeline.threads,
                "backend": pipeline.backend,
                "environment": environment(hardware),
            }
            console.print_json(answer)
        else:
            _show(summary, signatures.place, seconds - compiling, compiling)
    if broken is not None:
        console.show_error(broken)
        raise typer.Exit(WRONG_USE)
    if not summary.all_valid:
        raise typer.Exit(VERIFICATION_FAILED)


def _run(
    pipeline: VerifyPipeline,
    signatures: SignatureFile,
    summary: Summary,
    output: Path | None,
    line: ProgressLine,
) -> BrokenFile | None:
    """Verify the file; a broken row's error comes back, so that what came before it is reported too."""
    name = signatures.path.name
    line.update(f"verifying {name}")
    with verdict_writer(output) if output else nullcontext() as writer:

        def progress(fraction: float, rows: int) -> None:
            line.update(f"verifying {name}, {rows:,} rows", fraction)

        try:
            pipeline.run(signatures, summary, writer=writer, progress=progress)
        except BrokenFile as error:
            return error
    return None


def _show(summary: Summary, place: str, seconds: float, compiling: float) -> None:
    out = console.answers()
    table = Table("scheme", *VERDICT_NAMES.values(), "rows")
    for column in table.columns[1:]:
        column.justify = "right"
    for scheme, counts in summary.counts.items():
        cells = [f"{counts[verdict]:,}" for verdict in VERDICT_NAMES]
        table.add_row(scheme, *cells, f"{sum(counts.values()):,}")
    if len(summary.counts) > 1:
        totals = [f"{summary.total(verdict):,}" for verdict in VERDICT_NAMES]
        table.add_section()
        table.add_row("all", *totals, f"{summary.rows:,}")
    out.print(table)
    if summary.failures:
        out.print(f"first failures ({len(summary.failures)} of {summary.rows - summary.total(1):,}):")
        for number, scheme, verdict in summary.failures:
            out.print(f"  {place} {number}: {scheme}, {VERDICT_NAMES[verdict]} ({verdict})")
    compiled = f", after {compiling:.1f} s of compiling kernels" if compiling else ""
    out.print(f"{summary.rows:,} rows in {seconds:.2f} s, {summary.rows / seconds:,.0f} a second{compiled}")
