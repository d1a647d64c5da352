# SPDX-License-Identifier: GPL-3.0-or-later
"""zksnake: arkworks' multi-scalar multiplication and transforms over both curves, through PyO3.

Its binding turns Python integers into field elements in every call, which is inside its figure; points are its own objects.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from supervm.benchmarks.cases import Answers, Peer
from supervm.benchmarks.peers import version
from supervm.benchmarks.workloads.msm import MsmItems
from supervm.benchmarks.workloads.ntt import NttItems
from supervm.kernels.arrays import integers


def _algebra(part: str) -> Any:
    return getattr(importlib.import_module("zksnake._algebra"), part)


def msm() -> Peer:
    """`multiscalar_mul_g1` or `_g2`: arkworks, one thread."""
    released = version("zksnake")

    def prepare(workload: MsmItems) -> Callable[[], Answers]:
        module = _algebra(f"ec_{workload.curve}")
        make = module.PointG1 if workload.group == "g1" else module.PointG2
        multiply = getattr(module, f"multiscalar_mul_{workload.group}")
        numbers = integers(workload.points)
        size = len(numbers) // max(1, workload.items)
        points = [make(*numbers[at : at + size]) for at in range(0, len(numbers), size)]
        scalars = integers(workload.scalars)
        return lambda: [multiply(points, scalars)]

    return Peer("zksnake (arkworks)", released, prepare, _coordinates, whole=True)


def _coordinates(answers: Answers) -> Answers:
    return [tuple(_flat(point.x) + _flat(point.y)) for point in answers]


def _flat(coordinate: Any) -> list[int]:
    return list(coordinate) if isinstance(coordinate, (list, tuple)) else [int(coordinate)]


def ntt() -> Peer:
    """`fft` over the scalar field: arkworks, one thread."""
    released = version("zksnake")

    def prepare(workload: NttItems) -> Callable[[], Answers]:
        transform = _algebra(f"polynomial_{workload.curve}").fft
        values = integers(workload.values)
        size = len(values)
        return lambda: [transform(values, size)]

    return Peer("zksnake (arkworks)", released, prepare, lambda answers: list(answers[0]), whole=True)
