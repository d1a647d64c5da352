# SPDX-License-Identifier: GPL-3.0-or-later
"""One page of HTML from recorded runs: no script, nothing loaded from elsewhere, the same bytes for the same runs."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import matplotlib

from supervm.benchmarks.cases import ABOUT, SUITES
from supervm.benchmarks.reports import content
from supervm.benchmarks.reports.content import Cell, Part, Table
from supervm.benchmarks.reports.plots import svg
from supervm.benchmarks.results import Recorded

STYLE = Path(__file__).with_name("page.css")

TITLE = "SuperVM: what was measured"

INTRODUCTION = """
<p>SuperVM is an engine for blockchain nodes: it checks signatures, hashes, computes the sums and transforms of
zero-knowledge proofs, and executes transactions, in large batches, on processors and graphics cards. This page shows how
fast it does that, beside the libraries that people use for it today. All figures come from recorded runs and were not
changed.</p>
<p><strong>How to read it.</strong> A <em>rate</em> is items a second: signatures, hashes, points or transactions.
A <em>ratio</em> is SuperVM's rate divided by another library's on the same items, both timed in turn in one process:
5x means five times as fast, 0.5x half as fast. Before anything is timed, both must give the same answers.
Another library always runs on one thread. <em>ifma</em>, <em>avx512</em>, <em>avx2</em> and <em>neon</em> are the code for a
processor's vector instructions (<em>ifma</em>: AVX-512 with 52-bit multiply-adds), <em>scalar</em> the code for any 64-bit
processor, <em>cuda</em> the code for NVIDIA cards. A <em>batch</em> is the number of items of one call.</p>
"""

PEERS = """Bars to the right of the line: SuperVM is faster. To the left: the other library is. Full batches on the
best backend of the machine, one thread wherever a row with one thread has a peer. The peers of the suite execution
are the engine itself in other modes, with one thread."""

GROWTH = """One thread, no peers. Where a curve falls, larger calls pay; where it is flat, an item takes as long in a small
call as in a large one."""

CROSSOVER = """A graphics card needs large batches to pay for copies and launches. The processor stands with its best rate
for full batches at every size, which favours it."""

NO_CROSSOVER = """No run on a graphics card is among these results, or none whose operations were measured on the same
machine's processor too, so there is nothing to compare. <code>supervm bench all --out DIR</code> measures both where
there is a card."""

STAGES = """A block passes through stages: signatures are verified, transactions routed, conflicts detected, contracts
executed, receipts written, changes committed and hashed. Stages of different blocks overlap where there are threads,
so that they may add up to more than the time from first to last."""

NO_STAGES = """No run of the suite execution among these results has stage times; they are kept since they were first
recorded with the rows. The next <code>supervm bench execution --record</code> brings them."""

SCALING = """The same work on more threads, divided by its speed on one. The dashed line is as many times as there are
threads at most."""

SLOWER = """Nothing is left out of the comparison: these are all rows, on any backend and any batch, in which another
library was faster. A batch of one is the time of a single check, which batch code is not made for."""


def page(runs: Sequence[Recorded], failures: Mapping[str, str] | None = None) -> str:
    """The page.

    Args:
        runs: what it shows, sweeps among them.
        failures: suites that could not be measured, and why.
    """
    runs = sorted(runs, key=lambda run: (SUITES.index(run.suite), run.sweep, run.machine, run.recorded))
    plain = [run for run in runs if not run.sweep]
    devices = [run for run in plain if run.uses_device]
    crossing = [part for run in devices for part in content.crossovers(run, plain)]
    sections = [
        ("peers", "Beside other libraries", _section(PEERS, map(content.against_peers, plain))),
        ("slower", "Where others are faster", _slower(plain)),
        ("growth", "Growth with size", _section(GROWTH, (content.growth(run) for run in runs if run.sweep))),
        (
            "crossover",
            "Processor or graphics card",
            _section(CROSSOVER, crossing) if crossing else _note(NO_CROSSOVER),
        ),
        ("stages", "Stages of a transaction", _section(STAGES, map(content.stages, plain), NO_STAGES)),
        ("scaling", "More threads", _section(SCALING, map(content.scaling, plain))),
        ("runs", "All runs", _all_runs(runs)),
    ]
    links = "\n".join(f'<li><a href="#{name}">{title}</a></li>' for name, title, _ in sections)
    body = "\n".join(
        f'<section id="{name}">\n<h2>{title}</h2>\n{text}\n</section>' for name, title, text in sections
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="supervm.benchmarks.reports, matplotlib {matplotlib.__version__}">
<link rel="icon" href="data:,">
<title>{TITLE}</title>
<style>
{STYLE.read_text("utf-8")}</style>
</head>
<body>
<header>
<h1>{TITLE}</h1>
{INTRODUCTION.strip()}
{_failures(failures or {})}
{_overview(plain)}
</header>
<nav aria-label="Sections"><ul>
{links}
</ul></nav>
<main>
{body}
</main>
</body>
</html>
"""


