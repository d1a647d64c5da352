# SPDX-License-Identifier: GPL-3.0-or-later
"""On a 64-bit ARM processor, emulated or real: known answers of operations on `neon` and `scalar`, of execution, of storage.

    python tests/arm/answers.py [OPERATION …]

Without names: every operation, execution in every mode, and a state that is kept and opened again. Several processes share
the work; what shares kernels goes to one of them. Says what it is at on standard error; ends with 1 if an answer is wrong,
with 3 on another processor. Kernels are kept where `SUPERVM_CACHE_DIR` says.
"""

from __future__ import annotations

import gc
import multiprocessing
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import native_compiler

from supervm.engine.config import EngineConfig, Mode
from supervm.engine.engine import Engine
from supervm.engine.workloads import known_answer
from supervm.engine.workloads.run import place_genesis
from supervm.kernels import registry
from supervm.kernels.cpu.lanes.features import cpu_features
from supervm.tiers import inventory, known_answers
from supervm.tiers.limits import usable_cores
from supervm.tiers.warming import EXECUTION, SECONDS, Group, groups_of

BACKENDS = ("neon", "scalar")
SHA_TREE = "merkle.sha256"
"""On `auto`, the processor's instructions for SHA-256."""

MOST_PROCESSES = 4
OBJECTS = 100_000
"""Objects between two collections: an emulated processor collects slowly, and a compiler makes many that stay."""

begun = multiprocessing.get_context("fork").Value("i", 0)
"""Tasks that some process has begun with."""


def main(names: list[str]) -> int:
    """Run the tests of these operations, or all; the exit code."""
    if platform.machine() not in ("aarch64", "arm64"):
        print(f"this is {platform.machine()}; expected aarch64, as `make arm` emulates it", file=sys.stderr)
        return 3
    gc.set_threshold(OBJECTS)
    native_compiler.install()
    since = time.monotonic()
    groups = groups_of(list(_tasks(names)))
    groups.sort(key=lambda group: -SECONDS[group.name])
    total = sum(len(group.tasks) for group in groups)
    processes = min(MOST_PROCESSES, usable_cores(), len(groups))
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        wrong = sum(pool.map(_wrong, groups, [total] * len(groups)))
    print(f"{total} known answers, {wrong} wrong, {time.monotonic() - since:.0f} s in {processes} processes")
    return 1 if wrong else 0


def _tasks(names: list[str]) -> Iterator[tuple[str, str]]:
    """Operations and backends."""
    for operation in names or inventory.operations():
        for backend in BACKENDS:
            if backend in {found.name for found in registry.backends(operation)}:
                yield operation, backend
        if operation == SHA_TREE and cpu_features().sha:
            yield operation, "auto"
    if not names:
        yield EXECUTION, "auto"


def _wrong(group: Group, total: int) -> int:
    """How many answers of a group's tasks are wrong."""
    wrong = 0
    for task in group.tasks:
        with begun.get_lock():
            begun.value += 1
            print(f"arm: {begun.value} of {total}, {task} on {group.backend}", file=sys.stderr, flush=True)
        since = time.monotonic()
        for what, ok, detail in _execution() if task == EXECUTION else _operation(task, group.backend):
            seconds = time.monotonic() - since
            print(f"{what:40} {'ok' if ok else 'WRONG':5} {seconds:7.1f} s  {detail}", flush=True)
            wrong += not ok
            since = time.monotonic()
    return wrong


def _operation(name: str, backend: str) -> Iterator[tuple[str, bool, str]]:
    outcome = known_answers.known_answers(name, backend)
    yield f"{name} on {backend}", outcome.ok, outcome.detail


def _execution() -> Iterator[tuple[str, bool, str]]:
    """A known block in every mode, and the state that is there after a reopening."""
    for mode in Mode:
        for threads in (1, 2):
            state = known_answers.check_execution(mode, threads)
            yield f"execution, {mode}, threads {threads}", bool(state.known_answer), state.detail
    with tempfile.TemporaryDirectory() as folder:
        with Engine.open(folder, EngineConfig()) as engine:
            place_genesis(engine, known_answer.genesis())
            engine.execute(known_answer.block())
        with Engine.open(folder, EngineConfig()) as engine:
            found = engine.state_root.hex()
    yield "storage", found == known_answer.STATE_ROOT, f"the state root after a reopening is {found}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
