# SPDX-License-Identifier: GPL-3.0-or-later
"""Thousands of small blocks under contention: what goes wrong once in a thousand times goes wrong here.

Blocks are drawn whole, by seed; each runs in block order and on several engines with threads, which must give the same
receipts to the byte and the same root. Sequential execution itself is held against the judge elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import program_contract as program
import pytest
from cell_census import check_cells
from engine_adapter import SEQUENTIAL, Way, agree, batch_of, judged, set_up, speculation, waves
from judge import Tx
from judge.rules import OWNED
from stories import Story, person, thing

from supervm.engine.arrays.ranks import ranks_within
from supervm.engine.blocks.result import BlockStats
from supervm.engine.config import Collection
from supervm.engine.engine import Engine
from supervm.engine.transactions.batch import TransactionBatch

PEOPLE, THINGS, SIZE = 14, 4, 100


def _bodies(story: Story, random: np.random.Generator) -> list[bytes]:
    """Programs over few keys: most read and write the same ones, some choose keys by values, trap, fail, pay or delete."""

    def key() -> int:
        return int(random.integers(0, 3))

    def short() -> bytes:
        makers = [
            lambda: program.add(key(), 1),
            lambda: program.get(key()) + program.put(key()),
            lambda: program.delete(key()),
            lambda: program.has(key()) + program.put(key()),
            lambda: program.copy(key(), key()),
            lambda: program.fill(key(), int(random.integers(0, 300))),
            lambda: program.add_at(key(), 3, 1),
            lambda: program.get_at(key(), 3) + program.output(),
            lambda: program.if_odd(key(), program.add(key(), 1)),
            lambda: program.if_odd(key(), program.trap()),
            lambda: program.if_odd(key(), program.fail()),
            lambda: program.transfer(person(int(random.integers(0, PEOPLE))), 1),
            lambda: program.balance(story.program) + program.put(key()),
            lambda: program.event(bytes([key()])) + program.get(key()) + program.output(),
            lambda: program.hash_value(key()) + program.put(key()),
            lambda: program.spin(int(random.integers(0, 120))),
        ]
        return makers[int(random.integers(0, len(makers)))]()

    return [b"".join(short() for _ in range(int(random.integers(1, 5)))) for _ in range(80)]


class Drawn:
    """Blocks by seed, as columns; the nonces are kept account of."""

    def __init__(self, story: Story, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._program = np.frombuffer(story.program, np.uint8)
        self._bodies = _bodies(story, self._random)
        self._people = np.frombuffer(b"".join(story.people), np.uint8).reshape(-1, 20)
        self._things = np.frombuffer(b"".join(thing(n) for n in range(THINGS)), np.uint8).reshape(-1, 32)
        self._nonces = np.zeros(len(story.people), np.int64)

    def block(self, calls: float, hot: bool, objects: bool) -> TransactionBatch:
        """A block.

        Args:
            calls: share of calls, the others are transfers.
            hot: whether one body is called by most.
            objects: whether transfers move objects, which succeeds where the sender happens to own them.
        """
        random = self._random
        senders = random.integers(0, len(self._people), SIZE)
        nonces = self._nonces[senders] + ranks_within(senders)
        # One in thirty is not the sender's next: it is rejected, and so are those that count on it.
        late = random.random(SIZE) < 1 / 30
        is_call = random.random(SIZE) < calls
        choice = random.integers(0, len(self._bodies), SIZE)
        if hot:
            choice[random.random(SIZE) < 0.8] = choice[0]
        to = self._people[random.integers(0, len(self._people), SIZE)].copy()
        to[is_call] = self._program
        listed = (random.random(SIZE) < 0.4) & ~is_call if objects else np.zeros(SIZE, np.bool_)
        offsets = np.zeros(SIZE + 1, np.int64)
        np.cumsum(listed, out=offsets[1:])
        return TransactionBatch.of(
            sender=self._people[senders],
            nonce=(nonces + late).astype(np.uint64),
            to=to,
            value=random.integers(0, 3, SIZE).astype(np.uint64),
            gas_limit=np.where(random.random(SIZE) < 0.1, 3_000, 200_000).astype(np.uint64),
            gas_price=random.integers(0, 2, SIZE).astype(np.uint64),
            entry=[program.ENTRY if call else b"" for call in is_call],
            input=[self._bodies[body] if call else b"" for body, call in zip(choice, is_call, strict=True)],
            objects=(offsets, self._things[random.integers(0, THINGS, int(offsets[-1]))]),
        )

    def done(self, engine: Engine) -> None:
        """A block was executed: take the nonces as they are now."""
        self._nonces[:] = [engine.account(address.tobytes())[0] for address in self._people]


def _story() -> Story:
    story = Story(PEOPLE, [(OWNED, person(n)) for n in range(THINGS)])
    pays = [story.transfer(story.people[0], story.program, 10_000)]
    story.block(pays)
    return story


@pytest.fixture
def opened_engines() -> Iterator[list[tuple[Way, Engine]]]:
    made: list[tuple[Way, Engine]] = []
    yield made
    for _, engine in made:
        engine.close()


def _open(made: list[tuple[Way, Engine]], ways: list[Way], story: Story, **settings: Any) -> None:
    scenario = story.scenario()
    expected = judged(scenario)
    for way in ways:
        engine = Engine.open(None, way.config(**settings))
        made.append((way, engine))
        set_up(engine, scenario)
        agree(engine, way, expected)


def _compare(made: list[tuple[Way, Engine]], batch: TransactionBatch, where: str) -> list[BlockStats]:
    receipts, root, stats = None, None, []
    for way, engine in made:
        with way.pushed():
            result = engine.execute(batch)
        found = result.receipts.to_bytes()
        receipts, root = receipts or found, root or result.state_root
        assert (found, result.state_root) == (receipts, root), f"{way.name}, {where}"
        stats.append(result.stats)
        # No history: of each key there is the newest version, a deletion being one too, and nothing else.
        assert check_cells(engine) == np.count_nonzero(engine.state.store._heads), f"{way.name}, {where}"
    return stats


KINDS = {
    "hot calls": (1.0, True, False),
    "calls": (1.0, False, False),
    "calls and transfers": (0.6, False, False),
    "objects": (0.3, False, True),
}
"""Name: arguments of `Drawn.block`."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(KINDS))
def test_thousands_of_small_blocks(opened_engines: list[tuple[Way, Engine]], kind: str):
    """1,500 blocks of 100 transactions on three engines with threads, for each kind of contention."""
    story = _story()
    # Every commit frees what it replaces, so that cells go round.
    _open(
        opened_engines,
        [SEQUENTIAL, speculation(2), speculation(4), speculation(3)],
        story,
        collection=Collection(versions=1),
    )
    drawn = Drawn(story, seed=list(KINDS).index(kind))
    drawn.done(opened_engines[0][1])
    repeated = 0
    for number in range(1_500):
        stats = _compare(opened_engines, drawn.block(*KINDS[kind]), f"block {number}")
        repeated += sum(block.repeated for block in stats)
        drawn.done(opened_engines[0][1])
    assert repeated > 10_000


@pytest.mark.slow
def test_thousands_of_small_blocks_by_waves(opened_engines: list[tuple[Way, Engine]]):
    """Declared calls, some of them wrongly: waves that are undone, and waves that are not."""
    story = Story(120)
    _open(opened_engines, [SEQUENTIAL, waves(2), waves(3)], story, collection=Collection(versions=1))
    random = np.random.default_rng(5)
    ways = undeclared = 0
    for number in range(1_000):
        steps: list[Tx] = []
        for n in random.permutation(120)[:40].tolist():
            key, other = random.integers(0, 60, 2).tolist()
            who = person(n)
            writes = [story.account(who), story.key(other)]
            lies = random.random() < 1 / 120
            reads = [] if lies else [story.key(key)]
            body = program.get(key) + program.put(other) + program.add(other, 1)
            steps.append(story.call(who, body, declared=True, reads=reads, writes=writes))
        _, *stats = _compare(opened_engines, batch_of(steps), f"block {number}")
        ways += sum(block.way == "waves" for block in stats)
        undeclared += sum(block.undeclared for block in stats)
    assert ways > 1_000
    assert undeclared > 100
