# SPDX-License-Identifier: GPL-3.0-or-later
"""A wallet and nodes that lie, or are behind: what is refused, what is kept, and how the wallet goes on."""

from __future__ import annotations

import dataclasses
import hashlib
import random

import pytest
from simulated_pool import (
    ADDRESS,
    ALICE,
    BOB,
    CHAIN,
    RULES,
    UNIT,
    PoolChain,
    event,
    note_for,
    paid,
    receipts_of,
    scanned,
)

from supervm.crypto.oracle import notes as oracle
from supervm.engine.blocks.receipts import Path
from supervm.kernels.arrays import integers
from supervm.kernels.errors import ArgumentError
from supervm.tiers.node.errors import ProofRefused, UpstreamFailed, WalletError
from supervm.tiers.node.wallet import Progress, Wallet
from supervm.tiers.service.v1 import node_pb2 as pb
from supervm.tiers.wallet import scanning
from supervm.tiers.wallet.note_store import NoteStore
from supervm.tiers.wallet.scanning import follow, start_following


@pytest.fixture
def store(tmp_path):
    with Wallet(tmp_path / "wallet") as opened:
        yield NoteStore(opened.database)


class Lying:
    """A node that says something else to one call."""

    address = "nowhere:1"

    def __init__(self, chain, method, change):
        self.chain, self.method, self.change = chain, method, change

    def get_status(self):
        return self._said("GetStatus", self.chain.get_status())

    def get_proof(self, key):
        return self._said("GetProof", self.chain.get_proof(key))

    def call(self, method, request):
        return self._said(method, self.chain.call(method, request))

    def _said(self, method, reply):
        if method != self.method:
            return reply
        changed = type(reply).FromString(reply.SerializeToString())
        self.change(changed)
        return changed


def _flip(field, place=0):
    def change(reply):
        data = bytearray(getattr(reply, field))
        data[place] ^= 1
        setattr(reply, field, bytes(data))

    return change


def _hide(reply):
    reply.receipts = receipts_of([Path.FAST], [()]).to_bytes()


@pytest.mark.parametrize(
    ("method", "change", "error"),
    [
        ("GetProof", _flip("value", 20), ProofRefused),
        ("GetProof", _flip("value", 7), ProofRefused),
        ("GetProof", _flip("proof", 50), ProofRefused),
        ("GetProof", _flip("state_root"), ProofRefused),
        ("GetProof", lambda reply: reply.ClearField("value"), ProofRefused),
        ("GetProof", lambda reply: setattr(reply, "hash_function", "md5"), ProofRefused),
        ("GetReceipts", _hide, ProofRefused),
        ("GetReceipts", _flip("receipts"), UpstreamFailed),
        ("GetReceipts", lambda reply: setattr(reply, "receipts", b""), UpstreamFailed),
        ("GetBlock", lambda reply: setattr(reply, "number", 99), UpstreamFailed),
        ("GetBlock", lambda reply: setattr(reply, "parent", b"x" * 32), WalletError),
        ("GetStatus", _flip("genesis_hash"), WalletError),
    ],
)
def test_a_node_that_lies(store, method, change, error):
    """Nothing of it is kept, and an honest node goes on."""
    chain = PoolChain()
    chain.mine(paid(chain, ALICE, 5))
    scanned(store, chain)
    before = store.position(), store.notes()
    chain.mine(paid(chain, ALICE, 6))
    chain.mine(paid(chain, ALICE, 7))
    with pytest.raises(error):
        follow(store, ALICE.view_key, Lying(chain, method, change))
    assert (store.position(), store.notes()) == before
    scanned(store, chain)
    assert [note.amount for note in store.notes()] == [5, 6, 7]


def test_a_changed_note_does_not_get_past_the_proof(store):
    """A node that exchanges a commitment in a receipt."""
    chain = PoolChain()
    chain.mine(paid(chain, BOB, 5))
    honest = chain.call("GetReceipts", pb.GetReceiptsRequest(number=1)).receipts
    leaf = chain.leaves[0].to_bytes(32)
    assert honest.count(leaf) == 1

    def change(reply):
        reply.receipts = honest.replace(leaf, (oracle.commitment(1, 2, 3)).to_bytes(32))

    start_following(store, chain, ADDRESS, CHAIN)
    with pytest.raises(ProofRefused, match="do not make up the note tree"):
        follow(store, ALICE.view_key, Lying(chain, "GetReceipts", change))
    assert store.position().number == 0


