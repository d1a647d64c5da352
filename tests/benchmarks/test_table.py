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
    ("summary", table.summary),
    ("summary in Chinese", table.summary_in_chinese),
    ("measured", table.measured),
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


@pytest.fixture
def one_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "SUMMARY", ("sha256",))


@pytest.mark.usefixtures("one_operation")
def test_the_summary_is_of_the_fastest_backend_beside_the_closest_peer() -> None:
    slower = _row("scalar", 1, 65536, 2e6, 1.7)
    closer = replace(RUN.rows[0], peers=(*RUN.rows[0].peers, PeerRow("other", "1", 2e6, 7.245)))
    lines = table.summary([replace(RUN, rows=(slower, closer, *RUN.rows[1:]))]).splitlines()
    assert lines[2:] == [
        "| `sha256` | ifma | 14.5 M/s | 25.5 M/s | other 1 | 7.25x |",
        "",
        "- `supervm bench hashes`: Some CPU, 2 cores; Python 3.11.7, Numba 0.68.1, NumPy 2.4.6; 2025-01-02",
    ]


@pytest.mark.usefixtures("one_operation")
def test_the_summary_is_of_the_last_run_without_a_device() -> None:
    later = replace(RUN, recorded="2025-01-03T00:00:00Z", rows=(_row("scalar", 1, 65536, 2e6, 1.7),))
    device = replace(RUN, recorded="2025-01-04T00:00:00Z", rows=(_row("cuda", 1, 65536, 1e9, 900.0),))
    for runs in ([RUN, later, device], [device, later, RUN]):
        lines = table.summary(runs).splitlines()
        assert lines[2] == "| `sha256` | scalar | 2 M/s | 2 M/s | hashlib 3.11 | 1.70x |"
        assert lines[-1].endswith("2025-01-03")
    with pytest.raises(ResultsMalformed, match="sha256"):
        table.summary([device])


def test_the_summary_has_each_of_its_operations_once() -> None:
    rows = re.findall(r"^\| `(.*?)` \|", table.summary(latest()), re.MULTILINE)
    assert tuple(rows) == table.SUMMARY
    assert len(set(rows)) == 10


@pytest.mark.usefixtures("one_operation")
def test_chinese_headings_stand_over_the_same_rows() -> None:
    lines, ours = table.summary_in_chinese([RUN]).splitlines(), table.summary([RUN]).splitlines()
    assert lines[0] == "| 操作 | 后端 | 单线程 | 全部线程 | 对照（单线程） | 本项目 ÷ 对方 |"
    assert lines[1:] == ours[1:]


def test_no_heading_stays_english() -> None:
    heads = re.findall(r"^\|(.*)\|\n(?=\|---)", table.summary_in_chinese(latest()), re.MULTILINE)
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
    assert lines[-1] == "| `service.stream` | 1 | 1 | 9 k/s | 12.3 ms | empty handler: 0.90x |"
