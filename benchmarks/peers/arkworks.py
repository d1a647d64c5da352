# SPDX-License-Identifier: GPL-3.0-or-later
"""py_arkworks_bls12381: arkworks' BLS12-381, the binding that Ethereum's specifications test with."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from supervm.benchmarks.cases import Answers, Peer
from supervm.benchmarks.peers import version
from supervm.benchmarks.workloads.msm import MsmItems
from supervm.kernels.arrays import integers

PACKAGE = "py_arkworks_bls12381"
BYTES = 48


def msm() -> Peer:
    """`G1Point.multiexp_unchecked` or `G2Point.multiexp_unchecked`."""
    released = version(PACKAGE)

    def prepare(workload: MsmItems) -> Callable[[], Answers]:
        module = importlib.import_module(PACKAGE)
        kind = module.G1Point if workload.group == "g1" else module.G2Point
        numbers = integers(workload.points)
        size = len(numbers) // max(1, workload.items)
        points = [
            kind.from_xy_bytes_unchecked_le(
                b"".join(number.to_bytes(BYTES, "little") for number in numbers[at : at + size])
            )
            for at in range(0, len(numbers), size)
        ]
        scalars = [
            module.Scalar.from_le_bytes(number.to_bytes(32, "little"))
            for number in integers(workload.scalars)
        ]
        return lambda: [kind.multiexp_unchecked(points, scalars)]

    return Peer(PACKAGE, released, prepare, _coordinates, whole=True)


def _coordinates(answers: Answers) -> Answers:
    found = []
    for point in answers:
        data = bytes(point.to_xy_bytes_le())
        parts = [data[at : at + BYTES] for at in range(0, len(data), BYTES)]
        found.append(tuple(int.from_bytes(part, "little") for part in parts))
    return found
