# SPDX-License-Identifier: GPL-3.0-or-later
"""Recorded measurements: one JSON file for each run of a suite, never overwritten.

`benchmarks/results/<date>-<machine>-<suite>.json` (`-sweep.json` after a sweep) holds the rows, the environment, the
command that reproduces them and how times were taken.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from supervm.benchmarks.cases import SUITES
from supervm.benchmarks.errors import ResultsMalformed
from supervm.benchmarks.measure import Method, method
from supervm.benchmarks.rows import Row
from supervm.engine.files.whole_files import write_whole

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Recorded:
    """One run of a suite.

    Args:
        suite: its name.
        recorded: when, UTC, ISO 8601 to the second.
        command: what reproduces it.
        method: how times were taken.
        environment: hardware, versions, system and commit, as `supervm.tiers.environment` describes them.
        rows: what was measured.
    """

    suite: str
    recorded: str
    command: str
    method: Method
    environment: dict[str, Any]
    rows: tuple[Row, ...]

    @property
    def machine(self) -> str:
        """The machine in words that a file name can hold, such as `intel-xeon-2.80ghz-2-cores`."""
        hardware = self.environment["hardware"]
        names = [
            hardware["cpu"],
            *dict.fromkeys(gpu["name"] for gpu in hardware["gpus"] if self.uses_device),
        ]
        words = re.sub(r"\((r|tm)\)|\b(cpu|processor|with)\b|@", " ", " ".join(names).lower())
        return "-".join([*re.findall(r"[a-z0-9.]+", words), str(hardware["cores"]), "cores"])

    @property
    def sweep(self) -> bool:
        """Whether it shows how the suite's cases grow, and not the suite itself."""
        return "--sweep" in self.command

    @property
    def uses_device(self) -> bool:
        """Whether it has rows of a GPU."""
        return any(row.backend == "cuda" for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        """The file's content, as plain dictionaries and lists."""
        return {**asdict(self), "rows": [row.to_json() for row in self.rows]}

    def text(self) -> str:
        """The file's content."""
        return json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n"


def measured(suite: str, rows: Sequence[Row], environment: dict[str, Any], command: str) -> Recorded:
    """The run that has just been measured."""
    now = datetime.datetime.now(datetime.UTC)
    return Recorded(suite, f"{now:%Y-%m-%dT%H:%M:%SZ}", command, method(), environment, tuple(rows))


def command(
    suite: str,
    *,
    sweep: bool = False,
    threads: int | None = None,
    batch: int | None = None,
    backend: str | None = None,
) -> str:
    """The command line that measures the same again."""
    flags = {"--threads": threads, "--batch": batch, "--backend": backend}
    given = [f"{flag} {value}" for flag, value in flags.items() if value is not None]
    return " ".join(["supervm bench", suite, *["--sweep"] * sweep, *given])


def record(
    suite: str, rows: Sequence[Row], environment: dict[str, Any], command: str, folder: Path = FOLDER
) -> Path:
    """Write a run into `folder` and return the new file; an earlier one of the same day stays."""
    run = measured(suite, rows, environment, command)
    stem = f"{run.recorded[:10]}-{run.machine}-{suite}{'-sweep' if run.sweep else ''}"
    folder.mkdir(parents=True, exist_ok=True)
    text = run.text()
    count = 1
    while True:
        path = folder / (f"{stem}.json" if count == 1 else f"{stem}-{count}.json")
        try:
            write_whole(path, text.encode(), new=True)
        except FileExistsError:
            count += 1
        else:
            return path


def read(path: Path) -> Recorded:
    """One recorded run.

    Raises:
        ResultsMalformed: the file does not have the recorded form.
    """
    try:
        run = msgspec.json.decode(path.read_bytes(), type=Recorded)
        if run.suite not in SUITES:
            raise ResultsMalformed(f"{path.name}: found suite '{run.suite}', expected {', '.join(SUITES)}")
        run.machine  # noqa: B018  what every reader asks for must be there
    except (msgspec.MsgspecError, ValueError, TypeError, KeyError, RecursionError) as error:
        words = f"no {error} in its environment" if isinstance(error, KeyError) else str(error)
        raise ResultsMalformed(f"{path.name}: {words}") from error
    return run


def latest(folder: Path = FOLDER, *, sweep: bool = False) -> list[Recorded]:
    """The last run, or the last sweep, of each suite on each machine, by machine and then in the order of `SUITES`."""
    newest: dict[tuple[str, str], Recorded] = {}
    for run in sorted((read(path) for path in folder.glob("*.json")), key=lambda run: run.recorded):
        if run.sweep == sweep:
            newest[run.machine, run.suite] = run
    return sorted(newest.values(), key=lambda run: (run.machine, SUITES.index(run.suite)))
