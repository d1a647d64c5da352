# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole blocks: seeded workloads of about a billion gas, recorded blocks, and mainnet's where they are at hand.

A block is executed by one worker and by two, in turns, from loaded state to the last transaction, by workers that have
executed it before, as those of a node have executed others. Both must give the same before anything is timed; of a block
with a header, where the senders are recovered inside the clock too, gas, bloom and receipts root must be the header's.
"""

from __future__ import annotations

import lzma
import tarfile
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter

from supervm.benchmarks.cases import EVM
from supervm.benchmarks.errors import RunsDisagree
from supervm.benchmarks.evm.programs import ARCHIVE, CHECKOUT
from supervm.benchmarks.measure import Timing, rounds
from supervm.benchmarks.rows import PeerRow, Row
from supervm.engine.ethereum.senders import recover_senders
from supervm.engine.ethereum.witness import Witness, read_witness
from supervm.engine.evm.accounts import Accounts, Codes
from supervm.engine.evm.columns import transaction_columns
from supervm.engine.evm.comparison import replay_whole
from supervm.engine.evm.environment import MAINNET, Environment, environment_of
from supervm.engine.evm.session import Session
from supervm.engine.evm.system_calls import BEFORE
from supervm.engine.evm.world import World
from supervm.engine.workloads.evm_calls import generate_evm
from supervm.engine.workloads.evm_run import columns_of, loaded, run_evm
from supervm.engine.workloads.evm_run import environment_of as workload_environment
from supervm.engine.workloads.workload import Parameters
from supervm.kernels.threads import get_threads, set_threads
from supervm.tiers.environment import version
from supervm.vm.evm.columns import TransactionColumns
from supervm.vm.evm.forks import fork_named

BACKEND = "scalar"
BUDGET_SECONDS = 4.0
"""Of the rounds of a block (`measure.rounds`)."""

TRANSACTIONS = {"erc20": 28_000, "uniswap": 10_000, "mixed-evm": 19_000}
"""Of each workload: about a billion gas."""

ACCOUNTS = 10_000

RECORDED = CHECKOUT / "benchmarks" / "data" / "evm"
GIVEN = ARCHIVE.with_name("witness_give.tar.xz")
"""Mainnet blocks with code and state, beside a checkout."""


INCOMPLETE = frozenset({"24628607"})
"""Given blocks that are left out: this one's accounts lack the contracts of requests, which its system calls need."""


def block_rows(
    *, threads: int | None = None, transactions: int | None = None, given: Path = GIVEN
) -> list[Row]:
    """Rows of workloads, and of blocks with headers.

    Args:
        threads: only rows with this number.
        transactions: of each workload, in place of `TRANSACTIONS`.
        given: an archive of mainnet blocks; left out where it is not there.

    Raises:
        RunsDisagree: parallel execution differs, a transaction fails, or a block does not give what its header says.
    """
    rows = [row for name in TRANSACTIONS for row in _workload_rows(name, transactions)]
    with ExitStack() as stack:
        paths = sorted(RECORDED.iterdir(), key=lambda path: int(path.name))
        if given.exists():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="supervm-bench-")))
            with lzma.open(given) as data, tarfile.open(fileobj=data) as archive:
                archive.extractall(folder, filter="data")
            found = [path for path in folder.rglob("*.json") if path.stem not in INCOMPLETE]
            paths += sorted(found, key=lambda path: int(path.stem))
        witnesses = [read_witness(path) for path in paths]
        # A system contract's code may stand in another block's file.
        codes = {digest: code for witness in witnesses for digest, code in witness.codes.items()}
        for witness in witnesses:
            rows += _header_rows(witness, codes)
    return [row for row in rows if threads in (None, row.threads)]


