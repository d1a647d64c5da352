# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm replay`: Ethereum blocks, verified and replayed."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from supervm.engine.ethereum.replay.report import BlockReport, Finding, ReplayReport
from supervm.tiers import console, output
from supervm.tiers.commands import options
from supervm.tiers.compose import replay_pipeline
from supervm.tiers.environment import environment
from supervm.tiers.errors import VERIFICATION_FAILED
from supervm.tiers.tables import print_table

SHOWN_NOTES = 10
HASH_BYTES = 32


def replay(
    blocks: Annotated[
        list[Path],
        typer.Argument(
            metavar="BLOCK", help="Folders with block.json and pre_state.json, or files with all parts."
        ),
    ],
    codes: Annotated[
        Path | None, typer.Option(help="A file of codes, found by their hashes: blocks are executed whole.")
    ] = None,
    block_hashes: Annotated[
        Path | None, typer.Option(help="A JSON file of hashes by number, for BLOCKHASH.")
    ] = None,
    trace: Annotated[
        str | None,
        typer.Option(
            metavar="TX",
            help="Print what this transaction, by its hash, executes, an opcode a line (EIP-3155).",
        ),
    ] = None,
    trace_memory: Annotated[
        bool, typer.Option("--trace-memory", help="Print the memory in each line of the trace, too.")
    ] = False,
    tier: options.TierName = None,
    config: options.ConfigFile = None,
    threads: options.Threads = None,
    backend: options.Backend = None,
    strategy: options.Strategy = None,
    cluster: options.Cluster = None,
    as_json: options.AsJson = False,
) -> None:
    """Verify and replay Ethereum blocks.

    Every signature, every hash of a transaction or header, and the roots of transactions and withdrawals are checked,
    and that a block names its parent if that is given too. Every balance transfer is executed twice, in parallel by waves
    and one by one, to the same balances; no money may appear or vanish. Where the codes of its accounts are given, the
    block is executed whole: gas, logs, receipts and, with trie nodes, the state root must be the header's. Exit code 1 if
    anything is wrong, 2 if a file cannot be read.
    """
    with console.reporting(as_json):
        wanted = None if trace is None else options.from_hex("trace", trace, HASH_BYTES)
        more = {"cluster.address": cluster}
        hardware, settings = options.settings_of(tier, config, threads, backend, None, strategy, more)
        run = replay_pipeline(settings, hardware)
        with console.progress_line() as line:

            def progress(doing: str, done: int, total: int) -> None:
                line.update(doing, done / total if total else None)

            report = run(
                blocks,
                progress,
                codes=codes,
                block_hashes=block_hashes,
                trace=wanted,
                trace_memory=trace_memory,
            )
        if as_json:
            answer: dict[str, Any] = report.to_json()
            if wanted is not None:
                answer["trace"] = report.trace
            if report.problems:
                answer["problems"] = [asdict(problem) for problem in report.problems]
            console.print_json(answer | {"environment": environment(hardware)})
            _show_findings(console.notes(), report.problems, "wrong")
        elif wanted is not None:
            output.print_plain("".join(json.dumps(line) + "\n" for line in report.trace))
            _show_findings(console.notes(), report.problems, "wrong")
            if not report.trace:
                console.warn(f"no block that was executed whole has the transaction {trace}")
        else:
            _show(report)
    if not report.ok:
        raise typer.Exit(VERIFICATION_FAILED)


def _show(report: ReplayReport) -> None:
    out = console.answers()
    whole = any(block.transactions_executed for block in report.blocks)
    columns = [
        "#block",
        "#trans-\nactions",
        "#checks",
        "#waves\nversioned",
        "#waves\nlocking",
        "#edges\nlocking",
        "#transfers",
        "#failed",
        "#calls not\nexecuted",
        *(["#executed\nwhole"] if whole else []),
    ]
    print_table(columns, [_cells(block, whole) for block in report.blocks], framed=False)
    out.print(
        f"{report.transactions:,} transactions in {len(report.blocks)} blocks, {report.seconds:.2f} s; "
        f"{report.signatures:,} signatures recovered, {report.signatures_per_second:,.0f} a second"
    )
    _show_findings(out, report.problems, "wrong")
    _show_findings(out, report.notes[:SHOWN_NOTES], "note")
    if len(report.notes) > SHOWN_NOTES:
        out.print(f"and {len(report.notes) - SHOWN_NOTES:,} more notes")
    if report.ok:
        out.print(f"[green]ok: {'; '.join(report.checked())}[/]")
    out.print(f"not checked: {'; '.join(report.unchecked())}")


def _cells(block: BlockReport, whole: bool) -> list[str]:
    return [
        str(block.number),
        f"{block.transactions:,}",
        _checks(block),
        f"{block.waves_versioned:,}",
        f"{block.waves_locking:,}",
        f"{block.edges_locking:,}",
        f"{block.transfers:,}",
        f"{block.transfers_failed:,}",
        f"{block.calls_not_executed:,}",
        *([f"{block.transactions_executed:,}"] if whole else []),
    ]


def _checks(block: BlockReport) -> str:
    """Whether every check was passed; the problems below the table say which were not."""
    return "[green]ok[/]" if block.ok else "[bold red]wrong[/]"


def _show_findings(out: Console, findings: list[Finding], word: str) -> None:
    for finding in findings:
        out.print(f"{word}: {console.plain(str(finding))}")
