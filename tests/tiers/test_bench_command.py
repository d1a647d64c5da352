# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm bench`: rows, records, and every suite into a folder; what is measured is tested in tests/benchmarks."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from supervm.benchmarks.errors import PeerDisagrees
from supervm.benchmarks.rows import PeerRow, Row


def _answer(result: Result) -> dict[str, Any]:
    """The one object on standard output."""
    answer = json.loads(result.stdout)
    assert isinstance(answer, dict)
    return answer


ROW = Row("hashes", "sha256", "scalar", 1, 65536, 2e6, 500.0, "none", (PeerRow("hashlib", "3.5", 1e6, 2.0),))


def test_bench_prints_rows(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def run_suite(suite: str, **options: Any) -> list[Row]:
        options.pop("progress")(0, 1, "sha256")
        asked.append({"suite": suite, **options})
        return [ROW]

    importlib.import_module("supervm.benchmarks.bench")
    monkeypatch.setattr("supervm.benchmarks.bench.run_suite", run_suite)
    result = run("bench", "hashes", "--threads", 2, "--batch", 8, "--backend", "scalar")
    assert result.exit_code == 0, result.output
    assert asked == [
        {
            "suite": "hashes",
            "threads": 2,
            "batch": 8,
            "backend": "scalar",
            "sweep": False,
            "peer_python": None,
            "cluster": None,
        }
    ]
    assert "hashlib 3.5: 2.00x" in result.stdout
    answer = _answer(run("bench", "hashes", "--json"))
    assert set(answer) == {"environment", "rows"}
    assert answer["rows"] == [ROW.to_json()]


def test_bench_keeps_a_record_with_its_command(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kept: list[tuple[Any, ...]] = []

    def keep(*record: Any) -> Path:
        kept.append(record)
        return tmp_path / "kept.json"

    importlib.import_module("supervm.benchmarks.bench")
    monkeypatch.setattr("supervm.benchmarks.bench.run_suite", lambda suite, **options: [ROW])
    monkeypatch.setattr("supervm.benchmarks.bench.keep", keep)
    result = run("bench", "hashes", "--batch", 8, "--record", "--json")
    assert result.exit_code == 0, result.output
    assert kept[0][:2] == ("hashes", [ROW])
    assert kept[0][3] == "supervm bench hashes --batch 8"
    assert "kept.json" in result.stderr
    assert _answer(result)["rows"]


def test_bench_with_a_peer_that_disagrees(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_suite(suite: str, **options: Any) -> list[Row]:
        raise PeerDisagrees("sha256", "scalar", "hashlib", 7, b"a", b"b")

    importlib.import_module("supervm.benchmarks.bench")
    monkeypatch.setattr("supervm.benchmarks.bench.run_suite", run_suite)
    result = run("bench", "hashes", "--json")
    assert result.exit_code == 1
    assert "item 7" in _answer(result)["error"]["message"]


def _measures(monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    """`run_suite` answers one row for every suite but one."""

    def run_suite(suite: str, **options: Any) -> list[Row]:
        if suite == failing:
            raise PeerDisagrees("sha256", "scalar", "hashlib", 7, b"a", b"b")
        return [replace(ROW, suite=suite)]

    collection = importlib.import_module("supervm.benchmarks.reports.collection")
    monkeypatch.setattr(collection, "run_suite", run_suite)
    monkeypatch.setattr(collection, "SUITES", ("signatures", "hashes"))


def test_bench_all_writes_files_and_a_page(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _measures(monkeypatch, failing="none")
    result = run("bench", "all", "--quick", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "2 in 2 files" in result.stdout
    answer = _answer(run("bench", "all", "--out", tmp_path, "--json"))
    assert answer == {
        "page": str(tmp_path / "report.html"),
        "files": [str(tmp_path / "signatures.json"), str(tmp_path / "hashes.json")],
        "failures": {},
    }
    assert all(Path(name).exists() for name in (answer["page"], *answer["files"]))


def test_bench_all_goes_on_after_an_error_and_says_so(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kept: list[str] = []
    _measures(monkeypatch, failing="signatures")
    importlib.import_module("supervm.benchmarks.bench")
    monkeypatch.setattr(
        "supervm.benchmarks.bench.keep", lambda suite, *rest: kept.append(suite) or tmp_path / "kept.json"
    )
    result = run("bench", "all", "--out", tmp_path, "--record", "--json")
    assert result.exit_code == 1
    answer = _answer(result)
    assert answer["failures"]["signatures"]["type"] == "PeerDisagrees"
    assert answer["files"] == [str(tmp_path / "hashes.json")]
    assert kept == ["hashes"]
    assert "item 7" in result.stderr


def test_bench_all_without_matplotlib(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("collection", "page", "plots"):
        monkeypatch.delitem(sys.modules, f"supervm.benchmarks.reports.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = run("bench", "all", "--out", tmp_path, "--json")
    assert result.exit_code == 3
    assert "matplotlib" in _answer(result)["error"]["message"]
    assert "supervm-engine[bench]" in result.stderr
    assert not list(tmp_path.iterdir())
