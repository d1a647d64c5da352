# SPDX-License-Identifier: GPL-3.0-or-later
"""Every suite into a folder: a file of results for each and one page of all. What one suite loses, the others keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from supervm.benchmarks.cases import EXECUTION, SINGLE, SUITES, suite_cases
from supervm.benchmarks.reports.page import page
from supervm.benchmarks.results import Recorded, command, measured
from supervm.benchmarks.runner import run_suite
from supervm.engine.files.whole_files import write_whole
from supervm.kernels.cuda.runtime import devices

QUICK_ITEMS, QUICK_TRANSACTIONS = 256, 2_000

REPORT = "report.html"

Progress = Callable[[str, int, int, str], None]
"""Called before each row with the job's name, the rows done, the rows in all, and the next row's name."""


@dataclass(frozen=True)
class Job:
    """One run of a suite.

    Args:
        suite: which.
        sweep: how it grows, instead of its rows.
        backend: only this one; None for those of the CPU.
    """

    suite: str
    sweep: bool = False
    backend: str | None = None

    @property
    def name(self) -> str:
        """As in the name of its file."""
        return "-".join([self.suite, *(["sweep"] * self.sweep), *([self.backend] if self.backend else [])])


@dataclass
class Collection:
    """What was measured.

    Args:
        page: the page of HTML.
        files: the files of results.
        runs: what they hold.
        failures: jobs that ended with an error, by name.
    """

    page: Path
    files: list[Path] = field(default_factory=list)
    runs: list[Recorded] = field(default_factory=list)
    failures: dict[str, Exception] = field(default_factory=dict)


def jobs(*, quick: bool = False) -> Iterator[Job]:
    """Every suite, its sweep where it grows, and its rows on the GPU where there is one; `quick` leaves out both."""
    with_device = devices.unavailable() is None
    for suite in SUITES:
        yield Job(suite)
        if quick:
            continue
        if any(case.swept for case in suite_cases(suite)):
            yield Job(suite, sweep=True)
        if with_device and suite in SINGLE:
            yield Job(suite, backend="cuda")


def measure_all(
    folder: Path,
    environment: dict[str, Any],
    *,
    threads: int | None = None,
    quick: bool = False,
    progress: Progress | None = None,
) -> Collection:
    """Measure every suite and write `<job>.json` for each and `report.html`, over what stands there under these names.

    A file is written as soon as its suite is done; the page is written again then, so that a run that is stopped leaves
    a page of what it measured.

    Args:
        folder: where to; it is made if it is absent.
        environment: of this machine, for the files.
        threads: only this number; by default 1, 2 and all cores.
        quick: 256 items a call, 2,000 transactions a workload, no batch of one, no sweeps, no GPU, and the fewest rounds
            that count: to see that everything works, not how fast.
        progress: told about each row before it runs.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = Collection(folder / REPORT)
    for job in jobs(quick=quick):
        try:
            run = _run(job, environment, threads, quick, progress)
        # Whatever ends one suite, a defect of it included, must not cost what the others take an hour to measure.
        except Exception as error:
            found.failures[job.name] = error
        else:
            path = folder / f"{job.name}.json"
            write_whole(path, run.text().encode())
            found.files.append(path)
            found.runs.append(run)
        reasons = {name: f"{type(error).__name__}: {error}" for name, error in found.failures.items()}
        write_whole(found.page, page(found.runs, reasons).encode())
    return found


def _run(
    job: Job, environment: dict[str, Any], threads: int | None, quick: bool, progress: Progress | None
) -> Recorded:
    items = QUICK_TRANSACTIONS if job.suite == EXECUTION else QUICK_ITEMS

    def tell(done: int, total: int, name: str) -> None:
        if progress is not None:
            progress(job.name, done, total, name)

    batch = items if quick else None
    rows = run_suite(
        job.suite,
        threads=threads,
        batch=batch,
        backend=job.backend,
        sweep=job.sweep,
        seconds=0.0 if quick else None,
        progress=tell,
    )
    line = command(job.suite, sweep=job.sweep, threads=threads, batch=batch, backend=job.backend)
    return measured(job.suite, rows, environment, line)
