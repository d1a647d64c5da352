# SPDX-License-Identifier: GPL-3.0-or-later
"""What a batch costs on an executor, and how to cut one across several by that.

Measured points, straight lines between them, corrected by later batches.

One line, fixed + per item, does not describe a CPU: lanes work in groups, and threads take slices, so the curve bends at
small sizes. The line is fitted for display only.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

MOST_ITEMS = 1 << 31
"""Where `crossover` stops looking."""

DAMPING = 0.1
"""How far one batch moves the curve towards what it took, on a logarithmic scale."""

MOST_RATIO = 2.0
"""A batch counts as at most this much slower or faster than expected: after a machine slept for a minute the curve has
moved by MOST_RATIO ** DAMPING, seven hundredths."""

LEAST_SHARE = 0.1
"""Short messages make a batch at most this much cheaper than those of the calibration."""

NEW_POINT = 1.5
"""A batch this many times larger than any point becomes a point."""

NOTABLE = 0.05
"""Share of its time by which one must be better than another to take its place."""

DENSE = 65
"""Below this number every number of items is looked at, above it those that were measured."""

BEFORE, AFTER = 1 - 1e-9, 1 + 1e-9
"""Factors to the two sides of a moment."""


Curve = tuple[list[int], list[float]]
"""Sizes and seconds of the points."""


@dataclass(frozen=True)
class Line:
    """fixed + per_item × items + per_byte × (bytes beyond those that calibration had), in seconds."""

    fixed: float
    per_item: float
    per_byte: float


class CostModel:
    """Seconds of one operation on one executor.

    Methods may be called from any thread: the curve is replaced as a whole, and of two corrections at the same moment one
    may be lost.

    Args:
        sizes: items of each measured point, ascending, from 1 or more.
        seconds: what each took, above 0.
        bytes_per_item: of the batches that were measured.
        per_byte: seconds for each byte beyond that.
    """

    __slots__ = ("_curve", "_measured", "bytes_per_item", "observed", "per_byte")

    def __init__(
        self,
        sizes: Sequence[int],
        seconds: Sequence[float],
        bytes_per_item: float = 0.0,
        per_byte: float = 0.0,
    ) -> None:
        if not sizes or len(sizes) != len(seconds) or sizes[0] < 1 or sizes[-1] >= 1 << 62:
            raise ValueError("a cost model needs as many times as sizes, at least one, from 1 item up")
        if any(after <= before for before, after in pairwise(sizes)):
            raise ValueError("sizes must ascend")
        figures = (*seconds, bytes_per_item + 1.0, per_byte + 1.0)
        if not all(1e-12 < value < 1e12 for value in figures) or min(bytes_per_item, per_byte) < 0:
            raise ValueError("times must be positive, and bytes not negative")
        self._measured: Curve = (list(sizes), _lowered(seconds))
        self._curve = self._measured
        self.bytes_per_item, self.per_byte = bytes_per_item, per_byte
        self.observed = 0

    @property
    def sizes(self) -> tuple[int, ...]:
        """Items of each point."""
        return tuple(self._curve[0])

    @property
    def seconds(self) -> tuple[float, ...]:
        """What each point is thought to take now; never falling."""
        return tuple(self._curve[1])

    @property
    def least(self) -> float:
        """Seconds below which nothing can be done."""
        return self._curve[1][0]

    def estimate(self, items: int, size: int) -> float:
        """Seconds for a batch of `items` items and `size` bytes; sizes that were never measured are extrapolated."""
        return self._with_bytes(_interpolate(self._curve, items), items, size)

    def measured(self, items: int, size: int) -> float:
        """The same by the calibration alone, whatever later batches said."""
        return self._with_bytes(_interpolate(self._measured, items), items, size)

    def items_within(self, seconds: float) -> int:
        """How many items of usual size can be done in this time."""
        sizes, times = self._curve
        place = bisect_right(times, seconds)
        if place == 0:
            return 0
        if place == len(times):
            slope = _last_slope(self._curve)
            return min(1 << 62, int(sizes[-1] + (seconds - times[-1]) / slope)) if slope > 0 else 1 << 62
        share = (seconds - times[place - 1]) / (times[place] - times[place - 1])
        return int(sizes[place - 1] + share * (sizes[place] - sizes[place - 1]))

    def observe(self, items: int, size: int, seconds: float) -> None:
        """A batch took `seconds`: move the points around it, damped and bounded.

        Where bytes beyond the usual make up more than half of the estimate, what is corrected is the time of a byte.
        """
        self.observed += 1
        sizes, times = curve = self._curve
        base = _interpolate(curve, items)
        expected = self._with_bytes(base, items, size)
        ratio = seconds / expected
        if ratio > MOST_RATIO:
            ratio = MOST_RATIO
        elif ratio < 1 / MOST_RATIO:
            ratio = 1 / MOST_RATIO
        if expected > 2 * base:
            self.per_byte *= ratio**DAMPING
            return
        if items > NEW_POINT * sizes[-1]:
            self._curve = [*sizes, items], [*times, max(times[-1], base * ratio**DAMPING)]
            return
        times = times.copy()
        place = bisect_right(sizes, items)
        if place == 0 or place == len(
            sizes
        ):  # before the first or beyond the last point, which stands for it
            place -= place > 0
            times[place] *= ratio**DAMPING
            first = place
        else:
            first = place - 1
            share = (items - sizes[first]) / (sizes[place] - sizes[first])
            # Nearer points move more, and the curve between them by ratio ** DAMPING.
            power = DAMPING / (share * share + (1 - share) * (1 - share))
            times[first] *= ratio ** (power * (1 - share))
            times[place] *= ratio ** (power * share)
        self._curve = sizes, _in_order(times, first, place, ratio < 1)

    def line(self) -> Line:
        """The straight line of least relative error through the points, neither part negative."""
        sizes, times = self._curve
        if len(sizes) == 1:
            return Line(0.0, times[0] / sizes[0], self.per_byte)
        points = [(1 / (time * time), items, time) for items, time in zip(sizes, times, strict=True)]
        total = sum(w for w, _, _ in points)
        wn, wt = sum(w * n for w, n, _ in points), sum(w * t for w, _, t in points)
        wnn, wnt = sum(w * n * n for w, n, _ in points), sum(w * n * t for w, n, t in points)
        spread = total * wnn - wn * wn
        fixed, per_item = (wnn * wt - wn * wnt) / spread, (total * wnt - wn * wt) / spread
        if fixed < 0:
            fixed, per_item = 0.0, wnt / wnn
        elif per_item < 0:
            fixed, per_item = wt / total, 0.0
        return Line(fixed, per_item, self.per_byte)

    def _with_bytes(self, base: float, items: int, size: int) -> float:
        if self.per_byte == 0.0:
            return base
        return max(LEAST_SHARE * base, base + (size - items * self.bytes_per_item) * self.per_byte)


def crossover(one: CostModel, other: CostModel) -> int | None:
    """The smallest number of items, of usual size, that `other` does in less time than `one`; None if there is none."""
    stretch = cheaper_stretch(one, other)
    return stretch[0] if stretch else None


def cheaper_stretch(one: CostModel, other: CostModel) -> tuple[int, int | None] | None:
    """The first numbers of items that `other` does in less time than `one`: from, and up to (None: for ever)."""

    def cheaper(items: int) -> bool:
        usual = int(items * one.bytes_per_item), int(items * other.bytes_per_item)
        return other.estimate(items, usual[1]) < one.estimate(items, usual[0])

    bounds = sorted({1, MOST_ITEMS, *one.sizes, *other.sizes})
    first = _first(bounds, cheaper)
    if first is None:
        return None
    after = _first([first, *(size for size in bounds if size > first)], lambda items: not cheaper(items))
    return first, None if after is None else after - 1


def cheapest(models: Mapping[str, CostModel]) -> tuple[tuple[int, str], ...]:
    """(from so many items on, name), ascending: what is cheapest by the measurements.

    The last stretch goes on for ever. What is less than `NOTABLE` cheaper does not begin a stretch.

    Args:
        models: name → model, the preferred one first.
    """
    first = next(iter(models))
    sizes = sorted({*range(1, DENSE), *(size for model in models.values() for size in model.sizes)})
    stretches: list[tuple[int, str]] = []
    for size in sizes:
        times = {
            name: model.measured(size, int(size * model.bytes_per_item)) for name, model in models.items()
        }
        before = stretches[-1][1] if stretches else first
        best = min(times, key=times.__getitem__)
        name = best if times[best] < (1 - NOTABLE) * times[before] else before
        if not stretches or name != before:
            stretches.append((size, name))
    return tuple(stretches)


def _first(bounds: list[int], holds: Callable[[int], bool]) -> int | None:
    """The first number for which something holds that changes at most once between two neighbouring bounds."""
    if holds(bounds[0]):
        return bounds[0]
    for start, stop in pairwise(bounds):
        if holds(stop):
            low, high = start, stop
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if holds(middle) else (middle, high)
            return high
    return None


def _interpolate(curve: Curve, items: int) -> float:
    sizes, seconds = curve
    place = bisect_right(sizes, items)
    if place == 0:
        return seconds[0]
    if place == len(sizes):
        return seconds[-1] + (items - sizes[-1]) * _last_slope(curve)
    before, after = sizes[place - 1], sizes[place]
    start = seconds[place - 1]
    return start + (seconds[place] - start) * (items - before) / (after - before)


def _last_slope(curve: Curve) -> float:
    """Seconds that an item costs beyond the last point: as before it, but no less than over all points.

    The last two may lie on a step, such as sixteen threads with one slice each, behind which the next one rises.
    """
    sizes, seconds = curve
    if len(sizes) == 1:
        return seconds[0] / sizes[0]
    last = (seconds[-1] - seconds[-2]) / (sizes[-1] - sizes[-2])
    return max(last, (seconds[-1] - seconds[0]) / (sizes[-1] - sizes[0]))


def _in_order(seconds: list[float], first: int, last: int, lowered: bool) -> list[float]:
    """More items never take less time: the points first … last were moved and are right, those beside them follow."""
    if lowered:
        index = last - 1
        while index >= 0 and (index >= first or seconds[index] > seconds[index + 1]):
            seconds[index] = min(seconds[index], seconds[index + 1])
            index -= 1
    else:
        index = first + 1
        while index < len(seconds) and (index <= last or seconds[index] < seconds[index - 1]):
            seconds[index] = max(seconds[index], seconds[index - 1])
            index += 1
    return seconds


def _lowered(seconds: Sequence[float]) -> list[float]:
    """Each time at most as long as the one after it: what disturbs a measurement makes it longer."""
    return list(accumulate(reversed(seconds), min))[::-1]


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
