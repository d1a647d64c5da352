# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole scenarios as plain data: what the state begins with and the blocks that follow.

`scenarios()` is a Hypothesis strategy, `drawn_scenario(seed)` the same from NumPy's generator, for sizes that Hypothesis
is not made for. `replay` runs one on the judge. A scenario is made with a judge at hand, which gives nonces after each
block and the exact access sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from block_transactions import CALLS, KINDS, OBJECTS, REJECTED, TRANSFERS, Choices, Draft, World
from contracts_for_tests import misbehaving
from hypothesis import strategies as st
from judge import Judge, Receipt, Tx
from judge.model import COLLECTOR, contract_address
from judge.rules import IMMUTABLE, OBJECT, OWNED, SHARED
from program_contract import program_contract


@dataclass(frozen=True)
class Block:
    transactions: list[Tx]
    timestamp: int | None = None


@dataclass(frozen=True)
class Scenario:
    """Genesis, each entry a commit in this order (credits, objects, contracts), and the blocks."""

    credits: list[tuple[bytes, int]]
    objects: list[tuple[bytes, int, bytes]]
    """(id, kind, owner)."""
    contracts: list[tuple[bytes, bytes]]
    """(code, salt)."""
    blocks: list[Block]
    chain_id: int = 1
    fee_collector: bytes = COLLECTOR


@dataclass(frozen=True)
class Replayed:
    """A scenario after the judge; one entry for each block."""

    judge: Judge
    receipts: list[list[Receipt]]
    roots: list[bytes]


@dataclass(frozen=True)
class Shape:
    """How large a scenario is and what is in it."""

    blocks: int = 2
    transactions: int = 12
    """Steps of a block; a step makes one or two transactions."""
    accounts: int = 6
    objects: int = 6
    programs: int = 2
    keys: int = 4
    """Keys that the program calls share: 1 is total contention; at 0 every call of a block has a key of its own."""
    kinds: Sequence[str] = tuple(KINDS)
    """Names in `KINDS`; a name that stands twice comes twice as often."""
    declared: Sequence[str] = ("no", "exact", "spoiled")
    chain_id: int = 7


SHAPES = {
    "everything": Shape(),
    "transfers": Shape(kinds=TRANSFERS),
    "two accounts": Shape(kinds=(*TRANSFERS, *CALLS), accounts=2, keys=2),
    "objects": Shape(kinds=(*OBJECTS, *TRANSFERS)),
    "no contention": Shape(kinds=("increment",), keys=0, accounts=24),
    "total contention": Shape(kinds=("increment",), keys=1),
    "programs": Shape(kinds=CALLS, keys=3),
    "rejected": Shape(kinds=(*REJECTED, "plain_transfer", "program_call")),
}


class Seeded:
    """Numbers from NumPy's generator."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def integer(self, low: int, high: int) -> int:
        return int(self._random.integers(low, high, endpoint=True))


@dataclass(frozen=True)
class Drawn:
    """Numbers from Hypothesis, which shrink towards the lower end."""

    draw: Any

    def integer(self, low: int, high: int) -> int:
        return int(self.draw(st.integers(low, high)))


def begin(scenario: Scenario, **options: Any) -> Judge:
    """A judge after the scenario's genesis."""
    judge = Judge(scenario.chain_id, scenario.fee_collector, **options)
    for address, amount in scenario.credits:
        judge.credit(address, amount)
    for id, kind, owner in scenario.objects:
        judge.create_object(id, kind, owner)
    for code, salt in scenario.contracts:
        judge.deploy(code, salt)
    return judge


def replay(scenario: Scenario, **options: Any) -> Replayed:
    """The whole scenario on a judge with these options."""
    replayed = Replayed(begin(scenario, **options), [], [])
    for block in scenario.blocks:
        replayed.receipts.append(replayed.judge.execute(block.transactions, block.timestamp))
        replayed.roots.append(replayed.judge.root())
    return replayed


def declare(tx: Tx, receipt: Receipt) -> Tx:
    """The transaction with what a judge that logs access saw it read and write."""
    return replace(tx, declared=True, reads=list(receipt.reads), writes=list(receipt.writes))


