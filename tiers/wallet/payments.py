# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactions of a shielded pool: what they spend and make, their notes' bytes, proof and signature.

A transaction spends two notes and makes two, whatever it is for: what is missing is a dummy, a note of amount 0. Both pairs
are in random order, so that no place says which is the change.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from supervm.crypto import notes
from supervm.crypto.groth16_prove import ProvingKey
from supervm.crypto.note_encryption import encrypt
from supervm.crypto.params.notes import AMOUNT_BITS, TREE_DEPTH
from supervm.crypto.shielded_keys import Address, Seed
from supervm.engine.privacy.pool_proofs import prove_calls, require_key
from supervm.engine.privacy.shielded_calls import ENTRY, NOTES
from supervm.kernels.array_types import Words
from supervm.kernels.arrays import integers, number_words
from supervm.kernels.errors import ArgumentError
from supervm.kernels.progress import Progress, untold
from supervm.tiers.node.errors import WalletError
from supervm.tiers.node.wallet import Queued, Wallet
from supervm.tiers.wallet.note_store import Note, NoteStore, Pool
from supervm.tiers.wallet.selection import choose

GAS_LIMIT = 200_000
"""154,156 of a call and its data, 976 of an account that an unshield makes, and room."""

NOBODY = bytes(20)
"""The recipient where nothing leaves the pool."""


@dataclass(frozen=True)
class Output:
    """A new note."""

    address: Address
    amount: int
    memo: bytes = b""


@dataclass(frozen=True)
class Order:
    """What a transaction does.

    Args:
        spent: own notes, two at most.
        made: notes, two at most.
        public_in, public_out, fee: units.
        recipient: of `public_out`, 20 bytes.
    """

    spent: Sequence[Note]
    made: Sequence[Output]
    public_in: int = 0
    public_out: int = 0
    fee: int = 0
    recipient: bytes = NOBODY


def shield(to: Address, amount: int, fee: int, memo: bytes = b"") -> Order:
    """From the sender's balance into a note; the fee comes from there too.

    Raises:
        ArgumentError: amounts that no note has.
    """
    _require_amounts(amount, fee)
    return Order([], [Output(to, amount, memo)], public_in=amount + fee, fee=fee)


def transfer(
    available: Sequence[Note], own: Address, to: Address, amount: int, fee: int, memo: bytes = b""
) -> Order:
    """From own notes into one of somebody's.

    Raises:
        ArgumentError: amounts that no note has.
        WalletError: no two notes cover it.
    """
    _require_amounts(amount, fee)
    spent = choose(available, amount + fee)
    return Order(spent, [Output(to, amount, memo), *_change(spent, own, amount + fee)], fee=fee)


def unshield(available: Sequence[Note], own: Address, recipient: bytes, amount: int, fee: int) -> Order:
    """From own notes to the balance of an account; errors as `transfer`."""
    _require_amounts(amount, fee)
    if len(recipient) != 20:
        raise ArgumentError("recipient", f"{len(recipient)} bytes", "an account, 20 bytes")
    spent = choose(available, amount + fee)
    change = _change(spent, own, amount + fee)
    return Order(spent, change, public_out=amount, fee=fee, recipient=recipient)


def merge(pair: Sequence[Note], own: Address, fee: int) -> Order:
    """Two own notes into one.

    Raises:
        WalletError: they are worth more together than a note can be, or not more than the fee.
    """
    total = sum(note.amount for note in pair)
    if not fee < total < 1 << AMOUNT_BITS:
        raise WalletError(
            f"notes of {total} units in all cannot be made one that is worth anything, for {fee}"
        )
    return Order(pair, [Output(own, total - fee)], fee=fee)


