# SPDX-License-Identifier: GPL-3.0-or-later
"""Callers that leave, ask at the same time, or ask for what cannot be."""

from __future__ import annotations

import sqlite3
import threading
import time

import pytest
from engine_runs import blocks_of
from node_chains import SMALL, block_files, opened, running, write_chain

from supervm.kernels.errors import ArgumentError
from supervm.tiers.node.errors import NotKept
from supervm.tiers.node.full_service import FullService
from supervm.tiers.node.tasks import Task, TaskRouter
from supervm.tiers.service.v1 import node_pb2 as pb
from supervm.tiers.tier import L2

WORKLOAD = blocks_of("transfers", **SMALL)


def requests(files):
    return (pb.SubmitBlocksRequest(block=data) for data in files)


def everything(node, inbox=None):
    return FullService(node, TaskRouter(L2, tuple(Task)), inbox)


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_caller_that_leaves_takes_its_thread_along(tmp_path):
    """More blocks than are read ahead, of which none is executed: the node is not running."""
    files = block_files(tmp_path / "chain", WORKLOAD)
    with opened(tmp_path / "node", tmp_path / "chain", directory=False, config={"queue_depth": 50}) as node:
        before = set(threading.enumerate())
        listens = threading.Event()
        listens.set()
        with running(node):
            answers = everything(node).submit_blocks(requests(files), listens.is_set)
            next(answers)
            until(lambda: node.source.tip.number >= 4)
            listens.clear()
            answers.close()
            ours = ("supervm-node-submit", "Thread-")
            until(lambda: not [t for t in set(threading.enumerate()) - before if t.name.startswith(ours)])


def test_what_goes_wrong_while_blocks_are_read_is_told(tmp_path, monkeypatch):
    files = block_files(tmp_path / "chain", WORKLOAD)
    with running(opened(tmp_path / "node", tmp_path / "chain", directory=False)) as node:
        assert len(list(everything(node).submit_blocks(requests(files[:1]), lambda: True))) == 1

        def locked(number):
            raise sqlite3.OperationalError("database is locked")

        monkeypatch.setattr(node.records, "hash_of", locked)
        with pytest.raises(sqlite3.OperationalError):
            list(everything(node).submit_blocks(requests(files[:2]), lambda: True))


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
        blocker = threading.Thread(target=lambda: node.call(lambda: held.wait(20)))
        blocker.start()
        droppers = [threading.Thread(target=drop) for _ in range(2)]
        for each in droppers:
            each.start()
        time.sleep(0.2)
        held.set()
        for each in [*droppers, blocker]:
            each.join(20)
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
