# SPDX-License-Identifier: GPL-3.0-or-later
"""Times one executor over batch sizes, within a budget, and makes its cost model."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from supervm.engine.scheduler.cost import CostModel
from supervm.engine.scheduler.workloads import MESSAGE_BYTES, Workload
from supervm.kernels.errors import DeviceOutOfMemory
from supervm.kernels.work import Work

CPU_SIZES = (1, 2, 4, 8, 9, 16, 17, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
"""Dense, because groups of 8 or 16 lanes and slices of threads make steps; beyond the last it is straight."""

DEVICE_SIZES = (1, 64, 256, 1024, 4096, 1 << 14, 1 << 16, 1 << 18)
"""Flat, then straight: the bend matters."""

LONG_MESSAGE = 16 * MESSAGE_BYTES
"""Bytes of the messages that show what a byte costs."""

REPEATS = 5
"""Runs of one size; the median counts. Fewer where they would take more than a tenth of the budget."""

LEAST_SIZES = 2
"""Sizes that are timed whatever the budget: one would tell a fixed cost from none."""

Run = Callable[[Work], object]


def calibrate(
    operation: str,
    run: Run,
    workload: Workload,
    sizes: tuple[int, ...],
    budget: float,
    clock: Callable[[], float] = time.perf_counter,
) -> CostModel:
    """Time `run` on an operation's work.

    The first run, which may compile, is not counted. Sizes go up until the budget is spent or the next size would not fit in
    what is left of it, or in the device's memory.

    Args:
        run: computes a work and has the result where the caller would find it.
        workload: makes the work.
        sizes: items to time, ascending.
        budget: seconds for all runs together.
        clock: seconds since some moment.

    Raises: what `run` and `workload` raise, except DeviceOutOfMemory above the first sizes.
    """
    run(workload(operation, sizes[0]))
    begun = clock()
    done: list[int] = []
    seconds: list[float] = []
    size_bytes = 0
    for size in sizes:
        left = budget - (clock() - begun)
        if len(done) >= LEAST_SIZES and seconds[-1] * size / done[-1] > left:
            break
        work = workload(operation, size)
        try:
            taken = _median(run, work, budget, clock)
        except DeviceOutOfMemory:
            if len(done) < LEAST_SIZES:
                raise
            break
        done.append(size)
        seconds.append(taken)
        size_bytes = work.bytes
    per_byte = _per_byte(operation, run, workload, done[(len(done) - 1) // 2], budget, clock)
    return CostModel(done, seconds, size_bytes / done[-1], per_byte)


def _median(run: Run, work: Work, budget: float, clock: Callable[[], float]) -> float:
    times: list[float] = []
    while len(times) < REPEATS and sum(times) < budget / 10:
        start = clock()
        run(work)
        times.append(max(clock() - start, 1e-9))
    return statistics.median(times)


def _per_byte(
    operation: str,
    run: Run,
    workload: Workload,
    size: int,
    budget: float,
    clock: Callable[[], float],
) -> float:
    """What a byte of a longer message costs; 0 where there are no messages."""
    short, long = workload(operation, size), workload(operation, size, LONG_MESSAGE)
    if long.bytes <= short.bytes:
        return 0.0
    extra = _median(run, long, budget, clock) - _median(run, short, budget, clock)
    return max(0.0, extra / (long.bytes - short.bytes))
