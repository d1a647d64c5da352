# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes from outside: malformed batches, private transactions, pipelines, errors in the middle, storage that fails."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import program_contract as program
import pytest
from block_transactions import KINDS
from blocks import Shape, drawn_scenario
from engine_adapter import (
    FEW_WAYS,
    SEQUENTIAL,
    WAYS,
    Way,
    agree,
    batch_of,
    executed,
    judged,
    opened,
    receipts_of,
    run_all,
    speculation,
    state_of,
    waves,
)
from judge import Reason, Tx
from judge.rules import ACCOUNT
from stories import GAS, RICH, Story, person

from supervm.crypto.messages import Messages
from supervm.engine.config import EngineConfig, Router
from supervm.engine.engine import Engine
from supervm.engine.errors import MalformedBatch
from supervm.engine.transactions.batch import TransactionBatch
from supervm.kernels.errors import ArgumentError

SMALL = Shape(transactions=40, blocks=4, accounts=12, kinds=tuple(KINDS), chain_id=1)


def _position(engine: Engine) -> tuple[object, ...]:
    return engine.state.position, state_of(engine), engine.supply


def _calls(story: Story, count: int = 80) -> list[Tx]:
    return [story.call(story.people[n % len(story.people)], program.add(n % 5, 1)) for n in range(count)]


SPOILED: dict[str, Any] = {
    "nonce": lambda batch: batch.nonce.astype(np.int64),
    "sender": lambda batch: batch.sender[:, :19].copy(),
    "to": lambda batch: batch.to[:-1],
    "value": lambda batch: batch.value.astype(np.uint16),
    "gas_limit": lambda batch: batch.gas_limit.tolist(),
    "private": lambda batch: batch.private.astype(np.uint8),
    "object_offsets": lambda batch: batch.object_offsets + 1,
    "read_offsets": lambda batch: batch.read_offsets[::-1].copy() - 5,
    "entry": lambda batch: Messages.of([b"run"]),
    "object_ids": lambda batch: np.zeros((3, 32), np.uint8),
}


@pytest.mark.parametrize("name", list(SPOILED))
@pytest.mark.parametrize("way", FEW_WAYS, ids=lambda way: way.name)
def test_a_malformed_batch_changes_nothing(way: Way, name: str):
    story = Story(8)
    calls = _calls(story)
    with opened(story.scenario(), way) as engine:
        before, batch = _position(engine), batch_of(calls)
        object.__setattr__(batch, name, SPOILED[name](batch))
        with pytest.raises(MalformedBatch, match=name.partition("_")[0]), way.pushed():
            engine.execute(batch)
        with pytest.raises(MalformedBatch, match=name.partition("_")[0]):
            list(engine.run([batch]))
        assert _position(engine) == before
        with way.pushed():
            assert engine.execute(batch_of(calls)).receipts.success.all()


@pytest.mark.parametrize("timestamp", [-1, 1 << 63])
def test_timestamps_out_of_range_are_refused(timestamp: int):
    story = Story(2)
    with opened(story.scenario()) as engine:
        before = _position(engine)
        with pytest.raises(ArgumentError, match="timestamp"):
            engine.execute(batch_of(_calls(story)), timestamp=timestamp)
        assert _position(engine) == before


def _private(story: Story) -> list[Tx]:
    paid = {"private": True, "gas_limit": GAS}
    good, bad, plain = {**paid, "proof": b"good"}, {**paid, "proof": b"bad"}, {}
    steps = []
    for n in range(90):
        who, fields = person(n % 9), (good, bad, plain)[n % 3]
        if n % 2:
            tx = story.transfer(who, person((n + 1) % 9), 5, gas_price=1, **fields)
        else:
            tx = story.call(who, program.add(n % 4, 1), gas_price=1, **fields)
        steps.append(tx)
    return steps