def test_what_a_liar_left_behind_is_asked_for_again(store, monkeypatch):
    """It lies in one block, and is gone before the proof; an honest node is not blamed for it."""
    monkeypatch.setattr(scanning, "AT_ONCE_BLOCKS", 1)
    chain = PoolChain()
    chain.mine(paid(chain, ALICE, 5))
    scanned(store, chain)
    for amount in (6, 7, 8):
        chain.mine(paid(chain, ALICE, amount))

    class Gone(Lying):
        def call(self, method, request):
            if method == "GetReceipts" and request.number == 4:
                raise UpstreamFailed("nowhere:1", method, "UNAVAILABLE", "gone")
            return super().call(method, request)

    with pytest.raises(UpstreamFailed, match="gone"):
        follow(store, ALICE.view_key, Gone(chain, "GetReceipts", _hide))
    assert (store.position().number, store.proved()) == (3, 1)
    scanned(store, chain)
    assert [note.amount for note in store.notes()] == [5, 6, 7, 8]
    assert store.proved() == 4
    chain.mine(paid(chain, ALICE, 9))
    with pytest.raises(ProofRefused):
        follow(store, ALICE.view_key, Lying(chain, "GetReceipts", _hide))
    assert store.position().number == 4


class Early(Lying):
    """It says of each block what the next one did."""

    def __init__(self, chain):
        super().__init__(chain, "", None)

    def call(self, method, request):
        if method != "GetReceipts":
            return super().call(method, request)
        if request.number == len(self.chain.blocks):
            return pb.GetReceiptsReply(receipts=receipts_of([Path.FAST], [()]).to_bytes())
        return self.chain.call(method, pb.GetReceiptsRequest(number=request.number + 1))


def test_a_leaf_one_block_early_and_a_turn(tmp_path):
    """No upstream helps the wallet then, until it scans again; payments and what they reserve are kept."""
    with Wallet(tmp_path / "wallet") as wallet:
        store, chain = NoteStore(wallet.database), PoolChain()
        account = wallet.create()
        chain.mine(paid(chain, ALICE, 5, 6))
        chain.mine()
        scanned(store, chain)
        sent = [wallet.sign(account, ADDRESS, also=lambda hash: store.reserve([0], hash))]
        sent.append(wallet.sign(account, ADDRESS))
        wallet.note([dataclasses.replace(sent[1], state=Progress.IN_BLOCK, number=2)])
        chain.mine()
        chain.mine(paid(chain, ALICE, 7))
        scanned(store, Early(chain))
        assert [(note.amount, note.block) for note in store.notes()] == [(5, 1), (6, 1), (7, 3)]
        chain.turn(3)
        chain.mine(paid(chain, ALICE, 8))
        chain.mine(paid(chain, ALICE, 9))
        for _ in range(2):
            with pytest.raises(ProofRefused, match="scan --again"):
                scanned(store, chain)
        assert (store.position().number, store.proved()) == (3, 3)
        late = PoolChain()
        with pytest.raises(UpstreamFailed, match="pruned"):
            scanned(store, Pruned(chain), again=True)
        assert len(store.notes()) == 3
        found = scanned(store, chain, again=True)
        assert (found.blocks, found.found, found.rolled_back) == (5, 4, 3)
        assert [note.amount for note in store.notes()] == [5, 6, 8, 9]
        assert [note.amount for note in store.available()] == [6, 8, 9]
        assert integers(store.root()[None]) == [oracle.root(chain.leaves)]
        assert [each.state for each in wallet.queue()] == [Progress.QUEUED, Progress.SENT]
        assert [each.hash for each in wallet.queue()] == [each.hash for each in sent]
        scanned(store, late, again=True)
        assert (store.position().number, store.notes()) == (0, [])


class Pruned(Lying):
    """It has the receipts of its last blocks alone."""

    def __init__(self, chain):
        super().__init__(chain, "", None)

    def call(self, method, request):
        if method == "GetReceipts" and request.number == 1:
            raise UpstreamFailed(self.address, method, "NOT_FOUND", "pruned")
        return super().call(method, request)


class Forging(Lying):
    """It has the true blocks, says that the second one paid Alice a fortune, and then gives no proof."""

    def __init__(self, chain):
        rng = random.Random(1)
        made = [note_for(rng, ALICE.view_key.address, 10**6) for _ in range(2)]
        events = tuple(event(k, leaf + bytes(32) + data) for k, (leaf, data) in enumerate(made, 2))
        forged = receipts_of([Path.POOL], [events]).to_bytes()
        super().__init__(chain, "GetReceipts", lambda reply: setattr(reply, "receipts", forged))

    def get_proof(self, key):
        raise UpstreamFailed(self.address, "GetProof", "UNAVAILABLE", "gone")


