# SPDX-License-Identifier: GPL-3.0-or-later
"""A mobile node's wallet: keys, signing, a queue whose answers get lost, and proofs that are checked."""

from __future__ import annotations

import stat
import sys
from dataclasses import replace

import numpy as np
import pytest
from engine_runs import blocks_of
from node_chains import write_genesis
from served_nodes import Served

from supervm.engine.authentication import authenticate
from supervm.engine.transaction_encoding import decode
from supervm.kernels.errors import ArgumentError
from supervm.tiers.node.errors import ProofRefused, UpstreamFailed, WalletError
from supervm.tiers.node.light_client import check_accounts, replay_queue
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
        wallet.sign(account.address, SOMEBODY, value=value, gas_limit=1_000)
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
    assert engine.account(account.address) == (5, MONEY - 15 - 5 * 1_000)


def test_the_queue_outlives_the_wallet(tmp_path, served, wallet):
    [account] = wallet.accounts()
    wallet.sign(account.address, SOMEBODY, value=7, gas_limit=1_000)
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
    second = wallet.sign(account.address, SOMEBODY, value=2, gas_limit=1_000)
    assert second.nonce == first.nonce == 0
    settled(wallet, served.upstream)
    assert served.node.engine.account(SOMEBODY) == (0, 2)


def test_own_accounts_are_proved(served, wallet):
    other = wallet.create()
    found = check_accounts(wallet, served.upstream)
    assert [(each.nonce, each.balance) for each in found] == [(0, MONEY), (0, 0)]
    assert wallet.accounts() == found
    assert found[0].root == served.node.engine.state_root
    wallet.sign(found[0].address, other, value=10, gas_limit=1_000)
    settled(wallet, served.upstream)
    found = check_accounts(wallet, served.upstream, served.node.engine.state_root)
    assert [(each.nonce, each.balance) for each in found] == [(1, MONEY - 1_010), (0, 10)]
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