def _workload_rows(name: str, transactions: int | None) -> tuple[Row, Row]:
    """One thread, then two."""
    count = transactions or TRANSACTIONS[name]
    workload = generate_evm(name, Parameters(transactions=count, accounts=ACCOUNTS, block_size=count))
    operation = f"evm.block [{name}]"
    run = run_evm(workload, threads=2)
    if run.failed or not run.equal:
        found = f"{'equal' if run.equal else 'not equal'}, {run.failed} transactions that failed"
        raise RunsDisagree(operation, found, "equal runs in which everything succeeds")
    (calls,) = workload.blocks
    environment, session, world = workload_environment(0), Session(2), World()
    world.load(*loaded(workload.state))
    session.attach(world)

    def seconds(threads: int) -> float:
        columns = columns_of(calls, workload.parameters.gas_price)
        session.begin(environment)
        return _executed(session, environment, columns, threads, perf_counter())

    try:
        return _both(operation, run.gas, seconds)
    finally:
        session.close()


def _header_rows(witness: Witness, codes: Codes) -> tuple[Row, ...]:
    """One thread, then two; nothing of a block of which something is not given."""
    count = len(witness.block.transactions)
    name = f"evm.block [{witness.block.number}, {count} transactions]"
    session, before = Session(2), get_threads()
    try:
        recovered = recover_senders([witness.block]).blocks[0]
        whole = replay_whole(session, witness, recovered, codes)
        if whole.executed < count or whole.notes:
            return ()
        if whole.problems:
            raise RunsDisagree(name, str(whole.problems[0]), "what the header says")
        gas = int.from_bytes(witness.block.header.fields["gasUsed"])
        return _both(name, gas, lambda threads: _witness_seconds(session, witness, codes, threads))
    finally:
        set_threads(before)
        session.close()


def _witness_seconds(session: Session, witness: Witness, codes: Codes, threads: int) -> float:
    """Senders recovered, transactions executed."""
    set_threads(threads)
    world = World()
    chain = MAINNET if witness.chain_id is None else witness.chain_id
    fork = fork_named(witness.fork) if witness.fork and chain != MAINNET else None
    environment = environment_of(witness.block, witness.block_hashes, chain_id=chain, fork=fork)
    world.load(Accounts.of(witness.pre_state), codes)
    session.attach(world)
    session.begin(environment)
    for call in BEFORE:
        data = call.data(environment) if environment.fork[call.rule] else None
        if data is not None:
            session.call_system(call.address, data)
    begun = perf_counter()
    recovered = recover_senders([witness.block]).blocks[0]
    columns = transaction_columns(witness.block.transactions, recovered, chain_id=chain)
    return _executed(session, environment, columns, threads, begun)


def _executed(
    session: Session, environment: Environment, columns: TransactionColumns, threads: int, begun: float
) -> float:
    """Execute a block that has begun; the seconds since `begun`. Nothing of it has happened afterwards."""
    if threads == 1:
        done, _ = session.run(columns, None, 0, len(columns))
        seconds = perf_counter() - begun
        session.undo()
    else:
        team = session.team(environment)
        done = team.run(columns, environment).executed
        seconds = perf_counter() - begun
        team.undo()
    if done < len(columns):
        raise RunsDisagree(f"evm.block {environment.number}", f"{done} transactions", f"{len(columns)}")
    return seconds


def _both(operation: str, gas: int, seconds: Callable[[int], float]) -> tuple[Row, Row]:
    """The rows of one thread and of two, which take turns: a machine that slows down for a moment slows both.

    Args:
        seconds: of one execution, by threads; the first of each is not counted.
    """
    taken: dict[int, list[float]] = {1: [], 2: []}
    for threads in taken:
        seconds(threads)
    for _ in rounds(BUDGET_SECONDS):
        for threads, times in taken.items():
            times.append(seconds(threads))
    alone, together = (Timing.of(gas, times) for times in taken.values())
    beside = PeerRow("one thread", version(), alone.rate, together.rate / alone.rate, alone.spread)
    return _row(operation, 1, gas, alone), _row(operation, 2, gas, together, (beside,))


def _row(operation: str, threads: int, gas: int, own: Timing, peers: tuple[PeerRow, ...] = ()) -> Row:
    return Row(EVM, operation, BACKEND, threads, gas, own.rate, 1e9 / own.rate, "none", peers, own.spread)
