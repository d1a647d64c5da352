# SPDX-License-Identifier: GPL-3.0-or-later
"""What a caller may take of a node: streams that idle, connections that nobody is behind any more, snapshots."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from types import SimpleNamespace

import grpc
import pytest
from engine_runs import blocks_of
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2_grpc
from node_chains import SMALL, block_files
from patience import PATIENCE, until

from supervm.tiers.node import full_service, server
from supervm.tiers.node.account_cache import AccountCache
from supervm.tiers.node.admission import STREAMS_OF_ADDRESS
from supervm.tiers.node.edge_service import EdgeService
from supervm.tiers.node.errors import UpstreamFailed
from supervm.tiers.node.server import NodeServer
from supervm.tiers.node.tasks import TaskRouter
from supervm.tiers.node.upstream import Upstream
from supervm.tiers.service.guard import RESERVE
from supervm.tiers.service.v1 import node_pb2 as pb
from supervm.tiers.service.v1.node_pb2_grpc import NodeStub
from supervm.tiers.tier import L3

WORKLOAD = blocks_of("transfers", **SMALL)
CALLS = 32
OWN = [("grpc.use_local_subchannel_pool", 1)]
"""Has a channel make a connection of its own."""

REFUSED = grpc.StatusCode.RESOURCE_EXHAUSTED


class Idle:
    """Streams that send nothing before `end` is set.

    Args:
        open: opens one with an iterator of requests.
        count: of streams.
    """

    def __init__(self, open, count):
        self.end = threading.Event()
        self.calls = [open(iter(self.end.wait, True)) for _ in range(count)]

    @property
    def left(self):
        """Those that are not over."""
        return [call for call in self.calls if not call.done()]

    def codes(self):
        """How those ended that are over."""
        return Counter(call.code() for call in self.calls if call.done())


@pytest.fixture
def full(tmp_path, serve):
    files = block_files(tmp_path / "chain", WORKLOAD)
    served = serve(tmp_path / "node", tmp_path / "chain", directory=False)
    return SimpleNamespace(files=files, upstream=served.upstream, node=served.node)


@pytest.fixture
def light():
    """The address of a node whose calls need no upstream."""
    edge = EdgeService(SimpleNamespace(), TaskRouter(L3, ("query",)), AccountCache(1 << 12, 1.0))
    found = NodeServer(edge, "127.0.0.1:0")
    found.start()
    yield found.address
    found.stop(0)


def submit(full, files):
    """Acknowledged numbers of blocks, or None if there is no place for the stream."""
    calls = (pb.SubmitBlocksRequest(block=data) for data in files)
    try:
        return [each.number for each in full.upstream._stub.SubmitBlocks(calls, timeout=PATIENCE)]
    except grpc.RpcError as error:
        if error.code() is not REFUSED:
            raise
        return None


def test_streams_that_idle_leave_room_for_other_calls(full):
    most = STREAMS_OF_ADDRESS
    idle = Idle(full.upstream._stub.SubmitBlocks, CALLS + 4)
    until(lambda: len(idle.left) == most)
    assert idle.codes() == {REFUSED: CALLS + 4 - most}
    said = next(call for call in idle.calls if call.done()).details()
    assert said == f"{most} streams of blocks of this address are open, the most at a time: try again later"
    for _ in range(CALLS):
        assert full.upstream.get_status().state == "ready"
    assert full.upstream.get_accounts(WORKLOAD.genesis.addresses.tobytes()).number == 0
    check = health_pb2_grpc.HealthStub(full.upstream._channel).Check
    assert check(health_pb2.HealthCheckRequest(), timeout=PATIENCE).status == 1
    assert submit(full, full.files[:1]) is None
    assert len(idle.left) == most
    # Whoever leaves makes room for one.
    idle.left[0].cancel()
    until(lambda: submit(full, full.files[:2]) == [1, 2])
    # And so do all that end as they should.
    idle.end.set()
    until(lambda: not idle.left)
    assert idle.codes()[grpc.StatusCode.OK] == most - 1
    # Whoever has none yet takes the place of one that idles.
    again = Idle(full.upstream._stub.SubmitBlocks, CALLS)
    until(lambda: len(again.left) == most)
    assert submit(full, full.files[:2]) is None
    with grpc.insecure_channel(full.upstream.address, OWN) as channel:
        another = SimpleNamespace(upstream=SimpleNamespace(_stub=NodeStub(channel)))
        assert submit(another, full.files[:2]) == [1, 2]
    assert len(again.left) == most - 1
    again.end.set()
    until(lambda: submit(full, full.files[:3]) == [1, 2, 3])


def test_strangers_who_ask_what_there_is_leave_room_too(light):
    with grpc.insecure_channel(light, OWN) as channel, Upstream(light) as known:
        info = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
        idle = Idle(info, CALLS + 4)
        known.call("RouteTask", pb.RouteTaskRequest(task="query"))
        idle.end.set()
        until(lambda: not idle.left)


def test_who_watches_health_has_a_place_until_he_leaves(light):
    most = RESERVE[1]
    with grpc.insecure_channel(light, OWN) as channel, Upstream(light) as known:
        watch = health_pb2_grpc.HealthStub(channel).Watch
        calls = [watch(health_pb2.HealthCheckRequest()) for _ in range(most - 1)]
        assert [next(call).status for call in calls] == [1] * (most - 1)
        with grpc.insecure_channel(light, OWN) as further:
            late = [health_pb2_grpc.HealthStub(further).Watch(health_pb2.HealthCheckRequest()) for _ in "ab"]
            assert next(late[0]).status == 1
            known.call("RouteTask", pb.RouteTaskRequest(task="query"))
            # Who has most gives way with one.
            assert next(late[1]).status == 1
            until(lambda: sum(call.done() for call in calls) == 1)


@contextmanager
def relay(address):
    """A port that passes bytes on to `address`, and an event after which it does so no more, while connections stay."""
    host, _, port = address.rpartition(":")
    silent = threading.Event()
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def pass_on(source, target):
            with suppress(OSError):
                while (data := source.recv(1 << 16)) and not silent.is_set():
                    target.sendall(data)

        def accept():
            with suppress(OSError):
                near, _ = listening.accept()
                far = socket.create_connection((host, int(port)))
                for each in (near, far):
                    stack.callback(each.close)
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=pass_on, args=pair, daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}", silent


def test_who_vanished_gives_the_place_back(tmp_path, serve, monkeypatch):
    """A caller's machine that is gone says no farewell; here, a relay that is silent from some moment on."""
    monkeypatch.setattr(server, "KEEPALIVE_MILLISECONDS", 1_000)
    monkeypatch.setattr(server, "PING_MILLISECONDS", 3_000)
    block_files(tmp_path / "chain", WORKLOAD)
    full = serve(tmp_path / "node", tmp_path / "chain", directory=False)
    with relay(full.upstream.address) as (address, silent), grpc.insecure_channel(address) as channel:
        idle = Idle(NodeStub(channel).SubmitBlocks, CALLS)
        until(lambda: len(idle.left) == STREAMS_OF_ADDRESS == full.server.streams)
        silent.set()
        until(lambda: not full.server.streams)
        idle.end.set()


def test_snapshots_that_callers_make_are_so_many(full, monkeypatch):
    monkeypatch.setattr(full_service, "MOST_SNAPSHOTS", 3)

    def create(name):
        return full.upstream.call("CreateSnapshot", pb.CreateSnapshotRequest(name=name)).name

    assert [create(name) for name in "abc"] == ["a", "b", "c"]
    for name in "da":
        with pytest.raises(UpstreamFailed) as caught:
            create(name)
        assert caught.value.code == "RESOURCE_EXHAUSTED"
        assert caught.value.details == (
            "there are 3 snapshots, the most that callers may make: drop one first (DropSnapshot)"
        )
    listed = full.upstream.call("ListSnapshots", pb.ListSnapshotsRequest()).snapshots
    assert sorted(each.name for each in listed) == ["a", "b", "c"]
    full.upstream.call("DropSnapshot", pb.DropSnapshotRequest(name="b"))
    assert create("d") == "d"
