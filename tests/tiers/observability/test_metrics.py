# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scrape reads after things of known number have happened; text is parsed by Prometheus' own parser."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path as FilePath

import httpx
import numpy as np
import pytest
from fault_device import FaultDevice, Faults, lend
from fault_rows import OPERATION, line, rows_batch, rows_function
from observed import Observed, block_result, served
from prometheus_client.parser import text_string_to_metric_families

from supervm.engine.blocks.receipts import Path
from supervm.engine.privacy.statistics import ProofStatistics
from supervm.engine.scheduler import Scheduler, SchedulerSettings
from supervm.kernels import registry
from supervm.tiers.observability.metrics import PATHS, Metrics
from supervm.tiers.observability.status import State
from supervm.tiers.observability.windows import SECONDS, Window


def scraped(metrics: Metrics) -> dict[str, float]:
    """Every sample by name and labels, as `name{label=value,…}`, labels in order."""
    body, content_type = metrics.exposition()
    assert content_type.startswith("text/plain")
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            key = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert key not in found
            found[key] = sample.value
    return found


def test_verdicts_are_counted_by_scheme_and_backend() -> None:
    metrics = Metrics()
    metrics.verified("ed25519", "ifma", np.array([1, 1, 0, -1, 1], np.int8))
    metrics.verified("ed25519", "cuda+ifma", np.array([1], np.int8))
    metrics.verified("ecdsa", "ifma", np.array([], np.int8))
    items = {key: value for key, value in scraped(metrics).items() if key.startswith("supervm_verify_items")}
    name = "supervm_verify_items_total"
    assert items == {
        f"{name}{{backend=ifma,scheme=ed25519,verdict=valid}}": 3,
        f"{name}{{backend=ifma,scheme=ed25519,verdict=invalid}}": 1,
        f"{name}{{backend=ifma,scheme=ed25519,verdict=malformed}}": 1,
        f"{name}{{backend=cuda+ifma,scheme=ed25519,verdict=valid}}": 1,
    }


def test_a_block_is_counted_by_path_and_stage() -> None:
    metrics = Metrics()
    assert scraped(metrics)["vm_routing_target_fast_ratio"] == 1
    metrics.block(block_result(1))
    metrics.block(block_result(2))
    found = scraped(metrics)
    assert [found[f"vm_routing_{path}_total"] for path in PATHS] == [6, 4, 2]
    assert found["vm_routing_target_fast_ratio"] == 0.65
    assert found["vm_fast_fallback_total"] == 8
    assert found["supervm_reexecutions_total"] == 4
    assert found["supervm_queue_depth{stage=execute}"] == 1
    assert found["supervm_stage_seconds_count{stage=commit}"] == 2
    assert found["supervm_stage_seconds_sum{stage=commit}"] == pytest.approx(0.016)
    assert found["supervm_stage_seconds_bucket{le=0.01,stage=commit}"] == 2
    assert found["supervm_stage_seconds_bucket{le=0.005,stage=commit}"] == 0


def test_paths_are_those_of_receipts() -> None:
    """Calls of pools are counted with the others of the privacy path, Ethereum transactions with those of consensus."""
    assert [path.name.lower() for path in Path] == [*PATHS, "pool", "evm"]
    metrics, result = Metrics(), block_result(1)
    receipts = result.receipts
    calls = int((receipts.accepted & (receipts.path == Path.CONSENSUS)).sum())
    receipts.path[receipts.path == Path.PRIVACY] = Path.POOL
    receipts.path[receipts.path == Path.CONSENSUS] = Path.EVM
    metrics.block(result)
    found = scraped(metrics)
    assert (found["vm_routing_privacy_total"], found["vm_routing_consensus_total"]) == (1, calls)
    assert calls


def test_requests_queues_and_edges() -> None:
    metrics, waiting = Metrics(), [3.0]
    metrics.request("Verify", "OK", 0.02)
    metrics.request("Verify", "UNAVAILABLE", 0.0)
    metrics.queue("gather", lambda: waiting[0])
    metrics.conflicts(7)
    metrics.conflicts(0)
    found = scraped(metrics)
    assert found["supervm_requests_total{call=Verify,code=OK}"] == 1
    assert found["supervm_requests_total{call=Verify,code=UNAVAILABLE}"] == 1
    assert found["supervm_request_seconds_count{call=Verify}"] == 2
    assert found["supervm_queue_depth{stage=gather}"] == 3
    assert found["supervm_conflict_edges_total"] == 7
    waiting[0] = 9
    assert scraped(metrics)["supervm_queue_depth{stage=gather}"] == 9


