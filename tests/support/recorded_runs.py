# SPDX-License-Identifier: GPL-3.0-or-later
"""Recorded runs with figures of the test's choice, and the tables of a page as a reader finds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from supervm.benchmarks.measure import Method
from supervm.benchmarks.results import Recorded
from supervm.benchmarks.rows import PeerRow, Row


def environment(cpu: str = "Some CPU", commit: str = "c" * 40, gpu: str | None = None) -> dict[str, Any]:
    gpus = [{"name": gpu}] if gpu else []
    return {
        "hardware": {"cpu": cpu, "cores": 2, "gpus": gpus},
        "versions": {"python": "3.11.7", "numba": "0.68.1", "numpy": "2.4.6"},
        "commit": {"id": commit, "modified": False},
    }


def row(
    rate: float,
    peers: dict[str, float] | None = None,
    *,
    operation: str = "sha256",
    backend: str = "ifma",
    threads: int = 1,
    batch: int = 65536,
    spread: float | None = None,
    version: str = "1",
    **more: Any,
) -> Row:
    """A row of `hashes` with the ratio to each peer."""
    beside = tuple(
        PeerRow(name, version, rate / ratio, ratio, spread) for name, ratio in (peers or {}).items()
    )
    transfers = more.pop("transfers", "none")
    return Row(
        "hashes", operation, backend, threads, batch, rate, 1e9 / rate, transfers, beside, spread, **more
    )


def run(
    rows: Sequence[Row], *, day: int = 1, sweep: bool = False, suite: str = "hashes", **more: Any
) -> Recorded:
    command = f"supervm bench {suite}{' --sweep' * sweep}"
    recorded = f"2025-01-{day:02}T03:04:05Z"
    return Recorded(
        suite, recorded, command, Method("best of 3", 50.0, 1.0), environment(**more), tuple(rows)
    )


@dataclass
class Tables(HTMLParser):
    """Feed it a page: `rows[caption]` are the rows of its tables, a cell its text or the figure that it keeps."""

    rows: dict[str, list[list[str | float]]] = field(default_factory=dict)
    _caption: str = ""
    _row: list[str | float] = field(default_factory=list)
    _figure: float | None = None
    _text: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._text = ""
        if tag == "td":
            value = dict(attrs).get("data-value")
            self._figure = None if value is None else float(value)

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "caption":
            self._caption = self._text
        elif tag == "td":
            self._row.append(self._text if self._figure is None else self._figure)
        elif tag == "tr" and self._row:
            self.rows.setdefault(self._caption, []).append(self._row)
            self._row = []
