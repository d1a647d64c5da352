# SPDX-License-Identifier: GPL-3.0-or-later
"""The anomalies by name: what parallel execution, left to itself, gets wrong. Each must end as the judge says."""

from __future__ import annotations

from dataclasses import replace

import program_contract as program
import pytest
from engine_adapter import Engines, run_all, speculation
from judge import Reason, Tx
from judge.rules import IMMUTABLE, OWNED, SHARED, intrinsic_gas
from stories import RICH, Story, person, thing

CROWD = 90
"""Senders: enough that every worker has something ahead of what is committed."""


def _storage(story: Story, state: dict[bytes, bytes], key: int) -> int:
    return int.from_bytes(state.get(story.key(key), b""), "little")


def test_lost_update(engines: Engines):
    """Everybody adds one to the same number, some in a hurry and some slowly."""
    story = Story(CROWD)
    bodies = [program.spin(700 * (n % 3)) + program.add(0, 1) for n in range(CROWD)]
    story.block([story.call(who, body) for who, body in zip(story.people, bodies, strict=True)])
    engines.run_all(story.scenario())
    assert _storage(story, engines.last.states[0], 0) == CROWD


def test_write_skew(engines: Engines):
    """Each clears one number if the other is still set: never both, whoever comes first."""
    story = Story(CROWD)
    story.block([story.call(person(0), b"".join(program.set_number(key, 1) for key in range(2 * CROWD)))])
    calls = []
    for n, who in enumerate(story.people):
        here, there = n - n % 2, n - n % 2 + 1
        pair = (here, there) if n % 2 else (there, here)
        calls.append(
            story.call(
                who, program.spin(300 * (n % 4)) + program.if_odd(pair[0], program.set_number(pair[1], 0))
            )
        )
    story.block(calls)
    engines.run_all(story.scenario())
    state = engines.last.states[1]
    for n in range(0, CROWD, 2):
        assert _storage(story, state, n) + _storage(story, state, n + 1) == 1


def test_torn_read_within_a_block(engines: Engines):
    """Two numbers that always change together are read together by everybody in between."""
    story = Story(CROWD)
    both = program.add(0, 1) + program.spin(200) + program.add(1, 1)
    look = program.get(0) + program.put(10) + program.get(1) + program.put(11) + program.output()
    story.block([story.call(who, both if n % 2 else look) for n, who in enumerate(story.people)])
    engines.run_all(story.scenario())
    state = engines.last.states[0]
    assert _storage(story, state, 10) == _storage(story, state, 11) == CROWD // 2 - 1 + CROWD % 2


def test_phantom(engines: Engines):
    """Keys that are absent, come into being, and go again, all within a block."""
    story = Story(CROWD)
    deeds = [
        program.has(0) + program.output(),
        program.set_number(0, 7),
        program.has(0) + program.put(1),
        program.delete(0),
        program.get(0) + program.put(2),
        program.copy(0, 3),
        program.fill(0, 200),
        program.copy(0, 4),
        program.hash_value(0) + program.output(),
    ]
    for _ in range(2):
        story.block([story.call(who, deeds[n % len(deeds)]) for n, who in enumerate(story.people)])
    story.block(
        [story.call(story.people[0], program.delete(0)), story.call(story.people[1], program.delete(9))]
    )
    engines.run_all(story.scenario())
    assert story.key(0) not in engines.last.states[2]


def test_a_value_that_is_there_for_the_length_of_a_block(engines: Engines):
    """Made and deleted in one block, by one transaction or by two: the state keeps nothing of it."""
    story = Story(CROWD)
    made_and_gone = program.set_number(5, 1) + program.delete(5)
    story.block([story.call(person(0), made_and_gone), story.call(person(1), program.set_number(6, 1))])
    story.block([story.call(who, program.set_number(n, 1)) for n, who in enumerate(story.people)])
    story.block([story.call(who, program.delete(n)) for n, who in enumerate(story.people)])
    engines.run_all(story.scenario())
    assert engines.last.states[0].keys() - engines.last.states[2].keys() == {story.key(6)}


