# SPDX-License-Identifier: GPL-3.0-or-later
"""Measurements kept between processes: one JSON file for each machine, as this process may use it.

A file that cannot be read, that another machine or version wrote, or that holds impossible figures is ignored and made
anew. Several processes may write at once: each replaces the file as a whole, and of two that write at the same moment one
measures again next time.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from supervm.engine.scheduler.cost import CostModel
from supervm.kernels import CACHE_FOLDER, get_threads
from supervm.kernels.cache import cache_root, write_whole
from supervm.kernels.cpu.lanes.features import cpu_features
from supervm.kernels.cuda.runtime import sources

FORMAT = 1
"""Of the file."""

Models = dict[tuple[str, str], CostModel]
"""(operation, executor's name) → what it costs."""

_log = logging.getLogger(__name__)


class Machine(msgspec.Struct, frozen=True):
    """What measurements depend on.

    Args:
        cpu: the processor's name, as the system and as LLVM have it.
        features: of the processor.
        cores: that this process may use.
        threads: that a batch may use.
        gpus: their names, in order.
        source: digests of the sources, CUDA's among them, and the compiler.
    """

    cpu: str
    features: tuple[str, ...]
    cores: int
    threads: int
    gpus: tuple[str, ...]
    source: str

    def digest(self) -> str:
        """Sixteen hex digits."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:16]


class _Points(msgspec.Struct, frozen=True):
    operation: str
    executor: str
    sizes: list[int]
    seconds: list[float]
    bytes_per_item: float
    per_byte: float


class _File(msgspec.Struct, frozen=True):
    format: int
    machine: Machine
    models: list[_Points]


def this_machine(gpus: Iterable[str]) -> Machine:
    """The machine as it is now, with the threads that kernels use now."""
    found = cpu_features()
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        cores = os.cpu_count() or 1
    return Machine(
        cpu=f"{_cpu_name()} ({found.name})",
        features=tuple(sorted(found.features)),
        cores=cores,
        threads=get_threads(),
        gpus=tuple(gpus),
        source=f"{CACHE_FOLDER.name}-{sources.digest()}",
    )


def _cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


class CalibrationStore:
    """The file of one machine.

    Args:
        machine: whose measurements they are.
        folder: where files lie; under the cache root if None.
    """

    def __init__(self, machine: Machine, folder: Path | None = None) -> None:
        self._machine = machine
        self.path = (folder or cache_root() / "calibration") / f"{machine.digest()}.json"
        self._told = False

    def load(self) -> Models:
        """What is stored for this machine; empty if nothing usable is."""
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            self._tell(f"cannot be read: {error.strerror or error}")
            return {}
        try:
            found = msgspec.json.decode(text, type=_File)
            if found.format != FORMAT or found.machine != self._machine:
                raise ValueError("another machine or format wrote it")
            return {
                (points.operation, points.executor): CostModel(
                    points.sizes, points.seconds, points.bytes_per_item, points.per_byte
                )
                for points in found.models
            }
        except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
            self._tell(f"is not used: {error}")
            return {}

    def save(self, models: Mapping[tuple[str, str], CostModel]) -> None:
        """Add these to what is stored. Measurements that cannot be kept are taken again next time: no error."""
        merged = self.load() | dict(models)
        points = [
            _Points(*key, list(model.sizes), list(model.seconds), model.bytes_per_item, model.per_byte)
            for key, model in sorted(merged.items())
        ]
        text = msgspec.json.format(msgspec.json.encode(_File(FORMAT, self._machine, points)))
        try:
            write_whole(self.path, text)
        except OSError as error:
            self._tell(f"cannot be written: {error.strerror or error}")

    def _tell(self, what: str) -> None:
        if not self._told:
            self._told = True
            _log.warning("calibration file %s %s; operations are timed again", self.path, what)
