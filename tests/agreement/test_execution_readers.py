# SPDX-License-Identifier: GPL-3.0-or-later
"""Threads that read while blocks execute: they see what a published block left, whole, and nothing in between."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import program_contract as program
import pytest
from engine_adapter import FEW_WAYS, Way, agree, batch_of, judged, opened, speculation, state_of
from judge import Tx, tree
from stories import RICH, Story, person

from supervm.crypto.sparse_merkle_proof import verify_proof
from supervm.engine.config import Collection
from supervm.engine.engine import Engine

BLOCKS, CALLS = 40, 64
DROPS_ALL = Collection(versions=1)
"""Each commit frees what it replaces, unless somebody reads it."""


@contextmanager
def _meanwhile(*reads: Callable[[], None]) -> Iterator[list[int]]:
    """Threads that call these over and over; how often each did, in the end. Errors are raised when the block ends."""
    stop, errors, counts = threading.Event(), [], [0] * len(reads)

    def loop(number: int) -> None:
        try:
            while not stop.is_set():
                reads[number]()
                counts[number] += 1
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=loop, args=(number,)) for number in range(len(reads))]
    for thread in threads:
        thread.start()
    try:
        yield counts
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]


def _pairs(story: Story) -> list[list[Tx]]:
    """Blocks in which every call adds one to two numbers and moves one coin; long values follow them."""
    both = (
        program.add(0, 1) + program.spin(50) + program.add(1, 1) + program.copy(3, 4) + program.fill(3, 200)
    )
    return [
        [story.call(person(n % 8), both + program.transfer(person(9), 1), value=1) for n in range(CALLS)]
        for _ in range(BLOCKS)
    ]


def _number(value: bytes | None) -> int:
    return int.from_bytes(value or b"", "little")


@pytest.mark.parametrize("way", FEW_WAYS, ids=lambda way: way.name)
@pytest.mark.parametrize("collection", [Collection(), DROPS_ALL], ids=["history", "no history"])
def test_a_reader_never_sees_half_a_block(way: Way, collection: Collection):
    story = Story(10)
    blocks = _pairs(story)
    with opened(story.scenario(), way, collection=collection) as engine:
        seen: set[int] = set()
        last = [0]

        def one_by_one() -> None:
            """Single reads: whole blocks only, and time does not run backwards."""
            first = _number(engine.get(story.program, b"\x00"))
            second = _number(engine.get(story.program, b"\x01"))
            _, paid = engine.account(person(9))
            assert last[0] <= first <= second <= paid - RICH
            assert first % CALLS == second % CALLS == (paid - RICH) % CALLS == 0
            last[0] = first
            seen.add(first)

        def together() -> None:
            """Several reads of one snapshot agree with each other, however long they take."""
            state = engine.state
            with state.store.reading() as mark:
                for _ in range(3):
                    first, second = (state.get(story.key(key), mark) for key in (0, 1))
                    account = state.get(story.account(person(9)), mark) or bytes(40)
                    assert first == second
                    assert int.from_bytes(account[8:], "big") - RICH == _number(first)
                    long = state.get(story.key(3), mark)
                    assert long is None if _number(first) == 0 else long == b"\x03" * 200

        with way.pushed():
            engine.execute(batch_of(blocks[0]))  # compiled before there are readers, who would slow that down
        with _meanwhile(one_by_one, together) as counts, way.pushed():
            for block in blocks[1:]:
                assert engine.execute(batch_of(block)).receipts.success.all()
        one_by_one()
        assert min(counts) > 0
        assert BLOCKS * CALLS in seen


def test_a_reader_during_rollbacks():
    """A state that goes to and fro between two: a reader sees the one or the other."""
    story = Story(10)
    blocks = _pairs(story)
    way = speculation(2)
    with opened(story.scenario(), way, collection=DROPS_ALL) as engine, way.pushed():
        engine.execute(batch_of(blocks[0]))
        engine.snapshot("one")
        engine.execute(batch_of(blocks[1]))
        engine.snapshot("two")
        roots = [engine.rollback(name) for name in ("one", "two")]

        def look() -> None:
            with engine.state.store.reading() as mark:
                first, second = (_number(engine.state.get(story.key(key), mark)) for key in (0, 1))
            assert first == second
            assert first in (CALLS, 2 * CALLS)

        with _meanwhile(look) as counts:
            for _ in range(60):
                assert [engine.rollback(name) for name in ("one", "two")] == roots
        assert counts[0] > 0


def test_a_reader_while_every_table_grows():
    """Thousands of new keys, long ones too: what moves in memory is never read where it was."""
    story = Story(8)
    way = speculation(2)
    count = (2_000).to_bytes(4, "little")
    with opened(story.scenario(), way, collection=DROPS_ALL) as engine:
        names = [b"\x01" + story.bad + n.to_bytes(4, "little") for n in range(2_000)]

        def look() -> None:
            with engine.state.store.reading() as mark:
                values = {engine.state.get(name, mark) is None for name in names[::97]}
            assert len(values) == 1

        story.block([story.deed(person(0), "write_keys", count, gas_limit=30_000_000)])
        steps = [
            story.call(
                person(n % 8), program.balance(b"\xcd" + n.to_bytes(19, "big")) + program.fill(n % 250, 900)
            )
            for n in range(1_500)
        ]
        long = [bytes(200 + n % 1_000) + bytes([n % 256]) for n in range(1_000)]
        with _meanwhile(look) as counts, way.pushed():
            for block in story.scenario().blocks:
                engine.execute(batch_of(block.transactions))
            for first in range(0, 1_500, 300):
                for name in long[first : first + 200]:
                    engine.get(story.program, name)
                engine.execute(batch_of(steps[first : first + 300]))
        assert counts[0] > 0
        look()


def test_proofs_on_another_thread():
    """Each proof is right under the root of a published block."""
    story = Story(10)
    blocks = _pairs(story)
    way = speculation(2)
    with opened(story.scenario(), way) as engine:
        proofs: list[tuple[bytes, object]] = []
        keys = [story.key(0), story.account(person(9)), story.key(77)]

        def prove() -> None:
            for key in keys:
                if len(proofs) < 3_000:
                    proofs.append((key, engine.prove(key)))

        states = {engine.state_root: state_of(engine)}
        with _meanwhile(prove) as counts, way.pushed():
            for block in blocks:
                root = engine.execute(batch_of(block)).state_root
                states[root] = state_of(engine)
        assert counts[0] > 0
        for key, proof in proofs:
            assert any(
                verify_proof(root, key, state.get(key), proof)  # type: ignore[arg-type]
                for root, state in states.items()
            )


def test_what_an_engine_tells_is_its_state():
    story = Story(2)
    story.block(
        [
            story.call(person(0), program.set_number(3, 9), value=4),
            story.transfer(person(1), person(0), 6),
        ]
    )
    scenario, way = story.scenario(), speculation(2)
    with opened(scenario, way) as engine:
        agree(engine, way, judged(scenario))
        state = state_of(engine)
        assert engine.get(story.program, b"\x03") == state[story.key(3)] == (9).to_bytes(8, "little")
        assert engine.get(story.program, b"\x04") is None
        assert engine.account(person(0)) == (1, RICH + 2)
        assert engine.account(b"\xdd" * 20) == (0, 0)
        _proofs_hold(engine, state)


def _proofs_hold(engine: Engine, state: dict[bytes, bytes]) -> None:
    """By the judge's tree, which is another."""
    root = engine.state_root
    assert tree.root(state) == root
    for key, value in state.items():
        assert tree.includes(root, key, value, engine.prove(key).siblings)
    for key in (b"\x00" + b"\xdd" * 20, b"", b"\x01" * 300):
        proof = engine.prove(key)
        assert tree.excludes(root, key, proof.siblings, proof.other)
