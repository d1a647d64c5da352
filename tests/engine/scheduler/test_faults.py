# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way a device fails, under every strategy: no verdict is lost, swapped or altered."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from fault_device import LATE, FaultDevice, Faults, lend
from fault_rows import OPERATION, Outcome, counted, right, rows_batch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from patience import PATIENCE

from supervm.crypto import ed25519, hashes
from supervm.engine.conflicts import detect
from supervm.engine.ethereum.replay.replay import replay
from supervm.engine.scheduler import Strategy
from supervm.engine.scheduler.workloads import workload
from supervm.kernels import registry
from supervm.kernels.errors import ArgumentError, BackendUnavailable, DeviceError
from supervm.kernels.work import Batch

pytestmark = pytest.mark.fault

FALLBACKS = "supervm_backend_fallback_total"
MISMATCHES = "supervm_backend_mismatch_total"
BLOCKS = Path(__file__).resolve().parents[3] / "benchmarks" / "data" / "ethereum"
SMALL_BLOCKS = ("46147", "116525")

REPORTED = {
    "launch error": (lambda: Faults(launch=DeviceError("Fault Device (0)", "launch failed")), "device_error"),
    "unexpected exception": (lambda: Faults(launch=RuntimeError("driver bug")), "exception"),
    "host memory": (lambda: Faults(launch=MemoryError("no room for a twin")), "exception"),
    "now and then": (lambda: Faults(now_and_then=2), "device_error"),
    "out of memory": (lambda: Faults(memory_items=10), "out_of_memory"),
    "no memory at all": (lambda: Faults(memory_items=0), "out_of_memory"),
    "hang": (lambda: Faults(hang=threading.Event()), "timeout"),
    "lost in the middle": (lambda: Faults(lost_in_the_middle=True), "device_lost"),
}
"""Fault → how to make it, and under which reason it is counted."""

ACCELERATED = (Strategy.AUTO, Strategy.GPU_ONLY, Strategy.BALANCE)


def balanced(strategy):
    """Costs under which the strategy uses the device: equal ones for `balance`."""
    return {"cpu": (0.0, 1e-6), "device": (0.0, 1e-6)} if strategy is Strategy.BALANCE else {}


@pytest.mark.parametrize("strategy", ACCELERATED)
@pytest.mark.parametrize("name", REPORTED)
def test_reported_faults_alter_nothing(make, device, strategy, name):
    make_faults, reason = REPORTED[name]
    device.faults = make_faults()
    lend(OPERATION, 2)
    short = {"first_deadline": 0.05, "deadline_floor": 0.05} if device.faults.hang else {}
    scheduler = make(device, strategy=strategy, **balanced(strategy), **short)
    for seed in range(6):
        batch = rows_batch(40 + seed, seed)
        scheduler.dispatch(batch)
        assert right(batch), seed
    assert device.calls
    assert counted(scheduler, FALLBACKS, operation=OPERATION, reason=reason) >= 1
    assert counted(scheduler, MISMATCHES) == 0


@pytest.mark.parametrize("strategy", ACCELERATED)
@pytest.mark.parametrize("wrong", [1, 3, 1000])
def test_silent_faults_are_always_caught_at_recheck_1(make, device, strategy, wrong):
    device.faults = Faults(wrong_items=wrong)
    lend(OPERATION, 2)
    scheduler = make(device, strategy=strategy, **balanced(strategy))
    for seed in range(6):
        batch = rows_batch(50, seed)
        scheduler.dispatch(batch)
        assert right(batch), seed
    assert counted(scheduler, MISMATCHES, operation=OPERATION) == 2, "the second in a row opens the circuit"
    assert counted(scheduler, FALLBACKS, reason="mismatch") == 2
    assert counted(scheduler, FALLBACKS, reason="circuit_open") >= 4
    assert len(device.calls) == 2


