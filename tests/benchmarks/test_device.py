# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend `cuda` in the suites, on the host twin: both kinds of rows, and nothing timed that is wrong."""

from __future__ import annotations

import ctypes
import sys
import types
from dataclasses import replace
from typing import Any

import host_twin
import numpy as np
import pytest
from host_device import HostDevice, HostStream

from supervm.benchmarks import beside, cases, device, resident, runner
from supervm.benchmarks.cases import Case, suite_cases
from supervm.benchmarks.errors import PeerDisagrees, PeerMissing
from supervm.kernels import registry
from supervm.kernels.cuda.runtime import devices
from supervm.kernels.errors import ArgumentError, BackendUnavailable

pytestmark = pytest.mark.twin

ALL = [
    case
    for suite in cases.SUITES
    for case in suite_cases(suite)
    if suite != "prove" or case.variant in ("", "2^10 rows, 16 witnesses")
]
"""Other cases of proofs differ by their size alone, which is small here."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    if host_twin.missing():
        pytest.skip(host_twin.missing())
    monkeypatch.setattr(runner, "ROW_SECONDS", 0.0)
    monkeypatch.setattr(beside, "PEER_SECONDS", 0.001)
    monkeypatch.setattr(device, "ROUND_SECONDS", 0.0)
    monkeypatch.setattr(device, "BATCHES", (4, 16, 64))
    monkeypatch.setattr(device, "PEER_BATCH", 16)


@pytest.fixture
def twin(monkeypatch: pytest.MonkeyPatch) -> HostDevice:
    """The first and only device of this process."""
    made = HostDevice()
    monkeypatch.setattr(devices, "_search", lambda: ((made,), ""))
    return made


@pytest.fixture
def two_cases(monkeypatch: pytest.MonkeyPatch) -> list[Case]:
    """SHA-256 at 64 bytes and with mixed lengths, checked on few items."""
    usual = replace(suite_cases("hashes")[0], checked_items=12)
    mixed = next(case for case in suite_cases("hashes") if case.name == "sha256 [0 to 256 bytes]")
    chosen = [usual, replace(mixed, checked_items=12)]
    monkeypatch.setattr(runner, "suite_cases", lambda _suite: chosen)
    return chosen


def rows_of(**options: Any) -> list[Any]:
    return runner.run_suite("hashes", backend="cuda", **options)


def test_two_rows_a_size_and_peers_beside_one(twin: HostDevice, two_cases: list[Case]) -> None:
    rows = rows_of()
    assert [(row.operation, row.batch, row.transfers, len(row.peers)) for row in rows] == [
        ("sha256", 4, "none", 0),
        ("sha256", 4, "included", 0),
        ("sha256", 16, "none", 0),
        ("sha256", 16, "included", 1),
        ("sha256", 64, "none", 0),
        ("sha256", 64, "included", 0),
        ("sha256 [0 to 256 bytes]", 64, "none", 0),
        ("sha256 [0 to 256 bytes]", 64, "included", 1),
    ]
    assert {row.backend for row in rows} == {"cuda"}
    assert {row.threads for row in rows if row.transfers == "none"} == {1}
    assert {row.threads for row in rows if row.transfers == "included"} == {runner.thread_counts()[-1]}
    assert all(row.ns_per_item == pytest.approx(1e9 / row.items_per_second) for row in rows)
    assert twin.launches


def test_the_caller_names_a_size(twin: HostDevice, two_cases: list[Case]) -> None:
    rows = rows_of(batch=5, threads=2)
    assert [(row.batch, row.threads, row.transfers, len(row.peers)) for row in rows] == [
        (5, 1, "none", 0),
        (5, 2, "included", 1),
    ] * 2


def test_progress_tells_the_two_apart(twin: HostDevice, two_cases: list[Case]) -> None:
    told: list[str] = []
    rows_of(batch=5, threads=1, progress=lambda done, total, name: told.append(name))
    assert told[:2] == ["sha256, cuda, kernels alone, 1 thread, batch 5", "sha256, cuda, 1 thread, batch 5"]


def test_without_a_device_the_reason_is_told(monkeypatch: pytest.MonkeyPatch, two_cases: list[Case]) -> None:
    monkeypatch.setattr(devices, "_search", lambda: ((), "no GPU in this test"))
    with pytest.raises(BackendUnavailable, match="no GPU in this test"):
        rows_of()


@pytest.mark.parametrize("case", ALL, ids=[case.name for case in ALL])
def test_every_case_runs_both_ways(twin: HostDevice, case: Case) -> None:
    if case.operation not in registry.operations():
        pytest.skip(f"{case.operation} is several operations, of which each is tried by itself")
    if "cuda" not in {backend.name for backend in registry.backends(case.operation)}:
        pytest.skip(f"{case.operation} has no backend for a GPU")
    device.check(replace(case, checked_items=16))
    ready = device.Prepared(case, 8, device.Pinned())
    launched = len(twin.launches)
    for contender in (ready.kernels(), ready.end_to_end()):
        contender.run()
        assert contender.items == ready.workload.items
        assert len(twin.launches) > launched
        launched = len(twin.launches)


def test_a_case_without_the_backend_is_left_out(twin: HostDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(registry._table["ed25519.msm"], "cuda")
    listed = runner._on(suite_cases("msm"), "cuda")
    assert "bn254.g1.msm" in {case.operation for case in listed}
    assert "ed25519.msm" not in {case.operation for case in listed}
    assert len(runner._on(suite_cases("msm"), None)) == len(suite_cases("msm"))


def test_what_several_operations_do_is_not_measured_on_a_device(twin: HostDevice) -> None:
    with pytest.raises(ArgumentError, match="several operations"):
        runner.run_suite("pairings", backend="cuda")


def test_kernels_alone_move_nothing_but_the_first_time(
    twin: HostDevice, two_cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = device.Prepared(two_cases[0], 8, device.Pinned())
    moved: list[int] = []
    for name in ("upload", "download"):
        monkeypatch.setattr(HostStream, name, lambda self, first, *rest: moved.append(1))
    ready.kernels().run()
    assert not moved
    ready.end_to_end().run()
    assert moved


@pytest.mark.parametrize(
    ("suite", "sent", "fetched"),
    [("msm", {48}, 1), ("ntt", set(), 0), ("merkle", set(), 1)],
    ids=["windows' offset, sums of windows", "nothing", "root"],
)
def test_arrays_of_a_sum_a_transform_and_a_tree_stay_there(
    twin: HostDevice, monkeypatch: pytest.MonkeyPatch, suite: str, sent: set[int], fetched: int
) -> None:
    ready = device.Prepared(suite_cases(suite)[0], 64, device.Pinned())
    uploads: list[int] = []
    downloads: list[int] = []
    upload, download = HostStream.upload, HostStream.download

    def watched_upload(self: HostStream, host: Any, buffer: Any, offset: int = 0) -> None:
        uploads.append(host.nbytes)
        upload(self, host, buffer, offset)

    def watched_download(self: HostStream, buffer: Any, host: Any, offset: int = 0) -> None:
        downloads.append(host.nbytes)
        download(self, buffer, host, offset)

    monkeypatch.setattr(HostStream, "upload", watched_upload)
    monkeypatch.setattr(HostStream, "download", watched_download)
    launched = len(twin.launches)
    ready._resident.compute(3)
    assert len(twin.launches) > launched
    assert "msm_points" not in twin.launches[launched:]
    assert set(uploads) == sent
    assert len([size for size in downloads if size]) == 3 * fetched


@pytest.mark.parametrize("suite", ["msm", "ntt", "merkle"])
def test_a_sum_a_transform_and_a_tree_are_compared_on_both_paths(
    twin: HostDevice, monkeypatch: pytest.MonkeyPatch, suite: str
) -> None:
    """What the kernels alone are given is spoiled on its way to the device."""
    honest = resident._sent

    def spoiled(place: Any, array: Any) -> Any:
        array = array.copy()
        array.reshape(-1).view(np.uint8)[0] ^= 1
        return honest(place, array)

    case = suite_cases(suite)[0]
    device.Prepared(case, 8, device.Pinned())
    monkeypatch.setattr(resident, "_sent", spoiled)
    with pytest.raises(PeerDisagrees, match="kernels alone"):
        device.Prepared(case, 8, device.Pinned())


def test_a_round_repeats_a_short_call(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.004])
    monkeypatch.setattr(device, "time", types.SimpleNamespace(perf_counter=lambda: next(clock)))
    monkeypatch.setattr(device, "ROUND_SECONDS", 0.02)
    calls: list[int] = []
    contender = device._round(calls.append, 7)
    contender.run()
    assert (calls, contender.items) == ([1, 1, 5], 35)


def spoil(monkeypatch: pytest.MonkeyPatch, when: Any) -> None:
    """Let the device flip a bit of what it sends back, at the downloads for which `when(size, number)` holds."""
    honest, count = HostStream.download, iter(range(1 << 30))

    def download(self: HostStream, buffer: Any, host: Any, offset: int = 0) -> None:
        honest(self, buffer, host, offset)
        if when(len(host), next(count)):
            host.reshape(-1).view(np.uint8)[-1] ^= 1

    monkeypatch.setattr(HostStream, "download", download)


def test_a_wrong_answer_is_found_before_anything_is_timed(
    twin: HostDevice, two_cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[Any] = []
    monkeypatch.setattr(runner, "timings", lambda *contenders: timed.append(contenders))
    spoil(monkeypatch, lambda size, number: True)
    with pytest.raises(PeerDisagrees, match=r"item 11 .* our backend") as caught:
        rows_of()
    assert caught.value.backend == "cuda"
    assert not timed


def test_a_peer_that_disagrees_with_the_device_stops_the_run(twin: HostDevice, two_cases: list[Case]) -> None:
    honest = two_cases[0].peers[0]
    two_cases[0] = replace(
        two_cases[0], peers=[replace(honest, name="liar", finish=lambda found: [b"", *found[1:]])]
    )
    with pytest.raises(PeerDisagrees, match=r"item 0 .* liar"):
        rows_of()


@pytest.mark.parametrize("which", [0, 1], ids=["end to end", "kernels alone"])
def test_a_size_that_goes_wrong_on_one_path_is_found(
    twin: HostDevice, two_cases: list[Case], monkeypatch: pytest.MonkeyPatch, which: int
) -> None:
    """Small batches are right, that of 64 is wrong on one of the two paths: the first download, or the second."""
    seen: list[int] = []

    def at_64(size: int, number: int) -> bool:
        seen.extend([number] if size == 64 else [])
        return size == 64 and seen.index(number) == which

    spoil(monkeypatch, at_64)
    with pytest.raises(PeerDisagrees, match=r"item 63 .* kernels alone"):
        rows_of()


def test_kernels_that_write_nothing_do_not_pass(
    twin: HostDevice, two_cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outputs hold the right results already, from the public function."""
    monkeypatch.setattr(resident.batch.Resident, "collect", lambda self: None)
    with pytest.raises(PeerDisagrees, match="kernels alone"):
        device.Prepared(two_cases[0], 8, device.Pinned())


