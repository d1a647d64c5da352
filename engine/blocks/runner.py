# SPDX-License-Identifier: GPL-3.0-or-later
"""One block through the stages verify, route, detect, execute, receipts, commit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from time import perf_counter

import numpy as np

from supervm.crypto.messages import Messages
from supervm.engine.blocks.authentication import authenticate, check_proofs
from supervm.engine.blocks.heat import HeatTable, Queues, accesses, written_keys
from supervm.engine.blocks.interning import InternedBatch, intern_batch
from supervm.engine.blocks.layout import Block, Contracts, prepare_block
from supervm.engine.blocks.pace import Pace
from supervm.engine.blocks.receipts import Receipts, gather_receipts
from supervm.engine.blocks.result import BlockResult, BlockStats
from supervm.engine.blocks.routing import AdaptiveRouter, Components, own_objects, paths, touched_accounts
from supervm.engine.config import EngineConfig, Mode, Schedule
from supervm.engine.conflicts import detect
from supervm.engine.execution import columns as c
from supervm.engine.execution.columns import TOUCHED_FAST_FLAG
from supervm.engine.execution.executor import TURN_PERCENT, BlockExecutor, Course
from supervm.engine.execution.fast_path import sum_of_fees
from supervm.engine.execution.optimistic import SKIPPED
from supervm.engine.execution.plug_in import PlugIn
from supervm.engine.state.keys import ACCOUNT
from supervm.engine.state.state import State
from supervm.engine.transactions.batch import TransactionBatch
from supervm.kernels.array_types import Bytes, Flags
from supervm.kernels.errors import ArgumentError

WORTH_SHARING = 64
"""Transactions of the consensus path from which on threads share them."""


@dataclass
class _Run:
    """What is found out about a block on its way."""

    block: Block
    fast: Flags
    course: Course = field(default_factory=Course)
    touched_fast: int = 0
    waves: int = 0
    stages: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time inside to a stage's."""
        began = perf_counter()
        try:
            yield
        finally:
            self.stages[name] = self.stages.get(name, 0.0) + perf_counter() - began


