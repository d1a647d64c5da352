# SPDX-License-Identifier: GPL-3.0-or-later
"""A wallet follows a pool: what it finds, and what turns of the chain take back."""

from __future__ import annotations

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
    event,
    note_for,
    paid,
    receipts_of,
    scanned,
)

from supervm.crypto.oracle import notes as oracle
from supervm.engine.blocks.pool_events import new_notes
from supervm.engine.blocks.receipts import Path
from supervm.kernels.arrays import integers
from supervm.tiers.node.errors import ProofRefused, UpstreamFailed
from supervm.tiers.node.wallet import Wallet
from supervm.tiers.wallet import scanning
from supervm.tiers.wallet.note_store import NoteStore, Pool


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


OTHER = b"\x0c" * 20
"""Another pool."""


def pair(first: int, pool: bytes = ADDRESS, rest: bytes = bytes(224)) -> tuple[bytes, bytes]:
    """Events of a transaction of a pool."""
    return event(first, rest, pool), event(first + 1, rest, pool)


def test_other_pools_and_contracts_are_passed_over(store):
    """Pools of one chain have the same indices; contracts that take proofs emit what they like, a pool's events too."""
    chain = PoolChain()
    chain.mine(paid(chain, ALICE, 5))
    contracts = (pair(2), pair(0), (b"x" * 252,), (b"x",) * 2, ())
    others = [(Path.PRIVACY, events) for events in contracts]
    others += [(Path.POOL, pair(first, OTHER)) for first in (2, 0, 4)]
    chain.mine(paid(chain, ALICE, 6), others=tuple(others))
    scanned(store, chain)
    assert [note.amount for note in store.notes()] == [5, 6]
    assert store.position().size == 4


@pytest.mark.parametrize(
    ("events", "error"),
    [
        (pair(4), ProofRefused),
        (pair(0), ProofRefused),
        (pair(2)[::-1], ProofRefused),
        (pair(2)[:1], UpstreamFailed),
        ((pair(2)[0], b"x" * 252), UpstreamFailed),
        ((pair(2)[0], pair(2)[1][:-1]), UpstreamFailed),
    ],
    ids=["ahead", "again", "in another order", "one alone", "two pools", "another length"],
)
def test_receipts_that_do_not_continue_the_tree(store, events, error):
    chain = PoolChain()
    chain.mine(paid(chain, ALICE, 6))
    chain.mine(others=((Path.POOL, events),))
    with pytest.raises(error, match=r"block 2\b"):
        scanned(store, chain)
    assert store.position().number == 0


def test_receipts_of_another_branch_are_asked_for_again(store):
    """The chain turns between a block and its receipts."""
    chain = PoolChain()
    chain.mine(paid(chain, ALICE, 5))
    chain.mine(paid(chain, ALICE, 6))

    class Turning(PoolChain):
        def call(self, method, request):
            if method == "GetReceipts" and request.number == 2 and len(self.leaves) == 4:
                self.turn(0)
                self.mine()
                self.mine(paid(self, ALICE, 7))
            return super().call(method, request)

    chain.__class__ = Turning
    scanned(store, chain)
    assert [note.amount for note in store.notes()] == [7]


def test_only_calls_of_pools_that_succeeded():
    assert len(new_notes(receipts_of([Path.POOL, Path.CONSENSUS], [pair(0)] * 2), ADDRESS)) == 2
    for path in (Path.CONSENSUS, Path.PRIVACY, Path.FAST):
        assert not len(new_notes(receipts_of([path], [pair(0)]), ADDRESS))
    failed = receipts_of([Path.POOL] * 2, [pair(0)] * 2)
    failed.reason[:] = 48
    assert not len(new_notes(failed, ADDRESS))


def test_columns_of_events():
    rng = np.random.default_rng(2)
    data = rng.integers(0, 256, (8, 224), np.uint8)
    rows = [event(10 + k, data[k].tobytes(), (ADDRESS, OTHER)[k // 2 % 2]) for k in range(8)]
    receipts = receipts_of([Path.POOL] * 4, [tuple(rows[2 * k : 2 * k + 2]) for k in range(4)])
    for pool, own in ((ADDRESS, [0, 1, 4, 5]), (OTHER, [2, 3, 6, 7])):
        found = new_notes(receipts, pool)
        assert found.indices.tolist() == [10 + k for k in own]
        assert found.transactions.tolist() == [k // 2 for k in own]
        assert np.array_equal(found.commitments, data[own][:, :32])
        assert np.array_equal(found.nullifiers, data[own][:, 32:64])
        assert np.array_equal(found.notes, data[own][:, 64:])
    assert not len(new_notes(receipts, bytes(20)))
