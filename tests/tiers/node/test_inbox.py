# SPDX-License-Identifier: GPL-3.0-or-later
"""Submitted transactions: each in one block once, however often it is submitted and wherever the node is stopped."""

from __future__ import annotations

import numpy as np
import pytest
from engine_runs import blocks_of
from node_chains import block_files, opened
from served_nodes import Served

from supervm.crypto.messages import Messages
from supervm.engine.transactions.batch import TransactionBatch
from supervm.engine.transactions.encoding import encode, transaction_hashes
from supervm.engine.workloads import Keys
from supervm.kernels.errors import ArgumentError
from supervm.tiers.node.blocks import genesis_hash_of, pack_block, write_block
from supervm.tiers.node.errors import UpstreamFailed
from supervm.tiers.node.inbox import Inbox
from supervm.tiers.node.inbox_table import Noted
from supervm.tiers.node.limits import BlockLimits, InboxLimits
from supervm.tiers.node.packing import Packer
from supervm.tiers.node.submission import IN_BLOCK, REFUSED, WAITING, Submission, request_of
from supervm.tiers.service.v1 import node_pb2 as pb
from supervm.vm.outcomes import Reason

ACCOUNTS = {"transactions": 120, "accounts": 30, "block_size": 120, "signed": True, "seed": 4}
WORKLOAD = blocks_of("transfers", **ACCOUNTS)
BATCH = WORKLOAD.transactions
ENCODED = [encode(BATCH)[row] for row in range(len(BATCH))]
HASHES = [row.tobytes() for row in transaction_hashes(BATCH)]
SIGNED = {"signatures": True}


@pytest.fixture
def chain(tmp_path):
    block_files(tmp_path / "chain", WORKLOAD)
    return tmp_path / "chain"


def until_in_block(served: Served, encodings):
    """Submit until everything is in a block; the last answer."""
    while True:
        reply = served.upstream.submit_transactions(request_of(encodings))
        if WAITING not in reply.states:
            return reply


def test_transactions_get_into_blocks_once(tmp_path, chain, serve):
    served = serve(tmp_path / "node", chain, pack=50, config=SIGNED)
    reply = served.upstream.submit_transactions(request_of(ENCODED[:40]))
    assert reply.hashes == b"".join(HASHES[:40])
    assert list(reply.states) == [WAITING] * 40
    assert list(reply.known) == [False] * 40
    reply = until_in_block(served, ENCODED)
    assert list(reply.states) == [IN_BLOCK] * 120
    assert reply.reasons == bytes(120)
    again = served.upstream.submit_transactions(request_of(ENCODED))
    assert list(again.known) == [True] * 120
    assert again.numbers == reply.numbers
    last = served.node.number
    blocks = [served.node.records.block(number) for number in range(1, last + 1)]
    assert sum(block.transactions for block in blocks) == sum(block.committed for block in blocks) == 120
    assert max(block.transactions for block in blocks) <= 50
    times = [block.timestamp for block in blocks]
    assert times == sorted(times)
    for row in range(120):
        assert served.node.engine.account(BATCH.sender[row].tobytes())[0] == int(
            (BATCH.sender == BATCH.sender[row]).all(axis=1).sum()
        )


def test_packed_blocks_are_files_that_another_node_follows(tmp_path, chain, serve):
    (chain / "genesis.work").rename(tmp_path / "genesis.work")
    (tmp_path / "blocks").mkdir()
    (tmp_path / "genesis.work").rename(tmp_path / "blocks" / "genesis.work")
    served = serve(tmp_path / "node", tmp_path / "blocks", pack=30, config=SIGNED)
    until_in_block(served, ENCODED)
    with opened(tmp_path / "other", tmp_path / "blocks", config=SIGNED) as other:
        other.run(until=served.node.number)
        assert other.engine.state_root == served.node.engine.state_root


def test_what_the_quick_check_refuses_is_not_kept(tmp_path, chain, serve):
    served = serve(tmp_path / "node", chain, pack=50, config=SIGNED)
    bad = bytearray(ENCODED[0])
    bad[-1] ^= 1
    stranger = Keys(99, 1)
    unpaid = stranger.sign(TransactionBatch.of(sender=stranger.addresses, nonce=0, to=bytes(20), value=5))
    reply = served.upstream.submit_transactions(request_of([bytes(bad), encode(unpaid)[0], ENCODED[0]]))
    assert list(reply.states) == [REFUSED, REFUSED, WAITING]
    assert list(reply.reasons) == [Reason.BAD_SIGNATURE, Reason.INSUFFICIENT_BALANCE, 0]
    reply = until_in_block(served, [bytes(bad), encode(unpaid)[0], ENCODED[0]])
    assert list(reply.known) == [False, False, True]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (request_of([b"nonsense"]), "transaction 0, byte 0"),
        (request_of([ENCODED[0], ENCODED[1][:-1]]), "transaction 1"),
        (pb.SubmitTransactionsRequest(data=b"x", offsets=bytes(8)), "ascending from 0 to 1"),
        (pb.SubmitTransactionsRequest(data=b"x", offsets=b"123"), "numbers of 8 bytes"),
        (request_of([b""] * 10_001), "at most 10,000"),
    ],
)
def test_requests_that_cannot_be_read(request_, words):
    with pytest.raises(ArgumentError, match=words):
        Submission.of(request_)


