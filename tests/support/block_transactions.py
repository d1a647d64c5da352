# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactions of every kind, one block at a time, from any source of whole numbers.

`KINDS` lists the kinds by name. A kind takes the block that is being made and returns a few transactions in order; those
that will be accepted move the nonces on that the block keeps count of, those made to be rejected do not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

import program_contract as program
from contracts_for_tests import MISDEEDS, misdeed
from judge import Tx
from judge.rules import MOST_GAS, intrinsic_gas

Item = TypeVar("Item")
GAS = 400_000
"""Enough for any program that is made here."""

BAD_POINTERS = [name for name in MISDEEDS if name.startswith("bad_pointer/")]
OTHER_MISDEEDS = [name for name in MISDEEDS if name not in BAD_POINTERS]


class Choices(Protocol):
    """Where the numbers come from."""

    def integer(self, low: int, high: int) -> int:
        """From low to high, both included."""


@dataclass(frozen=True)
class World:
    """What does not change from block to block."""

    chain_id: int
    accounts: list[bytes]
    """The first is so rich that any price and any value are within its means, the last is poor."""
    strangers: list[bytes]
    """Addresses that begin without an account, the fee collector among them."""
    objects: list[bytes]
    programs: list[bytes]
    misbehaving: bytes
    keys: int
    """Keys that the programs of a block share: 1 is total contention; at 0 every call has a key of its own."""


@dataclass
class Draft:
    """A block that is being made."""

    world: World
    choices: Choices
    nonces: dict[bytes, int]
    balances: dict[bytes, int]
    owners: dict[bytes, bytes]
    """The owner of each owned object, as far as this block's transactions are known to succeed."""
    calls: int = 0
    used: set[bytes] = field(default_factory=set)
    """Senders in this block."""
    emptied: set[bytes] = field(default_factory=set)
    """Senders that have nothing left: one that cannot pay would make all its later nonces wrong."""

    def pick(self, items: Sequence[Item]) -> Item:
        return items[self.choices.integer(0, len(items) - 1)]

    def chance(self, percent: int) -> bool:
        return self.choices.integer(0, 99) < percent

    def able(self) -> list[bytes]:
        """Accounts that can pay for whatever is made here."""
        return [a for a in self.world.accounts if self.balances[a] >= MOST_GAS and a not in self.emptied]

    def sender(self) -> bytes:
        return self.pick(self.able())

    def receiver(self) -> bytes:
        return self.pick([*self.world.accounts, *self.world.strangers, *self.world.programs])

    def price(self) -> int:
        return self.choices.integer(0, 3) if self.chance(60) else 0

    def key(self) -> int:
        """A key for a program, 0 to 255."""
        return self.choices.integer(0, self.world.keys - 1) if self.world.keys else self.calls % 256

    def next(self, sender: bytes, to: bytes, **fields: object) -> Tx:
        """A transaction with the right nonce, which is used up by it."""
        fields.setdefault("chain_id", self.world.chain_id)
        tx = replace(Tx(sender, self.nonces.get(sender, 0), to), **fields)  # type: ignore[arg-type]
        self.nonces[sender] = tx.nonce + 1
        self.used.add(sender)
        return tx

    def rejected(self, tx: Tx, **fields: object) -> list[Tx]:
        """The transaction with what makes it a rejected one; its nonce is free again."""
        self.nonces[tx.sender] = tx.nonce
        return [replace(tx, **fields)]  # type: ignore[arg-type]


def plain_transfer(draft: Draft) -> list[Tx]:
    value = draft.choices.integer(0, 1_000)
    return [draft.next(draft.sender(), draft.receiver(), value=value, gas_price=draft.price())]


def large_transfer(draft: Draft) -> list[Tx]:
    rich, value = draft.world.accounts[0], 1 << draft.choices.integer(60, 200)
    price = (1 << draft.choices.integer(0, 64)) - 1
    return [draft.next(rich, draft.receiver(), value=value, gas_price=price, gas_limit=MOST_GAS)]


