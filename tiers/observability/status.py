# SPDX-License-Identifier: GPL-3.0-or-later
"""How a running process is doing, in one answer: for the status page, `supervm status --watch`, and `/readyz`.

Counts are read from the metrics, so that this and Prometheus cannot disagree; rates and curves are of the last minute.
"""

from __future__ import annotations

import functools
import threading
import time
from collections import deque
from enum import Enum
from typing import TYPE_CHECKING

import msgspec

from supervm.engine.scheduler.executors import ExecutorKind
from supervm.kernels import registry
from supervm.tiers.environment import version
from supervm.tiers.hardware import Hardware
from supervm.tiers.observability.metrics import Metrics
from supervm.tiers.observability.samples import Samples
from supervm.tiers.settings import Settings

if TYPE_CHECKING:
    from supervm.engine.blocks.result import BlockResult

KINDS = {ExecutorKind.WASM_CPU.value: "processor"}
"""What an operator calls a kind of executor, where that is not the scheduler's name."""

BLOCKS_KEPT = 20
"""Recent blocks that a status shows."""


class State(Enum):
    """Where a process is in its life. Work is accepted in `READY`, and in `LEAVING`, where others should be asked."""

    STARTING = "starting"
    READY = "ready"
    LEAVING = "leaving"
    DRAINING = "draining"
    FAILING = "failing"


class Struct(msgspec.Struct, frozen=True, kw_only=True):
    """What the parts of a status have in common."""


class Rate(Struct, frozen=True):
    """Something by the second: over the last ten seconds, and each of the last 59, oldest first."""

    now: float
    history: list[float]


class Verified(Struct, frozen=True):
    """Signatures of a scheme that a backend has verified."""

    scheme: str
    backend: str
    valid: int
    invalid: int
    malformed: int


class Executor(Struct, frozen=True):
    """A processor's backend, or a device, that this machine has: its circuit ("closed" where it is well), what is wrong."""

    name: str
    kind: str
    circuit: str
    reason: str


class Kernel(Struct, frozen=True):
    """Batches of an operation on a backend, and the seconds that they took."""

    operation: str
    backend: str
    batches: int
    seconds: float


class Fallback(Struct, frozen=True):
    """How often an operation did not run on the device it was meant for, and why."""

    operation: str
    reason: str
    count: int


class Stage(Struct, frozen=True):
    """How often a stage ran, its mean seconds since the start, and of late; None where it rested."""

    stage: str
    count: int
    mean: float
    recent: float | None


class Requests(Struct, frozen=True):
    """Answers to a call: how many, by code, and the mean seconds."""

    call: str
    codes: dict[str, int]
    mean: float


class BlockLine(Struct, frozen=True):
    """A block: `BlockStats` in short. `root` is hex; `seconds` adds up the stages, which overlap with other blocks'."""

    height: int
    root: str
    transactions: int
    rejected: int
    failed: int
    fast: int
    repeated: int
    way: str
    seconds: float


class Machine(Struct, frozen=True):
    """What runs the process. `memory` in bytes; `gpus` by name."""

    cpu: str
    cores: int
    memory: int
    gpus: list[str]


class Status(Struct, frozen=True):
    """All of it.

    Args:
        state: see `State`; `reason`: why, or ''.
        version: of this distribution.
        tier: name and title; `strategy`: where the work of `auto` goes.
        time, uptime: seconds since 1970, and since the start.
        rates: "items" (signatures verified), "requests", "transactions", "blocks".
        queues: what waits in front of each stage.
        mismatches: batches of devices that were thrown away, by operation.
        blocks: the last ones, newest first.
    """

    state: str
    reason: str
    version: str
    tier: str
    strategy: str
    time: float
    uptime: float
    machine: Machine
    rates: dict[str, Rate]
    verified: list[Verified]
    executors: list[Executor]
    kernels: list[Kernel]
    queues: dict[str, float]
    fallbacks: list[Fallback]
    mismatches: dict[str, int]
    stages: list[Stage]
    requests: list[Requests]
    blocks: list[BlockLine]


