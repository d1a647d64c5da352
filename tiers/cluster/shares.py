# SPDX-License-Identifier: GPL-3.0-or-later
"""Shares of the work of a run, and where they are computed now."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from supervm.tiers.cluster.nodes import Node
from supervm.tiers.cluster.task import Columns, size_of

OVERDUE, OVERDUE_SECONDS = 4.0, 5.0
"""A share that takes this many times as long as it should, and so many seconds more, is given to another node too."""

FIRST_SECONDS = 120.0
"""The same for the first share of a node, which may compile kernels."""


@dataclass(eq=False)
class Share:
    """A part of the work.

    Args:
        index: its place in the order of the parts.
        columns: its work.
        items: of it.
        place: object in the store, once it was handed out.
        failures: how often it failed.
        refusals: how often a node called the work itself wrong.
        blamed: nodes on which its task raised something; others are tried first.
        flights: where it is computed now.
        done: whether its answer has been taken.
        parent: the share that it is a half of.
        halves: answers of its own halves, in order, while they are awaited.
    """

    index: int
    columns: Columns
    items: int
    place: Any = None
    failures: int = 0
    refusals: int = 0
    blamed: set[Node] = field(default_factory=set)
    flights: list[Flight] = field(default_factory=list)
    done: bool = False
    parent: Share | None = None
    halves: list[Share] = field(default_factory=list)
    answer: Columns | None = None

    @property
    def size(self) -> int:
        """Bytes of its columns."""
        return size_of(self.columns)


@dataclass(eq=False)
class Flight:
    """A share on a node."""

    share: Share
    node: Node
    reference: Any
    begun: float
    expected: float | None

    def overdue(self, now: float) -> bool:
        """Whether it takes far longer than it should."""
        if self.expected is None:
            return now - self.begun > FIRST_SECONDS
        return now - self.begun > OVERDUE * self.expected + OVERDUE_SECONDS
