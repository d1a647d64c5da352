# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm verify --cluster`: a file, or a folder of them, of signatures on all machines of a cluster."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NoReturn

import typer

from supervm.kernels.errors import ArgumentError
from supervm.tiers import console
from supervm.tiers.cluster.folders import FolderRun, files_of
from supervm.tiers.cluster.pool import NodeStatus, Pool
from supervm.tiers.commands.verify import print_counts
from supervm.tiers.compose import VerifyPipeline
from supervm.tiers.environment import environment
from supervm.tiers.errors import DONE, VERIFICATION_FAILED, WRONG_USE, BrokenFile
from supervm.tiers.settings import Settings
from supervm.tiers.signature_files.verification import VERDICT_NAMES, Summary

STANDARD_INPUT = Path("-")


def verify_on_cluster(
    settings: Settings,
    pipeline: VerifyPipeline,
    path: Path,
    output: Path | None,
    rules: dict[str, Any],
    failures: int,
    allow_empty: bool,
    as_json: bool,
) -> NoReturn:
    """Verify and end the command.

    Args:
        settings: name the cluster.
        pipeline: opens files.
        path: a file or a folder.
        output: the folder of the verdicts.
        rules: of signatures.
        failures: how many to list.
        allow_empty: whether no row at all is no error.

    Raises:
        NoCluster, NoNodeLeft, ShareFailed: of the cluster; what was finished is kept in `output`.
        BrokenFile: `path` is missing or has no file of signatures.
        ArgumentError: `path` is a pipe, or `output` a file or of another run.
    """
    if path == STANDARD_INPUT:
        raise ArgumentError("FILE", "standard input", "a file or a folder with --cluster")
    if output is not None and output.exists() and not output.is_dir():
        raise ArgumentError("output", f"the file {output}", "a folder with --cluster")
    files = files_of(path)
    begun = time.perf_counter()
    with console.progress_line() as line:
        line.update(f"connecting to {settings.cluster_address}")
        with Pool.connect(settings.cluster_address) as pool:

            def progress(fraction: float, rows: int) -> None:
                line.update(f"verifying {path.name}, {rows:,} rows on {len(pool.usable())} nodes", fraction)

            run = FolderRun(
                pool,
                files,
                pipeline.open,
                rules,
                output,
                shown_failures=failures,
                recheck=settings.recheck,
                share_rows=min(pool.share_items(), pipeline.batch_items),
                progress=progress,
            )
            connected = time.perf_counter()
            run.run()
            seconds, nodes = time.perf_counter() - connected, pool.nodes()
    summary = run.summary()
    if not summary.rows and not allow_empty and not run.broken:
        run.broken.append(BrokenFile(str(path), "", "no row in it; --allow-empty takes that"))
    if as_json:
        answer = _json(run, summary, nodes)
        answer |= {
            "file": str(path),
            "cluster": settings.cluster_address,
            "rule": rules["rule"],
            "low_s": rules["low_s"],
            "bls_suite": rules["suite"],
            "bls_tag": rules["tag"] or None,
            "output": str(output) if output else None,
            "connect_seconds": connected - begun,
            "seconds": seconds,
            "environment": environment(),
        }
        console.print_json(answer)
    else:
        _show(run, summary, nodes, seconds)
        for error in run.broken:
            console.show_error(error)
    raise typer.Exit(WRONG_USE if run.broken else DONE if summary.all_valid else VERIFICATION_FAILED)


def _json(run: FolderRun, summary: Summary, nodes: tuple[NodeStatus, ...]) -> dict[str, Any]:
    counted = summary.to_json("row")
    counted["failures"] = [
        {"file": name, "row": number, "scheme": scheme, "verdict": verdict}
        for name, number, scheme, verdict in run.failures
    ]
    return counted | {
        "parts": len(run.finished),
        "resumed_parts": run.resumed,
        "error": console.error_json(run.broken[0]) if run.broken else None,
        "broken": [str(error) for error in run.broken],
        "nodes": [node_json(node) for node in nodes],
    }


def node_json(node: NodeStatus) -> dict[str, Any]:
    """A node in plain types."""
    about = node.about._asdict() if node.about else None
    return {
        "name": node.name,
        "state": node.state,
        "trouble": node.trouble,
        "about": about,
        "items_per_second": node.rates,
    }


def _show(run: FolderRun, summary: Summary, nodes: tuple[NodeStatus, ...], seconds: float) -> None:
    print_counts(summary)
    out = console.answers()
    if run.failures:
        out.print(f"first failures ({len(run.failures)} of {summary.rows - summary.total(1):,}):")
        for name, number, scheme, verdict in run.failures:
            out.print(f"  {name}, {number}: {scheme}, {VERDICT_NAMES[verdict]} ({verdict})")
    for node in nodes:
        if node.trouble:
            out.print(f"node {node.name}: {node.state}, {node.trouble}")
    resumed = f", {run.resumed} of them found finished" if run.resumed else ""
    ready = sum(node.state == "ready" for node in nodes)
    out.print(
        f"{summary.rows:,} rows, {len(run.finished)} parts{resumed}, in {seconds:.2f} s on {ready} nodes"
    )
