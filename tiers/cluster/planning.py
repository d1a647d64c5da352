# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a batch is computed: here, on one node, or cut over several, by measured cost with transfer included."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import ray

from supervm.engine.scheduler.cost import CostModel, shares
from supervm.tiers.cluster.nodes import Node
from supervm.tiers.cluster.shares import FIRST_SECONDS
from supervm.tiers.cluster.task import Columns, Options, Task, size_of

if TYPE_CHECKING:
    from supervm.tiers.cluster.pool import Pool

SIZES = (64, 4096)
"""Items of the batches that nodes are timed with."""

HERE = ""
"""This process, among the names of nodes."""


class Planner:
    """Measures each task once on every node, and cuts batches by that.

    Args:
        pool: whose nodes there are.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._models: dict[tuple[str, str], CostModel] = {}

    def models(self, task: Task) -> dict[str, CostModel]:
        """What a task costs here and on every usable node, by name; a task without an example is not measured."""
        if task.example is None:
            return {}
        nodes = self._pool.usable()
        missing = [node for node in nodes if (task.name, node.name) not in self._models]
        if missing or (task.name, HERE) not in self._models:
            self._measure(task, missing)
        return {
            name: self._models[task.name, name]
            for name in (HERE, *(node.name for node in nodes))
            if (task.name, name) in self._models
        }

    def compute(self, task: Task, columns: Columns, options: Options) -> Columns:
        """See `Pool.compute`."""
        items, size = task.items(columns), size_of(columns)
        models = self.models(task) if items else {}
        cut = self._cut(task, items, size, models) if items else []
        if not cut:
            begun = time.perf_counter()
            answer = task.function(columns, options)
            if HERE in models:
                models[HERE].observe(items, size, time.perf_counter() - begun)
            return answer
        parts = [columns] if len(cut) == 1 else self._parts(task, columns, cut)
        answers = dict(self._pool.answers(task, parts, options))
        if len(answers) == 1:
            return answers[0]
        ordered = [answers[index] for index in range(len(answers))]
        return tuple(np.concatenate(found) for found in zip(*ordered, strict=True))

    def _cut(self, task: Task, items: int, size: int, models: dict[str, CostModel]) -> list[int]:
        """Items of each share; none if the batch stays here. A task that was not measured goes out in one piece."""
        away = {name: model for name, model in models.items() if name != HERE}
        if not away:
            return [] if HERE in models else [items]
        here = models[HERE].estimate(items, size) if HERE in models else float("inf")
        one = min(model.estimate(items, size) for model in away.values())
        cut, many = [items], one
        if task.take is not None and len(away) > 1:
            split = [count for count in shares(items, size, list(away.values())) if count]
            taken = max(
                model.estimate(count, size * count // items)
                for model, count in zip(away.values(), shares(items, size, list(away.values())), strict=True)
                if count
            )
            if taken < one:
                cut, many = split, taken
        return [] if here <= many else cut

    def _parts(self, task: Task, columns: Columns, cut: list[int]) -> list[Columns]:
        assert task.take is not None
        ends = np.cumsum([0, *cut])
        return [
            task.take(columns, np.arange(start, stop))
            for start, stop in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)
        ]

    def _measure(self, task: Task, nodes: list[Node]) -> None:
        """Time the task on these nodes, one after the other so that none disturbs another, and here if it was not yet."""
        assert task.example is not None
        batches = [task.example(items) for items in SIZES]
        if (task.name, HERE) not in self._models:
            self._keep(task, HERE, batches, lambda columns, options: task.function(columns, options))
        wire = self._pool.on_wire(task)
        for node in nodes:

            def there(columns: Columns, options: Options, node: Node = node) -> Columns:
                reference = node.compute(wire, ray.put(columns), dict(options))
                done = ray.get(reference, timeout=FIRST_SECONDS)
                answer: Columns = done.answer
                return answer

            try:
                self._keep(task, node.name, batches, there)
            except ray.exceptions.RayError as error:
                self._pool.lost(node, error)

    def _keep(self, task: Task, name: str, batches: list[tuple[Columns, Options]], run: object) -> None:
        assert callable(run)
        run(*batches[0])  # loads or compiles what it needs
        seconds = []
        for columns, options in batches:
            begun = time.perf_counter()
            run(columns, options)
            seconds.append(max(1e-9, time.perf_counter() - begun))
        each = size_of(batches[-1][0]) / SIZES[-1]
        self._models[task.name, name] = CostModel(SIZES, seconds, each)
