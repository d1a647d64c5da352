# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the summary into both READMEs, and every figure, the losses and the sweeps into benchmarks/README.md.

    python -m supervm.benchmarks.table

The text between the markers `<!-- measured -->` and `<!-- /measured -->` (and likewise the others of `PAGES`) comes from
the last recorded run of each suite on each machine, `growth` from the last sweeps, and nothing from elsewhere; a test
compares them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path

from supervm.benchmarks.cases import CLUSTER, EVM, EXECUTION, SERVICE, SHARDS
from supervm.benchmarks.errors import ResultsMalformed
from supervm.benchmarks.results import Recorded, latest
from supervm.benchmarks.rows import Row, rate, ratio, short
from supervm.engine.files.whole_files import write_whole

DEVICE_BATCH = 1 << 20
"""The batch whose rates stand in a device's table, or the largest that was measured."""

CHECKOUT = Path(__file__).resolve().parent.parent
PAGES = {
    "summary": CHECKOUT / "README.md",
    "summary in Chinese": CHECKOUT / "README.zh-CN.md",
    "measured": CHECKOUT / "benchmarks" / "README.md",
    "losses": CHECKOUT / "benchmarks" / "README.md",
    "growth": CHECKOUT / "benchmarks" / "README.md",
}
SUMMARY = (
    "ed25519.verify",
    "secp256k1.ecdsa_verify",
    "secp256k1.ecdsa_recover",
    "sha256",
    "keccak256",
    "bn254.poseidon.t3",
    "bn254.g1.msm",
    "bn254.ntt",
    "conflicts.detect",
    "execution.token",
)
"""The operations of the READMEs' table, in its order."""

HEADINGS = {
    "operation": "操作",
    "backend": "后端",
    "one thread": "单线程",
    "all threads": "全部线程",
    "compared with, on one thread": "对照（单线程）",
    "ours ÷ theirs": "本项目 ÷ 对方",
}
"""Every heading of `summary`, in Chinese."""

_HEAD = re.compile(r"^\|(.*)\|\n(?=\|---)", re.MULTILINE)


def summary(runs: Sequence[Recorded]) -> str:
    """One line for each operation of `SUMMARY`, then the machines and the commands.

    A line is that of the fastest processor backend in the last run that has the operation, beside the fastest peer.

    Raises:
        ResultsMalformed: no run has one of the operations.
    """
    chosen = {name: _last_with(runs, name) for name in SUMMARY}
    head = (
        "| operation | backend | one thread | all threads | compared with, on one thread | ours ÷ theirs |\n"
        "|---|---|---:|---:|---|---:|"
    )
    lines = [_summary_line(run, name) for name, run in chosen.items()]
    commands: dict[str, dict[str, None]] = {}
    for run in chosen.values():
        commands.setdefault(_machine(run), {})[f"`{run.command}`"] = None
    machines = [f"- {', '.join(used)}: {machine}" for machine, used in commands.items()]
    return "\n".join([head, *lines, "", *machines])


def summary_in_chinese(runs: Sequence[Recorded]) -> str:
    """The same table under Chinese headings."""
    return headed(summary(runs))


def headed(tables: str) -> str:
    """Tables in Markdown with their headings in Chinese; a heading that is not listed stays."""
    return _HEAD.sub(lambda head: "|" + "|".join(map(_in_chinese, head[1].split("|"))) + "|\n", tables)


def _in_chinese(cell: str) -> str:
    text = cell.strip()
    return f" {HEADINGS.get(text, text)} "


def measured(runs: Sequence[Recorded]) -> str:
    """One table for each run: a line for each operation and backend."""
    return "\n\n".join(_table_of(run) for run in runs)


def losses(runs: Sequence[Recorded]) -> str:
    """Every row in which a peer was faster, best backend first."""
    lines = []
    for run in runs:
        for row in run.rows:
            for peer in row.peers:
                if peer.ratio < 1:
                    lines.append(
                        f"| `{row.operation}` | {row.backend} | {row.threads} | {row.batch:,} "
                        f"| {rate(row)} | {peer.name} {short(peer.items_per_second)}/s | {ratio(peer)} |"
                    )
    head = (
        "| operation | backend | threads | batch | ours | peer | ratio |\n|---|---|---:|---:|---:|---:|---:|"
    )
    return "\n".join([head, *lines])


def growth(runs: Sequence[Recorded]) -> str:
    """One table for each sweep: a line for each operation, a column for each size, milliseconds of a call."""
    return "\n\n".join(map(_growth_table, runs))