def spoil(tx: Tx, choices: Choices) -> Tx:
    """A declared transaction with sets that are wrong: keys missing, keys of nobody, both swapped, or none."""
    reads, writes = tx.reads, tx.writes
    half = choices.integer(0, max(len(reads), len(writes)))
    strange = b"\x01" + bytes(20) + b"never used"
    wrong = [
        (reads[half:], writes),
        (reads, writes[half:]),
        (reads[:half], writes[:half]),
        (writes, reads),
        ([], []),
        ([*reads, strange], [strange, *writes]),
        (reads + reads[:1], writes + writes[:1]),
    ]
    reads, writes = wrong[choices.integer(0, len(wrong) - 1)]
    return replace(tx, declared=True, reads=list(reads), writes=list(writes))


def _address(kind: bytes, index: int) -> bytes:
    return kind + index.to_bytes(19, "big")


def _genesis(shape: Shape) -> Scenario:
    accounts = [_address(b"\xaa", index) for index in range(shape.accounts + 1)]
    credits = [(address, 10**12) for address in accounts]
    credits[0], credits[-1] = (accounts[0], 1 << 255), (accounts[-1], 5)
    objects = [
        (_address(b"\x0b", index).rjust(32, b"\x0b"), kind, accounts[index % shape.accounts])
        for index in range(shape.objects)
        for kind in [(OWNED, OWNED, OWNED, OWNED, SHARED, IMMUTABLE)[index % 6]]
    ]
    contracts = [(program_contract(), index.to_bytes(32, "big")) for index in range(shape.programs)]
    contracts.append((misbehaving(), bytes(32)))
    return Scenario(credits, objects, contracts, [], shape.chain_id)


def _world(genesis: Scenario, shape: Shape) -> World:
    addresses = [contract_address(code, salt) for code, salt in genesis.contracts]
    return World(
        chain_id=genesis.chain_id,
        accounts=[address for address, _ in genesis.credits],
        strangers=[genesis.fee_collector, _address(b"\xcc", 1), _address(b"\xcc", 2)],
        objects=[id for id, _, _ in genesis.objects] or [b"\x78" * 32],
        programs=addresses[:-1],
        misbehaving=addresses[-1],
        keys=shape.keys,
    )


def _draft(world: World, choices: Choices, judge: Judge) -> Draft:
    known = {address: judge.account(address) for address in world.accounts}
    owners = {}
    for id in world.objects:
        stored = judge.state.get(OBJECT + id, b"\xff")
        if stored[0] == OWNED:
            owners[id] = stored[1:]
    return Draft(
        world,
        choices,
        {address: nonce for address, (nonce, _) in known.items()},
        {address: balance for address, (_, balance) in known.items()},
        owners,
    )


def _declared(transactions: list[Tx], receipts: list[Receipt], shape: Shape, choices: Choices) -> list[Tx]:
    found = []
    for tx, receipt in zip(transactions, receipts, strict=True):
        how = shape.declared[choices.integer(0, len(shape.declared) - 1)]
        exact = declare(tx, receipt)
        found.append({"no": tx, "exact": exact}.get(how) or spoil(exact, choices))
    return found


def build(choices: Choices, shape: Shape) -> Scenario:
    """A scenario of this shape from any source of numbers."""
    scenario = _genesis(shape)
    world, judge = _world(scenario, shape), begin(scenario, log_access=True)
    for _ in range(shape.blocks):
        draft = _draft(world, choices, judge)
        transactions: list[Tx] = []
        for _ in range(shape.transactions):
            transactions += KINDS[draft.pick(shape.kinds)](draft)
        timestamp = judge.timestamp + choices.integer(1, 10**9) if draft.chance(50) else None
        receipts = judge.execute(transactions, timestamp)
        scenario.blocks.append(Block(_declared(transactions, receipts, shape, choices), timestamp))
    return scenario


def drawn_scenario(seed: int, shape: Shape | None = None) -> Scenario:
    """A scenario of this shape, the same for the same seed."""
    return build(Seeded(seed), shape or Shape())


@st.composite
def scenarios(draw: Any, shape: Shape | None = None, most_steps: int = 12) -> Scenario:
    """Scenarios of one shape, or of any of `SHAPES`; the number of steps is drawn too."""
    chosen = shape or SHAPES[draw(st.sampled_from(list(SHAPES)))]
    steps = draw(st.integers(1, most_steps))
    return build(Drawn(draw), replace(chosen, transactions=steps))
