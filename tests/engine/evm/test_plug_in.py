# SPDX-License-Identifier: GPL-3.0-or-later
"""Ethereum transactions beside the engine's own: one block, one state, and the same in every manner of execution."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rlp
from engine_adapter import FEW_WAYS, SEQUENTIAL, speculation
from ethereum_mix import (
    CODES,
    CONTRACTS,
    EVERYTHING,
    FORK,
    MONEY,
    OWNERS,
    address,
    creations,
    genesis,
    initcode,
    mixed,
    raw,
    token,
)

from supervm.crypto.messages import Messages
from supervm.engine.blocks.receipts import Receipts
from supervm.engine.config import FEE_COLLECTOR, EngineConfig
from supervm.engine.engine import Engine
from supervm.engine.ethereum.carried import carry, created_address, read_carried
from supervm.engine.ethereum.senders import Recovered, recover_authorities
from supervm.engine.evm import evm_machine
from supervm.engine.evm.accounts import Account, in_columns
from supervm.engine.evm.columns import transaction_columns
from supervm.engine.evm.environment import Environment
from supervm.engine.evm.session import Session
from supervm.engine.evm.world import World
from supervm.engine.state import genesis as totals
from supervm.engine.transactions.batch import Scheme, TransactionBatch
from supervm.engine.workloads.run import place_genesis
from supervm.kernels.errors import ArgumentError
from supervm.vm import worker
from supervm.vm.evm import columns as c
from supervm.vm.evm.forks import fork_named
from supervm.vm.evm.outcomes import HaltReason
from supervm.vm.evm.rules import Rule
from supervm.vm.evm.state.keys import storage_key
from supervm.vm.limits import GAS_LIMIT
from supervm.vm.outcomes import Reason

CREATED = len(CODES)


def opened(path: Path | None = None, **settings: Any) -> Engine:
    engine = Engine.open(path, EngineConfig(**{"evm": FORK, **settings}))
    place_genesis(engine, genesis())
    return engine


def carried(*encodings: bytes) -> TransactionBatch:
    return carry(Messages.of(list(encodings)))


def slot(engine: Engine, name: str, number: int = 0) -> int:
    return int.from_bytes(engine.state.get(storage_key(CONTRACTS[name], number)) or b"")


def own(**fields: Any) -> TransactionBatch:
    return TransactionBatch.of(gas_price=2, gas_limit=100_000, **fields)


def test_a_block_of_all_kinds() -> None:
    """What each transaction leaves is counted by hand."""
    with opened() as engine:
        made = engine.execute(carried(*creations()))
        assert made.receipts.success.all()
        assert [made.receipts.output[row] for row in range(CREATED)] == list(CONTRACTS.values())
        assert made.fees == 2 * int(made.receipts.gas.sum())
        collected = engine.account(FEE_COLLECTOR)[1]
        assert collected == made.fees
        plain, count = address(1), CONTRACTS["count"]
        result = engine.execute(
            TransactionBatch.concatenate(
                [
                    own(sender=plain, nonce=0, to=address(2), value=5),
                    carried(raw(1, 1, count), raw(2, 0, CONTRACTS["bank"], value=7)),
                    own(
                        sender=plain,
                        nonce=2,
                        to=token().address,
                        entry=b"mint",
                        input=plain + (9).to_bytes(32),
                    ),
                    carried(
                        raw(1, 3, count),
                        raw(3, 0, CONTRACTS["revert"], value=3),
                        raw(3, 1, CONTRACTS["halt"], value=3, gas=50_000),
                        raw(3, 2, CONTRACTS["spy"]),
                        raw(3, 3, CONTRACTS["pay"], bytes(12) + token().address, value=10),
                        raw(3, 9, address(4), value=1, gas=21_000),
                        raw(3, 4, CONTRACTS["make"]),
                    ),
                    own(sender=address(3), nonce=5, to=CONTRACTS["bank"], value=11),
                ]
            )
        )
        receipts, gas = result.receipts, result.receipts.gas
        assert receipts.reason.tolist() == [0, 0, 0, 0, 0, 51, 52, 0, 0, Reason.BAD_NONCE, 0, 0]
        assert receipts.path.tolist() == [1, 4, 4, 1, 4, 4, 4, 4, 4, 4, 4, 1]
        for row, times in ((1, 1), (4, 2)):
            counted = times.to_bytes(32)
            log = count + b"\1" + bytes(12) + plain + counted
            assert (receipts[row].output, receipts[row].events) == (counted, (log,))
        assert (receipts[6].return_value, receipts[6].gas) == (HaltReason.INVALID_OPCODE, 50_000)
        assert (receipts[5].events, receipts[5].output, receipts[9].gas) == ((), b"", 0)
        # The collector has what Ethereum transactions before the spy paid; what others pay comes at the end.
        assert slot(engine, "spy") == collected + 2 * int(gas[[1, 2, 4, 5, 6]].sum())
        assert engine.account(FEE_COLLECTOR)[1] == collected + 2 * int(gas.sum()) == collected + result.fees
        assert slot(engine, "count") == 2
        assert slot(engine, "bank", int.from_bytes(address(2))) == 7
        assert engine.account(CONTRACTS["bank"]) == (1, 18)
        assert engine.account(token().address) == (0, 5)
        assert engine.account(CONTRACTS["pay"]) == (1, 5)
        assert slot(engine, "make") == int.from_bytes(created_address(CONTRACTS["make"], 1))
        assert engine.account(plain) == (4, MONEY - 5 - 2 * int(gas[[0, 1, 3, 4]].sum()))
        assert engine.account(address(3))[0] == 6
        assert totals.supply(engine.state) == OWNERS * MONEY


def test_a_transfer_does_not_overtake_what_sees_its_account() -> None:
    with opened() as engine:
        engine.execute(carried(*creations()))
        looks = carried(raw(1, 0, CONTRACTS["look"], bytes(12) + address(5)))
        block = TransactionBatch.concatenate([looks, own(sender=address(4), nonce=0, to=address(5), value=5)])
        result = engine.execute(block)
        assert (result.receipts.success.all(), result.stats.fast) == (True, 0)
        assert slot(engine, "look") == MONEY
        assert engine.account(address(5)) == (0, MONEY + 5)


def test_a_proof_shows_a_slot() -> None:
    from supervm.crypto.sparse_merkle import verify_proof

    with opened() as engine:
        engine.execute(carried(*creations(), raw(1, 0, CONTRACTS["count"])))
        key = storage_key(CONTRACTS["count"], 0)
        value = (1).to_bytes(32)
        assert verify_proof(engine.state_root, key, value, engine.prove(key))
        assert not verify_proof(engine.state_root, key, None, engine.prove(key))


@pytest.mark.parametrize(
    ("seed", "names"),
    [
        (1, EVERYTHING),
        (2, ("count", "spy", "send", "transfer")),
        (3, ("bank", "pay", "transfer", "token")),
        (4, ("make", "halt", "revert", "count")),
    ],
)
def test_random_blocks_are_the_same_in_every_way(seed: int, names: tuple[str, ...]) -> None:
    workload = mixed(seed, 240, 80, names)
    found: dict[str, list[tuple[bytes, bytes, int]]] = {}
    for way in (*FEW_WAYS, speculation(2)):
        with Engine.open(None, way.config(evm=FORK)) as engine, way.pushed():
            place_genesis(engine, workload.genesis)
            results = [engine.execute(block) for block in workload.blocks]
            assert totals.supply(engine.state) == OWNERS * MONEY
        found[way.name] = [(each.state_root, each.receipts.to_bytes(), each.fees) for each in results]
    assert all(each == found[SEQUENTIAL.name] for each in found.values())
    reasons = Receipts.from_bytes(found[SEQUENTIAL.name][-1][1]).reason
    assert Reason.NONE in reasons


def test_buffers_that_are_full_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    workload = mixed(5, 120, 120)
    roots = []
    for small in (False, True):
        if small:
            rows = {need: (*row[:3], 8 if row[2] > 1 else 64) for need, row in worker._BUFFERS.items()}
            monkeypatch.setattr(worker, "_BUFFERS", rows)
            buffers = {need: replace(row, least=2) for need, row in evm_machine.STATE_BUFFERS.items()}
            kept = {need: evm_machine.STATE_BUFFERS[need] for need in buffers if buffers[need].unit == 4}
            monkeypatch.setattr(evm_machine, "STATE_BUFFERS", {**buffers, **kept})
        with Engine.open(None, speculation(2).config(evm=FORK)) as engine, speculation(2).pushed():
            place_genesis(engine, workload.genesis)
            roots.append([engine.execute(block).state_root for block in workload.blocks])
    assert roots[0] == roots[1]


def test_the_evm_does_what_it_does_in_blocks_of_its_own() -> None:
    """The same transactions in a block of Ethereum's, whose execution is tested against the specification."""
    workload = mixed(6, 150, 150, ("send", *CODES))
    batch = workload.transactions
    with opened() as engine:
        root = engine.state_root
        result = engine.execute(batch, timestamp=77)
        height = engine.height
        nonces, balances = engine.accounts(workload.genesis.addresses)
        slots = {name: slot(engine, name) for name in CODES}
    taken = result.receipts.accepted
    session, world = Session(1), World()
    world.load(*in_columns([Account(row.tobytes(), 0, MONEY) for row in workload.genesis.addresses]))
    session.attach(world)
    environment = Environment(
        fork=fork_named(FORK),
        chain_id=1,
        number=height,
        timestamp=77,
        coinbase=FEE_COLLECTOR,
        gas_limit=GAS_LIMIT,
        base_fee=0,
        random=int.from_bytes(root),
    )
    kept = batch.take(taken)
    transactions, wrong = read_carried(kept)
    assert not wrong.any()
    faults = np.zeros(len(kept), np.uint8)
    recovered = Recovered(kept.sender, faults, *recover_authorities(transactions.authorizations))
    columns = transaction_columns(transactions, recovered, chain_id=1)
    session.begin(environment)
    done, missing = session.run(columns, np.zeros(len(kept), np.int64), 0, len(kept))
    assert (done, missing) == (len(kept), None)
    assert np.array_equal(columns[c.GAS_USED], result.receipts.gas[taken])
    assert np.array_equal(columns[c.SUCCESS] == 1, result.receipts.success[taken])
    assert np.array_equal(columns[c.LOG_COUNTS], np.diff(result.receipts.event_offsets)[taken])
    session.worker.seal()
    world.store.publish()
    accounts = world.accounts()
    rows = {row.tobytes(): place for place, row in enumerate(accounts.addresses)}
    for place, row in enumerate(workload.genesis.addresses):
        at = rows[row.tobytes()]
        assert accounts.nonces[at] == nonces[place]
        assert np.array_equal(accounts.balances[at], balances[place])
    for name, value in slots.items():
        at = rows[CONTRACTS[name]]
        first = accounts.offsets[at]
        held = dict(
            zip(
                map(bytes, accounts.slots[first : accounts.offsets[at + 1]]),
                map(bytes, accounts.values[first : accounts.offsets[at + 1]]),
                strict=True,
            )
        )
        assert int.from_bytes(held.get(bytes(32), b"")) == value, name


