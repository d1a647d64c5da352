# SPDX-License-Identifier: GPL-3.0-or-later
"""The scheduler's policy: how it chooses, how much it trusts an accelerator, and how long it waits for one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from supervm.kernels.errors import ArgumentError


class Strategy(Enum):
    """How an executor is chosen.

    AUTO: the one that should be done first, by measured cost and what is queued before it.
    CPU_ONLY: the best CPU backend.
    GPU_ONLY: a GPU; without a usable one an error. Policy never chooses the CPU, safety still does: what a GPU failed to
        compute is computed on the CPU, and counted.
    BALANCE: one batch is cut across the CPU and all GPUs by measured speed, so that all end together.
    """

    AUTO = "auto"
    CPU_ONLY = "cpu-only"
    GPU_ONLY = "gpu-only"
    BALANCE = "balance"


@dataclass(frozen=True)
class SchedulerSettings:
    """The policy.

    Args:
        strategy: how an executor is chosen.
        recheck: share of the items of every accelerated batch that the CPU computes again, 0 … 1; at least one item is,
            and at 1 all are.
        recheck_cap: what the recheck may add to the time of a batch, as a share; it never goes below one item, and does not
            hold at `recheck` 1.
        deadline_factor, deadline_floor: an accelerated call that takes longer than factor × estimate + floor seconds is
            given up.
        first_deadline: seconds for the first call of an operation on a device, which may compile kernels.
        cooldown, most_cooldown: seconds that a circuit stays open, first and at most.
        smallest_piece: items below which a batch that does not fit a device is not halved any further.
        calibrate: whether an operation that more than one executor can run is timed at its first use.
        calibration_seconds: about how long that may take for one operation, compilation aside.
        default_threshold: without measurements, items from which on a GPU is taken.
        remember: whether measurements are kept for the next process.
        all_cpu_backends: whether every CPU backend is timed and compared. Off, those beyond the best one are compared where
            they were timed before, so that nothing is compiled only to be compared.
    """

    strategy: Strategy = Strategy.AUTO
    recheck: float = 0.01
    recheck_cap: float = 0.05
    deadline_factor: float = 20.0
    deadline_floor: float = 10.0
    first_deadline: float = 120.0
    cooldown: float = 30.0
    most_cooldown: float = 960.0
    smallest_piece: int = 256
    calibrate: bool = True
    calibration_seconds: float = 0.3
    default_threshold: int = 4096
    remember: bool = True
    all_cpu_backends: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.strategy, Strategy):
            names = ", ".join(f"Strategy.{strategy.name}" for strategy in Strategy)
            raise ArgumentError("strategy", repr(self.strategy), f"one of {names}")
        if not 0 <= self.recheck <= 1:
            raise ArgumentError("recheck", repr(self.recheck), "a share between 0 and 1")
        for name in ("recheck_cap", "deadline_factor", "deadline_floor", "first_deadline", "cooldown"):
            _positive(name, getattr(self, name))
        _positive("calibration_seconds", self.calibration_seconds)
        if not self.most_cooldown >= self.cooldown:
            raise ArgumentError("most_cooldown", repr(self.most_cooldown), "at least the cool-down")
        for name in ("smallest_piece", "default_threshold"):
            if getattr(self, name) < 1:
                raise ArgumentError(name, repr(getattr(self, name)), "a whole number, 1 or more")


def _positive(name: str, value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ArgumentError(name, repr(value), "a number above 0")
