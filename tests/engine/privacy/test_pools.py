# SPDX-License-Identifier: GPL-3.0-or-later
"""Shielded pools in the engine against the rules in plain Python: random blocks in every mode, and each rule by itself."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from pool_model import (
    CHAIN,
    COLLECTOR,
    GAS,
    KINDS,
    NEW_ACCOUNT,
    UNIT,
    Call,
    Model,
    Outcome,
    R,
    Traffic,
    batch_of,
)

from supervm.crypto.messages import Messages
from supervm.crypto.oracle import notes as oracle
from supervm.crypto.sparse_merkle_proof import verify_proof
from supervm.engine.blocks.pool_events import new_notes
from supervm.engine.blocks.receipts import Path
from supervm.engine.config import EngineConfig, Mode, Schedule
from supervm.engine.engine import Engine
from supervm.engine.state import genesis, pools
from supervm.engine.transactions.batch import TransactionBatch
from supervm.engine.workloads.private_transfers import benchmark_verifier
from supervm.kernels.errors import ArgumentError
from supervm.vm.outcomes import Reason

PEOPLE = [bytes([number]) * 20 for number in range(1, 61)]
MONEY = 10**24
SEED = 11
BLOCKS, SIZE = 6, 90
VERIFIER = benchmark_verifier()


def opened(path: Any = None, **settings: Any) -> Engine:
    """An engine with the verifier of simulated proofs."""
    return Engine.open(path, EngineConfig(**{"verifier": VERIFIER, "chain_id": CHAIN} | settings))


def begun(engine: Engine) -> Model:
    """Money for everybody and a pool; the model of it."""
    pool = engine.create_pool()
    rows = np.frombuffer(b"".join(PEOPLE), np.uint8).reshape(-1, 20)
    money = np.tile(np.frombuffer(MONEY.to_bytes(32), np.uint8), (len(rows), 1))
    engine.credit(rows, money)
    return Model(pool, {person: [0, MONEY] for person in PEOPLE}, height=engine.height)


def run(
    engine: Engine, model: Model, block: list[Call], batch: TransactionBatch | None = None
) -> list[Outcome]:
    """Execute a block on both, which must come to the same; what the model says."""
    said = model.execute(block)
    result = engine.execute(batch_of(model.pool, block, random.Random(1)) if batch is None else batch)
    for row, outcome in enumerate(said):
        receipt = result.receipts[row]
        found = (receipt.reason, receipt.gas, receipt.events, receipt.output, receipt.return_value)
        assert found == (outcome.reason, outcome.gas, outcome.events, b"", 0), (row, block[row])
    check(engine, model)
    return said


def check(engine: Engine, model: Model) -> None:
    """Whether an engine's last commit is what the model says."""
    pool = engine.pool(model.pool)
    assert (pool.held, pool.notes, engine.height) == (model.held, len(model.leaves), model.height)
    assert int.from_bytes(pool.root) == model.roots[-1]
    assert pool.roots_so_far == len(model.roots)
    recent = [row.tobytes() for row in pool.recent]
    assert sorted(recent) == sorted(root.to_bytes(32) for root in model.roots[-100:])
    for address, (nonce, balance) in model.accounts.items():
        assert engine.account(address) == (nonce, balance), address.hex()
    for nullifier, height in model.spent.items():
        assert engine.get(model.pool, b"spent" + nullifier.to_bytes(32)) == height.to_bytes(8)
    assert engine.supply == genesis.supply(engine.state) == model.money() == MONEY * len(PEOPLE)


@dataclass(frozen=True)
class Recorded:
    """Random blocks, what one by one they came to, and the model afterwards."""

    batches: list[TransactionBatch]
    receipts: list[bytes]
    roots: list[bytes]
    model: Model


