# SPDX-License-Identifier: GPL-3.0-or-later
"""The device's thread: deadlines, queues, late returns, loss; and the one interface of all executors."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from fault_device import Faults, lend
from fault_rows import OPERATION, line, right, rows_batch
from patience import PATIENCE, until

from supervm.engine.scheduler.breaker import State
from supervm.engine.scheduler.device import GpuExecutor
from supervm.engine.scheduler.executors import CpuExecutor, ExecutorKind, HybridExecutor
from supervm.engine.scheduler.settings import SchedulerSettings
from supervm.engine.scheduler.tasks import TaskType, type_of
from supervm.kernels import registry
from supervm.kernels.errors import ArgumentError, BackendUnavailable, DeviceLost, DeviceTimeout


@pytest.fixture
def executor(device):
    lend(OPERATION, 2)
    settings = SchedulerSettings(first_deadline=5.0, deadline_floor=0.05, deadline_factor=2.0)
    one = GpuExecutor(device, {(OPERATION, device.name): line(0.0, 1e-9)}, settings)
    yield one
    one.close(0.1)


def test_results_come_in_a_twin(executor):
    batch = rows_batch(20)
    found = executor.submit(batch).result()
    assert found is not batch
    assert (batch.outputs[0] == 99).all()
    batch.publish(found)
    assert right(batch)


def test_work_runs_on_one_thread_of_the_device(executor, device):
    seen = []
    tickets = [executor.begin(lambda: seen.append(threading.current_thread()), "x", 5.0) for _ in range(4)]
    for ticket in tickets:
        ticket.result()
    assert len(set(seen)) == 1
    assert seen[0].daemon
    assert seen[0] is not threading.current_thread()


def test_a_call_may_ask_for_more(executor):
    """A backend that calls another operation through `auto` must not wait for the thread that it runs on."""
    batch = rows_batch(20)
    found = executor.begin(lambda: executor.submit(batch).result(), "x", 5.0).result()
    batch.publish(found)
    assert right(batch)
    with pytest.raises(ZeroDivisionError):
        executor.begin(lambda: executor.begin(lambda: 1 / 0, "y", 5.0).result(), "x", 5.0).result()
    assert executor.backlog == 0.0


def test_errors_reach_the_one_who_waits(executor, device):
    for error in (ArgumentError("x", "y", "z"), KeyboardInterrupt(), RuntimeError("bug")):
        device.faults = Faults(launch=error)
        with pytest.raises(type(error)):
            executor.submit(rows_batch(5)).result()
    device.faults = Faults()
    executor.submit(rows_batch(5)).result()


def test_a_hang_fails_it_and_all_behind_it(executor, device):
    executor.submit(rows_batch(5)).result()
    device.faults = Faults(hang=threading.Event())
    tickets = [executor.submit(rows_batch(5)) for _ in range(3)]
    for ticket in reversed(tickets):
        with pytest.raises(DeviceTimeout):
            ticket.result()
    assert not executor.ready
    assert OPERATION in executor.trouble
    with pytest.raises(DeviceTimeout, match="has not come back"):
        executor.submit(rows_batch(5)).result()
    assert executor.backlog == 0.0
    assert len(device.calls) == 2


def test_a_call_that_comes_back_late_frees_the_device(executor, device):
    executor.submit(rows_batch(5)).result()
    device.faults = Faults(hang=threading.Event())
    late = executor.submit(rows_batch(5))
    with pytest.raises(DeviceTimeout):
        late.result()
    hang, device.faults.hang = device.faults.hang, None
    hang.set()
    assert device.came_back.wait(PATIENCE)
    until(lambda: executor.ready)
    with pytest.raises(DeviceTimeout):
        late.result()
    batch = rows_batch(5)
    batch.publish(executor.submit(batch).result())
    assert right(batch)


def test_the_deadline_counts_from_when_the_device_begins(executor, device):
    """Calls of 0.2 s each under a deadline of 1.5 s: the last of ten waits for longer than that, and is no failure."""
    tickets = [executor.begin(lambda: time.sleep(0.2), "x", 1.5) for _ in range(10)]
    tickets[-1].result()
    assert executor.ready


def test_the_first_call_may_compile(executor):
    assert executor.deadline(OPERATION, 1.0) == 5.0
    executor.submit(rows_batch(5)).result()
    assert executor.deadline(OPERATION, 1.0) == pytest.approx(2.05)
    assert executor.deadline("sha256", 1.0) == 5.0


def test_lost_is_lost(executor, device):
    device.faults = Faults(lost_in_the_middle=True)
    first, second = executor.submit(rows_batch(8)), executor.submit(rows_batch(8))
    for ticket in (first, second):
        with pytest.raises(DeviceLost):
            ticket.result()
    assert executor.breaker.state is State.LOST
    device.faults, device.lost = Faults(), False
    with pytest.raises(DeviceLost):
        executor.submit(rows_batch(8)).result()
    assert not executor.ready


def test_backlog_is_what_has_not_ended(executor):
    go = threading.Event()
    held = executor.begin(go.wait, "x", 5.0, expected=2.0)
    more = executor.begin(lambda: None, "x", 5.0, expected=0.5)
    assert executor.backlog == pytest.approx(2.5)
    go.set()
    held.result()
    more.result()
    assert executor.backlog == pytest.approx(0.0)


def test_a_closed_executor_runs_nothing(executor):
    executor.submit(rows_batch(5)).result()
    executor.close()
    with pytest.raises(DeviceLost, match="closed"):
        executor.submit(rows_batch(5)).result()


# One interface


def test_types_of_task():
    assert [task.cost for task in TaskType] == [60, 60, 20, 95, 90, 90, 90, 10, 95, 95, 60, 95]
    assert {name for name in registry.operations() if type_of(name) is TaskType.SIGNATURE_VERIFICATION} == {
        "ed25519.verify",
        "secp256k1.ecdsa_recover",
        "secp256k1.ecdsa_verify",
        "secp256k1.schnorr_verify",
    }
    for operation in set(registry.operations()) - {OPERATION}:
        assert type_of(operation) is not None, f"{operation} belongs to no type of task"
    assert type_of("no such operation") is None


def test_kinds(executor):
    cpu = CpuExecutor("scalar", {})
    hybrid = HybridExecutor([cpu, executor])
    assert (cpu.kind, executor.kind, hybrid.kind) == (
        ExecutorKind.WASM_CPU,
        ExecutorKind.GPU,
        ExecutorKind.HYBRID,
    )
    assert executor.reason(OPERATION) == ""
    assert executor.reason("sha256")
    lend("sha256", 1)
    assert executor.reason("sha256") == ""


def test_the_cpu_runs_at_once_on_this_thread():
    cpu, batch = CpuExecutor("scalar", {}), rows_batch(20)
    pending = cpu.submit(batch)
    assert right(batch)
    assert pending.result() is batch
    registry.register(OPERATION, "scalar", lambda *arguments: 1 / 0)
    failed = CpuExecutor("scalar", {}).submit(batch)
    with pytest.raises(ZeroDivisionError):
        failed.result()
    with pytest.raises(BackendUnavailable):
        CpuExecutor("ifma", {}).function(OPERATION)


def test_hybrid_keeps_order_and_reports_errors(executor, device):
    models = {(OPERATION, name): line(0.0, 1e-6) for name in ("scalar", device.name)}
    executor._models = models
    hybrid = HybridExecutor([CpuExecutor("scalar", models), executor])
    batch = rows_batch(4000)
    parts = hybrid.parts(batch)
    assert [part.items for _, part in parts] == [2000, 2000]
    assert hybrid.submit(batch).result() is batch
    assert right(batch)
    assert device.calls == [2000]
    device.faults = Faults(launch=RuntimeError("bug"))
    with pytest.raises(RuntimeError, match="bug"):
        hybrid.submit(batch).result()
    executor.lose("gone")
    again = rows_batch(4000)
    hybrid.submit(again).result()
    assert right(again)
    assert len(device.calls) == 2


def test_work_that_is_no_batch_is_not_cut(executor, device):
    from supervm.engine.scheduler.workloads import workload

    lend("conflicts.detect", 0)
    models = {("conflicts.detect", name): line(0.0, 1e-6) for name in ("scalar", device.name)}
    executor._models = models
    hybrid = HybridExecutor([CpuExecutor("scalar", models), executor])
    work = workload("conflicts.detect", 100)
    assert [part for _, part in hybrid.parts(work)] == [work]
    assert np.array_equal(hybrid.submit(work).result().result.wave, work.result.wave)
