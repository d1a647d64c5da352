# SPDX-License-Identifier: GPL-3.0-or-later
"""A task of the pool that fails on demand: which nodes are slow, wrong, short of memory or killed stands in its options."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import ray

from supervm.engine.scheduler.tasks import TaskType
from supervm.tiers.cluster.task import Columns, Options, Task, take_rows


def here() -> str:
    """The node that this process is on."""
    return str(ray.get_runtime_context().get_node_id())


def squares(columns: Columns, options: Options) -> Columns:
    """The squares of a column, and what is asked for beside it.

    Options:
        log: a file that gets a line 'NODE FIRST-VALUE' for every share of more than a sample's size.
        pause: seconds that each share takes.
        stuck: {node: file}: a share waits there until the file exists.
        wrong: nodes whose answers are all one too high.
        die: {node: file}: the process is killed, once, when the file was not there.
        room: values of a share beyond which memory is short.
    """
    (values,) = columns
    node = here()
    whole = len(values) >= options.get("sample", 8)
    if whole and "log" in options:
        with open(options["log"], "a") as log:
            log.write(f"{node} {values[0]}\n")
    if whole:
        time.sleep(options.get("pause", 0.0))
    if whole and node in options.get("stuck", {}):
        while not Path(options["stuck"][node]).exists():
            time.sleep(0.02)
    if node in options.get("die", {}) and not Path(options["die"][node]).exists():
        Path(options["die"][node]).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if len(values) > options.get("room", len(values)):
        raise MemoryError(f"{len(values)} values")
    if options.get("refuse"):
        from supervm.kernels.errors import ArgumentError

        raise ArgumentError("values", "these", "others")
    return (values * values + (node in options.get("wrong", ())),)


def _example(items: int) -> tuple[Columns, dict[str, Any]]:
    return (np.arange(items, dtype=np.int64),), {}


SQUARES = Task(
    "test.squares",
    squares,
    items=lambda columns: len(columns[0]),
    type=TaskType.HASHING,
    take=take_rows,
    example=_example,
)