def emptying_transfer(draft: Draft) -> list[Tx]:
    """All that the sender had when the block began, to the last coin."""
    fresh, price = [a for a in draft.world.accounts[1:] if a not in draft.used], draft.price()
    if not fresh or draft.chance(50):
        return plain_transfer(draft)
    sender = draft.pick(fresh)
    value = draft.balances[sender] - 1_000 * price
    if value < 0:
        return plain_transfer(draft)
    draft.emptied.add(sender)
    return [draft.next(sender, draft.receiver(), value=value, gas_limit=1_000, gas_price=price)]


def two_pay_one(draft: Draft) -> list[Tx]:
    receiver = draft.receiver()
    return [draft.next(draft.sender(), receiver, value=1 + draft.choices.integer(0, 50)) for _ in range(2)]


def object_transfer(draft: Draft) -> list[Tx]:
    """One to three objects of the sender's, perhaps one of them listed twice."""
    owners = sorted(set(draft.owners.values()) & set(draft.able()))
    if not owners:
        return plain_transfer(draft)
    sender = draft.pick(owners)
    own = sorted(id for id, owner in draft.owners.items() if owner == sender)
    ids = [draft.pick(own) for _ in range(draft.choices.integer(1, 3))]
    to = draft.sender()
    draft.owners.update(dict.fromkeys(ids, to))
    return [draft.next(sender, to, objects=ids, value=draft.choices.integer(0, 5), gas_price=draft.price())]


def object_sent_on(draft: Draft) -> list[Tx]:
    """A received object goes on to a third owner in the same block."""
    able = set(draft.able())
    movable = sorted(id for id, owner in draft.owners.items() if owner in able)
    if not movable:
        return plain_transfer(draft)
    id = draft.pick(movable)
    first, second, third = draft.owners[id], draft.sender(), draft.sender()
    draft.owners[id] = third
    return [draft.next(first, second, objects=[id]), draft.next(second, third, objects=[id], gas_price=1)]


def object_of_another(draft: Draft) -> list[Tx]:
    """Objects that may be another's, shared, immutable or not there."""
    id = draft.pick([*draft.world.objects, b"\x77" * 32])
    sender = draft.sender()
    if draft.owners.get(id) == sender:
        return plain_transfer(draft)
    return [draft.next(sender, draft.receiver(), objects=[id], value=3, gas_price=draft.price())]


def operation(draft: Draft) -> bytes:
    """One operation that does not end a program."""
    a, b, number = draft.key(), draft.key(), draft.choices.integer(0, 9)
    makers: list[Callable[[], bytes]] = [
        lambda: program.get(a),
        lambda: program.set_number(a, number),
        lambda: program.delete(a),
        lambda: program.has(a),
        lambda: program.add(a, number),
        lambda: program.copy(a, b),
        lambda: program.event(bytes([a, number])),
        lambda: program.if_odd(a, program.add(b, 1) + program.get_at(a, 5)),
        lambda: program.transfer(draft.receiver(), number),
        lambda: program.balance(draft.receiver()),
        program.output,
        lambda: program.put(a),
        lambda: program.get_at(a, 1 + number),
        lambda: program.add_at(a, 1 + number, 1),
        lambda: program.spin(number * 10),
        lambda: program.fill(a, number * 40),
        program.about,
        lambda: program.hash_value(a),
        lambda: program.if_odd(a, program.fail()),
    ]
    return draft.pick(makers)()


def program_call(draft: Draft, last: bytes = b"", **fields: object) -> list[Tx]:
    """A call of up to six operations and a last one."""
    draft.calls += 1
    body = b"".join(operation(draft) for _ in range(draft.choices.integer(1, 6)))
    fields.setdefault("gas_limit", GAS)
    fields.setdefault("value", draft.choices.integer(0, 20) if draft.chance(30) else 0)
    if draft.chance(20):
        fields.setdefault("objects", [draft.pick(draft.world.objects)])
    return [
        draft.next(
            draft.sender(),
            draft.pick(draft.world.programs),
            entry=program.ENTRY,
            input=body + last,
            gas_price=draft.price(),
            **fields,
        )
    ]


