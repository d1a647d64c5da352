# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a workload on an engine, genesis and then blocks, and reports results and speed.

The time of a run goes from decoded blocks, whose keys are numbered, to the last committed root; signatures are verified
inside of it, and what is persisted has been written at its end. Kernels are to be compiled before: `warm`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np

from supervm.engine.blocks.interning import InternedBatch
from supervm.engine.blocks.receipts import Path as ExecutionPath
from supervm.engine.blocks.receipts import Receipts
from supervm.engine.blocks.result import BlockResult
from supervm.engine.config import Collection, EngineConfig, Mode, Schedule
from supervm.engine.engine import Engine
from supervm.engine.state import genesis as genesis_rules
from supervm.engine.workloads.conservation import holdings
from supervm.engine.workloads.generate import PRIVATE, generate
from supervm.engine.workloads.pool_calls import CONTRACT as POOL
from supervm.engine.workloads.workload import Deployment, Genesis, Parameters, Workload
from supervm.kernels.errors import ArgumentError
from supervm.vm import contracts
from supervm.vm.outcomes import Reason

Progress = Callable[[int, int], None]
"""Called with how many blocks are done and how many there are."""

WARM_TRANSACTIONS, WARM_ACCOUNTS = 600, 2_000
"""Enough of them for threads to share a block, few enough for some of them to meet, and not so few that it is not worth
executing ahead."""

WARM_CALLS = 160
"""Calls of a shielded pool, enough for threads to share them."""

WARM_PRIVATE = 0.1
"""Private transactions: enough for some of their proofs to be wrong, which takes other code."""

_COLLECTIONS = (
    Collection(history_bytes=0),
    Collection(threshold=0, least_interval=0.0, most_interval=0.0),
)
"""Old versions go at once, or at a pass after every block: both ways are taken when more is in the state."""


@dataclass(frozen=True, eq=False)
class WorkloadRun:
    """What a workload came to.

    Args:
        mode, threads: of the engine.
        results: of its blocks.
        seconds: see above.
        conserved: no money and no unit of a sample contract appeared or vanished.
        state_root: after the last block, or of the genesis if there is none.
        stages: seconds by stage, over all blocks; stages overlap.
    """

    mode: Mode
    threads: int
    results: tuple[BlockResult, ...]
    seconds: float
    conserved: bool
    state_root: bytes
    stages: dict[str, float]

    @property
    def committed(self) -> int:
        """Transactions that are part of the state, failed ones among them."""
        return sum(result.stats.committed for result in self.results)

    @property
    def rejected(self) -> int:
        """Transactions that changed nothing."""
        return sum(result.stats.rejected for result in self.results)

    @property
    def failed(self) -> int:
        """Committed transactions that paid their gas and did nothing else."""
        return sum(result.stats.failed for result in self.results)

    @property
    def private(self) -> int:
        """Committed private transactions, calls of pools among them."""
        receipts = [result.receipts for result in self.results]
        paths = (ExecutionPath.PRIVACY, ExecutionPath.POOL)
        return sum(int((each.accepted & np.isin(each.path, paths)).sum()) for each in receipts)

    @property
    def refused_proofs(self) -> int:
        """Private transactions that were rejected for their proof."""
        reasons = (Reason.BAD_PROOF, Reason.MALFORMED_PROOF)
        return sum(int(np.isin(result.receipts.reason, reasons).sum()) for result in self.results)

    @property
    def rate(self) -> float:
        """Committed transactions a second."""
        return self.committed / self.seconds if self.seconds else 0.0

    @property
    def gas(self) -> int:
        """Used by all transactions."""
        return sum(int(result.receipts.gas.sum()) for result in self.results)

    @property
    def conflict_rate(self) -> float:
        """Transactions that speculation had to repeat ÷ those that did not take the fast path."""
        stats = [result.stats for result in self.results]
        slow = sum(each.transactions - each.fast for each in stats)
        return sum(each.repeated for each in stats) / slow if slow else 0.0


@dataclass(frozen=True)
class Difference:
    """Where two runs differ first.

    Args:
        block: its position in the workload, from 0.
        transaction: its position in the block, from 0; None if all receipts are equal.
        what: differs there.
        first, second: what the runs say, in words.
    """

    block: int
    transaction: int | None
    what: str
    first: str
    second: str

    def __str__(self) -> str:
        place = f"block {self.block}"
        if self.transaction is not None:
            place += f", transaction {self.transaction}"
        return f"{place}: {self.what}: {self.first}, {self.second}"


def run_workload(
    workload: Workload,
    config: EngineConfig,
    *,
    path: Path | str | None = None,
    progress: Progress | None = None,
) -> WorkloadRun:
    """Run a workload on an engine of its own.

    Args:
        workload: what to run.
        config: of the engine.
        path: a directory, absent or empty, where the state is kept; None keeps it in memory.
        progress: called before the first block and after each.

    Raises:
        ArgumentError: a directory that is not empty, or a genesis that cannot be.
        ContractRejected: never for what `generate` makes.
        StorageUnavailable, StorageFailed: the directory cannot be used.
    """
    if path is not None:
        _check_fresh(Path(path))
    with Engine.open(path, replace(config, evm=workload.genesis.evm)) as engine:
        place_genesis(engine, workload.genesis)
        before = holdings(engine, workload.genesis)
        interned = [engine.intern(block) for block in workload.blocks]
        results, stages, seconds = _execute(engine, interned, progress or (lambda done, total: None))
        after = holdings(engine, workload.genesis)
        given = genesis_rules.total(workload.genesis.balances)
        conserved = before == after and after.consistent and after.money == given
        return WorkloadRun(
            config.mode, config.threads, tuple(results), seconds, conserved, engine.state_root, stages
        )