@functools.cache
def absent() -> frozenset[str]:
    """Backends that none of the loaded operations can use on this machine."""
    listed = [backend for operation in registry.operations() for backend in registry.backends(operation)]
    return frozenset(registry.BACKENDS if listed else ()) - {one.name for one in listed if one.available}


class StatusBoard:
    """Collects what a status shows; every method may be called from any thread.

    Args:
        metrics: of this process.
        settings: in force.
        hardware: of this machine.
    """

    def __init__(self, metrics: Metrics, settings: Settings, hardware: Hardware) -> None:
        self._metrics = metrics
        self._tier = f"{settings.tier.name} {settings.tier.title}"
        self._strategy = settings.strategy
        self._machine = Machine(
            cpu=hardware.cpu,
            cores=hardware.cores,
            memory=hardware.memory,
            gpus=[gpu.name for gpu in hardware.gpus],
        )
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._state, self._reason = State.STARTING, ""
        self._blocks: deque[BlockLine] = deque(maxlen=BLOCKS_KEPT)

    @property
    def state(self) -> State:
        """Where the process is in its life."""
        return self._state

    def become(self, state: State, reason: str = "") -> None:
        """The process has entered another state; `reason` says why where that is of use."""
        with self._lock:
            self._state, self._reason = state, reason

    def block(self, result: BlockResult) -> None:
        """A block became part of the state. The metrics are told by `Metrics.block`."""
        stats = result.stats
        line = BlockLine(
            height=result.height,
            root=result.state_root.hex(),
            transactions=stats.transactions,
            rejected=stats.rejected,
            failed=stats.failed,
            fast=stats.fast,
            repeated=stats.repeated,
            way=stats.way,
            seconds=sum(stats.stages.values()),
        )
        with self._lock:
            self._blocks.appendleft(line)

    def snapshot(self) -> Status:
        """The status now."""
        with self._lock:
            state, reason, blocks = self._state, self._reason, list(self._blocks)
        metrics, samples = self._metrics, Samples(self._metrics.registry)
        return Status(
            state=state.value,
            reason=reason,
            version=version(),
            tier=self._tier,
            strategy=self._strategy,
            time=time.time(),
            uptime=time.monotonic() - self._began,
            machine=self._machine,
            rates={
                name: Rate(now=window.rate, history=window.history) for name, window in metrics.rates.items()
            },
            verified=[
                Verified(scheme=scheme, backend=backend, **counts)
                for (scheme, backend), counts in samples.verified().items()
            ],
            executors=self._executors(),
            kernels=[
                Kernel(operation=operation, backend=backend, batches=count, seconds=seconds)
                for (operation, backend), (count, seconds) in samples.kernels().items()
            ],
            queues=samples.queues(),
            fallbacks=[
                Fallback(operation=operation, reason=why, count=count)
                for (operation, why), count in samples.fallbacks().items()
            ],
            mismatches=samples.mismatches(),
            stages=self._stages(samples),
            requests=[
                Requests(call=call, codes=codes, mean=mean)
                for call, (codes, mean) in samples.requests().items()
            ],
            blocks=blocks,
        )

    def _executors(self) -> list[Executor]:
        scheduler = self._metrics.scheduler
        listed = scheduler.report(()).executors if scheduler is not None else ()
        return [
            Executor(
                name=one.name, kind=KINDS.get(one.kind, one.kind), circuit=one.circuit, reason=one.reason
            )
            for one in listed
            if one.name not in absent()
        ]

    def _stages(self, samples: Samples) -> list[Stage]:
        windows = self._metrics.stages
        return [
            Stage(
                stage=name,
                count=count,
                mean=seconds / count if count else 0.0,
                recent=windows[name].mean if name in windows else None,
            )
            for name, (count, seconds) in samples.stages().items()
        ]