def increment(draft: Draft) -> list[Tx]:
    """The shortest call that reads and writes one key."""
    draft.calls += 1
    contract, body = draft.world.programs[0], program.add(draft.key(), 1)
    return [draft.next(draft.sender(), contract, entry=program.ENTRY, input=body, gas_limit=GAS)]


def failing_call(draft: Draft) -> list[Tx]:
    return program_call(draft, program.fail(), value=1)


def trapping_call(draft: Draft) -> list[Tx]:
    return program_call(draft, program.trap(), value=1)


def starved_call(draft: Draft) -> list[Tx]:
    """A call whose gas may end anywhere."""
    (tx,) = program_call(draft)
    intrinsic = intrinsic_gas(tx.entry, tx.input)
    return [replace(tx, gas_limit=intrinsic + draft.choices.integer(0, 4_000))]


def misdeed_call(draft: Draft) -> list[Tx]:
    name = draft.pick(BAD_POINTERS if draft.chance(20) else OTHER_MISDEEDS)
    entry, call_input = misdeed(name, b"\x05\x00\x00\x00", by_number=draft.chance(50))
    fields = {"entry": entry, "input": call_input, "gas_limit": GAS, "gas_price": draft.price()}
    return [draft.next(draft.sender(), draft.world.misbehaving, **fields)]


def wrong_nonce(draft: Draft) -> list[Tx]:
    tx = draft.next(draft.sender(), draft.receiver(), value=1)
    return draft.rejected(tx, nonce=draft.pick([tx.nonce + 1, max(tx.nonce - 1, 0) or 9, 2**64 - 1]))


def too_poor(draft: Draft) -> list[Tx]:
    tx = draft.next(draft.world.accounts[-1], draft.receiver())
    return draft.rejected(tx, value=2**255 + 1, gas_price=draft.price())


def wrong_chain(draft: Draft) -> list[Tx]:
    tx = draft.next(draft.sender(), draft.receiver(), value=1)
    return draft.rejected(tx, chain_id=draft.world.chain_id + 1)


def unknown_contract(draft: Draft) -> list[Tx]:
    tx = draft.next(draft.sender(), draft.pick(draft.world.accounts))
    return draft.rejected(tx, entry=program.ENTRY)


def unknown_entry(draft: Draft) -> list[Tx]:
    tx = draft.next(draft.sender(), draft.pick(draft.world.programs))
    return draft.rejected(tx, entry=draft.pick([b"memory", b"rum", b"\xff", b"run\x00", b"r" * 300]))


def gas_limit_out_of_range(draft: Draft) -> list[Tx]:
    tx = draft.next(draft.sender(), draft.receiver(), value=1)
    return draft.rejected(tx, gas_limit=draft.pick([0, 999, MOST_GAS + 1, 2**64 - 1]))


def private_one(draft: Draft) -> list[Tx]:
    tx = draft.next(draft.sender(), draft.receiver(), value=1)
    return draft.rejected(tx, private=True, proof=b"proof")


KINDS: dict[str, Callable[[Draft], list[Tx]]] = {
    kind.__name__: kind
    for kind in (
        plain_transfer,
        large_transfer,
        emptying_transfer,
        two_pay_one,
        object_transfer,
        object_sent_on,
        object_of_another,
        program_call,
        increment,
        failing_call,
        trapping_call,
        starved_call,
        misdeed_call,
        wrong_nonce,
        too_poor,
        wrong_chain,
        unknown_contract,
        unknown_entry,
        gas_limit_out_of_range,
        private_one,
    )
}
TRANSFERS = ("plain_transfer", "large_transfer", "emptying_transfer", "two_pay_one")
OBJECTS = ("object_transfer", "object_sent_on", "object_of_another")
CALLS = ("program_call", "increment", "failing_call", "trapping_call", "starved_call", "misdeed_call")
REJECTED = tuple(name for name in KINDS if name not in (*TRANSFERS, *OBJECTS, *CALLS))
