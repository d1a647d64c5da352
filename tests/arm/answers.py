# SPDX-License-Identifier: GPL-3.0-or-later
"""On a 64-bit ARM processor, emulated or real: known answers of operations on `neon` and `scalar`, and of execution.

    python tests/arm/answers.py [OPERATION …]

Without names: every operation and execution in every mode. Says what it is at on standard error; ends with 1 if an answer is
wrong, with 3 on another processor. Kernels are kept where `SUPERVM_CACHE_DIR` says.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Iterator

from supervm.engine.config import Mode
from supervm.kernels import registry
from supervm.tiers import inventory, known_answers

BACKENDS = ("neon", "scalar")


def main(names: list[str]) -> int:
    """Run the tests of these operations, or all; the exit code."""
    if platform.machine() not in ("aarch64", "arm64"):
        print(f"this is {platform.machine()}; expected aarch64, as `make arm` emulates it", file=sys.stderr)
        return 3
    begun, wrong = time.monotonic(), 0
    tests = list(_operations(names))
    for index, (operation, backend) in enumerate(tests):
        print(f"arm: {index + 1} of {len(tests)}, {operation} on {backend}", file=sys.stderr, flush=True)
        since = time.monotonic()
        outcome = known_answers.known_answers(operation, backend)
        wrong += not outcome.ok
        seconds = time.monotonic() - since
        print(
            f"{operation:32} {backend:7} {'ok' if outcome.ok else 'WRONG'} {seconds:7.1f} s  {outcome.detail}",
            flush=True,
        )
    if not names:
        wrong += _execution()
    print(f"{len(tests)} known answers, {wrong} wrong, {time.monotonic() - begun:.0f} s")
    return 1 if wrong else 0


def _operations(names: list[str]) -> Iterator[tuple[str, str]]:
    """Operations and backends; those whose kernels are compiled first come first."""
    for operation in names or inventory.operations():
        for backend in BACKENDS:
            if backend in {found.name for found in registry.backends(operation)}:
                yield operation, backend


def _execution() -> int:
    """How many modes of execution give a wrong root."""
    print("arm: a known block, in every mode", file=sys.stderr, flush=True)
    states = [known_answers.check_execution(mode, threads) for mode in Mode for threads in (1, 2)]
    for state in states:
        print(
            f"{'execution':32} {state.mode:7} {'ok' if state.known_answer else 'WRONG'} {state.detail}",
            flush=True,
        )
    return sum(not state.known_answer for state in states)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
