# SPDX-License-Identifier: GPL-3.0-or-later
"""Shares of tasks that a tier does not take on: who does them, what is believed, and what ends with its caller."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from patience import PATIENCE, until

from supervm.crypto import curves, merkle, msm, ntt
from supervm.engine.work_classes import Work
from supervm.kernels.errors import ArgumentError
from supervm.tiers.cluster.splitting import merkle as split_merkle
from supervm.tiers.cluster.splitting import msm as split_msm
from supervm.tiers.cluster.splitting import ntt as split_ntt
from supervm.tiers.cluster.splitting.parts import digest_of
from supervm.tiers.cluster.tasks import TASKS
from supervm.tiers.errors import SettingError
from supervm.tiers.hardware import Hardware
from supervm.tiers.node import task_desk, upstreams
from supervm.tiers.node.account_cache import AccountCache
from supervm.tiers.node.callers import asker, caller_waits
from supervm.tiers.node.connecting import upstream_of
from supervm.tiers.node.edge_service import EdgeService
from supervm.tiers.node.errors import TaskRefused, UpstreamFailed
from supervm.tiers.node.server import NodeServer
from supervm.tiers.node.task_desk import TaskDesk
from supervm.tiers.node.task_messages import column_message, columns_of, options_of
from supervm.tiers.node.tasks import TaskRouter
from supervm.tiers.node.upstream import Upstream
from supervm.tiers.node.upstreams import Upstreams
from supervm.tiers.service.v1 import node_pb2 as pb
from supervm.tiers.settings import Settings, load
from supervm.tiers.tier import L1, L3

EDGE = (Work.QUERY, Work.LOCAL_OPERATION)
VALUES = np.random.default_rng(1).integers(0, 1 << 60, (4096, 4), np.uint64)


class Counted(EdgeService):
    """A node that does tasks, says what it is told of its load, and counts."""

    def __init__(self, router: TaskRouter, desk: TaskDesk) -> None:
        super().__init__(None, router, AccountCache(1 << 16, 1.0), desk=desk)  # type: ignore[arg-type]
        self.says, self.shares, self.held = 0, 0, 0
        self.before: Callable[[], None] = lambda: None
        self.lie, self.answer = False, pb.RunTaskReply()

    def get_status(self, request: pb.GetStatusRequest) -> pb.NodeStatus:
        return pb.NodeStatus(tier="L1", takes_tasks=self._desk.open, task_load=self.says)

    def run_task(self, request: pb.RunTaskRequest) -> pb.RunTaskReply:
        self.shares += 1
        self.held += any(held.columns for held in request.held)
        self.before()
        if self.answer.columns:
            return self.answer
        reply = super().run_task(request)
        if self.lie and not reply.lacks:
            columns = [column ^ 1 for column in columns_of(reply.columns, "columns")]
            reply = pb.RunTaskReply(columns=[column_message(column) for column in columns])
        return reply


class Nodes:
    """Nodes that are started, and connections to them."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def start(self, desk: TaskDesk) -> tuple[Counted, NodeServer]:
        service = Counted(desk.router, desk)
        server = NodeServer(service, "127.0.0.1:0")
        self._stack.callback(server.stop, 0.2)
        server.start()
        return service, server

    def above(self) -> tuple[Counted, NodeServer]:
        return self.start(TaskDesk(TaskRouter(L1, tuple(Work)), open_to_others=True))

    def edge(self, *above: NodeServer) -> tuple[Counted, NodeServer]:
        return self.start(TaskDesk(TaskRouter(L3, EDGE), self.upstreams(*above), open_to_others=True))

    def upstreams(self, *above: NodeServer) -> Upstreams:
        return self._stack.enter_context(Upstreams([Upstream(each.address) for each in above]))


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    with ExitStack() as stack:
        yield Nodes(stack)


def transformed(run: Upstreams) -> bool:
    return bool((split_ntt.transform(run, "bn254", VALUES, parts=4) == ntt.ntt("bn254", VALUES)).all())


