# SPDX-License-Identifier: GPL-3.0-or-later
"""Suites: which rows they have, that peers answer as ours does, and that a wrong answer stops the run."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from supervm.benchmarks import beside, cases, runner
from supervm.benchmarks.cases import Answers, Case, Peer, suite_cases
from supervm.benchmarks.errors import PeerDisagrees, PeerMissing
from supervm.benchmarks.peers import version
from supervm.benchmarks.rows import Row
from supervm.kernels import get_threads, registry
from supervm.kernels.errors import ArgumentError

ROW_KEYS = [
    "suite",
    "operation",
    "backend",
    "threads",
    "batch",
    "items_per_second",
    "ns_per_item",
    "transfers",
    "peers",
    "spread",
]
PEER_KEYS = ["name", "version", "items_per_second", "ratio", "spread"]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "ROW_SECONDS", 0.0)
    monkeypatch.setattr(beside, "PEER_SECONDS", 0.001)


@pytest.fixture
def one_case(monkeypatch: pytest.MonkeyPatch) -> Case:
    case = replace(suite_cases("hashes")[0], batch=128, slow_batch=64)
    monkeypatch.setattr(runner, "suite_cases", lambda _suite: [case])
    return case


ALL_CASES = [case for suite in cases.SUITES for case in suite_cases(suite)]


@pytest.mark.parametrize("case", ALL_CASES, ids=[case.name for case in ALL_CASES])
def test_every_peer_answers_as_ours_does(case: Case) -> None:
    assert case.peers or case.alone
    beside.check_peers(replace(case, checked_items=64), "auto")


@pytest.mark.parametrize("case", suite_cases("signatures"), ids=lambda case: case.name)
def test_damaged_items_are_rejected_and_the_others_are_not(case: Case) -> None:
    workload = case.corrupted(64)
    answers = case.peers[0].finish(case.peers[0].prepare(workload)())
    sound = case.peers[0].finish(case.peers[0].prepare(case.workload(64))())
    differing = [index for index in range(64) if answers[index] != sound[index]]
    assert differing == list(range(0, 64, 4))
    assert not any(answer is None or answer is False for answer in sound)


def test_rows_have_the_documented_form(one_case: Case) -> None:
    rows = [row.to_json() for row in runner.run_suite("hashes", threads=1)]
    assert rows
    for row in rows:
        assert list(row) == ROW_KEYS
        assert row["suite"] == "hashes"
        assert row["operation"] in registry.operations()
        assert row["transfers"] == "none"
        assert row["ns_per_item"] == pytest.approx(1e9 / row["items_per_second"])
        for peer in row["peers"]:
            assert list(peer) == PEER_KEYS
            assert peer["ratio"] == pytest.approx(row["items_per_second"] / peer["items_per_second"])
        assert Row.from_json(row).to_json() == row


def test_by_default_every_backend_thread_count_and_a_batch_of_one(one_case: Case) -> None:
    available = [b.name for b in registry.backends(one_case.operation) if b.available and b.name != "cuda"]
    rows = runner.run_suite("hashes")
    expected = []
    for backend in available:
        size = 64 if backend == "scalar" else 128
        expected += [(backend, threads, size) for threads in runner.thread_counts()] + [(backend, 1, 1)]
    assert [(row.backend, row.threads, row.batch) for row in rows] == expected


def test_the_caller_narrows_the_rows(one_case: Case) -> None:
    rows = runner.run_suite("hashes", threads=2, batch=32, backend="scalar")
    assert [(row.backend, row.threads, row.batch) for row in rows] == [("scalar", 2, 32)]


def test_some_rows_are_of_the_best_backend_alone(one_case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "suite_cases", lambda _suite: [replace(one_case, on_best=True)])
    best = registry.resolve(one_case.operation, "auto").name
    assert {row.backend for row in runner.run_suite("hashes", threads=1)} == {best}
    assert {row.backend for row in runner.run_suite("hashes", threads=1, backend="scalar")} == {"scalar"}


def test_threads_are_put_back(one_case: Case) -> None:
    before = get_threads()
    runner.run_suite("hashes", threads=before + 1, batch=8, backend="scalar")
    assert get_threads() == before


def test_progress_is_told_before_each_row(one_case: Case) -> None:
    told: list[tuple[int, int, str]] = []
    rows = runner.run_suite("hashes", threads=1, backend="scalar", progress=lambda *call: told.append(call))
    assert [(done, total) for done, total, _ in told] == [(index, len(rows)) for index in range(len(rows))]
    assert told[0][2] == "sha256, scalar, 1 thread, batch 64"


@pytest.mark.parametrize(
    "change", [lambda a: [*a[:-1], b""], lambda a: a[:-1]], ids=["wrong answer", "too few"]
)
def test_a_peer_that_disagrees_stops_the_run(
    one_case: Case, monkeypatch: pytest.MonkeyPatch, change: Callable[[Answers], Answers]
) -> None:
    honest = one_case.peers[0]

    def prepare(workload: Any) -> Callable[[], Answers]:
        run = honest.prepare(workload)
        return lambda: change(run())

    lying = replace(one_case, peers=[Peer("liar", "1", prepare)])
    monkeypatch.setattr(runner, "suite_cases", lambda _suite: [lying])
    with pytest.raises(PeerDisagrees, match="liar"):
        runner.run_suite("hashes", threads=1)


@pytest.mark.parametrize(("name", "value"), [("threads", 0), ("batch", -1)])
def test_numbers_below_one_are_refused(name: str, value: int) -> None:
    with pytest.raises(ArgumentError, match=name):
        runner.run_suite("hashes", **{name: value})


def test_an_unknown_suite_is_refused() -> None:
    with pytest.raises(ArgumentError, match="signatures, hashes, conflicts"):
        runner.run_suite("speed")


def test_a_missing_package_is_named() -> None:
    with pytest.raises(PeerMissing, match="no-such-package"):
        version("no-such-package")


def test_a_sweep_grows_on_one_thread_without_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "SWEEP", (256, 1024))
    rows = runner.run_suite("ntt", sweep=True)
    assert [(row.operation, row.batch) for row in rows] == [
        (f"{curve}.ntt", size) for curve in ("bn254", "bls12_381") for size in (256, 1024)
    ]
    assert all((row.threads, row.peers) == (1, ()) for row in rows)


@pytest.mark.parametrize(("suite", "options"), [("hashes", {}), ("execution", {}), ("ntt", {"batch": 256})])
def test_what_does_not_grow_is_refused(suite: str, options: dict[str, int]) -> None:
    with pytest.raises(ArgumentError, match="sweep"):
        runner.run_suite(suite, sweep=True, **options)
