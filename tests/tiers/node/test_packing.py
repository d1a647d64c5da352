# SPDX-License-Identifier: GPL-3.0-or-later
"""Strangers at a node that packs blocks: whatever they submit, it packs for those who pay, and starts again."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
from command_line import process
from engine_runs import blocks_of
from node_chains import block_files, opened, running, write_genesis
from pools import Accounts

from supervm.crypto.messages import Messages
from supervm.engine.transactions.batch import TransactionBatch
from supervm.engine.transactions.encoding import encode, transaction_hashes
from supervm.engine.workloads import Genesis, Keys, Parameters, Workload
from supervm.tiers.errors import SettingError
from supervm.tiers.node import blocks, packing
from supervm.tiers.node import running as running_node
from supervm.tiers.node.blocks import MOST_BYTES, block_bytes, file_name, pack_block, unpack_block
from supervm.tiers.node.errors import BlockRefused, BlockTooLarge, UpstreamFailed
from supervm.tiers.node.inbox import Inbox
from supervm.tiers.node.limits import BlockLimits, InboxLimits, Refusal
from supervm.tiers.node.packing import Packer
from supervm.tiers.node.submission import IN_BLOCK, REFUSED, WAITING, request_of
from supervm.tiers.node.upstream import MOST_MESSAGE_BYTES, Upstream
from supervm.vm.outcomes import Reason

WORKLOAD = blocks_of("transfers", transactions=60, accounts=30, block_size=60, signed=True, seed=4)
BATCH = WORKLOAD.transactions
ENCODED = [encode(BATCH)[row] for row in range(len(BATCH))]
HASHES = [row.tobytes() for row in transaction_hashes(BATCH)]
SIGNED = {"signatures": True}
STRANGERS = Keys(77, 24)


@pytest.fixture
def chain(tmp_path):
    block_files(tmp_path / "chain", WORKLOAD)
    return tmp_path / "chain"


def attack(row: int, size: int, price: int) -> bytes:
    """A transfer of a stranger without money, with an input of this size and a nonce ahead."""
    one = TransactionBatch.of(
        sender=STRANGERS.addresses[row : row + 1], nonce=1, to=bytes(20), gas_limit=10**9, gas_price=price,
        input=bytes(size),
    )  # fmt: skip
    return encode(STRANGERS.sign(one))[0]


def until_in_block(upstream: Upstream, encodings):
    while True:
        reply = upstream.submit_transactions(request_of(encodings))
        if WAITING not in reply.states:
            return reply
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("size", "price", "reason"),
    [
        (600_000, 0, Refusal.PRICE_TOO_LOW),
        (600_000, 1, Reason.INSUFFICIENT_BALANCE),
        (1 << 20, 0, Reason.TOO_LARGE),
    ],
)
def test_strangers_without_money_get_nothing_in(tmp_path, chain, serve, size, price, reason):
    served = serve(tmp_path / "node", chain, pack=50, config=SIGNED)
    for row in range(24):
        reply = served.upstream.submit_transactions(request_of([attack(row, size, price)]))
        assert list(reply.states) == [REFUSED]
        assert reply.reasons[0] == reason
    assert served.inbox.waiting == 0
    reply = until_in_block(served.upstream, ENCODED)
    assert list(reply.states) == [IN_BLOCK] * 60
    assert reply.reasons == bytes(60)


def environment(**settings: object) -> dict[str, str]:
    return {f"SUPERVM_{name.upper()}": str(value) for name, value in settings.items()}


def packing_node(folder: Path, chain: Path) -> tuple[object, ...]:
    """The command of a node of a chain that has no blocks yet."""
    (chain / "genesis.work").rename(folder / "genesis.work")
    (folder / "blocks").mkdir()
    places = (
        "--genesis",
        folder / "genesis.work",
        "--state",
        folder / "state",
        "--blocks",
        folder / "blocks",
    )
    return "node", "--tier", "L2", *places, "--grpc", "127.0.0.1:0"


@pytest.mark.slow
def test_the_attack_at_its_real_size_on_a_real_node(tmp_path, chain):
    """24 transfers of 62 MB each, and of 16: refused one by one, in bounded memory; killed and started, the node packs for
    others."""
    arguments = packing_node(tmp_path, chain)
    # Made once: nobody looks into a message of this size, and making 24 would take longer than refusing them.
    large = [request_of([attack(price, 62_000_000, price)]) for price in range(2)]
    with patch.dict(os.environ, environment(node_pack_transactions=50, node_pack_seconds=0.1)):
        with process(*arguments) as (child, ready), Upstream(ready["grpc"], 300.0) as upstream:
            for row in range(24):
                with pytest.raises(UpstreamFailed, match="larger than max"):
                    upstream.submit_transactions(large[row % 2])
                request = request_of([attack(row, 16_000_000, row % 2)])
                reply = upstream.submit_transactions(request)
                assert (list(reply.states), reply.reasons[0]) == ([REFUSED], Reason.TOO_LARGE)
            assert upstream.get_status().waiting_transactions == 0
            assert peak(child.pid) < 2 << 30
            until_in_block(upstream, ENCODED[:20])
            child.send_signal(signal.SIGKILL)
            child.wait()
        with process(*arguments) as (child, ready), Upstream(ready["grpc"], 300.0) as upstream:
            reply = until_in_block(upstream, ENCODED)
            assert list(reply.states) == [IN_BLOCK] * 60
            assert reply.reasons == bytes(60)
            child.send_signal(signal.SIGTERM)
            assert child.wait(60) == 0
    assert sum(path.stat().st_size for path in (tmp_path / "blocks").iterdir()) < 1 << 20


def peak(process_number: int) -> int:
    """Bytes of memory that a process had at most."""
    status = Path(f"/proc/{process_number}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def sparse(path: Path) -> None:
    """A file that nobody reads, and that takes no room."""
    with path.open("wb") as file:
        file.truncate(MOST_BYTES + 1)


def test_a_block_that_was_written_too_large_is_set_aside_by_who_packed_it(tmp_path, chain, caplog):
    path = tmp_path / "inbox.sqlite"
    limits = InboxLimits(BlockLimits(25))
    inbox = Inbox(path, limits)
    assert not inbox.add(HASHES, ENCODED, Accounts()).any()
    inbox._table._database.execute(
        "INSERT INTO transactions (hash, data) VALUES (?, ?)", (b"large", bytes(60_000_000))
    )
    inbox._table._database.execute("UPDATE transactions SET number = 1, place = arrival")
    inbox.close()
    sparse(chain / file_name(1))
    with (
        opened(tmp_path / "other", chain, config=SIGNED) as node,
        pytest.raises(BlockTooLarge, match=r"node\.pack\.transactions") as caught,
    ):
        node.run()
    assert (caught.value.size, caught.value.most) == (MOST_BYTES + 1, MOST_BYTES)
    assert (chain / file_name(1)).exists()
    inbox = Inbox(path, limits)
    with opened(tmp_path / "node", chain, config=SIGNED) as node:
        node.idle = Packer(node, inbox, 0.0).idle
        assert (chain / f"{file_name(1)}.too-large").stat().st_size == MOST_BYTES + 1
        node.run(until=3)
        found = [node.records.block(number).committed for number in (1, 2, 3)]
        assert sum(found) == 60
    assert "too large for any node to read" in caplog.text
    assert inbox.find([b"large"]) == [None]
    inbox.close()


def test_a_stranger_s_large_file_is_left_to_who_put_it_there(tmp_path, chain):
    """What this node did not pack is not its to move."""
    inbox = Inbox(tmp_path / "inbox.sqlite")
    sparse(chain / file_name(1))
    with opened(tmp_path / "node", chain, config=SIGNED) as node:
        node.idle = Packer(node, inbox, 0.0).idle
        with pytest.raises(BlockTooLarge):
            node.run()
    assert (chain / file_name(1)).exists()
    inbox.close()


def test_writer_and_reader_have_one_limit(monkeypatch, tmp_path):
    encoded = Messages.of(ENCODED[:3])
    size = block_bytes(3, sum(map(len, ENCODED[:3])))
    data = pack_block(1, bytes(32), 1, encoded)
    assert len(data) == size
    assert MOST_MESSAGE_BYTES > MOST_BYTES
    monkeypatch.setattr(blocks, "MOST_BYTES", size)
    assert pack_block(1, bytes(32), 1, encoded) == data
    unpack_block(data, "test")
    monkeypatch.setattr(blocks, "MOST_BYTES", size - 1)
    path = tmp_path / "block"
    path.write_bytes(data)
    for refused in (
        lambda: pack_block(1, bytes(32), 1, encoded),
        lambda: unpack_block(data, "test"),
        lambda: blocks.BlockReader().read(path),
    ):
        with pytest.raises(BlockTooLarge, match=f"{size:,} bytes"):
            refused()


@pytest.mark.parametrize("directory", [True, False])
def test_a_block_that_its_reader_refuses_is_not_written(tmp_path, chain, monkeypatch, directory):
    """The writer's limits would be wrong then: it tries half as many, and drops what cannot be read alone."""
    inbox = Inbox(tmp_path / "inbox.sqlite", InboxLimits(BlockLimits(25)))
    read, bad = packing.unpack_block, ENCODED[7]

    def strict(data, source):
        block = read(data, source)
        if len(block.transactions) > 10 or bad in bytes(data):
            raise BlockRefused(source, block.number, "too many", "fewer")
        return block

    monkeypatch.setattr(packing, "unpack_block", strict)
    with running(opened(tmp_path / "node", chain, directory=directory, config=SIGNED)) as node:
        assert not inbox.add(HASHES, ENCODED, node.engine.accounts).any()
        node.idle = Packer(node, inbox, 0.0).idle
        last = node.number
        while any(each is None for each in inbox.find(HASHES[:7])) or inbox.waiting > 30:
            node.wait_persisted(last + 1, 0.1)
            last = node.number
    files = chain.glob("*.block")
    assert all(len(unpack_block(path.read_bytes(), "test").transactions) <= 10 for path in files)
    inbox.close()


