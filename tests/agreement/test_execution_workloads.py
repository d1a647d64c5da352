# SPDX-License-Identifier: GPL-3.0-or-later
"""Workloads, and blocks in a row from which the engine learns what is hot: every way gives the same, and the judge's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import program_contract as program
import pytest
from engine_adapter import (
    FEW_WAYS,
    WAYS,
    Way,
    money,
    opened,
    receipts_of,
    run_all,
    speculation,
    state_of,
    waves,
)
from fault_device import FaultDevice, Faults, lend
from judge import Judge, Tx
from stories import Story, person

from supervm.engine.blocks.result import BlockResult
from supervm.engine.config import EngineConfig
from supervm.engine.engine import Engine
from supervm.engine.scheduler import Scheduler, SchedulerSettings, Strategy
from supervm.engine.transactions.batch import TransactionBatch
from supervm.engine.workloads import NAMES, Parameters, Workload, generate
from supervm.kernels import registry
from supervm.vm import contracts

LARGE = Parameters(
    transactions=6_000,
    accounts=700,
    hot_keys=4,
    hot_share=0.2,
    block_size=2_000,
    seed=9,
    object_share=0.2,
)


def begun(workload: Workload, config: EngineConfig) -> Engine:
    """An engine on the workload's first state."""
    genesis, engine = workload.genesis, Engine.open(None, config)
    engine.credit(genesis.addresses, genesis.balances)
    engine.create_objects(genesis.object_ids, genesis.object_owners, genesis.object_kinds)
    for each in genesis.deployments:
        assert engine.deploy(contracts.load(each.contract), each.salt) == each.address
    engine.preset(genesis.keys, genesis.values)
    return engine


def run(workload: Workload, way: Way, **settings: Any) -> tuple[list[BlockResult], dict[bytes, bytes]]:
    """Every block in this manner; the results, and the state in the end. Money is conserved."""
    with begun(workload, way.config(**settings)) as engine, way.pushed():
        total = money(engine)
        results = []
        for block in workload.blocks:
            results.append(engine.execute(block))
            assert money(engine) == engine.supply == total
        return results, state_of(engine)


@pytest.mark.parametrize("declared", [False, True], ids=["undeclared", "declared"])
@pytest.mark.parametrize("name", NAMES)
def test_every_workload_in_every_way(name: str, declared: bool):
    workload = generate(name, replace(LARGE, declared=declared))
    results, state = run(workload, WAYS[0])
    assert all(result.receipts.success.all() for result in results)
    for way in (WAYS[3], speculation(2), speculation(4), *([waves(2), waves(3)] if declared else [])):
        others, other_state = run(workload, way)
        for one, other in zip(results, others, strict=True):
            assert one.receipts.equals(other.receipts), way.name
            assert (one.state_root, one.fees) == (other.state_root, other.fees), way.name
        assert state == other_state, way.name


def _transactions(batch: TransactionBatch) -> list[Tx]:
    """A batch as the judge's transactions."""
    return [
        Tx(
            batch.sender[n].tobytes(),
            int(batch.nonce[n]),
            batch.to[n].tobytes(),
            int.from_bytes(batch.value[n].tobytes(), "big"),
            int(batch.gas_limit[n]),
            int(batch.gas_price[n]),
            batch.entry[n],
            batch.input[n],
            [
                item.tobytes()
                for item in batch.object_ids[batch.object_offsets[n] : batch.object_offsets[n + 1]]
            ],
        )
        for n in range(len(batch))
    ]


@pytest.mark.parametrize("name", NAMES)
def test_every_workload_before_the_judge(name: str):
    small = replace(LARGE, transactions=240, accounts=40, block_size=120, declared=True)
    workload, judge = generate(name, small), Judge()
    with begun(workload, waves(2).config()) as engine:
        judge.state = state_of(engine)
        for each in workload.genesis.deployments:
            judge.deploy(contracts.load(each.contract), each.salt)
        judge.height = engine.height
        with waves(2).pushed():
            for block in workload.blocks:
                result = engine.execute(block)
                assert receipts_of(result.receipts) == judge.execute(_transactions(block))
                assert result.state_root == judge.root()


def _hot_block(story: Story, size: int, share: float, declared: bool) -> list[Tx]:
    """Calls of which a share adds to one number, at equal distances, and the others to numbers of their own, as many as
    there are people: nothing else conflicts, however far ahead a worker is, in a block no larger than that."""
    every = round(1 / share)
    calls = []
    for n in range(size):
        who = person(n % len(story.people))
        key = 0 if n % every == 0 else 1 + n % len(story.people)
        known = (
            {"declared": True, "reads": [], "writes": [story.account(who), story.key(key)]}
            if declared
            else {}
        )
        calls.append(story.call(who, program.add(key, 1) + program.get(key) + program.output(), **known))
    return calls


LEFT_ALONE = [Way(f"auto on {threads}", {"threads": threads}) for threads in (2, 3)]


