# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of shielded pools (docs/privacy-pool.md) once more, one transaction after the other in plain Python, and calls.

Nothing of the engine's is used but the reasons' numbers; roots are those of a tree that keeps all its rows.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from supervm.crypto.messages import Messages
from supervm.crypto.notes import note_tree
from supervm.engine.privacy.transaction_proofs import encode_proofs
from supervm.engine.transactions.batch import TransactionBatch
from supervm.engine.transactions.encoding import proof_bindings
from supervm.engine.workloads.private_transfers import POOL_SIMULATOR
from supervm.vm.outcomes import Reason

R = 21888242871839275222246405745257275088548364400416034343698204186575808495617
UNIT = 10**9
CHAIN = 1
GAS = 1_000 + 4 * (8 + 320 + 461) + 120_000 + 11 * 2_000 + 2 * 4_000
NEW_ACCOUNT = 976
COLLECTOR = bytes(19) + b"\xfe"
CIRCUIT = "ringct_v1"
MOST_NOTES = 1 << 32
KINDS = ("shield", "transfer", "unshield", "both")


@dataclass
class Call:
    """A call of a pool, or a plain transfer (`to` is set then).

    `proof` says what is wrong with the proof: "" nothing, "proof" another C, "inputs" made for other public inputs.
    """

    sender: bytes
    nonce: int
    root: int = 0
    nullifiers: tuple[int, int] = (1, 2)
    commitments: tuple[int, int] = (3, 4)
    come: int = 0
    goes: int = 0
    fee: int = 0
    recipient: int = 0
    price: int = 0
    gas_limit: int = 200_000
    value: int | None = None
    stated_pool: int | None = None
    notes: bytes = bytes(320)
    entry: bytes = b"transact"
    circuit: str = CIRCUIT
    private: bool = True
    proof: str = ""
    to: bytes | None = None

    @property
    def paid(self) -> int:
        """The value that comes with it."""
        return self.come * UNIT if self.value is None else self.value

    def inputs(self, pool: bytes) -> list[int]:
        """The public inputs behind the binding."""
        stated = (CHAIN << 160) + int.from_bytes(pool) if self.stated_pool is None else self.stated_pool
        amounts = (self.come, self.goes, self.fee, self.recipient)
        return [stated, self.root, *self.nullifiers, *self.commitments, *amounts]


@dataclass
class Outcome:
    """What a receipt says of a call."""

    reason: Reason
    gas: int
    events: tuple[bytes, ...] = ()


