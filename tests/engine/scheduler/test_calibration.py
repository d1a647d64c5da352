# SPDX-License-Identifier: GPL-3.0-or-later
"""Timing by a clock that only work moves; the file; the typical work; and the first use of an operation."""

from __future__ import annotations

import json
import logging
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from fault_device import FaultDevice, Faults, lend
from fault_rows import OPERATION, counted, line, right, rows_batch, rows_function

from supervm.engine.scheduler import Scheduler, SchedulerSettings, Strategy
from supervm.engine.scheduler.calibration import CPU_SIZES, DEVICE_SIZES, calibrate
from supervm.engine.scheduler.cost import CostModel
from supervm.engine.scheduler.store import CalibrationStore, this_machine
from supervm.engine.scheduler.workloads import workload
from supervm.kernels import registry
from supervm.kernels.choices import Choices
from supervm.kernels.errors import DeviceOutOfMemory, UnknownOperation
from supervm.kernels.work import Batch


class Simulated:
    """A clock, and an executor on which work takes what `cost(items, bytes)` says."""

    def __init__(self, cost, memory=None):
        self.now, self.cost, self.memory, self.runs = 0.0, cost, memory, []

    def clock(self):
        return self.now

    def run(self, work):
        if self.memory is not None and work.items > self.memory:
            raise DeviceOutOfMemory("device", "full")
        self.now += 1.0 if not self.runs else self.cost(work.items, work.bytes)
        self.runs.append(work.items)

    def model(self, operation="sha256", sizes=CPU_SIZES, budget=0.15):
        return calibrate(operation, self.run, workload, sizes, budget, self.clock)


