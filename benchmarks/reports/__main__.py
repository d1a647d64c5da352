# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes `docs/benchmarks/report.html` from `benchmarks/results/`: the last run and the last sweep of each suite on each
machine.

    python -m supervm.benchmarks.reports
"""

from __future__ import annotations

from pathlib import Path

from supervm.benchmarks.reports.page import page
from supervm.benchmarks.results import latest
from supervm.engine.files.whole_files import write_whole

REPORT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks" / "report.html"


def recorded_page() -> str:
    """The page of what is recorded."""
    return page([*latest(), *latest(sweep=True)])


if __name__ == "__main__":
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    write_whole(REPORT, recorded_page().encode())
