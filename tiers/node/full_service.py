# SPDX-License-Identifier: GPL-3.0-or-later
"""The calls of `supervm.v1.Node` on a node that executes. Messages in, messages out; errors say what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from supervm.engine.blocks.receipts import Receipts
from supervm.engine.blocks.result import BlockResult
from supervm.engine.state.state import Position
from supervm.engine.transactions.batch import TransactionBatch
from supervm.engine.work_classes import Work
from supervm.kernels.errors import ArgumentError
from supervm.tiers.node.block_stream import BlockStream
from supervm.tiers.node.errors import NodeError, NotKept, TooManySnapshots
from supervm.tiers.node.full_node import FullNode
from supervm.tiers.node.inbox import Inbox
from supervm.tiers.node.inbox_table import Noted
from supervm.tiers.node.quick_check import STALE_REASONS, account_check, proof_check, stateless_check
from supervm.tiers.node.records import BlockRecord
from supervm.tiers.node.requests import addresses_of
from supervm.tiers.node.sources import SubmittedBlocks
from supervm.tiers.node.submission import IN_BLOCK, REFUSED, WAITING, Answer, Submission
from supervm.tiers.node.task_desk import TaskDesk
from supervm.tiers.node.tasks import TaskRouter, route
from supervm.tiers.service.v1 import node_pb2 as pb

MOST_SNAPSHOTS = 64
"""Named snapshots with which callers may make no more: each keeps old values in memory and the log from there on."""


class FullService:
    """The calls; each from any thread.

    Args:
        node: what executes.
        router: which tasks it takes on.
        inbox: transactions that wait; None where the node packs no blocks.
        desk: where shares of tasks are taken; without, none are.
    """

    waits = frozenset({"GetProof", "CreateSnapshot", "DropSnapshot"})
    """Calls that wait for a moment between two blocks."""

    def __init__(
        self,
        node: FullNode,
        router: TaskRouter,
        inbox: Inbox | None = None,
        desk: TaskDesk | None = None,
    ) -> None:
        self._node, self._router, self._inbox = node, router, inbox
        self._desk = desk or TaskDesk(router)

    @property
    def takes_blocks(self) -> bool:
        """Whether it is sent its blocks."""
        return isinstance(self._node.source, SubmittedBlocks)

    def get_status(self, request: pb.GetStatusRequest) -> pb.NodeStatus:
        """Always answered."""
        node = self._node
        state = "failing" if node.problem else "draining" if node.stopping else "ready"
        return pb.NodeStatus(
            tier=self._router.tier.name,
            state=state,
            problem=node.problem,
            number=node.number,
            state_root=node.engine.state_root,
            genesis_hash=node.genesis_hash,
            tasks=sorted(self._router.allowed),
            waiting_transactions=self._inbox.waiting if self._inbox is not None else 0,
            takes_tasks=self._desk.open,
            task_load=self._desk.load,
        )

    def route_task(self, request: pb.RouteTaskRequest) -> pb.RouteTaskReply:
        """Always answered."""
        return route(self._router, request.task)

    def run_task(self, request: pb.RunTaskRequest) -> pb.RunTaskReply:
        """Done here or elsewhere, as the tier says. Errors as `TaskDesk.answer`."""
        return self._desk.answer(request)

    # ---------------------------------------------------------------------------------------------- blocks

    def submit_blocks(self) -> BlockStream:
        """A call that submits blocks.

        Raises:
            TaskRefused, NodeError: this node does not take blocks.
        """
        self._router.require(Work.TRANSACTION_EXECUTION)
        source = self._node.source
        if not isinstance(source, SubmittedBlocks):
            raise NodeError("this node follows a directory; start it without --blocks to submit blocks")
        return BlockStream(self._node, source)

    def get_block(self, request: pb.GetBlockRequest) -> pb.BlockInfo:
        """Raises: NotKept."""
        self._router.require(Work.QUERY)
        return _info(self._node.records.block(request.number or self._node.number))

    def get_receipts(self, request: pb.GetReceiptsRequest) -> pb.GetReceiptsReply:
        """Raises: NotKept."""
        self._router.require(Work.QUERY)
        return pb.GetReceiptsReply(receipts=self._receipts(request.number))

    def _receipts(self, number: int) -> bytes:
        receipts = None
        if 1 <= number <= self._node.number:
            receipts = self._node.engine.receipts(self._node.height_of(number))
        if receipts is None:
            raise NotKept(f"the receipts of block {number} are not kept")
        return receipts

    # ---------------------------------------------------------------------------------------------- transactions

    def submit_transactions(self, request: pb.SubmitTransactionsRequest) -> pb.SubmitTransactionsReply:
        """Note transactions for a later block, each once; what a block rejected waits again if it fits by now.

        Raises:
            TaskRefused, NodeError: this node packs no blocks.
            ArgumentError: a request that cannot be read; nothing of it was noted.
        """
        self._router.require(Work.TRANSACTION_EXECUTION)
        inbox = self._inbox
        if inbox is None:
            raise NodeError("this node packs no blocks; set node.pack.transactions above 0")
        submission = Submission.of(request)
        answer, keys = Answer(submission), [row.tobytes() for row in submission.hashes]
        noted = inbox.find(keys)
        self._tell(noted, answer)
        answer.known = np.array([each is not None for each in noted], np.bool_)
        if not answer.known.all():
            self._admit(inbox, submission, keys, np.flatnonzero(~answer.known), answer)
        self._readmit(inbox, submission, keys, answer)
        return answer.reply()

    def _admit(
        self, inbox: Inbox, submission: Submission, keys: list[bytes], rows: np.ndarray, answer: Answer
    ) -> None:
        """Note those of these transactions that neither the quick check nor the inbox refuses."""
        batch = submission.batch.take(rows)
        reasons, _ = self._check(batch)
        fits = np.flatnonzero(reasons == 0)
        kept = rows[fits].tolist()
        reasons[fits] = inbox.add(
            [keys[row] for row in kept],
            [submission.encoded[row] for row in kept],
            self._node.engine.accounts,
            batch.take(fits),
        )
        answer.reasons[rows] = reasons
        answer.states[rows] = np.where(reasons != 0, REFUSED, WAITING)
        answer.numbers[rows] = 0
        self._node.wake()

    def _readmit(self, inbox: Inbox, submission: Submission, keys: list[bytes], answer: Answer) -> None:
        """Let those wait again that a block rejected, spending no nonce, and that the next one would take."""
        rows = np.flatnonzero((answer.states == IN_BLOCK) & np.isin(answer.reasons, STALE_REASONS))
        if not rows.size:
            return
        batch = submission.batch.take(rows)
        reasons, nonces = self._check(batch)
        fits = rows[(reasons == 0) & (batch.nonce == nonces)]
        inbox.forget([keys[row] for row in fits.tolist()], answer.numbers[fits].tolist())
        self._admit(inbox, submission, keys, fits, answer)

    def _check(self, batch: TransactionBatch) -> tuple[NDArray[np.uint8], NDArray[np.uint64]]:
        """What the quick check says of transactions now, and their senders' nonces."""
        config = self._node.engine.config
        reasons = stateless_check(
            batch,
            chain_id=config.chain_id,
            signatures=config.signatures,
            private=config.verifier is not None,
            backend=config.backend,
            on_verified=config.on_verified,
        )
        reasons = np.where(reasons != 0, reasons, self._node.engine.refused_calls(batch))
        nonces, balances = self._node.engine.accounts(batch.sender)
        reasons = account_check(batch, reasons, nonces, balances)
        return proof_check(batch, reasons, config.verifier), nonces

    def _tell(self, noted: list[Noted | None], answer: Answer) -> None:
        """What became of those that were known: their blocks, and what the receipts say; without receipts, none is known."""
        receipts: dict[int, Receipts] = {}
        for row, each in enumerate(noted):
            if each is None or each.number is None or each.number > self._node.number:
                continue
            try:
                if each.number not in receipts:
                    receipts[each.number] = Receipts.from_bytes(self._receipts(each.number))
            except NotKept:  # they go a moment before what is noted does
                noted[row] = None
                continue
            answer.states[row], answer.numbers[row] = IN_BLOCK, each.number
            answer.reasons[row] = receipts[each.number].reason[each.place]

    # ---------------------------------------------------------------------------------------------- state

    def get_accounts(self, request: pb.GetAccountsRequest) -> pb.GetAccountsReply:
        """Raises: ArgumentError, NotKept."""
        self._router.require(Work.QUERY)
        addresses = addresses_of(request)
        with self._at(request.snapshot) as position:
            nonces, balances = self._node.engine.accounts(addresses, position.commit)
        return pb.GetAccountsReply(
            number=self._node.number_at(position.height),
            state_root=position.root,
            nonces=nonces.tolist(),
            balances=balances.tobytes(),
        )

    def get_storage(self, request: pb.GetStorageRequest) -> pb.GetStorageReply:
        """Raises: ArgumentError, NotKept."""
        self._router.require(Work.QUERY)
        if len(request.contract) != 20:
            raise ArgumentError("contract", f"{len(request.contract)} bytes", "20 bytes")
        key = b"\1" + request.contract + request.key
        with self._at(request.snapshot) as position:
            value = self._node.engine.state.get(key, position.commit)
        return pb.GetStorageReply(
            number=self._node.number_at(position.height), state_root=position.root, value=value
        )

    def get_proof(self, request: pb.GetProofRequest) -> pb.GetProofReply:
        """Raises: ArgumentError."""
        self._router.require(Work.QUERY)
        if not request.key:
            raise ArgumentError("key", "nothing", "a key of the state")

        def prove() -> pb.GetProofReply:
            engine = self._node.engine
            return pb.GetProofReply(
                number=self._node.number,
                state_root=engine.state_root,
                value=engine.state.get(request.key),
                proof=engine.prove(request.key).to_bytes(),
                hash_function=engine.config.hash,
            )

        return self._node.call(prove)

    @contextmanager
    def _at(self, snapshot: str) -> Iterator[Position]:
        """A snapshot, or the last block, whose values stay readable inside of the block."""
        engine = self._node.engine
        if snapshot:
            position = engine.snapshots.get(snapshot)
            if position is None:
                raise NotKept(f"there is no snapshot '{snapshot}'")
            with engine.state.store.reading(position.commit):
                # Dropped in between, its values may be gone before they were held here.
                if engine.snapshots.get(snapshot) != position:
                    raise NotKept(f"there is no snapshot '{snapshot}'")
                yield position
            return
        while True:
            with engine.state.store.reading() as mark:
                # A commit raises the watermark a moment before the position.
                position = engine.state.position
                if position.commit == mark:
                    yield position
                    return

    # ---------------------------------------------------------------------------------------------- snapshots

    def list_snapshots(self, request: pb.ListSnapshotsRequest) -> pb.ListSnapshotsReply:
        """The named snapshots, by number."""
        self._router.require(Work.LOCAL_OPERATION)
        found = sorted(self._node.engine.snapshots.items(), key=lambda item: item[1].height)
        return pb.ListSnapshotsReply(snapshots=[self._snapshot(name, at) for name, at in found])

    def create_snapshot(self, request: pb.CreateSnapshotRequest) -> pb.Snapshot:
        """Raises: ArgumentError, TooManySnapshots."""
        self._router.require(Work.LOCAL_OPERATION)

        def create() -> Position:
            if len(self._node.engine.snapshots) >= MOST_SNAPSHOTS:
                raise TooManySnapshots(MOST_SNAPSHOTS)
            return self._node.engine.snapshot(request.name)

        return self._snapshot(request.name, self._node.call(create))

    def drop_snapshot(self, request: pb.DropSnapshotRequest) -> pb.DropSnapshotReply:
        """Raises: NotKept."""
        self._router.require(Work.LOCAL_OPERATION)

        def drop() -> None:
            if request.name not in self._node.engine.snapshots:
                raise NotKept(f"there is no snapshot '{request.name}'")
            self._node.engine.forget(request.name)

        self._node.call(drop)
        return pb.DropSnapshotReply()

    def _snapshot(self, name: str, position: Position) -> pb.Snapshot:
        return pb.Snapshot(name=name, number=self._node.number_at(position.height), state_root=position.root)


def prune_inbox(inbox: Inbox, keep: int) -> Callable[[int, BlockResult], None]:
    """An observer that forgets transactions with their blocks."""
    return lambda number, result: inbox.prune(number - keep + 1)


def _info(record: BlockRecord) -> pb.BlockInfo:
    return pb.BlockInfo(
        number=record.number,
        hash=record.hash,
        parent=record.parent,
        timestamp=record.timestamp,
        state_root=record.root,
        transactions=record.transactions,
        committed=record.committed,
        failed=record.failed,
        rejected=record.rejected,
        gas=record.gas,
    )
