# SPDX-License-Identifier: GPL-3.0-or-later
"""The choice between execution ahead and block order follows what both took, and what conflicts."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from supervm.engine.blocks import pipeline
from supervm.engine.blocks.pace import FIRST_COMPARISON, LEAST_PAUSE, MOST_PAUSE, Pace
from supervm.engine.config import EngineConfig
from supervm.engine.engine import Engine
from supervm.engine.execution.pool import ExecutionPool
from supervm.engine.workloads import Parameters, generate
from supervm.engine.workloads.run import place_genesis


def _run(
    pace: Pace, blocks: int, ahead: float, ordered: float, count: int = 1000, measured: bool = True
) -> str:
    """Blocks that take so many seconds in each way: A where they were executed ahead, o in order."""
    ways = ""
    for _ in range(blocks):
        if pace.goes_ahead(count, measured):
            pace.ahead(count, ahead, measured)
            ways += "A"
        else:
            pace.in_order(count, ordered)
            ways += "o"
    return ways


def test_ahead_is_kept_while_it_is_faster():
    ways = _run(Pace(), 200, 1.0, 1.5)
    assert ways.startswith("A" * FIRST_COMPARISON + "oA")
    assert ways.count("o") == 1 + (200 - FIRST_COMPARISON) // MOST_PAUSE


def test_order_is_kept_while_ahead_is_slower():
    ways = _run(Pace(), 300, 1.5, 1.0)
    assert ways.startswith("AAAAoA" + "o" * LEAST_PAUSE + "A" + "o" * 2 * LEAST_PAUSE + "A")
    assert "o" * MOST_PAUSE + "A" + "o" * MOST_PAUSE in ways
    assert "o" * (MOST_PAUSE + 1) not in ways


def test_it_comes_back_when_the_machine_is_free_again():
    pace = Pace()
    _run(pace, 100, 1.5, 1.0)
    ways = _run(pace, 200, 0.6, 1.0)
    assert "o" * (MOST_PAUSE + 1) not in ways
    assert "A" * MOST_PAUSE in ways


def test_sizes_do_not_answer_for_each_other():
    pace = Pace()
    _run(pace, 100, 1.5, 1.0, count=100)
    assert _run(pace, 4, 1.0, 1.5, count=10_000) == "AAAA"


def test_without_measuring_only_conflicts_count():
    pace = Pace()
    assert _run(pace, 100, 1.5, 1.0, measured=False) == "A" * 100
    assert pace.goes_ahead(1000, False)
    pace.conflicts(1000)
    assert _run(pace, LEAST_PAUSE + 1, 1.0, 1.0, measured=False) == "o" * LEAST_PAUSE + "A"


def test_threads_that_wake_late_are_not_waited_for():
    pool, gate, ran = ExecutionPool(2), threading.Event(), []
    held = threading.Thread(target=lambda: pool.run(lambda: None, lambda: None))
    pool._queues[1].put((gate.wait, _future()))
    try:
        pool.run(lambda: ran.append(0), lambda: ran.append(1))
        assert ran == [0]
    finally:
        gate.set()
    held.start()
    held.join()
    pool.run(lambda: ran.append(2))
    pool.close()
    assert ran == [0, 2]


def _future():  # type: ignore[no-untyped-def]
    from concurrent.futures import Future

    return Future()


@pytest.mark.parametrize("worth", [0, 100, 10_000])
def test_a_pipeline_gives_the_same_with_and_without_its_thread(worth: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pipeline, "WORTH_A_THREAD", worth)
    traffic = generate("token", Parameters(transactions=450, accounts=50, block_size=100))
    threads: set[str] = set()
    with Engine.open(None, EngineConfig(threads=2)) as engine:
        place_genesis(engine, traffic.genesis)
        check = engine._runner.verify
        monkeypatch.setattr(
            engine._runner,
            "verify",
            lambda batch: threads.add(threading.current_thread().name) or check(batch),
        )
        sizes = [len(result.receipts) for result in engine.run(traffic.blocks)]
        root = engine.state_root
    with Engine.open(None, EngineConfig(mode="sequential")) as engine:
        place_genesis(engine, traffic.genesis)
        for block in traffic.blocks:
            assert engine.execute(block).receipts.success.all()
        assert engine.state_root == root
    assert sizes == [100, 100, 100, 100, 50]
    assert np.all([("supervm-verify" in threads) == (worth <= 100), len(threads) == 1])
