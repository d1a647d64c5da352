# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry of each test's own, with one cheap operation more, and schedulers that are closed again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fault_device import FaultDevice
from fault_rows import OPERATION, line, rows_function

from supervm.crypto import ed25519, hashes, secp256k1  # noqa: F401  (they list their operations)
from supervm.engine import conflicts  # noqa: F401
from supervm.engine.scheduler import Scheduler, SchedulerSettings
from supervm.kernels import registry


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    """The real operations without a GPU's backends, and the cheap one; what a test adds is gone after it."""
    cpu_only = {
        operation: {name: entry for name, entry in row.items() if name != "cuda"}
        for operation, row in registry._table.items()
    }
    monkeypatch.setattr(registry, "_table", cpu_only)
    monkeypatch.setattr(registry, "_dispatcher", None)
    registry.register(OPERATION, "scalar", rows_function)


@pytest.fixture
def device() -> Iterator[FaultDevice]:
    """A device; what hangs on it is let go in the end."""
    one = FaultDevice()
    yield one
    if one.faults.hang is not None:
        one.faults.hang.set()


Make = Callable[..., Scheduler]


@pytest.fixture
def make(tmp_path) -> Iterator[Make]:
    """make(strategy or None, *devices, device=(fixed, per item), cpu=(fixed, per item), **settings): a scheduler.

    Both are "measured" beforehand for every operation, so that no test depends on the machine's speed: a device costs
    nothing to speak of beside the CPU, unless it is said otherwise. `options` goes to `Scheduler`.
    """
    made: list[Scheduler] = []

    def build(
        *devices: FaultDevice, cpu=(0.0, 1e-3), device=(1e-6, 1e-9), options=None, **settings: Any
    ) -> Scheduler:
        policy = {
            "recheck": 1.0,
            "deadline_floor": 20.0,
            "smallest_piece": 4,
            "calibrate": False,
            "remember": False,
        } | settings
        models = {}
        for operation in registry.operations():
            models[operation, registry.resolve(operation).name] = line(*cpu)
            for one in devices:
                models[operation, one.name] = line(*device)
        scheduler = Scheduler(
            SchedulerSettings(**policy),
            devices,
            folder=tmp_path,
            seed=5,
            **{"models": models} | (options or {}),
        )
        made.append(scheduler)
        return scheduler

    yield build
    for scheduler in made:
        scheduler.close()