@dataclass
class Model:
    """A state with one pool.

    Args:
        pool: its address.
        accounts: nonce and balance of each.
    """

    pool: bytes
    accounts: dict[bytes, list[int]]
    spent: dict[int, int] = field(default_factory=dict)
    leaves: list[int] = field(default_factory=list)
    roots: list[int] = field(default_factory=list)
    held: int = 0
    height: int = 0

    def __post_init__(self) -> None:
        self.roots.append(self.root())

    def root(self) -> int:
        """Of the tree over the leaves."""
        words = np.array([[leaf >> 64 * k & 2**64 - 1 for k in range(4)] for leaf in self.leaves], np.uint64)
        row = note_tree(words.reshape(-1, 4)).root.value
        return sum(int(word) << 64 * k for k, word in enumerate(row))

    def copy(self) -> Model:
        """One that goes its own way."""
        return copy.deepcopy(self)

    def money(self) -> int:
        """Of all accounts and the pool."""
        return sum(balance for _, balance in self.accounts.values()) + self.held * UNIT

    def execute(self, block: Sequence[Call]) -> list[Outcome]:
        """Execute a block."""
        self.height += 1
        recent, before, fees, counted = self.roots[-100:], len(self.leaves), 0, 0
        outcomes: list[Outcome] = []
        for call in block:
            reason = self.rejected(call)
            if call.to is None and not reason:
                counted += 1
            account = self.accounts.get(call.sender, [0, 0])
            if not reason and account[0] != call.nonce:
                reason = Reason.BAD_NONCE
            if not reason and account[1] < call.paid + call.gas_limit * call.price:
                reason = Reason.INSUFFICIENT_BALANCE
            if reason:
                outcomes.append(Outcome(reason, 0))
                continue
            self.accounts.setdefault(call.sender, account)[0] += 1
            account[1] -= call.paid
            if call.to is not None:
                outcome = self._pay(call.to, call.paid, Outcome(Reason.NONE, 1_000), call.gas_limit)
            else:
                outcome = self._call(call, recent, before + 2 * counted > MOST_NOTES)
            if outcome.reason:
                account[1] += call.paid
            elif call.to is None:
                fees += call.fee * UNIT
            account[1] -= outcome.gas * call.price
            fees += outcome.gas * call.price
            outcomes.append(outcome)
        self.accounts.setdefault(COLLECTOR, [0, 0])[1] += fees
        if len(self.leaves) > before:
            self.roots.append(self.root())
        return outcomes

    def rejected(self, call: Call) -> Reason:
        """Why a call is rejected in every state, or nothing."""
        if call.to is not None:
            return Reason.NONE
        if call.proof:
            return Reason.BAD_PROOF
        if call.gas_limit < GAS:
            return Reason.GAS_LIMIT_TOO_LOW
        if call.stated_pool is not None:
            return Reason.WRONG_POOL
        return Reason.NONE if call.paid == call.come * UNIT else Reason.WRONG_VALUE

    def _call(self, call: Call, recent: list[int], full: bool) -> Outcome:
        if call.root not in recent:
            return Outcome(Reason.UNKNOWN_ROOT, GAS)
        if full:
            return Outcome(Reason.POOL_FULL, GAS)
        if any(each in self.spent for each in call.nullifiers) or len(set(call.nullifiers)) < 2:
            return Outcome(Reason.NULLIFIER_SPENT, GAS)
        if self.held + call.come < call.goes + call.fee:
            return Outcome(Reason.POOL_SHORT, GAS)
        outcome = Outcome(Reason.NONE, GAS)
        if call.goes:
            recipient = call.recipient.to_bytes(20)
            outcome = self._pay(recipient, call.goes * UNIT, outcome, call.gas_limit)
            if outcome.reason:
                return outcome
        self.held += call.come - call.goes - call.fee
        events = []
        for note in range(2):
            self.spent[call.nullifiers[note]] = self.height
            row = [
                self.pool,
                self._number(),
                *(x.to_bytes(32) for x in (call.commitments[note], call.nullifiers[note])),
            ]
            events.append(b"".join([*row, call.notes[160 * note : 160 * note + 160]]))
            self.leaves.append(call.commitments[note])
        outcome.events = tuple(events)
        return outcome

    def _number(self) -> bytes:
        return len(self.leaves).to_bytes(8)

    def _pay(self, to: bytes, amount: int, outcome: Outcome, limit: int) -> Outcome:
        if not amount:
            return outcome
        if self.accounts.get(to, [0, 0]) == [0, 0]:
            if outcome.gas + NEW_ACCOUNT > limit:
                return Outcome(Reason.OUT_OF_GAS, limit)
            outcome = Outcome(outcome.reason, outcome.gas + NEW_ACCOUNT)
        self.accounts.setdefault(to, [0, 0])[1] += amount
        return outcome


def batch_of(pool: bytes, block: Sequence[Call], rng: random.Random) -> TransactionBatch:
    """The transactions of a block of calls and transfers, with simulated proofs."""
    batch = TransactionBatch.of(
        sender=_rows([call.sender for call in block]),
        nonce=np.array([call.nonce for call in block], np.uint64),
        to=_rows([call.to or pool for call in block]),
        chain_id=CHAIN,
        value=_rows([call.paid.to_bytes(32) for call in block]),
        gas_limit=np.array([call.gas_limit for call in block], np.uint64),
        gas_price=np.array([call.price for call in block], np.uint64),
        entry=[b"" if call.to else call.entry for call in block],
        input=[b"" if call.to else call.notes for call in block],
        private=np.array([call.to is None and call.private for call in block]),
    )
    return with_proofs(pool, block, batch, rng)


