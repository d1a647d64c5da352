# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares recorded runs, old and new, and fails on a regression beyond the noise that was measured:

    python -m supervm.benchmarks.gate OLD NEW [--rates] [--json]

Either side is a file of results or a folder of them. In a folder the newest run of a suite counts, on the other side's
machine if there is one; runs of the same machine and commit are its repetitions: the median of them stands, and the range
between them is noise.

A row is compared by its ratio to a peer where it has one, since a ratio survives a slower minute and another machine. It
regressed if it did beyond noise against every peer of both sides. Rows without a peer are compared by their rate, on one
machine only unless `--rates` asks for it. The noise of a figure is the spread of the runs behind it, ours and the peer's
added up. Exit codes: 0 no regression, 1 regression, 2 a file cannot be read or nothing can be compared.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from supervm.benchmarks.errors import NothingToCompare, ResultsMalformed
from supervm.benchmarks.results import Recorded, read
from supervm.benchmarks.rows import PeerRow, Row, threads
from supervm.kernels.errors import SupervmError

LEAST_NOISE = 0.05
"""What two equal runs may differ by on the quietest machine: less is never called a change."""

UNMEASURED_NOISE = 0.35
"""Noise of a figure recorded without a spread: of three runs at one commit (`results/2026-11-24-…-3`, `-4` and `-5`), nine
in ten ratios stayed within a range of 0.5 to 0.7, half of which is laid to either side of a comparison."""

Verdict = Literal["regression", "improvement", "within noise", "not compared", "missing", "new"]
VERDICTS: tuple[Verdict, ...] = (
    "regression",
    "improvement",
    "missing",
    "new",
    "not compared",
    "within noise",
)


class Group(NamedTuple):
    """Runs that can be compared: of one suite, or its sweep, with or without a GPU."""

    suite: str
    sweep: bool
    device: bool


class Key(NamedTuple):
    """What makes a row the same row in another run."""

    operation: str
    backend: str
    threads: int
    batch: int
    transfers: str


@dataclass(frozen=True)
class Figure:
    """A ratio or a rate, and the fraction by which it may be off."""

    value: float
    noise: float


@dataclass(frozen=True)
class Comparison:
    """What became of one row.

    Args:
        suite: of the row.
        row: which, in words.
        verdict: see `Verdict`.
        by: what was compared, or why nothing was.
        old, new: the figures, None where there is none.
        noise: of both together; a change of less means nothing.
    """

    suite: str
    row: str
    verdict: Verdict
    by: str = ""
    old: float | None = None
    new: float | None = None
    noise: float | None = None

    @property
    def severity(self) -> float:
        """The change in units of its noise, in either direction."""
        if self.old is None or self.new is None or self.noise is None:
            return 0.0
        return abs(math.log(self.new / self.old)) / math.log1p(self.noise)

    def __str__(self) -> str:
        if self.old is None or self.new is None or self.noise is None:
            return f"{self.verdict:13} {self.row}{': ' * bool(self.by)}{self.by}"
        return (
            f"{self.verdict:13} {self.row}: {self.by} {self.old:,.4g} → {self.new:,.4g}, "
            f"{self.new / self.old - 1:+.0%}; noise {self.noise:.0%}"
        )


def compare(old: Sequence[Recorded], new: Sequence[Recorded], *, rates: bool = False) -> list[Comparison]:
    """Every row of the suites that both sides have, in the order of the old side, new rows behind.

    Args:
        old, new: the runs of either side.
        rates: compare rates of different machines too.

    Raises:
        NothingToCompare: no row of one side can be compared with one of the other.
    """
    before, after = _repetitions(old, new), _repetitions(new, old)
    found: list[Comparison] = []
    for group in before:
        if group in after:
            found += _compare_group(group, before[group], after[group], rates)
    if not any(each.old for each in found):
        reasons = sorted({each.by for each in found if each.by}) or [
            "the sides have no suite and row in common"
        ]
        raise NothingToCompare("; ".join(reasons))
    return found


def _repetitions(runs: Sequence[Recorded], others: Sequence[Recorded]) -> dict[Group, list[Recorded]]:
    """The newest run of each group, on a machine of the others if there is one, and its repetitions."""
    groups: dict[Group, list[Recorded]] = {}
    for run in sorted(runs, key=lambda run: run.recorded):
        groups.setdefault(_group(run), []).append(run)
    chosen = {}
    for group, all_runs in groups.items():
        machines = {other.machine for other in others if _group(other) == group}
        last = ([run for run in all_runs if run.machine in machines] or all_runs)[-1]
        chosen[group] = [run for run in all_runs if _origin(run) == _origin(last)]
    return chosen


def _group(run: Recorded) -> Group:
    return Group(run.suite, run.sweep, run.uses_device)


def _origin(run: Recorded) -> tuple[str, Any]:
    """Where and from what a run was made; without a known commit it is a repetition of nothing."""
    commit = run.environment.get("commit") or {"id": run.recorded}
    return run.machine, (commit["id"], run.recorded if commit.get("modified") else "")


