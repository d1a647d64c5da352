# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's calls over gRPC: blocks in, state out, and what is refused with which status."""

from __future__ import annotations

import shutil
import threading
from contextlib import ExitStack

import grpc
import numpy as np
import pytest
from block_calls import acknowledged
from engine_runs import blocks_of
from grpc_health.v1 import health_pb2, health_pb2_grpc
from node_chains import SMALL, block_files, opened, running, sequential_roots, write_chain
from patience import PATIENCE
from served_nodes import start_node

from supervm.crypto.sparse_merkle import verify_proof
from supervm.engine.blocks.receipts import Receipts
from supervm.engine.config import EngineConfig
from supervm.engine.transactions.encoding import encode
from supervm.engine.work_classes import Work
from supervm.engine.workloads.run import run_workload
from supervm.tiers.node.blocks import pack_block
from supervm.tiers.node.errors import NodeError, UpstreamFailed
from supervm.tiers.node.full_service import FullService
from supervm.tiers.node.server import SERVICE, NodeServer, status_of
from supervm.tiers.node.tasks import TaskRouter
from supervm.tiers.node.upstream import Upstream
from supervm.tiers.service.v1 import node_pb2 as pb
from supervm.tiers.tier import L2

NAME = "token"
WORKLOAD = blocks_of(NAME, **SMALL)
LAST = len(WORKLOAD)


@pytest.fixture
def chain(tmp_path):
    folder = tmp_path / "chain"
    block_files(folder, WORKLOAD)
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return block_files(tmp_path_factory.mktemp("chain"), WORKLOAD)


def requests(files):
    return (pb.SubmitBlocksRequest(block=data) for data in files)


def submit(served, files):
    """Acknowledgements of blocks, and what ended the call."""
    found = []
    try:
        for each in served.upstream._stub.SubmitBlocks(requests(files), timeout=PATIENCE):
            found.append(each)
    except grpc.RpcError as error:
        return found, error
    return found, None


def test_blocks_are_acknowledged_in_order(tmp_path, chain, files, serve):
    served = serve(tmp_path / "node", chain, directory=False)
    alone = run_workload(WORKLOAD, EngineConfig(mode="sequential"))
    found, error = submit(served, files)
    assert error is None
    assert [each.number for each in found] == list(range(1, LAST + 1))
    assert [each.state_root for each in found] == [result.state_root for result in alone.results]
    assert not any(each.known for each in found)
    for each, result in zip(found, alone.results, strict=True):
        stats = result.stats
        counts = (stats.transactions, stats.committed, stats.failed, stats.rejected)
        assert (each.transactions, each.committed, each.failed, each.rejected) == counts
        info = served.upstream.call("GetBlock", pb.GetBlockRequest(number=each.number))
        assert (info.hash, info.state_root, info.gas) == (
            each.hash,
            each.state_root,
            int(result.receipts.gas.sum()),
        )
        stored = served.upstream.call("GetReceipts", pb.GetReceiptsRequest(number=each.number)).receipts
        assert Receipts.from_bytes(stored).equals(result.receipts)
    assert served.upstream.call("GetBlock", pb.GetBlockRequest()).number == LAST


def test_a_block_twice_is_known_and_executed_once(tmp_path, chain, files, serve):
    served = serve(tmp_path / "node", chain, directory=False)
    submit(served, files[:4])
    found, error = submit(served, [*files[1:6], files[5], files[0]])
    assert error is None
    assert [(each.number, each.known) for each in found] == [
        (2, True), (3, True), (4, True), (5, False), (6, False), (6, True), (1, True),
    ]  # fmt: skip
    assert [each.state_root for each in found[:5]] == sequential_roots(NAME, **SMALL)[1:6]


def test_a_wrong_block_ends_the_call_and_nothing_else(tmp_path, chain, files, serve):
    served = serve(tmp_path / "node", chain, directory=False)
    another = pack_block(2, files[0][-32:], 9, _encoded())
    for wrong, words in (
        (files[3], "block 4: found number 4, expected number 3"),
        (another, "block 2: found number 2, expected number 3"),
        (files[2][:-1], "digest"),
        (b"", "a block, which begins with"),
        (pack_block(3, bytes(32), 9, _encoded()), "the block before"),
    ):
        found, error = submit(served, [*files[:2], wrong, files[2]])
        assert [each.number for each in found] == [1, 2]
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert words in error.details()
        assert served.node.number == 2
    found, error = submit(served, files[2:])
    assert (error, found[-1].state_root) == (None, sequential_roots(NAME, **SMALL)[-1])