@pytest.mark.parametrize(("share", "wrong"), [(0.05, 1), (0.05, 20), (0.01, 30), (0.2, 3)])
def test_detection_rate_is_the_stated_one(make, device, share, wrong):
    """1 − (1 − p)^k at least, and what drawing without replacement gives, within four standard deviations."""
    items, trials = 200, 400
    device.faults = Faults(wrong_items=wrong)
    lend(OPERATION, 2)
    scheduler = make(
        device,
        strategy=Strategy.GPU_ONLY,
        recheck=share,
        recheck_cap=1e9,
        cooldown=1e-9,
        most_cooldown=1e-9,
        options={"known_answers": lambda operation, backend: Outcome(True)},
    )
    batch = rows_batch(items)
    caught = 0
    for _ in range(trials):
        before = counted(scheduler, MISMATCHES)
        batch.outputs[1][...] = 99
        scheduler.dispatch(batch)
        found = counted(scheduler, MISMATCHES) > before
        assert found == right(batch)
        caught += found
    assert len(device.calls) == trials
    sample = round(items * share)
    exact = 1 - math.comb(items - wrong, sample) / math.comb(items, sample)
    stated = 1 - (1 - share) ** wrong
    assert exact >= stated - 1e-12
    assert abs(caught / trials - exact) <= 4 * math.sqrt(exact * (1 - exact) / trials)


def test_late_writes_reach_nobody(make, device):
    device.faults = Faults(hang=threading.Event())
    lend(OPERATION, 2)
    scheduler = make(device, strategy=Strategy.GPU_ONLY, first_deadline=0.05)
    batch = rows_batch(30)
    scheduler.dispatch(batch)
    assert right(batch)
    device.faults.hang.set()
    assert device.came_back.wait(PATIENCE)
    assert right(batch)
    assert not (batch.outputs[1].view(np.uint8) == LATE).any()


def test_a_device_that_hangs_is_left_alone(make, device):
    device.faults = Faults(hang=threading.Event())
    lend(OPERATION, 2)
    scheduler = make(device, strategy=Strategy.GPU_ONLY, first_deadline=0.05)
    for seed in range(5):
        batch = rows_batch(30, seed)
        scheduler.dispatch(batch)
        assert right(batch)
    assert device.calls == [30]
    assert counted(scheduler, FALLBACKS, reason="timeout") == 1
    assert counted(scheduler, FALLBACKS, reason="circuit_open") == 4


def test_a_slow_start_is_no_failure(make, device):
    device.faults = Faults(slow_start=1.5)
    lend(OPERATION, 2)
    scheduler = make(device, strategy=Strategy.GPU_ONLY, first_deadline=PATIENCE, deadline_floor=1.0)
    for seed in range(3):
        batch = rows_batch(30, seed)
        scheduler.dispatch(batch)
        assert right(batch)
    assert device.calls == [30] * 3
    assert counted(scheduler, FALLBACKS) == 0


def test_no_driver_is_a_reason(make, caplog):
    reason = "libcuda.so.1: cannot open shared object file"
    for operation, outputs in ((OPERATION, 2), ("sha256", 1)):
        lend(operation, outputs, reason)
    for strategy in (Strategy.AUTO, Strategy.BALANCE):
        scheduler = make(strategy=strategy, options={"no_devices": reason})
        caplog.clear()
        with caplog.at_level(logging.INFO):
            for seed in range(3):
                batch = rows_batch(30, seed)
                scheduler.dispatch(batch)
                assert right(batch)
            scheduler.dispatch(workload("sha256", 5))
        assert counted(scheduler, FALLBACKS, operation=OPERATION, reason="no_device") == 1
        assert reason in "".join(scheduler.report([OPERATION]).operations[0].reasons)
        (told,) = caplog.records
        assert reason in told.getMessage()
        assert told.levelname == "INFO", "a machine without a GPU is as it should be"
    with pytest.raises(BackendUnavailable, match=r"libcuda.*supervm-engine\[cuda13\]"):
        make(strategy=Strategy.GPU_ONLY, options={"no_devices": reason})


def test_a_backend_that_cannot_run_is_a_reason(make, device):
    lend(OPERATION, 2, reason="CUDA 11 is too old")
    scheduler = make(device)
    batch = rows_batch(30)
    scheduler.dispatch(batch)
    assert right(batch)
    assert counted(scheduler, FALLBACKS, reason="unavailable") == 1
    with pytest.raises(BackendUnavailable, match="CUDA 11 is too old"):
        make(device, strategy=Strategy.GPU_ONLY).dispatch(rows_batch(30))


def test_out_of_memory_halves_down_to_what_fits(make, device):
    device.faults = Faults(memory_items=10)
    lend(OPERATION, 2)
    scheduler = make(device, strategy=Strategy.GPU_ONLY)
    batch = rows_batch(64)
    scheduler.dispatch(batch)
    assert right(batch)
    assert [items for items in device.calls if items <= 10] == [8] * 8
    assert [items for items in device.calls if items > 10] == [64, 32, 16, 16, 32, 16, 16]


