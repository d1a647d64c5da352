# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that executes: every block once, in order, whatever stops it; what it keeps, and what it refuses."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from engine_runs import blocks_of
from node_chains import SMALL, block_files, opened, running, sequential_roots, write_chain, write_genesis

from supervm.crypto.messages import Messages
from supervm.engine.blocks.receipts import Receipts
from supervm.engine.engine import Engine
from supervm.engine.errors import InputFileError, StorageError, StorageFailed, StorageUnavailable
from supervm.engine.transactions.encoding import encode
from supervm.kernels.errors import ArgumentError
from supervm.kernels.threads import set_threads
from supervm.tiers.node.blocks import file_name, genesis_hash_of, pack_block, unpack_block, write_block
from supervm.tiers.node.errors import BlockRefused, DatabaseFailed, NodeError, NotKept, WrongChain

NAME = "mixed"
WORKLOAD = blocks_of(NAME, **SMALL)
LAST = len(WORKLOAD)


@pytest.fixture(autouse=True)
def _one_thread_afterwards():
    yield
    set_threads(1)


@pytest.fixture
def chain(tmp_path):
    folder = tmp_path / "chain"
    write_chain(folder, WORKLOAD)
    return folder


def roots_of(node):
    return [node.records.block(number).root for number in range(1, node.number + 1)]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_directory_is_followed(tmp_path, chain, threads):
    seen = []
    node = opened(
        tmp_path / "node", chain, config={"threads": threads}, observers=(lambda n, r: seen.append(n),)
    )
    with node:
        node.run(until=LAST)
        assert roots_of(node) == sequential_roots(NAME, **SMALL)
        assert node.wait_persisted(LAST, 0)
        record = node.records.block(3)
        receipts = Receipts.from_bytes(node.engine.receipts(node.height_of(3)))
        block = unpack_block((chain / file_name(3)).read_bytes(), "")
        assert (record.hash, record.parent, record.timestamp) == (block.hash, block.parent, 3)
        assert (record.transactions, record.gas) == (50, int(receipts.gas.sum()))
        assert record.committed + record.rejected == 50
    assert seen == list(range(1, LAST + 1))


def test_it_goes_on_where_it_was(tmp_path, chain):
    """After every block, with another node each time; blocks that were done are not even opened."""
    for number in range(1, LAST + 1):
        with opened(tmp_path / "node", chain) as node:
            assert node.number == number - 1
            node.run(until=number)
            assert node.number == number
        (chain / file_name(number)).write_bytes(b"nobody reads this again")
    with opened(tmp_path / "node", chain) as node:
        assert roots_of(node) == sequential_roots(NAME, **SMALL)


def test_stopping_in_the_middle_leaves_whole_blocks(tmp_path, chain):
    def stop_at(number, result):
        if number % 5 == 0:
            node.stop()

    numbers = []
    while not numbers or numbers[-1] < 10:
        with opened(tmp_path / "node", chain, observers=(stop_at,)) as node:
            node.run()
            numbers.append(node.number)
    assert numbers == [5, 10]
    with opened(tmp_path / "node", chain) as node:
        node.run(until=LAST)
        assert roots_of(node) == sequential_roots(NAME, **SMALL)


def test_blocks_that_come_later_and_out_of_order(tmp_path):
    folder = tmp_path / "chain"
    files = block_files(folder, WORKLOAD)
    with running(opened(tmp_path / "node", folder)) as node:
        for first in range(1, LAST, 3):
            for number in (first + 2, first + 1, first):
                write_block(folder, number, files[number - 1])
            assert node.wait_persisted(first + 2, 60)
        assert roots_of(node) == sequential_roots(NAME, **SMALL)


def spoil_digest(files):
    return files[6][:300] + b"?" + files[6][301:]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_digest, "the digest"),
        (lambda files: files[6][:-40], "the digest"),
        (lambda files: b"", "a block, which begins with"),
        (lambda files: files[5], "expected number 7"),
        (lambda files: files[7], "expected number 7"),
    ],
    ids=["changed", "cut", "empty", "the one before", "the next one"],
)
def test_a_wrong_file_stops_it_and_changes_nothing(tmp_path, chain, spoil, words):
    files = [(chain / file_name(number)).read_bytes() for number in range(1, LAST + 1)]
    path = chain / file_name(7)
    path.write_bytes(spoil(files))
    for _ in range(2):  # it does not get past it the next time either
        with opened(tmp_path / "node", chain) as node:
            with pytest.raises(BlockRefused, match=words) as caught:
                node.run(until=LAST)
            assert caught.value.source == str(path)
            assert str(caught.value) == node.problem
            assert roots_of(node) == sequential_roots(NAME, **SMALL)[:6]
            with pytest.raises(NotKept):
                node.records.block(7)
    path.write_bytes(files[6])
    with opened(tmp_path / "node", chain) as node:
        node.run(until=LAST)
        assert roots_of(node) == sequential_roots(NAME, **SMALL)


def test_a_block_of_another_chain(tmp_path, chain):
    other = blocks_of("transfers", **SMALL)
    (chain / file_name(3)).write_bytes(block_files(tmp_path / "other", other)[2])
    with opened(tmp_path / "node", chain) as node, pytest.raises(BlockRefused, match="block 3: found parent"):
        node.run(until=LAST)


def test_a_state_of_another_genesis(tmp_path, chain):
    with opened(tmp_path / "node", chain) as node:
        node.run(until=2)
    write_genesis(tmp_path / "other", blocks_of("transfers", **SMALL))
    for _ in range(2):
        with pytest.raises(WrongChain, match="belongs to genesis"):
            opened(tmp_path / "node", tmp_path / "other")
    Engine.open(tmp_path / "plain" / "state").close()
    with Engine.open(tmp_path / "plain" / "state") as engine:
        engine.credit(WORKLOAD.genesis.addresses, WORKLOAD.genesis.balances)
    with pytest.raises(WrongChain, match="no node began"):
        opened(tmp_path / "plain", chain)


