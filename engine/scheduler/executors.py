# SPDX-License-Identifier: GPL-3.0-or-later
"""One interface for everything that runs work: the CPU, a GPU (`device.py`), and several of them together."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Protocol

from supervm.engine.scheduler.balance import shares
from supervm.engine.scheduler.cost import CostModel
from supervm.engine.scheduler.store import Models
from supervm.engine.scheduler.tasks import Task, operations_of
from supervm.kernels import registry
from supervm.kernels.errors import BackendUnavailable
from supervm.kernels.work import Batch, Function, Work


class ExecutorKind(Enum):
    """Of an executor: what a node of each tier is asked to have."""

    WASM_CPU = "wasm on cpu"
    GPU = "gpu"
    HYBRID = "hybrid"


class Pending(Protocol):
    """A submitted work."""

    def result(self) -> Work:
        """Wait for it.

        Returns:
            The work that holds the result: the submitted one, or a twin of it that the caller may publish.

        Raises: what went wrong.
        """


class Executor(ABC):
    """Something that runs work.

    Args:
        kind: what it is.
        name: which one; unique among the executors of a scheduler.
        backend: in the registry, '' for a hybrid.
    """

    kind: ExecutorKind
    name: str
    backend: str

    @abstractmethod
    def supports(self, task: Task) -> bool:
        """Whether it can run the operation, or any operation of the type of task."""

    @abstractmethod
    def estimate(self, task: Task, items: int, size: int) -> float:
        """Seconds for `items` items of `size` bytes; of a type of task, its slowest operation; infinite if unmeasured."""

    @abstractmethod
    def submit(self, work: Work) -> Pending:
        """Begin to run it."""

    @property
    def ready(self) -> bool:
        """Whether it is well enough to be given work."""
        return True


class BackendExecutor(Executor):
    """Runs one backend of the registry.

    Args:
        backend: its name there.
        models: what operations cost, shared with whoever measures.
    """

    def __init__(self, name: str, backend: str, models: Models) -> None:
        self.name, self.backend = name, backend
        self._models = models
        self._functions: dict[str, Function] = {}

    def supports(self, task: Task) -> bool:
        """See `Executor`; an operation is supported if the registry has a function of this backend that runs here."""
        return any(not self.reason(operation) for operation in operations_of(task))

    def estimate(self, task: Task, items: int, size: int) -> float:
        """See `Executor`; of a type of task, the slowest of those operations that were measured."""
        found = [self._models.get((operation, self.name)) for operation in operations_of(task)]
        times = [model.estimate(items, size) for model in found if model is not None]
        return max(times, default=math.inf)

    def reason(self, operation: str) -> str:
        """Why it cannot run this operation, or ''."""
        try:
            self.function(operation)
        except BackendUnavailable as error:
            return error.reason
        return ""

    def function(self, operation: str) -> Function:
        """The backend's function.

        Raises:
            UnknownOperation: no such operation.
            BackendUnavailable: it is not implemented, or cannot run here.
        """
        found = self._functions.get(operation)
        if found is None:
            found = self._functions[operation] = registry.resolve(operation, self.backend).function
        return found

    def model(self, operation: str) -> CostModel | None:
        """What the operation costs here, if it was measured."""
        return self._models.get((operation, self.name))


class Finished:
    """A work that was run before anybody asked."""

    __slots__ = ("_error", "_work")

    def __init__(self, work: Work, error: Exception | None = None) -> None:
        self._work, self._error = work, error

    def result(self) -> Work:
        """The work, at once.

        Raises:
            Exception: what running it raised.
        """
        if self._error is not None:
            raise self._error
        return self._work


class CpuExecutor(BackendExecutor):
    """Runs a CPU backend at once, on the thread that submits: kernels share their own pool of threads.

    Args:
        backend: `ifma` or `scalar`, which is its name too.
    """

    kind = ExecutorKind.WASM_CPU

    def __init__(self, backend: str, models: Models) -> None:
        super().__init__(backend, backend, models)

    def submit(self, work: Work) -> Pending:
        """Run the work to its end; what it raises is kept for `result`."""
        try:
            work.run(self.function(work.operation))
        except Exception as error:
            return Finished(work, error)
        return Finished(work)


class HybridExecutor(Executor):
    """Cuts a batch across several executors so that, by what was measured, all end together.

    Parts are contiguous and land in the caller's outputs, so that the order of items is kept. Work that is not a batch goes
    as a whole to the executor that should be done first.

    Args:
        executors: those it may use, at least one.
        start: begins one part; by default the executor's own `submit`. A scheduler puts its safeguards here.
    """

    kind = ExecutorKind.HYBRID
    backend = ""

    def __init__(
        self,
        executors: Sequence[BackendExecutor],
        start: Callable[[BackendExecutor, Work], Pending] | None = None,
    ) -> None:
        self.name = " + ".join(executor.name for executor in executors)
        self._executors = tuple(executors)
        self._start = start or (lambda executor, work: executor.submit(work))

    def supports(self, task: Task) -> bool:
        """See `Executor`; one of the executors is enough."""
        return any(executor.supports(task) for executor in self._executors)

    def estimate(self, task: Task, items: int, size: int) -> float:
        """See `Executor`; all executors that are ready and measured run their parts at the same time.

        Of a type of task, infinite as soon as one of its operations was measured on none of them.
        """
        times = []
        for operation in operations_of(task):
            lanes = self._lanes(operation)
            cut = shares(items, size, [model for _, model in lanes])
            times.append(
                max(
                    (
                        model.estimate(part, size * part // items)
                        for (_, model), part in zip(lanes, cut, strict=True)
                        if part
                    ),
                    default=math.inf,
                )
            )
        return max(times, default=math.inf)

    def submit(self, work: Work) -> Pending:
        """Begin every part, accelerators first; the result of all of them is published into `work`."""
        parts = self.parts(work)
        # The CPU works on this thread: accelerators start first.
        order = sorted(range(len(parts)), key=lambda index: parts[index][0].kind is ExecutorKind.WASM_CPU)
        begun = {index: self._start(*parts[index]) for index in order}
        return _Gathered(work, [(parts[index][1], begun[index]) for index in range(len(parts))])

    def parts(self, work: Work) -> list[tuple[BackendExecutor, Work]]:
        """Who computes what, in the order of the items."""
        lanes = self._lanes(work.operation)
        if not lanes:
            return [(self._executors[0], work)]
        if not isinstance(work, Batch):
            items, size = work.items, work.bytes
            return [(min(lanes, key=lambda lane: lane[1].estimate(items, size))[0], work)]
        cut = shares(work.items, work.bytes, [model for _, model in lanes])
        parts: list[tuple[BackendExecutor, Work]] = []
        start = 0
        for (executor, _), items in zip(lanes, cut, strict=True):
            if items:
                whole = items == work.items
                parts.append((executor, work if whole else work.part(start, start + items)))
                start += items
        return parts

    def _lanes(self, operation: str) -> list[tuple[BackendExecutor, CostModel]]:
        return [
            (executor, model)
            for executor in self._executors
            if executor.ready and (model := executor.model(operation)) is not None
        ]


class _Gathered:
    """The parts of a work; its result is the work itself, each part's result published into it."""

    def __init__(self, work: Work, parts: list[tuple[Work, Pending]]) -> None:
        self._work, self._parts = work, parts

    def result(self) -> Work:
        failure: Exception | None = None
        for part, pending in self._parts:  # all are waited for: none may still read the inputs afterwards
            try:
                found = pending.result()
                if found is not part:
                    part.publish(found)
            except Exception as error:
                failure = failure or error
        if failure is not None:
            raise failure
        return self._work