def test_calls_of_nothing_are_refused_and_leave_no_keys(tmp_path, serve):
    """They would be rejected in a block, and whoever sends them need not pay."""
    keys = Keys(78, 1)
    write_genesis(tmp_path / "chain", crediting(keys.addresses))
    served = serve(tmp_path / "node", tmp_path / "chain", pack=50, config=SIGNED)
    call = TransactionBatch.of(
        sender=keys.addresses, nonce=0, to=b"\x99" * 20, gas_limit=10_000, gas_price=1, entry=b"main"
    )
    before = len(served.node.engine.state.store.keys)
    reply = served.upstream.submit_transactions(request_of([encode(keys.sign(call))[0]]))
    assert (list(reply.states), reply.reasons[0]) == ([REFUSED], Reason.UNKNOWN_CONTRACT)
    assert len(served.node.engine.state.store.keys) == before


def crediting(addresses) -> Workload:
    """A chain without blocks whose accounts have money."""
    amounts = np.full((len(addresses), 32), 7, np.uint8)
    nothing = TransactionBatch.concatenate([])
    return Workload("none", Parameters(), Genesis(addresses, amounts), nothing, np.zeros(1, np.int64))


def test_a_full_inbox_survives_a_kill(tmp_path, chain):
    """A node that was killed with as much waiting as it keeps starts, keeps it, and packs it."""
    arguments = packing_node(tmp_path, chain)
    slow = environment(node_pack_transactions=1_000, node_pack_seconds=3_600, node_inbox_transactions=40)
    with patch.dict(os.environ, slow), process(*arguments) as (child, ready):
        with Upstream(ready["grpc"], 120.0) as upstream:
            reply = upstream.submit_transactions(request_of(ENCODED))
            kept = [row for row, state in enumerate(reply.states) if state == WAITING]
            assert 30 <= len(kept) <= 40
            assert {reply.reasons[row] for row in range(60) if row not in kept} == {Refusal.INBOX_FULL}
        child.send_signal(signal.SIGKILL)
        child.wait()
    fast = environment(node_pack_transactions=1_000, node_pack_seconds=0.1, node_inbox_transactions=40)
    with patch.dict(os.environ, fast), process(*arguments) as (child, ready):
        with Upstream(ready["grpc"], 120.0) as upstream:
            reply = until_in_block(upstream, [ENCODED[row] for row in kept])
            assert all(reply.known)
            assert list(reply.states) == [IN_BLOCK] * len(kept)
            assert list(until_in_block(upstream, ENCODED).states) == [IN_BLOCK] * 60
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0


def test_blocks_that_nobody_reads_are_no_setting():
    settings = SimpleNamespace(node_pack_bytes=MOST_BYTES + 1, origins={"node.pack.bytes": "a file"})
    with pytest.raises(SettingError, match="every node reads"):
        running_node._limits(settings)


def test_blocks_that_no_message_carries_are_no_setting():
    settings = SimpleNamespace(
        node_pack_bytes=64 << 20, node_message_bytes=64 << 20, origins={"node.pack.bytes": "a file"}
    )
    with pytest.raises(SettingError, match=r"node\.message\.bytes"):
        running_node._limits(settings)