def test_notes_that_were_not_proved_do_not_count(store):
    """Notes that a node forges are not shown, though it is gone before the proof."""
    chain = PoolChain()
    chain.mine(paid(chain, ALICE, 5))
    scanned(store, chain)
    chain.mine(paid(chain, ALICE, 6))
    with pytest.raises(UpstreamFailed):
        follow(store, ALICE.view_key, Forging(chain))
    assert store.position().number == 2
    assert [note.amount for note in store.notes()] == [5]
    scanned(store, chain)
    assert [note.amount for note in store.notes()] == [5, 6]


def test_notes_under_another_root_than_the_trusted_do_not_count(store):
    chain = PoolChain()
    chain.mine(paid(chain, ALICE, 5))
    with pytest.raises(ProofRefused, match="not at the trusted"):
        scanned(store, chain, root=b"r" * 32)
    assert not store.notes()
    scanned(store, chain)
    assert [note.amount for note in store.notes()] == [5]


def test_a_trusted_root(store):
    chain = PoolChain()
    chain.mine(paid(chain, ALICE, 5))
    root = chain.get_proof(b"\0" + bytes(20)).state_root
    assert scanned(store, chain, root=root).found == 1
    chain.mine()
    with pytest.raises(ProofRefused, match="not at the trusted"):
        scanned(store, chain, root=b"r" * 32)


def test_a_node_that_is_behind(store, monkeypatch):
    chain = PoolChain()
    for _ in range(4):
        chain.mine(paid(chain, ALICE, 5))
    scanned(store, chain)
    late = PoolChain()
    for kept in (3, 1):
        late.blocks, late.leaves = chain.blocks[:kept], chain.leaves[: 2 * kept]
        with pytest.raises(WalletError, match=f"is at block {kept}, the wallet at 4"):
            scanned(store, late)
        assert len(store.notes()) == 4
        monkeypatch.setattr(store, "oldest", lambda: 3)


def test_no_pool(store):
    chain = PoolChain()
    with pytest.raises(WalletError, match="follows no pool"):
        follow(store, ALICE.view_key, chain)
    with pytest.raises(WalletError, match="no shielded pool stands at"):
        start_following(store, chain, b"\5" * 20, CHAIN)


def test_a_contract_that_looks_like_a_pool(tmp_path, store):
    """It stores a unit and a note tree, but its code is not a pool's; no node makes a wallet follow it."""
    chain = PoolChain()
    chain.code = hashlib.sha256(b"a contract with the entry point transact").digest()
    chain.mine(paid(chain, ALICE, 5))
    with pytest.raises(WalletError, match="but a contract, or a pool of another unit: block 1"):
        start_following(store, chain, ADDRESS, CHAIN)
    as_a_pool = Lying(chain, "GetProof", lambda reply: setattr(reply, "value", RULES))
    with pytest.raises(ProofRefused, match="does not show what the upstream"):
        start_following(store, as_a_pool, ADDRESS, CHAIN)
    root = chain.get_proof(b"\2" + ADDRESS).state_root
    with pytest.raises(ProofRefused, match="not at the trusted"):
        start_following(store, PoolChain(), ADDRESS, CHAIN, root=root)
    with pytest.raises(ArgumentError, match="32 bytes"):
        start_following(store, chain, ADDRESS, CHAIN, root=root[:31])
    assert store.pool() is None
    start_following(store, PoolChain(), ADDRESS, CHAIN)  # a node with a state of its own
    for trusted in (None, root):
        with pytest.raises(WalletError, match="no shielded pool of unit"):
            follow(store, ALICE.view_key, chain, root=trusted)
        assert (store.proved(), store.notes()) == (0, [])
    chain.code = RULES
    scanned(store, chain)
    assert [note.amount for note in store.notes()] == [5]


def test_a_node_that_lies_about_the_unit(store):
    chain = PoolChain()
    for unit, error in ((UNIT + 1, "no shielded pool of unit"), (0, "no shielded pool stands at")):
        lying = Lying(chain, "GetStorage", lambda reply, unit=unit: setattr(reply, "value", unit.to_bytes(8)))
        with pytest.raises(WalletError, match=error):
            start_following(store, lying, ADDRESS, CHAIN)
    silent = Lying(chain, "GetProof", lambda reply: reply.ClearField("value"))
    with pytest.raises(ProofRefused, match="does not show"):
        start_following(store, silent, ADDRESS, CHAIN)
    assert store.pool() is None
