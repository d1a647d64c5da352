# SPDX-License-Identifier: GPL-3.0-or-later
"""The suite `execution`: blocks of transactions from decoded batch to committed root.

A run is a fresh engine, a genesis, and all blocks of a workload; only the blocks are timed. The runs of a case take turns,
parallel beside sequential, persisted beside in memory, and the best of each counts. Beside a row stands what it is to be
compared with, the engine itself in another mode: `ratio` is the row's rate ÷ that one's. Before that every run of a case
must have come to the same state root and have kept every unit of money.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter

import numpy as np

from supervm.benchmarks.cases import EXECUTION
from supervm.benchmarks.errors import RunsDisagree
from supervm.benchmarks.measure import Timing
from supervm.benchmarks.rows import PeerRow, Row
from supervm.crypto.messages import Messages
from supervm.engine.config import EngineConfig, Mode
from supervm.engine.engine import Engine
from supervm.engine.state.keys import storage_keys
from supervm.engine.workloads.generate import PRIVATE, generate
from supervm.engine.workloads.private_transfers import benchmark_verifier
from supervm.engine.workloads.run import run_workload, warm
from supervm.engine.workloads.workload import Parameters, Workload
from supervm.kernels import registry
from supervm.tiers.environment import version

TRANSACTIONS, ACCOUNTS, BLOCK = 1_000_000, 100_000, 10_000

SIGNED_TRANSACTIONS, SIGNED_ACCOUNTS = 100_000, 10_000
"""Signing takes longer than checking, and every signature is another."""

PRIVATE_TRANSACTIONS, PRIVATE_ACCOUNTS, PRIVATE_BLOCK = 8_000, 1_000, 1_000
"""Calls of a shielded pool; making a proof takes longer than checking it, even where it is simulated."""

OPENED_KEYS = 1_000_000

ROUNDS = 3

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Setting:
    """One of the runs that a case compares.

    Args:
        name: as it stands beside other rows.
        threads, mode: of the engine.
        signatures: whether they are checked.
        persisted: whether the state is kept in RocksDB.
        private: whether there are proofs to verify.
    """

    name: str
    threads: int
    mode: Mode
    signatures: bool = False
    persisted: bool = False
    private: bool = False

    @property
    def config(self) -> EngineConfig:
        """The engine's configuration; where the state is kept is no part of it."""
        verifier = benchmark_verifier() if self.private else None
        return EngineConfig(
            threads=self.threads, mode=self.mode, signatures=self.signatures, verifier=verifier
        )


@dataclass(frozen=True)
class Case:
    """A workload and the settings that it runs in; each but the first has a row beside the first.

    Args:
        operation: of the rows.
        workload: by name.
        parameters: of the workload.
        settings: see above.
    """

    operation: str
    workload: str
    parameters: Parameters
    settings: tuple[Setting, ...]


@dataclass
class _Runs:
    """What the runs of a setting showed; `stages` are those of the best one."""

    seconds: list[float] = field(default_factory=list)
    committed: int = 0
    stages: dict[str, float] = field(default_factory=dict)
    roots: set[bytes] = field(default_factory=set)


ALONE = Setting("sequential mode", 1, Mode.SEQUENTIAL)
PARALLEL = Setting("parallel mode", 2, Mode.PARALLEL)


def cases(transactions: int | None = None) -> list[Case]:
    """Every case, with its usual number of transactions or this one."""
    usual = Parameters(
        transactions=transactions or TRANSACTIONS,
        accounts=ACCOUNTS,
        block_size=BLOCK,
        declared=True,
        gas_price=0,
    )
    signed = replace(
        usual, transactions=transactions or SIGNED_TRANSACTIONS, accounts=SIGNED_ACCOUNTS, signed=True
    )
    one_block = replace(usual, block_size=usual.transactions, declared=False)
    both = (ALONE, PARALLEL)
    return [
        Case("execution.token", "token", usual, (*both, replace(ALONE, name="persisted", persisted=True))),
        Case("execution.token [undeclared]", "token", replace(usual, declared=False), both),
        Case(
            "execution.token [5 hot accounts, 80 %]", "token", replace(usual, hot_keys=5, hot_share=0.8), both
        ),
        Case(
            "execution.token [1 hot account, 100 %]", "token", replace(usual, hot_keys=1, hot_share=1.0), both
        ),
        Case(
            "execution.transfers [one block]",
            "transfers",
            one_block,
            (replace(PARALLEL, name="one thread", threads=1), PARALLEL),
        ),
        Case("execution.mixed", "mixed", replace(usual, gas_price=1), both),
        Case(
            "execution.token [Ed25519]",
            "token",
            signed,
            tuple(replace(setting, signatures=True) for setting in both),
        ),
        Case(
            "execution.private",
            PRIVATE,
            replace(
                usual,
                transactions=transactions or PRIVATE_TRANSACTIONS,
                accounts=PRIVATE_ACCOUNTS,
                block_size=PRIVATE_BLOCK,
            ),
            tuple(replace(setting, private=True) for setting in both),
        ),
    ]


