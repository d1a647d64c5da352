# SPDX-License-Identifier: GPL-3.0-or-later
"""The circuit breaker by a clock of the test's own, and the known-answer test that closes it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from fault_device import FaultDevice, Faults, lend
from fault_rows import OPERATION, Outcome, counted, right, rows_batch

from supervm.engine.scheduler import Strategy
from supervm.engine.scheduler.breaker import CircuitBreaker, State
from supervm.kernels.errors import UnknownOperation


class Clock:
    """Seconds that pass when they are told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def breaker(clock):
    return CircuitBreaker(30.0, 100.0, clock)


def test_two_mismatches_in_a_row_open_it(breaker):
    breaker.mismatch("a")
    breaker.success("a")
    breaker.mismatch("a")
    assert breaker.closed
    breaker.mismatch("b")
    assert breaker.state is State.OPEN
    assert "b: a result differs" in breaker.reason


def test_three_failures_in_a_minute_open_it(breaker, clock):
    for _ in range(6):
        breaker.failure("a", "launch")
        clock.now += 30.1
        assert breaker.closed
    clock.now += 60
    for _ in range(2):
        breaker.failure("a", "launch")
        clock.now += 29
        assert breaker.closed
    breaker.failure("a", "launch")
    assert not breaker.closed


def test_successes_do_not_hide_failures(breaker):
    for _ in range(3):
        breaker.failure("a", "launch")
        breaker.success("a")
    assert not breaker.closed


def test_one_prober_after_the_cool_down(breaker, clock):
    breaker.trip("a", "no answer")
    clock.now += 29.9
    assert breaker.probe() == ()
    clock.now += 0.2
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: breaker.probe(), range(8)))
    assert sorted(found) == [()] * 7 + [("a",)]
    assert breaker.state is State.HALF_OPEN
    assert not breaker.closed
    breaker.probed("")
    assert breaker.closed
    assert breaker.reason == ""


def test_every_suspect_is_tested(breaker, clock):
    breaker.failure("a", "launch")
    breaker.mismatch("b")
    breaker.mismatch("b")
    clock.now += 31
    assert breaker.probe() == ("a", "b")


def test_cool_downs_double_up_to_a_limit_until_a_clean_batch(breaker, clock):
    breaker.trip("a", "x")
    for wait in (30, 60, 100, 100):
        clock.now += wait - 0.1
        assert breaker.probe() == ()
        clock.now += 0.2
        assert breaker.probe() == ("a",)
        breaker.probed("still wrong")
        assert breaker.reason == "still wrong"
    clock.now += 101
    breaker.probe()
    breaker.probed("")
    breaker.success("a")
    breaker.trip("a", "x")
    clock.now += 30.1
    assert breaker.probe() == ("a",)


def test_known_answers_alone_do_not_shorten_the_cool_down(breaker, clock):
    breaker.trip("a", "x")
    clock.now += 31
    breaker.probe()
    breaker.probed("")
    breaker.trip("a", "x")
    clock.now += 31
    assert breaker.probe() == ()
    clock.now += 30
    assert breaker.probe() == ("a",)


def test_failures_while_open_do_not_prolong_it(breaker, clock):
    breaker.trip("a", "x")
    clock.now += 29
    for _ in range(5):
        breaker.trip("a", "x")
    clock.now += 2
    assert breaker.probe() == ("a",)


def test_lost_is_for_good(breaker, clock):
    breaker.lose("fell off the bus")
    breaker.failure("a", "x")
    clock.now += 1e9
    assert breaker.probe() == ()
    breaker.probed("")
    assert breaker.state is State.LOST
    assert breaker.reason == "fell off the bus"


# In a scheduler


@pytest.fixture
def device():
    return FaultDevice()


def opened(make, device, answers, **more):
    """A scheduler whose circuit has just opened, on a device that is well again."""
    lend(OPERATION, 2)
    device.faults = Faults(wrong_items=1)
    scheduler = make(
        device, strategy=Strategy.GPU_ONLY, cooldown=0.05, options={"known_answers": answers} | more
    )
    (executor,) = scheduler._devices
    clock = Clock()
    executor.breaker = CircuitBreaker(30.0, 100.0, clock)
    for seed in range(3):
        batch = rows_batch(30, seed)
        scheduler.dispatch(batch)
        assert right(batch)
    assert executor.breaker.state is State.OPEN
    assert len(device.calls) == 2
    device.faults = Faults()
    return scheduler, executor, clock


def test_known_answers_close_it(make, device):
    asked = []

    def answers(operation, backend):
        asked.append((operation, backend))
        return Outcome(len(asked) > 1, "2 of 3 answers differ")

    scheduler, executor, clock = opened(make, device, answers)
    assert not asked
    clock.now += 31
    scheduler.dispatch(rows_batch(30))
    assert asked == [(OPERATION, "cuda")]
    assert executor.breaker.state is State.OPEN
    assert "2 of 3 answers differ" in executor.breaker.reason
    assert "2 of 3 answers differ" in scheduler.report([OPERATION]).executors[-1].reason
    clock.now += 61
    batch = rows_batch(30, 9)
    scheduler.dispatch(batch)
    assert right(batch)
    assert len(asked) == 2
    assert executor.breaker.closed
    assert len(device.calls) == 3
    assert counted(scheduler, "supervm_backend_fallback_total", reason="circuit_open") == 2


def test_a_test_that_raises_is_a_failed_test(make, device):
    def answers(operation, backend):
        raise RuntimeError("driver bug")

    scheduler, executor, clock = opened(make, device, answers)
    clock.now += 31
    batch = rows_batch(30)
    scheduler.dispatch(batch)
    assert right(batch)
    assert executor.breaker.state is State.OPEN
    assert "driver bug" in executor.breaker.reason


@pytest.mark.parametrize(("wrong", "state"), [(0, State.CLOSED), (1, State.OPEN)])
def test_without_known_answers_the_cpu_is_asked(make, device, wrong, state):
    def answers(operation, backend):
        raise UnknownOperation(operation)

    work = lambda operation, items, message_bytes=64: rows_batch(items)  # noqa: E731
    scheduler, executor, clock = opened(make, device, answers, workload=work)
    device.faults = Faults(wrong_items=wrong)
    clock.now += 31
    batch = rows_batch(30)
    scheduler.dispatch(batch)
    assert right(batch)
    assert executor.breaker.state is state


def test_real_known_answers_run_on_the_device(make, device):
    """The default test of the scheduler, through `supervm.crypto`, in the device's thread."""
    from supervm.crypto import hashes

    lend("sha256", 1)
    device.faults = Faults(now_and_then=1)
    scheduler = make(device, strategy=Strategy.GPU_ONLY)
    (executor,) = scheduler._devices
    clock = Clock()
    executor.breaker = CircuitBreaker(30.0, 100.0, clock)
    with scheduler:
        for _ in range(3):
            hashes.sha256_batch([b"abc"])
        assert executor.breaker.state is State.OPEN
        device.faults = Faults()
        clock.now += 31
        before = len(device.calls)
        hashes.sha256_batch([b"abc"])
    assert executor.breaker.state is State.CLOSED
    assert len(device.calls) == before + 2
    assert device.calls[-2] > 1, "the known answers"
