# SPDX-License-Identifier: GPL-3.0-or-later
"""A wallet follows a pool: what it finds, what turns of the chain take back, and nodes that lie."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest
from simulated_pool import ADDRESS, CHAIN, GENESIS, POOL, UNIT, PoolChain, note_for, receipts_of

from supervm.crypto.oracle import notes as oracle
from supervm.crypto.shielded_keys import Seed
from supervm.engine.blocks.receipts import Path
from supervm.kernels.arrays import integers
from supervm.tiers.node.errors import ProofRefused, UpstreamFailed, WalletError
from supervm.tiers.node.wallet import Progress, Wallet
from supervm.tiers.service.v1 import node_pb2 as pb
from supervm.tiers.wallet import scanning
from supervm.tiers.wallet.note_store import NoteStore, Pool
from supervm.tiers.wallet.pool_events import events_of
from supervm.tiers.wallet.scanning import follow, start_following

ALICE, BOB = Seed(b"a" * 32), Seed(b"b" * 32)


@pytest.fixture
def store(tmp_path):
    with Wallet(tmp_path / "wallet") as opened:
        yield NoteStore(opened.database)


def scanned(store, chain, seed=ALICE, **more):
    start_following(store, chain, ADDRESS, CHAIN)
    return follow(store, seed.view_key, chain, **more)


def nullifier_of(note, seed=ALICE) -> bytes:
    return oracle.nullifier(seed.view_key.nullifier_key, POOL, note.place, note.leaf).to_bytes(32)


def paid(chain, seed, *amounts, memo=b""):
    return chain.transaction(*(note_for(chain.rng, seed.view_key.address, each, memo) for each in amounts))


def test_notes_are_found_and_spent(store):
    chain = PoolChain()
    chain.mine(paid(chain, ALICE, 5, memo=b"rent"), paid(chain, BOB, 7, 8))
    chain.mine()
    chain.mine(paid(chain, ALICE, 9, 10))
    found = scanned(store, chain)
    assert (found.blocks, found.leaves, found.found, found.rolled_back) == (3, 6, 3, 0)
    assert store.pool() == Pool(CHAIN, ADDRESS, UNIT, GENESIS)
    notes = store.notes()
    assert [(note.place, note.amount, note.memo, note.block, note.spent) for note in notes] == [
        (0, 5, b"rent", 1, None),
        (4, 9, b"", 3, None),
        (5, 10, b"", 3, None),
    ]
    assert integers(store.root()[None]) == [oracle.root(chain.leaves)]
    chain.mine(chain.transaction(spent=(nullifier_of(notes[1]), nullifier_of(notes[0]))))
    scanned(store, chain)
    assert [note.spent for note in store.notes()] == [4, 4, None]
    assert [note.amount for note in store.available()] == [10]
    assert scanned(store, chain).blocks == 0


def test_a_note_is_spent_in_the_same_scan(store):
    chain = PoolChain()
    chain.mine(paid(chain, ALICE, 5))
    leaf = chain.leaves[0]
    spent = oracle.nullifier(ALICE.view_key.nullifier_key, POOL, 0, leaf).to_bytes(32)
    chain.mine(chain.transaction(spent=(spent,)))
    scanned(store, chain)
    assert [(note.amount, note.spent) for note in store.notes()] == [(5, 2)]


def test_a_note_at_another_place_has_another_nullifier(store):
    """Equal commitments: only the one that was spent is."""
    chain = PoolChain()
    made = note_for(chain.rng, ALICE.view_key.address, 5)
    chain.mine(chain.transaction(made, made))
    scanned(store, chain)
    one, other = store.notes()
    chain.mine(chain.transaction(spent=(nullifier_of(other),)))
    scanned(store, chain)
    assert [note.spent for note in store.notes()] == [None, 2]
    assert one.leaf == other.leaf


def test_notes_without_value_are_not_kept(store):
    chain = PoolChain()
    chain.mine(paid(chain, ALICE, 0, 3))
    assert scanned(store, chain).found == 1
    assert [(note.place, note.amount) for note in store.notes()] == [(1, 3)]


def test_many_chunks_are_one(tmp_path, monkeypatch):
    chain = PoolChain()
    for number in range(9):
        chain.mine(*[paid(chain, ALICE if number % 3 else BOB, number + 1)] * (number % 4))
    states = []
    for notes, blocks in ((1 << 15, 1000), (1, 1000), (1 << 15, 2)):
        monkeypatch.setattr(scanning, "AT_ONCE_NOTES", notes)
        monkeypatch.setattr(scanning, "AT_ONCE_BLOCKS", blocks)
        with Wallet(tmp_path / f"{notes} {blocks}") as wallet:
            store, told = NoteStore(wallet.database), []
            scanned(store, chain, tell=told.append)
            states.append((store.notes(), store.position(), store.root().tolist()))
            assert told == sorted(told)
            assert told[-1] == 1
    assert states[0] == states[1] == states[2]
    assert states[0][0]


def test_turns(store):
    """Notes of blocks that are gone are gone, what they spent is unspent, and the other branch's are found."""
    chain = PoolChain()
    for number in range(6):
        chain.mine(paid(chain, ALICE, number + 1))
    scanned(store, chain)
    chain.mine(chain.transaction(spent=(nullifier_of(store.notes()[0]),)))
    scanned(store, chain)
    assert store.notes()[0].spent == 7
    chain.turn(4)
    chain.mine(paid(chain, ALICE, 100))
    chain.mine(paid(chain, BOB, 1), paid(chain, ALICE, 200))
    chain.mine()
    found = scanned(store, chain)
    assert found.rolled_back == 3
    assert [(note.amount, note.spent) for note in store.notes()] == [
        (amount, None) for amount in (1, 2, 3, 4, 100, 200)
    ]
    assert integers(store.root()[None]) == [oracle.root(chain.leaves)]