def test_points_are_what_was_timed():
    simulated = Simulated(lambda items, size: 20e-6 + -(-items // 8) * 8e-6)
    model = simulated.model()
    assert model.sizes == CPU_SIZES
    assert model.seconds == pytest.approx([20e-6 + -(-items // 8) * 8e-6 for items in CPU_SIZES])


def test_compilation_does_not_count():
    """The first run takes a second, more than the budget."""
    assert len(Simulated(lambda items, size: items * 1e-6).model().sizes) == len(CPU_SIZES)


def test_it_stops_when_the_budget_is_spent():
    slow = Simulated(lambda items, size: items * 100e-6)
    model = slow.model()
    assert model.sizes == CPU_SIZES[: len(model.sizes)]
    assert 64 <= model.sizes[-1] < 4096
    assert slow.now - 1.0 < 2 * 0.15
    slower = Simulated(lambda items, size: items * 10.0)
    assert slower.model().sizes == (1, 2)


def test_what_a_byte_costs():
    model = Simulated(lambda items, size: 10e-6 + items * 1e-6 + size * 1e-9).model()
    assert model.per_byte == pytest.approx(1e-9)
    usual, long = workload("sha256", 100), workload("sha256", 100, 5000)
    assert model.estimate(100, usual.bytes) == pytest.approx(110e-6 + usual.bytes * 1e-9, rel=0.02)
    assert model.estimate(100, long.bytes) == pytest.approx(110e-6 + long.bytes * 1e-9, rel=0.02)
    assert Simulated(lambda items, size: items * 1e-6).model("secp256k1.ecdsa_verify").per_byte == 0.0


def test_memory_ends_it():
    model = Simulated(lambda items, size: 1e-4 + items * 1e-8, memory=5000).model(sizes=DEVICE_SIZES)
    assert model.sizes[-1] == 4096
    with pytest.raises(DeviceOutOfMemory):
        Simulated(lambda items, size: 1e-4, memory=5).model(sizes=DEVICE_SIZES)


@pytest.mark.parametrize("disturbed", range(5))
def test_one_disturbed_run_does_not_show(disturbed):
    def cost(items, size):
        turn = len([n for n in simulated.runs[1:] if n == items])
        return items * 1e-6 * (50 if turn == disturbed else 1)

    simulated = Simulated(cost)
    assert simulated.model(budget=10.0).seconds == pytest.approx([items * 1e-6 for items in CPU_SIZES])


def on_cpu(threads, item):
    """Lanes in groups of eight, slices of 256 items, each on a thread; rounds of slices follow each other."""

    def cost(items, size):
        rounds = (min(256, items - start) for start in range(0, items, 256 * threads))
        return 12e-6 + item * sum(-(-longest // 8) * 8 for longest in rounds)

    return cost


def on_device(fixed, item):
    """Waves of blocks, on top of what every item costs."""
    return lambda items, size: fixed + item * items + 30e-6 * -(-items // 16384)


@pytest.mark.parametrize("threads", [1, 4, 16, 64])
@pytest.mark.parametrize("item", [10e-6, 50e-9])
@pytest.mark.parametrize("fixed", [100e-6, 300e-6, 1e-3])
@pytest.mark.parametrize("device_item", [66e-9, 1e-9])
def test_the_choice_is_within_a_tenth_of_the_best(threads, item, fixed, device_item):
    """From 2^6 to 2^22 items, by what two simulated executors really take."""
    cpu, device = on_cpu(threads, item), on_device(fixed, device_item)
    cpu_model, device_model = Simulated(cpu).model(), Simulated(device).model(sizes=DEVICE_SIZES)
    for items in (*(1 << power for power in range(6, 23)), 100, 300, 1000, 3000, 10_000, 100_000):
        took = cpu(items, 0), device(items, 0)
        chosen = took[device_model.estimate(items, 0) < cpu_model.estimate(items, 0)]
        assert chosen <= 1.1 * min(took), items


# Typical work


@pytest.mark.parametrize(
    "operation",
    ["ed25519.verify", "secp256k1.ecdsa_verify", "secp256k1.ecdsa_recover", "secp256k1.schnorr_verify"],
)
def test_typical_signatures_are_valid(operation):
    work = workload(operation, 100)
    assert isinstance(work, Batch)
    work.run(registry.resolve(operation).function)
    assert (work.outputs[-1] == 1).all()


@pytest.mark.parametrize("operation", [name for name in registry.operations() if name != OPERATION])
def test_every_operation_has_typical_work(operation):
    for items in (1, 65):
        work = workload(operation, items)
        assert (work.operation, work.items) == (operation, items)
        assert work.bytes > 0
        work.run(registry.resolve(operation).function)
    assert workload(operation, 9, 1000).items == 9


def test_no_work_for_what_nobody_knows():
    with pytest.raises(UnknownOperation, match="no such"):
        workload("no such", 3)


# The file


@pytest.fixture
def store(tmp_path):
    return CalibrationStore(this_machine(["GPU (0)"]), tmp_path)


def same(one, other):
    return (one.sizes, one.seconds, one.per_byte) == (other.sizes, other.seconds, other.per_byte)


def test_stored_models_come_back(store):
    assert store.load() == {}
    first = {("a", "ifma"): CostModel((1, 9), (1e-6, 2e-6), 3.0, 4e-9)}
    store.save(first)
    store.save({("b", "GPU (0)"): line(1e-3, 1e-9)})
    found = store.load()
    assert set(found) == {("a", "ifma"), ("b", "GPU (0)")}
    assert same(found["a", "ifma"], first["a", "ifma"])
    assert [path.suffix for path in store.path.parent.iterdir()] == [".json"]


def test_machines_have_files_of_their_own(store, tmp_path, monkeypatch):
    store.save({("a", "ifma"): line(0.0, 1e-6)})
    assert CalibrationStore(this_machine([]), tmp_path).load() == {}
    monkeypatch.setattr("supervm.engine.scheduler.store.get_threads", lambda: 31)
    assert CalibrationStore(this_machine(["GPU (0)"]), tmp_path).load() == {}


def broken_texts(text):
    found = json.loads(text)
    for change in (
        {"format": 99},
        {"machine": found["machine"] | {"cores": 10**6}},
        {"models": [found["models"][0] | {"seconds": [1.0, -1.0, 1.0]}]},
        {"models": [found["models"][0] | {"sizes": [3, 2, 1]}]},
        {"models": [found["models"][0] | {"sizes": []}]},
        {"models": "none"},
    ):
        yield json.dumps(found | change).encode()
    yield from (b"", b"\xff\x00", text[: len(text) // 2], b"[]")


def test_unusable_files_are_made_anew(store, tmp_path, caplog):
    store.save({("a", "ifma"): line(0.0, 1e-6)})
    for text in broken_texts(store.path.read_bytes()):
        store.path.write_bytes(text)
        caplog.clear()
        again = CalibrationStore(this_machine(["GPU (0)"]), tmp_path)
        with caplog.at_level(logging.WARNING):
            assert again.load() == again.load() == {}
            again.save({("b", "ifma"): line(0.0, 1e-6)})
        assert len(caplog.records) == 1
        assert set(again.load()) == {("b", "ifma")}


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    store = CalibrationStore(this_machine([]), tmp_path / "file" / "folder")
    with caplog.at_level(logging.WARNING):
        store.save({("a", "ifma"): line(0.0, 1e-6)})
    assert "timed again" in caplog.text
    assert store.load() == {}


def test_many_writers_leave_a_whole_file(store, tmp_path):
    def write(number):
        own = CalibrationStore(this_machine(["GPU (0)"]), tmp_path)
        for _ in range(10):
            own.save({(f"operation {number}", "ifma"): line(0.0, 1e-6)})
        return own.load()

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(write, range(6)))
    assert store.load()
    assert len(os.listdir(tmp_path)) == 1


# At the first use of an operation


def measured_work(operation, items, message_bytes=64):
    return rows_batch(items)


def first_use(tmp_path, *devices, **settings):
    policy = SchedulerSettings(**({"calibration_seconds": 0.02} | settings))
    return Scheduler(policy, devices, workload=measured_work, folder=tmp_path)


def test_the_first_use_measures_and_the_next_process_knows(tmp_path):
    lend(OPERATION, 2)
    device = FaultDevice()
    with first_use(tmp_path, device) as scheduler:
        batch = rows_batch(100)
        registry.run(batch)
        assert right(batch)
        assert {1, 64} <= set(device.calls)
        kept = [path for path in tmp_path.iterdir() if not path.name.startswith("choices-")]
        assert len(kept) == 1, "kept at once, whatever becomes of this process"
        (cpu, gpu) = scheduler.report([OPERATION]).operations[0].routes
        assert cpu.measured[:4] == (1, 2, 4, 8)
        assert gpu.measured[:2] == (1, 64)
        assert gpu.fixed >= 0
        assert gpu.per_item >= 0
    again = FaultDevice()
    with first_use(tmp_path, again) as scheduler:
        (cpu, gpu) = scheduler.report([OPERATION]).operations[0].routes
        assert cpu.measured
        assert gpu.measured
        registry.run(rows_batch(100))
        assert len(again.calls) <= 1
        assert scheduler.report([OPERATION]).calibration_file == str(kept[0])


def test_one_executor_is_not_measured(tmp_path):
    def never(operation, items, message_bytes=64):
        raise AssertionError("timed for nothing")

    with Scheduler(SchedulerSettings(), folder=tmp_path, workload=never) as scheduler:
        batch = rows_batch(100)
        registry.run(batch)
        scheduler.calibrate([OPERATION])
    assert right(batch)
    assert not list(tmp_path.iterdir())


def test_eight_threads_measure_once(tmp_path):
    lend(OPERATION, 2)
    device = FaultDevice()
    with first_use(tmp_path, device) as scheduler, ThreadPoolExecutor(8) as pool:
        batches = [rows_batch(100, seed) for seed in range(24)]
        list(pool.map(scheduler.dispatch, batches))
    assert all(right(batch) for batch in batches)
    assert device.calls.count(64) <= 8, "five runs of that size, and three more to see what a byte costs"


@pytest.mark.parametrize(
    ("reason", "faults"),
    [
        ("device_error", Faults(now_and_then=1)),
        ("mismatch", Faults(wrong_items=9)),
        ("out_of_memory", Faults(memory_items=0)),
    ],
)
def test_a_device_that_fails_while_it_is_measured(tmp_path, faults, reason):
    lend(OPERATION, 2)
    device = FaultDevice(faults=faults)
    with first_use(tmp_path, device, recheck=1.0) as scheduler:
        for seed in range(8):
            batch = rows_batch(100, seed)
            registry.run(batch)
            assert right(batch)
        assert counted(scheduler, "supervm_backend_fallback_total", reason=reason) in (2, 3)
        assert not scheduler._devices[0].ready


def test_it_may_be_turned_off(tmp_path):
    lend(OPERATION, 2)
    device = FaultDevice()
    with first_use(tmp_path, device, calibrate=False, default_threshold=50, remember=False):
        for items in (49, 50, 51):
            registry.run(rows_batch(items))
    assert device.calls == [50, 51]


def test_what_cannot_be_measured_goes_by_the_threshold(tmp_path):
    lend(OPERATION, 2)
    device = FaultDevice()
    with Scheduler(SchedulerSettings(default_threshold=50), [device], folder=tmp_path):
        for items in (49, 50, 49):
            registry.run(rows_batch(items))
    assert device.calls == [50]


def test_calibration_ahead(tmp_path):
    lend(OPERATION, 2)
    device = FaultDevice()
    scheduler = first_use(tmp_path, device, strategy=Strategy.BALANCE)
    scheduler.calibrate([OPERATION])
    assert device.calls
    assert not scheduler._plans[OPERATION].unmeasured
    scheduler.close()


def test_every_cpu_backend_if_asked(tmp_path):
    calls = []

    def slow(*arguments):
        calls.append(1)
        sum(range(20_000))
        rows_function(*arguments)

    registry.register(OPERATION, "ifma", slow)
    with first_use(tmp_path, all_cpu_backends=True):
        registry.run(rows_batch(10))
        before = len(calls)
        for _ in range(5):
            registry.run(rows_batch(10))
        assert len(calls) == before, "scalar is faster here"
    calls.clear()
    with first_use(tmp_path, all_cpu_backends=True):
        registry.run(rows_batch(10))
    assert not calls, "known from before"
    assert Choices(tmp_path).load()[OPERATION][0] == (1, "scalar"), "and kept for who has no scheduler"
    with first_use(tmp_path):
        for _ in range(5):
            registry.run(rows_batch(10))
    assert not calls, "nor does a process that compares nothing take the slower one"
