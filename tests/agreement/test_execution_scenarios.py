# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine against the judge: whole scenarios, with contention from none to total, in every way of execution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from block_transactions import CALLS, KINDS, OBJECTS, TRANSFERS
from blocks import SHAPES, Block, Scenario, Shape, drawn_scenario, scenarios
from engine_adapter import FEW_WAYS, WAYS, Engines, run_all
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from judge import Reason, Tx
from judge.signing import BIP340, ECDSA, ED25519, sender_of, sign, verify

HERE = Shape(chain_id=1)
"""The chain of the engines that are shared."""


@settings(
    max_examples=20,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.function_scoped_fixture,
    ],
)
@given(st.data())
def test_any_scenario(engines: Engines, data: st.DataObject):
    shape = SHAPES[data.draw(st.sampled_from(list(SHAPES)))]
    engines.run_all(data.draw(scenarios(replace(shape, chain_id=1), 16)))


@pytest.mark.parametrize("name", list(SHAPES))
def test_larger_scenarios(engines: Engines, name: str):
    engines.run_all(drawn_scenario(11, replace(SHAPES[name], transactions=90, blocks=3, chain_id=1)))


@pytest.mark.parametrize("keys", [0, 60, 7, 2, 1])
def test_contention_from_none_to_total(engines: Engines, keys: int):
    """Calls that share no key, some, or one; with no key shared they still share senders."""
    kinds = ("increment", "increment", "program_call", "trapping_call")
    shape = replace(HERE, kinds=kinds, keys=keys, transactions=150, accounts=40, programs=1)
    stats = engines.run_all(drawn_scenario(keys, shape))
    for name, blocks in stats.items():
        if name.startswith("speculation"):
            assert all(block.way == "speculation" and not block.turned for block in blocks)


PARALLEL = Shape(
    transactions=150,
    accounts=100,
    objects=40,
    keys=60,
    programs=3,
    kinds=(*TRANSFERS, *CALLS, *OBJECTS),
    declared=("exact",),
    chain_id=1,
)
"""So little contention that waves are long enough."""


@pytest.mark.parametrize("seed", range(3))
def test_exact_declarations_run_by_waves(engines: Engines, seed: int):
    stats = engines.run_all(drawn_scenario(seed, PARALLEL))
    for name in ("waves on 2", "waves on 4"):
        for block in stats[name]:
            assert (block.way, block.undeclared, block.turned) == ("waves", False, False)
            assert 1 < block.waves < 75


@pytest.mark.parametrize("seed", range(3))
def test_wrong_declarations_are_detected_and_not_trusted(engines: Engines, seed: int):
    shape = replace(PARALLEL, declared=("exact", "exact", "exact", "spoiled"), kinds=(*TRANSFERS, *CALLS))
    stats = engines.run_all(drawn_scenario(seed, shape))
    blocks = [block for name in ("waves on 2", "waves on 4") for block in stats[name]]
    assert any(block.undeclared for block in blocks)
    assert all(block.way != "waves" for block in blocks if block.undeclared)


def test_keccak256():
    shape = Shape(transactions=60, kinds=tuple(KINDS))
    stats = run_all(drawn_scenario(4, shape), FEW_WAYS, judge={"hash": "keccak256"}, hash="keccak256")
    assert all(sum(block.failed for block in blocks) for blocks in stats.values())


def test_another_collector_that_takes_part():
    """The collector sends and receives in the blocks whose fees it gets."""
    scenario = drawn_scenario(8, replace(PARALLEL, declared=("no", "exact")))
    poor = scenario.credits[3][0]
    run_all(replace(scenario, fee_collector=poor), FEW_WAYS)


SECRETS = {
    sender_of(scheme, secret): (scheme, secret)
    for scheme in (ED25519, ECDSA, BIP340)
    for secret in (bytes([16 * scheme + number]) * 32 for number in range(3))
}


def _signed(scenario: Scenario) -> Scenario:
    """The scenario with senders that can sign, signed; here and there a signature, or a sender, is spoiled."""
    people = [address for address, _ in scenario.credits]
    names = dict(zip(people, SECRETS, strict=False))

    def renamed(tx: Tx, index: int) -> Tx:
        tx = replace(
            tx, sender=names[tx.sender], to=names.get(tx.to, tx.to), declared=False, reads=[], writes=[]
        )
        scheme, secret = SECRETS[tx.sender]
        signed = sign(tx, scheme, secret)
        spoiled = {
            3: replace(signed, value=signed.value ^ 1),
            5: replace(signed, signature=signed.signature[:-1]),
            7: replace(signed, scheme=9),
            11: sign(tx, ED25519, b"\x77" * 32),
        }
        return spoiled.get(index % 37, signed)

    credits = [(names[address], amount) for address, amount in scenario.credits]
    objects = [(id, kind, names[owner]) for id, kind, owner in scenario.objects]
    blocks = [
        Block([renamed(tx, index) for index, tx in enumerate(block.transactions)], block.timestamp)
        for block in scenario.blocks
    ]
    return replace(scenario, credits=credits, objects=objects, blocks=blocks)


def test_signatures_are_checked_before_anything_else():
    shape = Shape(transactions=50, accounts=8, blocks=2, kinds=tuple(KINDS), declared=("no",))
    scenario = _signed(drawn_scenario(2, shape))
    stats = run_all(scenario, FEW_WAYS, judge={"verify": verify}, signatures=True)
    assert all(block.rejected > 5 for blocks in stats.values() for block in blocks)


def test_more_and_fewer_instances_than_threads():
    """Workers take instances from each other; nobody waits for ever."""
    scenario = drawn_scenario(5, replace(PARALLEL, blocks=1, declared=("exact",)))
    ways = [way for way in WAYS if way.eager]
    for instances in (1, 2, 3):
        run_all(scenario, ways, instances=instances)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[Engines]:
    made = Engines(WAYS[:1])
    yield made
    made.close()


def test_every_reason_comes_up_and_agrees(one_thread: Engines):
    seen: set[int] = set()
    shape = replace(HERE, blocks=1, transactions=150, kinds=(*KINDS, *["misdeed_call"] * 5))
    for seed in range(8):
        scenario = drawn_scenario(seed, shape)
        one_thread.run_all(scenario)
        seen |= {receipt.reason for receipt in one_thread.last.receipts[0]}
    rare = {1, 2, 3, Reason.BAD_PROOF, Reason.MALFORMED_PROOF, Reason.TOO_LARGE, Reason.OTHER_TRAP}
    assert seen == set(Reason) - rare
