# SPDX-License-Identifier: GPL-3.0-or-later
"""What a power loss leaves, records behind the state or a state behind the records: a node goes on and ends alike."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import pytest
from engine_runs import blocks_of
from node_chains import SMALL, block_files, opened, sequential_roots, write_chain

from supervm.engine.blocks.receipts import Receipts
from supervm.engine.storage import Storage
from supervm.tiers.node.blocks import unpack_block
from supervm.tiers.node.errors import NotKept, WrongChain
from supervm.tiers.node.records import ChainRecords
from supervm.tiers.node.sources import Offered

NAME = "token"
WORKLOAD = blocks_of(NAME, **SMALL)
ROOTS = sequential_roots(NAME, **SMALL)
LAST = len(ROOTS)
NO_CHECKPOINT = {"checkpoint_bytes": 1 << 30}


@pytest.fixture
def chain(tmp_path):
    write_chain(tmp_path / "chain", WORKLOAD)
    return tmp_path / "chain"


def change(folder, statement, *values):
    """What the disk has not taken of the records."""
    with closing(sqlite3.connect(folder / "chain.sqlite")) as database, database:
        database.execute(statement, values)


def records_of(node):
    """Every record, which has to agree with the receipts that are kept."""
    found = [node.records.block(number) for number in range(1, node.number + 1)]
    for record in found:
        receipts = Receipts.from_bytes(node.engine.receipts(node.height_of(record.number)))
        assert (record.committed, record.transactions) == (int(receipts.accepted.sum()), len(receipts))
    return found


def finish(node, chain, directory):
    """Give the node the blocks that it lacks, and execute them."""
    if not directory:
        for data in block_files(chain, WORKLOAD)[node.number :]:
            assert node.source.offer(unpack_block(data, "test"), "test", 0) is Offered.TAKEN
    node.run(until=LAST)


@pytest.mark.parametrize("directory", [True, False])
@pytest.mark.parametrize("lost", [1, 4, LAST])
def test_the_state_is_ahead_of_the_records(tmp_path, chain, caplog, lost, directory):
    """Twice: the second time the log has what the first one left."""
    options = {"directory": directory, "config": {**NO_CHECKPOINT, "queue_depth": LAST}}
    folder, left = tmp_path / "node", LAST - lost
    with opened(folder, chain, **options) as node:
        finish(node, chain, directory)
        expected = records_of(node)
    for _ in range(2):
        change(folder, "DELETE FROM blocks WHERE number > ?", left)
        # Rows are begun ahead of execution, so that several may not have been completed.
        change(folder, "UPDATE blocks SET root = NULL, committed = NULL WHERE number > ?", left - 3)
        caplog.clear()
        with opened(folder, chain, **options) as node:
            assert f"the records of blocks {left + 1} to {LAST} are lost" in caplog.text
            assert node.number == left
            assert left == 0 or node.engine.state_root == ROOTS[left - 1]
            assert records_of(node) == expected[:left]
            for number in range(left + 1, LAST + 1):
                assert node.engine.receipts(node.height_of(number)) is None
                with pytest.raises(NotKept, match=f"block {number} is not kept"):
                    node.records.block(number)
        with opened(folder, chain, **options) as node:
            assert node.number == left
            finish(node, chain, directory)
            assert records_of(node) == expected
            assert [record.root for record in expected] == ROOTS
            assert node.engine.state_root == ROOTS[-1]


def test_snapshots_of_lost_blocks_are_dropped(tmp_path, chain):
    with opened(tmp_path / "node", chain, config=NO_CHECKPOINT) as node:
        for number in (3, 6, 9):
            node._stop.clear()
            node.run(until=number)
            node.engine.snapshot(f"at {number}")
    change(tmp_path / "node", "DELETE FROM blocks WHERE number > 6")
    with opened(tmp_path / "node", chain, config=NO_CHECKPOINT) as node:
        assert {name: position.root for name, position in node.engine.snapshots.items()} == {
            "at 3": ROOTS[2],
            "at 6": ROOTS[5],
        }
        finish(node, chain, True)
        assert node.engine.rollback("at 3") == ROOTS[2]


def test_the_way_back_begins_at_a_checkpoint(tmp_path, chain):
    """One stands in the middle; behind it, every block can be come back to, and before it, none."""
    folder = tmp_path / "node"
    at = 4
    with opened(folder, chain, config=NO_CHECKPOINT) as node:
        node.run(until=at)
    with opened(folder, chain, config={"checkpoint_bytes": 1}) as node:
        node.run(until=at + 1)
        storage = node.engine.state.storage
        storage.wait_checkpoint()
        assert node.number_at(storage.checkpoint.height) == at
    with opened(folder, chain, config=NO_CHECKPOINT) as node:
        finish(node, chain, True)
    shutil.copytree(folder, tmp_path / "copy")
    for left in range(LAST + 1):
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "copy", folder)
        change(folder, "DELETE FROM blocks WHERE number > ?", left)
        if left < at:
            with pytest.raises(WrongChain, match=f"the records end at block {left}.*restore a copy of both"):
                opened(folder, chain, config=NO_CHECKPOINT)
            continue
        with opened(folder, chain, config=NO_CHECKPOINT) as node:
            assert (node.number, node.engine.state_root) == (left, ROOTS[left - 1])
            finish(node, chain, True)
            assert node.engine.state_root == ROOTS[-1]


def test_records_of_other_blocks_are_refused(tmp_path, chain):
    with opened(tmp_path / "node", chain, config=NO_CHECKPOINT) as node:
        finish(node, chain, True)
    change(tmp_path / "node", "DELETE FROM blocks WHERE number > 5")
    change(tmp_path / "node", "UPDATE blocks SET root = ? WHERE number = 5", bytes(32))
    for _ in range(2):
        with pytest.raises(WrongChain, match="of which the state has another root"):
            opened(tmp_path / "node", chain, config=NO_CHECKPOINT)


@pytest.mark.parametrize("directory", [True, False])
def test_the_records_are_ahead_of_the_state(tmp_path, chain, directory):
    folder, options = tmp_path / "node", {"directory": directory, "config": {"queue_depth": LAST}}
    with opened(folder, chain) as node:
        node.run(until=5)
    shutil.copytree(folder / "state", tmp_path / "before")
    with opened(folder, chain) as node:
        finish(node, chain, True)
        expected = records_of(node)
    shutil.rmtree(folder / "state")
    shutil.copytree(tmp_path / "before", folder / "state")
    with opened(folder, chain, **options) as node:
        assert (node.number, node.engine.state_root) == (5, ROOTS[4])
        with pytest.raises(NotKept, match="block 6 is not kept"):
            node.records.block(6)
        finish(node, chain, directory)
        assert records_of(node) == expected
        assert node.engine.state_root == ROOTS[-1]


def test_no_checkpoint_overtakes_the_records(tmp_path, chain, monkeypatch):
    """When one begins, the disk has the records of all blocks in it, so that there is always a way back."""
    settled, begun = [0], []
    settle, start = ChainRecords.settle, Storage.start_checkpoint

    def noted_settle(records):
        settle(records)
        settled.append(
            records._execute("SELECT COALESCE(MAX(number), 0) FROM blocks WHERE root IS NOT NULL")[0]
        )

    def noted_start(storage, sequence, chunks):
        begun.append((sequence, settled[-1]))
        start(storage, sequence, chunks)

    monkeypatch.setattr(ChainRecords, "settle", noted_settle)
    monkeypatch.setattr(Storage, "start_checkpoint", noted_start)
    for until in (LAST // 2, LAST):
        with opened(tmp_path / "node", chain, config={"checkpoint_bytes": 20_000}) as node:
            node.run(until=until)
            base = node.height_of(0)
    assert len(begun) > 1
    assert all(sequence - base <= number for sequence, number in begun)


def test_the_disk_has_what_is_settled(tmp_path, chain):
    """All of the log of commits is in the database: SQLite waits for the disk before and after it copies them."""
    with opened(tmp_path / "node", chain) as node:
        node.run(until=3)
        node.records.settle()
        alone = tmp_path / "alone.sqlite"
        shutil.copy(tmp_path / "node" / "chain.sqlite", alone)  # without the log beside it
        with closing(sqlite3.connect(alone)) as database:
            found = database.execute("SELECT number FROM blocks WHERE root IS NOT NULL").fetchall()
        assert found == [(1,), (2,), (3,)]