@pytest.mark.parametrize("says", ["nothing", "by proof", "always", "never"])
def test_private_transactions(says: str):
    """No verifier: none is accepted. A verifier decides for each; what it accepts runs as the public one does."""
    answers = {
        "by proof": lambda proof: proof == b"good",
        "always": lambda proof: True,
        "never": lambda proof: False,
    }
    asked: list[int] = []

    def verifier(batch: TransactionBatch) -> Any:
        assert batch.private.all()
        asked.append(len(batch))
        return np.array([answers[says](batch.proof[n]) for n in range(len(batch))], np.bool_)

    story = Story(9)
    story.block(_private(story))
    given: dict[str, Any] = {} if says == "nothing" else {"verifier": verifier}
    judge = {} if says == "nothing" else {"verifier": lambda tx: answers[says](tx.proof)}
    stats = run_all(story.scenario(), FEW_WAYS, judge=judge, **given)
    rejected = {block.rejected for blocks in stats.values() for block in blocks}
    assert rejected == ({0} if says == "always" else rejected)
    assert min(rejected) >= (0 if says == "always" else 30)
    assert asked == [] if says == "nothing" else set(asked) == {60}


def test_a_verifier_that_fails_changes_nothing():
    def verifier(batch: TransactionBatch) -> Any:
        raise RuntimeError("no proving key")

    story = Story(9)
    calls = _private(story)
    with opened(story.scenario(), SEQUENTIAL, verifier=verifier) as engine:
        before = _position(engine)
        for run in (lambda: engine.execute(batch_of(calls)), lambda: list(engine.run([batch_of(calls)]))):
            with pytest.raises(RuntimeError, match="proving key"):
                run()
        assert _position(engine) == before


@pytest.mark.parametrize("way", FEW_WAYS, ids=lambda way: way.name)
@pytest.mark.parametrize("depth", [1, 3])
def test_the_pipeline_gives_what_blocks_one_by_one_give(way: Way, depth: int):
    scenario = drawn_scenario(3, replace(SMALL, blocks=9))
    scenario = replace(scenario, blocks=[replace(block, timestamp=None) for block in scenario.blocks])
    expected = judged(scenario)
    batches = [batch_of(block.transactions) for block in scenario.blocks]
    with opened(scenario, way, queue_depth=depth) as engine, way.pushed():
        interned = [engine.intern(batches[0]), *batches[1:]]
        results = list(engine.run(iter(interned)))
        assert [receipts_of(result.receipts) for result in results] == expected.receipts
        assert [result.state_root for result in results] == expected.roots
        assert [result.timestamp for result in results] == expected.timestamps
        assert state_of(engine) == expected.states[-1]


@pytest.mark.parametrize("numbered", [False, True], ids=["plain", "interned"])
def test_contracts_that_come_while_a_pipeline_runs(numbered: bool):
    """A block calls what stands there when its turn comes, not when it was verified."""
    story = Story(4)
    scenario = replace(story.scenario(), contracts=[])
    blocks = [_calls(story, 20) for _ in range(6)]
    code, salt = story.contracts[0]
    with opened(scenario, SEQUENTIAL, queue_depth=8) as engine:
        # Rejected calls use up no nonce.
        batches = [batch_of(blocks[max(number - 2, 0)]) for number in range(6)]
        given = [engine.intern(batch) for batch in batches] if numbered else batches
        reasons = []
        for number, result in enumerate(engine.run(given)):
            reasons.append(set(result.receipts.reason.tolist()))
            if number == 1:
                time.sleep(0.2)  # the blocks behind have been verified by now
                engine.snapshot("before")
                engine.deploy(code, salt)
            if number == 4:
                time.sleep(0.2)
                engine.rollback("before")
        gone, there = {int(Reason.UNKNOWN_CONTRACT)}, {0}
        assert reasons == [gone, gone, there, there, there, gone]


class Stop(Exception):
    """Of a source of batches."""


