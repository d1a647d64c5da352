# SPDX-License-Identifier: GPL-3.0-or-later
"""How to cut one batch across several executors."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from supervm.engine.scheduler.cost import CostModel

BEFORE, AFTER = 1 - 1e-9, 1 + 1e-9
"""Factors to the two sides of a moment."""


def shares(items: int, size: int, models: Sequence[CostModel]) -> list[int]:
    """How many of `items` each model should get so that all take the same time; they sum to `items`.

    Items done within a time is a broken line with a corner at every measured point, so the time at which all are done lies
    between two corners, and is found by going straight from one to the other.
    """
    if not items or len(models) < 2:
        return [items] * len(models)
    # How much longer messages of this length take than those that were measured.
    stretch = [
        model.estimate(items, size) / model.estimate(items, int(items * model.bytes_per_item))
        for model in models
    ]

    def done(seconds: float) -> list[int]:
        return [model.items_within(seconds / factor) for model, factor in zip(models, stretch, strict=True)]

    corners = sorted(
        time * factor for model, factor in zip(models, stretch, strict=True) for time in model.seconds
    )
    place = bisect_right(corners, items, key=lambda seconds: sum(done(seconds * BEFORE)))
    low = corners[max(place - 1, 0)]
    start, end = done(low * BEFORE), done(low * AFTER)
    if sum(end) < items:  # else in the jump at this corner: many items cost there what one does
        high = corners[place] if place < len(corners) else 2 * low
        while sum(done(high * BEFORE)) < items:  # beyond the last corner all is straight
            high *= 2
        start, end = end, done(high * BEFORE)
    gained = sum(end) - sum(start)
    share = (items - sum(start)) / gained if gained > 0 else 1.0
    return _exact(
        [int(first + share * (last - first)) for first, last in zip(start, end, strict=True)], items
    )


def _exact(cut: list[int], items: int) -> list[int]:
    """Rounded shares made to sum to `items`, by the largest."""
    largest = max(range(len(cut)), key=cut.__getitem__)
    cut[largest] += items - sum(cut)
    if cut[largest] < 0:
        return [items if index == largest else 0 for index in range(len(cut))]
    return cut
