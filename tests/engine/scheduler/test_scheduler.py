# SPDX-License-Identifier: GPL-3.0-or-later
"""Where batches go under each strategy, and what is told about it."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from fault_device import FaultDevice, Faults, lend
from fault_rows import OPERATION, line, right, rows_batch, rows_function
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervm.engine.scheduler import Scheduler, Strategy
from supervm.engine.scheduler.metrics import ITEMS, LABELS, SECONDS, Metrics
from supervm.engine.scheduler.scheduler import EXPLORE
from supervm.engine.scheduler.workloads import workload
from supervm.kernels import registry
from supervm.kernels.cpu.backends import CPU_BACKENDS
from supervm.kernels.errors import BackendUnavailable, UnknownOperation


@pytest.fixture
def device():
    return FaultDevice()


def run(scheduler, items, seed=0):
    batch = rows_batch(items, seed)
    scheduler.dispatch(batch)
    assert right(batch)


def test_auto_takes_the_cheapest_at_each_size(make, device):
    lend(OPERATION, 2)
    scheduler = make(device, cpu=(0.0, 1e-3), device=(0.1, 1e-6))
    (operation,) = scheduler.report([OPERATION]).operations
    cpu, gpu = operation.routes
    assert gpu.crossover == 101  # the first above 0.1 / (1e-3 − 1e-6) = 100.1
    assert cpu.crossover is None
    for items in (1, 50, 90):
        run(scheduler, items)
    assert device.calls == []
    for items in (112, 300):
        run(scheduler, items)
    assert device.calls == [112, 300]


def test_auto_learns_that_a_device_is_slow(make, device):
    """Calibration said it costs a microsecond; every call costs much more than the CPU does, so it is left in the end."""
    lend(OPERATION, 2)
    scheduler = make(device, cpu=(0.0, 2e-7), device=(1e-6, 1e-9))
    for seed in range(150):
        run(scheduler, 100, seed)
    calls = len(device.calls)
    assert 0 < calls < 100
    assert device.calls[-1] == 100
    for seed in range(EXPLORE + 1):
        run(scheduler, 100, seed)
    assert calls < len(device.calls) <= calls + 10, "now and then it gets another chance"


def test_two_devices_share_what_many_threads_ask_for(make):
    devices = [FaultDevice("Fault Device (0)"), FaultDevice("Fault Device (1)", 1)]
    hang = threading.Event()
    lend(OPERATION, 2)
    scheduler = make(*devices, strategy=Strategy.GPU_ONLY, device=(1e-3, 1e-6))
    devices[0].faults = Faults(hang=hang)
    waiting = threading.Thread(target=scheduler.dispatch, args=(rows_batch(50),))
    waiting.start()
    for _ in range(1000):
        if devices[0].calls:
            break
        hang.wait(0.01)
    run(scheduler, 50)
    hang.set()
    waiting.join()
    assert (devices[0].calls, devices[1].calls) == ([50], [50])


def test_cpu_only(make, device):
    lend(OPERATION, 2)
    scheduler = make(device, strategy=Strategy.CPU_ONLY)
    run(scheduler, 5000)
    assert device.calls == []
    (operation,) = scheduler.report([OPERATION]).operations
    assert [route.backend for route in operation.routes] == ["scalar"]
    assert any("cpu-only" in reason for reason in operation.reasons)


def test_gpu_only_takes_the_gpu_whatever_it_costs(make, device):
    lend(OPERATION, 2)
    scheduler = make(device, strategy=Strategy.GPU_ONLY, cpu=(0.0, 1e-9), device=(1.0, 1.0))
    for items in (1, 2, 300):
        run(scheduler, items)
    assert device.calls == [1, 2, 300]
    (operation,) = scheduler.report(["sha256"]).operations
    assert not operation.routes
    assert "sha256 is not implemented for it" in operation.reasons[0]
    with pytest.raises(BackendUnavailable, match=r"sha256 is not implemented for it"):
        scheduler.dispatch(workload("sha256", 5))


def test_gpu_only_without_a_gpu(make):
    with pytest.raises(BackendUnavailable, match=r"no GPU was found.*install supervm-engine\[cuda13\]"):
        make(strategy=Strategy.GPU_ONLY)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(
    items=st.integers(0, 5000),
    cpu=st.floats(1e-7, 1e-5),
    gpus=st.lists(st.tuples(st.floats(0, 1e-3), st.floats(1e-8, 1e-5)), min_size=1, max_size=3),
)
def test_balance_keeps_the_order(make, items, cpu, gpus):
    devices = [FaultDevice(f"Fault Device ({index})", index) for index in range(len(gpus))]
    lend(OPERATION, 2)
    models = {(OPERATION, "scalar"): line(0.0, cpu)}
    models |= {(OPERATION, device.name): line(*costs) for device, costs in zip(devices, gpus, strict=True)}
    scheduler = make(*devices, strategy=Strategy.BALANCE, options={"models": models})
    run(scheduler, items)
    assert all(len(device.calls) <= 1 for device in devices)
    scheduler.close()


def test_balance_uses_all(make):
    devices = [FaultDevice("Fault Device (0)"), FaultDevice("Fault Device (1)", 1)]
    lend(OPERATION, 2)
    seen = []

    def on_cpu(columns, *rest):
        seen.append(len(columns))
        rows_function(columns, *rest)

    registry.register(OPERATION, "scalar", on_cpu)
    scheduler = make(*devices, strategy=Strategy.BALANCE, recheck=0.0, cpu=(0.0, 1e-6), device=(0.0, 5e-7))
    run(scheduler, 5000)
    parts = (1000, *devices[0].calls, *devices[1].calls)
    assert parts == pytest.approx((1000, 2000, 2000), abs=2)
    assert 1000 in [pytest.approx(items, abs=2) for items in seen]


def test_closing_one_leaves_another_installed(make, device):
    lend(OPERATION, 2)
    first, second = make(device), make(device)
    first.install()
    second.install()
    first.close()
    assert registry.dispatcher() == second.dispatch
    second.close()
    assert registry.dispatcher() is None


def test_it_answers_for_auto_only_while_it_is_installed(make, device):
    lend(OPERATION, 2)
    scheduler = make(device)
    with scheduler:
        registry.run(rows_batch(50))
        registry.run(rows_batch(60), "scalar")
        assert device.calls == [50]
    registry.run(rows_batch(50))
    assert device.calls == [50]
    batch = rows_batch(40)
    scheduler.dispatch(batch)
    assert right(batch), "a closed scheduler still computes"
    other = make(device)
    other.install()
    scheduler.uninstall()
    assert registry._dispatcher == other.dispatch
    other.uninstall()
    assert registry._dispatcher is None


def test_errors_of_the_cpu_and_of_names(make, device):
    registry.register(OPERATION, "scalar", lambda *arguments: 1 / 0)
    scheduler = make()
    registry.register("test.nothing", "ifma", print, lambda: "no IFMA here")
    with pytest.raises(ZeroDivisionError):
        scheduler.dispatch(rows_batch(5))
    with pytest.raises(UnknownOperation, match="no such"):
        scheduler.report(["no such"])
    (operation,) = scheduler.report(["test.nothing"]).operations
    assert "no CPU backend of test.nothing" in operation.reasons[0]
    scheduler.calibrate(["test.nothing"])
    with pytest.raises(BackendUnavailable, match=r"no CPU backend of test.nothing"):
        scheduler.dispatch(dataclasses.replace(rows_batch(5), operation="test.nothing"))


def test_an_empty_batch(make, device):
    lend(OPERATION, 2)
    for strategy in Strategy:
        run(make(device, strategy=strategy), 0)
    assert device.calls == []


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork processes")
def test_a_forked_process_goes_on_with_the_cpu(make, device):
    lend(OPERATION, 2)
    scheduler = make(device)
    run(scheduler, 50)
    scheduler._planning.acquire()  # as if another thread were in the middle of something
    scheduler._devices[0]._lock.acquire()
    child = os.fork()
    if not child:
        status = 1
        signal.alarm(120)  # a lock that nobody holds would be waited for for ever
        try:
            run(scheduler, 60)
            (operation,) = scheduler.report([OPERATION]).operations
            told = any("forked process" in reason for reason in operation.reasons)
            status = 0 if told and device.calls == [50] else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    scheduler._planning.release()
    scheduler._devices[0]._lock.release()
    run(scheduler, 70)
    assert device.calls == [50, 70]


def test_the_policy_loads_without_numba():
    script = "import sys\nfrom supervm.engine.scheduler import Strategy\nassert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_report_is_plain_data(make, device):
    lend(OPERATION, 2)
    scheduler = make(device)
    run(scheduler, 50)
    report = json.loads(json.dumps(scheduler.report().to_json()))
    assert report["strategy"] == "auto"
    names = [*(backend.name for backend in CPU_BACKENDS), device.name]
    assert [executor["name"] for executor in report["executors"]] == names
    listed = {operation["operation"]: operation for operation in report["operations"]}
    assert set(listed) == set(registry.operations())
    assert listed["sha256"]["task"] == "hashing"
    assert listed["sha256"]["reasons"][-1] == "cuda: sha256 is not implemented for it"
    assert [route["executor"] for route in listed[OPERATION]["routes"]] == ["scalar", device.name]
    assert listed[OPERATION]["routes"][1]["crossover"] == 1
    device.faults = Faults(lost_in_the_middle=True)
    run(scheduler, 50)
    (broken,) = scheduler.report([OPERATION]).operations
    assert "gave it up" in broken.routes[1].reason
    assert scheduler.report([]).executors[-1].circuit == "lost"


def test_what_is_counted(make, device):
    lend(OPERATION, 2)
    scheduler = make(device, cpu=(0.0, 1e-3), device=(0.1, 1e-6))
    for items in (10, 20, 300):
        run(scheduler, items)
    readings = {(reading.name, reading.labels): reading for reading in scheduler.metrics()}
    items = readings[ITEMS, (("operation", OPERATION),)]
    assert (items.count, items.total) == (3, 330)
    for backend, count in (("scalar", 2), ("cuda", 1)):
        seconds = readings[SECONDS, (("operation", OPERATION), ("backend", backend))]
        assert seconds.count == count
        assert seconds.total > 0


def test_one_executor_is_timed_too(make):
    scheduler = make()
    for items in (10, 0, 20):
        run(scheduler, items)
    (seconds,) = [reading for reading in scheduler.metrics() if reading.name == SECONDS]
    assert dict(seconds.labels) == {"operation": OPERATION, "backend": "scalar"}
    assert seconds.count == 2
    assert seconds.total > 0


def test_memory_of_devices(make, device):
    lend(OPERATION, 2)
    scheduler = make(device)
    run(scheduler, 50)
    assert scheduler.device_memory() == {device.name: 50}
    device.lost = True
    assert scheduler.device_memory() == {}
    assert make().device_memory() == {}


def test_metrics_know_their_names():
    metrics = Metrics()
    for name, labels in LABELS.items():
        metrics.series(name, *labels).add()
        with pytest.raises(ValueError, match=name):
            metrics.series(name)
    with pytest.raises(ValueError, match="nonsense"):
        metrics.series("nonsense", "x")
    threads = [
        threading.Thread(target=lambda: [metrics.series(ITEMS, "x").add(2) for _ in range(1000)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert metrics.series(ITEMS, "x").read() == (8000, 16000)


def test_closing_keeps_what_was_learnt(tmp_path, device):
    from supervm.engine.scheduler import SchedulerSettings

    lend(OPERATION, 2)
    models = {(OPERATION, "scalar"): line(0.0, 1e-3), (OPERATION, device.name): line(1e-6, 1e-9)}
    with Scheduler(SchedulerSettings(calibrate=False), [device], folder=tmp_path, models=models) as scheduler:
        run(scheduler, 50)
        learnt = models[OPERATION, device.name].seconds
        (_, kept) = scheduler.report([OPERATION]).operations[0].routes
    again = Scheduler(SchedulerSettings(calibrate=False), [device], folder=tmp_path)
    (_, found) = again.report([OPERATION]).operations[0].routes
    again.close()
    assert (found.fixed, found.per_item) == (pytest.approx(kept.fixed), pytest.approx(kept.per_item))
    assert learnt != line(1e-6, 1e-9).seconds
