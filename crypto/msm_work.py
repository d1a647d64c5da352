# SPDX-License-Identifier: GPL-3.0-or-later
"""One call of a multi-scalar multiplication as a unit of work, and the backends that compute it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np

from supervm.crypto import cuda, curves
from supervm.crypto.params.bls12_381 import G1 as BLS12_381_G1
from supervm.crypto.params.bls12_381 import G2 as BLS12_381_G2
from supervm.crypto.params.bn254 import G1 as BN254_G1
from supervm.crypto.params.bn254 import G2 as BN254_G2
from supervm.crypto.params.curve25519 import EDWARDS25519
from supervm.kernels.array_types import Words
from supervm.kernels.arrays import borrow
from supervm.kernels.cpu.backends import CPU_BACKENDS, by_name, register_on_cpu
from supervm.kernels.cpu.curves.curve import Curve
from supervm.kernels.cpu.msm import msm as kernels
from supervm.kernels.cuda import msm as cuda_kernels
from supervm.kernels.cuda.runtime import devices
from supervm.kernels.cuda.runtime.arrays import DeviceArray
from supervm.kernels.cuda.runtime.device import Device
from supervm.kernels.errors import ArgumentError
from supervm.kernels.point_checks import SUBGROUP
from supervm.kernels.registry import register, resolve
from supervm.kernels.spec import EdwardsSpec, GroupSpec
from supervm.kernels.threads import get_threads, run_slices
from supervm.kernels.work import Function, Work

Made = TypeVar("Made")

GROUPS: dict[str, GroupSpec | EdwardsSpec] = {
    "bn254.g1.msm": BN254_G1,
    "bn254.g2.msm": BN254_G2,
    "bls12_381.g1.msm": BLS12_381_G1,
    "bls12_381.g2.msm": BLS12_381_G2,
    "ed25519.msm": EDWARDS25519,
}
"""The group of every operation."""

CURVES = {
    (operation, backend.name): Curve(spec, backend.lanes)
    for operation, spec in GROUPS.items()
    for backend in CPU_BACKENDS
}

RECHECKED = 1 / 64
"""The probability that a call is computed again, where it is not asked for more (`docs/msm.md`)."""


@dataclass(eq=False)
class Points:
    """Points that several calls share, with what each backend made of them.

    Args:
        coordinates: uint64 (n, 2, L) or (n, 2, 2, L), a NumPy array or a `DeviceArray`; None once they were left.
        precompute: multiples of each point.
        kept: whether what a backend makes of them is kept for later calls.
        home: the only device that has them, once their coordinates were left.
    """

    coordinates: Any
    precompute: int = 1
    kept: bool = False
    home: Device | None = None
    _made: dict[str, Any] = field(default_factory=dict)
    _lock: Any = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.count, self.shape = len(self.coordinates), self.coordinates.shape[1:]
        self.bytes = int(self.coordinates.nbytes)

    def leave(self, device: Device) -> None:
        """Drop the coordinates, which may be the caller's; only what a device made of them stays."""
        self.coordinates, self.home = None, device

    @property
    def flat(self) -> Words:
        """The coordinates as kernels of a processor take them."""
        return borrow(np.ascontiguousarray(self.coordinates)).reshape(-1)

    def made(self, key: str, make: Callable[[], Made]) -> Made:
        """What a backend made of the points, made at first use."""
        with self._lock:
            if key not in self._made:
                self._made[key] = make()
            found: Made = self._made[key]
            return found


@dataclass(frozen=True, eq=False)
class MsmCall(Work):
    """Σ sᵢ·Pᵢ for each row of scalars.

    Args:
        operation: one of `GROUPS`.
        points: n points.
        scalars: uint64 (k, n, 4), below the order; a NumPy array, or a `DeviceArray` on the device that computes.
        memory_limit: bytes beside the arguments, or None.
        result: uint64 (k, 2, L) or (k, 2, 2, L), written.
    """

    operation: str
    points: Points
    scalars: Any
    memory_limit: int | None
    result: Words

    @property
    def items(self) -> int:  # type: ignore[override]
        """Products of a scalar and a point: k · n."""
        return int(self.scalars.shape[0]) * int(self.scalars.shape[1])

    @property
    def bytes(self) -> int:  # type: ignore[override]
        """Bytes of the points and of all scalars."""
        return int(self.points.bytes + self.scalars.nbytes)

    def run(self, function: Function) -> None:
        """Call `function(points, scalars, memory_limit, result)`."""
        function(self.points, self.scalars, self.memory_limit, self.result)

    def twin(self) -> MsmCall:
        """The same points and scalars with a result of its own, whose contents are unknown."""
        return replace(self, result=np.empty_like(self.result))

    def publish(self, other: Work) -> None:
        """Copy the result of a twin over this call's."""
        assert isinstance(other, MsmCall)
        self.result[...] = other.result

    def mismatches(self, function: Function, share: float, random: np.random.Generator) -> int:
        """A sum has no items to sample: one call in 64 is recomputed, or the share `share` of all calls if that is more."""
        if not self.items or random.random() >= max(share, RECHECKED):
            return 0
        again = self.twin()
        again.run(function)
        differ = (again.result != self.result).reshape(len(self.result), -1).any(axis=1)
        return int(np.count_nonzero(differ))


