# SPDX-License-Identifier: GPL-3.0-or-later
"""How times are taken: order of the rounds, the best of them, and what is left as it was."""

import gc

import pytest

from supervm.benchmarks import measure
from supervm.benchmarks.measure import Contender, timings


class Clock:
    """Stands still except where a contender moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(measure, "time", clock)
    return clock


def test_rounds_alternate_after_one_warm_up_of_each(clock: Clock) -> None:
    calls: list[str] = []
    contenders = [Contender(lambda name=name: calls.append(name) or _pass(clock, 1.0), 1) for name in "ab"]
    timings(contenders, budget=0.0)
    assert calls == list("ab" * (1 + measure.MIN_ROUNDS))


def test_a_peer_repeats_until_it_had_its_share(clock: Clock) -> None:
    calls: list[str] = []
    ours = Contender(lambda: calls.append("a") or _pass(clock, 8.0), 1)
    peer = Contender(lambda: calls.append("b") or _pass(clock, 1.0), 1)
    timings([ours, peer], budget=0.0)
    assert "".join(calls) == "ab" + "abb" * measure.MIN_ROUNDS


def test_the_best_round_counts_and_the_warm_up_does_not(clock: Clock) -> None:
    durations = iter([0.001, 5.0, 2.0, 4.0])
    timing = timings([Contender(lambda: _pass(clock, next(durations)), 10)], budget=0.0)[0]
    assert timing.rate == 5.0
    assert timing.spread == pytest.approx(1.0)  # the median of 5, 2 and 4 seconds is twice the best


def test_equal_runs_have_no_spread(clock: Clock) -> None:
    found = timings([Contender(lambda: _pass(clock, 2.0), 10) for _ in range(2)], budget=0.0)
    assert [timing.spread for timing in found] == [0.0, 0.0]


def test_rounds_go_on_while_the_budget_lasts(clock: Clock) -> None:
    calls: list[int] = []
    timings([Contender(lambda: calls.append(1) or _pass(clock, 1.0), 1)], budget=4.5)
    assert len(calls) == 1 + 5
    calls.clear()
    timings([Contender(lambda: calls.append(1) or _pass(clock, 1.0), 1)], budget=1e9)
    assert len(calls) == 1 + measure.MAX_ROUNDS


def test_garbage_collection_is_off_while_timing_and_back_afterwards() -> None:
    seen: list[bool] = []
    timings([Contender(lambda: seen.append(gc.isenabled()), 1)], budget=0.0)
    assert seen[1:] == [False] * measure.MIN_ROUNDS
    assert gc.isenabled()


def test_the_loop_costs_something_and_less_than_a_verification() -> None:
    assert 0 < measure.loop_overhead_ns(1_000) < 10_000


def _pass(clock: Clock, seconds: float) -> None:
    clock.now += seconds
