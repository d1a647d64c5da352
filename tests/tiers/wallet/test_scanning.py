# SPDX-License-Identifier: GPL-3.0-or-later
"""A wallet follows a pool: what it finds, and what turns of the chain take back."""

from __future__ import annotations

import random

import numpy as np
import pytest
from simulated_pool import (
    ADDRESS,
    ALICE,
    BOB,
    CHAIN,
    GENESIS,
    POOL,
    UNIT,
    PoolChain,
    note_for,
    paid,
    receipts_of,
    scanned,
)

from supervm.crypto.oracle import notes as oracle
from supervm.engine.blocks.receipts import Path
from supervm.kernels.arrays import integers
from supervm.tiers.node.errors import ProofRefused, WalletError
from supervm.tiers.node.wallet import Wallet
from supervm.tiers.wallet import scanning
from supervm.tiers.wallet.note_store import NoteStore, Pool
from supervm.tiers.wallet.pool_events import events_of


@pytest.fixture
def store(tmp_path):
    with Wallet(tmp_path / "wallet") as opened:
        yield NoteStore(opened.database)


def nullifier_of(note, seed=ALICE) -> bytes:
    return oracle.nullifier(seed.view_key.nullifier_key, POOL, note.place, note.leaf).to_bytes(32)


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
