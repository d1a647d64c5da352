# SPDX-License-Identifier: GPL-3.0-or-later
"""A mobile node's wallet: keys, signing, a queue whose answers get lost, and proofs that are checked."""

from __future__ import annotations

import sqlite3
import stat
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from engine_runs import blocks_of
from node_chains import write_genesis
from served_nodes import Served

from supervm.crypto.messages import Messages
from supervm.crypto.sparse_merkle import SparseMerkleTree, verify_proof
from supervm.engine.blocks.authentication import authenticate
from supervm.engine.transactions.encoding import decode
from supervm.kernels.errors import ArgumentError
from supervm.tiers.node.errors import DatabaseFailed, ProofRefused, UpstreamFailed, WalletError
from supervm.tiers.node.light_client import check_accounts, replay_queue
from supervm.tiers.node.limits import InboxLimits
from supervm.tiers.node.upstream import Upstream
from supervm.tiers.node.wallet import Progress, Wallet
from supervm.tiers.service.v1 import node_pb2 as pb
from supervm.vm.outcomes import Reason

SOMEBODY = b"\x55" * 20
MONEY = 1_000_000


@pytest.fixture
def wallet(tmp_path):
    with Wallet(tmp_path / "wallet") as opened:
        yield opened


@pytest.fixture
def served(tmp_path, wallet, serve) -> Served:
    """A node that packs blocks, on whose chain the wallet's first account has money."""
    address = wallet.create()
    workload = blocks_of("transfers", transactions=4, accounts=4, block_size=4)
    genesis = workload.genesis
    given = np.frombuffer(address + MONEY.to_bytes(32), np.uint8)[None]
    genesis = replace(
        genesis,
        addresses=np.concatenate([genesis.addresses, given[:, :20]]),
        balances=np.concatenate([genesis.balances, given[:, 20:]]),
    )
    write_genesis(tmp_path / "chain", replace(workload, genesis=genesis))
    return serve(
        tmp_path / "node", tmp_path / "chain", directory=False, pack=100, config={"signatures": True}
    )


class Losing:
    """An upstream that does what it is told, and loses some of its answers."""

    def __init__(self, upstream, lost):
        self._upstream, self._lost, self.calls = upstream, list(lost), 0

    def submit_transactions(self, request):
        reply = self._upstream.submit_transactions(request)
        self.calls += 1
        if self._lost and self._lost.pop(0):
            raise UpstreamFailed("here", "SubmitTransactions", "UNAVAILABLE", "the line went dead")
        return reply


def settled(wallet, upstream):
    """Replay until everything is decided."""
    while wallet.queue((Progress.QUEUED, Progress.SENT)):
        replay_queue(wallet, upstream)


def test_signed_transactions_are_what_the_engine_accepts(wallet):
    address = wallet.create()
    signed = [wallet.sign(address, SOMEBODY, value=place) for place in range(3)]
    batch, faults = decode([each.data for each in signed])
    assert not faults
    assert batch.nonce.tolist() == [0, 1, 2] == [each.nonce for each in signed]
    assert authenticate(batch).tolist() == [0, 0, 0]
    assert [each.hash for each in wallet.queue()] == [each.hash for each in signed]


def test_answers_that_get_lost_double_nothing(served, wallet):
    [account] = wallet.accounts()
    for value in range(1, 6):
        wallet.sign(account.address, SOMEBODY, value=value, gas_limit=2_000)
    losing = Losing(served.upstream, [True] * 4)
    for _ in range(4):
        with pytest.raises(UpstreamFailed, match="went dead"):
            replay_queue(wallet, losing)
        assert {each.state for each in wallet.queue()} == {Progress.QUEUED}
    settled(wallet, losing)
    again = replay_queue(wallet, losing)
    assert again == []
    assert {each.state for each in wallet.queue()} == {Progress.IN_BLOCK}
    assert all(each.number and not each.reason for each in wallet.queue())
    engine = served.node.engine
    assert engine.account(SOMEBODY) == (0, 15)
    assert engine.account(account.address) == (5, MONEY - 15 - 5 * 1_000 - 976)


def test_the_queue_outlives_the_wallet(tmp_path, served, wallet):
    [account] = wallet.accounts()
    wallet.sign(account.address, SOMEBODY, value=7, gas_limit=2_000)
    wallet.close()
    for _ in range(2):  # twice, since the second one knows nothing of the first one's end
        with Wallet(tmp_path / "wallet") as again:
            settled(again, served.upstream)
    assert served.node.engine.account(SOMEBODY) == (0, 7)


def test_a_refused_transaction_gives_its_nonce_back(served, wallet):
    [account] = wallet.accounts()
    first = wallet.sign(account.address, SOMEBODY, value=2 * MONEY)
    settled(wallet, served.upstream)
    [refused] = wallet.queue()
    assert (refused.state, refused.reason) == (Progress.REFUSED, Reason.INSUFFICIENT_BALANCE)
    second = wallet.sign(account.address, SOMEBODY, value=2, gas_limit=2_000)
    assert second.nonce == first.nonce == 0
    settled(wallet, served.upstream)
    assert served.node.engine.account(SOMEBODY) == (0, 2)


