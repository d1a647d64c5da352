# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of answers: a sample is computed again by another node; where two nodes differ, this process says who is right.

Of k wrong items a sample of the share p misses all with probability (1 − p)^k at most, since rows are drawn without
replacement. Tasks that know how to check an answer as a whole are checked here, in this process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import ray

from supervm.tiers.cluster.nodes import Node
from supervm.tiers.cluster.task import Columns, Task, drawn_rows, same, take_rows, well_formed

if TYPE_CHECKING:
    from supervm.tiers.cluster.shares import Share

RECOMPUTED = 64
"""One in so many answers is computed again as a whole, of tasks that have neither rows nor a check."""

LATE_SECONDS = 5.0
"""A node that has not computed a sample by then is not waited for: this process does."""


@dataclass(frozen=True)
class Verdict:
    """How a check ended.

    Args:
        share: what was answered.
        answer: what stands; None if the share has to be computed again.
        node: whose answer it was.
        wrong: nodes that computed something else than this process.
        failed: a node that was asked for a sample and brought none, and what happened.
    """

    share: Share
    answer: Columns | None
    node: Node
    wrong: tuple[Node, ...] = ()
    failed: tuple[Node, Exception] | None = None


@dataclass(frozen=True, eq=False)
class _Pending:
    """A sample on its way: `columns` should give `expected`, as `other` is asked."""

    share: Share
    answer: Columns
    node: Node
    other: Node
    columns: Columns
    expected: Columns
    begun: float


class Checker:
    """The checks of one run.

    Args:
        task, options: of the run.
        recheck: share of the items, at least one is checked; 0 checks the form alone.
        random: draws the samples.
    """

    def __init__(
        self, task: Task, options: dict[str, Any], recheck: float, random: np.random.Generator
    ) -> None:
        self._task, self._options, self._recheck, self._random = task, options, recheck, random
        self._pending: dict[Any, _Pending] = {}
        self._turn = 0

    @property
    def references(self) -> tuple[Any, ...]:
        """Of the samples that are awaited."""
        return tuple(self._pending)

    def begin(
        self, share: Share, answer: Columns, node: Node, nodes: Sequence[Node], wire: str | Callable[..., Any]
    ) -> Verdict | None:
        """Check an answer, or have another node begin to; None then.

        Args:
            nodes: that may be asked.
            wire: the task, as it is sent.
        """
        if not well_formed(self._task, share.columns, self._options, answer):
            return Verdict(share, None, node, (node,))
        if not self._recheck:
            return Verdict(share, answer, node)
        if self._task.check is not None:
            right = self._task.check(share.columns, self._options, answer, self._random)
            return Verdict(share, answer, node) if right else Verdict(share, None, node, (node,))
        drawn = self._drawn(share, answer)
        if drawn is None:
            return Verdict(share, answer, node)
        columns, expected = drawn
        others = [other for other in nodes if other is not node]
        if not others:
            return self._judged(_Pending(share, answer, node, node, columns, expected, 0.0), None)
        self._turn += 1
        other = others[self._turn % len(others)]
        pending = _Pending(share, answer, node, other, columns, expected, time.monotonic())
        try:
            reference = other.compute(wire, columns, self._options, sample=True)
        except ray.exceptions.RayError as error:
            return self._judged(pending, None, (other, error))
        self._pending[reference] = pending
        return None

    def finish(self, reference: Any) -> Verdict | None:
        """The verdict of a sample that has come; None if nobody waits for it."""
        pending = self._pending.pop(reference, None)
        if pending is None:
            return None
        try:
            found = ray.get(reference).answer
        except ray.exceptions.RayError as error:
            return self._judged(pending, None, (pending.other, error))
        if same(pending.expected, found):
            return Verdict(pending.share, pending.answer, pending.node)
        return self._judged(pending, found)

    def late(self) -> list[Verdict]:
        """Verdicts of samples that were awaited for too long, or whose node is not believed any more."""
        limit = time.monotonic() - LATE_SECONDS
        late = [
            key for key, pending in self._pending.items() if pending.begun < limit or not pending.other.usable
        ]
        return [self._judged(self._pending.pop(key), None) for key in late]

    def forget(self) -> None:
        """Await nothing any more."""
        self._pending.clear()

    def _drawn(self, share: Share, answer: Columns) -> tuple[Columns, Columns] | None:
        """Work and what it should give; None if this answer is not checked."""
        if self._task.take is None:
            whole = self._recheck >= 1 or self._random.integers(RECOMPUTED) == 0
            return (share.columns, answer) if whole else None
        if not share.items:
            return None
        rows = drawn_rows(share.items, self._recheck, self._random)
        return self._task.take(share.columns, rows), take_rows(answer, rows)

    def _judged(
        self, pending: _Pending, found: Columns | None, failed: tuple[Node, Exception] | None = None
    ) -> Verdict:
        """Compute a sample here: whoever has something else is wrong."""
        truth = self._task.function(pending.columns, self._options)
        stands = same(pending.expected, truth)
        wrong = [] if stands else [pending.node]
        if found is not None and not same(found, truth):
            wrong.append(pending.other)
        answer = pending.answer if stands else None
        return Verdict(pending.share, answer, pending.node, tuple(wrong), failed)