def test_the_dispatcher_is_put_back(twin: HostDevice, two_cases: list[Case]) -> None:
    def mine(work: Any) -> None:
        raise AssertionError("nobody asked for auto")

    registry.set_dispatcher(mine)
    try:
        device.Prepared(two_cases[0], 8, device.Pinned())
        assert registry._dispatcher is mine
    finally:
        registry.set_dispatcher(None)


@pytest.fixture
def pinned_arrays(twin: HostDevice, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """As if the twin were a `CupyDevice`: every block of pinned memory that was asked for."""
    blocks: list[Any] = []

    def pinned_empty(shape: tuple[int, ...], dtype: Any) -> Any:
        blocks.append(np.zeros(shape, dtype))
        return blocks[-1]

    module = types.SimpleNamespace(CupyDevice=HostDevice, pinned_empty=pinned_empty)
    monkeypatch.setitem(sys.modules, "supervm.kernels.cuda.runtime.cupy_device", module)  # type: ignore[arg-type]
    monkeypatch.setattr(device, "LEAST_PINNED", 1 << 12)
    return blocks


def test_inputs_lie_in_pinned_memory(pinned_arrays: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    honest = HostStream.upload

    def upload(self: HostStream, host: Any, buffer: Any, offset: int = 0) -> None:
        sent.append((host.ctypes.data, host.nbytes))
        honest(self, host, buffer, offset)

    case = next(case for case in ALL if case.name == "ed25519.verify")
    ready = device.Prepared(case, 40, device.Pinned())
    monkeypatch.setattr(HostStream, "upload", upload)
    ready.end_to_end().run()
    assert len(pinned_arrays) == 1
    assert {size for _, size in sent} == {40 * 32, 40 * 64, 41 * 8}
    start, size = pinned_arrays[0].ctypes.data, pinned_arrays[0].nbytes
    assert all(start <= address and address + length <= start + size for address, length in sent)


def test_points_and_scalars_of_a_sum_are_sent_from_pinned_memory(
    pinned_arrays: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[int, int]] = []
    honest = HostStream.upload

    def upload(self: HostStream, host: Any, buffer: Any, offset: int = 0) -> None:
        sent.append((host.ctypes.data, host.nbytes))
        honest(self, host, buffer, offset)

    case = next(case for case in ALL if case.name == "bn254.g1.msm")
    ready = device.Prepared(case, 40, device.Pinned())
    monkeypatch.setattr(HostStream, "upload", upload)
    ready.end_to_end().run()
    start, size = pinned_arrays[0].ctypes.data, pinned_arrays[0].nbytes
    inside = {length for address, length in sent if start <= address < start + size}
    assert inside == {40 * 64, 40 * 32}
    assert all(length < 64 for address, length in sent if not start <= address < start + size)


def test_pinned_memory_grows_and_is_used_again(pinned_arrays: list[Any]) -> None:
    pinned, case = device.Pinned(), suite_cases("hashes")[0]
    for size in (10, 20, 10, 500, 400):
        workload = case.workload(size)
        held: Any = pinned.hold(workload)
        assert held.messages() == workload.messages()
        assert np.shares_memory(held.data, pinned_arrays[-1])
        assert held.offsets.ctypes.data % ctypes.alignment(ctypes.c_int64) == 0
    assert [block.nbytes for block in pinned_arrays] == [1 << 12, 1 << 16]


def test_a_peer_that_is_not_installed_is_named_and_left_out(
    twin: HostDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> str:
        raise PeerMissing(name)

    for module in ("solders", "coincurve"):
        monkeypatch.setattr(f"supervm.benchmarks.peers.{module}.version", absent)
    assert cases.missing_peers("signatures") == ["coincurve", "solders"]
    assert cases.missing_peers("hashes") == []
    strict = next(case for case in suite_cases("signatures") if case.name == "ed25519.verify [rule=strict]")
    assert (list(strict.peers), list(strict.missing)) == ([], ["solders"])
    alone = replace(strict, checked_items=12)
    monkeypatch.setattr(runner, "suite_cases", lambda _suite: [alone])
    rows = runner.run_suite("signatures", backend="cuda", batch=6)
    assert [(row.transfers, row.peers) for row in rows] == [("none", ()), ("included", ())]
