# SPDX-License-Identifier: GPL-3.0-or-later
"""A cheap operation whose results are known, and what tests of the scheduler ask about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from supervm.engine.scheduler import Scheduler
from supervm.engine.scheduler.cost import CostModel
from supervm.kernels.work import Batch

OPERATION = "test.rows"
SIZES = (1, 64, 4096)


def rows_function(columns: Any, offset: int, digests: Any, verdicts: Any) -> None:
    """Cheap, and every row's result differs from its neighbour's."""
    digests[...] = columns * 3 + offset
    verdicts[...] = (columns[:, 0] % 3).astype(np.int8) - 1


def rows_batch(items: int, seed: int = 0, offset: int = 7) -> Batch:
    """A batch of the cheap operation, its outputs filled with what is never right."""
    columns = np.random.default_rng(seed).integers(0, 256, (items, 8), np.uint8)
    return Batch(
        OPERATION, (columns,), (np.full((items, 8), 99, np.uint8), np.full(items, 99, np.int8)), (offset,)
    )


def right(batch: Batch) -> bool:
    """Whether the outputs are what Python's integers say."""
    (columns,), (offset,) = batch.inputs, batch.options
    assert isinstance(columns, np.ndarray)
    digests = [[(value * 3 + offset) % 256 for value in row] for row in columns.tolist()]
    verdicts = [row[0] % 3 - 1 for row in columns.tolist()]
    return batch.outputs[0].tolist() == digests and batch.outputs[1].tolist() == verdicts


@dataclass(frozen=True)
class Outcome:
    """Of a known-answer test."""

    ok: bool
    detail: str = ""


def line(fixed: float, per_item: float) -> CostModel:
    """A straight cost model."""
    return CostModel(SIZES, [fixed + per_item * size for size in SIZES])


def counted(scheduler: Scheduler, name: str, **labels: str) -> float:
    """The sum of a metric's series with these labels."""
    return sum(
        reading.total
        for reading in scheduler.metrics()
        if reading.name == name and labels.items() <= dict(reading.labels).items()
    )
