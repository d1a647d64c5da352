# SPDX-License-Identifier: GPL-3.0-or-later
"""The rate of a node beside that of `supervm run`: `python -m supervm.benchmarks.node --help`.

Both execute the same blocks into a new directory, in turns in one process. The clock of a run begins with decoded blocks
whose keys are numbered, a node's with files. Processor time counts all threads of the process, so that other work on the
machine changes it little; the collector of garbage runs before each measurement, not in it.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import NamedTuple

from supervm.engine.config import EngineConfig
from supervm.engine.engine import Engine
from supervm.engine.workloads import Workload, write_workload
from supervm.engine.workloads.generate import generate
from supervm.engine.workloads.run import place_genesis, warm
from supervm.engine.workloads.workload import Parameters
from supervm.kernels.threads import set_threads
from supervm.tiers.node.blocks import GENESIS_FILE, chain_of, genesis_hash_of, write_block
from supervm.tiers.node.full_node import FullNode


class Measured(NamedTuple):
    """Seconds, of all threads' processor time and of the clock, and the root that came of them."""

    seconds: tuple[float, float]
    root: bytes


def main(arguments: list[str] | None = None) -> None:
    """Measure what the command line says and print it."""
    parser = argparse.ArgumentParser(description="The rate of a node beside that of `supervm run`.")
    parser.add_argument("--workload", default="transfers", help="as `supervm run` names it")
    parser.add_argument("--transactions", type=int, default=40_000)
    parser.add_argument("--block-size", type=int, default=4_000)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5, help="of each, in turns")
    parser.add_argument("--unsigned", action="store_true")
    given = parser.parse_args(arguments)
    signed = not given.unsigned
    parameters = Parameters(
        transactions=given.transactions, accounts=given.accounts, block_size=given.block_size, signed=signed
    )
    workload = generate(given.workload, parameters)
    config = EngineConfig(threads=given.threads, signatures=signed)
    set_threads(given.threads)
    warm(config, signed=signed)
    with tempfile.TemporaryDirectory() as folder:
        chain = Path(folder) / "chain"
        _write_chain(chain, workload)
        ways: dict[str, Callable[[Path], Measured]] = {
            "run": lambda state: _run(workload, config, state),
            "node": lambda state: _node(chain, len(workload), config, state),
        }
        found: dict[str, list[Measured]] = {name: [] for name in ways}
        for number in range(given.runs + 1):
            for name, measure in ways.items():
                state = Path(folder) / f"{name}{number}"
                found[name].append(measure(state))
    _print(given.transactions, {name: every[1:] for name, every in found.items()})


def _write_chain(folder: Path, workload: Workload) -> None:
    folder.mkdir()
    nothing = replace(
        workload, transactions=workload.transactions.slice(0, 0), block_offsets=workload.block_offsets[:1]
    )
    write_workload(folder / GENESIS_FILE, nothing)
    for number, data in enumerate(chain_of(workload.blocks, genesis_hash_of(folder / GENESIS_FILE)), 1):
        write_block(folder, number, data)


def _run(workload: Workload, config: EngineConfig, state: Path) -> Measured:
    with Engine.open(state, config) as engine:
        place_genesis(engine, workload.genesis)
        blocks = [engine.intern(block) for block in workload.blocks]
        storage = engine.state.storage
        assert storage is not None

        def execute() -> None:
            for _ in engine.run(blocks):
                pass
            storage.flush()

        return Measured(_timed(execute), engine.state_root)


def _node(chain: Path, last: int, config: EngineConfig, state: Path) -> Measured:
    with FullNode(state, chain / GENESIS_FILE, config, blocks=chain) as node:
        return Measured(_timed(lambda: node.run(last)), node.engine.state_root)


def _timed(work: Callable[[], None]) -> tuple[float, float]:
    gc.collect()
    processor, clock = process_time(), perf_counter()
    work()
    return process_time() - processor, perf_counter() - clock


def _print(transactions: int, found: dict[str, list[Measured]]) -> None:
    roots = {each.root for every in found.values() for each in every}
    if len(roots) != 1:
        raise SystemExit(f"different roots: {sorted(root.hex() for root in roots)}")
    for place, kind in enumerate(("processor time", "clock")):
        rates = {
            name: [transactions / each.seconds[place] for each in every] for name, every in found.items()
        }
        words = ", ".join(
            f"{name} {median(each):,.0f}/s (best {max(each):,.0f})" for name, each in rates.items()
        )
        ratios = [node / run for run, node in zip(rates["run"], rates["node"], strict=True)]
        print(f"{kind}: {words}; node ÷ run {median(ratios):.2f} (median of {len(ratios)} pairs)")


if __name__ == "__main__":
    main()
