# SPDX-License-Identifier: GPL-3.0-or-later
"""Multi-scalar multiplication by ranges of points, whose sums are added at the end.

Points travel once: nodes keep the range that they summed, checked and packed, under its digest, and later sums send scalars
alone.
"""

from __future__ import annotations

import numpy as np

from supervm.crypto import msm
from supervm.engine.scheduler.tasks import TaskType
from supervm.kernels.array_types import Words
from supervm.kernels.errors import ArgumentError
from supervm.tiers.cluster.splitting.parts import Runner, cuts, in_order, kept
from supervm.tiers.cluster.task import Columns, Options, Task

TASK = "msm.range"

RANGE_POINTS = 1 << 16
"""Points of a range."""


class Bases:
    """Points of many sums, cut into ranges.

    Args:
        run: has the ranges summed.
        curve, points, group: as `supervm.crypto.msm.prepare` takes them; nodes check that points are on their curve.
        range_points: of a range.

    Raises:
        ArgumentError: points of another form. An unknown curve or group, and a point that is not on its curve, are told by
            the first sum.
    """

    def __init__(
        self, run: Runner, curve: str, points: Words, *, group: str = "g1", range_points: int = RANGE_POINTS
    ) -> None:
        if not isinstance(points, np.ndarray) or points.dtype != np.uint64 or points.ndim < 3:
            came = f"{getattr(points, 'dtype', type(points).__name__)} {getattr(points, 'shape', '')}"
            raise ArgumentError("points", came, "a uint64 array of shape (n, 2, L) or (n, 2, 2, L)")
        self._run, self._curve, self._group, self._count = run, curve, group, len(points)
        # No points are one range, too: their sum is the neutral point of the group.
        self._places = [slice(*each) for each in cuts(len(points), range_points)] or [slice(0, 0)]
        held = [run.hold((points[place],)) for place in self._places]
        self._options = {"curve": curve, "group": group, "points": held}

    def __len__(self) -> int:
        return self._count

    def msm(self, scalars: Words) -> Words:
        """Σ sᵢ·Pᵢ.

        Args:
            scalars: uint64 (n, 4), below the order; or (k, n, 4) for k sums.

        Returns:
            As `supervm.crypto.msm.msm`.

        Raises:
            ArgumentError: another shape or dtype, another length; as the library's where a node finds it, with its row in
                the range.
        """
        if (
            not isinstance(scalars, np.ndarray)
            or scalars.dtype != np.uint64
            or scalars.ndim not in (2, 3)
            or scalars.shape[-1] != 4
        ):
            came = f"{getattr(scalars, 'dtype', type(scalars).__name__)} {getattr(scalars, 'shape', '')}"
            raise ArgumentError("scalars", came, "a uint64 array of shape (n, 4) or (k, n, 4)")
        if scalars.shape[-2] != self._count:
            expected = f"{self._count} items, as many as 'points'"
            raise ArgumentError("scalars", f"{scalars.shape[-2]} items", expected)
        rows = scalars[None] if scalars.ndim == 2 else scalars
        parts = (
            (np.ascontiguousarray(rows[:, place]), np.array([number]))
            for number, place in enumerate(self._places)
        )
        answers = in_order(self._run.run(TASK, parts, self._options))
        sums = np.stack([answer[0] for answer in answers], axis=1)
        ones = np.zeros((sums.shape[1], 4), np.uint64)
        ones[:, 0] = 1
        found = np.stack([msm.msm(self._curve, each, ones, group=self._group) for each in sums])
        return found[0] if scalars.ndim == 2 else found


def _sum(columns: Columns, options: Options) -> Columns:
    scalars, number = columns
    if scalars.ndim != 3:
        raise ArgumentError("scalars", f"{scalars.shape}", "(k, n, 4), for k sums")
    curve, group = options["curve"], options["group"]

    def make(points: Columns) -> msm.Table:
        return msm.prepare(curve, points[0], group=group)

    return (kept(options["points"][int(number[0])], make, TASK, curve, group).msm(scalars),)


def _are_points(columns: Columns, options: Options, answer: Columns) -> bool:
    """Whether an answer is a point for each row of scalars: the addition at the end would blame the caller for others."""
    curve, group = options["curve"], options["group"]
    try:
        msm.prepare(curve, answer[0], group=group)
    except ArgumentError:
        return False
    return len(answer) == 1 and len(answer[0]) == len(columns[0])


RANGE = Task(TASK, _sum, items=lambda columns: columns[0].size // 4, type=TaskType.MSM, form=_are_points)
"""Columns: scalars uint64 (k, n, 4), and the number of the range, int64 (1,). Options: `curve`, `group`, and `points`, those
of every range, held. Answer: k sums. It has no items of which a sample could be checked: shares are computed twice."""