def test_a_state_on_disk_goes_on(tmp_path: Path) -> None:
    """Code is found in the state again; a rollback takes everything back."""
    workload = mixed(7, 120, 40)
    blocks = list(workload.blocks)
    with opened() as engine:
        expected = [engine.execute(block).state_root for block in blocks]
    with opened(tmp_path) as engine:
        assert [engine.execute(block).state_root for block in blocks[:2]] == expected[:2]
    with opened(tmp_path, threads=2, checkpoint_bytes=10_000) as engine:
        assert engine.state_root == expected[1]
        engine.snapshot("here")
        assert [engine.execute(block).state_root for block in blocks[2:]] == expected[2:]
        assert engine.rollback("here") == expected[1]
        assert [engine.execute(block).state_root for block in blocks[2:]] == expected[2:]
    with opened(tmp_path) as engine:
        assert engine.state_root == expected[-1]


def wrong_ones() -> list[tuple[str, TransactionBatch, Reason, int]]:
    """A name, a transaction, why it is rejected, and the number of the EVM's rule where that says more."""
    good = carried(raw(1, 0, address(2), value=1))
    blob = {"type": 3, "maxFeePerBlobGas": 1, "blobVersionedHashes": [b"\1" + bytes(31)]}
    high = bytearray(raw(1, 0, address(2), gasPrice=1))
    high[-1] ^= 1
    return [
        ("good", good, Reason.NONE, 0),
        ("another chain", carried(raw(1, 0, address(2), chainId=5)), Reason.WRONG_CHAIN, 0),
        ("a nonce ahead", carried(raw(1, 1, address(2))), Reason.BAD_NONCE, 0),
        ("too expensive", carried(raw(1, 0, address(2), value=MONEY)), Reason.INSUFFICIENT_BALANCE, 0),
        ("little gas", carried(raw(1, 0, address(2), gas=20_999)), Reason.GAS_LIMIT_TOO_LOW, 0),
        ("much gas", carried(raw(1, 0, address(2), gas=1 << 24 | 1)), Reason.GAS_LIMIT_TOO_HIGH, 0),
        ("blobs", carried(raw(1, 0, address(2), **blob)), Reason.EVM_RULE, Rule.TYPE_NOT_SUPPORTED),
        (
            "a tip above the fee",
            carried(raw(1, 0, address(2), maxPriorityFeePerGas=9)),
            Reason.EVM_RULE,
            Rule.PRIORITY_ABOVE_MAX_FEE,
        ),
        ("another value", replace(good, value=good.value + 1), Reason.MALFORMED_ETHEREUM, 0),
        ("another price", replace(good, gas_price=good.gas_price + 1), Reason.MALFORMED_ETHEREUM, 0),
        ("an entry point", replace(good, entry=Messages.of([b"x"])), Reason.MALFORMED_ETHEREUM, 0),
        ("a signature", replace(good, signature=Messages.of([b"x"])), Reason.MALFORMED_ETHEREUM, 0),
        ("no encoding", replace(good, input=Messages.of([b"\2"])), Reason.MALFORMED_ETHEREUM, 0),
        ("another sender", replace(good, sender=good.sender + 1), Reason.WRONG_SENDER, 0),
        (
            "another signature",
            replace(carried(raw(1, 0, address(2), gasPrice=1)), input=Messages.of([bytes(high)])),
            Reason.WRONG_SENDER,
            0,
        ),
    ]


