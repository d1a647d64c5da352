# SPDX-License-Identifier: GPL-3.0-or-later
"""The rate of a node beside that of a run: both are measured, and must come to one root."""

from __future__ import annotations

import pytest

from supervm.benchmarks import node as benchmark

SMALL = [
    "--transactions",
    "60",
    "--accounts",
    "10",
    "--block-size",
    "20",
    "--threads",
    "1",
    "--runs",
    "2",
    "--unsigned",
]


def test_both_are_measured(capsys):
    benchmark.main(SMALL)
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["processor time", "clock"]
    assert all("2 pairs" in line for line in lines)


def test_different_roots_are_no_measurement(monkeypatch):
    measured = benchmark._node
    monkeypatch.setattr(benchmark, "_node", lambda *given: measured(*given)._replace(root=bytes(32)))
    with pytest.raises(SystemExit, match="different roots"):
        benchmark.main(SMALL)
