# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm replay`: Ethereum blocks, verified and replayed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from supervm.engine.ethereum.replay.report import BlockReport, Finding, ReplayReport
from supervm.tiers import console
from supervm.tiers.commands import options
from supervm.tiers.compose import replay_pipeline
from supervm.tiers.environment import environment
from supervm.tiers.errors import VERIFICATION_FAILED
from supervm.tiers.tables import print_table

SHOWN_NOTES = 10


def replay(
    blocks: Annotated[
        list[Path], typer.Argument(metavar="BLOCK_DIR", help="Folders with block.json and pre_state.json.")
    ],
    tier: options.TierName = None,
    config: options.ConfigFile = None,
    threads: options.Threads = None,
    backend: options.Backend = None,
    strategy: options.Strategy = None,
    as_json: options.AsJson = False,
) -> None:
    """Verify and replay Ethereum blocks.

    Every signature, every hash of a transaction or header, and the roots of transactions and withdrawals are checked,
    and that a block names its parent if that is given too. Every balance transfer is executed twice, in parallel by waves
    and one by one, to the same balances; no money may appear or vanish. State roots are not: contract code does not
    run. Exit code 1 if anything is wrong, 2 if a file cannot be read.
    """
    with console.reporting(as_json):
        hardware, settings = options.settings_of(tier, config, threads, backend, strategy=strategy)
        run = replay_pipeline(settings, hardware)
        with console.progress_line() as line:

            def progress(doing: str, done: int, total: int) -> None:
                line.update(doing, done / total if total else None)

            report = run(blocks, progress)
        if as_json:
            answer: dict[str, Any] = report.to_json()
            if report.problems:
                answer["problems"] = [asdict(problem) for problem in report.problems]
            console.print_json(answer | {"environment": environment(hardware)})
            _show_findings(console.notes(), report.problems, "wrong")
        else:
            _show(report)
    if not report.ok:
        raise typer.Exit(VERIFICATION_FAILED)


def _show(report: ReplayReport) -> None:
    out = console.answers()
    columns = (
        "#block",
        "#trans-\nactions",
        "#checks",
        "#waves\nversioned",
        "#waves\nlocking",
        "#edges\nlocking",
        "#transfers",
        "#failed",
        "#calls not\nexecuted",
    )
    print_table(columns, [_cells(block) for block in report.blocks], framed=False)
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


def _cells(block: BlockReport) -> list[str]:
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
    ]


def _checks(block: BlockReport) -> str:
    """Whether every check was passed; the problems below the table say which were not."""
    return "[green]ok[/]" if block.ok else "[bold red]wrong[/]"


def _show_findings(out: Console, findings: list[Finding], word: str) -> None:
    for finding in findings:
        out.print(f"{word}: {console.plain(str(finding))}")