def test_own_accounts_are_proved(served, wallet):
    other = wallet.create()
    found = check_accounts(wallet, served.upstream)
    assert [(each.nonce, each.balance) for each in found] == [(0, MONEY), (0, 0)]
    assert wallet.accounts() == found
    assert found[0].root == served.node.engine.state_root
    wallet.sign(found[0].address, other, value=10, gas_limit=2_000)
    settled(wallet, served.upstream)
    found = check_accounts(wallet, served.upstream, served.node.engine.state_root)
    assert [(each.nonce, each.balance) for each in found] == [(1, MONEY - 1_986), (0, 10)]
    with pytest.raises(ProofRefused, match="not at the trusted"):
        check_accounts(wallet, served.upstream, bytes(32))


def spoil_value(reply):
    reply.value = reply.value[:-1] + bytes([reply.value[-1] ^ 1])


def spoil_root(reply):
    reply.state_root = bytes(32)


def spoil_proof(reply):
    reply.proof = reply.proof[:-1]


def drop_value(reply):
    reply.ClearField("value")


def spoil_hash(reply):
    reply.hash_function = "md5"


@pytest.mark.parametrize("spoil", [spoil_value, spoil_root, spoil_proof, drop_value, spoil_hash])
def test_what_a_proof_does_not_show_is_refused(served, wallet, spoil):
    class Lying:
        address = "liar"

        def get_proof(self, key):
            reply = pb.GetProofReply()
            reply.CopyFrom(served.upstream.get_proof(key))
            spoil(reply)
            return reply

    before = wallet.accounts()
    with pytest.raises(ProofRefused):
        check_accounts(wallet, Lying())
    assert wallet.accounts() == before


def test_keys_are_their_owners_alone(tmp_path):
    with Wallet(tmp_path / "w", "a passphrase") as opened:
        address = opened.create()
        opened.sign(address, SOMEBODY)
    assert stat.S_IMODE((tmp_path / "w" / "wallet.sqlite").stat().st_mode) == 0o600
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in (tmp_path / "w" / "wallet.sqlite").read_bytes()
    for passphrase in ("", "another"):
        with Wallet(tmp_path / "w", passphrase) as opened, pytest.raises(WalletError, match="does not open"):
            opened.sign(address, SOMEBODY)
    with Wallet(tmp_path / "w") as opened:
        assert len(opened.queue()) == 1
        with pytest.raises(WalletError, match="no account"):
            opened.sign(SOMEBODY, SOMEBODY)


def test_wrong_recipients_and_a_missing_library(wallet, monkeypatch):
    address = wallet.create()
    with pytest.raises(ArgumentError, match="to"):
        wallet.sign(address, b"short")
    assert wallet.queue() == []
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    with pytest.raises(WalletError, match=r"supervm-engine\[wallet\]"):
        wallet.create()


def test_a_transaction_without_money_behind_others_gives_its_nonce_back(served, wallet):
    """Each alone could be paid for, both cannot."""
    [account] = wallet.accounts()
    most = MONEY - 10_000
    for value in (most, most + 1):
        wallet.sign(account.address, SOMEBODY, value=value, gas_limit=2_000)
    settled(wallet, served.upstream)
    found = wallet.queue()
    assert [each.state for each in found] == [Progress.IN_BLOCK, Progress.REFUSED]
    assert found[1].reason == Reason.INSUFFICIENT_BALANCE
    third = wallet.sign(account.address, SOMEBODY, value=3, gas_limit=2_000)
    assert third.nonce == 1
    settled(wallet, served.upstream)
    assert served.node.engine.account(SOMEBODY) == (0, most + 3)


def test_what_was_refused_may_be_signed_again_and_gets_its_chance(tmp_path, served, wallet):
    """The money comes later; the same transaction, refused twice, is executed once."""
    [rich] = [each.address for each in wallet.accounts()]
    poor = wallet.create()
    first = wallet.sign(poor, SOMEBODY, value=5, gas_limit=2_000)
    settled(wallet, served.upstream)
    assert wallet.queue()[-1].state == Progress.REFUSED
    wallet.sign(rich, poor, value=2_500, gas_limit=2_000)
    settled(wallet, served.upstream)
    again = wallet.sign(poor, SOMEBODY, value=5, gas_limit=2_000)
    assert (again.hash, again.nonce) == (first.hash, 0)
    rival = wallet.sign(poor, SOMEBODY, value=6, gas_limit=2_000)  # no money is left for this one
    settled(wallet, served.upstream)
    assert {each.hash: each.state for each in wallet.queue()}[rival.hash] == Progress.REFUSED
    wallet.sign(rich, poor, value=2_500, gas_limit=2_000)
    settled(wallet, served.upstream)
    assert wallet.sign(poor, SOMEBODY, value=6, gas_limit=2_000).hash == rival.hash
    for _ in range(2):
        settled(wallet, served.upstream)
    assert {each.hash: each.state for each in wallet.queue()}[rival.hash] == Progress.IN_BLOCK
    assert served.node.engine.account(SOMEBODY) == (0, 11)
    assert served.node.engine.account(poor)[0] == 2