@pytest.fixture(scope="module")
def recorded() -> Recorded:
    with opened(mode="sequential") as engine:
        model = begun(engine)
        traffic = Traffic(model, PEOPLE, SEED)
        batches, receipts, roots, met = [], [], [], set()
        for number in range(BLOCKS):
            # At first the pool holds enough for whatever a block may take from it, so that no call looks at that.
            kinds = KINDS if number else ("shield",)
            block = traffic.block(SIZE, wrong=0.5 if number >= BLOCKS // 2 else 0.0, kinds=kinds)
            batches.append(batch_of(model.pool, block, traffic.random))
            met |= {outcome.reason for outcome in run(engine, model, block, batches[-1])}
            roots.append(engine.state_root)
        assert met >= {
            Reason.NONE,
            Reason.BAD_PROOF,
            Reason.GAS_LIMIT_TOO_LOW,
            Reason.NULLIFIER_SPENT,
            Reason.OUT_OF_GAS,
            Reason.POOL_SHORT,
            Reason.UNKNOWN_ROOT,
            Reason.WRONG_POOL,
            Reason.WRONG_VALUE,
        }
    with opened(mode="sequential") as engine:
        begun(engine)
        receipts = [engine.execute(batch).receipts.to_bytes() for batch in batches]
    return Recorded(batches, receipts, roots, model)


@pytest.mark.parametrize("schedule", list(Schedule))
@pytest.mark.parametrize("threads", [1, 2, 3, 4])
def test_random_blocks_come_to_the_same_in_every_mode(recorded: Recorded, schedule: Schedule, threads: int):
    with opened(mode=Mode.PARALLEL, schedule=schedule, threads=threads) as engine:
        begun(engine)
        ways = set()
        for batch, receipts, root in zip(recorded.batches, recorded.receipts, recorded.roots, strict=True):
            result = engine.execute(batch)
            assert (result.receipts.to_bytes(), result.state_root) == (receipts, root)
            ways.add(result.stats.way)
        check(engine, recorded.model)
    wanted = {Schedule.WAVES: "waves", Schedule.SPECULATION: "speculation"}
    assert threads == 1 or wanted.get(schedule, "speculation") in ways


@pytest.mark.parametrize("threads", [1, 2])
def test_the_pipeline_comes_to_the_same(recorded: Recorded, threads: int):
    """Keys numbered ahead and not, blocks verified while others are executed."""
    with opened(threads=threads) as engine:
        begun(engine)
        given = [batch if place % 2 else engine.intern(batch) for place, batch in enumerate(recorded.batches)]
        found = [(each.receipts.to_bytes(), each.state_root) for each in engine.run(given)]
    assert found == list(zip(recorded.receipts, recorded.roots, strict=True))


def test_nullifiers_are_conflict_keys():
    """Twelve people with six calls each: six waves. A nullifier that comes twice is one key, on which the second fails."""
    with opened(schedule="waves", threads=2) as engine:
        model = begun(engine)
        for first, more in ((0, 0), (6, 1)):
            calls = [
                Call(
                    person, nonce, model.roots[0], (100 * nonce + place, 5_000 + 100 * nonce + place), come=5
                )
                for nonce in range(first, first + 6)
                for place, person in enumerate(PEOPLE[:12])
            ]
            if more:
                calls[11].nullifiers = (calls[0].nullifiers[0], 9_999)
            result = engine.execute(batch_of(model.pool, calls, random.Random(1)))
            assert (result.stats.way, result.stats.waves) == ("waves", 6 + more)
            failed = [Reason.NULLIFIER_SPENT if more and row == 11 else 0 for row in range(72)]
            assert result.receipts.reason.tolist() == failed


@pytest.fixture
def small() -> Iterator[tuple[Engine, Model]]:
    with opened() as engine:
        yield engine, begun(engine)


def call(model: Model, number: int, **more: Any) -> Call:
    """A call of the first person's, which shields."""
    fields = {"root": model.roots[-1], "nullifiers": (10 * number + 1, 10 * number + 2), "come": 100}
    nonce = model.accounts[PEOPLE[0]][0]
    return Call(PEOPLE[0], **{"nonce": nonce, **fields, **more})


def test_a_root_is_good_for_ninety_nine_blocks_more(small: tuple[Engine, Model]):
    engine, model = small
    first = model.roots[-1]
    for number in range(99):
        run(engine, model, [call(model, number)])
    assert [each.reason for each in run(engine, model, [call(model, 100, root=first)])] == [Reason.NONE]
    assert [each.reason for each in run(engine, model, [call(model, 101, root=first)])] == [
        Reason.UNKNOWN_ROOT
    ]
    second = model.roots[1]
    run(engine, model, [call(model, 102, to=PEOPLE[1], value=1)])  # adds no root
    assert [each.reason for each in run(engine, model, [call(model, 103, root=second)])] == [Reason.NONE]
    assert [each.reason for each in run(engine, model, [call(model, 104, root=second)])] == [
        Reason.UNKNOWN_ROOT
    ]


def test_a_root_of_this_block_is_unknown_to_it(small: tuple[Engine, Model]):
    engine, model = small
    ahead = model.copy()
    ahead.execute([call(model, 1)])
    block = [call(model, 1), call(model, 2, nonce=1, root=ahead.roots[-1])]
    assert [each.reason for each in run(engine, model, block)] == [Reason.NONE, Reason.UNKNOWN_ROOT]


CHANGES: dict[str, Any] = {
    "sender": lambda batch: {"sender": np.frombuffer(PEOPLE[1], np.uint8)[None]},
    "nonce": lambda batch: {"nonce": batch.nonce + np.uint64(1)},
    "value": lambda batch: {"value": np.roll(batch.value, 1, axis=1)},
    "gas price": lambda batch: {"gas_price": batch.gas_price + np.uint64(1)},
    "gas limit": lambda batch: {"gas_limit": batch.gas_limit + np.uint64(1)},
    "first note": lambda batch: {"input": _flipped(batch.input, 0)},
    "last note": lambda batch: {"input": _flipped(batch.input, 319)},
    **{
        f"public input {place}": lambda batch, place=place: {
            "proof": _flipped(batch.proof, 141 + 32 * place + 31)
        }
        for place in range(10)
    },
    "another pool": lambda batch: {"to": np.frombuffer(pools.pool_address(bytes(32), 7), np.uint8)[None]},
}


def _flipped(column: Messages, place: int) -> Messages:
    data = column.data.copy()
    data[place] ^= 1
    return Messages(data, column.offsets)


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_is_changed_behind_the_proof_is_rejected(small: tuple[Engine, Model], what: str):
    engine, model = small
    engine.create_pool(unit=7)
    before = engine.state_root
    batch = batch_of(model.pool, [call(model, 1, fee=3)], random.Random(1))
    result = engine.execute(replace(batch, **CHANGES[what](batch)))
    assert result.receipts.reason.tolist() == [Reason.BAD_PROOF]
    assert result.receipts[0].path is Path.PRIVACY
    assert engine.state_root == before
    assert engine.pool(model.pool).held == 0


REJECTED: dict[Reason, dict[str, Any]] = {
    Reason.UNKNOWN_ENTRY: {"entry": b"transfer"},
    Reason.PROOF_REQUIRED: {"private": False},
    Reason.BAD_NOTES: {"notes": bytes(319)},
    Reason.WRONG_POOL: {"stated_pool": 5},
    Reason.OUT_OF_RANGE: {"recipient": 1 << 160},
    Reason.WRONG_VALUE: {"value": 0},
    Reason.GAS_LIMIT_TOO_LOW: {"gas_limit": GAS - 1},
    Reason.MALFORMED_PROOF: {"root": R},
}


@pytest.mark.parametrize("reason", REJECTED)
def test_what_no_state_can_save_is_rejected(small: tuple[Engine, Model], reason: Reason):
    engine, model = small
    before = engine.state_root
    batch = batch_of(model.pool, [call(model, 1, **REJECTED[reason])], random.Random(1))
    # A node refuses it before it is in a block, where it would pay nothing; proofs are another check's.
    assert engine.refused_calls(batch).tolist() == [0 if reason is Reason.MALFORMED_PROOF else reason]
    assert engine.execute(batch).receipts.reason.tolist() == [reason]
    assert engine.state_root == before


@pytest.mark.parametrize("place", [6, 7, 8])
def test_an_amount_of_sixty_five_bits_is_out_of_range(place: int):
    """No circuit lets it pass; the pool looks all the same, whatever the verifier says."""
    with opened(verifier=lambda batch: np.ones(len(batch), np.int8)) as engine:
        model = begun(engine)
        batch = batch_of(model.pool, [call(model, 1)], random.Random(1))
        data = batch.proof.data.copy()
        data[141 + 32 * place + 23] = 1
        batch = replace(batch, proof=Messages(data, batch.proof.offsets))
        assert engine.refused_calls(batch).tolist() == [Reason.OUT_OF_RANGE]
        receipts = engine.execute(batch).receipts
        assert receipts.reason.tolist() == [Reason.OUT_OF_RANGE]


def test_another_circuit_is_no_pools():
    with opened(verifier=lambda batch: np.ones(len(batch), np.int8)) as engine:
        model = begun(engine)
        batch = batch_of(model.pool, [call(model, 1, circuit="ringct_v2")], random.Random(1))
        assert engine.refused_calls(batch).tolist() == [Reason.WRONG_CIRCUIT]
        assert engine.execute(batch).receipts.reason.tolist() == [Reason.WRONG_CIRCUIT]


def test_without_a_verifier_nothing_is_executed():
    with opened(verifier=None) as engine:
        model = begun(engine)
        batch = batch_of(model.pool, [call(model, 1)], random.Random(1))
        assert engine.execute(batch).receipts.reason.tolist() == [Reason.NO_VERIFIER]


def test_a_transfer_to_a_pool_is_rejected(small: tuple[Engine, Model]):
    engine, model = small
    batch = TransactionBatch.of(sender=PEOPLE[0], nonce=0, to=model.pool, value=5)
    assert engine.refused_calls(batch).tolist() == [Reason.PROOF_REQUIRED]
    elsewhere = TransactionBatch.of(sender=PEOPLE[0], nonce=0, to=PEOPLE[1], value=5)
    assert engine.refused_calls(TransactionBatch.concatenate([elsewhere, batch])).tolist() == [
        0,
        Reason.PROOF_REQUIRED,
    ]
    assert engine.execute(batch).receipts.reason.tolist() == [Reason.PROOF_REQUIRED]


def test_the_largest_amounts_are_exact():
    """2^64 − 1 units, of 2^64 − 1 each, come in and go out."""
    most = 2**64 - 1
    with opened() as engine:
        pool = engine.create_pool(unit=most)
        rich = np.frombuffer((most * most * 3).to_bytes(32), np.uint8)[None]
        engine.credit(np.frombuffer(PEOPLE[0], np.uint8)[None], rich)
        root = int.from_bytes(engine.pool(pool).root)
        block = [
            Call(PEOPLE[0], 0, root, (1, 2), come=most, value=most * most),
            Call(PEOPLE[0], 1, root, (3, 4), come=most, value=most * most),
            Call(PEOPLE[0], 2, root, (5, 6), goes=most, fee=most, recipient=9),
            Call(PEOPLE[0], 3, root, (7, 8), fee=1),
        ]
        result = engine.execute(batch_of(pool, block, random.Random(1)))
        assert result.receipts.reason.tolist() == [0, 0, 0, Reason.POOL_SHORT]
        assert engine.pool(pool).held == 0
        assert result.fees == most * most
        assert engine.account((9).to_bytes(20))[1] == engine.account(COLLECTOR)[1] == most * most
        assert engine.account(PEOPLE[0])[1] == most * most
        assert engine.supply == genesis.supply(engine.state)


def test_a_full_tree_takes_no_more(small: tuple[Engine, Model]):
    """A tree of 2^32 − 4 notes, whose frontier is anything."""
    engine, model = small
    notes = (1 << 32) - 4
    rows = [bytes(31) + b"\x07" if notes >> level & 1 else bytes(32) for level in range(32)]
    tree = notes.to_bytes(8) + (1).to_bytes(8) + b"".join(rows)
    engine.preset(Messages.of([b"\x01" + model.pool + b"tree"]), Messages.of([tree]))
    block = [call(model, number, nonce=number) for number in range(3)]
    found = engine.execute(batch_of(model.pool, block, random.Random(1))).receipts.reason.tolist()
    assert found == [0, 0, Reason.POOL_FULL]
    assert engine.pool(model.pool).notes == 1 << 32
    assert not engine.pool(model.pool).frontier.rows.any()
    block = [call(model, 5, nonce=3, root=int.from_bytes(engine.pool(model.pool).root))]
    assert engine.execute(batch_of(model.pool, block, random.Random(1))).receipts.reason.tolist() == [
        Reason.POOL_FULL
    ]


def test_two_pools_keep_their_notes_and_money_apart(small: tuple[Engine, Model]):
    engine, model = small
    other = engine.create_pool(unit=1)
    root = model.roots[-1]
    calls = [Call(PEOPLE[0], 0, root, (1, 2), come=10), Call(PEOPLE[0], 1, root, (1, 2), come=10, value=10)]
    batches = [
        batch_of(pool, [each], random.Random(1))
        for pool, each in zip((model.pool, other), calls, strict=True)
    ]
    result = engine.execute(TransactionBatch.concatenate(batches))
    assert result.receipts.success.all()
    assert [engine.pool(pool).held for pool in (model.pool, other)] == [10, 10]
    assert engine.supply == genesis.supply(engine.state)
    for pool in (model.pool, other):
        assert len(new_notes(result.receipts, pool)) == 2


def test_pools_are_made_once(small: tuple[Engine, Model]):
    engine, model = small
    run(engine, model, [call(model, 1)])
    root, height = engine.state_root, engine.height
    assert engine.create_pool() == model.pool == pools.pool_address(bytes(32), UNIT)
    assert (engine.state_root, engine.height) == (root, height + 1)
    for wrong in ({"unit": 0}, {"unit": 1 << 64}, {"unit": True}, {"salt": b"salt"}):
        with pytest.raises(ArgumentError, match=next(iter(wrong))):
            engine.create_pool(**wrong)
    with pytest.raises(ArgumentError, match="shielded pool"):
        engine.pool(bytes(20))
    assert (engine.refused_calls(batch_of(model.pool, [call(model, 2)], random.Random(1))) == 0).all()
    strange = batch_of(model.pool, [call(model, 2, entry=b"run")], random.Random(1))
    assert engine.refused_calls(strange).tolist() == [Reason.UNKNOWN_ENTRY]


def test_events_give_the_tree_the_nullifiers_and_the_notes(small: tuple[Engine, Model]):
    engine, model = small
    traffic = Traffic(model, PEOPLE, 5)
    leaves: list[int] = []
    for _ in range(2):
        block = traffic.block(12, wrong=0.5)
        batch = batch_of(model.pool, block, traffic.random)
        model.execute(block)
        found = new_notes(engine.execute(batch).receipts, model.pool)
        assert found.indices.tolist() == list(range(len(leaves), len(leaves) + len(found)))
        leaves += [int.from_bytes(row.tobytes()) for row in found.commitments]
        assert {int.from_bytes(row.tobytes()) for row in found.nullifiers} <= set(model.spent)
        for row, note in zip(found.transactions.tolist(), range(len(found)), strict=True):
            assert found.notes[note].tobytes() == block[row].notes[160 * (note % 2) :][:160]
    assert leaves == model.leaves
    assert leaves
    assert int.from_bytes(engine.pool(model.pool).root) == oracle.root(leaves)


def test_a_nullifier_and_a_root_have_light_proofs(small: tuple[Engine, Model]):
    engine, model = small
    run(engine, model, [call(model, 1)])
    for key, there in (
        (b"spent" + (11).to_bytes(32), True),
        (b"spent" + (13).to_bytes(32), False),
        (b"root" + bytes([1]), True),
        (b"held", True),
    ):
        proof = engine.prove(model.pool, key)
        value = engine.get(model.pool, key)
        assert (value is not None) == there
        assert verify_proof(engine.state_root, b"\x01" + model.pool + key, value, proof)


def test_a_rollback_takes_notes_nullifiers_and_money_back(small: tuple[Engine, Model]):
    """One branch is left for another, in which the same notes are spent otherwise; and that for a third."""
    engine, model = small
    traffic = Traffic(model, PEOPLE, 21)
    run(engine, model, traffic.block(20, wrong=0.0))
    engine.snapshot("fork")
    position = engine.state.position
    calls = traffic.block(20, wrong=0.0)
    for seed in (1, 2):
        branch = model.copy()
        other = Traffic(branch, PEOPLE, seed)
        run(engine, branch, calls[:10] if seed == 1 else calls)
        for _ in range(2):
            run(engine, branch, other.block(20))
        assert engine.rollback("fork") == position.root
        check(engine, model)
    run(engine, model, calls)


def test_a_pool_that_is_rolled_back_is_gone():
    with opened() as engine:
        engine.snapshot("nothing")
        model = begun(engine)
        run(engine, model, [call(model, 1)])
        engine.rollback("nothing")
        with pytest.raises(ArgumentError, match="shielded pool"):
            engine.pool(model.pool)
        batch = batch_of(model.pool, [call(model, 1, nonce=0, root=0)], random.Random(1))
        assert engine.execute(batch).receipts.reason.tolist() == [Reason.UNKNOWN_CONTRACT]
        assert engine.supply == 0


def test_a_pool_comes_back_from_the_disk(tmp_path):
    with opened(tmp_path) as engine:
        model = begun(engine)
        traffic = Traffic(model, PEOPLE, 31)
        run(engine, model, traffic.block(20, wrong=0.0))
        engine.snapshot("fork")
        kept = model.copy()
        run(engine, model, traffic.block(20))
        root = engine.state_root
    with opened(tmp_path) as engine:
        assert engine.state_root == root
        check(engine, model)
        run(engine, model, Traffic(model, PEOPLE, 32).block(20))
        engine.rollback("fork")
        check(engine, kept)
        run(engine, kept, Traffic(kept, PEOPLE, 33).block(20))


def test_money_that_needs_a_new_account(small: tuple[Engine, Model]):
    engine, model = small
    stranger = int.from_bytes(b"\xfd" * 20)
    run(engine, model, [call(model, 1)])
    block = [
        call(model, 2, come=0, goes=1, recipient=stranger, gas_limit=GAS + NEW_ACCOUNT - 1),
        call(model, 3, nonce=2, come=0, goes=1, recipient=stranger, gas_limit=GAS + NEW_ACCOUNT),
        call(model, 4, nonce=3, come=0, goes=1, recipient=stranger, gas_limit=GAS),
    ]
    assert [each.reason for each in run(engine, model, block)] == [Reason.OUT_OF_GAS, 0, 0]
