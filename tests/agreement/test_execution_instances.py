# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances are used for many calls, and no call can tell: what one leaves behind, another never sees."""

from __future__ import annotations

from dataclasses import replace

import program_contract as program
import pytest
from contracts_for_tests import MISDEEDS, OBSERVERS, compiled, misbehaving
from engine_adapter import WAYS, Engines, run_all, speculation
from judge import Reason, Tx
from judge.model import contract_address
from leaky_contract import ENDS, leaky
from stories import Story, person

from supervm.vm.validation import inspect

PEOPLE = 40
FEW = (4).to_bytes(4, "little")


@pytest.mark.parametrize("by_number", [False, True], ids=["by name", "by number"])
def test_every_misdeed_ends_as_the_judge_says(engines: Engines, by_number: bool):
    story = Story(PEOPLE)
    story.block(
        [
            story.deed(person(n % PEOPLE), name, FEW, by_number, value=n % 3, gas_price=2)
            for n, name in enumerate(MISDEEDS)
        ]
    )
    engines.run_all(story.scenario())
    reasons = {receipt.reason for receipt in engines.last.receipts[0]}
    assert len(reasons) > 12


def test_every_misdeed_short_of_gas(engines: Engines):
    """A little more than the instance costs, so that host functions run out where they charge; and a little less."""
    story = Story(PEOPLE)
    info = inspect(misbehaving())
    instance = info.restore_gas + info.new_instance_gas(info.memory_initial)
    for gas in (1_400, instance + 900, instance + 1_400, instance + 1_600, instance + 2_000):
        story.block(
            [
                story.deed(person(n % PEOPLE), name, FEW, gas_limit=gas, gas_price=1)
                for n, name in enumerate(MISDEEDS)
            ]
        )
    engines.run_all(story.scenario())
    reasons = [receipt.reason for receipts in engines.last.receipts for receipt in receipts]
    assert reasons.count(Reason.OUT_OF_GAS) > 30


def test_observers_see_nothing(engines: Engines):
    """Deed and observer in turn, by many senders: on the same worker and on others, in the next block too."""
    story = Story(PEOPLE)
    turns = [
        name for observer, (_, deed, trap) in OBSERVERS.items() for name in (deed, observer, trap, observer)
    ]
    for shift in (0, 1):
        order = [turns[(n + shift) % len(turns)] for n in range(5 * len(turns))]
        story.block([story.deed(person(n % PEOPLE), name) for n, name in enumerate(order)])
    engines.run_all(story.scenario())
    for block, receipts in zip(engines.last.scenario.blocks, engines.last.receipts, strict=True):
        for tx, receipt in zip(block.transactions, receipts, strict=True):
            if tx.entry.decode() in OBSERVERS:
                assert (receipt.success, receipt.return_value) == (True, 0)


NEW_FOR_EACH_CALL = compiled("""(module (memory (export "memory") 1 256) (table 9 9 funcref)
    (func $f) (elem $p func $f $f $f) (elem func $f) (elem declare func $f) (data "abc") (global $g (mut i32) (i32.const 1))
    (func (export "init") (result i32) (table.init $p (i32.const 0) (i32.const 0) (i32.const 3)) (i32.const 0))
    (func (export "drop") (result i32) (global.set $g (i32.const 7)) (elem.drop $p) (data.drop 0) (i32.const 0))
    (func (export "grow") (result i32) (memory.grow (i32.const 3)))
    (func (export "grow_far") (result i32) (drop (memory.grow (i32.const 200))) (memory.size))
    (func (export "code") (result i32) (i32.const -77)))""")
GROWING = compiled("""(module (memory (export "memory") 2 256)
    (func (export "grow") (result i32) (memory.grow (i32.const 3)))
    (func (export "grow_far") (result i32) (drop (memory.grow (i32.const 200))) (memory.size))
    (func (export "nothing") (result i32) (memory.grow (i32.const 0))))""")


