# SPDX-License-Identifier: GPL-3.0-or-later
"""Every suite into a folder: files that can be read again, one page, and one suite's error that costs no other suite."""

from pathlib import Path
from typing import Any

import pytest
from recorded_runs import environment, row

from supervm.benchmarks import beside
from supervm.benchmarks.cases import SINGLE, SUITES
from supervm.benchmarks.errors import PeerDisagrees
from supervm.benchmarks.reports import collection
from supervm.benchmarks.reports.collection import Job, jobs, measure_all
from supervm.benchmarks.results import read
from supervm.benchmarks.rows import Row
from supervm.kernels import registry

Asked = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What was asked of `run_suite`, which answers one row; `msm` fails as measured suites do, `ntt` by a defect."""
    calls: Asked = []

    def run_suite(suite: str, *, progress: Any, **options: Any) -> list[Row]:
        progress(0, 1, "a row")
        calls.append((suite, options))
        if suite == "msm":
            raise PeerDisagrees("msm", "ifma", "arkworks", 7, b"a", b"b")
        if suite == "ntt":
            raise ZeroDivisionError("division by zero")
        return [row(1e6, {"hashlib": 2.0}, spread=0.1)]

    monkeypatch.setattr(collection, "run_suite", run_suite)
    monkeypatch.setattr(collection.devices, "unavailable", lambda: "none here")
    return calls


def test_one_error_costs_no_other_suite(asked: Asked, tmp_path: Path) -> None:
    told: list[str] = []
    folder = tmp_path / "new" / "folder"
    found = measure_all(folder, environment(), progress=lambda suite, *_: told.append(suite))
    assert list(found.failures) == ["msm", "msm-sweep", "ntt", "ntt-sweep"]
    expected = [s for s in SUITES if s not in ("msm", "ntt")]
    assert {path.name for path in found.files} == {f"{suite}.json" for suite in expected} | {
        "poseidon-sweep.json", "merkle-sweep.json",
    }  # fmt: skip
    assert [read(path) for path in found.files] == found.runs
    assert read(folder / "hashes.json").command == "supervm bench hashes"
    assert read(folder / "merkle-sweep.json").sweep
    text = found.page.read_text("utf-8")
    assert all(f"All rows of {suite}<" in text for suite in expected)
    assert "msm</strong> was not measured: PeerDisagrees: msm: item 7" in text
    assert "ZeroDivisionError: division by zero" in text
    assert set(SUITES) <= set(told)


def test_what_is_done_is_on_the_disk_when_a_run_is_stopped(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = collection.run_suite

    def stopped(suite: str, **options: Any) -> list[Row]:
        if suite == SUITES[2]:
            raise KeyboardInterrupt
        return answer(suite, **options)

    monkeypatch.setattr(collection, "run_suite", stopped)
    with pytest.raises(KeyboardInterrupt):
        measure_all(tmp_path, environment())
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "hashes.json",
        "report.html",
        "signatures.json",
    ]
    assert "All rows of hashes<" in (tmp_path / "report.html").read_text("utf-8")


def test_quick_leaves_out_what_takes_long(asked: Asked, tmp_path: Path) -> None:
    found = measure_all(tmp_path, environment(), threads=1, quick=True)
    assert [suite for suite, _ in asked] == list(SUITES)
    for suite, options in asked:
        assert options["batch"] == (2_000 if suite == "execution" else 256)
        assert (options["threads"], options["seconds"], options["sweep"]) == (1, 0.0, False)
    assert found.runs[0].command == "supervm bench signatures --threads 1 --batch 256"


def test_a_gpu_is_measured_where_there_is_one(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(job.backend is None for job in jobs())
    monkeypatch.setattr(collection.devices, "unavailable", lambda: None)
    assert [job.suite for job in jobs() if job.backend == "cuda"] == list(SINGLE)
    assert Job("msm", backend="cuda").name == "msm-cuda"
    assert all(job.backend is None for job in jobs(quick=True))


def test_a_quick_run_of_a_real_suite(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(collection, "SUITES", ("hashes",))
    monkeypatch.setattr(beside, "PEER_SECONDS", 0.001)
    backends = registry.backends
    monkeypatch.setattr(
        registry, "backends", lambda name: [each for each in backends(name) if each.name == "scalar"]
    )
    found = measure_all(tmp_path, environment(), threads=1, quick=True)
    assert not found.failures
    (run,) = found.runs
    assert {r.batch for r in run.rows} == {256}
    assert all(r.spread is not None and peer.spread is not None for r in run.rows for peer in r.peers)
    assert "All rows of hashes<" in found.page.read_text("utf-8")