class BlockRunner:
    """Runs blocks on a state; what it learns from one block it uses for the next.

    Args:
        state: that blocks change.
        executor: of transactions, on the state's versions.
        contracts: that stand in the state.
        config: the engine's.
        plug_in: what executes Ethereum transactions, if anything does.
    """

    def __init__(
        self,
        state: State,
        executor: BlockExecutor,
        contracts: Contracts,
        config: EngineConfig,
        plug_in: PlugIn | None = None,
    ) -> None:
        self._state, self._executor, self._contracts, self._config = state, executor, contracts, config
        self._plug_in = plug_in
        self._components = Components()
        self._heat, self._queues = HeatTable(), Queues()
        self._router = AdaptiveRouter(config.router) if config.router else None
        self._admitted = np.zeros(0, np.bool_)
        collector = Messages.of([bytes([ACCOUNT]) + config.fee_collector])
        self._collector = int(state.store.intern(collector.ragged)[0])
        self._pace = Pace()

    def decode(self, batch: TransactionBatch | InternedBatch) -> InternedBatch:
        """A batch with its keys numbered.

        Raises:
            MalformedBatch: columns that are no batch.
            ArgumentError: a batch whose keys another engine has numbered.
        """
        if isinstance(batch, TransactionBatch):
            batch.check()
            return intern_batch(self._state.store, batch)
        if batch.store is not self._state.store:
            raise ArgumentError(
                "batch", "keys numbered by another engine", "a batch that this engine interned"
            )
        return batch

    def timestamp(self, given: int | None) -> int:
        """The next block's: what it states, else one more than the last block's.

        Raises:
            ArgumentError: it is negative, or 2^63 or more.
        """
        if given is None:
            return self._state.position.timestamp + 1
        if not 0 <= given < 1 << 63:
            raise ArgumentError("timestamp", repr(given), "0 to 2^63 − 1")
        return given

    def verifies(self, batch: TransactionBatch) -> bool:
        """Whether `verify` has something to do for this batch."""
        return self._config.signatures or bool(batch.private.any())

    def verify(self, batch: TransactionBatch) -> Bytes:
        """Which transactions are refused by their signature or proof, uint8 (n,): `Reason` or 0."""
        refused = np.zeros(len(batch), np.uint8)
        if self._config.signatures:
            refused = authenticate(batch, backend=self._config.backend, on_verified=self._config.on_verified)
        private = np.flatnonzero(batch.private & (refused == 0))
        if private.size:
            refused[private] = check_proofs(batch.take(private), self._config.verifier)
        return refused

    def prepare(self, interned: InternedBatch, refused: Bytes, stages: dict[str, float]) -> Block:
        """Reject what no state can save, and lay a block out; it may be done while another block is executed.

        Args:
            interned: the block.
            refused: what `verify` said of it.
            stages: where the seconds are added up.
        """
        began = perf_counter()
        with self._contracts.lock:
            block = prepare_block(
                interned,
                self._contracts,
                self._config.chain_id,
                refused,
                len(self._state.store.keys),
                self._plug_in,
            )
        stages["route"] = stages.get("route", 0.0) + perf_counter() - began
        return block

    def is_current(self, block: Block) -> bool:
        """Whether the same contracts stand where they stood when the block was laid out."""
        return block.changes == self._contracts.changes

    def run(self, block: Block, timestamp: int, stages: dict[str, float]) -> BlockResult:
        """Execute a block and commit it; nothing is left of it if that fails.

        Args:
            block: as `prepare` made it.
            timestamp: of the block.
            stages: seconds that earlier stages took; those of the others are added.
        """
        state, executor = self._state, self._executor
        interned = block.interned
        height = state.position.height + 1
        run = _Run(block, np.zeros(len(block), np.bool_), stages=stages)
        with run.stage("route"):
            run.fast = self._fast(block)
        if block.shielded is not None:
            with run.stage("detect"):
                block.shielded.begin(state.store, block.columns)
        executor.begin(self._contracts.contracts, height, timestamp)
        if block.plugged is not None and self._plug_in is not None:
            self._plug_in.begin(height, timestamp, state.position.root)
        pooled, pool_fees = np.zeros(0, np.int64), 0
        try:
            self._execute(run)
            if block.shielded is not None:
                with run.stage("pools"):
                    pooled, pool_fees = block.shielded.finish(
                        state.store, block.columns, executor.left(), self._config.backend
                    )
            with run.stage("receipts"):
                pooled_rows = None if block.shielded is None else block.shielded.rows
                plugged = None if block.plugged is None else block.plugged.rows
                path = paths(interned.batch.private, pooled_rows, plugged, run.fast)
                receipts = gather_receipts(block.columns, path, executor.left())
                fees = self._collect_fees(block, receipts, pool_fees)
                kept = receipts.to_bytes() if state.storage and self._config.keep_receipts else None
            written = np.concatenate([executor.written(), pooled])
            executor.seal()
        except BaseException:
            executor.undo()
            state.store.undo(pooled, counted=True)
            raise
        with run.stage("commit"):
            root = state.commit(written, height=height, timestamp=timestamp, receipts=kept)
        stats = self._stats(run, receipts)
        return BlockResult(height, timestamp, receipts, root, fees, self._split(fees), stats)

    # -------------------------------------------------------------------------------------------------

    def _fast(self, block: Block) -> Flags:
        """Which transfers take the fast path."""
        batch, columns = block.interned.batch, block.columns
        candidates = block.transfers & ~batch.private
        self._admitted = np.zeros(len(block), np.bool_)
        if block.free_balances or not candidates.any():
            return np.zeros(len(block), np.bool_)
        candidates &= own_objects(block.interned, self._state.store, block.live)
        if self._router is not None:
            candidates &= self._router.admit(candidates)
            self._admitted = candidates.copy()
        others = block.live & ~candidates
        if not others.any():
            return candidates
        declared = (columns[c.DECLARED_OFFSETS], columns[c.DECLARED])
        pays = block.pays | block.transfers
        touched = touched_accounts(block.interned, others, pays, declared)
        keys = len(self._state.store.keys)
        return self._components.clear(
            block.interned.senders, block.interned.targets, candidates, touched, keys
        )

    def _execute(self, run: _Run) -> None:
        block, executor = run.block, self._executor
        with run.stage("execute"):
            self._mark(run)
        if self._config.mode is Mode.SEQUENTIAL:
            with run.stage("execute"):
                executor.run_sequential(block.columns)
        else:
            self._execute_parallel(run)
        touched = block.columns[c.FLAGS][block.calls] & TOUCHED_FAST_FLAG
        if run.fast.any() and touched.any():
            # A contract read or moved the balance of an account that the fast path had moved ahead of its turn.
            run.touched_fast = int(run.fast.sum())
            run.fast = np.zeros(len(block), np.bool_)
            if self._config.mode is not Mode.SEQUENTIAL:
                executor.undo()
                block.columns[c.READY][:] = 0
                with run.stage("execute"):
                    executor.run_sequential(block.columns)
                run.course = Course(undeclared=run.course.undeclared)

    def _mark(self, run: _Run) -> None:
        """The accounts of the fast path, so that contracts that touch them are noticed."""
        if run.fast.any() and run.block.calls.any():
            senders, targets = run.block.interned.senders, run.block.interned.targets
            self._executor.mark(np.concatenate([senders[run.fast], targets[run.fast & run.block.pays]]))

    def _execute_parallel(self, run: _Run) -> None:
        block, executor, columns = run.block, self._executor, run.block.columns
        rest = int((block.live & ~run.fast).sum())
        shared = executor.threads > 1 and rest >= WORTH_SHARING
        if shared and self._config.schedule is Schedule.WAVES and self._run_waves(run):
            return
        with run.stage("execute"):
            if run.fast.any():
                executor.run_fast_path(columns, np.flatnonzero(run.fast))
        if not rest:
            return
        measured = self._config.schedule is Schedule.AUTO
        ahead = shared and self._pace.goes_ahead(rest, measured)
        waits = self._waiting(run) if ahead else None
        conflicts = waits is not None and bool(waits.sum() * 100 > rest * TURN_PERCENT)
        began = perf_counter()
        with run.stage("execute"):
            if waits is None or conflicts:
                executor.run_sequential(columns)
            else:
                columns[c.READY][waits] = SKIPPED
                run.course = replace(executor.run_optimistic(columns), undeclared=run.course.undeclared)
        seconds = perf_counter() - began
        if conflicts or run.course.turned:
            self._pace.conflicts(rest)
        elif ahead:
            self._pace.ahead(rest, seconds, measured)
        elif shared:
            self._pace.in_order(rest, seconds)
        if run.course.turned:
            self._heat.hurry()

    def _waiting(self, run: _Run) -> Flags:
        """Which transactions are not worth executing ahead, since they write a hot key shortly after another one."""
        with run.stage("detect"):
            self._heat.observe(run.block, self._config.backend if self._config.backend == "cuda" else "auto")
            keys = len(self._state.store.keys)
            return self._queues.waiting(run.block, self._heat.hot(), keys) & ~run.fast

    def _run_waves(self, run: _Run) -> bool:
        """Execute by waves if every transaction declares; False if that cannot be, or somebody lied."""
        block = run.block
        if not block.announces[block.live].all():
            return False
        with run.stage("detect"):
            offsets, keys, _ = accesses(block, np.arange(len(block)))
            write_offsets, writes = written_keys(block, np.arange(len(block)))
            found = detect(offsets, keys, write_offsets, writes, rule="locking")
            order = np.argsort(found.wave, kind="stable")
            bounds = np.searchsorted(found.wave[order], np.arange(found.wave_count + 1))
        run.waves = found.wave_count
        if found.wave_count * 2 > len(block):
            return False
        with run.stage("execute"):
            course = self._executor.run_waves(block.columns, order, bounds.astype(np.int64))
        if course.undeclared or course.turned:
            run.course = Course(undeclared=course.undeclared)
            self._mark(run)
            return False
        run.course = course
        return True

    def _collect_fees(self, block: Block, receipts: Receipts, pool_fees: int) -> int:
        """Give the fees of the block, those of pools among them, to the collector; their sum.

        It has those of a plug-in's transactions already.
        """
        fees = _fees(block, ~receipts.accepted) + pool_fees
        owed = fees
        if block.plugged is not None:
            others = np.ones(len(block), np.bool_)
            others[block.plugged.rows] = ~receipts.accepted[block.plugged.rows]
            owed -= _fees(block, others)
        if owed:
            self._executor.add_to_account(self._collector, np.frombuffer(owed.to_bytes(32), np.uint8).copy())
        return fees

    def _split(self, fees: int) -> tuple[int, int, int, int]:
        """Fees by tier; what division leaves goes to the first."""
        shares = [fees * percent // 100 for percent in self._config.fee_split]
        return (fees - sum(shares[1:]), shares[1], shares[2], shares[3])

    def _stats(self, run: _Run, receipts: Receipts) -> BlockStats:
        accepted, course = receipts.accepted, run.course
        fast = int(run.fast.sum())
        target = self._router.target if self._router is not None else 1.0
        if self._router is not None:
            self._router.learn(self._admitted, run.fast, receipts.success)
        consensus = max(1, int(run.block.live.sum()) - fast)
        return BlockStats(
            transactions=len(receipts),
            committed=int(accepted.sum()),
            rejected=int((~accepted).sum()),
            failed=int((accepted & ~receipts.success).sum()),
            fast=fast,
            way=course.way,
            repeated=course.repeated,
            turned=course.turned,
            undeclared=course.undeclared,
            touched_fast=run.touched_fast > 0,
            fell_back=run.touched_fast,
            fast_target=target,
            conflict_rate=course.repeated / consensus,
            waves=run.waves,
            stages=run.stages,
        )


def _fees(block: Block, without: Flags) -> int:
    """The sum of gas used × gas price of all but these transactions, bool (n,)."""
    out = np.zeros(64, np.uint8)
    sum_of_fees(block.columns[c.GAS], block.columns[c.GAS_PRICES], without, out)
    return int.from_bytes(out[:32].tobytes())
