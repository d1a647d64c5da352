# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task of the pool is. Work and answers are columns, tuples of NumPy arrays.

A task's function is all that runs on a node. It is named by its module there, so that both sides must have the same
sources (`digest.py`). An answer is believed after it was checked: of items that do not depend on each other a sample is
computed again elsewhere (`take` says how rows are taken); other answers are checked where they arrive (`check`). Whatever
comes has to have the form of an answer (`well_formed`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from supervm.engine.scheduler.tasks import TaskType

Columns: TypeAlias = "tuple[npt.NDArray[Any], ...]"
Options: TypeAlias = "Mapping[str, Any]"

NO_OPTIONS: Options = MappingProxyType({})


@dataclass(frozen=True)
class Task:
    """A row of the table.

    Args:
        name: unique.
        function: (columns, options) → columns; runs on a node, on its threads and backends. It does not write to its
            columns, which lie in memory that is shared.
        items: of these columns, what speed is counted in.
        type: what it is, which says what it costs and where it may run.
        take: the columns of these rows, int64 ascending, where items do not depend on each other and every column of an
            answer has a row for each; None where they do.
        check: whether an answer to these columns is right, with certainty or with high probability and in far less time
            than it took: (columns, options, answer, random) → bool. None: of one share in `RECOMPUTED` another node is asked
            for all of it.
        form: what can be told of any answer at once, beyond its rows: (columns, options, answer) → bool; None for nothing.
        example: typical columns of so many items, and their options: to warm a node and to measure it. None: neither is done
            ahead.
    """

    name: str
    function: Callable[[Columns, Options], Columns]
    items: Callable[[Columns], int]
    type: TaskType
    take: Callable[[Columns, npt.NDArray[np.int64]], Columns] | None = None
    check: Callable[[Columns, Options, Columns, np.random.Generator], bool] | None = None
    form: Callable[[Columns, Options, Columns], bool] | None = None
    example: Callable[[int], tuple[Columns, Options]] | None = None


@runtime_checkable
class Repeatable(Protocol):
    """Columns of shares that need not be kept until their answers are believed: each can be made again, from its files."""

    def __iter__(self) -> Iterator[Columns]:
        """The columns of each share."""

    def again(self, index: int) -> Columns:
        """Those of a share that was given."""


def size_of(columns: Columns) -> int:
    """Bytes of all columns."""
    return sum(column.nbytes for column in columns)


def same(one: object, other: object) -> bool:
    """Whether two answers are equal in number, shapes, dtypes and every byte; nothing is equal to what is none."""
    if not isinstance(one, tuple) or not isinstance(other, tuple) or len(one) != len(other):
        return False
    if not all(isinstance(column, np.ndarray) for column in (*one, *other)):
        return False
    return all(
        a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
        for a, b in zip(one, other, strict=True)
    )


def well_formed(task: Task, columns: Columns, options: Options, answer: object) -> bool:
    """Whether what came from elsewhere can be an answer at all: arrays, with a row for each item where a task has rows, and
    as the task's `form` has them."""
    if not isinstance(answer, tuple) or not answer:
        return False
    if not all(isinstance(column, np.ndarray) and column.ndim for column in answer):
        return False
    if task.take is not None and any(len(column) != task.items(columns) for column in answer):
        return False
    return task.form is None or task.form(columns, options, answer)


def drawn_rows(items: int, share: float, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Rows of a sample, ascending: this share of the items, one at least."""
    count = min(items, max(1, math.ceil(items * share)))
    return np.sort(random.choice(items, count, replace=False, shuffle=False))


def take_rows(columns: Columns, rows: npt.NDArray[np.int64]) -> Columns:
    """Of columns that all have a row for each item."""
    return tuple(column[rows] for column in columns)