def test_a_device_without_memory_is_left_alone(make, device):
    device.faults = Faults(memory_items=0)
    lend(OPERATION, 2)
    scheduler = make(device, strategy=Strategy.GPU_ONLY, smallest_piece=40)
    for seed in range(6):
        batch = rows_batch(40, seed)
        scheduler.dispatch(batch)
        assert right(batch)
    assert device.calls == [40] * 3
    assert counted(scheduler, FALLBACKS, reason="out_of_memory") == 3
    assert counted(scheduler, FALLBACKS, reason="circuit_open") == 3


def test_a_caller_s_error_is_the_caller_s(make, device):
    device.faults = Faults(launch=ArgumentError("column", "5", "4"))
    lend(OPERATION, 2)
    scheduler = make(device)
    for _ in range(4):
        with pytest.raises(ArgumentError, match="column"):
            scheduler.dispatch(rows_batch(30))
    assert len(device.calls) == 4
    assert counted(scheduler, FALLBACKS) == 0


def test_each_reason_is_logged_once(make, device, caplog):
    device.faults = Faults(launch=RuntimeError("driver bug"))
    lend(OPERATION, 2)
    scheduler = make(device)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            scheduler.dispatch(rows_batch(30))
    assert [record.getMessage().count("driver bug") for record in caplog.records] == [1]
    assert counted(scheduler, FALLBACKS, reason="exception") == 3


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(0, 200), min_size=1, max_size=6),
    strategy=st.sampled_from(ACCELERATED),
    faults=st.lists(
        st.sampled_from([Faults(), Faults(memory_items=7), Faults(wrong_items=2), Faults(now_and_then=3)]),
        min_size=2,
    ),
)
def test_any_sizes_under_changing_faults(make, sizes, strategy, faults):
    devices = [FaultDevice("Fault Device (0)"), FaultDevice("Fault Device (1)", 1)]
    lend(OPERATION, 2)
    scheduler = make(*devices, strategy=strategy, **balanced(strategy))
    for turn, items in enumerate(sizes):
        for index, device in enumerate(devices):
            device.faults = faults[(turn + index) % len(faults)]
        batch = rows_batch(items, turn)
        scheduler.dispatch(batch)
        assert right(batch)


@pytest.mark.parametrize("strategy", ACCELERATED)
def test_eight_threads_on_a_flapping_device(make, device, strategy):
    """Half of the calls fail, and the circuit opens and closes all the time."""
    device.faults = Faults(now_and_then=2)
    lend(OPERATION, 2)
    scheduler = make(
        device,
        strategy=strategy,
        cooldown=1e-4,
        most_cooldown=1e-4,
        options={"known_answers": lambda operation, backend: Outcome(True)},
        **balanced(strategy),
    )

    def caller(number):
        batches = [rows_batch(20 + number, 100 * number + turn, offset=number) for turn in range(25)]
        for batch in batches:
            scheduler.dispatch(batch)
        return all(right(batch) for batch in batches)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(caller, range(8)))
    assert len(device.calls) >= 10
    assert counted(scheduler, "supervm_batch_items", operation=OPERATION) == sum(
        25 * (20 + n) for n in range(8)
    )


# Real operations

LISTED = json.loads(resources.files("supervm.crypto").joinpath("known_answers.json").read_text("utf-8"))
SIGNED = LISTED["ed25519.verify"]


def signature_batch():
    """Every known answer of Ed25519: (keys, messages, signatures), and the oracle's verdicts under `dalek`."""
    column = lambda name: np.array([list(bytes.fromhex(row[name])) for row in SIGNED], np.uint8)  # noqa: E731
    messages = [bytes.fromhex(row["message"]) for row in SIGNED]
    return (column("public_key"), messages, column("signature")), [row["dalek"] for row in SIGNED]