@pytest.mark.parametrize("threads", [1, 2])
def test_wrong_ones_are_rejected(threads: int) -> None:
    for name, batch, reason, rule in wrong_ones():
        with opened(signatures=True, threads=threads) as engine:
            before = engine.account(address(1))
            receipt = engine.execute(batch).receipts[0]
            assert receipt.reason == reason, name
            assert receipt.return_value == rule, name
            assert (engine.account(address(1)) == before) == (reason != 0), name
            early = engine.refused_calls(batch)[0]
            late = (Reason.BAD_NONCE, Reason.INSUFFICIENT_BALANCE, Reason.WRONG_SENDER)
            assert early == (0 if reason in late else reason), name


def test_a_chain_without_the_evm_rejects_them() -> None:
    with Engine.open(None, EngineConfig()) as engine:
        place_genesis(engine, genesis())
        batch = carried(raw(1, 0, address(2), value=1))
        assert engine.execute(batch).receipts[0].reason == Reason.NO_EVM
        assert engine.refused_calls(batch).tolist() == [Reason.NO_EVM]
    with pytest.raises(ArgumentError, match="Cancun, or a later fork"):
        EngineConfig(evm="london")
    with pytest.raises(ArgumentError, match="one of Frontier"):
        EngineConfig(evm="pluto")


