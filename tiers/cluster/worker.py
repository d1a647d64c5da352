# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs on a node: one actor, with all of the node's threads and GPUs, that computes one share after the other."""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from supervm.kernels.cache import source_digest
from supervm.tiers.cluster.task import Columns, Options

Function = Callable[[Columns, Options], Columns]


class About(NamedTuple):
    """What a node says of itself.

    Args:
        digest: of its sources and versions, see `sources`.
        version: of this distribution.
        threads: that a share runs on.
        gpus: names of those it uses.
        features: of its processor, as `hardware` lists them.
        host: the machine's name.
        process: the actor's number.
    """

    digest: str
    version: str
    threads: int
    gpus: tuple[str, ...]
    features: tuple[str, ...]
    host: str
    process: int


class Done(NamedTuple):
    """An answer, and the seconds that it took on the node."""

    answer: Columns
    seconds: float


def sources() -> str:
    """Sixteen hex digits over everything that an answer depends on: kernels and the rooms above them, the tasks, and the
    packages that move columns."""
    import numpy
    import pyarrow

    digest = hashlib.sha256(f"{source_digest()}|numpy {numpy.__version__}|{pyarrow.__version__}".encode())
    tiers = Path(__file__).resolve().parent.parent
    for path in sorted(tiers.rglob("*.py")):
        digest.update(str(path.relative_to(tiers)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


class NodeWorker:
    """The actor of a node.

    Args:
        cores: of the node, as Ray counts them; 0 for all that this process may use.
    """

    def __init__(self, cores: int) -> None:
        from supervm.kernels.threads import set_threads
        from supervm.tiers.compose import scheduling, threads
        from supervm.tiers.environment import version
        from supervm.tiers.hardware import detect
        from supervm.tiers.settings import load

        hardware = detect()
        # The cores are Ray's, and what is sent here stays here.
        settings = load(hardware, flags={"workers": cores or None, "cluster.address": "off"})
        count = threads(settings, hardware)
        set_threads(count)
        self._scheduling = scheduling(settings, hardware)
        self._scheduling.__enter__()
        self._about = About(
            sources(),
            version(),
            count,
            tuple(gpu.name for gpu in hardware.gpus),
            hardware.features,
            platform.node(),
            os.getpid(),
        )

    def about(self) -> About:
        """What this node is."""
        return self._about

    def compute(self, task: str | Function, columns: Columns, options: dict[str, Any]) -> Done:
        """Carry out a task.

        Args:
            task: its name in the table, or the function of one that is not there.
            columns: read-only, in shared memory.
        """
        if isinstance(task, str):
            from supervm.tiers.cluster.tasks import TASKS

            function: Function = TASKS[task].function
        else:
            function = task
        begun = time.perf_counter()
        answer = function(columns, options)
        return Done(answer, time.perf_counter() - begun)