def _growth_table(run: Recorded) -> str:
    sizes = sorted({row.batch for row in run.rows})
    head = f"{_heading(run)}\n\n| ms a call | " + " | ".join(f"2^{size.bit_length() - 1}" for size in sizes)
    lines = [f"{head} |", "|---|" + "---:|" * len(sizes)]
    for name in dict.fromkeys(row.operation for row in run.rows):
        times = {
            row.batch: row.batch / row.items_per_second * 1e3 for row in run.rows if row.operation == name
        }
        lines.append(f"| `{name}` | " + " | ".join(f"{times[size]:,.2f}" for size in sizes) + " |")
    return "\n".join(lines)


def with_section(page: str, name: str, text: str) -> str:
    """`page` with `text` between the markers of `name`.

    Raises:
        ResultsMalformed: the page does not have these markers once.
    """
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if len(pattern.findall(page)) != 1:
        raise ResultsMalformed(f"markers <!-- {name} --> and <!-- /{name} --> are not there exactly once")
    return pattern.sub(lambda match: f"{match[1]}{text}\n{match[2]}", page)


def main() -> None:
    """Rewrite the pages."""
    runs, sweeps = latest(), latest(sweep=True)
    sections = {
        "summary": summary(runs),
        "summary in Chinese": summary_in_chinese(runs),
        "measured": measured(runs),
        "losses": losses(runs),
        "growth": growth(sweeps),
    }
    for name, text in sections.items():
        page = PAGES[name]
        write_whole(page, with_section(page.read_text("utf-8"), name, text).encode())


def _last_with(runs: Sequence[Recorded], operation: str) -> Recorded:
    """The last run on processors alone that has the operation."""
    having = [
        run for run in runs if not run.uses_device and any(row.operation == operation for row in run.rows)
    ]
    if not having:
        raise ResultsMalformed(f"no recorded run on processors alone has '{operation}'")
    return max(having, key=lambda run: run.recorded)


def _summary_line(run: Recorded, operation: str) -> str:
    """One line: the fastest backend on one thread and on all, and the peer that comes closest."""
    full = [row for row in run.rows if row.operation == operation and row.batch > 1]
    one = max((row for row in full if row.threads == 1), key=lambda row: row.items_per_second)
    most = max(row.threads for row in full)
    every = next(row for row in full if (row.backend, row.threads) == (one.backend, most))
    peer = min(one.peers, key=lambda peer: peer.ratio, default=None)
    cells = [
        f"`{operation}`",
        one.backend,
        rate(one),
        rate(every),
        f"{peer.name} {peer.version}" if peer else "",
        ratio(peer) if peer else "",
    ]
    return f"| {' | '.join(cells)} |"


def _table_of(run: Recorded) -> str:
    if run.suite == EXECUTION:
        return _execution_table(run)
    if run.suite == EVM:
        return _evm_table(run)
    if run.suite == SERVICE:
        return _service_table(run)
    if run.suite == SHARDS:
        return _shards_table(run)
    if run.suite == CLUSTER:
        return _cluster_table(run)
    return _device_table(run) if run.uses_device else _table(run)


def _execution_table(run: Recorded) -> str:
    """What ran, on how many threads, and what it stands beside."""
    columns = "workload | transactions | threads | committed a second | ns each"
    return _by_rows(run, columns, lambda row: f"{row.ns_per_item:,.0f}", ", one thread")


def _evm_table(run: Recorded) -> str:
    """What ran, its gas, on how many threads, gas a second, and what it stands beside."""
    columns = "program or block | gas | threads | gas a second | ns a gas"
    return _by_rows(run, columns, lambda row: f"{row.ns_per_item:,.2f}", ", one thread")


def _shards_table(run: Recorded) -> str:
    """The traffic, transactions of a block, threads of all shards, the rate, and what it stands beside."""
    columns = "traffic | transactions of a block | threads of all shards | committed a second | ns each"
    return _by_rows(run, columns, lambda row: f"{row.ns_per_item:,.0f}", "")


def _service_table(run: Recorded) -> str:
    """The load, its rate and how long answers take, and what it stands beside."""
    columns = "load | batch | threads | signatures a second | 99 of 100 answered within"
    return _by_rows(run, columns, lambda row: f"{row.p99_ms or 0:.1f} ms", "")


def _cluster_table(run: Recorded) -> str:
    """The work, its size, on how many nodes of one core, and what it stands beside."""
    columns = "work | items | nodes | items a second | ns each"
    return _by_rows(run, columns, lambda row: f"{row.ns_per_item:,.0f}", ", one core")