def test_two_senders_pay_one_receiver(engines: Engines):
    story = Story(CROWD)
    receiver = b"\xcc" * 20
    pays = [story.transfer(who, receiver, 1 + n, gas_price=n % 2) for n, who in enumerate(story.people)]
    story.block([*pays, story.transfer(receiver, person(0), 50)])
    seen = program.balance(receiver) + program.output()
    pays = [story.transfer(who, receiver, 1) for who in story.people]
    calls = [story.call(who, seen) for who in story.people]
    story.block([tx for pair in zip(pays, calls, strict=True) for tx in pair])
    stats = engines.run_all(story.scenario())
    assert all(blocks[0].fast == len(pays) + 1 and blocks[1].fast == 0 for blocks in stats.values())
    outputs = [int.from_bytes(r.output, "little") for r in engines.last.receipts[1][1::2]]
    assert outputs == [outputs[0] + n for n in range(CROWD)]


def test_a_received_object_is_sent_on_in_the_same_block(engines: Engines):
    story = Story(
        CROWD, [(OWNED, person(0)), (OWNED, person(1)), (SHARED, person(0)), (IMMUTABLE, person(0))]
    )
    first = story.transfer(person(1), person(0), objects=[thing(1)])
    ring = [
        story.transfer(who, person((n + 1) % CROWD), n, objects=[thing(0)])
        for n, who in enumerate(story.people)
    ]
    back = [story.transfer(person(0), person(5), objects=[thing(0), thing(0), thing(1)])]
    later = [story.transfer(person(0), person(5), objects=[thing(0)], gas_price=2)]
    none = [story.transfer(person(0), person(5), 9, objects=[thing(n)]) for n in (2, 3, 4)]
    story.block([first, *ring, *back, *later, *none])
    # Nobody else lists it: the owner may send it on the fast path, and then not a second time.
    story.block([story.transfer(person(5), person(2), 3, objects=[thing(1)]) for _ in range(2)])
    stats = engines.run_all(story.scenario())
    reasons = [receipt.reason for receipt in engines.last.receipts[0]]
    assert reasons == [0] * (CROWD + 2) + [Reason.OBJECT_NOT_OWNED] * 4
    assert [r.reason for r in engines.last.receipts[1]] == [0, Reason.OBJECT_NOT_OWNED]
    assert all(blocks[1].fast == 2 for blocks in stats.values())


