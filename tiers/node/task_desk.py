# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a node takes shares of tasks: it does what its tier takes on, and sends the rest to who may.

A share of few independent items is done here whatever its class: it costs less than asking.
"""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from supervm.kernels.errors import ArgumentError, SupervmError
from supervm.tiers.cluster.splitting.parts import Held, Here, Runner, digest_of
from supervm.tiers.cluster.task import Columns, Options, Task, size_of
from supervm.tiers.node.errors import NodeError, TasksClosed
from supervm.tiers.node.task_messages import column_message, columns_of, options_of
from supervm.tiers.node.tasks import TaskRouter
from supervm.tiers.node.upstreams import hops
from supervm.tiers.service.v1 import node_pb2 as pb

FEW_ITEMS, FEW_BYTES = 64, 1 << 14
"""Independent items that are done here in any case: a few milliseconds at most."""

MOST_HOPS = 4
"""Nodes that a share goes through, at most: with as many, nodes ask each other in a circle."""

MOST_WORDS = 400
"""Letters of an error that are passed on."""

WRONG_WORK = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError)
"""What a task raises over columns and options that it does not take: any node would, and nobody else is asked."""

MOST_HELD_BYTES = 1 << 30
"""Of columns that are held for callers; those that were not used longest go first."""

ENTRY_BYTES = 4 << 10
"""That each of them takes, however few they are."""


class _Lacks(SupervmError, LookupError):
    """Columns that are not held here: their digest."""


def _lacking(digest: str) -> Columns:
    raise _Lacks(digest)


class TaskDesk:
    """Does shares of tasks, or has them done.

    Args:
        router: which tasks this node takes on.
        elsewhere: who does the others; None for nobody.
        open_to_others: whether callers may have their shares done here.
    """

    def __init__(
        self, router: TaskRouter, elsewhere: Runner | None = None, *, open_to_others: bool = False
    ) -> None:
        self.router, self.open = router, open_to_others
        self._elsewhere, self._here = elsewhere, Here()
        self._held: OrderedDict[str, Columns] = OrderedDict()
        self._given: dict[str, Held] = {}
        self._held_bytes = 0
        self._lock = threading.Lock()
        self._load = 0

    @property
    def load(self) -> int:
        """The weights of the shares that it has now, added up."""
        return self._load

    def runner_of(self, task: Task, columns: Columns) -> Runner:
        """Who does a share: this process, or who may.

        Raises:
            TaskRefused: this node does not take it on, and knows nobody who does.
        """
        few = task.take is not None and task.items(columns) <= FEW_ITEMS and size_of(columns) <= FEW_BYTES
        if few or task.type.work in self.router.allowed:
            return self._here
        if self._elsewhere is None:
            self.router.require(task.type.work)
            raise AssertionError  # not reached: it is not allowed
        return self._elsewhere

    def run(self, task: Task, columns: Columns, options: Options) -> Columns:
        """The answer of one share.

        Raises:
            TaskRefused: as `runner_of`.
            ArgumentError, UpstreamFailed, ClusterError: as the task, or who does it.
            TimeoutError: the caller waits no longer.
        """
        runner = self.runner_of(task, columns)
        if runner is not self._here:
            options = {name: self._given_to(runner, value) for name, value in options.items()}
        with self._counted(task.type.cost):
            ((_, answer),) = dict(runner.run(task.name, [columns], options)).items()
        return answer

    def answer(self, request: pb.RunTaskRequest) -> pb.RunTaskReply:
        """The reply to a caller. Errors as `run`, and `TasksClosed`."""
        if not self.open:
            raise TasksClosed
        from supervm.tiers.cluster.tasks import TASKS  # loads every task

        task = TASKS.get(request.task)
        if task is None:
            raise ArgumentError("task", repr(request.task), f"one of {', '.join(TASKS)}")
        if request.hops >= MOST_HOPS:
            came = f"a share that went through {request.hops} nodes"
            raise ArgumentError("hops", came, f"fewer than {MOST_HOPS}: nodes ask each other in a circle")
        self._take(request)
        try:
            options = options_of(request.options, self._find)
            columns = columns_of(request.columns, "columns")
            passed = hops.set(request.hops + 1)
            try:
                found = self.run(task, columns, options)
            finally:
                hops.reset(passed)
        except _Lacks as lacks:
            return pb.RunTaskReply(lacks=[str(lacks)])
        except (ArgumentError, NodeError):
            raise
        except WRONG_WORK as error:
            came = f"columns or options that it cannot do: {type(error).__name__}: {error}"[:MOST_WORDS]
            raise ArgumentError("task", f"{task.name!r} with {came}", "those of tiers/cluster") from error
        return pb.RunTaskReply(columns=[column_message(column) for column in found])

    def _take(self, request: pb.RunTaskRequest) -> None:
        """Keep the columns that are to be held.

        Raises:
            ArgumentError: they have another digest.
        """
        for message in request.held:
            if not message.columns:
                continue
            columns = columns_of(message.columns, "held")
            found = digest_of(columns)
            if found != message.digest:
                raise ArgumentError("held", f"columns of digest {found}", f"those of {message.digest}")
            with self._lock:
                if found not in self._held:
                    self._held[found] = columns
                    self._held_bytes += _weight(columns)
                while self._held_bytes > MOST_HELD_BYTES and len(self._held) > 1:
                    digest, gone = self._held.popitem(last=False)
                    self._given.pop(digest, None)
                    self._held_bytes -= _weight(gone)

    def _find(self, digest: str) -> Held:
        def source() -> Columns:
            with self._lock:
                if digest not in self._held:
                    raise _Lacks(digest)
                self._held.move_to_end(digest)
                return self._held[digest]

        return Held(digest, source)

    def _given_to(self, runner: Runner, value: Any) -> Any:
        """What is held, where those who do the share elsewhere find it."""
        if isinstance(value, list):
            return [self._given_to(runner, each) for each in value]
        if not isinstance(value, Held):
            return value
        with self._lock:
            columns = self._held.get(value.digest)
            if columns is None:  # they may have it from before
                return Held(value.digest, functools.partial(_lacking, value.digest))
            self._held.move_to_end(value.digest)
            if value.digest not in self._given:
                self._given[value.digest] = runner.hold(columns)
            return self._given[value.digest]

    @contextmanager
    def _counted(self, cost: int) -> Iterator[None]:
        with self._lock:
            self._load += cost
        try:
            yield
        finally:
            with self._lock:
                self._load -= cost


def _weight(columns: Columns) -> int:
    return size_of(columns) + ENTRY_BYTES
