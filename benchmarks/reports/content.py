# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report shows: recorded runs as the charts and tables of its sections, figures unchanged.

A chart is drawn in `plots`; each stands beside a table of the same figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from supervm.benchmarks.results import Recorded
from supervm.benchmarks.rows import PeerRow, Row, duration, ratio, short, threads


@dataclass(frozen=True)
class Bar:
    """One bar: the group that it stands in, its own name, its value, and that value in words."""

    group: str
    name: str
    value: float
    words: str


@dataclass(frozen=True)
class Bars:
    """Bars from a base line, in groups.

    Args:
        title: what is shown.
        axis: the quantity and its unit.
        bars: bars of one group stand together.
        base: where bars begin; 1 of a ratio, on a logarithmic axis.
        ideal: a second line to compare with, if there is one.
    """

    title: str
    axis: str
    bars: tuple[Bar, ...]
    base: float = 0.0
    ideal: float | None = None


@dataclass(frozen=True)
class Lines:
    """Named curves over a number of items, both axes logarithmic."""

    title: str
    axis: str
    curves: dict[str, tuple[tuple[float, float], ...]]


@dataclass(frozen=True)
class Stacks:
    """Bars in parts: for each bar's name, the value of each part's name."""

    title: str
    axis: str
    stacks: dict[str, dict[str, float]]


Chart = Bars | Lines | Stacks

WHICH = ("operation", "backend", "threads", "batch")


@dataclass(frozen=True)
class Cell:
    """A figure in words and as it was recorded."""

    words: str
    value: float | None = None


TableRows = tuple[tuple[str | Cell, ...], ...]


@dataclass(frozen=True)
class Table:
    """Rows under a head; a cell that is not text is a figure."""

    caption: str
    head: tuple[str, ...]
    rows: TableRows


@dataclass(frozen=True)
class Part:
    """One run's share of a section: its chart and its table."""

    heading: str
    run: Recorded
    chart: Chart
    table: Table
    notes: tuple[str, ...] = field(default=())


def against_peers(run: Recorded) -> Part | None:
    """Ratios of the best backend to each peer, like with like: one thread, or the fewest that have peers beside them."""
    best = _best_backends(run.rows)
    chosen: dict[str, Row] = {}
    for row in run.rows:
        if row.peers and row.batch > 1 and row.backend == best[row.operation]:
            kept = chosen.get(row.operation)
            if kept is None or row.threads < kept.threads:
                chosen[row.operation] = row
    if not chosen:
        return None
    rows: TableRows = tuple(
        (*_which(row), _rate(row.items_per_second), peer.name, _rate(peer.items_per_second), _ratio(peer))
        for row in chosen.values()
        for peer in row.peers
    )
    bars = tuple(
        Bar(row.operation, peer.name, peer.ratio, ratio(peer))
        for row in chosen.values()
        for peer in row.peers
    )
    chart = Bars(
        f"{run.suite}: SuperVM ÷ each peer, in items a second", "times as fast as the peer", bars, 1.0
    )
    head = (*WHICH, "SuperVM", "peer", "the peer", "ratio")
    return Part(run.suite, run, chart, Table(f"{run.suite} beside its peers", head, rows))


def slower(runs: Iterable[Recorded]) -> Table | None:
    """Every row in which a peer was faster, on any backend and batch."""
    rows: TableRows = tuple(
        (*_which(row), _rate(row.items_per_second), peer.name, _ratio(peer))
        for run in runs
        for row in run.rows
        for peer in row.peers
        if peer.ratio < 1
    )
    head = (*WHICH, "SuperVM", "faster peer", "ratio")
    return Table("Rows in which a peer was faster", head, rows) if rows else None


def growth(run: Recorded) -> Part:
    """A sweep: the time of an item, and of a call, by the number of items."""
    curves: dict[str, tuple[tuple[float, float], ...]] = {}
    for row in run.rows:
        curves[row.operation] = (*curves.get(row.operation, ()), (row.batch, row.ns_per_item / 1000))
    chart = Lines(f"{run.suite}: time of one item, by items in a call", "µs an item", curves)
    rows: TableRows = tuple(
        (*_which(row), _time(row.batch / row.items_per_second), _item(row), _rate(row.items_per_second))
        for row in run.rows
    )
    head = (*WHICH, "one call", "one item", "rate")
    return Part(run.suite, run, chart, Table(f"How {run.suite} grows", head, rows))


def scaling(run: Recorded) -> Part | None:
    """Speed with more threads ÷ speed with one, of the best backend at the same batch."""
    best = _best_backends(run.rows)
    found: list[tuple[Row, Row]] = []
    for row in run.rows:
        one = next((r for r in run.rows if r.threads == 1 and _same_work(r, row)), None)
        if row.threads > 1 and one and row.backend == best[row.operation] and row.backend != "cuda":
            found.append((one, row))
    if not found:
        return None
    bars = tuple(
        Bar(row.operation, threads(row.threads), times, f"{times:.2f}x")
        for one, row in found
        for times in [row.items_per_second / one.items_per_second]
    )
    most = max(row.threads for _, row in found)
    chart = Bars(
        f"{run.suite}: speed ÷ that of one thread", "times as fast as one thread", bars, 0.0, float(most)
    )
    rows: TableRows = tuple(
        (*_which(row), _rate(one.items_per_second), _rate(row.items_per_second), Cell(bar.words, bar.value))
        for (one, row), bar in zip(found, bars, strict=True)
    )
    head = (*WHICH, "on one thread", "on these", "speed-up")
    return Part(run.suite, run, chart, Table(f"{run.suite} with more threads", head, rows))