def with_proofs(
    pool: bytes, block: Sequence[Call], batch: TransactionBatch, rng: random.Random
) -> TransactionBatch:
    """The batch with proofs, as its calls say what is wrong with them."""
    bindings = proof_bindings(batch)
    stated = np.zeros((len(block), 11, 32), np.uint8)
    stated[:, 0] = bindings
    for row, call in enumerate(block):
        stated[row, 1:] = _rows([each.to_bytes(32) for each in call.inputs(pool)])
    proven = stated.copy()
    for row, call in enumerate(block):
        if call.proof == "inputs":
            proven[row, rng.randrange(1, 11), 31] ^= 1
    other = np.array([call.proof == "proof" for call in block])
    proofs = POOL_SIMULATOR.prove(proven, np.random.default_rng(rng.randrange(1 << 32)), other)
    columns = [
        encode_proofs(call.circuit, proofs[row : row + 1], stated[row : row + 1, 1:])[0]
        if not call.to
        else b""
        for row, call in enumerate(block)
    ]
    fields: dict[str, Any] = {name: getattr(batch, name) for name in batch.__dataclass_fields__}
    return TransactionBatch(**fields | {"proof": Messages.of(columns)})


def _rows(rows: Sequence[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1).copy()


class Traffic:
    """Random blocks: shields, transfers, unshields, double spends, old and unknown roots, wrong proofs, plain transfers.

    Args:
        model: that the blocks are for; it must have executed the earlier ones.
        people: addresses that send.
        seed: of everything.
    """

    def __init__(self, model: Model, people: Sequence[bytes], seed: int) -> None:
        self.model, self.people = model, list(people)
        self.random = random.Random(seed)

    def block(self, size: int, wrong: float = 0.3, kinds: Sequence[str] = KINDS) -> list[Call]:
        """Calls of these kinds, and transfers; a share of them meets something that makes it fail, or be rejected."""
        nonces = {person: self.model.accounts[person][0] for person in self.people}
        fresh: list[int] = []
        calls = []
        for _ in range(size):
            call = self._one(nonces, fresh, wrong, kinds)
            calls.append(call)
            if not self.model.rejected(call):
                nonces[call.sender] += 1
        return calls

    def _one(self, nonces: dict[bytes, int], fresh: list[int], wrong: float, kinds: Sequence[str]) -> Call:
        pick, model = self.random, self.model
        sender = pick.choice(self.people)
        common = {"sender": sender, "nonce": nonces[sender], "price": pick.choice([0, 1, 7])}
        if pick.random() < 0.2:
            to = pick.choice([*self.people, pick.randbytes(20)])
            return Call(**common, to=to, value=pick.choice([0, pick.randrange(1, 10**6)]))
        kind = pick.choice(kinds)
        nullifiers = [pick.randrange(R), pick.randrange(R)]
        call = Call(
            **common,
            root=pick.choice(model.roots[-100:]),
            commitments=(pick.randrange(R), pick.randrange(R)),
            come=pick.randrange(1_000, 10**6) if kind in ("shield", "both") else 0,
            goes=pick.randrange(1, 500) if kind in ("unshield", "both") else 0,
            fee=pick.choice([0, 1, 100]),
            recipient=int.from_bytes(pick.choice([*self.people, pick.randbytes(20)])),
            notes=pick.randbytes(320),
        )
        if pick.random() < wrong:
            self._spoil(call, nullifiers, fresh)
        fresh += nullifiers
        call.nullifiers = (nullifiers[0], nullifiers[1])
        return call

    def _spoil(self, call: Call, nullifiers: list[int], fresh: list[int]) -> None:
        pick = self.random
        what = pick.choice(
            [
                "spent",
                "here",
                "twice",
                "root",
                "proof",
                "inputs",
                "short",
                "pool",
                "value",
                "gas",
                "little gas",
            ]
        )
        if what == "spent" and self.model.spent:
            nullifiers[pick.randrange(2)] = pick.choice(list(self.model.spent))
        elif what == "here" and fresh:
            nullifiers[pick.randrange(2)] = pick.choice(fresh)
        elif what == "twice":
            nullifiers[1] = nullifiers[0]
        elif what == "root":
            call.root = pick.randrange(R)
        elif what in ("proof", "inputs"):
            call.proof = what
        elif what == "short":
            call.goes = self.model.held + pick.choice([-1_000, 0, 10**6])
            call.goes = max(call.goes, 0)
        elif what == "pool":
            call.stated_pool = (CHAIN + 1 << 160) + 5
        elif what == "value":
            call.value = call.come * UNIT + 1
        elif what == "gas":
            call.gas_limit, call.goes, call.recipient = GAS, 1, int.from_bytes(pick.randbytes(20))
        elif what == "little gas":
            call.gas_limit = GAS - 1
