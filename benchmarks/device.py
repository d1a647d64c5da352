# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of the backend `cuda`: the kernels alone, and the public function under the scheduler, its inputs in pinned memory.

What the kernels alone are given is what the public function hands to its backend, caught on the way. Before a batch is
timed, its results on either path are compared, at every size: a batch that lies on the device is one piece, one that
comes from the host is cut into many. How calls are computed where their arrays lie is in `resident`.
"""

from __future__ import annotations

import functools
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from supervm.benchmarks import beside, resident
from supervm.benchmarks.cases import Case, Workload
from supervm.benchmarks.errors import PeerDisagrees
from supervm.benchmarks.measure import Contender
from supervm.engine.scheduler import Scheduler, SchedulerSettings, Strategy
from supervm.kernels import registry
from supervm.kernels.array_types import Array
from supervm.kernels.cuda.runtime import devices
from supervm.kernels.cuda.runtime.device import Device
from supervm.kernels.work import Work

BATCHES = tuple(1 << power for power in range(6, 23, 2))
"""Batch sizes of the usual cases: 2^6, 2^8, … 2^22."""

PEER_BATCH = 1 << 16
"""The size at which peers are measured beside the device."""

ROUND_SECONDS = 0.02
"""A round repeats its call until it takes about so long: one call may last microseconds."""

MOST_CALLS = 10_000
"""Calls of a round at most."""

LEAST_PINNED = 64 << 20
"""Bytes of the first block of pinned memory; a workload that needs more gets a block of twice the size, and so on."""

ALIGNMENT = 256

GUARDED = SchedulerSettings(strategy=Strategy.GPU_ONLY, calibrate=False, remember=False)
"""Everything to the device, with the checks that a node has."""


def sizes(case: Case, wanted: int | None) -> list[int]:
    """The batch sizes of a case: the one that is wanted, else its own or all, and for another workload or rule one."""
    if wanted is not None:
        return [wanted]
    if case.on_devices:
        return list(case.on_devices)
    if not case.variant:
        return list(BATCHES)
    return [next((size for size in BATCHES if size >= max(PEER_BATCH, case.batch)), BATCHES[-1])]


def check(case: Case) -> None:
    """Compare the device's answers with those of the best CPU backend and of every peer, damaged items among them.

    Raises:
        PeerDisagrees: with the item and both answers.
    """
    workload = case.corrupted(case.checked_items)
    cpu = registry.resolve(case.listed).name
    found, expected = (workload.answers(workload.run(backend)) for backend in ("cuda", cpu))
    beside.compare(case, "cuda", f"our backend '{cpu}'", found, expected)
    beside.check_peers(case, "cuda")


class Prepared:
    """One case at one batch size on the working device, ready to be timed both ways.

    Args:
        case: which.
        size: items of a call.
        pinned: where its inputs go.

    Raises:
        PeerDisagrees: kernels alone and public function give different results.
        DeviceOutOfMemory: the batch does not fit as one piece.
    """

    def __init__(self, case: Case, size: int, pinned: Pinned) -> None:
        self.case, self.size = case, size
        self.workload = case.workload(size)
        self._held = pinned.hold(self.workload)
        work = _caught(self._held)
        work.run(registry.resolve(work.operation, "cuda").function)
        through = [array.copy() for array in resident.results_of(work)]
        self._resident = resident.placed(work, devices.working_device())
        for mine, other in zip(self._resident.results(), through, strict=True):
            differ = np.flatnonzero((mine != other).reshape(len(mine), -1).any(axis=1))
            if differ.size:
                at = int(differ[0])
                raise PeerDisagrees(
                    case.name, "cuda", "the kernels alone", at, other[at].tolist(), mine[at].tolist()
                )

    def kernels(self) -> Contender:
        """The kernels on inputs that lie on the device, results left there."""
        return _round(self._resident.compute, self.workload.items)

    def end_to_end(self) -> Contender:
        """The public function as a node calls it: inputs in pinned memory, results in the caller's, and on the way the
        scheduler's sample that the processor computes again.
        """
        device = devices.working_device()

        def run(times: int) -> None:
            with _dispatching(None), Scheduler(GUARDED, (device,)):
                for _ in range(times):
                    self._held.run("auto")

        return _round(run, self.workload.items)


class Pinned:
    """Pinned memory that one workload after the other is moved into.

    The blocks are few, since every copy to the device asks of each whether it holds what is copied.
    """

    def __init__(self) -> None:
        self._block = np.empty(0, np.uint8)
        self._used = 0

    def hold(self, workload: Workload) -> Workload:
        """The workload with its arrays in pinned memory, which the next call reuses; as it is on a device without any."""
        empty = _pinned_empty(devices.working_device())
        if empty is None:
            return workload
        needed = 0

        def measured(array: Array) -> Array:
            nonlocal needed
            needed += _aligned(array.nbytes)
            return array

        workload.moved(measured)
        if needed > self._block.size:
            self._block = empty((max(LEAST_PINNED, 1 << (needed - 1).bit_length()),), np.uint8)
        self._used = 0
        return workload.moved(self._copied)

    def _copied(self, array: Array) -> Array:
        start = self._used
        self._used += _aligned(array.nbytes)
        place = self._block[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
        place[...] = array
        return place


class _Caught(Exception):
    """Carries a call out of the public function that made it."""

    def __init__(self, work: Work) -> None:
        super().__init__(work.operation)
        self.work = work


def _caught(workload: Workload) -> Work:
    """The call that the public function makes of a workload, not yet run."""

    def catch(work: Work) -> None:
        raise _Caught(work)

    with _dispatching(catch):
        try:
            workload.run("auto")
        except _Caught as caught:
            return caught.work
    raise AssertionError("the public function asked no backend")


@contextmanager
def _dispatching(dispatcher: registry.Dispatcher | None) -> Iterator[None]:
    """Have `dispatcher` run what is asked of `auto` inside a `with` block."""
    before = registry.dispatcher()
    registry.set_dispatcher(dispatcher)
    try:
        yield
    finally:
        registry.set_dispatcher(before)


def _round(run: Callable[[int], object], items: int) -> Contender:
    """Something to time that repeats a call until a round takes about `ROUND_SECONDS`."""
    run(1)
    start = time.perf_counter()
    run(1)
    seconds = time.perf_counter() - start
    times = min(MOST_CALLS, max(1, math.ceil(ROUND_SECONDS / seconds)))
    return Contender(functools.partial(run, times), items * times)


def _pinned_empty(device: Device) -> Callable[[tuple[int, ...], Any], Array] | None:
    """What makes pinned arrays for a device, if it is a real one; its module is loaded then."""
    module = sys.modules.get("supervm.kernels.cuda.runtime.cupy_device")
    if module is None or not isinstance(device, module.CupyDevice):
        return None
    empty: Callable[[tuple[int, ...], Any], Array] = module.pinned_empty
    return empty


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
