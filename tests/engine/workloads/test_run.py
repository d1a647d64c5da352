# SPDX-License-Identifier: GPL-3.0-or-later
"""Workloads on engines: what is conserved, where two runs differ first, and what a genesis may not be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from supervm.crypto.messages import Messages
from supervm.engine.config import EngineConfig, Mode
from supervm.engine.engine import Engine
from supervm.engine.execution.executor import BlockExecutor
from supervm.engine.state.keys import storage_keys
from supervm.engine.storage import Storage
from supervm.engine.transactions.contract_calls import (
    MARKET_POOL_KEY,
    market_balance_keys,
    token_balance_keys,
)
from supervm.engine.workloads import Deployment, Parameters, Workload, generate
from supervm.engine.workloads.conservation import Holdings, holdings
from supervm.engine.workloads.parts import MARKET_EACH, MARKET_RESERVE, TOKENS_EACH
from supervm.engine.workloads.run import first_difference, place_genesis, run_workload, warm
from supervm.kernels.errors import ArgumentError

ACCOUNTS = 20
PARAMETERS = Parameters(transactions=150, accounts=ACCOUNTS, block_size=60, declared=True)


def _executed(engine: Engine, workload: Workload) -> None:
    place_genesis(engine, workload.genesis)
    for result in engine.run(workload.blocks):
        assert result.receipts.success.all()


def _preset(engine: Engine, address: bytes, key: bytes, value: bytes) -> None:
    row = storage_keys(np.frombuffer(address, np.uint8), np.frombuffer(key, np.uint8)[None])
    engine.preset(Messages.of(row), Messages.of([value]))


@pytest.mark.parametrize("chunk", [7, 65_536])
def test_holdings_of_a_token(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr("supervm.engine.workloads.conservation.CHUNK_KEYS", chunk)
    workload = generate("token", PARAMETERS)
    [deployed] = workload.genesis.deployments
    with Engine.open(None) as engine:
        _executed(engine, workload)
        money = engine.supply
        held = holdings(engine, workload.genesis)
        assert held == Holdings(money, ((ACCOUNTS * TOKENS_EACH, ACCOUNTS * TOKENS_EACH),))
        assert held.consistent
        keys = token_balance_keys(workload.genesis.addresses)
        stored = [engine.get(deployed.address, key.tobytes()) or b"" for key in keys]
        assert sum(int.from_bytes(value, "little") for value in stored) == held.contracts[0][0]
        # An allowance is no balance; a unit too much of one is seen, as is one in the highest byte.
        _preset(engine, deployed.address, keys[0].tobytes() + keys[1].tobytes(), b"\xff" * 32)
        assert holdings(engine, workload.genesis) == held
        more = int.from_bytes(stored[3], "little") + 1
        _preset(engine, deployed.address, keys[3].tobytes(), more.to_bytes(32, "little"))
        spoilt = holdings(engine, workload.genesis)
        assert spoilt.contracts[0][0] == held.contracts[0][0] + 1
        assert not spoilt.consistent
        _preset(engine, deployed.address, keys[3].tobytes(), bytes(31) + b"\x01")
        assert holdings(engine, workload.genesis).contracts[0][0] > 1 << 248


def test_holdings_of_a_market() -> None:
    workload = generate("amm", PARAMETERS)
    [deployed] = workload.genesis.deployments
    total = ACCOUNTS * MARKET_EACH + MARKET_RESERVE
    with Engine.open(None) as engine:
        _executed(engine, workload)
        held = holdings(engine, workload.genesis)
        assert held.contracts == ((total, total), (total, total), (MARKET_RESERVE, MARKET_RESERVE))
        pool = engine.get(deployed.address, MARKET_POOL_KEY) or b""
        for word in range(3):
            spoilt = bytearray(pool)
            spoilt[8 * word] ^= 1
            _preset(engine, deployed.address, MARKET_POOL_KEY, bytes(spoilt))
            assert not holdings(engine, workload.genesis).consistent
        _preset(engine, deployed.address, MARKET_POOL_KEY, pool)
        assert holdings(engine, workload.genesis) == held
        for side in range(3):
            key = market_balance_keys(side, workload.genesis.addresses[:1])[0].tobytes()
            before = engine.get(deployed.address, key) or bytes(8)
            _preset(engine, deployed.address, key, bytes([before[0] ^ 1]) + before[1:])
            assert not holdings(engine, workload.genesis).consistent
            _preset(engine, deployed.address, key, before)


def test_money_that_appears_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    workload = generate("transfers", PARAMETERS)
    assert run_workload(workload, EngineConfig()).conserved
    run = Engine.run

    def with_a_gift(self: Engine, batches: object) -> object:
        yield from run(self, batches)  # type: ignore[arg-type]
        self.credit(workload.genesis.addresses[:1], workload.genesis.balances[:1])

    monkeypatch.setattr(Engine, "run", with_a_gift)
    assert not run_workload(workload, EngineConfig()).conserved


def test_tokens_that_vanish_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    workload = generate("token", PARAMETERS)
    [deployed] = workload.genesis.deployments
    run = Engine.run

    def with_a_loss(self: Engine, batches: object) -> object:
        yield from run(self, batches)  # type: ignore[arg-type]
        key = token_balance_keys(workload.genesis.addresses[:1])[0].tobytes()
        _preset(self, deployed.address, key, bytes(32))

    monkeypatch.setattr(Engine, "run", with_a_loss)
    assert not run_workload(workload, EngineConfig()).conserved


def test_a_supply_that_changes_with_its_balances_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sums agree with each other then, and not with those of the genesis."""
    workload = generate("token", PARAMETERS)
    sums = iter([Holdings(engine_money(workload), ((5, 5),)), Holdings(engine_money(workload), ((6, 6),))])
    monkeypatch.setattr("supervm.engine.workloads.run.holdings", lambda *asked: next(sums))
    assert not run_workload(workload, EngineConfig()).conserved


