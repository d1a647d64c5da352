# SPDX-License-Identifier: GPL-3.0-or-later
"""An edge node: what it answers itself, what it forwards, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from engine_runs import blocks_of
from node_chains import block_files
from served_nodes import Served

from supervm.engine.transactions.encoding import encode
from supervm.tiers.hardware import Hardware
from supervm.tiers.node.account_cache import AccountCache
from supervm.tiers.node.edge_service import EdgeService
from supervm.tiers.node.errors import TaskRefused, UpstreamFailed
from supervm.tiers.node.server import NodeServer
from supervm.tiers.node.submission import IN_BLOCK, REFUSED, WAITING, request_of
from supervm.tiers.node.tasks import TaskRouter
from supervm.tiers.node.upstream import Upstream
from supervm.tiers.service.v1 import node_pb2 as pb
from supervm.tiers.settings import load
from supervm.tiers.tier import L3
from supervm.vm.outcomes import Reason

WORKLOAD = blocks_of("transfers", transactions=120, accounts=30, block_size=120, signed=True, seed=4)
BATCH = WORKLOAD.transactions
ENCODED = [encode(BATCH)[row] for row in range(len(BATCH))]
ALLOWED = load(Hardware(cores=4, memory=8 * 10**9), environment={}).work_allowed


class Counting:
    """An upstream that counts what it is asked for."""

    def __init__(self, upstream):
        self._upstream, self.asked, self.submitted = upstream, 0, 0

    def get_accounts(self, addresses):
        self.asked += len(addresses) // 20
        return self._upstream.get_accounts(addresses)

    def submit_transactions(self, request):
        self.submitted += len(request.offsets) // 8 - 1
        return self._upstream.submit_transactions(request)

    def __getattr__(self, name):
        return getattr(self._upstream, name)


@pytest.fixture
def full(tmp_path, serve) -> Served:
    block_files(tmp_path / "chain", WORKLOAD)
    return serve(
        tmp_path / "node", tmp_path / "chain", directory=False, pack=200, config={"signatures": True}
    )


@pytest.fixture
def upstream(full):
    return Counting(full.upstream)


@pytest.fixture
def edge(upstream):
    return EdgeService(upstream, TaskRouter(L3, ALLOWED), AccountCache(1 << 16, 1e9))


def test_accounts_are_asked_for_once(full, upstream, edge):
    addresses = WORKLOAD.genesis.addresses
    twice = np.concatenate([addresses, addresses[:5]])
    for _ in range(3):
        reply = edge.get_accounts(pb.GetAccountsRequest(addresses=twice.tobytes()))
        nonces, balances = full.node.engine.accounts(twice)
        assert reply.nonces == nonces.tolist()
        assert reply.balances == balances.tobytes()
    assert upstream.asked == len(addresses)


def test_what_is_refused_is_not_forwarded(upstream, edge):
    bad = [each[:-1] + bytes([each[-1] ^ 1]) for each in ENCODED[:7]]
    reply = edge.submit_transactions(request_of([*bad, *ENCODED[:3]]))
    assert list(reply.states) == [REFUSED] * 7 + [WAITING] * 3
    assert list(reply.reasons) == [Reason.BAD_SIGNATURE] * 7 + [0] * 3
    assert upstream.submitted == 3


def test_a_stale_account_refuses_nothing(full, upstream, edge):
    """The cache says that a sender has nothing; the upstream knows better, and is asked."""
    sender = BATCH.sender[:1].copy()
    edge._cache.store(sender, np.array([0], np.uint64), np.zeros((1, 32), np.uint8))
    reply = edge.submit_transactions(request_of(ENCODED[:1]))
    assert list(reply.states) == [WAITING]
    assert upstream.asked == 1
    # And one that is spent already is refused with what is so upstream.
    edge._cache.store(sender, np.array([9], np.uint64), np.zeros((1, 32), np.uint8))
    assert edge.submit_transactions(request_of(ENCODED[:1])).states[0] in (WAITING, IN_BLOCK)


def test_a_transaction_of_the_past_is_known_through_the_edge_too(full, upstream, edge):
    while WAITING in (reply := edge.submit_transactions(request_of(ENCODED))).states:
        pass
    assert list(reply.states) == [IN_BLOCK] * 120
    root = full.node.engine.state_root
    again = edge.submit_transactions(request_of(ENCODED))
    assert (again.states, again.numbers, list(again.known)) == (reply.states, reply.numbers, [True] * 120)
    assert full.node.engine.state_root == root


def test_the_rest_comes_from_upstream(full, edge):
    server = NodeServer(edge, "127.0.0.1:0")
    server.start()
    with Upstream(server.address) as asked:
        while WAITING in asked.submit_transactions(request_of(ENCODED)).states:
            pass
        for method, request in (
            ("GetBlock", pb.GetBlockRequest()),
            ("GetReceipts", pb.GetReceiptsRequest(number=1)),
            ("GetProof", pb.GetProofRequest(key=b"\0" + BATCH.sender[0].tobytes())),
            ("GetStorage", pb.GetStorageRequest(contract=bytes(20))),
        ):
            assert asked.call(method, request) == full.upstream.call(method, request)
        status = asked.get_status()
        assert (status.tier, list(status.tasks)) == ("L3", ["local_operation", "query"])
        assert status.state_root == full.node.engine.state_root
        with pytest.raises(UpstreamFailed) as caught:
            asked.call("GetBlock", pb.GetBlockRequest(number=999))
        assert caught.value.code == "NOT_FOUND"
        for method, request in (
            ("CreateSnapshot", pb.CreateSnapshotRequest(name="x")),
            ("DropSnapshot", pb.DropSnapshotRequest(name="x")),
            ("ListSnapshots", pb.ListSnapshotsRequest()),
        ):
            with pytest.raises(UpstreamFailed, match="belongs to L2 or above, no GPU needed") as caught:
                asked.call(method, request)
            assert caught.value.code == "FAILED_PRECONDITION"
    server.stop(0)


def test_blocks_are_not_for_it(edge):
    with pytest.raises(TaskRefused, match=r"'transaction_execution' \(cost 60\).*L2 or above"):
        edge.submit_blocks()


def test_without_an_upstream(upstream):
    with Upstream("127.0.0.1:1", seconds=2) as gone:
        edge = EdgeService(gone, TaskRouter(L3, ALLOWED), AccountCache(1 << 16, 1e9))
        with pytest.raises(UpstreamFailed) as caught:
            edge.submit_transactions(request_of(ENCODED[:1]))
        assert caught.value.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
        bad = ENCODED[0][:-1] + bytes([ENCODED[0][-1] ^ 1])
        assert list(edge.submit_transactions(request_of([bad])).states) == [REFUSED]
