# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that executes: L1 and L2. Blocks from a source through the engine's pipeline, state and records on disk.

The thread that calls `run` executes. What else changes the engine (snapshots) or must not meet a block half done (proofs)
is handed to it by `call` and done between two blocks.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from supervm.engine.blocks.pipeline import TimedBatch
from supervm.engine.blocks.receipts import Receipts
from supervm.engine.blocks.result import BlockResult
from supervm.engine.config import EngineConfig
from supervm.engine.engine import Engine
from supervm.engine.workloads import Announced, read_workload
from supervm.engine.workloads.run import place_genesis
from supervm.kernels.errors import ArgumentError
from supervm.tiers.node.blocks import genesis_hash_of
from supervm.tiers.node.errors import NodeError, WrongChain, WrongRoot
from supervm.tiers.node.records import ChainRecords
from supervm.tiers.node.rewinding import Point, points, rewind
from supervm.tiers.node.sources import DirectorySource, Source, SubmittedBlocks, Tip
from supervm.vm.outcomes import Reason

log = logging.getLogger(__name__)

POLL_SECONDS = 0.02
"""How long an idle node waits before it looks for a block."""

UNSIGNED = "--no-signatures"
"""How a node is told that its chain's transactions are not signed."""

CIRCUITS = "--groth16-keys FOLDER"
"""How a node is told which circuits' proofs private transactions carry."""

KEPT_FOR_EVER = 1 << 40
"""Blocks to keep where the profile says all."""

T = TypeVar("T")
Observer = Callable[[int, BlockResult], None]
"""Told of each block that became part of the state: its number, and what came of it."""


def _do_nothing() -> None:
    """What an idle node does unless it packs blocks."""


