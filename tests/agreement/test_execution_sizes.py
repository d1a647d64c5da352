# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks and transactions at their limits, and larger than every buffer is at first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import program_contract as program
import pytest
from block_transactions import KINDS
from blocks import Shape, begin, drawn_scenario
from contracts_for_tests import compiled, host_call, imports
from engine_adapter import (
    FEW_WAYS,
    SEQUENTIAL,
    Engines,
    Way,
    executed,
    opened,
    run_all,
    speculation,
    waves,
)
from judge import Reason, Tx
from judge.rules import OWNED
from stories import Story, person, thing

from supervm.engine.execution import executor
from supervm.engine.execution.executor import BlockExecutor
from supervm.engine.state import store
from supervm.kernels.cpu.state import access_set
from supervm.vm import worker
from supervm.vm.worker import Worker

MUCH = 30_000_000


def _sizes() -> bytes:
    """Entry points that store, copy, tell and return as many bytes as the input says: key (1 byte), size (4)."""
    argument = f"""(drop {host_call("input_read", 0, 0, 5)})
        (local.set $n (i32.load offset=1 (i32.const 0)))"""
    return compiled(f"""(module {imports()} (memory (export "memory") 3 3)
        (func (export "store") (result i32) (local $n i32) {argument}
          (memory.fill (i32.const 16) (i32.load8_u (i32.const 0)) (local.get $n))
          (call $storage_set (i32.const 0) (i32.const 1) (i32.const 16) (local.get $n)))
        (func (export "hand_on") (result i32) (local $n i32) {argument}
          (drop (call $storage_get (i32.const 0) (i32.const 1)))
          (local.set $n (call $storage_read_value (i32.const 16) (i32.const 65536)))
          (i32.store8 (i32.const 0) (i32.add (i32.load8_u (i32.const 0)) (i32.const 1)))
          (drop (call $storage_set (i32.const 0) (i32.const 1) (i32.const 16) (local.get $n)))
          (local.get $n))
        (func (export "tell") (result i32) (local $n i32) {argument}
          (loop $next
            (drop (call $emit_event (i32.const 16) (local.get $n)))
            (br_if $next (i32.le_u (i32.mul (local.get $n) (i32.add (call $events_len) (i32.const 1)))
              (i32.const 65536))))
          (call $events_len))
        (func (export "give") (result i32) (local $n i32) {argument}
          (memory.fill (i32.const 16) (i32.load8_u (i32.const 0)) (local.get $n))
          (call $set_output (i32.const 16) (local.get $n))))""")


def _argument(key: int, size: int) -> bytes:
    return bytes([key]) + size.to_bytes(4, "little")


class Needs:
    """Notes what was full."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self._make_room = BlockExecutor._make_room

    def note(self, executor: BlockExecutor, worker: Worker) -> None:
        self.seen.add(int(worker.words[access_set.NEEDS]))
        self._make_room(executor, worker)


@pytest.fixture
def needs(monkeypatch: pytest.MonkeyPatch) -> Needs:
    """Buffers hold next to nothing at first, so that everything is full all the time."""
    tiny = {need: (*row[:3], 1) for need, row in worker._BUFFERS.items()}
    monkeypatch.setattr(worker, "_BUFFERS", tiny)
    monkeypatch.setattr(executor, "SEGMENT_ENTRIES", 2)
    monkeypatch.setattr(executor, "SEGMENT_VALUES", 64)
    monkeypatch.setattr(store, "_CELLS", 1)
    noted = Needs()
    monkeypatch.setattr(BlockExecutor, "_make_room", lambda itself, one: noted.note(itself, one))
    return noted


def _known(who: bytes, *keys: bytes) -> dict[str, object]:
    account = b"\x00" + who
    return {"declared": True, "reads": [account], "writes": [account, *keys], "gas_limit": MUCH}


def _growing(story: Story) -> None:
    """Blocks that fill everything: keys and entries, written keys, values, events and outputs, cells, versions."""
    (sizes,) = story.others

    def of_sizes(number: int, entry: bytes, key: int, size: int) -> Tx:
        keys = (b"\x01" + sizes + bytes([key]), b"\x01" + sizes + bytes([key + 1]))
        return story.enter(
            person(number), sizes, entry, _argument(key, size), **_known(person(number), *keys)
        )

    pays = [story.transfer(person(n), b"\xcd" + n.to_bytes(19, "big"), 5) for n in range(40)]
    calls = [
        story.call(person(n), program.add(n, 1), **_known(person(n), story.key(n))) for n in range(40, 90)
    ]
    story.block([*pays, *calls])
    count = (1_500).to_bytes(4, "little")
    many = story.deed(person(90), "write_keys", count, gas_limit=MUCH)
    story.block(
        [*(replace(tx, nonce=1) for tx in calls[:25]), many, *(replace(tx, nonce=1) for tx in calls[25:])]
    )
    for person_ in story.people[40:90]:
        story.skip(person_)
    for entry, size in ((b"store", 65_536), (b"hand_on", 0), (b"tell", 9_000), (b"give", 65_536)):
        story.block([of_sizes(n, entry, 3 * n, max(size - 700 * n, 0)) for n in range(30)])
    # One long value after the other under the same keys: what a block writes again is listed.
    story.block(
        [
            story.call(
                person(n % 100), program.fill(n % 20, 60 + n), **_known(person(n % 100), story.key(n % 20))
            )
            for n in range(120)
        ]
    )


FULL = {
    access_set.NEEDS_KEYS,
    access_set.NEEDS_CELLS,
    access_set.NEEDS_DIRTY,
    access_set.NEEDS_ENTRIES,
    access_set.NEEDS_VALUES,
    access_set.NEEDS_EVENTS,
    access_set.NEEDS_AGAIN,
}


@pytest.mark.parametrize(
    "way", [SEQUENTIAL, speculation(2), speculation(4), waves(2), waves(3)], ids=lambda way: way.name
)
def test_every_buffer_grows(needs: Needs, way: Way):
    """Each of them was full at least once, and the results are the judge's."""
    story = Story(100, others=[_sizes()])
    _growing(story)
    stats = run_all(story.scenario(), [way])[way.name]
    assert needs.seen >= FULL
    if way.name.startswith("waves"):
        assert sum(block.way == "waves" for block in stats) >= 5