def test_what_is_carried_is_refused_where_it_cannot_be() -> None:
    good = raw(1, 0, address(2))
    assert carried(good).scheme[0] == Scheme.ETHEREUM
    fields = rlp.decode(good[1:])
    for encoding, words in (
        (b"", "no encoding"),
        (raw(1, 0, address(2), gasPrice=1, chainId=None), "names no chain"),
        (raw(1, 0, address(2), gasPrice=1 << 64), "2\\^64 or more"),
        (b"\2" + rlp.encode([*fields[:-2], b"\xff" * 32, fields[-1]]), "gives no sender"),
    ):
        with pytest.raises(ArgumentError, match=words):
            carried(encoding)


def test_initcode_of_a_creation_that_fails_leaves_nothing() -> None:
    with opened() as engine:
        made = engine.execute(
            carried(raw(1, 0, None, b"\xfe", gas=100_000), raw(1, 1, None, initcode(b"\xef")))
        )
        assert made.receipts.reason.tolist() == [Reason.EVM_HALTED] * 2
        assert made.receipts.return_value.tolist() == [HaltReason.INVALID_OPCODE, HaltReason.CODE_PREFIX]
        assert engine.account(created_address(address(1), 0)) == (0, 0)
        assert engine.account(address(1))[0] == 2
