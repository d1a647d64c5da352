# SPDX-License-Identifier: GPL-3.0-or-later
"""An edge node whose upstream is slow or lies, and ports and requests that are bounded."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import grpc
import pytest
from patience import PATIENCE, until

from supervm.kernels.errors import ArgumentError
from supervm.tiers.node.account_cache import AccountCache
from supervm.tiers.node.edge_service import EdgeService
from supervm.tiers.node.errors import UpstreamFailed
from supervm.tiers.node.server import NodeServer
from supervm.tiers.node.tasks import TaskRouter
from supervm.tiers.node.upstream import Upstream
from supervm.tiers.service.v1 import node_pb2 as pb
from supervm.tiers.tier import L3


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
        release.wait(PATIENCE)
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
    with Upstream(f"127.0.0.1:{port}", seconds=PATIENCE) as upstream:
        edge = EdgeService(upstream, TaskRouter(L3, ("query",)), AccountCache(1 << 12, 1.0))
        server = NodeServer(edge, "127.0.0.1:0", lambda call, code, seconds: seen.append((code, seconds)))
        server.start()
        with Upstream(server.address, seconds=0.5) as caller, pytest.raises(UpstreamFailed) as caught:
            caller.call("GetBlock", pb.GetBlockRequest(number=1))
        assert caught.value.code == "DEADLINE_EXCEEDED"
        try:
            until(lambda: seen)
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


@contextmanager
def refusing(times, trailers):
    """The address of an upstream that refuses so many calls, and the calls that it got."""
    asked = []

    def answer(request, context):
        asked.append(request.number)
        if len(asked) <= times:
            context.set_trailing_metadata(trailers)
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no room")
        return pb.BlockInfo(number=request.number)

    handler = grpc.unary_unary_rpc_method_handler(
        answer, pb.GetBlockRequest.FromString, pb.BlockInfo.SerializeToString
    )
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("supervm.v1.Node", {"GetBlock": handler}),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield f"127.0.0.1:{port}", asked
        server.stop(0).wait()


@pytest.mark.parametrize(
    ("times", "push_back", "calls", "code"),
    [
        (3, "1", 4, "OK"),
        (99, "1", 6, "RESOURCE_EXHAUSTED"),
        (1, "-1", 1, "RESOURCE_EXHAUSTED"),
        (1, None, 1, "RESOURCE_EXHAUSTED"),
    ],
)
def test_an_upstream_without_room_is_asked_again(times, push_back, calls, code):
    trailers = () if push_back is None else (("grpc-retry-pushback-ms", push_back),)
    with refusing(times, trailers) as (address, asked), Upstream(address) as upstream:
        with nullcontext() if code == "OK" else pytest.raises(UpstreamFailed, match=f"GetBlock: {code}"):
            assert upstream.call("GetBlock", pb.GetBlockRequest(number=7)).number == 7
        assert asked == [7] * calls


def test_who_waits_to_ask_again_is_let_go_when_the_node_stops():
    with (
        refusing(99, (("grpc-retry-pushback-ms", "60000"),)) as (address, asked),
        Upstream(address, 1e3) as upstream,
    ):
        ended = []

        def ask():
            with pytest.raises(UpstreamFailed) as caught:
                upstream.call("GetBlock", pb.GetBlockRequest(number=7))
            ended.append(caught.value.code)

        asking = threading.Thread(target=ask)
        asking.start()
        until(lambda: asked)
        upstream.close()
        asking.join(PATIENCE)
        assert ended == ["RESOURCE_EXHAUSTED"]
        with pytest.raises(UpstreamFailed, match="CANCELLED: the connection is closed"):
            upstream.call("GetBlock", pb.GetBlockRequest(number=7))