@pytest.mark.parametrize("way", [SEQUENTIAL, speculation(3), waves(2)], ids=lambda way: way.name)
def test_scenarios_in_no_room(needs: Needs, way: Way):
    shape = Shape(
        transactions=60, accounts=20, objects=12, kinds=tuple(KINDS), declared=("exact",), chain_id=1
    )
    for seed in range(3):
        run_all(drawn_scenario(seed, shape), [way])
    assert len(needs.seen) > 4


@pytest.mark.parametrize("threads", [2, 3, 4])
def test_want_of_room_is_no_conflict(needs: Needs, threads: int):
    """Transactions of strangers run ahead once, however often something is full, and block order is never cheaper."""
    story = Story(900)
    story.block(
        [story.transfer(person(n), b"\xcd" + n.to_bytes(19, "big"), 5) for n in range(0, 900, 2)]
        + [story.call(person(n), program.fill(n % 250, 40 + n)) for n in range(1, 500, 2)]
    )
    way = Way(f"auto on {threads}", {"threads": threads, "schedule": "speculation"}, sharing=True)
    (block,) = run_all(story.scenario(), [way])[way.name]
    assert (block.way, block.repeated, block.turned) == ("speculation", 0, False)
    assert needs.seen >= {access_set.NEEDS_CELLS, access_set.NEEDS_ENTRIES, access_set.NEEDS_VALUES}


@pytest.fixture(scope="module")
def few() -> Iterator[Engines]:
    made = Engines(FEW_WAYS[2:])
    yield made
    made.close()


@pytest.mark.parametrize("name", ["write_keys", "read_keys", "has_keys"])
def test_the_last_key_that_a_transaction_may_touch(few: Engines, name: str):
    story = Story(3)
    story.block(
        [
            story.deed(person(n), name, count.to_bytes(4, "little"), gas_limit=MUCH, value=value)
            for n, (count, value) in enumerate([(16_383, 0), (16_383, 1), (16_382, 1)])
        ]
    )
    few.run_all(story.scenario())
    reasons = [receipt.reason for receipt in few.last.receipts[0]]
    assert reasons == [0, Reason.LIMIT_EXCEEDED, 0]


def test_transfers_of_more_objects_than_a_transaction_may_touch():
    """Objects of one owner; the receiver's account counts if it is paid."""
    story = Story(2, [(OWNED, person(0))])
    ids = [b"\x0d" * 28 + n.to_bytes(4, "big") for n in range(16_384)]
    limits: dict[str, int] = {"gas_limit": 10**7, "gas_price": 1}
    story.block(
        [
            story.transfer(person(0), person(1), objects=ids, **limits),
            story.transfer(person(0), person(1), 1, objects=ids[:16_383], **limits),
            story.transfer(person(0), person(1), objects=[*ids[:16_383], *ids[:9]], **limits),
            story.transfer(person(1), person(0), 1, objects=ids[:16_382], **limits),
            story.transfer(person(0), person(1), objects=[*ids[:5_000], thing(0)], **limits),
        ]
    )
    scenario = story.scenario()
    judge = begin(scenario)
    judge.state.update({b"\x03" + id: b"\x00" + person(0) for id in ids})
    receipts = judge.execute(scenario.blocks[0].transactions)
    limit = Reason.LIMIT_EXCEEDED
    assert [receipt.reason for receipt in receipts] == [limit, limit, 0, 0, 0]
    rows = np.frombuffer(b"".join(ids), np.uint8).reshape(-1, 32)
    owners = np.tile(np.frombuffer(person(0), np.uint8), (len(ids), 1))
    for way in FEW_WAYS:
        with opened(scenario, way) as engine:
            engine.create_objects(rows, owners, np.zeros(len(ids), np.uint8))
            result = executed(engine, way, scenario.blocks[0])
            assert result.receipts.reason.tolist() == [limit, limit, 0, 0, 0]
            assert result.state_root == judge.root(), way.name


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 63, 64, 65, 544, 1_100])
def test_blocks_of_every_size(engines: Engines, count: int):
    """Around the chunks and windows that workers take, and none at all."""
    story = Story(60)
    story.block([story.call(person(n % 60), program.add(n % 50, 1)) for n in range(count)])
    story.block([story.transfer(person(n % 60), person(n % 7), 1) for n in range(count)])
    engines.run_all(story.scenario())
