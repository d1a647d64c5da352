# SPDX-License-Identifier: GPL-3.0-or-later
"""One interface for everything that runs work: the CPU, a GPU (`device.py`), and several of them together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Protocol

from supervm.engine.scheduler.cost import CostModel, shares
from supervm.engine.scheduler.store import Models
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
        """See `Pending`."""
        if self._error is not None:
            raise self._error
        return self._work


class CpuExecutor(BackendExecutor):
    """Runs a CPU backend at once, on the thread that submits: kernels share their own pool of threads.

    Args:
        backend: one of the processor, whose name is its name too.
    """

    kind = ExecutorKind.WASM_CPU

    def __init__(self, backend: str, models: Models) -> None:
        super().__init__(backend, backend, models)

    def submit(self, work: Work) -> Pending:
        """Run it here and now; `result` gives, or raises, what came of it."""
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

    def submit(self, work: Work) -> Pending:
        """Begin each part where it belongs, accelerators first."""
        parts = self.parts(work)
        # The CPU works on this thread: accelerators start first.
        order = sorted(range(len(parts)), key=lambda index: parts[index][0].kind is ExecutorKind.WASM_CPU)
        begun = {index: self._start(*parts[index]) for index in order}
        return _Gathered(work, [(parts[index][1], begun[index]) for index in range(len(parts))])

    def parts(self, work: Work) -> list[tuple[BackendExecutor, Work]]:
        """Who computes what, in the order of the items."""
        members = self._members(work.operation)
        if not members:
            return [(self._executors[0], work)]
        if not isinstance(work, Batch):
            items, size = work.items, work.bytes
            return [(min(members, key=lambda member: member[1].estimate(items, size))[0], work)]
        cut = shares(work.items, work.bytes, [model for _, model in members])
        parts: list[tuple[BackendExecutor, Work]] = []
        start = 0
        for (executor, _), items in zip(members, cut, strict=True):
            if items:
                whole = items == work.items
                parts.append((executor, work if whole else work.part(start, start + items)))
                start += items
        return parts

    def _members(self, operation: str) -> list[tuple[BackendExecutor, CostModel]]:
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