def require_subgroup(operation: str, points: Any, backend: str) -> None:
    """Check that points are in the subgroup of prime order, by the fast tests of `curves`; of edwards25519, whose cofactor
    is 8, by multiplication with the order, on the processor. What is not on the curve is left to whoever packs the points.

    Args:
        points: uint64 (n, …), here or on a GPU: there they are checked, those of edwards25519 are fetched.

    Raises:
        ArgumentError: naming the first row that is outside.
    """
    spec = GROUPS[operation]
    if spec.cofactor == 1:
        return
    if isinstance(spec, EdwardsSpec):
        points = points.fetched() if isinstance(points, DeviceArray) else points
        curve = CURVES[operation, resolve(operation, "auto" if backend == "cuda" else backend).name]
        products = kernels.times_order(kernels.pack(curve, borrow(points).reshape(-1)))
        outside = (products.reshape(-1, 8) != np.array([0] * 4 + [1, 0, 0, 0], np.uint64)).any(axis=1)
    elif isinstance(points, DeviceArray):
        _, verdicts = cuda.points_there(spec.name, points, (SUBGROUP,), points.shape[1:], backend)
        outside = DeviceArray(verdicts).fetched() == 0
    else:
        name, group = spec.name.split(".")
        tested = getattr(curves.get(name), group).in_subgroup(points, backend)
        outside = tested == 0
    if outside.any():
        found = f"a point outside the subgroup in row {int(np.argmax(outside))}"
        raise ArgumentError("points", found, "points of the subgroup of prime order")


def _compute(
    operation: str, backend: str, points: Points, scalars: Words, memory_limit: int | None, result: Words
) -> None:
    if points.kept:
        compute_kept(backend, [(operation, points)], scalars, memory_limit, [result])
    else:
        found = kernels.in_pieces(CURVES[operation, backend], points.flat, borrow(scalars), memory_limit)
        result[...] = found.reshape(result.shape)


def compute_kept(
    backend: str,
    tables: Sequence[tuple[str, Points]],
    scalars: Words,
    memory_limit: int | None,
    results: Sequence[Words],
) -> None:
    """Sums over kept points with the same scalars, on a processor, which sorts the scalars once where that is possible.

    Args:
        backend: of a processor.
        tables: operations, and as many points of each.
        scalars, memory_limit: as `MsmCall` has them.
        results: as `MsmCall` has them, one for each table.
    """
    packed = [
        points.made(
            backend, partial(kernels.pack, CURVES[operation, backend], points.flat, points.precompute)
        )
        for operation, points in tables
    ]
    if not kernels.alike(packed):
        for table, result in zip(tables, results, strict=True):
            compute_kept(backend, [table], scalars, memory_limit, [result])
        return

    def sums(start: int, stop: int) -> None:
        for row in range(start, stop):
            found = kernels.multiply_alike(packed, borrow(scalars[row]).reshape(-1), memory_limit)
            for result, each in zip(results, found, strict=True):
                result[row] = each.reshape(result.shape[1:])

    # Threads share the sums if there are enough of them, and else the windows of one after the other.
    run_slices(sums, len(scalars), 1 if len(scalars) >= get_threads() else max(1, len(scalars)))


def _compute_there(
    operation: str, points: Points, scalars: Any, memory_limit: int | None, result: Words
) -> None:
    group, device = cuda.MSM[operation], devices.working_device()
    if points.kept:
        make = partial(cuda_kernels.prepare, group, device, points.coordinates, points.precompute)
        resident = points.made(f"cuda {device.index}", make)
        found = cuda_kernels.multiply_resident(group, device, resident, scalars)
    else:
        found = cuda_kernels.multiply(group, device, points.coordinates, scalars, memory_limit)
    result[...] = found.reshape(result.shape)


for _operation in GROUPS:
    register_on_cpu(_operation, by_name(_compute, _operation))
    if _operation in cuda.MSM:
        register(_operation, "cuda", partial(_compute_there, _operation), devices.unavailable)
