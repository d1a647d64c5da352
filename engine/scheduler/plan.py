# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is to choose from for one operation; made at its first use and kept."""

from __future__ import annotations

from dataclasses import dataclass, field

from supervm.engine.scheduler.cost import CostModel
from supervm.engine.scheduler.device import GpuExecutor
from supervm.engine.scheduler.executors import BackendExecutor, HybridExecutor
from supervm.engine.scheduler.metrics import Series
from supervm.kernels.work import Function


@dataclass(eq=False, slots=True)
class Route:
    """One executor's way to run one operation.

    Args:
        executor: who runs it.
        function: the backend's function.
        seconds: where the time of each batch is counted.
        model: what it costs; None until it is measured.
    """

    executor: BackendExecutor
    function: Function
    seconds: Series
    model: CostModel | None = None


@dataclass(eq=False, slots=True)
class DeviceRoute(Route):
    """The same on an accelerator."""

    executor: GpuExecutor


@dataclass(eq=False, slots=True)
class Plan:
    """The routes of one operation.

    Args:
        operation: in the registry.
        cpu: the best CPU backend: what an accelerator is checked against, and falls back to.
        others: further CPU backends, if the settings ask for them.
        devices: the accelerators that can run it, in order.
        items: where the items of each batch are counted.
        reasons: why what cannot run it cannot.
        unmeasured: routes that should be timed before one is chosen.
        hybrid: all routes together, for `balance`.
        turn: how many batches were chosen for.
    """

    operation: str
    cpu: Route
    others: tuple[Route, ...]
    devices: tuple[DeviceRoute, ...]
    items: Series
    reasons: tuple[str, ...] = ()
    unmeasured: list[Route] = field(default_factory=list)
    hybrid: HybridExecutor | None = None
    turn: int = 0

    @property
    def routes(self) -> tuple[Route, ...]:
        """All of them, the CPU first."""
        return (self.cpu, *self.others, *self.devices)
