# SPDX-License-Identifier: GPL-3.0-or-later
"""Callers that mean no good, at a node's port: who asks honestly is answered, what is kept is bounded, all is counted."""

from __future__ import annotations

import gc
import threading
import time
import tracemalloc
from collections import Counter
from contextlib import ExitStack
from types import SimpleNamespace

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from patience import PATIENCE, until
from raw_http2 import RawConnection

from supervm.tiers.node.account_cache import AccountCache
from supervm.tiers.node.admission import (
    MORE_BYTES,
    OPEN_CALLS,
    QUESTION_BYTES,
    WAITING,
    WAITING_OF_CONNECTION,
    bounds,
    queue,
)
from supervm.tiers.node.edge_service import EdgeService
from supervm.tiers.node.errors import UpstreamFailed
from supervm.tiers.node.server import SERVICE, NodeServer
from supervm.tiers.node.tasks import TaskRouter
from supervm.tiers.node.upstream import MOST_MESSAGE_BYTES, Upstream
from supervm.tiers.service.access import Access
from supervm.tiers.service.bounds import Bounds
from supervm.tiers.service.v1 import node_pb2 as pb
from supervm.tiers.tier import L3

TOKEN = "correct-horse-battery"
QUESTIONS = f"/{SERVICE.full_name}/GetAccounts"


class Port:
    """A node's port whose questions about accounts take a while, and what it counted."""

    def __init__(self, stack, **how):
        self.counted = Counter()
        self.go = threading.Event()
        self.go.set()
        edge = EdgeService(
            SimpleNamespace(get_accounts=self._accounts),
            TaskRouter(L3, ("query",)),
            AccountCache(1 << 12, 1.0),
        )
        self.server = NodeServer(edge, "127.0.0.1:0", self._count, **how)
        stack.callback(self.server.stop, 0)
        stack.callback(self.go.set)
        self.server.start()
        self._stack = stack

    def _accounts(self, addresses):
        self.go.wait(60)
        count = len(addresses) // 20
        return pb.GetAccountsReply(nonces=[0] * count, balances=bytes(32 * count))

    def _count(self, call, code, seconds):
        self.counted[call, code] += 1

    def raw(self, **how):
        """A connection of a caller who speaks HTTP/2 by himself."""
        connection = RawConnection(self.server.address, **how)
        self._stack.callback(connection.close)
        return connection

    def answers(self, token=None):
        """Whether an honest caller is answered, and a check of health."""
        with Upstream(self.server.address, 30, token=token) as honest:
            assert honest.call("RouteTask", pb.RouteTaskRequest(task="query")).allowed
            check = health_pb2_grpc.HealthStub(honest._channel).Check(
                health_pb2.HealthCheckRequest(), timeout=30
            )
            assert check.status == health_pb2.HealthCheckResponse.SERVING


@pytest.fixture
def stack():
    with ExitStack() as found:
        yield found


@pytest.mark.parametrize("tokens", [False, True])
def test_calls_without_a_message_take_nothing_from_others(stack, tokens):
    """33 of them took every thread."""
    access = Access((("edge", TOKEN.encode()),)) if tokens else None
    port = Port(stack, access=access)
    for _ in range(20):
        connection = port.raw()
        for _ in range(30):
            connection.call(QUESTIONS)
    time.sleep(0.5)
    port.answers(TOKEN if tokens else None)
    code = "UNAUTHENTICATED" if tokens else "RESOURCE_EXHAUSTED"
    until(lambda: port.counted["GetAccounts", code] >= 600 - OPEN_CALLS)


def test_a_call_whose_message_does_not_come_is_ended(stack):
    port = Port(stack, callers=Bounds(message_seconds=0.5))
    connection = port.raw()
    for _ in range(5):
        connection.call(QUESTIONS)
    until(lambda: port.counted["GetAccounts", "UNAVAILABLE"] == 5)


def test_threads_that_are_all_at_work_leave_the_state_of_the_node_to_be_asked_for(stack):
    port = Port(stack)
    port.go.clear()
    with grpc.insecure_channel(port.server.address) as channel:
        ask = channel.unary_unary(QUESTIONS)
        request = [
            pb.GetAccountsRequest(addresses=bytes([n]) * 20).SerializeToString() for n in range(WAITING + 8)
        ]
        calls = [ask.future(each, timeout=PATIENCE) for each in request]
        time.sleep(0.3)
        port.answers()
        assert not any(call.done() for call in calls)
        port.go.set()
        assert {call.code() for call in calls} == {grpc.StatusCode.OK}


def test_messages_that_do_not_end_are_bounded_together(stack):
    most = 4 << 20
    port = Port(stack, callers=Bounds(message_bytes=1 << 20, arriving_bytes=most))
    seen = []
    for _ in range(150):
        connection = port.raw()
        connection.begin_message(connection.call(QUESTIONS), 1 << 20, bytes(60_000))
        seen.append(port.server.held)
    until(lambda: port.counted["GetAccounts", "RESOURCE_EXHAUSTED"])
    until(lambda: port.server.held <= most)
    port.answers()
    assert max(seen) <= 2 * most