def _encoded():
    return encode(WORKLOAD.transactions.slice(0, 1))


def test_what_was_acknowledged_is_there_after_a_restart(tmp_path, chain, files):
    """A second node opens a copy that was made while the first one had only just acknowledged."""
    with running(opened(tmp_path / "node", chain, directory=False)) as node:
        service = FullService(node, TaskRouter(L2, tuple(Work)))
        assert acknowledged(service, files[:6], 5)[-1].number == 5
        assert node.wait_persisted(6, 60)
        shutil.copytree(tmp_path / "node", tmp_path / "copy")
    with opened(tmp_path / "copy", chain, directory=False) as node:
        assert node.number == 6
        assert node.records.block(5).root == sequential_roots(NAME, **SMALL)[4]


def test_many_callers_submit_the_same(tmp_path, chain, files, serve):
    served = serve(tmp_path / "node", chain, directory=False)
    found = []

    def call():
        found.append(submit(served, files))

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(acknowledged) for acknowledged, _ in found] == [LAST] * 3
    assert served.node.number == LAST
    assert served.node.engine.state_root == sequential_roots(NAME, **SMALL)[-1]
    new = [each.number for acknowledged, _ in found for each in acknowledged if not each.known]
    assert sorted(new) == list(range(1, LAST + 1))


def test_the_state_is_that_of_the_engine(tmp_path, chain, files, serve):
    served = serve(tmp_path / "node", chain, directory=False)
    submit(served, files[:3])
    addresses = WORKLOAD.genesis.addresses
    contract = WORKLOAD.genesis.deployments[0].address
    engine = served.node.engine
    kept = served.upstream.call("CreateSnapshot", pb.CreateSnapshotRequest(name="third"))
    assert (kept.name, kept.number, kept.state_root) == ("third", 3, engine.state_root)
    before = [engine.account(each.tobytes()) for each in addresses]
    key = WORKLOAD.genesis.keys[0][21:]
    held = engine.get(contract, key)
    submit(served, files[3:])
    for snapshot, accounts, value in (
        ("third", before, held),
        ("", [engine.account(each.tobytes()) for each in addresses], engine.get(contract, key)),
    ):
        reply = served.upstream.call(
            "GetAccounts", pb.GetAccountsRequest(addresses=addresses.tobytes(), snapshot=snapshot)
        )
        balances = [int.from_bytes(reply.balances[32 * n : 32 * n + 32]) for n in range(len(addresses))]
        assert list(zip(reply.nonces, balances, strict=True)) == accounts
        assert reply.state_root == sequential_roots(NAME, **SMALL)[2 if snapshot else -1]
        reply = served.upstream.call(
            "GetStorage", pb.GetStorageRequest(contract=contract, key=key, snapshot=snapshot)
        )
        assert (reply.value, reply.number) == (value, 3 if snapshot else LAST)
    absent = served.upstream.call("GetStorage", pb.GetStorageRequest(contract=contract, key=b"nothing"))
    assert not absent.HasField("value")
    listed = served.upstream.call("ListSnapshots", pb.ListSnapshotsRequest()).snapshots
    assert [(each.name, each.number) for each in listed] == [("third", 3)]
    served.upstream.call("DropSnapshot", pb.DropSnapshotRequest(name="third"))
    assert not served.upstream.call("ListSnapshots", pb.ListSnapshotsRequest()).snapshots


def test_proofs_hold_while_blocks_are_executed(tmp_path, chain, serve):
    write_chain(chain, WORKLOAD)
    served = serve(tmp_path / "node", chain)
    roots = sequential_roots(NAME, **SMALL)
    keys = [b"\0" + WORKLOAD.genesis.addresses[place].tobytes() for place in range(5)] + [b"\0" + b"x" * 20]
    number = 0
    while number < LAST:
        for key in keys:
            reply = served.upstream.get_proof(key)
            number = reply.number
            value = reply.value if reply.HasField("value") else None
            assert number == 0 or reply.state_root == roots[number - 1]
            assert verify_proof(reply.state_root, key, value, reply.proof)
            assert not verify_proof(reply.state_root, key, b"another", reply.proof)


