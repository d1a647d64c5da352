# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that a machine with a GPU has to show, in one command, run in a checkout:

    python -m supervm.benchmarks.gpu [FOLDER]

1. the tests under `tests/gpu`, which fail here, instead of being skipped, where there is no GPU;
2. every suite but `execution` on the backend `cuda`, recorded in FOLDER, or else under `benchmarks/results/`;
3. a summary. The exit code is 1 if a test failed or a suite did, after all of it ran; 3 without a GPU.

Where nothing can be installed, `make .typing` and `PYTHONPATH=.typing` take the place of an installation; CuPy, Numba,
NumPy, psutil and pytest are needed. A library to compare with that is missing is named and left out.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from supervm.benchmarks.cases import SINGLE, missing_peers
from supervm.benchmarks.results import FOLDER, record
from supervm.benchmarks.rows import Row
from supervm.benchmarks.runner import run_suite
from supervm.kernels.cuda.runtime import devices
from supervm.kernels.errors import SupervmError
from supervm.tiers.environment import environment

CHECKOUT = Path(__file__).resolve().parent.parent


def main(folder: Path = FOLDER) -> int:
    """Run all of it; the exit code.

    Args:
        folder: where results are recorded.
    """
    reason = devices.unavailable()
    if reason:
        print(f"no GPU: {reason}", file=sys.stderr)
        return 3
    print("on", ", ".join(device.name for device in devices.devices()), flush=True)
    wrong = [] if _tests_pass() else ["tests/gpu"]
    for suite in SINGLE:
        try:
            _measure(suite, folder)
        except SupervmError as error:
            print(f"{suite}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            wrong.append(suite)
    print(f"failed: {', '.join(wrong)}" if wrong else f"tests passed, {len(SINGLE)} suites recorded")
    return 1 if wrong else 0


def _tests_pass() -> bool:
    """The GPU tests, in a process of their own: they may leave a device unusable. A warning of CuPy fails none of them."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "tests/gpu",
        "-m",
        "gpu",
        "--require-gpu",
        "-q",
        "-W",
        "default",
    ]
    return subprocess.run(command, cwd=CHECKOUT, check=False).returncode == 0


def _measure(suite: str, folder: Path) -> None:
    """Measure a suite, record it and print its rows."""
    missing = missing_peers(suite)
    if missing:
        print(f"{suite}: not installed, so not measured beside: {', '.join(missing)}")
    start = time.monotonic()
    rows = run_suite(suite, backend="cuda")
    path = record(suite, rows, environment(), f"supervm bench {suite} --backend cuda", folder)
    print(f"{suite}: {len(rows)} rows in {time.monotonic() - start:.0f} s, recorded in {path.name}")
    print(summary(rows), flush=True)


def summary(rows: Sequence[Row]) -> str:
    """A line for each operation and size: millions of items a second in kernels and end to end, and ratios to peers."""
    alone = {(row.operation, row.batch): row for row in rows if row.transfers == "none"}
    lines = [f"{'operation':44} {'batch':>9} {'kernels M/s':>12} {'end to end M/s':>15}"]
    for row in rows:
        if row.transfers != "included":
            continue
        kernels = alone[row.operation, row.batch].items_per_second / 1e6
        peers = ", ".join(f"{peer.name} {peer.ratio:.1f}x" for peer in row.peers)
        line = (
            f"{row.operation:44} {row.batch:9,} {kernels:12.3f} {row.items_per_second / 1e6:15.3f}  {peers}"
        )
        lines.append(line.rstrip())
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:2])))