def test_an_edge_node_sends_on_what_it_may_not_do(nodes: Nodes) -> None:
    top, server = nodes.above()
    edge, below = nodes.edge(server)
    run = nodes.upstreams(below)
    assert transformed(run)
    assert (edge.shares, top.shares) == (8, 8)
    leaves = np.arange(20_000, dtype=np.uint8).reshape(5_000, 4)
    assert split_merkle.root(run, leaves, "sha256") == merkle.root(leaves, "sha256")
    assert (edge.shares, top.shares) == (9, 9)
    # A few items are done where they are.
    few = split_ntt.transform(run, "bn254", VALUES[:64], parts=4)
    assert (few == ntt.ntt("bn254", VALUES[:64])).all()
    assert (edge.shares, top.shares) == (17, 9)


def test_a_node_with_nobody_above_says_where_a_task_belongs() -> None:
    desk = TaskDesk(TaskRouter(L3, EDGE))
    with pytest.raises(TaskRefused, match="belongs to L1 or above, with a GPU"):
        desk.run(TASKS["ntt.rows"], (VALUES.reshape(64, 64, 4),), {})


def test_points_travel_once_through_every_node(nodes: Nodes) -> None:
    top, server = nodes.above()
    edge, below = nodes.edge(server)
    group = curves.get("bn254").g1
    scalars = VALUES[:60]
    points = group.multiply(np.repeat(group.generator[None], 60, 0), scalars)
    bases = split_msm.Bases(nodes.upstreams(below), "bn254", points, range_points=20)
    for _ in range(2):
        assert (bases.msm(scalars) == msm.msm("bn254", points, scalars)).all()
    # Both nodes are in this process and share what is made of points: whoever asked first was told what is lacking.
    assert (edge.held, top.held) == (3, 3)


def test_the_node_with_least_to_do_is_asked(nodes: Nodes) -> None:
    (idle, one), (busy, other) = nodes.above(), nodes.above()
    busy.says = 10_000
    assert transformed(nodes.upstreams(other, one))
    assert (idle.shares, busy.shares) == (8, 0)
    busy.says = 0
    assert transformed(nodes.upstreams(other, one))
    assert min(idle.shares - 8, busy.shares) > 0


def test_a_node_that_is_gone_costs_nothing_but_its_share(nodes: Nodes) -> None:
    (_, one), (left, other) = nodes.above(), nodes.above()
    run = nodes.upstreams(one, other)
    one.stop(0.0)
    assert transformed(run)
    assert left.shares == 8
    other.stop(0.0)
    with pytest.raises(UpstreamFailed, match=r"upstream 127\.0\.0\.1:\d+, RunTask: UNAVAILABLE"):
        transformed(run)
    with pytest.raises(UpstreamFailed, match="GetStatus: UNAVAILABLE"):
        run.get_status()


def test_a_node_that_answers_wrongly_is_named_and_asked_no_more(nodes: Nodes) -> None:
    (liar, one), (honest, other) = nodes.above(), nodes.above()
    liar.lie = True
    honest.says = 1_000
    run = nodes.upstreams(one, other)
    assert transformed(run)
    assert honest.shares >= 8
    before = liar.shares
    assert transformed(run)
    assert liar.shares == before
    alone = nodes.upstreams(one)
    with pytest.raises(UpstreamFailed, match=f"upstream {one.address}, RunTask: INTERNAL: a wrong answer"):
        split_merkle.root(alone, np.zeros((100, 3), np.uint8), "sha256")