def test_requests_that_wait_for_a_thread_are_bounded_together(stack, monkeypatch):
    monkeypatch.setattr("supervm.tiers.node.admission.MORE_BYTES", 1 << 20)
    port = Port(stack, callers=Bounds(message_bytes=1 << 20))
    port.go.clear()
    with grpc.insecure_channel(port.server.address) as channel:
        ask = channel.unary_unary(QUESTIONS)
        request = [
            pb.GetAccountsRequest(addresses=n.to_bytes(2) * 400_000).SerializeToString() for n in range(16)
        ]
        calls = [ask.future(each, timeout=PATIENCE) for each in request]
        until(lambda: sum(call.done() for call in calls) == 11)
        assert port.server.held <= 4 << 20
        port.go.set()
        codes = Counter(call.code().name for call in calls)
    assert codes == {"RESOURCE_EXHAUSTED": 11, "OK": 5}
    assert port.counted["GetAccounts", "RESOURCE_EXHAUSTED"] == 11


def unread(port, calls, accounts):
    """A connection that asks for accounts so many times, and lets nothing of the answers come."""
    connection = port.raw(window=0)
    for number in range(calls):
        request = pb.GetAccountsRequest(addresses=number.to_bytes(2) * (10 * accounts)).SerializeToString()
        stream = connection.call(QUESTIONS)
        connection.begin_message(stream, len(request), request)
        connection.end(stream)
    return connection


def test_answers_that_nobody_reads_hold_up_only_who_asked(stack):
    port = Port(stack)
    unread(port, 14, 200)
    until(lambda: port.counted["GetAccounts", "OK"] == WAITING_OF_CONNECTION)
    time.sleep(0.3)
    port.answers()
    assert port.counted["GetAccounts", "OK"] == WAITING_OF_CONNECTION
    with grpc.insecure_channel(port.server.address) as channel:
        ask = channel.unary_unary(QUESTIONS)
        request = pb.GetAccountsRequest(addresses=bytes(60_000)).SerializeToString()
        calls = [ask.future(request, timeout=PATIENCE) for _ in range(3 * WAITING_OF_CONNECTION)]
        assert {call.code() for call in calls} == {grpc.StatusCode.OK}


def test_answers_that_nobody_reads_go_with_their_connection(stack):
    """They stayed until Python looked for cycles: 200 MB a second."""
    port = Port(stack)
    tracemalloc.start()
    stack.callback(tracemalloc.stop)
    gc.collect()
    gc.disable()
    stack.callback(gc.enable)
    before, _ = tracemalloc.get_traced_memory()
    for turn in range(1, 51):
        connection = unread(port, 3, 1000)
        until(lambda turn=turn: port.counted["GetAccounts", "OK"] == 3 * turn)
        connection.close()
    until(lambda: port.server.unread == 0)
    time.sleep(0.2)
    now, _ = tracemalloc.get_traced_memory()
    assert now - before < 1 << 20  # of 5 MB


def test_a_question_is_no_block(stack):
    port = Port(stack)
    with (
        Upstream(port.server.address, 60) as honest,
        pytest.raises(UpstreamFailed, match="expected at most") as refused,
    ):
        honest.get_accounts(bytes(QUESTION_BYTES + 20 - QUESTION_BYTES % 20))
    assert refused.value.code == "RESOURCE_EXHAUSTED"
    assert port.server.held == 0


def test_refusals_of_the_node_itself_take_longer_where_they_are_many(stack, monkeypatch):
    """3,500 streams of blocks a second were refused by a node that is sent none."""
    monkeypatch.setattr("supervm.tiers.service.guard.RETRY_AFTER", 0.1)
    monkeypatch.setattr("supervm.tiers.service.connections.REFUSALS_A_SECOND", 0)
    port = Port(stack)

    def asked(count):
        """Seconds of the quickest of so many."""
        found = []
        with grpc.insecure_channel(port.server.address) as channel:
            ask = channel.unary_unary(QUESTIONS)
            for _ in range(count):
                began = time.monotonic()
                assert ask.future(b"\xff" * 9, timeout=PATIENCE).code() is grpc.StatusCode.INVALID_ARGUMENT
                found.append(time.monotonic() - began)
        return min(found)

    once = asked(5)
    asked(30)
    assert asked(5) > once + 0.1


def test_bytes_that_are_no_message(stack):
    port = Port(stack)
    with grpc.insecure_channel(port.server.address) as channel:
        for call in (
            channel.unary_unary(QUESTIONS).future(b"\xff" * 9, timeout=PATIENCE),
            channel.stream_stream(f"/{SERVICE.full_name}/GetBlock")(iter([b"\xff" * 9]), timeout=PATIENCE),
        ):
            assert call.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert port.counted == {("GetAccounts", "INVALID_ARGUMENT"): 1, ("GetBlock", "INVALID_ARGUMENT"): 1}


def test_a_caller_without_room_is_told_when_to_try_again(stack):
    """And the node below does so by itself."""
    port = Port(stack, callers=Bounds(calls=1, address_calls=1, message_seconds=0.4))
    connection = port.raw()
    connection.call(QUESTIONS)
    time.sleep(0.2)
    with Upstream(port.server.address, 30) as below:
        try:
            assert below.call("RouteTask", pb.RouteTaskRequest(task="query")).allowed
        except UpstreamFailed as error:
            pytest.fail(str(error))


def test_the_largest_block_has_room():
    callers = bounds(MOST_MESSAGE_BYTES)
    assert callers.arriving_bytes == MOST_MESSAGE_BYTES + MORE_BYTES
    assert queue(MOST_MESSAGE_BYTES).most_size >= callers.arriving_bytes + MOST_MESSAGE_BYTES