@pytest.mark.parametrize(
    ("method", "request_", "code"),
    [
        ("GetAccounts", pb.GetAccountsRequest(addresses=b"short"), "INVALID_ARGUMENT"),
        ("GetAccounts", pb.GetAccountsRequest(addresses=bytes(20 * 100_001)), "INVALID_ARGUMENT"),
        ("GetAccounts", pb.GetAccountsRequest(snapshot="none"), "NOT_FOUND"),
        ("GetStorage", pb.GetStorageRequest(contract=b"x"), "INVALID_ARGUMENT"),
        ("GetProof", pb.GetProofRequest(), "INVALID_ARGUMENT"),
        ("GetBlock", pb.GetBlockRequest(number=1 << 62), "NOT_FOUND"),
        ("GetReceipts", pb.GetReceiptsRequest(), "NOT_FOUND"),
        ("GetReceipts", pb.GetReceiptsRequest(number=1 << 63), "NOT_FOUND"),
        ("CreateSnapshot", pb.CreateSnapshotRequest(), "INVALID_ARGUMENT"),
        ("DropSnapshot", pb.DropSnapshotRequest(name="none"), "NOT_FOUND"),
        ("RouteTask", pb.RouteTaskRequest(task="mining"), "INVALID_ARGUMENT"),
        ("SubmitTransactions", pb.SubmitTransactionsRequest(), "UNAVAILABLE"),
    ],
)
def test_wrong_questions(shared, method, request_, code):
    with pytest.raises(UpstreamFailed) as caught:
        shared.upstream.call(method, request_)
    assert caught.value.code == code
    assert caught.value.details


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One node for questions that change nothing."""
    folder = tmp_path_factory.mktemp("shared")
    block_files(folder / "chain", WORKLOAD)
    with ExitStack() as stack:
        yield start_node(stack, folder / "node", folder / "chain", directory=False)


def test_status_health_and_tasks(shared):
    status = shared.upstream.get_status()
    assert (status.tier, status.state, status.number, status.problem) == ("L2", "ready", 0, "")
    assert status.state_root == shared.node.engine.state_root
    assert status.genesis_hash == shared.node.genesis_hash
    health = health_pb2_grpc.HealthStub(shared.upstream._channel)
    for name in ("", SERVICE.full_name):
        found = health.Check(health_pb2.HealthCheckRequest(service=name))
        assert found.status == health_pb2.HealthCheckResponse.SERVING
    reply = shared.upstream.call("RouteTask", pb.RouteTaskRequest(task="zk_proof"))
    assert (reply.cost, reply.tier, reply.needs_gpu) == (95, "L1", True)


def test_random_bytes_are_answered(shared):
    """Whatever comes as a request: an answer or a status, and the node goes on."""
    random = np.random.default_rng(1)
    for method in SERVICE.methods:
        if method.client_streaming:
            continue
        call = shared.upstream._channel.unary_unary(f"/{SERVICE.full_name}/{method.name}")
        for size in (1, 7, 40, 300):
            # An answer, or the status of a refusal; not the end of one's patience.
            assert (
                call.future(random.bytes(size), timeout=PATIENCE).code()
                is not grpc.StatusCode.DEADLINE_EXCEEDED
            )
    assert shared.upstream.get_status().state == "ready"


def test_calls_are_counted_and_defects_are_internal(tmp_path):
    counted = []

    class Broken:
        waits = frozenset()

        def __getattr__(self, name):
            def answer(*_):
                raise ZeroDivisionError("a defect")

            return answer

    server = NodeServer(Broken(), "127.0.0.1:0", lambda *call: counted.append(call[:2]))
    server.start()
    with Upstream(server.address) as upstream, pytest.raises(UpstreamFailed, match="INTERNAL: a defect"):
        upstream.get_status()
    server.stop(0)
    assert counted == [("GetStatus", "INTERNAL")]
    assert status_of(NodeError("stops"))[0] is grpc.StatusCode.UNAVAILABLE
    with pytest.raises(OSError, match="cannot listen"):
        NodeServer(Broken(), "256.0.0.1:1")
