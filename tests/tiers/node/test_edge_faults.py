# SPDX-License-Identifier: GPL-3.0-or-later
"""An edge node whose upstream is slow or lies, and ports and requests that are bounded."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import grpc
import pytest

from supervm.kernels.errors import ArgumentError
from supervm.tiers.node.account_cache import AccountCache
from supervm.tiers.node.edge_service import EdgeService
from supervm.tiers.node.errors import UpstreamFailed
from supervm.tiers.node.server import NodeServer
from supervm.tiers.node.tasks import TaskRouter
from supervm.tiers.node.upstream import Upstream
from supervm.tiers.service.v1 import node_pb2 as pb
from supervm.tiers.tier import L3


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_port_is_one_node_s():
    router = TaskRouter(L3, ("query",))
    edge = EdgeService(SimpleNamespace(), router, AccountCache(1 << 12, 1.0))
    server = NodeServer(edge, "127.0.0.1:0")
    try:
        with pytest.raises(OSError, match="cannot listen on"):
            NodeServer(edge, server.address).stop(0)
    finally:
        server.stop(0)


def test_the_deadline_of_a_caller_is_the_upstream_s_too():
    """An upstream that never answers holds the edge's thread no longer than the caller waits."""
    release = threading.Event()
    pool = ThreadPoolExecutor(4)
    slow = grpc.server(pool)
    ended = []

    def wait(request, context):
        context.add_callback(lambda: ended.append(time.monotonic()))
        release.wait(30)
        return pb.BlockInfo()

    handler = grpc.unary_unary_rpc_method_handler(
        wait, pb.GetBlockRequest.FromString, pb.BlockInfo.SerializeToString
    )
    slow.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("supervm.v1.Node", {"GetBlock": handler}),)
    )
    port = slow.add_insecure_port("127.0.0.1:0")
    slow.start()
    seen = []
    with Upstream(f"127.0.0.1:{port}", seconds=20) as upstream:
        edge = EdgeService(upstream, TaskRouter(L3, ("query",)), AccountCache(1 << 12, 1.0))
        server = NodeServer(edge, "127.0.0.1:0", lambda call, code, seconds: seen.append((code, seconds)))
        server.start()
        with Upstream(server.address, seconds=0.5) as caller, pytest.raises(UpstreamFailed) as caught:
            caller.call("GetBlock", pb.GetBlockRequest(number=1))
        assert caught.value.code == "DEADLINE_EXCEEDED"
        try:
            until(lambda: seen, 5.0)
        finally:
            release.set()
            server.stop(0)
            slow.stop(0).wait()
            pool.shutdown()
    assert seen[0][0] == "DEADLINE_EXCEEDED"


def test_an_edge_node_takes_no_more_addresses_than_its_upstream():
    edge = EdgeService(SimpleNamespace(), TaskRouter(L3, ("query",)), AccountCache(1 << 12, 1.0))
    with pytest.raises(ArgumentError, match="addresses"):
        edge.get_accounts(pb.GetAccountsRequest(addresses=bytes(20 * 100_001)))
