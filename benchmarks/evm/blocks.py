# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole blocks: seeded workloads of about a billion gas, recorded blocks, and mainnet's where they are at hand.

A workload's block is executed by one worker and by two, from loaded state to the last transaction. Of a block with a header
the senders are recovered inside the clock too, and gas, bloom and receipts root must be the header's before anything is
timed.
"""

from __future__ import annotations

import lzma
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from supervm.benchmarks.cases import EVM
from supervm.benchmarks.errors import RunsDisagree
from supervm.benchmarks.evm.programs import ARCHIVE, CHECKOUT
from supervm.benchmarks.measure import Timing
from supervm.benchmarks.rows import PeerRow, Row
from supervm.engine.ethereum.senders import recover_senders
from supervm.engine.ethereum.witness import Witness, read_witness
from supervm.engine.evm.accounts import Accounts, Codes
from supervm.engine.evm.columns import transaction_columns
from supervm.engine.evm.comparison import replay_whole
from supervm.engine.evm.environment import MAINNET, environment_of
from supervm.engine.evm.session import Session
from supervm.engine.evm.system_calls import BEFORE
from supervm.engine.evm.world import World
from supervm.engine.workloads.evm_calls import generate_evm
from supervm.engine.workloads.evm_run import EvmRun, run_evm
from supervm.engine.workloads.workload import Parameters
from supervm.kernels.threads import get_threads, set_threads
from supervm.tiers.environment import version
from supervm.vm.evm import columns as c
from supervm.vm.evm.forks import fork_named

BACKEND = "scalar"
ROUNDS = 3

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
            rows += _header_rows(witness, codes, threads)
    return [row for row in rows if threads in (None, row.threads)]


def _workload_rows(name: str, transactions: int | None) -> Iterator[Row]:
    count = transactions or TRANSACTIONS[name]
    workload = generate_evm(name, Parameters(transactions=count, accounts=ACCOUNTS, block_size=count))
    runs = [run_evm(workload, threads=2) for _ in range(ROUNDS)]
    operation = f"evm.block [{name}]"
    first = runs[0]
    if not all(run.equal and not run.failed for run in runs) or len({run.state_root for run in runs}) > 1:
        raise RunsDisagree(operation, _words(runs), "equal ones in which everything succeeds")
    alone = Timing.of(first.gas, [run.sequential_seconds for run in runs])
    together = Timing.of(first.gas, [run.parallel_seconds or 0.0 for run in runs])
    beside = PeerRow("one thread", version(), alone.rate, together.rate / alone.rate, alone.spread)
    yield _row(operation, 1, first.gas, alone)
    yield _row(operation, 2, first.gas, together, (beside,))


def _words(runs: list[EvmRun]) -> str:
    failed, equal = max(run.failed for run in runs), all(run.equal for run in runs)
    return f"runs that are {'equal' if equal else 'not equal'}, {failed} transactions that failed"


def _header_rows(witness: Witness, codes: Codes, threads: int | None) -> Iterator[Row]:
    """One thread, then two; nothing of a block of which something is not given."""
    count = len(witness.block.transactions)
    name = f"evm.block [{witness.block.number}, {count} transactions]"
    session = Session(2)
    try:
        recovered = recover_senders([witness.block]).blocks[0]
        whole = replay_whole(session, witness, recovered, codes)
        if whole.executed < count or whole.notes:
            return
        if whole.problems:
            raise RunsDisagree(name, str(whole.problems[0]), "what the header says")
        timed = _Timed(witness, codes, session)
        one = timed.rows(name, 1)
        if threads in (None, 1):
            yield one
        if threads in (None, 2):
            yield timed.rows(name, 2, one)
    finally:
        session.close()


@dataclass
class _Timed:
    """A block whose transactions are executed again and again."""

    witness: Witness
    codes: Codes
    session: Session

    def rows(self, name: str, threads: int, alone: Row | None = None) -> Row:
        """The row with so many threads, beside that with one."""
        before = get_threads()
        set_threads(threads)
        try:
            runs = [self._run(name, threads) for _ in range(ROUNDS + 1)][1:]
        finally:
            set_threads(before)
        gas = runs[0][0]
        own = Timing.of(gas, [seconds for _, seconds in runs])
        peers: tuple[PeerRow, ...] = ()
        if alone is not None:
            rate, spread = alone.items_per_second, alone.spread
            peers = (PeerRow("one thread", version(), rate, own.rate / rate, spread),)
        return _row(name, threads, gas, own, peers)

    def _run(self, name: str, threads: int) -> tuple[int, float]:
        """Gas and seconds: senders recovered, transactions executed."""
        witness, session, world = self.witness, self.session, World()
        chain = MAINNET if witness.chain_id is None else witness.chain_id
        fork = fork_named(witness.fork) if witness.fork and chain != MAINNET else None
        environment = environment_of(witness.block, witness.block_hashes, chain_id=chain, fork=fork)
        world.load(Accounts.of(witness.pre_state), self.codes)
        session.attach(world)
        session.begin(environment)
        for call in BEFORE:
            data = call.data(environment) if environment.fork[call.rule] else None
            if data is not None:
                session.call_system(call.address, data)
        begun = perf_counter()
        recovered = recover_senders([witness.block]).blocks[0]
        columns = transaction_columns(witness.block.transactions, recovered, chain_id=chain)
        if threads == 1:
            done, _ = session.run(columns, None, 0, len(columns))
        else:
            team = session.team(environment)
            done = team.run(columns, environment).executed
        seconds = perf_counter() - begun
        if threads == 1:
            session.undo()
        else:
            team.undo()
        gas, stated = int(columns[c.GAS_USED].sum()), witness.block.header.fields["gasUsed"]
        if done < len(columns) or gas != int.from_bytes(stated):
            raise RunsDisagree(name, f"{done} transactions, {gas:,} gas", f"{int.from_bytes(stated):,} gas")
        return gas, seconds


def _row(operation: str, threads: int, gas: int, own: Timing, peers: tuple[PeerRow, ...] = ()) -> Row:
    return Row(EVM, operation, BACKEND, threads, gas, own.rate, 1e9 / own.rate, "none", peers, own.spread)