def _execute(
    engine: Engine, blocks: list[InternedBatch], tell: Progress
) -> tuple[list[BlockResult], dict[str, float], float]:
    """Results, seconds by stage, and seconds in all."""
    storage, results = engine.state.storage, []
    tell(0, len(blocks))
    began = perf_counter()
    # One by one means one thread in all: nothing is verified ahead on another one.
    one_by_one = engine.config.mode is Mode.SEQUENTIAL
    for result in map(engine.execute, blocks) if one_by_one else engine.run(blocks):
        results.append(result)
        tell(len(results), len(blocks))
    executed = perf_counter()
    if storage is not None:
        storage.flush()
    ended = perf_counter()
    stages: dict[str, float] = {}
    for result in results:
        for name, seconds in result.stats.stages.items():
            stages[name] = stages.get(name, 0.0) + seconds
    if storage is not None:
        stages["flush"] = ended - executed
    return results, stages, ended - began


def place_genesis(engine: Engine, genesis: Genesis) -> int:
    """Make a genesis the state of an engine that has none, or go on where that was broken off; the height after it.

    Each step is a commit of its own, so the engine's height says which of them were made.

    Raises:
        ArgumentError: an unknown contract, an address that is not the deployment's, or entries that cannot be.
    """
    steps: list[Callable[[], object]] = [
        functools.partial(_deploy, engine, deployment) for deployment in genesis.deployments
    ]
    if len(genesis.addresses):
        steps.append(functools.partial(engine.credit, genesis.addresses, genesis.balances))
    if len(genesis.object_ids):
        objects = (genesis.object_ids, genesis.object_owners, genesis.object_kinds)
        steps.append(functools.partial(engine.create_objects, *objects))
    if len(genesis.keys):
        steps.append(functools.partial(engine.preset, genesis.keys, genesis.values))
    for step in steps[engine.height :]:
        step()
    return len(steps)


def _deploy(engine: Engine, deployment: Deployment) -> None:
    if deployment.contract == POOL:
        address = engine.create_pool(deployment.salt)
    else:
        address = engine.deploy(contracts.load(deployment.contract), deployment.salt)
    if address != deployment.address:
        found = f"contract '{deployment.contract}' at {deployment.address.hex()}"
        raise ArgumentError("workload", found, f"{address.hex()}, where this version deploys it")


def first_difference(first: WorkloadRun, second: WorkloadRun) -> Difference | None:
    """Where two runs of one workload differ first, block by block; None if receipts and roots are all equal."""
    names = (first.mode.value, second.mode.value)
    for block, (one, other) in enumerate(zip(first.results, second.results, strict=True)):
        if not one.receipts.equals(other.receipts):
            row = _first_row(one.receipts, other.receipts)
            words = [f"{name} {run.receipts[row]}" for name, run in zip(names, (one, other), strict=True)]
            return Difference(block, row, "receipts", *words)
        if one.state_root != other.state_root:
            words = [f"{name} {run.state_root.hex()}" for name, run in zip(names, (one, other), strict=True)]
            return Difference(block, None, "state roots", *words)
    return None


def warm(config: EngineConfig, *, signed: bool = False) -> None:
    """Compile what runs of workloads execute, or load it from the cache, on engines that are thrown away.

    Args:
        config: of the runs; both modes are warmed, and with a verifier the verification of proofs.
        signed: warm the verification of signatures too.

    Raises:
        MissingPackage: signatures are asked for, and `cryptography` is not installed.
    """
    parameters = Parameters(
        transactions=WARM_TRANSACTIONS,
        accounts=WARM_ACCOUNTS,
        block_size=WARM_TRANSACTIONS // 2,
        declared=True,
        signed=signed,
        object_share=0.1,
    )
    transfers = generate("transfers", parameters)
    proofs = config.verifier is not None
    mixed = generate("mixed", replace(parameters, private_share=WARM_PRIVATE if proofs else 0.0))
    config = replace(config, signatures=signed)
    if proofs:
        calls = replace(parameters, transactions=WARM_CALLS, block_size=WARM_CALLS // 2, object_share=0.0)
        run_workload(generate(PRIVATE, calls), replace(config, mode=Mode.PARALLEL))
    for schedule in {Schedule.AUTO, config.schedule}:
        run_workload(mixed, replace(config, mode=Mode.PARALLEL, schedule=schedule))
    for mode, collection in zip(Mode, _COLLECTIONS, strict=True):
        run_workload(transfers, replace(config, mode=mode, collection=collection))
    run_workload(mixed, replace(config, mode=Mode.SEQUENTIAL))
    with Engine.open(None, config) as engine:
        engine.state.abort(np.zeros(0, np.int64))  # what takes back a block that ran out of room


def _check_fresh(path: Path) -> None:
    """A run's numbers and its conservation only mean something on a state of its own."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        found = f"{path}, which is not empty" if path.is_dir() else f"{path}, a file"
        raise ArgumentError("state", found, "a directory that is new or empty")


def _first_row(one: Receipts, other: Receipts) -> int:
    """The first receipt in which two blocks that are not equal differ."""
    return next(row for row in range(len(one)) if one[row] != other[row])