def test_a_supply_that_is_none_of_the_balances_is_seen() -> None:
    workload = generate("token", PARAMETERS)
    values = workload.genesis.values
    # The last entry is the supply; nothing that is executed changes it.
    data = values.data.copy()
    data[values.offsets[-2]] ^= 1
    spoilt = replace(workload.genesis, values=Messages(data, values.offsets))
    assert not run_workload(replace(workload, genesis=spoilt), EngineConfig()).conserved


def test_the_time_ends_when_everything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flush, written = Storage.flush, []

    def noted(self: Storage) -> None:
        flush(self)
        written.append((self.written, self.head.sequence))

    monkeypatch.setattr(Storage, "flush", noted)
    run_workload(generate("transfers", PARAMETERS), EngineConfig(), path=tmp_path / "state")
    assert written
    assert written[0][0] == written[0][1] == 4  # balances and three blocks


def engine_money(workload: Workload) -> int:
    return sum(int.from_bytes(row.tobytes()) for row in workload.genesis.balances)


def test_runs_of_one_workload_are_equal_and_those_of_others_differ() -> None:
    workload = generate("mixed", PARAMETERS)
    runs = [run_workload(workload, EngineConfig(mode=mode, threads=2)) for mode in Mode]
    assert first_difference(*runs) is None
    assert runs[0].committed == 150
    assert (runs[0].rejected, runs[0].failed) == (0, 0)
    batch = workload.transactions
    nonce = batch.nonce.copy()
    nonce[65] += np.uint64(1)  # transaction 5 of block 1 is rejected
    other = run_workload(replace(workload, transactions=replace(batch, nonce=nonce)), EngineConfig())
    assert other.rejected >= 1
    assert other.conserved
    difference = first_difference(runs[0], other)
    assert difference is not None
    assert (difference.block, difference.transaction, difference.what) == (1, 5, "receipts")
    assert str(difference).startswith("block 1, transaction 5: receipts: parallel Receipt(")


def test_a_state_that_is_kept_is_the_one_in_memory(tmp_path: Path) -> None:
    workload = generate("token", PARAMETERS)
    kept = run_workload(workload, EngineConfig(threads=2), path=tmp_path / "state")
    assert first_difference(kept, run_workload(workload, EngineConfig())) is None
    assert "flush" in kept.stages
    with Engine.open(tmp_path / "state") as engine:
        assert engine.state_root == kept.state_root
        engine.detach()
        engine.credit(workload.genesis.addresses[:1], workload.genesis.balances[:1])
        assert engine.state_root != kept.state_root
    with Engine.open(tmp_path / "state") as engine:
        assert engine.state_root == kept.state_root
    with pytest.raises(ArgumentError, match="not empty"):
        run_workload(workload, EngineConfig(), path=tmp_path / "state")


def test_a_genesis_that_names_another_address() -> None:
    workload = generate("token", PARAMETERS)
    [deployed] = workload.genesis.deployments
    for wrong in (replace(deployed, address=bytes(20)), Deployment("none", bytes(32), bytes(20))):
        changed = replace(workload, genesis=replace(workload.genesis, deployments=(wrong,)))
        with pytest.raises(ArgumentError):
            run_workload(changed, EngineConfig())


def test_a_workload_without_transactions() -> None:
    run = run_workload(generate("token", replace(PARAMETERS, transactions=0)), EngineConfig())
    assert (run.committed, run.gas, run.conflict_rate) == (0, 0, 0.0)
    assert run.conserved


def test_warming_runs_both_modes_and_verifies(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[EngineConfig] = []
    monkeypatch.setattr(
        "supervm.engine.workloads.run.run_workload", lambda workload, config: asked.append(config)
    )
    warm(EngineConfig(schedule="waves"), signed=True)  # type: ignore[arg-type]
    assert {config.mode for config in asked} == set(Mode)
    assert {config.schedule.value for config in asked} == {"auto", "waves"}
    assert all(config.signatures for config in asked)


def test_warming_executes_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks on which that does not pay would leave its kernel to be compiled in the middle of a run."""
    ahead: list[int] = []
    run_optimistic = BlockExecutor.run_optimistic

    def counted(self: BlockExecutor, columns: Any) -> Any:
        ahead.append(1)
        return run_optimistic(self, columns)

    monkeypatch.setattr(BlockExecutor, "run_optimistic", counted)
    warm(EngineConfig(threads=2))
    assert ahead