def test_what_does_not_exist_is_there_and_zero() -> None:
    privacy = {key: value for key, value in scraped(Metrics()).items() if key.startswith("vm_privacy")}
    assert len(privacy) == 8
    assert set(privacy.values()) == {0}


def test_a_verifier_of_proofs_is_shown_in_milliseconds() -> None:
    class Verifier:
        statistics = ProofStatistics(
            proofs=40,
            failed=3,
            batches=5,
            errors=1,
            last_seconds=0.25,
            mean_seconds=0.5,
            per_second=16.0,
            p50_seconds=0.125,
            p95_seconds=2.0,
        )

    metrics = Metrics()
    metrics.watch_proofs(Verifier())  # type: ignore[arg-type]
    found = scraped(metrics)
    batch = "vm_privacy_zk_batch_verify"
    assert {key: value for key, value in found.items() if key.startswith("vm_privacy")} == {
        f"{batch}_total": 40,
        f"{batch}_failed_total": 3,
        f"{batch}_batches_total": 5,
        f"{batch}_batch_latency_ms": 250,
        f"{batch}_avg_latency_ms": 500,
        f"{batch}_tps": 16,
        "vm_privacy_zk_verify_p50_latency_ms": 125,
        "vm_privacy_zk_verify_p95_latency_ms": 2_000,
    }
    Verifier.statistics = ProofStatistics(proofs=41)
    assert scraped(metrics)[f"{batch}_total"] == 41


def test_labels_are_escaped() -> None:
    metrics = Metrics()
    metrics.request('a"b\\c\nd', "OK", 0.1)
    assert scraped(metrics)['supervm_requests_total{call=a"b\\c\nd,code=OK}'] == 1


def test_threads_lose_nothing() -> None:
    metrics, verdicts = Metrics(), np.array([1, 0], np.int8)

    def work() -> None:
        for _ in range(500):
            metrics.verified("ed25519", "ifma", verdicts)
            metrics.request("Verify", "OK", 0.001)
            metrics.stage("verify", 0.001)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = scraped(metrics)
    assert found["supervm_verify_items_total{backend=ifma,scheme=ed25519,verdict=invalid}"] == 2000
    assert found["supervm_requests_total{call=Verify,code=OK}"] == 2000
    assert found["supervm_stage_seconds_count{stage=verify}"] == 2000
    assert metrics.stages["verify"].mean == pytest.approx(0.001)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> FaultDevice:
    """A device that computes the cheap operation, which is the registry's only one."""
    monkeypatch.setattr(registry, "_table", {})
    monkeypatch.setattr(registry, "_dispatcher", None)
    registry.register(OPERATION, "scalar", rows_function)
    lend(OPERATION, 2)
    return FaultDevice()


@pytest.fixture
def scheduler(device: FaultDevice, tmp_path: FilePath) -> Iterator[Scheduler]:
    """The scheduler over it, which finds it cheap and checks every item."""
    models = {(OPERATION, "scalar"): line(0.0, 1e-3), (OPERATION, device.name): line(1e-6, 1e-9)}
    policy = SchedulerSettings(recheck=1.0, calibrate=False, remember=False, smallest_piece=4)
    with Scheduler(policy, [device], folder=tmp_path, models=models, seed=1) as made:
        yield made