def test_a_turn_below_everything_that_is_kept(store, monkeypatch):
    monkeypatch.setattr("supervm.tiers.wallet.note_store.KEPT_BLOCKS", 3)
    chain = PoolChain()
    for number in range(8):
        chain.mine(paid(chain, ALICE, number + 1))
    scanned(store, chain)
    chain.turn(2)
    for number in range(7):
        chain.mine(paid(chain, ALICE, 10 * number + 10))
    found = scanned(store, chain)
    assert (found.rolled_back, found.blocks) == (8, 9)
    assert [note.amount for note in store.notes()] == [1, 2, 10, 20, 30, 40, 50, 60, 70]


def test_a_chain_that_turns_during_the_scan(store):
    chain = PoolChain()
    for number in range(6):
        chain.mine(paid(chain, ALICE, number + 1))
    turned = []

    class Turning:
        address = "nowhere:1"

        def __getattr__(self, name):
            return getattr(chain, name)

        def call(self, method, request):
            if method == "GetReceipts" and request.number == 4 and not turned:
                turned.append(True)
                chain.turn(3)
                for _ in range(3):
                    chain.mine(paid(chain, ALICE, 50))
            return chain.call(method, request)

    scanned(store, Turning())
    assert turned
    assert [note.amount for note in store.notes()] == [1, 2, 3, 50, 50, 50]
    assert integers(store.root()[None]) == [oracle.root(chain.leaves)]


def test_a_view_key_finds_the_same(tmp_path):
    chain = PoolChain()
    chain.mine(paid(chain, ALICE, 5, 6))
    with Wallet(tmp_path / "auditor") as wallet:
        store = NoteStore(wallet.database)
        scanned(store, chain)
        chain.mine(chain.transaction(spent=(nullifier_of(store.notes()[0]),)))
        scanned(store, chain)
        assert [(note.amount, note.spent) for note in store.notes()] == [(5, 2), (6, None)]


# Nodes that lie, or are behind ------------------------------------------------------------------------------


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
        event = tuple(k.to_bytes(8) + leaf + bytes(32) + data for k, (leaf, data) in enumerate(made, 2))
        forged = receipts_of([Path.PRIVACY], [event]).to_bytes()
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


# Receipts ---------------------------------------------------------------------------------------------------


def test_events_of_others_are_passed_over(store):
    """Other lengths and numbers of events, and indices that do not continue the tree, another pool's for example."""
    chain, rng = PoolChain(), random.Random(1)
    chain.mine(paid(chain, ALICE, 5))
    other = tuple((40 + k).to_bytes(8) + rng.randbytes(224) for k in range(2))
    higher = tuple((40 + k).to_bytes(8) + rng.randbytes(224) for k in range(2))
    strange = (higher, (b"x" * 232,), (b"x" * 232, b"x" * 231), (b"x",) * 2, other[::-1], (other[0],) * 2, ())
    lower = tuple(k.to_bytes(8) + rng.randbytes(224) for k in range(2))
    chain.mine(paid(chain, ALICE, 6), others=(*strange, lower))
    scanned(store, chain)
    assert [note.amount for note in store.notes()] == [5, 6]


def test_two_that_claim_one_place(store):
    """The first is taken, and if it was the wrong one the proof shows it."""
    chain = PoolChain()
    fake = tuple(k.to_bytes(8) + bytes(224) for k in range(2))
    chain.mine(paid(chain, ALICE, 6), others=(fake,))
    with pytest.raises(ProofRefused):
        scanned(store, chain)
    assert store.position().number == 0
    pairs = [tuple(k.to_bytes(8) + bytes(224) for k in (2 * n, 2 * n + 1)) for n in range(2)]
    with pytest.raises(WalletError, match="another order"):
        events_of(receipts_of([Path.PRIVACY] * 2, pairs[::-1]), 0, 1)


def test_only_private_transactions_that_succeeded():
    event = tuple(k.to_bytes(8) + bytes(224) for k in range(2))
    assert len(events_of(receipts_of([Path.PRIVACY, Path.CONSENSUS], [event, event]), 0, 1)) == 2
    assert not len(events_of(receipts_of([Path.CONSENSUS], [event]), 0, 1))
    failed = receipts_of([Path.PRIVACY] * 2, [event, event])
    failed.reason[:] = 48
    assert not len(events_of(failed, 0, 1))


def test_columns_of_events():
    rng = np.random.default_rng(2)
    data = rng.integers(0, 256, (4, 224), np.uint8)
    pairs = [
        tuple((10 + 2 * k + i).to_bytes(8) + data[2 * k + i].tobytes() for i in range(2)) for k in range(2)
    ]
    events = events_of(receipts_of([Path.PRIVACY] * 2, pairs), 10, 1)
    assert np.array_equal(events.leaves, data[:, :32])
    assert np.array_equal(events.nullifiers, data[:, 32:64])
    assert np.array_equal(events.encrypted, data[:, 64:])
