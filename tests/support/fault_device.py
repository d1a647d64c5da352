# SPDX-License-Identifier: GPL-3.0-or-later
"""A device without hardware that computes rightly, and fails when and how it is told to.

`lend(operation, outputs)` lists, as the `cuda` backend of an operation, its `scalar` function run "on" the current device of
the thread, as a real one would be. Faults are set on the device and may change between batches.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from patience import PATIENCE

from supervm.kernels import registry
from supervm.kernels.errors import DeviceError, DeviceLost, DeviceOutOfMemory

LATE = 0x5A
"""What a call that hung writes over its outputs when it comes back."""


@dataclass
class Faults:
    """How a device fails.

    Args:
        wrong_items: silently wrong items of each result.
        launch: raised before anything is computed.
        memory_items: more items than this do not fit.
        hang: a call waits until this is set, then writes nonsense over its outputs, late.
        lost_in_the_middle: part of the outputs is written, then the device is gone for good.
        slow_start: seconds that the first call takes longer.
        now_and_then: every so many calls raise `launch`, or a launch error if there is none; 0 means every call.
    """

    wrong_items: int = 0
    launch: Exception | None = None
    memory_items: int | None = None
    hang: threading.Event | None = None
    lost_in_the_middle: bool = False
    slow_start: float = 0.0
    now_and_then: int = 0


@dataclass
class FaultDevice:
    """A device; `calls` are the items of every call that reached it."""

    name: str = "Fault Device (0)"
    index: int = 0
    faults: Faults = field(default_factory=Faults)
    calls: list[int] = field(default_factory=list)
    came_back: threading.Event = field(default_factory=threading.Event)
    lost: bool = False
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))

    def held_bytes(self) -> int:
        """As many bytes as items have reached it; nothing answers on a device that is lost."""
        if self.lost:
            raise DeviceLost(self.name, "lost (injected)")
        return sum(self.calls)

    @contextmanager
    def use(self) -> Iterator[None]:
        _current.device = self
        try:
            yield
        finally:
            _current.device = None

    def run(self, function: Callable[..., Any], outputs: int, arguments: tuple[Any, ...]) -> Any:
        """Call `function`, with this device's faults."""
        results = arguments[len(arguments) - outputs :]
        items = len(results[0]) if results else 0
        self.calls.append(items)
        self._fail_at_launch(items)
        if self.faults.hang is not None:
            assert self.faults.hang.wait(PATIENCE), "nobody ended the hang"
            for array in results:
                array.view(np.uint8)[...] = LATE
            self.came_back.set()
            return None
        found = function(*arguments)
        if self.faults.lost_in_the_middle:
            self.lost = True
            for array in results:
                array.view(np.uint8)[items // 2 :] = 0xEE
            raise DeviceLost(self.name, "the driver gave it up (injected)")
        return self._spoil(results, items, found)

    def _fail_at_launch(self, items: int) -> None:
        faults = self.faults
        if self.lost:
            raise DeviceLost(self.name, "it is gone (injected)")
        if faults.slow_start and len(self.calls) == 1:
            time.sleep(faults.slow_start)
        turn = faults.now_and_then
        if turn and len(self.calls) % turn == 0:
            raise faults.launch or DeviceError(self.name, "launch failed (injected)")
        if faults.launch is not None and not turn:
            raise faults.launch
        if faults.memory_items is not None and items > faults.memory_items:
            raise DeviceOutOfMemory(self.name, f"{items} items do not fit (injected)")

    def _spoil(self, results: tuple[Any, ...], items: int, found: Any) -> Any:
        if not self.faults.wrong_items:
            return found
        if not results:  # what the function returns is the result: conflict detection
            wave = found.wave.copy()
            wave[: self.faults.wrong_items] += 1
            return dataclasses.replace(found, wave=wave)
        rows = self.random.choice(items, min(items, self.faults.wrong_items), replace=False)
        for row in rows:
            results[-1].view(np.uint8).reshape(items, -1)[row, -1] ^= 1
        return found


_current = threading.local()


def lend(operation: str, outputs: int, reason: str = "") -> None:
    """List the `scalar` function of `operation`, which takes so many outputs, as its `cuda` backend, on fault devices."""
    function = registry.resolve(operation, "scalar").function

    def on_device(*arguments: Any) -> Any:
        device: FaultDevice | None = getattr(_current, "device", None)
        assert device is not None, "a cuda function was called on a thread that uses no device"
        return device.run(function, outputs, arguments)

    registry.register(operation, "cuda", on_device, lambda: reason)
