# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables in the pages are those of the recorded results."""

import re
from dataclasses import replace

import pytest

from supervm.benchmarks import table
from supervm.benchmarks.cases import SUITES
from supervm.benchmarks.errors import ResultsMalformed
from supervm.benchmarks.measure import Method
from supervm.benchmarks.results import Recorded, latest
from supervm.benchmarks.rows import PeerRow, Row

ENVIRONMENT = {
    "hardware": {"cpu": "Some CPU", "cores": 2, "gpus": []},
    "versions": {"python": "3.11.7", "numba": "0.68.1", "numpy": "2.4.6"},
}


def _row(backend: str, threads: int, batch: int, rate: float, ratio: float) -> Row:
    peers = (PeerRow("hashlib", "3.11", rate / ratio, ratio),)
    return Row("hashes", "sha256", backend, threads, batch, rate, 1e9 / rate, "none", peers)


RUN = Recorded(
    "hashes",
    "2025-01-02T03:04:05Z",
    "supervm bench hashes",
    Method("best of 3", 50.0, 1.0),
    ENVIRONMENT,
    (
        _row("ifma", 1, 65536, 14.49e6, 12.3),
        _row("ifma", 2, 65536, 25.5e6, 16.6),
        _row("ifma", 1, 1, 66e3, 0.04),
    ),
)


MAKERS = [
    ("measured", table.measured),
    ("measured in Chinese", table.measured_in_chinese),
    ("losses", table.losses),
    ("growth", table.growth),
]


@pytest.mark.parametrize(("name", "make"), MAKERS)
def test_the_page_holds_what_the_recorded_results_give(name: str, make) -> None:
    runs = latest(sweep=name == "growth")
    grown = {"msm", "ntt", "poseidon", "merkle"}
    assert {run.suite for run in runs} == (grown if name == "growth" else set(SUITES))
    page = table.PAGES[name].read_text("utf-8")
    assert table.with_section(page, name, make(runs)) == page, "run `make table`"


def test_one_line_for_an_operation_and_backend() -> None:
    lines = table.measured([RUN]).splitlines()
    assert lines[-1] == "| `sha256` | ifma | 65,536 | 14.5 M/s | 25.5 M/s | 15 µs | hashlib 3.11: 12x |"
    assert "Some CPU, 2 cores" in lines[0]
    assert "`supervm bench hashes`" in lines[0]


def test_chinese_headings_stand_over_the_same_rows() -> None:
    lines, ours = table.measured_in_chinese([RUN]).splitlines(), table.measured([RUN]).splitlines()
    assert lines[2].startswith("| 操作 | 后端 | 批量 | 单线程 | 2 线程 | 单项耗时 | ")
    assert [line for line in lines if line not in ours] == [lines[2]]


def test_no_heading_stays_english() -> None:
    heads = re.findall(r"^\|(.*)\|\n(?=\|---)", table.measured_in_chinese(latest()), re.MULTILINE)
    assert heads
    assert not re.search(r"[a-z]{3}", " ".join(heads))


def test_losses_are_listed() -> None:
    lines = table.losses([RUN]).splitlines()
    assert lines[2:] == ["| `sha256` | ifma | 1 | 1 | 66 k/s | hashlib 1.65 M/s | 0.04x |"]


@pytest.mark.parametrize("old", ["", "old\ntext\n"])
def test_only_the_text_between_the_markers_changes(old: str) -> None:
    page = f"before\n<!-- measured -->\n{old}<!-- /measured -->\nafter\n"
    assert table.with_section(page, "measured", r"new \1") == (
        "before\n<!-- measured -->\nnew \\1\n<!-- /measured -->\nafter\n"
    )


@pytest.mark.parametrize("page", ["no markers", "<!-- measured -->\nopen\n", "<!-- /measured -->\n"])
def test_a_page_without_markers_is_refused(page: str) -> None:
    with pytest.raises(ResultsMalformed, match="measured"):
        table.with_section(page, "measured", "text")


def test_a_sweep_is_a_column_for_each_size() -> None:
    rows = tuple(_row("ifma", 1, 1 << power, 1e6, 1.0) for power in (8, 10))
    lines = table.growth([replace(RUN, command="supervm bench hashes --sweep", rows=rows)]).splitlines()
    assert lines[-3:] == ["| ms a call | 2^8 | 2^10 |", "|---|---:|---:|", "| `sha256` | 0.26 | 1.02 |"]


def test_a_row_of_the_service_says_how_long_answers_take() -> None:
    peer = PeerRow("empty handler", "1", 10_000.0, 0.9)
    row = Row("service", "service.stream", "ifma", 1, 1, 9_000.0, 111_111.1, "none", (peer,), p99_ms=12.34)
    lines = table.measured([replace(RUN, suite="service", rows=(row,))]).splitlines()
    assert lines[-1] == "| `service.stream` | 1 | 1 | 9.0 k/s | 12.3 ms | empty handler: 0.90x |"
