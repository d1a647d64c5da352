# SPDX-License-Identifier: GPL-3.0-or-later
"""Payments with real proofs: verified as an engine does, put into blocks, and found by those they are for."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from ringct_keys import CIRCUIT, proving_key, verifier
from simulated_pool import ADDRESS, CHAIN, UNIT, PoolChain, Transaction

from supervm.crypto.messages import Messages
from supervm.crypto.shielded_keys import Seed
from supervm.engine.transactions.batch import TransactionBatch
from supervm.engine.transactions.encoding import decode, proof_bindings
from supervm.kernels.errors import ArgumentError
from supervm.tiers.node.errors import WalletError
from supervm.tiers.node.wallet import Progress, Wallet
from supervm.tiers.wallet import payments
from supervm.tiers.wallet.note_store import NoteStore
from supervm.tiers.wallet.scanning import follow, start_following

MERCHANT = Seed(b"m" * 32)
RECIPIENT = b"\x77" * 20


class Person:
    """A wallet with an account and a seed, that follows a chain."""

    def __init__(self, folder, chain, seed: Seed) -> None:
        self.wallet, self.chain, self.seed = Wallet(folder), chain, seed
        self.store = NoteStore(self.wallet.database)
        self.account = self.wallet.create()
        start_following(self.store, chain, ADDRESS, CHAIN)

    @property
    def address(self):
        return self.seed.view_key.address

    def scan(self) -> list[int]:
        """Amounts that it can spend then."""
        follow(self.store, self.seed.view_key, self.chain)
        return [note.amount for note in self.store.available()]

    def pay(self, order, **more):
        """Queue an order; the transaction."""
        queued = payments.pay(
            self.wallet, self.store, self.seed, proving_key(), order, sender=self.account, **more
        )
        batch, faults = decode([queued.data])
        assert not len(faults.rows)
        return queued, batch


@pytest.fixture
def chain():
    return PoolChain()


@pytest.fixture
def alice(tmp_path, chain):
    person = Person(tmp_path / "alice", chain, Seed(b"a" * 32))
    yield person
    person.wallet.close()


@pytest.fixture
def bob(tmp_path, chain):
    person = Person(tmp_path / "bob", chain, Seed(b"b" * 32))
    yield person
    person.wallet.close()


def inputs_of(batch: TransactionBatch) -> list[int]:
    """The public inputs behind the binding."""
    data = batch.proof[0][-320:]
    return [int.from_bytes(data[at : at + 32]) for at in range(0, 320, 32)]


def mined(chain: PoolChain, batch: TransactionBatch) -> None:
    """Into a block, as a pool does it."""
    numbers, data = inputs_of(batch), batch.input[0]
    leaves, spent = ([number.to_bytes(32) for number in numbers[at : at + 2]] for at in (4, 2))
    made = ((leaves[0], data[:160]), (leaves[1], data[160:]))
    chain.mine(Transaction(made, (spent[0], spent[1])))


def settled(person: Person, queued) -> None:
    person.wallet.note(
        [dataclasses.replace(queued, state=Progress.IN_BLOCK, number=len(person.chain.blocks))]
    )


def test_a_life(alice, bob, chain):
    """Shield twice, pay with both notes, and unshield what was got, in part; value stays what it was."""
    for amount in (100, 50):
        queued, batch = alice.pay(payments.shield(alice.address, amount, 1))
        assert verifier()(batch).tolist() == [1]
        assert int.from_bytes(batch.value[0].tobytes()) == (amount + 1) * UNIT
        assert (batch.to[0].tobytes(), batch.entry[0], len(batch.input[0])) == (ADDRESS, b"transact", 320)
        pool, *_, come, goes, fee, recipient = inputs_of(batch)
        assert pool == (CHAIN << 160) + int.from_bytes(ADDRESS)
        assert (come, goes, fee, recipient) == (amount + 1, 0, 1, 0)
        mined(chain, batch)
        settled(alice, queued)
    assert alice.scan() == [100, 50]
    order = payments.transfer(alice.store.available(), alice.address, bob.address, 120, 2, b"rent")
    assert len(order.spent) == 2
    queued, batch = alice.pay(order)
    assert verifier()(batch).tolist() == [1]
    assert (inputs_of(batch)[6:], batch.value[0].any()) == ([0, 0, 2, 0], False)
    assert alice.store.available() == []
    mined(chain, batch)
    settled(alice, queued)
    assert alice.scan() == [28]
    assert bob.scan() == [120]
    assert [note.memo for note in bob.store.notes()] == [b"rent"]
    queued, batch = bob.pay(payments.unshield(bob.store.available(), bob.address, RECIPIENT, 90, 3))
    assert verifier()(batch).tolist() == [1]
    assert inputs_of(batch)[6:] == [0, 90, 3, int.from_bytes(RECIPIENT)]
    mined(chain, batch)
    settled(bob, queued)
    assert bob.scan() == [27]
    assert alice.scan() == [28]


def test_a_proof_is_for_one_transaction(alice, chain):
    _, batch = alice.pay(payments.shield(alice.address, 5, 0))
    other = dataclasses.replace(batch, nonce=batch.nonce + np.uint64(1))
    swapped = batch.input[0][160:] + batch.input[0][:160]
    exchanged = dataclasses.replace(batch, input=Messages.of([swapped]))
    assert [verifier()(each).tolist() for each in (batch, other, exchanged)] == [[1], [0], [0]]
    assert not np.array_equal(proof_bindings(batch), proof_bindings(other))


def test_payments_in_a_row_take_other_notes_and_nonces(alice, chain):
    for _ in range(2):
        mined(chain, alice.pay(payments.shield(alice.address, 10, 0))[1])
    alice.scan()
    found = []
    for _ in range(2):
        order = payments.transfer(alice.store.available(), alice.address, MERCHANT.view_key.address, 4, 0)
        found.append(alice.pay(order)[1])
    assert [int(batch.nonce[0]) for batch in found] == [2, 3]
    assert len({number for batch in found for number in inputs_of(batch)[2:4]}) == 4
    with pytest.raises(WalletError, match="4 units are needed, and 0 are available in 0 notes"):
        payments.transfer(alice.store.available(), alice.address, MERCHANT.view_key.address, 4, 0)


def test_merging(alice, chain):
    for amount in (1, 2, 3, 4):
        mined(chain, alice.pay(payments.shield(alice.address, amount, 0))[1])
    alice.scan()
    with pytest.raises(WalletError, match="wallet merge --amount 9"):
        payments.transfer(alice.store.available(), alice.address, alice.address, 9, 0)
    one, *rest = alice.store.available()
    with pytest.raises(WalletError, match="cannot be made one"):
        payments.merge([one], alice.address, 1)
    queued, batch = alice.pay(payments.merge(rest[1:], alice.address, 1))
    mined(chain, batch)
    settled(alice, queued)
    assert sorted(alice.scan()) == [1, 2, 6]


def test_places_say_nothing(alice, chain):
    """Where the change stands, and where the dummies were."""
    _, batch = alice.pay(payments.shield(alice.address, 100, 0))
    mined(chain, batch)
    alice.scan()
    [note] = alice.store.available()
    order = payments.transfer([note], alice.address, MERCHANT.view_key.address, 60, 0)
    own = payments.notes.pool_id(CHAIN, ADDRESS)
    spent, made = set(), set()
    for _ in range(40):
        inputs = payments._spent(alice.store, alice.store.pool(), alice.seed, order.spent)
        spent.add(inputs["in_amount"].index(100))
        made.add(payments._made(alice.store.pool(), alice.seed, order.made)["out_amount"].index(60))
    assert spent == made == {0, 1}
    assert own == inputs_of(batch)[0]


# Errors -----------------------------------------------------------------------------------------------------


def test_amounts_that_no_note_has(alice):
    for amount, fee in ((0, 0), (-1, 0), (1 << 64, 0), ((1 << 64) - 1, 1), (1, -1)):
        with pytest.raises(ArgumentError, match=r"amount|fee"):
            payments.shield(alice.address, amount, fee)
    with pytest.raises(ArgumentError, match="recipient"):
        payments.unshield([], alice.address, b"\1" * 19, 1, 0)


def test_a_key_of_another_circuit(alice, chain):
    other = dataclasses.replace(proving_key(), wires=7)
    with pytest.raises(ArgumentError, match=f"a key of {CIRCUIT}"):
        payments.pay(
            alice.wallet,
            alice.store,
            alice.seed,
            other,
            payments.shield(alice.address, 1, 0),
            sender=alice.account,
        )
    assert alice.wallet.queue() == []


def test_a_payment_that_fails_reserves_nothing(alice, chain, monkeypatch):
    """Whether the proof fails, or another command takes nonce or note meanwhile."""
    mined(chain, alice.pay(payments.shield(alice.address, 10, 0))[1])
    alice.scan()
    before = alice.wallet.queue()
    order = payments.transfer(alice.store.available(), alice.address, MERCHANT.view_key.address, 4, 0)

    def breaking(*arguments, **named):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(payments, "prove_calls", breaking)
        with pytest.raises(KeyboardInterrupt):
            alice.pay(order)
    assert (alice.wallet.queue(), len(alice.store.available())) == (before, 1)

    def meanwhile(*arguments, **named):
        alice.wallet.sign(alice.account, RECIPIENT, value=1)
        return made(*arguments, **named)

    made = payments.prove_calls
    with monkeypatch.context() as patch:
        patch.setattr(payments, "prove_calls", meanwhile)
        with pytest.raises(WalletError, match="signed while the proof was made"):
            alice.pay(order)
    assert len(alice.store.available()) == 1
    alice.pay(order)
    with pytest.raises(WalletError, match="reserved by another"):
        alice.pay(order)


def test_a_wallet_that_follows_no_pool(tmp_path):
    with Wallet(tmp_path / "new") as wallet:
        store, seed = NoteStore(wallet.database), Seed(b"n" * 32)
        order = payments.shield(seed.view_key.address, 1, 0)
        with pytest.raises(WalletError, match="follows no pool"):
            payments.pay(wallet, store, seed, proving_key(), order, sender=wallet.create())
