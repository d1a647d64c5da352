# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole scenarios: money is conserved, nonces count what was accepted, nothing is by chance, declarations are exact."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from block_transactions import KINDS
from blocks import SHAPES, Scenario, Shape, begin, drawn_scenario, replay, scenarios
from hypothesis import HealthCheck, given, settings
from judge import Judge, Reason, Tx
from judge.rules import ACCOUNT, MOST_MONEY

RARE = {
    Reason.MALFORMED_SIGNATURE,
    Reason.BAD_SIGNATURE,
    Reason.WRONG_SENDER,
    Reason.BAD_PROOF,
    Reason.MALFORMED_PROOF,
    Reason.TOO_LARGE,
    Reason.OTHER_TRAP,
}


def _check(scenario: Scenario) -> None:
    judge = begin(scenario)
    money = sum(amount for _, amount in scenario.credits)
    senders = {tx.sender for block in scenario.blocks for tx in block.transactions}
    for block in scenario.blocks:
        nonces = {sender: judge.account(sender)[0] for sender in senders}
        receipts = judge.execute(block.transactions, block.timestamp)
        assert judge.money() == money
        accepted = Counter(
            tx.sender for tx, r in zip(block.transactions, receipts, strict=True) if r.accepted
        )
        assert {sender: nonces[sender] + accepted[sender] for sender in senders} == {
            sender: judge.account(sender)[0] for sender in senders
        }
        for tx, receipt in zip(block.transactions, receipts, strict=True):
            assert receipt.success == (receipt.reason == Reason.NONE)
            assert receipt.accepted == (receipt.reason == Reason.NONE or receipt.reason >= Reason.OUT_OF_GAS)
            assert receipt.gas <= tx.gas_limit
            assert receipt.success or not (receipt.output or receipt.events)
            assert receipt.success or (receipt.return_value < 0) == (receipt.reason == Reason.CONTRACT_ERROR)
            assert receipt.success or receipt.return_value <= 0
    assert not [key for key, value in judge.state.items() if key[:1] == ACCOUNT and not any(value)]


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(scenarios())
def test_money_and_nonces(scenario: Scenario):
    _check(scenario)


@pytest.mark.parametrize("name", list(SHAPES))
def test_money_and_nonces_in_larger_scenarios(name: str):
    _check(drawn_scenario(3, replace(SHAPES[name], transactions=40)))


@pytest.mark.parametrize("name", list(SHAPES))
def test_the_same_seed_gives_the_same_and_declarations_change_nothing(name: str):
    scenario = drawn_scenario(5, SHAPES[name])
    assert scenario == drawn_scenario(5, SHAPES[name])
    bare = replace(
        scenario,
        blocks=[
            replace(
                b, transactions=[replace(tx, declared=False, reads=[], writes=[]) for tx in b.transactions]
            )
            for b in scenario.blocks
        ],
    )
    one, other = replay(scenario), replay(bare)
    assert one.receipts == other.receipts
    assert one.roots == other.roots
    assert one.judge.state == other.judge.state


@pytest.mark.parametrize("name", list(SHAPES))
def test_exact_declarations_are_what_is_touched(name: str):
    scenario = drawn_scenario(6, replace(SHAPES[name], declared=["exact"]))
    logged = replay(scenario, log_access=True)
    for block, receipts in zip(scenario.blocks, logged.receipts, strict=True):
        for tx, receipt in zip(block.transactions, receipts, strict=True):
            assert (tx.reads, tx.writes) == (receipt.reads, receipt.writes)
            assert not tx.writes or ACCOUNT + tx.sender in tx.writes


@pytest.mark.parametrize("name", ["everything", "programs", "objects"])
def test_a_transaction_depends_on_what_it_read_and_changes_what_it_wrote(name: str):
    """Each transaction again, on a state that has only the keys that its receipt names."""
    scenario = drawn_scenario(8, SHAPES[name])
    judge = begin(scenario, log_access=True)
    for block in scenario.blocks:
        judge.timestamp = block.timestamp or judge.timestamp + 1
        for tx in block.transactions:
            before, alone = dict(judge.state), judge.copy()
            receipt = judge._transaction(tx)
            alone.state = {key: before[key] for key in receipt.reads if key in before}
            assert alone._transaction(tx) == receipt
            changed = {key for key in before | judge.state if before.get(key) != judge.state.get(key)}
            assert changed <= set(receipt.writes)
            assert all(alone.state.get(key) == judge.state.get(key) for key in receipt.writes)


def test_contention_is_what_the_shape_says():
    for name, shared in (("no contention", False), ("total contention", True)):
        scenario = drawn_scenario(1, replace(SHAPES[name], transactions=30, declared=["exact"]))
        for block in scenario.blocks:
            keys = [key for tx in block.transactions for key in tx.writes if key[:1] == b"\x01"]
            assert len(keys) == 30
            assert len(set(keys)) == (1 if shared else 30)


def test_every_reason_comes_up():
    seen: Counter[int] = Counter()
    shape = Shape(blocks=1, transactions=150, kinds=(*KINDS, *["misdeed_call"] * 5))
    for seed in range(12):
        for receipts in replay(drawn_scenario(seed, shape)).receipts:
            seen.update(receipt.reason for receipt in receipts)
    assert {Reason(reason) for reason in seen} == set(Reason) - RARE
    assert seen[Reason.NONE] > sum(seen.values()) // 3


def test_a_block_may_be_cut_anywhere_but_for_fees_and_numbers():
    scenario = drawn_scenario(2, SHAPES["objects"])
    whole, pieces = replay(scenario), begin(scenario)
    for block in scenario.blocks:
        for tx in block.transactions:
            pieces.execute([tx])
    assert whole.judge.state == pieces.state
    assert whole.judge.height < pieces.height


def test_fees_arrive_after_the_last_transaction():
    collector, poor = b"\xfe" * 20, b"\x01" * 20
    judge = Judge(fee_collector=collector)
    judge.credit(poor, 10_000)
    first, second = (
        Tx(poor, 0, poor, gas_price=5, gas_limit=1_000),
        Tx(collector, 0, poor, 5_000, gas_limit=1_000),
    )
    assert [r.reason for r in judge.execute([first, second])] == [0, Reason.INSUFFICIENT_BALANCE]
    assert judge.account(collector) == (0, 5_000)
    assert judge.execute([second])[0].success
    assert (judge.account(poor), judge.account(collector)) == ((1, 10_000), (1, 0))


def test_genesis_is_refused_what_the_rules_refuse():
    judge = Judge()
    judge.credit(b"\x01" * 20, MOST_MONEY)
    with pytest.raises(ValueError, match="amount"):
        judge.credit(b"\x02" * 20, 1)
    judge.create_object(bytes(32), 2, b"\x01" * 20)
    with pytest.raises(ValueError, match="exists"):
        judge.create_object(bytes(32), 0, b"\x01" * 20)
    assert judge.height == 2
    assert len(judge.state) == 2
