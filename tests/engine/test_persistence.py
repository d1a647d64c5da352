# SPDX-License-Identifier: GPL-3.0-or-later
"""Engines on a directory: closed and opened again, killed at any moment, with a storage that fails."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import engine_victim
import pytest
from engine_runs import all_roots, begin, blocks_of, config_of, end_of, genesis_commits

from supervm.engine.config import EngineConfig
from supervm.engine.engine import Engine
from supervm.engine.errors import StorageCorrupt, StorageFailed
from supervm.engine.workloads.workload import Workload
from supervm.kernels.errors import ArgumentError
from supervm.kernels.threads import set_threads
from supervm.vm.contracts import load
from supervm.vm.outcomes import Reason

KILLS = 34
SMALL: dict[str, Any] = {"transactions": 600, "accounts": 60, "block_size": 60}


@pytest.fixture(autouse=True)
def _one_thread_afterwards() -> Iterator[None]:
    yield
    set_threads(1)


def opened(path: Path | None, **settings: Any) -> Engine:
    return Engine.open(path, EngineConfig(**{"checkpoint_bytes": 20_000, **settings}))


def seen(engine: Engine, workload: Workload) -> list[Any]:
    """What an engine answers about itself."""
    accounts = [engine.account(address.tobytes()) for address in workload.genesis.addresses]
    stored = workload.genesis.keys
    values = [engine.state.get(stored[place]) for place in range(len(stored))]
    heights = range(engine.height + 2)
    return [engine.state.position, engine.supply, accounts, values, engine.snapshots] + [
        engine.receipts(height) for height in heights if engine.state.storage is not None
    ]


@pytest.mark.parametrize("name", ["mixed", "transfers"])
def test_closing_and_opening_changes_nothing(tmp_path, name):
    """After every second block; contracts are called, and blocks go on as they would have in memory."""
    workload = blocks_of(name, **SMALL, object_share=0.3 if name != "token" else 0.0)
    engine, roots = opened(tmp_path), []
    begin(engine, workload)
    for number, block in enumerate(workload.blocks):
        result = engine.execute(block)
        roots.append(result.state_root)
        assert engine.receipts(result.height) == result.receipts.to_bytes()
        if number % 4 == 1:
            engine.snapshot(f"after {number}")
        if number % 2 == 1:
            before = seen(engine, workload)
            engine.close()
            engine = opened(tmp_path, threads=1 + number % 3)
            assert seen(engine, workload) == before
    assert roots == end_of(workload)
    assert engine.state.storage is not None
    engine.state.storage.wait_checkpoint()
    assert engine.state.storage.checkpoint.generation > 0
    engine.close()


def test_rolling_back_after_opening_again(tmp_path):
    workload = blocks_of("mixed", **SMALL)
    blocks = list(workload.blocks)
    with opened(tmp_path) as engine:
        begin(engine, workload)
        for number, block in enumerate(blocks):
            if number in (0, 4):
                engine.snapshot(f"before {number}")
            engine.execute(block)
        late = engine.deploy(load("counter"), b"\1" * 32)
        assert engine.state.get(b"\2" + late) is not None
    roots = end_of(workload)
    with opened(tmp_path) as engine:
        assert engine.rollback("before 4") == roots[3]
        assert engine.state.get(b"\2" + late) is None
        assert [engine.execute(block).state_root for block in blocks[4:]] == roots[4:]
    with opened(tmp_path) as engine:
        assert engine.state_root == roots[-1]
        engine.rollback("before 0")
        engine.forget("before 4")
    with opened(tmp_path) as engine:
        assert list(engine.snapshots) == ["before 0"]
        assert engine.height == genesis_commits(workload)
        assert [engine.execute(block).state_root for block in blocks] == roots
        assert engine.deploy(load("counter"), b"\1" * 32) == late


def test_a_contract_of_a_state_rolled_back_is_unknown(tmp_path):
    workload = blocks_of("token", **SMALL)
    block = next(workload.blocks)
    with opened(tmp_path) as engine:
        engine.credit(workload.genesis.addresses, workload.genesis.balances)
        engine.snapshot("no contract")
        begin(engine, workload)
        assert engine.execute(block).stats.failed == 0
        engine.rollback("no contract")
        assert set(engine.execute(block).receipts.reason.tolist()) == {Reason.UNKNOWN_CONTRACT}


def test_another_hash_than_the_stored_one(tmp_path):
    workload = blocks_of("transfers", **SMALL)
    with opened(tmp_path, hash="keccak256") as engine:
        begin(engine, workload)
    with pytest.raises(StorageCorrupt, match="another hash"):
        opened(tmp_path, hash="sha256")
    with opened(tmp_path, hash="keccak256") as engine:
        assert engine.height == 1


def test_the_hash_makes_the_root_and_nothing_else():
    workload = blocks_of("mixed", **SMALL)
    with opened(None) as one, opened(None, hash="keccak256") as other:
        for engine in (one, other):
            begin(engine, workload)
        for block in workload.blocks:
            first, second = one.execute(block), other.execute(block)
            assert first.receipts.to_bytes() == second.receipts.to_bytes()
            assert first.state_root != second.state_root


def test_receipts_are_kept_for_so_many_blocks(tmp_path):
    workload = blocks_of("transfers", **SMALL)
    with opened(tmp_path, keep_receipts=3) as engine:
        begin(engine, workload)
        for block in workload.blocks:
            engine.execute(block)
        found = [engine.receipts(height) is not None for height in range(engine.height + 1)]
        assert found == [False] * (engine.height - 2) + [True] * 3
    with opened(tmp_path / "other", keep_receipts=0) as engine:
        begin(engine, workload)
        engine.execute(next(workload.blocks))
        assert engine.receipts(engine.height) is None


@pytest.mark.parametrize("mode", ["sequential", "parallel"])
def test_a_storage_that_fails_in_the_middle(tmp_path, monkeypatch, mode):
    """The error comes out, the state is what it was, and what comes next is as if nothing had been tried."""
    workload = blocks_of("mixed", **SMALL)
    blocks, roots = list(workload.blocks), end_of(workload)
    with opened(tmp_path, mode=mode, threads=2) as engine:
        begin(engine, workload)
        storage = engine.state.storage
        assert storage is not None

        def fail(*arguments: Any, **named: Any) -> None:
            raise StorageFailed(tmp_path, "injected", "open it again")

        for number, block in enumerate(blocks):
            before = seen(engine, workload)
            with monkeypatch.context() as patch:
                patch.setattr(storage, "commit", fail)
                for change in (
                    lambda block=block: engine.execute(block),
                    lambda number=number: engine.deploy(load("auction"), bytes([number]) * 32),
                    lambda: engine.credit(workload.genesis.addresses, workload.genesis.balances),
                ):
                    with pytest.raises(StorageFailed, match="injected"):
                        change()
                    assert seen(engine, workload) == before
            assert engine.execute(block).state_root == roots[number]
    with opened(tmp_path) as engine:
        assert engine.state_root == roots[-1]


def test_a_storage_that_has_failed_asks_to_be_opened_again(tmp_path):
    workload = blocks_of("transfers", **SMALL)
    blocks, roots = list(workload.blocks), end_of(workload)
    engine = opened(tmp_path)
    begin(engine, workload)
    engine.execute(blocks[0])
    assert engine.state.storage is not None
    engine.state.storage.flush()
    engine.state.storage._writer.fail(StorageFailed(tmp_path, "disk full", "open it again"))
    for _ in range(2):
        with pytest.raises(StorageFailed, match="open it again"):
            engine.execute(blocks[1])
        assert engine.state_root == roots[0]
    with pytest.raises(StorageFailed):
        engine.close()
    with opened(tmp_path) as engine:
        assert engine.execute(blocks[1]).state_root == roots[1]


@pytest.mark.parametrize("number", [0, -1, True, 1.5])
def test_sizes_of_checkpoints_that_cannot_be(number):
    with pytest.raises(ArgumentError, match="checkpoint_bytes"):
        EngineConfig(checkpoint_bytes=number)


class Victims:
    """Children that execute a persisted run; see `engine_victim`."""

    def __init__(self, name: str) -> None:
        command = [sys.executable, engine_victim.__file__, name]
        self._parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._await("ready")

    def close(self) -> None:
        assert self._parent.stdin is not None
        self._parent.stdin.close()
        assert self._parent.wait() == 0
        assert self._parent.stdout is not None
        self._parent.stdout.close()

    def killed(self, path: Path, threads: int, awaited: str, delay: float) -> int:
        """Kill a child `delay` seconds after it has said `awaited`; the last commit that it said was written."""
        assert self._parent.stdin is not None
        self._parent.stdin.write(f"{path} {threads}\n")
        self._parent.stdin.flush()
        lines = self._await(awaited)
        while not any(line.startswith("pid ") for line in lines):
            lines += self._await("pid ")
        time.sleep(delay)
        child = next(int(line.split()[1]) for line in lines if line.startswith("pid "))
        os.kill(child, signal.SIGKILL)
        lines += self._await("ended")
        return max([int(line.split()[1]) for line in lines if line.startswith("block ")], default=0)

    def _await(self, beginning: str) -> list[str]:
        """The lines up to the first one that begins like this."""
        assert self._parent.stdout is not None
        lines: list[str] = []
        while not lines or not lines[-1].startswith(beginning):
            line = self._parent.stdout.readline()
            assert line, f"the victims ended by themselves after {lines[-3:]}"
            assert not re.match("ended", line) or beginning == "ended", (
                f"a victim ended by itself: {lines[-3:]}"
            )
            lines.append(line)
        return lines


@pytest.mark.parametrize(
    ("name", "kills", "longest", "least"), [("token", KILLS, 0.12, 100), ("private", 8, 0.3, 8)]
)
def test_kills_at_any_moment_leave_the_last_whole_block(tmp_path, name, kills, longest, least):
    """While it opens, begins, executes, folds: the state is that of a sequential run in memory at that height.

    A slow machine does less between two kills: it is killed more often, until as much has been done.
    """
    workload = blocks_of(name, **engine_victim.WORKLOADS[name])
    roots, first = all_roots(workload), genesis_commits(workload)
    moments, heights, generations = random.Random(11), [0], [0]
    victims = Victims(name)
    try:
        for number in range(20 * kills):
            done, distinct = heights[-1] - first, len(set(heights))
            if number >= kills and done > least and generations[-1] >= least // 20 and distinct > kills // 2:
                break
            awaited = "started" if number % 5 == 0 else "opened"
            delay = moments.uniform(0, 0.03 if awaited == "started" else longest)
            reported = victims.killed(tmp_path, 1 + number % 2, awaited, delay)
            verifier = config_of(workload).verifier
            with opened(
                tmp_path, checkpoint_bytes=engine_victim.CHECKPOINT_BYTES, verifier=verifier
            ) as engine:
                assert engine.height >= max(reported, heights[-1])
                assert engine.state_root == roots[engine.height], f"kill {number} at height {engine.height}"
                named = (engine.height - first) // engine_victim.NAMED * engine_victim.NAMED + first
                held = [position.height for position in engine.snapshots.values()]
                assert held in ([], [named], [named - engine_victim.NAMED])
                assert engine.state.storage is not None
                heights.append(engine.height)
                generations.append(engine.state.storage.checkpoint.generation)
    finally:
        victims.close()
    print(f"heights {heights}, checkpoints {generations}")
    assert first + least < heights[-1] < len(roots), "too few blocks to mean anything, or all of them"
    assert generations[-1] >= least // 20, "too few checkpoints to mean anything"
    done = heights[-1] - first
    with opened(tmp_path, verifier=verifier) as engine:
        for number, block in enumerate(workload.blocks):
            if done <= number < done + 3:
                assert engine.execute(block).state_root == roots[first + number + 1]
    assert len(set(heights)) > kills // 2