def _by_rows(run: Recorded, columns: str, last: Callable[[Row], str], peers: str) -> str:
    """One line a row: operation, batch, threads, rate, one more, and peers.

    Args:
        columns: names of the first five.
        last: what stands in the fifth.
        peers: behind the name of each.
    """
    head = f"{_heading(run)}\n\n| {columns} | beside |\n|---|---:|---:|---:|---:|---|"
    lines = [
        f"| `{row.operation}` | {row.batch:,} | {row.threads} | {rate(row)} | {last(row)} | "
        + "; ".join(f"{peer.name}{peers}: {ratio(peer)}" for peer in row.peers)
        + " |"
        for row in run.rows
    ]
    return "\n".join([head, *lines])


def _device_table(run: Recorded) -> str:
    """One line an operation: kernels alone, end to end, the latency of a small batch, and peers."""
    hardware, versions = run.environment["hardware"], run.environment["versions"]
    cards = ", ".join(dict.fromkeys(gpu["name"] for gpu in hardware["gpus"]))
    known = ("nvidia driver", "cuda runtime", "nvrtc", "cupy", "python", "numpy")
    used = ", ".join(f"{name} {versions[name]}" for name in known if versions.get(name))
    head = (
        f"**{run.suite}**: {cards} beside {hardware['cpu']}, {hardware['cores']} cores; {used}; "
        f"{run.recorded[:10]}; `{run.command}`\n\n"
        "| operation | batch | kernels alone | end to end | smallest batch, end to end | "
        "beside, on one CPU thread (end to end ÷ theirs) |\n|---|---:|---:|---:|---:|---|"
    )
    names = dict.fromkeys(row.operation for row in run.rows if row.backend == "cuda")
    lines = [
        _device_line([row for row in run.rows if (row.operation, row.backend) == (name, "cuda")])
        for name in names
    ]
    return "\n".join([head, *lines])


def _device_line(rows: Sequence[Row]) -> str:
    """One line from a device's rows of one operation."""
    through = [row for row in rows if row.transfers == "included"]
    shown = next(
        (row for row in through if row.batch == DEVICE_BATCH), max(through, key=lambda row: row.batch)
    )
    alone = next((row for row in rows if row.transfers == "none" and row.batch == shown.batch), None)
    least = min(through, key=lambda row: row.batch)
    cells = [
        f"`{shown.operation}`",
        f"{shown.batch:,}",
        rate(alone) if alone else "",
        rate(shown),
        f"{least.batch:,} in {least.batch * least.ns_per_item / 1000:,.0f} µs" if least is not shown else "",
        "; ".join(
            f"{peer.name} {peer.version}: {ratio(peer)} at {row.batch:,}"
            for row in through
            for peer in row.peers
        ),
    ]
    return f"| {' | '.join(cells)} |"


def _table(run: Recorded) -> str:
    most = max(row.threads for row in run.rows)
    head = (
        f"{_heading(run)}\n\n"
        f"| operation | backend | batch | one thread | {most} threads | one item alone | "
        "beside, on one thread (ours ÷ theirs) |\n|---|---|---:|---:|---:|---:|---|"
    )
    ordered = sorted(enumerate(run.rows), key=lambda pair: _first_place(run.rows, pair[1]))
    lines = [
        _line([row for _, row in group], most)
        for _, group in groupby(ordered, key=lambda pair: (pair[1].operation, pair[1].backend))
    ]
    return "\n".join([head, *lines])


def _heading(run: Recorded) -> str:
    return f"**{run.suite}**: {_machine(run)}; `{run.command}`"


def _machine(run: Recorded) -> str:
    """Processor, versions and day."""
    hardware, versions = run.environment["hardware"], run.environment["versions"]
    return (
        f"{hardware['cpu']}, {hardware['cores']} cores; Python {versions['python']}, "
        f"Numba {versions['numba']}, NumPy {versions['numpy']}; {run.recorded[:10]}"
    )


def _first_place(rows: Sequence[Row], row: Row) -> int:
    """Where the first row of the same operation and backend stands."""
    return next(i for i, r in enumerate(rows) if (r.operation, r.backend) == (row.operation, row.backend))


def _line(rows: Iterable[Row], most: int) -> str:
    """One line from the rows of one operation on one backend."""
    rows = list(rows)
    full = [row for row in rows if row.batch > 1]
    one = next(row for row in full if row.threads == 1)
    many = next((row for row in full if row.threads == most), None)
    single = next((row for row in rows if row.batch == 1), None)
    cells = [
        f"`{one.operation}`",
        one.backend,
        f"{one.batch:,}",
        rate(one),
        rate(many) if many else "",
        f"{single.ns_per_item / 1000:.0f} µs" if single else "",
        "; ".join(f"{peer.name} {peer.version}: {ratio(peer)}" for peer in one.peers),
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