def test_what_there_is_no_room_for_stays_queued(tmp_path, wallet, serve, served):
    """The node keeps two of a sender: the others wait in the wallet, with their nonces, and none is lost."""
    served.inbox.limits = InboxLimits(served.inbox.limits.block, sender_transactions=2, sender_gap=3)
    [account] = wallet.accounts()
    for value in range(1, 9):
        wallet.sign(account.address, SOMEBODY, value=value, gas_limit=2_000)
    replay_queue(wallet, served.upstream)
    assert Progress.REFUSED not in {each.state for each in wallet.queue()}
    settled(wallet, served.upstream)
    assert {each.state for each in wallet.queue()} == {Progress.IN_BLOCK}
    assert served.node.engine.account(SOMEBODY) == (0, 36)


@pytest.mark.parametrize("first", ["", "one"])
def test_one_passphrase_opens_all_keys(tmp_path, first):
    with Wallet(tmp_path / "w", first) as opened:
        addresses = [opened.create(), opened.create()]
    for other in {"", "one", "two"} - {first}:
        with Wallet(tmp_path / "w", other) as opened, pytest.raises(WalletError, match="does not open"):
            opened.create()
    with Wallet(tmp_path / "w", first) as opened:
        assert [each.address for each in opened.accounts()] == addresses
        for each in addresses:
            opened.sign(each, SOMEBODY)


def test_a_copy_that_others_could_read_is_closed_to_them(tmp_path):
    with Wallet(tmp_path / "w"):
        pass
    (tmp_path / "w" / "wallet.sqlite").chmod(0o644)
    with Wallet(tmp_path / "w"):
        assert stat.S_IMODE((tmp_path / "w" / "wallet.sqlite").stat().st_mode) == 0o600


def test_a_wallet_that_is_none_or_is_held(tmp_path, wallet):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "wallet.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(DatabaseFailed, match=r"other/wallet\.sqlite: file is not a database"):
        Wallet(tmp_path / "other")
    address = wallet.create()
    wallet._database.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(tmp_path / "wallet" / "wallet.sqlite")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseFailed, match=r"wallet/wallet\.sqlite: database is locked"):
        wallet.sign(address, SOMEBODY)
    other.close()
    wallet.sign(address, SOMEBODY)
    wallet._database.execute("PRAGMA max_page_count = 1")  # a disk that is full
    with pytest.raises(DatabaseFailed, match="full"):
        wallet.sign(address, SOMEBODY, entry=b"e", input=bytes(20_000))
    count = len(wallet.queue())
    wallet._database.execute("PRAGMA max_page_count = 100000")
    wallet.sign(address, SOMEBODY)
    assert [each.nonce for each in wallet.queue()] == list(range(count + 1))


def test_numbers_that_no_block_has_are_refused(wallet, monkeypatch):
    address = wallet.create()
    wallet.sign(address, SOMEBODY)
    before = wallet.queue()
    good = {"hashes": bytes(32), "states": [pb.TRANSACTION_STATE_IN_BLOCK], "reasons": b"\0", "known": [True]}
    for wrong in ({"numbers": [1 << 63]}, {"numbers": [1], "states": [77]}, {"numbers": [1], "states": [0]}):
        reply = pb.SubmitTransactionsReply(**{**good, **wrong})
        upstream = Upstream("127.0.0.1:1")
        monkeypatch.setattr(upstream, "call", lambda method, request, reply=reply: reply)
        with pytest.raises(UpstreamFailed, match="that there are not"):
            replay_queue(wallet, upstream)
        upstream.close()
        assert wallet.queue() == before


def test_an_account_that_no_chain_has_is_refused_though_it_is_proved(wallet):
    """The liar has a tree of its own, with a nonce that no account reaches or a block that is none."""
    address = wallet.create()
    for value, number in ((b"\xff" * 8 + bytes(32), 1), (bytes(40), 1 << 63)):
        tree = SparseMerkleTree()
        tree.add_keys(0, Messages.of([b"\0" + address]))
        root = tree.update(np.zeros(1, np.uint32), Messages.of([value]), np.ones(1, np.bool_))
        proof = tree.prove(b"\0" + address).to_bytes()
        assert verify_proof(root, b"\0" + address, value, proof, hash="sha256")
        reply = pb.GetProofReply(
            number=number, state_root=root, value=value, hash_function="sha256", proof=proof
        )
        with pytest.raises(ProofRefused):
            check_accounts(wallet, SimpleNamespace(address="liar", get_proof=lambda key, reply=reply: reply))