@pytest.mark.parametrize("strategy", ACCELERATED)
@pytest.mark.parametrize("name", [*REPORTED, "silent"])
def test_hashes_and_signatures_through_every_fault(make, device, strategy, name):
    device.faults = REPORTED[name][0]() if name in REPORTED else Faults(wrong_items=2)
    lend("sha256", 1)
    lend("ed25519.verify", 1)
    short = {"first_deadline": 0.05, "deadline_floor": 0.05} if device.faults.hang else {}
    arguments, verdicts = signature_batch()
    assert set(verdicts) == {-1, 0, 1}
    messages = [bytes([number]) * (number % 150) for number in range(70)]
    with make(device, strategy=strategy, **balanced(strategy), **short):
        for _ in range(2):
            digests = hashes.sha256_batch(messages)
            assert [row.tobytes() for row in digests] == [hashlib.sha256(m).digest() for m in messages]
            assert ed25519.verify_batch(*arguments).tolist() == verdicts
    assert device.calls


@pytest.mark.parametrize("name", [*REPORTED, "silent"])
def test_detection_through_every_fault(make, device, name):
    device.faults = REPORTED[name][0]() if name in REPORTED else Faults(wrong_items=2)
    lend("conflicts.detect", 0)
    short = {"first_deadline": 0.05, "deadline_floor": 0.05} if device.faults.hang else {}
    offsets, keys = np.arange(41), np.random.default_rng(3).integers(0, 9, (2, 40), np.uint64)
    expected = detect(offsets, keys[0], offsets, keys[1], rule="locking", edges=True)
    with make(device, **short):
        for _ in range(3):
            found = detect(offsets, keys[0], offsets, keys[1], rule="locking", edges=True)
            assert found.wave.tolist() == expected.wave.tolist()
            assert found.edges.tolist() == expected.edges.tolist()
    assert expected.wave_count > 1
    assert device.calls


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ACCELERATED)
def test_replay_on_a_flapping_device(make, device, strategy):
    device.faults = Faults(now_and_then=2)
    for operation, outputs in (("secp256k1.ecdsa_recover", 2), ("keccak256", 1), ("eth_address", 1)):
        lend(operation, outputs)
    lend("conflicts.detect", 0)
    answers = {"known_answers": lambda operation, backend: Outcome(True)}
    with make(
        device, strategy=strategy, cooldown=1e-4, most_cooldown=1e-4, options=answers, **balanced(strategy)
    ):
        report = replay([BLOCKS / name for name in SMALL_BLOCKS])
    assert report.ok
    assert len(device.calls) >= 4


def test_the_injected_faults_are_faults(device):
    """Without a scheduler each of them is seen: else the tests above could pass on a device that never fails."""
    lend(OPERATION, 2)
    function = registry.resolve(OPERATION, "cuda").function

    def run(batch: Batch) -> bool:
        with device.use():
            batch.run(function)
        return right(batch)

    assert run(rows_batch(20))
    device.faults = Faults(wrong_items=1)
    assert not run(rows_batch(20))
    for name, (make_faults, _) in REPORTED.items():
        device.faults = make_faults()
        if device.faults.hang is not None:
            device.faults.hang.set()
            assert not run(rows_batch(20))
        elif name != "now and then":
            with pytest.raises((RuntimeError, MemoryError), match=r"injected|driver bug|launch|no room"):
                run(rows_batch(20))


def test_a_check_that_fails_to_run_costs_time_only(make, device, monkeypatch):
    """No memory for the sample, say: the result is not trusted, and the CPU computes it."""
    lend(OPERATION, 2)
    scheduler = make(device, strategy=Strategy.GPU_ONLY)

    def exhausted(self, function, share, random):
        raise MemoryError("no room for a sample")

    monkeypatch.setattr(Batch, "mismatches", exhausted)
    batch = rows_batch(40, 1)
    scheduler.dispatch(batch)
    assert right(batch)
    assert device.calls == [40]
    assert counted(scheduler, FALLBACKS, operation=OPERATION, reason="exception") == 1


def test_one_operation_that_is_always_wrong_opens_the_circuit(make, device):
    """Clean batches of another operation in between do not hide it."""
    lend(OPERATION, 2)
    lend("sha256", 1)
    scheduler = make(device, strategy=Strategy.GPU_ONLY)
    for seed in range(2):
        device.faults = Faults(wrong_items=40)
        batch = rows_batch(40, seed)
        scheduler.dispatch(batch)
        assert right(batch)
        device.faults = Faults()
        scheduler.dispatch(workload("sha256", 8))
    assert scheduler.report([OPERATION]).executors[-1].circuit == "open"