def test_what_cannot_be_opened(tmp_path, chain):
    with opened(tmp_path / "node", chain), pytest.raises(StorageUnavailable):
        opened(tmp_path / "node", chain)
    with pytest.raises(ArgumentError, match="a directory of block files"):
        opened(tmp_path / "node", chain / file_name(1))
    (chain / "genesis.work").write_bytes(b"nothing of the kind")
    with pytest.raises(InputFileError):
        opened(tmp_path / "other", chain)


def test_a_genesis_that_was_broken_off_goes_on(tmp_path, chain, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Engine, "preset", lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            opened(tmp_path / "node", chain)
    with opened(tmp_path / "node", chain) as node:
        assert node.number == 0
        node.run(until=LAST)
        assert roots_of(node) == sequential_roots(NAME, **SMALL)


def test_a_storage_that_fails_ends_it(tmp_path, chain, monkeypatch):
    with opened(tmp_path / "node", chain) as node:
        storage = node.engine.state.storage
        with monkeypatch.context() as patch:

            def fail(*arguments, **named):
                raise StorageFailed("here", "no room", "make some")

            patch.setattr(type(storage), "commit", fail)
            with pytest.raises(StorageFailed):
                node.run(until=LAST)
        assert node.number == 0
    with opened(tmp_path / "node", chain) as node:
        node.run(until=LAST)
        assert roots_of(node) == sequential_roots(NAME, **SMALL)


def test_the_last_record_is_completed_from_the_receipts(tmp_path, chain, monkeypatch):
    with opened(tmp_path / "node", chain) as node:
        node.run(until=4)
        expected = node.records.block(4)
    with opened(tmp_path / "node", chain) as node:
        # As a kill between the commit of a block and its record leaves it.
        node.records._execute("UPDATE blocks SET root = NULL, committed = NULL, gas = NULL WHERE number = 4")
    with opened(tmp_path / "node", chain) as node:
        assert node.records.block(4) == expected


@pytest.mark.parametrize("keep", [1, 3, 100])
def test_so_many_blocks_are_kept(tmp_path, chain, keep):
    with opened(tmp_path / "node", chain, config={"keep_receipts": keep}, keep_blocks=keep) as node:
        node.run(until=LAST)
    with opened(tmp_path / "node", chain, config={"keep_receipts": keep}, keep_blocks=keep) as node:
        for number in range(1, LAST + 1):
            receipts = node.engine.receipts(node.height_of(number))
            assert (receipts is not None) == (number > LAST - keep)
            if number > LAST - keep:
                assert node.records.block(number).number == number
            else:
                with pytest.raises(NotKept):
                    node.records.block(number)
        assert node.engine.state_root == sequential_roots(NAME, **SMALL)[-1]


def test_calls_are_made_between_two_blocks(tmp_path, chain):
    """From another thread while blocks are executed: the root of each moment is that of a whole block."""
    roots = {sequential_roots(NAME, **SMALL)[number - 1]: number for number in range(1, LAST + 1)}
    with running(opened(tmp_path / "node", chain)) as node:
        seen = []

        def ask():
            while not seen or seen[-1][0] < LAST:
                seen.append(node.call(lambda: (node.number, node.engine.state_root)))

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(number == roots.get(root, 0) for number, root in seen)
        with pytest.raises(ZeroDivisionError):
            node.call(lambda: 1 // 0)
    with pytest.raises(NodeError, match="stops"):
        node.call(lambda: None)


def test_two_nodes_on_one_state(tmp_path, chain):
    """The second one is turned away and disturbs nothing."""
    with opened(tmp_path / "node", chain) as node:
        with pytest.raises(StorageError, match="node/state"):
            opened(tmp_path / "node", chain)
        node.run(until=LAST)
        assert node.engine.state_root == sequential_roots(NAME, **SMALL)[-1]


def test_records_that_are_none(tmp_path, chain):
    with opened(tmp_path / "node", chain) as node:
        node.run(until=2)
    for name in ("chain.sqlite-wal", "chain.sqlite-shm"):
        (tmp_path / "node" / name).unlink(missing_ok=True)
    (tmp_path / "node" / "chain.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(DatabaseFailed, match=r"chain\.sqlite: file is not a database"):
        opened(tmp_path / "node", chain)


def test_blocks_of_nothing_and_of_what_is_rejected(tmp_path):
    folder = tmp_path / "chain"
    write_genesis(folder, WORKLOAD)
    rejected = encode(replace(WORKLOAD.transactions.slice(0, 5), chain_id=np.full(5, 9, np.uint64)))
    parent = genesis_hash_of(folder / "genesis.work")
    for number, encoded in enumerate([Messages.of([]), rejected, Messages.of([])], 1):
        data = pack_block(number, parent, (1 << 63) - 1, encoded)
        parent = write_block(folder, number, data).read_bytes()[-32:]
    with opened(tmp_path / "node", folder) as node:
        before = node.engine.state_root
        node.run(until=3)
        found = [node.records.block(number) for number in (1, 2, 3)]
        assert [(each.transactions, each.rejected, each.committed) for each in found] == [
            (0, 0, 0), (5, 5, 0), (0, 0, 0),
        ]  # fmt: skip
        assert {each.root for each in found} == {before}
    with opened(tmp_path / "node", folder) as node:
        assert (node.number, node.engine.state_root) == (3, before)
        late = pack_block(4, parent, 1, Messages.of([]))
        write_block(folder, 4, late)
        with pytest.raises(BlockRefused, match="timestamp 1, expected at least 9223372036854775807"):
            node.run(until=4)