def pay(
    wallet: Wallet,
    store: NoteStore,
    seed: Seed,
    key: ProvingKey,
    order: Order,
    *,
    sender: bytes,
    gas_limit: int = GAS_LIMIT,
    gas_price: int = 1,
    progress: Progress = untold,
) -> Queued:
    """Prove, sign and queue a transaction, and reserve the notes that it spends, all of it or nothing.

    Args:
        key: of the circuit `ringct_v1`, the one that the chain accepts.
        sender: an account of the wallet, which pays the gas and what is shielded.
        progress: told of what is done.

    Raises:
        WalletError: the wallet follows no pool, lacks the account, or has changed meanwhile.
        ArgumentError: another circuit's key, or what no transaction can hold.
        UnsatisfiedWitness, WitnessError: there is no such proof.
    """
    pool = store.pool()
    if pool is None:
        raise WalletError("the wallet follows no pool; scan first")
    if store.proved() != store.position().number:
        raise WalletError("the wallet's last scan did not come to its end; scan again")
    require_key(key)
    inputs = _spent(store, pool, seed, order.spent) | _made(pool, seed, order.made)
    encrypted = inputs.pop("encrypted")
    inputs |= {
        "pool": notes.pool_id(pool.chain_id, pool.address),
        "root": integers(store.root()[None])[0],
        "public_in": order.public_in,
        "public_out": order.public_out,
        "fee": order.fee,
        "recipient": int.from_bytes(order.recipient),
    }
    return wallet.sign(
        sender,
        pool.address,
        value=order.public_in * pool.unit,
        entry=ENTRY,
        input=encrypted,
        gas_limit=gas_limit,
        gas_price=gas_price,
        chain_id=pool.chain_id,
        prove=partial(prove_calls, key, [inputs], progress=progress),
        also=partial(store.reserve, [note.place for note in order.spent]),
    )


def _spent(store: NoteStore, pool: Pool, seed: Seed, spent: Sequence[Note]) -> dict[str, Any]:
    """The inputs of the circuit about two spent notes, in random order."""
    own, drawn = seed.secret, integers(notes.draw(2 * NOTES))
    rows: list[tuple[int, int, int, int, list[int]]] = [
        (note.amount, own, note.blinding, note.place, integers(np.array(store.path(note.place))))
        for note in spent
    ]
    while len(rows) < NOTES:
        rows.append((0, drawn.pop(), drawn.pop(), 0, [0] * TREE_DEPTH))
    secrets.SystemRandom().shuffle(rows)
    amounts, owners, blindings, places, paths = zip(*rows, strict=True)
    keys = notes.keys(_words(owners))
    leaves = notes.commitments(np.array(amounts, np.uint64), keys.owner, _words(blindings))
    own_pool = notes.pool_id(pool.chain_id, pool.address)
    nullifiers = notes.nullifiers(keys.nullifier, own_pool, np.array(places, np.uint64), leaves)
    return {
        "in_amount": list(amounts),
        "in_secret": list(owners),
        "in_blinding": list(blindings),
        "in_index": list(places),
        "in_path": list(paths),
        "nullifier": integers(nullifiers),
    }


def _made(pool: Pool, seed: Seed, made: Sequence[Output]) -> dict[str, Any]:
    """The inputs of the circuit about two new notes, in random order, and their bytes, `encrypted`."""
    outputs = list(made)
    while len(outputs) < NOTES:
        outputs.append(Output(seed.view_key.address, 0))
    secrets.SystemRandom().shuffle(outputs)
    amounts, owners = [each.amount for each in outputs], [each.address.owner for each in outputs]
    blindings = notes.draw(NOTES)
    leaves = integers(notes.commitments(np.array(amounts, np.uint64), _words(owners), blindings))
    own_pool = notes.pool_id(pool.chain_id, pool.address)
    encrypted = [
        encrypt(each.address, own_pool, leaf, amount=each.amount, blinding=blinding, memo=each.memo)
        for each, leaf, blinding in zip(outputs, leaves, integers(blindings), strict=True)
    ]
    return {
        "out_amount": amounts,
        "out_owner": owners,
        "out_blinding": integers(blindings),
        "commitment": leaves,
        "encrypted": b"".join(encrypted),
    }


def _change(spent: Sequence[Note], own: Address, needed: int) -> list[Output]:
    """What is left of notes. It fits one: `choose` takes two only where one is too small, so less than that one is left."""
    left = sum(note.amount for note in spent) - needed
    return [Output(own, left)] if left else []


def _require_amounts(amount: int, fee: int) -> None:
    most = (1 << AMOUNT_BITS) - 1
    if not 0 < amount <= most:
        raise ArgumentError("amount", str(amount), f"1 … {most} units")
    if not 0 <= fee <= most - amount:
        raise ArgumentError("fee", str(fee), f"0 … {most - amount} units beside that amount")


def _words(numbers: Sequence[int]) -> Words:
    return np.array([number_words(number, 4) for number in numbers], np.uint64).reshape(-1, 4)