class FullNode:
    """A node on a directory of its own; use it as a context manager.

    Attributes:
        engine: whose state any thread may read.
        records: of the chain.
        source: of the blocks.
        genesis_hash: 32 bytes.
        idle: called on the executing thread whenever no block is there.
        problem: why `run` ended, '' if it did not or was told to.

    Args:
        folder: for the state, created if it is not there.
        genesis: the genesis file; a state that has blocks already must have begun with the same. It says, too, by which
            fork's rules Ethereum transactions are executed, if any.
        config: of the engine.
        blocks: a directory of block files; None takes submitted blocks.
        keep_blocks: of which receipts and records are kept; 0 keeps all.
        observers: told of each block, on the executing thread.

    Raises:
        InputFileError: the genesis file cannot be used.
        WrongChain: the state is of another chain, or the records lack blocks that it cannot be taken back from.
        WrongRoot: with `blocks`: the genesis announces a state root that this state has missed, or a chain without
            signatures while the engine is to verify them.
        ArgumentError: `blocks` is no directory.
        StorageError: the state cannot be opened.
    """

    def __init__(
        self,
        folder: Path,
        genesis: Path,
        config: EngineConfig,
        *,
        blocks: Path | None = None,
        keep_blocks: int = 0,
        observers: tuple[Observer, ...] = (),
    ) -> None:
        if blocks is not None and not blocks.is_dir():
            raise ArgumentError("blocks", f"{blocks}, which is none", "a directory of block files")
        if genesis.exists() and not genesis.is_file():
            # It is read twice, for its content and for its hash, which of a pipe are not the same.
            raise ArgumentError("genesis", f"{genesis}, which is no file", "a genesis file")
        origin = read_workload(genesis)
        config = replace(config, evm=origin.genesis.evm)
        # Blocks that are submitted, or packed here, need not be those that the genesis was made with.
        self._announced = origin.announced if blocks is not None else None
        if self._announced and config.signatures and not origin.parameters.signed:
            raise WrongRoot(
                f"{genesis}: a chain without signatures, and this node is to verify them: it would reject every "
                f"transaction and miss the announced state root; start it with {UNSIGNED}"
            )
        self.genesis_hash = genesis_hash_of(genesis)
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._observers = folder, observers
        self._stop, self._news, self._closed = threading.Event(), threading.Event(), threading.Event()
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        self._progress = threading.Condition()
        self.problem = ""
        self._told_unsigned = self._told_private = False
        self.idle: Callable[[], None] = _do_nothing
        # The engine's lock on its storage keeps a second node away from the records too.
        self.engine = Engine.open(folder / "state", config)
        with ExitStack() as stack:
            stack.callback(self.engine.close)
            keep = keep_blocks or KEPT_FOR_EVER
            self._check_beginning(folder)
            self.records = ChainRecords(
                folder / "chain.sqlite", self.genesis_hash, keep=keep, sync=config.sync
            )
            stack.callback(self.records.close)
            self._base = place_genesis(self.engine, origin.genesis)
            self._take_back(stack)
            self._complete_records()
            if (told := self._announced) and told.blocks <= self.number:
                root = (
                    self.engine.state_root
                    if told.blocks == self.number
                    else self.records.root_of(told.blocks)
                )
                if root is not None:
                    self._compare(told, root)
            self.source = self._source(blocks, config.queue_depth)
            stack.pop_all()

    def _check_beginning(self, folder: Path) -> None:
        """A state without records was made by something else than a node."""
        if self.engine.height and not (folder / "chain.sqlite").exists():
            raise WrongChain(f"{folder / 'state'}: a state that no node began; use another directory")

    def _take_back(self, stack: ExitStack) -> None:
        """Go back to the last block that has a record, if a power loss took those of later ones."""
        state, number = self.engine.state, self.number
        noted = self.records.noted(number)
        if noted == number:
            return
        to = self._points().get(self.height_of(noted))
        if to is None or self.records.root_of(noted) not in (None, to.root):
            found = "another root" if to is not None else "no longer what it was"
            raise WrongChain(
                f"{self.folder}: the state is at block {number}, the records end at block {noted}, of which the state has "
                f"{found}; restore a copy of both"
            )
        log.warning(
            "the records of blocks %d to %d are lost: the state goes back to block %d, and they are taken again",
            noted + 1,
            number,
            noted,
        )
        rewind(state, self.engine.config.hash, to)
        # Contracts and supply are those of what is opened.
        self.engine.close()
        self.engine = Engine.open(self.folder / "state", self.engine.config)
        stack.callback(self.engine.close)

    def _complete_records(self) -> None:
        """Fill in what a stop left out of rows, from the log and the receipts, and have the disk take all."""
        missing = self.records.reconcile(self.number)
        if missing:
            roots = {number: point.root for number, point in self._points().items()}
            roots[self.engine.height] = self.engine.state_root
            for number in missing:
                height = self.height_of(number)
                root, receipts = roots.get(height), self.engine.receipts(height)
                if root is not None and receipts is not None:
                    self.records.finish(number, root, Receipts.from_bytes(receipts))
        self.records.settle()

    def _points(self) -> dict[int, Point]:
        storage = self.engine.state.storage
        assert storage is not None
        return points(storage)

    def _source(self, blocks: Path | None, depth: int) -> Source:
        number = self.number
        self._commits = self.engine.state.position.commit - number
        self._persisted = number
        tip = Tip(*(self.records.last() or (0, self.genesis_hash, 0)))
        return DirectorySource(blocks, tip) if blocks is not None else SubmittedBlocks(tip, depth)

    def __enter__(self) -> FullNode:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Write what waits and close the state; `run` must have ended."""
        self.stop()
        self._closed.set()
        self._serve_calls()
        try:
            self.engine.close()
        finally:
            self.records.close()

    # ---------------------------------------------------------------------------------------------- executing

    def run(self, until: int | None = None) -> None:
        """Execute blocks as they come, until `stop`, or the block `until`, is part of the state and on disk.

        Raises:
            BlockRefused: a file cannot follow; those before it were executed, it and those after it were not.
            StorageFailed: a block could not be persisted; start again to go on from the last whole one.
        """
        try:
            while not self._done(until, self.number):
                self._execute_available(until)
                self._flush()
                self._serve_calls()
                if self._done(until, self.number):
                    return
                self.idle()
                self._news.wait(POLL_SECONDS)
                self._news.clear()
        except BaseException as error:
            self.problem = str(error)
            raise
        finally:
            self._stop.set()
            self._flush_quietly()
            self._serve_calls()

    def _done(self, until: int | None, number: int) -> bool:
        """Whether `run` is to end after this block."""
        return self._stop.is_set() or (until is not None and number >= until)

    def stop(self) -> None:
        """Stop after the block in hand; from any thread, and from a signal's handler."""
        self._stop.set()
        self._news.set()

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop, or had to."""
        return self._stop.is_set()

    def wake(self) -> None:
        """Look for a block now."""
        self._news.set()

    def _execute_available(self, until: int | None) -> None:
        for result in self.engine.run(self._available(until)):
            number = result.height - self._base
            self.records.finish(number, result.state_root, result.receipts)
            self._check_result(number, result)
            self._settle_records()
            for observer in self._observers:
                observer(number, result)
            self._note_persisted()
            self._serve_calls()
            if self._stop.is_set():
                return

    def _check_result(self, number: int, result: BlockResult) -> None:
        """Say what was rejected for want of signatures or circuits; compare the root with the announced one.

        Raises:
            WrongRoot: the block is part of the state, which is not the announced one.
        """
        reasons = result.receipts.reason
        if len(reasons) and (reasons == Reason.MALFORMED_SIGNATURE).all() and not self._told_unsigned:
            self._told_unsigned = True
            log.warning(
                "block %d: every transaction was rejected, none has a signature; a chain without signatures needs %s",
                number,
                UNSIGNED,
            )
        if (reasons == Reason.NO_VERIFIER).any() and not self._told_private:
            self._told_private = True
            log.warning(
                "block %d: private transactions were rejected, and a node that knows their circuits comes to another state "
                "root; if the chain has circuits, it needs %s",
                number,
                CIRCUITS,
            )
        if self._announced and number == self._announced.blocks:
            self._compare(self._announced, result.state_root)

    def _compare(self, told: Announced, root: bytes) -> None:
        if told.differs(root, self.engine.config.hash):
            raise WrongRoot(
                f"block {told.blocks}: state root {root.hex()}, expected {told.state_root.hex()}, as the genesis announces; "
                f"is the chain one without signatures ({UNSIGNED}), or its block files others than those of the genesis?"
            )

    def _available(self, until: int | None) -> Iterator[TimedBatch]:
        """The blocks that are there now; read by the pipeline's first thread, ahead of their execution."""
        taken = self.number
        while not self._done(until, taken):
            block = self.source.take()
            if block is None:
                return
            taken = block.number
            self.records.begin(block)
            yield TimedBatch(block.transactions, block.timestamp)

    def _settle_records(self) -> None:
        """Have the disk take the records before the next block may begin a checkpoint, behind which no way leads back."""
        storage = self.engine.state.storage
        assert storage is not None
        if storage.checkpoint.outgrown(storage.head.logged, self.engine.config.checkpoint_bytes):
            self.records.settle()

    def _flush(self) -> None:
        storage = self.engine.state.storage
        if storage is not None and self._persisted < self.number:
            storage.flush()
            self._note_persisted()

    def _flush_quietly(self) -> None:
        """At the end: what keeps the storage from writing was told already, or will be by `close`."""
        try:
            self._flush()
        except Exception:
            log.debug("the last blocks could not be flushed", exc_info=True)

    def _note_persisted(self) -> None:
        storage = self.engine.state.storage
        assert storage is not None
        with self._progress:
            self._persisted = max(self._persisted, storage.written - self._commits)
            self._progress.notify_all()

    # ---------------------------------------------------------------------------------------------- for other threads

    @property
    def number(self) -> int:
        """Of the last block that is part of the state; 0 before the first."""
        return self.engine.height - self._base

    def height_of(self, number: int) -> int:
        """The engine's height after a block: the commits of the genesis count."""
        return number + self._base

    def number_at(self, height: int) -> int:
        """The block after which the engine had this height."""
        return height - self._base

    def wait_persisted(self, number: int, seconds: float) -> bool:
        """Whether a block is on disk, after waiting for it so long at most."""
        with self._progress:
            return self._progress.wait_for(lambda: self._persisted >= number, seconds)

    def call(self, function: Callable[[], T], seconds: float = 30.0) -> T:
        """Call a function on the executing thread, between two blocks; what it returns or raises.

        Raises:
            NodeError: the node stops.
            TimeoutError: there was no moment between two blocks for so long; the function is not called any more.
        """
        answer: Future[T] = Future()
        if self._stop.is_set():
            raise NodeError("the node stops; ask again when it runs")
        self._calls.put((function, answer))
        self._news.set()
        if self._closed.is_set() and answer.cancel():  # it came behind the last that were served
            raise NodeError("the node stops; ask again when it runs")
        try:
            return answer.result(seconds)
        except TimeoutError:
            answer.cancel()  # nobody learns what it would do later
            raise

    def _serve_calls(self) -> None:
        """Make the calls that are there: those that come meanwhile wait for the next moment, as blocks and a stop do not."""
        for _ in range(self._calls.qsize()):
            function, answer = self._calls.get()
            if not answer.set_running_or_notify_cancel():
                continue
            try:
                answer.set_result(function())
            except BaseException as error:
                answer.set_exception(error)
