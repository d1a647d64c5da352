# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster as an executor of the hybrid scheduler: what `auto` may place goes there where that is measured to pay."""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from supervm.engine.scheduler import Scheduler
from supervm.engine.scheduler.executors import Executor, ExecutorKind, Finished, Pending
from supervm.engine.scheduler.tasks import TaskType, type_of
from supervm.engine.scheduler.workloads import workload
from supervm.kernels import registry
from supervm.kernels.work import Batch, Ragged, Work
from supervm.tiers.cluster.errors import ClusterError
from supervm.tiers.cluster.pool import Pool
from supervm.tiers.cluster.task import NO_OPTIONS, Columns, Options, Task

SENT = (TaskType.SIGNATURE_VERIFICATION, TaskType.HASHING)
"""Types of the operations that are sent as they are: their items are independent, and their options a few plain values."""

LEAST_ITEMS = 4096
"""Of a batch that is worth a thought: below, nothing is measured for it."""


@dataclass(frozen=True)
class Form:
    """How the columns of a batch are laid out, and what it gives.

    Args:
        operation: in the registry.
        ragged: of each input, whether it is two columns, data and offsets.
        outputs: shape of a row and dtype of each.
        options: the same for all items.
    """

    operation: str
    ragged: tuple[bool, ...]
    outputs: tuple[tuple[tuple[int, ...], str], ...]
    options: tuple[Any, ...]

    @classmethod
    def of(cls, batch: Batch) -> Form:
        """Of a batch."""
        outputs = tuple((array.shape[1:], array.dtype.str) for array in batch.outputs)
        ragged = tuple(isinstance(column, Ragged) for column in batch.inputs)
        return cls(batch.operation, ragged, outputs, batch.options)

    def batch(self, columns: Columns) -> Batch:
        """A batch over these columns, with outputs of its own."""
        inputs: list[Any] = []
        left = list(columns)
        for ragged in self.ragged:
            inputs.append(Ragged(left.pop(0), left.pop(0)) if ragged else left.pop(0))
        items = self.items(columns)
        outputs = tuple(np.empty((items, *shape), dtype) for shape, dtype in self.outputs)
        return Batch(self.operation, tuple(inputs), outputs, self.options)

    def items(self, columns: Columns) -> int:
        """Of these columns."""
        return len(columns[1]) - 1 if self.ragged[0] else len(columns[0])


def columns_of(batch: Batch) -> Columns:
    """The inputs of a batch as columns; bytes that no row has stay here."""
    columns: list[npt.NDArray[Any]] = []
    for column in batch.inputs:
        if isinstance(column, Ragged):
            first, after = int(column.offsets[0]), int(column.offsets[-1])
            columns += [column.data[first:after], column.offsets - first]
        else:
            columns.append(column)
    return tuple(columns)


def task_of(form: Form) -> Task:
    """The task of batches of this form."""
    kind = type_of(form.operation)
    assert kind is not None
    # The same operation with other options costs something else.
    name = f"batch.{form.operation}{list(form.options) or ''}"
    return Task(
        name,
        functools.partial(_compute, form),
        items=form.items,
        type=kind,
        take=functools.partial(_take, form),
        example=functools.partial(_example, form),
    )


def _compute(form: Form, columns: Columns, options: Options) -> Columns:
    """Load what registers the operation, and leave its backend to the node's scheduler."""
    from supervm.tiers import inventory

    inventory.operations()
    batch = form.batch(columns)
    registry.run(batch)
    return batch.outputs


def _take(form: Form, columns: Columns, rows: npt.NDArray[np.int64]) -> Columns:
    return columns_of(form.batch(columns).take(rows))


def _example(form: Form, items: int) -> tuple[Columns, Options]:
    batch = workload(form.operation, items)
    assert isinstance(batch, Batch)
    return columns_of(batch), NO_OPTIONS


class ClusterExecutor(Executor):
    """Runs batches on this machine and the nodes of a cluster together, cut by measured cost.

    Args:
        pool: the cluster; this executor alone runs work on it.
    """

    kind = ExecutorKind.HYBRID
    backend = ""

    def __init__(self, pool: Pool) -> None:
        self.name = f"cluster {pool.address}"
        self._pool = pool
        self._busy = threading.Lock()

    @property
    def ready(self) -> bool:
        """Whether a node may be given work, and no other batch is on its way."""
        return not self._busy.locked() and bool(self._pool.usable())

    def takes(self, work: Work) -> bool:
        """Whether this work can be sent."""
        return (
            isinstance(work, Batch)
            and work.items >= LEAST_ITEMS
            and type_of(work.operation) in SENT
            and all(isinstance(option, (bool, int, str, bytes)) for option in work.options)
        )

    def submit(self, work: Work) -> Pending:
        """Run a batch; `result` gives it, or raises what went wrong.

        Raises:
            ClusterError: another batch is on its way, or no node is left.
        """
        assert isinstance(work, Batch)
        if not self._busy.acquire(blocking=False):
            return Finished(work, ClusterError(f"{self.name}: another batch is on its way"))
        try:
            answer = self._pool.compute(task_of(Form.of(work)), columns_of(work))
            for mine, found in zip(work.outputs, answer, strict=True):
                mine[...] = found
        except Exception as error:
            return Finished(work, error)
        finally:
            self._busy.release()
        return Finished(work)


class ClusterScheduler:
    """A scheduler with one executor more: `with` it, `auto` may go to a cluster; what a cluster fails at runs here.

    Args:
        local: of this machine; it is closed with this one.
        pool: the cluster; likewise.
    """

    def __init__(self, local: Scheduler, pool: Pool) -> None:
        self.executor, self._local, self._pool = ClusterExecutor(pool), local, pool

    def dispatch(self, work: Work) -> None:
        """Compute `work`; see `Scheduler.dispatch`."""
        if self.executor.takes(work) and self.executor.ready:
            try:
                self.executor.submit(work).result()
                return
            except ClusterError:
                pass  # every part of it is computed again here
        self._local.dispatch(work)

    def __enter__(self) -> ClusterScheduler:
        registry.set_dispatcher(self.dispatch)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if registry.dispatcher() == self.dispatch:
            registry.set_dispatcher(None)
        self._local.close()
        self._pool.close()