def test_failures_in_the_middle_leave_nothing(engines: Engines):
    """Half of all calls write, pay, emit and then fail; the others see none of it."""
    story = Story(CROWD)
    story.block([story.transfer(who, story.program, 1_000) for who in story.people])
    work = (
        program.add(0, 1)
        + program.fill(1, 300)
        + program.delete(2)
        + program.event(b"happened")
        + program.transfer(person(3), 5)
        + program.get(0)
        + program.output()
    )
    ends = [b"", program.fail(), b"", program.trap(), b"", b"\xff"]
    for price in (0, 3):
        story.block(
            [
                story.call(who, work + ends[n % len(ends)], value=n, gas_price=price)
                for n, who in enumerate(story.people)
            ]
        )
    stats = engines.run_all(story.scenario())
    assert all(block.failed == CROWD // 2 for blocks in stats.values() for block in blocks[1:])
    assert _storage(story, engines.last.states[2], 0) == CROWD


def test_gas_ends_at_every_place(engines: Engines):
    """One call, ever less gas: it ends wherever gas can end, and nothing stays but the fee."""
    story = Story(CROWD)
    body = program.add(0, 1) + program.event(b"e") + program.transfer(person(3), 1) + program.output()
    least = intrinsic_gas(program.ENTRY, body)
    story.block([story.transfer(person(0), story.program, 10_000)])
    for first in range(0, 4_200, 47 * CROWD):
        story.block(
            [
                story.call(who, body, gas_limit=least + first + 47 * n, gas_price=2, value=n % 2)
                for n, who in enumerate(story.people)
            ]
        )
    engines.run_all(story.scenario())
    reasons = [receipt.reason for receipt in engines.last.receipts[1]]
    assert {Reason.NONE, Reason.OUT_OF_GAS} == set(reasons)


def test_poverty_depends_on_order(engines: Engines):
    """Whether a transfer can be paid is known only when its predecessors have been executed."""
    story, pauper = Story(CROWD), b"\xcc" * 20
    steps = []
    for n in range(CROWD):
        steps.append(story.transfer(person(n), pauper, 10))
        spends = replace(story.transfer(pauper, person(n), 15, gas_limit=1_000), nonce=n // 2)
        steps.append(spends)
    story.block(steps)
    story.block([*(story.call(who, program.add(0, 1)) for who in story.people), *steps[:4]])
    engines.run_all(story.scenario())
    reasons = {receipt.reason for receipt in engines.last.receipts[0]}
    assert {Reason.NONE, Reason.INSUFFICIENT_BALANCE} <= reasons


def test_nonces_of_one_sender_are_serial(engines: Engines):
    """Right ones, repeated ones, ones ahead: only block order decides."""
    story = Story(4)
    first = [story.call(person(n % 2), program.add(n % 3, 1)) for n in range(60)]
    wrong = [replace(tx, nonce=tx.nonce + (n % 3) - 1) for n, tx in enumerate(first) if n % 2]
    mixed = [tx for pair in zip(first, wrong * 2, strict=True) for tx in pair]
    story.block(mixed)
    engines.run_all(story.scenario())
    reasons = [receipt.reason for receipt in engines.last.receipts[0]]
    assert 20 < reasons.count(Reason.BAD_NONCE) < 100


def test_reads_that_choose_what_is_read_next(engines: Engines):
    """Keys that depend on values: an execution ahead may touch other keys than the one that counts."""
    story = Story(CROWD)
    bodies = [
        program.add(0, 1) + program.add_at(0, 7, 1) + program.get_at(0, 5) + program.put(200 + n % 5)
        for n in range(CROWD)
    ]
    for _ in range(2):
        story.block([story.call(who, body) for who, body in zip(story.people, bodies, strict=True)])
    engines.run_all(story.scenario())


@pytest.mark.parametrize("threads", [2, 4])
def test_what_is_executed_ahead_stays_ahead(threads: int):
    """The receipts of a block that was executed again for most of its transactions say what counted, not what was tried."""
    story = Story(2)
    story.block(
        [
            story.call(person(n % 2), program.add(0, 1) + program.output() + program.event(bytes([n])))
            for n in range(200)
        ]
    )
    (block,) = run_all(story.scenario(), [speculation(threads)])[f"speculation on {threads}"]
    assert block.repeated > 0


def test_credits_of_nothing_and_contracts_twice():
    """Commits that change nothing are commits."""
    story = Story(2)
    scenario = story.scenario()
    scenario = replace(
        scenario,
        credits=[*scenario.credits, (b"\xdd" * 20, 0), (person(0), 0)],
        contracts=[*scenario.contracts, *scenario.contracts],
    )
    story.block(
        [Tx(person(0), 0, b"\xdd" * 20), Tx(person(0), 1, b"\xdd" * 20, 5), Tx(b"\xdd" * 20, 0, person(1), 5)]
    )
    run_all(scenario)


def test_the_richest_there_can_be(engines: Engines):
    """Values and prices at the edge of 2^256."""
    story = Story(2)
    rich = b"\xee" * 20
    all_there_is = 2**256 - 1 - 2 * RICH
    scenario = replace(story.scenario(), credits=[*story.scenario().credits, (rich, all_there_is)])
    price = 2**64 - 1
    left = all_there_is - 1_000 * price
    story.block(
        [
            story.transfer(rich, person(0), left + 1, gas_limit=1_000, gas_price=price),
            replace(story.transfer(rich, person(0), left, gas_limit=1_000, gas_price=price), nonce=0),
            Tx(person(0), 0, rich, left, gas_limit=1_000),
            Tx(person(1), 0, rich, 2**256 - 1, gas_limit=10**9, gas_price=price),
        ]
    )
    engines.run_all(scenario)
    reasons = [receipt.reason for receipt in engines.last.receipts[0]]
    assert reasons == [Reason.INSUFFICIENT_BALANCE, 0, 0, Reason.INSUFFICIENT_BALANCE]


def test_the_largest_transaction_and_one_byte_more(engines: Engines):
    """121 bytes of an unsigned transfer's encoding are not input."""
    story = Story(4)
    for size in (2**20 - 121, 2**20 - 120):
        fields = {"input": bytes(size), "gas_limit": 10**7}
        story.block([story.transfer(person(n), person(n + 1), 1, **fields) for n in range(3)])
    engines.run_all(story.scenario())
    reasons = [receipt.reason for block in engines.last.receipts for receipt in block][-6:]
    assert reasons == [Reason.NONE] * 3 + [Reason.TOO_LARGE] * 3