def test_the_scheduler_s_counters_are_exported(scheduler: Scheduler, device: FaultDevice) -> None:
    metrics = Metrics()
    metrics.watch(scheduler)
    registry.run(rows_batch(40))
    device.faults = Faults(wrong_items=1)
    registry.run(rows_batch(60))
    found = scraped(metrics)
    operation = f"operation={OPERATION}"
    assert found[f"supervm_batch_items_count{{{operation}}}"] == 2
    assert found[f"supervm_batch_items_sum{{{operation}}}"] == 100
    assert found[f"supervm_kernel_seconds_count{{backend=cuda,{operation}}}"] == 1
    assert found[f"supervm_kernel_seconds_count{{backend=scalar,{operation}}}"] == 1
    assert found[f"supervm_kernel_seconds_sum{{backend=scalar,{operation}}}"] > 0
    assert found[f"supervm_backend_mismatch_total{{{operation}}}"] == 1
    assert found[f"supervm_backend_fallback_total{{{operation},reason=mismatch}}"] == 1
    assert found[f"supervm_device_memory_bytes{{device={device.name}}}"] == 100
    device.lost = True
    assert not any(key.startswith("supervm_device_memory") for key in scraped(metrics))


def test_the_status_reads_the_same_counters(scheduler: Scheduler, device: FaultDevice) -> None:
    observed = Observed()
    observed.metrics.watch(scheduler)
    device.faults = Faults(wrong_items=1)
    registry.run(rows_batch(60))
    observed.metrics.verified("ecdsa", "ifma", np.array([1, -1, 1], np.int8))
    observed.metrics.request("Verify", "OK", 0.5)
    observed.block(block_result(7))
    status = observed.board.snapshot()
    assert [(one.name, one.kind) for one in status.executors][-1] == (device.name, "gpu")
    assert [(one.operation, one.reason, one.count) for one in status.fallbacks] == [
        (OPERATION, "mismatch", 1)
    ]
    assert status.mismatches == {OPERATION: 1}
    assert [(one.backend, one.batches) for one in status.kernels] == [("scalar", 1)]
    (verified,) = status.verified
    assert (verified.valid, verified.invalid, verified.malformed) == (2, 0, 1)
    (request,) = status.requests
    assert (request.call, request.codes, request.mean) == ("Verify", {"OK": 1}, 0.5)
    assert {one.stage: one.count for one in status.stages} == {"verify": 1, "execute": 1, "commit": 1}
    assert (status.blocks[0].height, status.blocks[0].root) == (7, "07" * 32)
    assert status.tier == "L3 edge"


def test_the_board_keeps_the_last_blocks() -> None:
    observed = Observed()
    for height in range(1, 31):
        observed.block(block_result(height))
    heights = [block.height for block in observed.board.snapshot().blocks]
    assert heights == list(range(30, 10, -1))


def test_a_window_forgets() -> None:
    now = [100.0]
    window = Window(lambda: now[0])
    window.add(5)
    assert (window.rate, window.mean) == (0.0, 5.0)
    now[0] = 101.5
    assert window.rate == 5
    window.add(10, 2)
    now[0] = 104.0
    assert window.rate == pytest.approx(15 / 4)
    assert window.mean == 5
    assert window.history[-4:] == [5, 10, 0, 0]
    assert len(window.history) == SECONDS - 1
    now[0] = 112.0
    assert (window.rate, window.mean) == (0.0, None)
    assert sum(window.history) == 15
    now[0] = 160.5
    assert window.history[0] == 10
    now[0] = 161.0
    assert sum(window.history) == 0
    now[0] = 1e6
    window.add(1)
    assert sum(window.history) == 0
    now[0] = 1e6 + 1
    assert window.history[-1] == 1
    for _ in range(3 * SECONDS):
        now[0] += 1
        window.add(7)
    assert window.history == [7.0] * (SECONDS - 1)
    assert window.rate == 7


def test_the_routes_tell_what_an_orchestrator_asks() -> None:
    observed = Observed()
    with served(observed) as address:
        for state, health, readiness in (
            (State.STARTING, 200, 503),
            (State.READY, 200, 200),
            (State.DRAINING, 200, 503),
            (State.FAILING, 503, 503),
        ):
            observed.board.become(state)
            healthz, readyz = httpx.get(f"{address}/healthz"), httpx.get(f"{address}/readyz")
            assert (healthz.status_code, readyz.status_code) == (health, readiness)
            assert readyz.text == f"{state.value}\n"
        answer = httpx.get(f"{address}/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=")
        assert "supervm_build_info{" in answer.text
        assert httpx.get(f"{address}/status.json").json()["state"] == "failing"
        assert httpx.post(f"{address}/metrics").status_code == 405