def test_what_instances_cost_at_every_limit(engines: Engines):
    """Limits around each price: of the instance, of a little growth, and of much that is paid for or comes to nothing."""
    story = Story(PEOPLE, others=[NEW_FOR_EACH_CALL, GROWING])
    one, two = story.others
    entries = [(one, name) for name in (b"init", b"drop", b"grow", b"grow_far", b"code")]
    entries += [(two, name) for name in (b"grow", b"grow_far", b"nothing")]
    limits = (1_100, 5_000, 20_000, 21_200, 33_768, 50_000, 66_536, 66_600, 90_000, 86_000, 3_400_000, 10**7)
    for limit in limits:
        story.block(
            [
                story.enter(person(n % PEOPLE), contract, entry, gas_limit=limit, gas_price=1)
                for n, (contract, entry) in enumerate(entries * 2)
            ]
        )
    engines.run_all(story.scenario())
    receipts = [receipt for block in engines.last.receipts for receipt in block]
    assert {receipt.reason for receipt in receipts} == {0, Reason.OUT_OF_GAS, Reason.CONTRACT_ERROR}
    assert {receipt.return_value for receipt in receipts if receipt.reason == Reason.CONTRACT_ERROR} == {
        -77,
        -1,
    }


CONTRACTS = {
    "put back": leaky(),
    "two pages": leaky(2),
    "grows": leaky(grows=True),
    "large": leaky(4),
    "large and grows": leaky(4, grows=True),
}


@pytest.mark.parametrize("name", list(CONTRACTS))
def test_what_a_call_leaves_is_put_back(engines: Engines, name: str):
    """Globals of every type, memory to its last byte and its size, the depth of calls: whatever the call's end was."""
    story = Story(PEOPLE, others=[CONTRACTS[name]])
    (contract,) = story.others
    entries = [entry for end in ENDS for entry in (end, "look", end, "deep", "look")]
    for shift in (0, 2):
        story.block(
            [
                story.enter(person(n % PEOPLE), contract, entries[(n + shift) % len(entries)].encode())
                for n in range(100)
            ]
        )
    engines.run_all(story.scenario())
    looks, deeps = set(), set()
    for block, receipts in zip(engines.last.scenario.blocks, engines.last.receipts, strict=True):
        for tx, receipt in zip(block.transactions, receipts, strict=True):
            if tx.entry == b"look":
                looks.add((receipt.success, receipt.output))
            if tx.entry == b"deep":
                deeps.add((receipt.success, receipt.return_value))
    assert deeps == {(True, 1_022)}
    assert len(looks) == 1
    assert b"as it was" in next(iter(looks))[1]


def test_instances_survive_blocks_and_rollbacks_of_other_contracts():
    """Contracts deployed one after the other, called among each other, some of them called while they are gone."""
    story = Story(PEOPLE, others=list(CONTRACTS.values()))
    entries = [b"dirty", b"look", b"dirty_then_trap", b"look"]
    for shift in range(3):
        story.block(
            [
                story.enter(person(n % PEOPLE), story.others[(n // 4 + shift) % 5], entries[n % 4])
                for n in range(100)
            ]
        )
    scenario = story.scenario()
    fewer = replace(scenario, contracts=scenario.contracts[:3])
    ways = [way for way in WAYS if way.eager]
    shared = Engines(ways)
    try:
        for one in (scenario, fewer, scenario):
            shared.run_all(one)
        run_all(scenario, ways, instances=2)
    finally:
        shared.close()
    assert {r.reason for receipts in shared.last.receipts for r in receipts} == {0, Reason.UNREACHABLE}


def test_the_same_code_at_two_addresses_has_two_states(engines: Engines):
    story = Story(4)
    scenario = story.scenario()
    code, _ = scenario.contracts[0]
    scenario = replace(scenario, contracts=[(code, bytes([n]) * 32) for n in range(3)])
    places = [contract_address(code, salt) for code, salt in scenario.contracts]
    story.block(
        [
            story.call(person(n % 4), program.add(0, n) + program.about(), to=places[n % 3], value=n)
            for n in range(60)
        ]
    )
    engines.run_all(scenario)
    values = {engines.last.states[0][b"\x01" + place + b"\x00"] for place in places}
    assert len(values) == 3


def test_traps_in_calls_that_are_executed_ahead():
    """What is executed on old values may trap, loop or fail where the real one does not."""
    story = Story(PEOPLE)
    guarded = program.if_odd(0, program.trap()) + program.add(0, 2) + program.if_odd(1, program.fail())
    steps: list[Tx] = []
    for n in range(60):
        steps.append(story.call(person(n % PEOPLE), program.add(0, 1) + program.spin(500)))
        steps.append(story.call(person((n + 1) % PEOPLE), guarded))
        steps.append(story.call(person((n + 2) % PEOPLE), program.add(n % 3, 1)))
    story.block(steps)
    run_all(story.scenario(), [speculation(threads) for threads in (2, 3, 4)])
