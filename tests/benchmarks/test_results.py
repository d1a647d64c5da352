# SPDX-License-Identifier: GPL-3.0-or-later
"""Recorded runs come back as they were, never replace one another, and a broken file is named."""

from pathlib import Path
from typing import Any

import pytest

from supervm.benchmarks import results
from supervm.benchmarks.errors import ResultsMalformed
from supervm.benchmarks.rows import PeerRow, Row

ENVIRONMENT: dict[str, Any] = {
    "hardware": {
        "cpu": "Intel(R) Xeon(R) Processor @ 2.80GHz",
        "cores": 2,
        "gpus": [{"name": "NVIDIA H100"}],
    },
    "versions": {"python": "3.11.7", "numba": "0.68.1", "numpy": "2.4.6"},
}
ROWS = [Row("hashes", "sha256", "ifma", 1, 4, 2e6, 500.0, "none", (PeerRow("hashlib", "3.11", 1e6, 2.0),))]


def _record(folder: Path, rows: list[Row] = ROWS) -> Path:
    return results.record("hashes", rows, ENVIRONMENT, "supervm bench hashes", folder)


def test_what_is_recorded_is_read_back(tmp_path: Path) -> None:
    run = results.read(_record(tmp_path))
    assert (run.suite, run.command, run.environment, list(run.rows)) == (
        "hashes",
        "supervm bench hashes",
        ENVIRONMENT,
        ROWS,
    )
    assert run.method.loop_overhead_ns > 0


def test_the_name_says_day_machine_and_suite(tmp_path: Path) -> None:
    path = _record(tmp_path)
    assert path.name == f"{results.read(path).recorded[:10]}-intel-xeon-2.80ghz-2-cores-hashes.json"


def test_a_device_is_part_of_the_machine_where_it_was_measured(tmp_path: Path) -> None:
    row = Row("hashes", "sha256", "cuda", 1, 4, 2e6, 500.0, "included", ())
    assert "nvidia-h100" in _record(tmp_path, [row]).name


def test_a_second_run_leaves_the_first_alone(tmp_path: Path) -> None:
    first = _record(tmp_path)
    before = first.read_bytes()
    second = _record(tmp_path)
    assert second != first
    assert first.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


def test_the_latest_run_of_each_machine_and_suite(tmp_path: Path) -> None:
    old, new = _record(tmp_path), _record(tmp_path)
    old.write_text(old.read_text().replace('"recorded": "2', '"recorded": "1'))
    assert results.latest(tmp_path) == [results.read(new)]


def test_files_from_before_spreads_were_kept_are_read_and_written_as_they_were() -> None:
    path = next(results.FOLDER.glob("*signatures-5.json"))
    run = results.read(path)
    assert run.rows[0].spread is None
    assert run.text() == path.read_text("utf-8")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"items_per_second": 2000000.0', '"items_per_second": 0.0', r"rows\[0\]\.items_per_second"),
        ('"items_per_second": 2000000.0', '"items_per_second": NaN', "malformed"),
        ('"ratio": 2.0', '"ratio": "2.0"', r"peers\[0\]\.ratio"),
        ('"threads": 1', '"thread": 1', "threads"),
        ('"suite": "hashes",\n "recorded"', '"suite": "speed",\n "recorded"', "suite 'speed'"),
        ('"hardware"', '"software"', "no 'hardware'"),
        ('"peers"', '"spread": -0.1, "peers"', "spread"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = _record(tmp_path)
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(ResultsMalformed, match=said):
        results.read(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rows": [{"suite": "hashes"}]}', '{"rows": 3}'])
def test_a_file_of_another_form_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(ResultsMalformed, match=r"broken\.json"):
        results.read(path)