def stages(run: Recorded) -> Part | None:
    """Where a transaction's time goes, stage by stage."""
    rows = [row for row in run.rows if row.stages]
    if not rows:
        return None
    names = list(dict.fromkeys(name for row in rows for name in row.stages or {}))
    stacks = {
        f"{row.operation}, {threads(row.threads)}": {
            name: seconds / row.batch * 1e6 for name, seconds in (row.stages or {}).items()
        }
        for row in rows
    }
    chart = Stacks(f"{run.suite}: time of one transaction, by stage", "µs a transaction", stacks)
    cells: TableRows = tuple(
        (label, *(_time(parts[name] / 1e6) if name in parts else "" for name in names), _item(row))
        for (label, parts), row in zip(stacks.items(), rows, strict=True)
    )
    head = ("workload", *names, "from first to last")
    return Part(run.suite, run, chart, Table("Stages of one transaction", head, cells))


def crossovers(device: Recorded, others: Sequence[Recorded]) -> list[Part]:
    """For each operation of a run on a GPU that a run on the same machine's CPU has too: rates by batch, and the batch
    from which on the GPU is faster. The CPU stands with its best full-batch rate at every size, which favours it.
    """
    parts = []
    for name in dict.fromkeys(row.operation for row in device.rows if row.backend == "cuda"):
        cpu_rows = [
            row
            for run in (device, *others)
            if not run.sweep and _same_host(run, device)
            for row in run.rows
            if row.operation == name and row.backend != "cuda"
        ]
        through = _curve(device, name, "included")
        if not cpu_rows or not through:
            continue
        cpu = max(cpu_rows, key=lambda row: row.items_per_second)
        curves = {
            "GPU, copies included": through,
            "GPU, kernels alone": _curve(device, name, "none"),
            f"CPU, {cpu.backend}, {threads(cpu.threads)}": tuple(
                (size, cpu.items_per_second) for size, _ in through
            ),
        }
        first = _first_faster(through, cpu.items_per_second)
        found = f"from {first:,} items on" if first else "at no measured size"
        head = ("items", *(label for label, curve in curves.items() if curve))
        values = [dict(curve) for curve in curves.values() if curve]
        rows: TableRows = tuple(
            (f"{int(size):,}", *(_rate(curve[size]) if size in curve else "" for curve in values))
            for size, _ in through
        )
        chart = Lines(
            f"{name}: rate by items in a call", "items a second", {k: v for k, v in curves.items() if v}
        )
        note = f"With its copies the GPU is faster {found}."
        parts.append(Part(name, device, chart, Table(f"{name} on CPU and GPU", head, rows), (note,)))
    return parts


def everything(run: Recorded) -> Table:
    """Every row of a run."""
    words = {"none": "", "included": "included"}
    rows: TableRows = tuple(
        (
            *_which(row),
            words[row.transfers],
            _rate(row.items_per_second),
            _item(row),
            "" if row.spread is None else Cell(f"{row.spread:.0%}", row.spread),
            "; ".join(f"{peer.name} {peer.version}: {ratio(peer)}" for peer in row.peers),
        )
        for row in run.rows
    )
    head = (*WHICH, "transfers", "rate", "one item", "spread", "SuperVM ÷ peers")
    return Table(f"All rows of {run.suite}", head, rows)


def _best_backends(rows: Sequence[Row]) -> dict[str, str]:
    """The first backend of each operation, since a suite lists the best one first."""
    best: dict[str, str] = {}
    for row in rows:
        best.setdefault(row.operation, row.backend)
    return best


def _same_work(one: Row, other: Row) -> bool:
    keys = [(row.operation, row.backend, row.batch, row.transfers) for row in (one, other)]
    return keys[0] == keys[1]


def _same_host(one: Recorded, other: Recorded) -> bool:
    """Whether two runs were made on the same processor, whatever cards it has."""
    hosts = [
        (run.environment["hardware"]["cpu"], run.environment["hardware"]["cores"]) for run in (one, other)
    ]
    return hosts[0] == hosts[1]


def _curve(run: Recorded, operation: str, transfers: str) -> tuple[tuple[float, float], ...]:
    return tuple(
        (row.batch, row.items_per_second)
        for row in sorted(run.rows, key=lambda row: row.batch)
        if (row.operation, row.backend, row.transfers) == (operation, "cuda", transfers)
    )


def _first_faster(curve: Sequence[tuple[float, float]], other: float) -> int | None:
    """The first size from which on every measured rate is at least the other one."""
    first = None
    for size, value in reversed(curve):
        if value < other:
            break
        first = int(size)
    return first


def _which(row: Row) -> tuple[str, ...]:
    """What `WHICH` heads."""
    return row.operation, row.backend, str(row.threads), f"{row.batch:,}"


def _rate(value: float) -> Cell:
    return Cell(f"{short(value)}/s", value)


def _time(seconds: float) -> Cell:
    return Cell(duration(seconds), seconds)


def _item(row: Row) -> Cell:
    return Cell(duration(row.ns_per_item / 1e9), row.ns_per_item)


def _ratio(peer: PeerRow) -> Cell:
    return Cell(ratio(peer), peer.ratio)