def test_transactions_wait_for_a_hot_key():
    """Known to be hot, it is not executed ahead: those that touch it run when their turn comes, the others before."""
    story = Story(250)
    for _ in range(4):
        story.block(_hot_block(story, 250, 0.1, declared=True))
    stats = run_all(story.scenario(), LEFT_ALONE)
    for blocks in stats.values():
        assert {block.way for block in blocks} == {"speculation"}
        assert all(20 <= block.repeated <= 60 for block in blocks)
        assert not any(block.turned for block in blocks)


def test_speculation_that_does_not_pay_turns_to_order_and_pauses():
    """Nobody declares, everybody conflicts: it is noticed within a block, and not tried again for a while."""
    story = Story(250)
    for _ in range(14):
        story.block(_hot_block(story, 400, 1.0, declared=False))
    stats = run_all(story.scenario(), LEFT_ALONE)
    for blocks in stats.values():
        assert blocks[0].turned
        ways = [block.way for block in blocks]
        assert ways.count("sequential") >= 8
        assert sum(block.turned for block in blocks[1:]) >= 1


def test_total_contention_that_is_declared_runs_in_order():
    story = Story(250)
    for _ in range(3):
        story.block(_hot_block(story, 300, 1.0, declared=True))
    stats = run_all(story.scenario(), [*LEFT_ALONE, waves(2)])
    for way in LEFT_ALONE:
        assert {block.way for block in stats[way.name]} == {"sequential"}


def test_a_block_whose_sampled_transactions_are_all_rejected():
    """What is counted to know what is hot may be nothing at all."""
    story = Story(100)
    calls = [story.call(person(n % 100), program.add(n % 50, 1)) for n in range(200)]
    wrong = [replace(tx, chain_id=5) for tx in calls]
    mixed = [wrong[n // 2] if n % 2 == 0 else calls[n // 2] for n in range(400)]
    story.block(mixed)
    story.block(wrong)
    run_all(story.scenario(), [*LEFT_ALONE, *FEW_WAYS])


@pytest.fixture
def device(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultDevice]:
    """A device that stands in for a GPU, to which a scheduler sends every batch."""
    cpu_only = {
        operation: {name: entry for name, entry in row.items() if name != "cuda"}
        for operation, row in registry._table.items()
    }
    monkeypatch.setattr(registry, "_table", cpu_only)
    monkeypatch.setattr(registry, "_dispatcher", None)
    for operation, outputs in (
        ("ed25519.verify", 1),
        ("keccak256", 1),
        ("sha256", 1),
        ("conflicts.detect", 0),
    ):
        lend(operation, outputs)
    one = FaultDevice()
    settings = SchedulerSettings(
        strategy=Strategy.GPU_ONLY,
        recheck=1.0,
        deadline_floor=20.0,
        smallest_piece=4,
        calibrate=False,
        remember=False,
    )
    with Scheduler(settings, [one], folder=tmp_path, seed=5):
        yield one


FAULTS = {
    "none": Faults(),
    "wrong items": Faults(wrong_items=3),
    "launches fail": Faults(now_and_then=2),
    "no memory": Faults(memory_items=50),
}


@pytest.mark.parametrize("name", list(FAULTS))
def test_gas_and_receipts_do_not_depend_on_a_device(device: FaultDevice, name: str):
    """Signatures are checked on it, or on the CPU where it fails: the receipts are those of an engine without one."""
    parameters = replace(LARGE, transactions=300, accounts=40, block_size=100, signed=True, declared=True)
    workload = generate("mixed", parameters)
    batch = workload.transactions
    batch.value[::7, 31] ^= 1  # no longer what was signed
    expected, state = run(workload, WAYS[0], signatures=True, backend="scalar")
    rejected = sum(result.stats.rejected for result in expected)
    assert 300 > rejected >= len(batch) // 7
    device.faults = FAULTS[name]
    device.calls.clear()
    for way in (WAYS[0], speculation(2), waves(2)):
        results, found = run(workload, way, signatures=True)
        for one, other in zip(expected, results, strict=True):
            assert one.receipts.equals(other.receipts)
            assert one.state_root == other.state_root
        assert found == state
    assert device.calls


def test_blocks_after_each_other_in_one_engine_and_in_many():
    """What an engine has learnt from its blocks changes nothing: a new one for each block gives the same roots."""
    workload = generate("mixed", replace(LARGE, transactions=1_600, block_size=400))
    way = LEFT_ALONE[0]
    results, _ = run(workload, way)
    with begun(workload, way.config()) as engine:
        roots = []
        for block in workload.blocks:
            engine._runner._heat.hurry()
            roots.append(engine.execute(block).state_root)
    assert roots == [result.state_root for result in results]
    assert len(set(roots)) == len(roots)
    with opened(Story(1).scenario(), way) as engine:
        assert len(engine.execute(TransactionBatch.concatenate([])).receipts) == 0
