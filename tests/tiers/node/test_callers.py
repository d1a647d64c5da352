# SPDX-License-Identifier: GPL-3.0-or-later
"""Callers that leave, ask at the same time, or ask for what cannot be."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from concurrent.futures import Future
from contextlib import aclosing

import pytest
from block_calls import acknowledged, packed
from engine_runs import blocks_of
from node_chains import SMALL, block_files, opened, running, write_chain
from patience import PATIENCE

from supervm.engine.work_classes import Work
from supervm.kernels.errors import ArgumentError
from supervm.tiers.node.errors import NodeError, NotKept
from supervm.tiers.node.full_service import FullService
from supervm.tiers.node.tasks import TaskRouter
from supervm.tiers.service.v1 import node_pb2 as pb
from supervm.tiers.tier import L2

WORKLOAD = blocks_of("transfers", **SMALL)


def everything(node, inbox=None):
    return FullService(node, TaskRouter(L2, tuple(Work)), inbox)


def test_a_caller_that_leaves_leaves_nothing_behind(tmp_path):
    """More blocks than are read ahead: who reads them is gone with the call, and takes no more of them."""
    files = block_files(tmp_path / "chain", WORKLOAD)
    with opened(tmp_path / "node", tmp_path / "chain", directory=False, config={"queue_depth": 50}) as node:

        async def call():
            answers = everything(node).submit_blocks().acknowledgements(packed(files), asyncio.to_thread)
            async with asyncio.timeout(60), aclosing(answers):
                assert (await anext(answers)).number == 1
                while node.source.tip.number < 4:
                    await asyncio.sleep(0.01)
                assert len(asyncio.all_tasks()) == 2
            assert asyncio.all_tasks() == {asyncio.current_task()}

        with running(node):
            asyncio.run(call())
            assert node.source.tip.number < len(files)


def test_what_goes_wrong_while_blocks_are_read_is_told(tmp_path, monkeypatch):
    files = block_files(tmp_path / "chain", WORKLOAD)
    with running(opened(tmp_path / "node", tmp_path / "chain", directory=False)) as node:
        assert len(acknowledged(everything(node), files[:1])) == 1

        def locked(number):
            raise sqlite3.OperationalError("database is locked")

        monkeypatch.setattr(node.records, "hash_of", locked)
        with pytest.raises(sqlite3.OperationalError):
            acknowledged(everything(node), files[:2])


def test_a_number_that_no_block_has(tmp_path):
    write_chain(tmp_path / "chain", WORKLOAD)
    with opened(tmp_path / "node", tmp_path / "chain") as node:
        for number in (1 << 63, (1 << 64) - 1):
            with pytest.raises(NotKept):
                everything(node).get_block(pb.GetBlockRequest(number=number))
            with pytest.raises(NotKept):
                everything(node).get_receipts(pb.GetReceiptsRequest(number=number))


@pytest.mark.parametrize(
    "name", ["a/../b", "\0", "ä\n", "'; DROP TABLE blocks", "x" * 255, "\U0001f600" * 63]
)
def test_names_of_snapshots(tmp_path, name):
    write_chain(tmp_path / "chain", WORKLOAD)
    with running(opened(tmp_path / "node", tmp_path / "chain")) as node:
        service = everything(node)
        made = service.create_snapshot(pb.CreateSnapshotRequest(name=name))
        with pytest.raises(ArgumentError):
            service.create_snapshot(pb.CreateSnapshotRequest(name=name))
    with running(opened(tmp_path / "node", tmp_path / "chain")) as node:
        service = everything(node)
        assert list(service.list_snapshots(pb.ListSnapshotsRequest()).snapshots) == [made]
        service.drop_snapshot(pb.DropSnapshotRequest(name=name))
        with pytest.raises(NotKept):
            service.drop_snapshot(pb.DropSnapshotRequest(name=name))


def test_a_snapshot_that_another_caller_drops_first(tmp_path):
    block_files(tmp_path / "chain", WORKLOAD)
    with running(opened(tmp_path / "node", tmp_path / "chain", directory=False)) as node:
        service = everything(node)
        service.create_snapshot(pb.CreateSnapshotRequest(name="x"))
        errors = []

        def drop():
            try:
                service.drop_snapshot(pb.DropSnapshotRequest(name="x"))
            except Exception as error:
                errors.append(error)

        held = threading.Event()
        blocker = threading.Thread(target=lambda: node.call(lambda: held.wait(PATIENCE)))
        blocker.start()
        droppers = [threading.Thread(target=drop) for _ in range(2)]
        for each in droppers:
            each.start()
        time.sleep(0.2)
        held.set()
        for each in [*droppers, blocker]:
            each.join(PATIENCE)
        assert [type(error) for error in errors] == [NotKept]


def test_a_call_that_nobody_waits_for_is_not_made(tmp_path):
    block_files(tmp_path / "chain", WORKLOAD)
    with opened(tmp_path / "node", tmp_path / "chain", directory=False) as node:
        made = []
        with pytest.raises(TimeoutError):
            node.call(lambda: made.append(1), 0.01)
        with running(node):
            node.call(lambda: None)
            assert made == []


def test_calls_without_end_keep_no_node_from_stopping(tmp_path):
    """Each is there before the last one is over."""
    block_files(tmp_path / "chain", WORKLOAD)
    with running(opened(tmp_path / "node", tmp_path / "chain", directory=False)) as node:

        def again():
            node._calls.put((again, Future()))

        node.call(again)


def test_a_call_behind_the_last_moment_is_refused(tmp_path):
    block_files(tmp_path / "chain", WORKLOAD)
    with opened(tmp_path / "node", tmp_path / "chain", directory=False) as node:
        node.close()
        node._stop.clear()  # as it was when the call looked
        with pytest.raises(NodeError, match="the node stops"):
            node.call(lambda: None, 20)