def _compare_group(
    group: Group, old: Sequence[Recorded], new: Sequence[Recorded], rates: bool
) -> Iterator[Comparison]:
    same_machine = old[0].machine == new[0].machine
    before, after = _by_key(old), _by_key(new)
    for key, rows in before.items():
        name = _words(key)
        if key not in after:
            yield Comparison(group.suite, name, "missing")
            continue
        judged = list(_against_peers(group.suite, name, rows, after[key]))
        if judged:
            yield min(judged, key=lambda each: each.severity)
        elif same_machine or rates:
            yield _judge(group.suite, name, "items/s", *map(_rate, (rows, after[key])))
        else:
            reason = (
                f"no peer, and rates of {old[0].machine} and {new[0].machine} say nothing without --rates"
            )
            yield Comparison(group.suite, name, "not compared", reason)
    yield from (Comparison(group.suite, _words(key), "new") for key in after if key not in before)


def _by_key(runs: Iterable[Recorded]) -> dict[Key, list[Row]]:
    rows: dict[Key, list[Row]] = {}
    for run in runs:
        for row in run.rows:
            key = Key(row.operation, row.backend, row.threads, row.batch, row.transfers)
            rows.setdefault(key, []).append(row)
    return rows


def _against_peers(suite: str, name: str, old: Sequence[Row], new: Sequence[Row]) -> Iterator[Comparison]:
    before, after = _peers(old), _peers(new)
    for peer in before:
        if peer not in after:
            continue
        was, is_now = (side[peer][-1][1].version for side in (before, after))
        changed = f" ({was}, now {is_now})" if was != is_now else ""
        yield _judge(suite, name, f"ratio to {peer}{changed}", _ratio(before[peer]), _ratio(after[peer]))


def _peers(rows: Iterable[Row]) -> Mapping[str, list[tuple[Row, PeerRow]]]:
    peers: dict[str, list[tuple[Row, PeerRow]]] = {}
    for row in rows:
        for peer in row.peers:
            peers.setdefault(peer.name, []).append((row, peer))
    return peers


def _ratio(pairs: Sequence[tuple[Row, PeerRow]]) -> Figure:
    return _figure([peer.ratio for _, peer in pairs], [(row.spread, peer.spread) for row, peer in pairs])


def _rate(rows: Sequence[Row]) -> Figure:
    return _figure([row.items_per_second for row in rows], [(row.spread,) for row in rows])


def _figure(values: Sequence[float], spreads: Sequence[tuple[float | None, ...]]) -> Figure:
    """The median of the repetitions; their range, or the largest spread inside of one, is its noise."""
    inside = [sum(known) for each in spreads if len(known := [s for s in each if s is not None]) == len(each)]
    between = [max(values) / min(values) - 1] if len(values) > 1 else []
    return Figure(statistics.median(values), max(inside + between, default=UNMEASURED_NOISE))


def _judge(suite: str, name: str, by: str, old: Figure, new: Figure) -> Comparison:
    noise = max(LEAST_NOISE, old.noise + new.noise)
    verdict: Verdict = "within noise"
    if new.value * (1 + noise) < old.value:
        verdict = "regression"
    elif new.value > old.value * (1 + noise):
        verdict = "improvement"
    return Comparison(suite, name, verdict, by, old.value, new.value, noise)


def _words(key: Key) -> str:
    copies = ", with transfers" if key.transfers == "included" else ""
    return f"{key.operation}, {key.backend}{copies}, {threads(key.threads)}, batch {key.batch:,}"


def load(path: Path) -> list[Recorded]:
    """The runs of a file or a folder.

    Raises:
        ResultsMalformed: a file has another form, or the folder has no file of results.
        OSError: it cannot be read.
    """
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise ResultsMalformed(f"{path}: no file of results in this folder")
    return [read(file) for file in files]


def main(arguments: Sequence[str]) -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m supervm.benchmarks.gate",
        description="Fails on a regression beyond the noise that was measured.",
    )
    parser.add_argument("old", metavar="OLD", type=Path, help="a file of results, or a folder of them")
    parser.add_argument("new", metavar="NEW", type=Path, help="the same, of what is to be judged")
    parser.add_argument("--rates", action="store_true", help="compare rates of different machines too")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    asked = parser.parse_args(arguments)
    try:
        found = compare(load(asked.old), load(asked.new), rates=asked.rates)
    except (SupervmError, OSError) as error:
        if asked.json:
            print(
                json.dumps({"error": {"type": type(error).__name__, "message": str(error)}, "exit_code": 2})
            )
        print(f"error: {error}", file=sys.stderr)
        return 2
    counts = {verdict: sum(each.verdict == verdict for each in found) for verdict in VERDICTS}
    code = 1 if counts["regression"] else 0
    if asked.json:
        answer = {"counts": counts, "rows": [asdict(each) for each in found], "exit_code": code}
        print(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        for verdict in VERDICTS[:-1]:
            print(*(f"{each}\n" for each in found if each.verdict == verdict), sep="", end="")
        print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
