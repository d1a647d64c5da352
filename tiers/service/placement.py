# SPDX-License-Identifier: GPL-3.0-or-later
"""Which cores and GPUs each of several processes gets, so that they are not in each other's way.

Cores are dealt out node by node (NUMA), so that a process has its memory beside it where there are at least as many
processes as nodes. GPUs are numbered by bus, and dealt out in that order, which on usual boards is that of the nodes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervm.tiers.errors import SettingError
from supervm.tiers.hardware import Hardware
from supervm.tiers.settings import Settings

VISIBLE, ORDER = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"


@dataclass(frozen=True)
class Place:
    """Where a process runs.

    Args:
        cores: numbers of the operating system; empty for all that there are.
        gpus: as `CUDA_VISIBLE_DEVICES` names them.
        threads: of its batches.
    """

    cores: tuple[int, ...]
    gpus: tuple[str, ...]
    threads: int

    @property
    def variables(self) -> dict[str, str]:
        """Of the environment that the process begins with."""
        return {VISIBLE: ",".join(self.gpus), ORDER: "PCI_BUS_ID"} if self.gpus else {}


def places(
    settings: Settings,
    hardware: Hardware,
    nodes: Sequence[Sequence[int]] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> list[Place]:
    """A place for each process that the settings ask for.

    Args:
        settings: `service.processes`, and `workers` where each is to have so many threads.
        hardware: cores and GPUs that there are.
        nodes: cores of each node; those of this machine if not given.
        environment: the variables to read.

    Raises:
        SettingError: a process for each GPU is asked for, and there is none.
    """
    nodes = numa_nodes() if nodes is None else nodes
    gpus = _names(hardware, environment)
    asked = settings.service_processes
    if asked == "gpu" and not gpus:
        found = f"'gpu', and there is none: {hardware.gpu_reason}"
        raise SettingError(
            settings.origins["service.processes"], "service.processes", found, "a number or 'numa'"
        )
    count = len(nodes) if asked == "numa" else len(gpus) if asked == "gpu" else int(asked)
    cores = [core for node in nodes for core in node]
    threads = settings.workers or max(1, hardware.cores // count)
    return [
        Place(
            tuple(_share(cores, number, count)) if len(cores) >= count else (),
            tuple(_share(gpus, number, count) or gpus[number * len(gpus) // count :][:1]),
            threads,
        )
        for number in range(count)
    ]


def numa_nodes(root: Path = Path("/")) -> list[list[int]]:
    """Usable cores of each node that has any; of one node where the system does not say."""
    usable = sorted(os.sched_getaffinity(0))
    found = []
    for folder in sorted(
        (root / "sys/devices/system/node").glob("node[0-9]*"), key=lambda one: int(one.name[4:])
    ):
        listed = _listed((folder / "cpulist").read_text())
        found.append([core for core in usable if core in listed])
    nodes = [node for node in found if node]
    return nodes if sum(map(len, nodes)) == len(usable) else [usable]


def _listed(text: str) -> set[int]:
    """The numbers of a list such as "0-3,8" (Linux, Documentation/admin-guide/cputopology.rst)."""
    found: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def _names(hardware: Hardware, environment: Mapping[str, str]) -> list[str]:
    visible = environment.get(VISIBLE)
    if visible is None:
        return [str(number) for number in range(len(hardware.gpus))]
    return [name.strip() for name in visible.split(",")][: len(hardware.gpus)]


def _share(things: Sequence[Any], number: int, count: int) -> Sequence[Any]:
    return things[number * len(things) // count : (number + 1) * len(things) // count]
