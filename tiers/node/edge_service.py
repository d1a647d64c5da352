# SPDX-License-Identifier: GPL-3.0-or-later
"""The calls of `supervm.v1.Node` on an edge node, L3: accounts from a cache, the quick check, and the rest from upstream."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from supervm.engine.config import OnVerified, Verifier
from supervm.engine.work_classes import Work
from supervm.kernels.array_types import Bytes
from supervm.tiers.node.account_cache import AccountCache
from supervm.tiers.node.errors import TaskRefused
from supervm.tiers.node.quick_check import STALE_REASONS, account_check, proof_check, stateless_check
from supervm.tiers.node.requests import addresses_of
from supervm.tiers.node.submission import REFUSED, Answer, Submission
from supervm.tiers.node.task_desk import TaskDesk
from supervm.tiers.node.tasks import TaskRouter, route
from supervm.tiers.node.upstream import Upstream
from supervm.tiers.service.v1 import node_pb2 as pb

Accounts = tuple[NDArray[np.uint64], Bytes]


class EdgeService:
    """The calls; each from any thread.

    Args:
        upstream: a node that executes.
        router: which tasks this node takes on.
        cache: of accounts.
        chain_id: of the chain.
        signatures: whether the chain's transactions are signed.
        verifier: of the proofs of private transactions; without, they are refused.
        backend: of the quick check.
        on_verified: told of the signatures that it verifies; as of `authenticate`.
        desk: where shares of tasks are taken; without, none are.
    """

    waits = frozenset(method.name for method in pb.DESCRIPTOR.services_by_name["Node"].methods)
    """Calls that may wait for the upstream."""

    takes_blocks = False

    def __init__(
        self,
        upstream: Upstream,
        router: TaskRouter,
        cache: AccountCache,
        *,
        chain_id: int = 1,
        signatures: bool = True,
        verifier: Verifier | None = None,
        backend: str = "auto",
        on_verified: OnVerified | None = None,
        desk: TaskDesk | None = None,
    ) -> None:
        self._upstream, self._router, self._cache = upstream, router, cache
        self._desk = desk or TaskDesk(router)
        self._chain_id, self._signatures, self._verifier = chain_id, signatures, verifier
        self._backend, self._on_verified = backend, on_verified

    def get_status(self, request: pb.GetStatusRequest) -> pb.NodeStatus:
        """The upstream's position, and this node's tier and tasks. Raises: UpstreamFailed."""
        status = self._upstream.get_status()
        status.tier = self._router.tier.name
        del status.tasks[:]
        status.tasks.extend(sorted(self._router.allowed))
        status.takes_tasks, status.task_load = self._desk.open, self._desk.load
        return status

    def route_task(self, request: pb.RouteTaskRequest) -> pb.RouteTaskReply:
        """Always answered."""
        return route(self._router, request.task)

    def run_task(self, request: pb.RunTaskRequest) -> pb.RunTaskReply:
        """Done here or upstream, as the tier says. Errors as `TaskDesk.answer`."""
        return self._desk.answer(request)

    def submit_blocks(self) -> NoReturn:
        """Raises: TaskRefused: an edge node executes nothing."""
        raise self._no_state()

    def submit_transactions(self, request: pb.SubmitTransactionsRequest) -> pb.SubmitTransactionsReply:
        """Refuse what the quick check refuses, and forward the rest.

        A cached account alone refuses nothing: what it would refuse is checked again with the account as it is upstream.

        Raises:
            ArgumentError: a request that cannot be read; nothing of it was forwarded.
            UpstreamFailed: whether something was noted there is not known; submit the same again.
        """
        self._router.require(Work.QUERY)
        submission = Submission.of(request)
        batch = submission.batch
        stateless = stateless_check(
            batch,
            chain_id=self._chain_id,
            signatures=self._signatures,
            private=self._verifier is not None,
            backend=self._backend,
            on_verified=self._on_verified,
        )
        senders, places = submission.senders()
        wanted = np.zeros(len(senders), np.bool_)
        wanted[places[stateless == 0]] = True
        nonces, balances = self._accounts(senders, wanted)
        reasons = account_check(batch, stateless, nonces[places], balances[places])
        doubtful = np.isin(reasons, STALE_REASONS)
        if doubtful.any():
            again = np.unique(places[doubtful])
            nonces[again], balances[again] = self._fetch(senders[again])
            reasons = account_check(batch, stateless, nonces[places], balances[places])
        return self._forward(submission, proof_check(batch, reasons, self._verifier))

    def _forward(self, submission: Submission, reasons: Bytes) -> pb.SubmitTransactionsReply:
        """Forward what was not refused, and what upstream may know: a transaction of its own past spends no nonce twice."""
        answer = Answer(submission)
        answer.reasons[:], answer.states[reasons != 0] = reasons, REFUSED
        rows = np.flatnonzero((reasons == 0) | np.isin(reasons, STALE_REASONS))
        if rows.size:
            answer.merge(rows, self._upstream.submit_transactions(submission.request(rows)))
        return answer.reply()

    def get_accounts(self, request: pb.GetAccountsRequest) -> pb.GetAccountsReply:
        """Accounts as they were at most `node.cache.seconds` ago, each at a moment of its own: so there is no root.

        Raises:
            ArgumentError: addresses of other lengths, or too many.
            UpstreamFailed: accounts that are not in the cache could not be asked for.
        """
        self._router.require(Work.QUERY)
        if request.snapshot:
            reply: pb.GetAccountsReply = self._upstream.call("GetAccounts", request)
            return reply
        distinct, places = np.unique(addresses_of(request), axis=0, return_inverse=True)
        nonces, balances = self._accounts(distinct, np.ones(len(distinct), np.bool_))
        places = places.reshape(-1)
        return pb.GetAccountsReply(nonces=nonces[places].tolist(), balances=balances[places].tobytes())

    def get_storage(self, request: pb.GetStorageRequest) -> pb.GetStorageReply:
        """From upstream."""
        reply: pb.GetStorageReply = self._ask("GetStorage", request)
        return reply

    def get_proof(self, request: pb.GetProofRequest) -> pb.GetProofReply:
        """From upstream."""
        reply: pb.GetProofReply = self._ask("GetProof", request)
        return reply

    def get_block(self, request: pb.GetBlockRequest) -> pb.BlockInfo:
        """From upstream."""
        reply: pb.BlockInfo = self._ask("GetBlock", request)
        return reply

    def get_receipts(self, request: pb.GetReceiptsRequest) -> pb.GetReceiptsReply:
        """From upstream."""
        reply: pb.GetReceiptsReply = self._ask("GetReceipts", request)
        return reply

    def list_snapshots(self, request: pb.ListSnapshotsRequest) -> pb.ListSnapshotsReply:
        """Raises: TaskRefused: an edge node has no state to keep."""
        raise self._no_state()

    def create_snapshot(self, request: pb.CreateSnapshotRequest) -> pb.Snapshot:
        """Raises: TaskRefused: an edge node has no state to keep."""
        raise self._no_state()

    def drop_snapshot(self, request: pb.DropSnapshotRequest) -> pb.DropSnapshotReply:
        """Raises: TaskRefused: an edge node has no state to keep."""
        raise self._no_state()

    def _no_state(self) -> TaskRefused:
        task = Work.TRANSACTION_EXECUTION
        return TaskRefused(task, task.cost, self._router.tier.name, "L2", False)

    def _ask(self, method: str, request: Any) -> Any:
        self._router.require(Work.QUERY)
        return self._upstream.call(method, request)

    def _accounts(self, addresses: Bytes, wanted: NDArray[np.bool_]) -> Accounts:
        """Accounts from the cache, and from upstream where it does not know those that are wanted."""
        found, nonces, balances = self._cache.look_up(addresses)
        missing = np.flatnonzero(wanted & ~found)
        if missing.size:
            nonces[missing], balances[missing] = self._fetch(addresses[missing])
        return nonces, balances

    def _fetch(self, addresses: Bytes) -> Accounts:
        reply = self._upstream.get_accounts(addresses.tobytes())
        nonces = np.array(reply.nonces, np.uint64)
        balances = np.frombuffer(reply.balances, np.uint8).reshape(-1, 32)
        self._cache.store(addresses, nonces, balances)
        return nonces, balances