def run_execution(
    *, threads: int | None = None, transactions: int | None = None, progress: Progress | None = None
) -> list[Row]:
    """Measure the suite.

    Args:
        threads: only rows with this number.
        transactions: of every workload; by default each case's own number.
        progress: told about each step before it runs: done, in all, name.

    Raises:
        RunsDisagree: two runs of one workload ended in different states, or money appeared or vanished.
        MissingPackage: `cryptography`, which signs the transactions, is not installed.
    """
    listed = cases(transactions)
    steps = len(listed) + 1
    tell = progress or (lambda done, total, name: None)
    rows: list[Row] = []
    for done, case in enumerate(listed):
        wanted = [setting for setting in case.settings if threads in (None, setting.threads)]
        if wanted:
            tell(done, steps, case.operation)
            rows += _rows(case, wanted)
    tell(steps - 1, steps, "state.open")
    if threads in (None, 1):
        rows.append(_opening(transactions or OPENED_KEYS))
    return rows


def _rows(case: Case, settings: list[Setting]) -> Iterator[Row]:
    workload = generate(case.workload, case.parameters)
    for setting in settings:
        warm(setting.config, signed=setting.signatures)
    runs = {setting: _Runs() for setting in settings}
    for _ in range(ROUNDS):
        for setting in settings:
            _run(case, workload, setting, runs[setting])
    roots = set().union(*(each.roots for each in runs.values()))
    if len(roots) > 1:
        raise RunsDisagree(case.operation, f"{len(roots)} different state roots", "one")
    shown = {setting: Timing.of(each.committed, each.seconds) for setting, each in runs.items()}
    first = settings[0]
    alone = shown[first]
    for setting, own in shown.items():
        beside = []
        if setting != first:
            beside = [PeerRow(first.name, version(), alone.rate, own.rate / alone.rate, alone.spread)]
        name = case.operation if not setting.persisted else f"{case.operation} [persisted]"
        row = _row(name, setting.threads, len(workload.transactions), own, tuple(beside))
        yield replace(row, stages=runs[setting].stages)


def _run(case: Case, workload: Workload, setting: Setting, runs: _Runs) -> None:
    """Run a workload once, without Python's garbage collection, and keep what it showed."""
    gc.collect()
    gc.disable()
    try:
        with tempfile.TemporaryDirectory(prefix="supervm-bench-") as folder:
            path = Path(folder) / "state" if setting.persisted else None
            run = run_workload(workload, setting.config, path=path)
    finally:
        gc.enable()
    if not run.conserved or run.rejected:
        found = f"{run.rejected} rejected, {'all' if run.conserved else 'not all'} money there"
        raise RunsDisagree(case.operation, found, "none rejected, all money there")
    runs.seconds.append(run.seconds)
    runs.committed = run.committed
    if run.seconds == min(runs.seconds):
        runs.stages = run.stages
    runs.roots.add(run.state_root)


def _opening(keys: int) -> Row:
    """Open a state of so many keys of 32 bytes with values of 32 bytes, of which half lie in the log."""
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(prefix="supervm-bench-") as folder:
        with Engine.open(folder) as engine:
            for first in range(0, keys, ACCOUNTS):
                count = min(ACCOUNTS, keys - first)
                rows = random.integers(0, 256, (count, 64), np.uint8)
                names = storage_keys(np.zeros(20, np.uint8), np.ascontiguousarray(rows[:, :32]))
                engine.preset(Messages.of(names), Messages.of(np.ascontiguousarray(rows[:, 32:])))
            root = engine.state_root
        seconds = []
        for _ in range(ROUNDS):
            began = perf_counter()
            with Engine.open(folder) as engine:
                seconds.append(perf_counter() - began)
                if engine.state_root != root:
                    raise RunsDisagree("state.open", engine.state_root.hex(), root.hex())
    return _row("state.open", 1, keys, Timing.of(keys, seconds), ())


def _row(operation: str, threads: int, batch: int, own: Timing, beside: tuple[PeerRow, ...]) -> Row:
    backend = registry.resolve("sha256").name
    return Row(
        EXECUTION, operation, backend, threads, batch, own.rate, 1e9 / own.rate, "none", beside, own.spread
    )