def test_a_caller_s_deadline_and_its_leaving_are_carried_on(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    top, server = nodes.above()
    _, below = nodes.edge(server)
    entered, seen = threading.Event(), []

    def wait_for_the_end() -> None:
        asking = asker.get()
        assert asking is not None
        seen.append(caller_waits.get() - time.monotonic())
        entered.set()
        gone = threading.Event()
        with asking.telling(gone.set):
            assert gone.wait(PATIENCE)
        seen.append("left")

    top.before = wait_for_the_end
    rows = pb.RunTaskRequest(
        task="ntt.rows",
        columns=[column_message(VALUES.reshape(64, 64, 4))],
        options='{"curve": "bn254", "inverse": false, "order": "natural", "coset": "1"}',
    )
    upstream = nodes.upstreams(below)._known[0].upstream
    call = upstream._stub.RunTask.future(rows, timeout=PATIENCE)
    assert entered.wait(PATIENCE)
    call.cancel()
    until(lambda: seen[-1] == "left")
    assert 0 < seen[0] < 2 * PATIENCE  # on its way gRPC rounds it up; a share by itself may take ten minutes
    with pytest.raises(grpc.RpcError) as late:
        upstream._stub.RunTask(rows, timeout=0.3)
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED  # type: ignore[attr-defined]


def test_what_is_refused(nodes: Nodes) -> None:
    closed, server = nodes.start(TaskDesk(TaskRouter(L1, tuple(Work))))
    with pytest.raises(UpstreamFailed, match="FAILED_PRECONDITION: this node does no tasks for others"):
        transformed(nodes.upstreams(server))
    assert closed.shares
    _, server = nodes.above()
    for request, found in (
        (pb.RunTaskRequest(task="mining"), "argument 'task'"),
        (pb.RunTaskRequest(task="ntt.rows", hops=4), "in a circle"),
        (pb.RunTaskRequest(task="ntt.rows", options="["), "argument 'options'"),
        (pb.RunTaskRequest(task="ntt.rows", options="[]"), "expected a JSON object"),
        (pb.RunTaskRequest(task="ntt.rows", columns=[pb.Column(dtype="O")]), "integers or truth"),
        (pb.RunTaskRequest(task="ntt.rows", columns=[pb.Column(dtype="(2,3)u1")]), "integers or truth"),
        (pb.RunTaskRequest(task="ntt.rows", columns=[pb.Column(dtype="|u1", shape=[3])]), "0 bytes"),
        (pb.RunTaskRequest(task="ntt.rows", columns=[pb.Column(dtype="|u1", data=b"1")]), "the shape ()"),
        (
            pb.RunTaskRequest(task="ntt.rows", columns=[pb.Column(dtype="<u8", shape=[0, 1 << 40, 4])]),
            "the shape (0, ",
        ),
        (pb.RunTaskRequest(task="ntt.rows"), "columns or options that it cannot do: IndexError"),
        (
            pb.RunTaskRequest(task="ntt.rows", columns=[column_message(VALUES.reshape(64, 64, 4))]),
            "KeyError: 'curve'",
        ),
        (
            pb.RunTaskRequest(
                task="verify.ed25519",
                columns=[column_message(np.zeros((100, 32), np.uint8))] * 4,
                options='{"speed": 9}',
            ),
            "TypeError",
        ),
        (
            pb.RunTaskRequest(
                task="ntt.rows",
                held=[pb.HeldColumns(digest="a", columns=[pb.Column(dtype="|u1", shape=[0])])],
            ),
            "those of a",
        ),
    ):
        with (
            Upstream(server.address) as upstream,
            pytest.raises(UpstreamFailed, match="INVALID_ARGUMENT") as refused,
        ):
            upstream.call("RunTask", request)
        assert found in refused.value.details
    with pytest.raises(ArgumentError, match="cut it into smaller shares"):
        list(nodes.upstreams(server).run("ntt.rows", [(np.zeros((1 << 10, 1 << 10, 4), np.uint64),)], {}))


def test_a_share_writes_nothing_where_it_is_done(nodes: Nodes, tmp_path: Path) -> None:
    _, server = nodes.above()
    victim = tmp_path / "authorized_keys"
    names = json.dumps([["1", [str(victim)]]]).encode()
    columns = (np.frombuffer(b"mine", np.uint8), np.array([0, 4]), np.frombuffer(names, np.uint8))
    options = '{"files": {"held": "x"}, "codes": null, "block_hashes": null}'
    request = pb.RunTaskRequest(
        task="ethereum.replay", columns=[column_message(column) for column in columns], options=options
    )
    with Upstream(server.address) as upstream, pytest.raises(UpstreamFailed, match="a file of the name"):
        upstream.call("RunTask", request)
    assert not victim.exists()


def test_a_wrong_share_is_its_caller_s_fault_alone(nodes: Nodes) -> None:
    top, server = nodes.above()
    edge, below = nodes.edge(server)
    options = '{"curve": "bn254", "inverse": false, "order": "natural", "coset": "1"}'
    wrong = pb.RunTaskRequest(task="ntt.rows", columns=[column_message(VALUES)], options=options)
    with Upstream(below.address) as upstream:
        for _ in range(2):
            with pytest.raises(UpstreamFailed, match="INVALID_ARGUMENT"):
                upstream.call("RunTask", wrong)
    assert (edge.shares, top.shares) == (2, 2)
    assert transformed(nodes.upstreams(below))


def test_a_silent_node_is_waited_for_only_so_long(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    (silent, one), (busy, other) = nodes.above(), nodes.above()
    busy.says, freed = 10_000, threading.Event()
    silent.before = lambda: freed.wait(PATIENCE) and None
    monkeypatch.setattr(upstreams, "TASK_SECONDS", 1.0)
    try:
        leaves = VALUES[:100, 0].copy().view(np.uint8).reshape(100, 8)
        root = split_merkle.root(nodes.upstreams(one, other), leaves, "sha256")
    finally:
        freed.set()
    assert root == merkle.root(leaves, "sha256")
    assert (silent.shares, busy.shares) == (1, 1)


@pytest.mark.parametrize(
    "answer", [np.zeros(3, np.uint8), np.ones((1, 2, 4), np.uint64), np.zeros((2, 2, 4), np.uint64)]
)
def test_a_sum_that_is_no_point_is_a_wrong_answer(nodes: Nodes, answer: Any) -> None:
    liar, server = nodes.above()
    liar.answer.columns.append(column_message(answer))
    points = np.repeat(curves.get("bn254").g1.generator[None], 3, 0)
    with pytest.raises(UpstreamFailed, match="a wrong answer to msm"):
        split_msm.Bases(nodes.upstreams(server), "bn254", points).msm(VALUES[:3])


def test_what_is_held_for_callers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = TaskDesk(TaskRouter(L1, tuple(Work)), open_to_others=True)
    monkeypatch.setattr(task_desk, "MOST_HELD_BYTES", 3 * task_desk.ENTRY_BYTES)
    for size in range(1, 9):
        column = np.zeros(size, np.uint8)
        held = pb.HeldColumns(digest=digest_of((column,)), columns=[column_message(column)])
        desk._take(pb.RunTaskRequest(held=[held, held]))
    assert [columns[0].size for columns in desk._held.values()] == [7, 8]
    assert desk._held_bytes == 2 * task_desk.ENTRY_BYTES + 15


def test_several_upstreams_are_a_setting() -> None:
    def settings(upstream: str) -> Settings:
        machine = Hardware(cores=4, memory=8 * 10**9)
        return load(machine, flags={"node.upstream": upstream}, environment={})

    with upstream_of(settings("127.0.0.1:1,[::1]:2")) as several:
        assert isinstance(several, Upstreams)
        assert several.address == "127.0.0.1:1, [::1]:2"
    for wrong in ("127.0.0.1:1,", "127.0.0.1:1,127.0.0.1:1", "off,127.0.0.1:1", "nowhere"):
        with pytest.raises(SettingError, match="several with commas"):
            settings(wrong)


def test_messages_keep_what_they_carry() -> None:
    for column in (np.arange(6, dtype=np.int64).reshape(2, 3), np.zeros((0, 4), np.uint64), np.array([True])):
        (again,) = columns_of([column_message(column)], "columns")
        assert (again.dtype, again.shape) == (column.dtype, column.shape)
        assert (again == column).all()
    found: dict[str, Any] = dict(options_of('{"a": [{"held": "x"}], "held": 1}', lambda digest: digest * 2))  # type: ignore[arg-type,return-value]
    assert found == {"a": ["xx"], "held": 1}