def test_a_node_that_packs_nothing_says_so(tmp_path, chain, serve):
    served = serve(tmp_path / "node", chain, config=SIGNED)
    with pytest.raises(UpstreamFailed, match=r"node\.pack\.transactions"):
        served.upstream.submit_transactions(request_of(ENCODED[:1]))


def rich(addresses):
    """New accounts that can pay for anything."""
    return np.zeros(len(addresses), np.uint64), np.full((len(addresses), 32), 127, np.uint8)


class Killed(BaseException):
    """Where a kill would be."""


@pytest.mark.parametrize("directory", [True, False])
@pytest.mark.parametrize("where", ["before the block", "after the block", "after its execution"])
def test_a_stop_between_packing_and_execution(tmp_path, chain, monkeypatch, directory, where):
    path = tmp_path / "inbox.sqlite"
    settings = {"directory": directory, "config": SIGNED}

    def noted():
        inbox = Inbox(path, InboxLimits(BlockLimits(25)))
        assert not inbox.add(HASHES[:60], ENCODED[:60], rich).any()
        return inbox

    def kill(*_):
        raise Killed

    inbox = noted()
    with opened(tmp_path / "node", chain, **settings) as node:
        node.idle = Packer(node, inbox, 0.0).idle
        put = node.source.put

        def killing(block, data):
            if where != "before the block":
                put(block, data)
            if where == "after its execution":
                monkeypatch.setattr(node.records, "finish", kill)
            else:
                kill()

        with monkeypatch.context() as patch:
            patch.setattr(node.source, "put", killing)
            with pytest.raises(Killed):
                node.run()
    inbox.close()
    inbox = noted()
    with opened(tmp_path / "node", chain, **settings) as node:
        node.idle = Packer(node, inbox, 0.0).idle
        node.run(until=3)
        blocks = [node.records.block(number) for number in (1, 2, 3)]
        assert [(block.transactions, block.committed) for block in blocks] == [(25, 25), (25, 25), (10, 10)]
    found = inbox.find(HASHES[:61])
    assert found == [Noted(1 + row // 25, row % 25) for row in range(60)] + [None]
    inbox.prune(3)
    assert [each is None for each in inbox.find(HASHES[:60])] == [True] * 50 + [False] * 10
    inbox.close()


def test_few_wait_for_others_so_long(tmp_path, chain):
    now = [1_000.0]
    inbox = Inbox(tmp_path / "inbox.sqlite", InboxLimits(BlockLimits(10)))
    with opened(tmp_path / "node", chain, directory=False, config=SIGNED) as node:
        packer = Packer(node, inbox, 5.0, lambda: now[0])
        inbox.add(HASHES[:3], ENCODED[:3], node.engine.accounts)
        for now[0], packed in ((1_000.0, 0), (1_004.0, 0), (1_005.0, 1)):
            packer.idle()
            assert node.source.tip.number == packed
        assert node.source.tip.timestamp == 1_005
        inbox.add(HASHES[3:20], ENCODED[3:20], node.engine.accounts)
        packer.idle()
        assert node.source.tip.number == 1  # one is on its way
        node.run(until=1)
        packer.idle()
        assert (node.source.tip.number, inbox.waiting) == (2, 7)
    inbox.close()


def test_what_a_block_of_before_rejected_waits_again_once_it_fits(tmp_path, chain, serve):
    """An earlier version packed nonces ahead of the account's, and its block rejected them."""
    early = next(row for row in range(120) if BATCH.nonce[row] == 1)
    [first] = np.flatnonzero((BATCH.sender == BATCH.sender[early]).all(axis=1) & (BATCH.nonce == 0))
    (tmp_path / "node").mkdir()
    inbox = Inbox(tmp_path / "node" / "inbox.sqlite")
    assert not inbox.add([HASHES[early]], [ENCODED[early]], rich).any()
    assert inbox.pack(1, lambda addresses: (np.ones(len(addresses), np.uint64), rich(addresses)[1]))
    inbox.close()
    write_block(
        chain, 1, pack_block(1, genesis_hash_of(chain / "genesis.work"), 1, Messages.of([ENCODED[early]]))
    )
    served = serve(tmp_path / "node", chain, pack=50, config=SIGNED)
    served.node.wait_persisted(1, 60.0)
    reply = served.upstream.submit_transactions(request_of([ENCODED[early]]))
    assert (list(reply.states), list(reply.reasons)) == ([IN_BLOCK], [Reason.BAD_NONCE])
    assert list(until_in_block(served, [ENCODED[first]]).reasons) == [0]
    reply = until_in_block(served, [ENCODED[early]])
    assert (list(reply.states), list(reply.reasons)) == ([IN_BLOCK], [0])