def test_an_error_in_the_middle_of_a_pipeline_comes_in_its_place():
    """The blocks before it are part of the state, it and those behind it are not, and the engine goes on."""
    scenario = drawn_scenario(4, SMALL)
    scenario = replace(scenario, blocks=[replace(block, timestamp=None) for block in scenario.blocks])
    expected = judged(scenario)
    batches = [batch_of(block.transactions) for block in scenario.blocks]
    broken = batch_of(scenario.blocks[2].transactions)
    object.__setattr__(broken, "nonce", broken.nonce[:-1])

    def ends() -> Iterator[TransactionBatch]:
        yield from batches[:2]
        raise Stop

    with opened(scenario, speculation(2)) as engine:
        results = []
        with pytest.raises(MalformedBatch, match="nonce"):
            results.extend(engine.run([*batches[:1], broken, *batches[1:]]))
        assert engine.state_root == expected.roots[0]
        rest = engine.run(batches[1:])
        assert next(rest).state_root == expected.roots[1]
        rest.close()
        assert engine.state_root == expected.roots[1]
        with pytest.raises(Stop):
            list(engine.run(ends()))


def test_receipts_are_the_same_bytes_in_every_way():
    """Paths included, which depend on the block and the state alone."""
    scenario = drawn_scenario(9, replace(SMALL, transactions=90, declared=("no", "exact", "spoiled")))
    found: set[tuple[bytes, ...]] = set()
    for way in WAYS:
        with opened(scenario, way) as engine:
            results = [executed(engine, way, block) for block in scenario.blocks]
            found.add(tuple(result.receipts.to_bytes() for result in results))
    assert len(found) == 1


def test_an_adaptive_router_changes_paths_and_nothing_else():
    story = Story(60)
    for _ in range(5):
        story.block(
            [story.transfer(person(n % 60), person((7 * n) % 60), 1 + n, gas_price=n % 2) for n in range(150)]
            + [story.call(person(n), program.add(0, 1)) for n in range(20)]
        )
    ways = [replace(way, settings={**way.settings, "router": Router(every=20)}) for way in FEW_WAYS]
    run_all(story.scenario(), ways)


def test_snapshots_and_rollbacks_between_blocks():
    """Back to any block, and forward again by the same or by another way."""
    scenario = drawn_scenario(12, replace(SMALL, transactions=60))
    expected = judged(scenario)
    with opened(scenario, speculation(3)) as engine:
        engine.snapshot("genesis")
        for number, block in enumerate(scenario.blocks):
            executed(engine, speculation(3), block)
            engine.snapshot(f"block {number}")
        for number in (2, 0, 3, 1):
            assert engine.rollback(f"block {number}") == expected.roots[number]
            assert state_of(engine) == expected.states[number]
        engine.rollback("genesis")
        agree(engine, waves(2), expected)


def test_credits_and_objects_are_refused_as_a_whole():
    story = Story(2)
    with opened(story.scenario()) as engine:
        before = _position(engine)
        rich = np.full((2, 32), 255, np.uint8)
        address = np.frombuffer(person(0), np.uint8).reshape(1, 20)
        for refused in (
            lambda: engine.credit(np.tile(address, (2, 1)), rich),
            lambda: engine.credit(address, rich),
            lambda: engine.create_objects(np.zeros((2, 32), np.uint8), np.tile(address, (2, 1)), [0, 0]),
            lambda: engine.create_objects(np.zeros((1, 32), np.uint8), address, [3]),
            lambda: engine.preset(Messages.of([ACCOUNT + person(0)]), Messages.of([bytes(40)])),
            lambda: engine.deploy(b"\0asm", b""),
        ):
            with pytest.raises(ArgumentError):
                refused()
            assert _position(engine) == before
        # The same address twice in one credit.
        amounts = np.zeros((2, 32), np.uint8)
        amounts[:, -1] = 200
        engine.credit(np.tile(address, (2, 1)), amounts)
        assert engine.account(person(0)) == (0, RICH + 400)
        empty = engine.credit(np.zeros((0, 20), np.uint8), np.zeros((0, 32), np.uint8))
        assert empty == engine.state_root


def test_reasons_of_a_closed_door():
    """An engine of another chain takes nothing of this one's."""
    story = Story(4)
    calls = _calls(story)
    with opened(story.scenario(), SEQUENTIAL, chain_id=2) as engine:
        before = engine.state_root
        result = engine.execute(batch_of(calls))
        assert set(result.receipts.reason.tolist()) == {Reason.WRONG_CHAIN}
        assert (result.state_root, result.fees, result.stats.committed) == (before, 0, 0)
    assert EngineConfig().chain_id == 1