def _failures(failures: Mapping[str, str]) -> str:
    return "\n".join(
        f'<p class="note failed"><strong>{_text(suite)}</strong> was not measured: {_text(reason)}</p>'
        for suite, reason in failures.items()
    )


def _overview(runs: Sequence[Recorded]) -> str:
    """One line a run: what it measures, and how many of its comparisons SuperVM wins."""
    rows: list[tuple[str | Cell, ...]] = []
    for run in runs:
        part = content.against_peers(run)
        ratios = (
            sorted(bar.value for bar in part.chart.bars)
            if part and isinstance(part.chart, content.Bars)
            else []
        )
        wins = sum(ratio >= 1 for ratio in ratios)
        won = Cell(f"{wins} of {len(ratios)}", wins) if ratios else ""
        span = [
            Cell(f"{value:.2f}x", value) if ratios else ""
            for value in (ratios[:1] + ratios[-1:] or (0.0, 0.0))
        ]
        rows.append((run.suite, ABOUT.get(run.suite, ""), _machine(run), won, *span))
    head = ("suite", "what it measures", "machine", "faster in", "lowest ratio", "highest ratio")
    return _table(Table("Full batches on the best backend, beside every peer", head, tuple(rows)))


def _section(
    text: str, parts: Iterable[Part | None], nothing: str = "No such run is among these results."
) -> str:
    shown = "\n".join(_part(part) for part in parts if part is not None)
    return f"<p>{text}</p>\n{shown}" if shown else _note(nothing)


def _part(part: Part) -> str:
    figure = f"<figure>\n{svg(part.chart)}\n<figcaption>{_text(_origin(part.run))}</figcaption>\n</figure>"
    notes = "".join(f"<p>{_text(note)}</p>\n" for note in part.notes)
    about = f'<p class="muted">{ABOUT[part.heading]}</p>\n' if part.heading in ABOUT else ""
    return (
        f"<h3>{_text(part.heading)}</h3>\n{about}{notes}{figure}\n"
        f"<details><summary>The same as a table</summary>\n{_table(part.table)}\n</details>"
    )


def _slower(runs: Sequence[Recorded]) -> str:
    table = content.slower(runs)
    return f"<p>{SLOWER}</p>\n{_table(table)}" if table else _note("No peer was faster in any row.")


def _all_runs(runs: Sequence[Recorded]) -> str:
    return "\n".join(
        f"<h3>{_text(run.suite)}{' by size' * run.sweep}</h3>\n"
        f'<p class="muted">{_text(_origin(run))}; {_text(_versions(run))}. '
        f"Method: {_text(run.method.rounds)}; load average {run.method.load_average}.</p>\n"
        f"<details><summary>{len(run.rows)} rows</summary>\n{_table(content.everything(run))}\n</details>"
        for run in runs
    )


def _machine(run: Recorded) -> str:
    hardware = run.environment["hardware"]
    cards = [gpu["name"] for gpu in hardware["gpus"]] if run.uses_device else []
    return ", ".join([*dict.fromkeys(cards), hardware["cpu"], f"{hardware['cores']} cores"])


def _origin(run: Recorded) -> str:
    return f"{_machine(run)}; {run.recorded[:10]}; {run.command}"


def _versions(run: Recorded) -> str:
    commit = run.environment.get("commit")
    known = [f"{name} {version}" for name, version in run.environment.get("versions", {}).items() if version]
    return ", ".join([*known, *([f"commit {commit['id'][:12]}"] if commit else [])])


def _note(text: str) -> str:
    return f'<p class="note">{text}</p>'


def _table(table: Table) -> str:
    right = [any(isinstance(row[column], Cell) for row in table.rows) for column in range(len(table.head))]
    head = "".join(
        f'<th scope="col"{_right(is_figure)}>{_text(name)}</th>'
        for name, is_figure in zip(table.head, right, strict=True)
    )
    rows = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.rows)
    return (
        f'<div class="wide"><table><caption>{_text(table.caption)}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>"
    )


def _cell(cell: str | Cell) -> str:
    """A figure keeps the recorded value beside its words."""
    if isinstance(cell, str):
        return f"<td>{_text(cell)}</td>"
    return f'<td class="figure" data-value="{json.dumps(cell.value)}">{_text(cell.words)}</td>'


def _right(is_figure: bool) -> str:
    return ' class="figure"' if is_figure else ""


def _text(text: str) -> str:
    return html.escape(text, quote=False)
