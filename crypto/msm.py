# SPDX-License-Identifier: GPL-3.0-or-later
"""Multi-scalar multiplication Σ sᵢ·Pᵢ in the groups of BN254, BLS12-381 and edwards25519.

Points are affine and canonical, words little end first: (n, 2, L) in G1, (n, 2, 2, L) in G2 with c₀ first, L = 4 for BN254
and 6 for BLS12-381; infinity is all zero. Points of edwards25519 are (n, 2, 4), the neutral one is (0, 1). Scalars are
(n, 4), below the order of the group. Points are always checked to be on their curve. They may be outside the subgroup unless
`subgroup` is set; the sum is exact for them too.

Memory beside the arguments, for n points of w words, windows of b bits (chosen by cost: about log₂ n − 3), g windows at a
time (all at once for small n, one for large), and T threads:

    n·8w  +  T · g·(8n + 2^(b − 1)·(9.6·w + 20)),  and about a megabyte for each thread.

If `memory_limit` is lower, points are processed in chunks, and the partial sums are added.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from supervm.crypto import cuda
from supervm.crypto.arguments import flag
from supervm.crypto.calls import place_of
from supervm.crypto.msm_work import GROUPS, MsmCall, Points, compute_kept, require_subgroup
from supervm.kernels.array_types import Words
from supervm.kernels.cpu.fields.range_check import first_above
from supervm.kernels.cuda.runtime.arrays import DeviceArray, viewed
from supervm.kernels.cuda.runtime.device import Device
from supervm.kernels.errors import ArgumentError
from supervm.kernels.registry import resolve, run
from supervm.kernels.spec import QuadraticSpec

__all__ = ["Table", "msm", "prepare"]


def msm(
    curve: str,
    points: Words,
    scalars: Words,
    *,
    group: str = "g1",
    backend: str = "auto",
    subgroup: bool = False,
    memory_limit: int | None = None,
) -> Words:
    """Σ sᵢ·Pᵢ.

    Args:
        curve: `bn254`, `bls12_381` or `ed25519`.
        points: uint64 (n, 2, L), or (n, 2, 2, L) in G2.
        scalars: uint64 (n, 4), below the order; or (k, n, 4) for k sums over the same points.
        group: `g1` or `g2`; of edwards25519 there is one, which goes by `g1`.
        backend: `auto`, or a name of `kernels.registry.BACKENDS`.
        subgroup: check that the points are in the subgroup of prime order.
        memory_limit: bytes beside the arguments; None for what is fastest.

    Points or scalars that lie on a GPU, or both, are checked and summed there, without a copy of them, by `auto` and `cuda`;
    those of edwards25519 are fetched for the check of `subgroup`.

    Returns:
        uint64 (2, L) or (2, 2, L); with a leading k for scalars (k, n, 4). Always a NumPy array: the CPU finishes the sum.

    Raises:
        ArgumentError: another shape or dtype, different lengths, a point that is not canonical, not on the curve or not in
            the subgroup if that is asked, a scalar of the order or above (the first row is named), too low a limit, arrays
            on different GPUs, or on one and a backend that is not.
        BackendUnavailable: the named backend cannot run here.
        DeviceError: an array lies on a GPU, and it failed.
    """
    operation = _operation(curve, group)
    found = _points(operation, points)
    checked = Points(found)
    if flag(subgroup, "subgroup"):
        require_subgroup(operation, found, backend)
    return _run(operation, checked, scalars, backend, _limit(memory_limit))


class Table:
    """Points that are checked once and kept in a backend's own form. Made by `prepare`."""

    def __init__(self, operation: str, points: Points, backend: str) -> None:
        self._operation, self._points, self._backend = operation, points, backend

    def __len__(self) -> int:
        return self._points.count

    @property
    def backend(self) -> str:
        """The one that it was made for."""
        return self._backend

    @property
    def coordinates(self) -> Words:
        """The points, as they were given; those of a table on a GPU are there alone."""
        found: Words = self._points.coordinates
        return found

    def msm(self, scalars: Words, *, backend: str | None = None) -> Words:
        """As `msm.msm` over these points.

        Args:
            scalars: as `msm.msm` takes them.
            backend: another one than the table was made for, which packs the points for itself at first use.

        Raises:
            ArgumentError: another shape or dtype, another length, or a scalar of the order or above.
            BackendUnavailable: the named backend cannot run here.
        """
        return _run(self._operation, self._points, scalars, backend or self._backend, None)

    def msm_beside(self, other: Table, scalars: Words, backend: str) -> tuple[Words, Words]:
        """Sums over this table and over another of as many points, with the same scalars.

        Args:
            scalars: as `msm.msm` takes them; sorted once where both tables have as many multiples and the same points at
                infinity.
            backend: one of a processor.

        Raises: as `msm`.
        """
        rows = _scalars(scalars, self._points.count)
        _accept(first_above(rows, GROUPS[self._operation].scalar_field), self._points.count, scalars.ndim)
        tables = [(each._operation, each._points) for each in (self, other)]
        first, second = (np.empty((len(rows), *points.shape), np.uint64) for _, points in tables)
        compute_kept(backend, tables, rows, None, [first, second])
        return (first[0], second[0]) if scalars.ndim == 2 else (first, second)


def prepare(
    curve: str,
    points: Words,
    *,
    group: str = "g1",
    precompute: int = 1,
    backend: str = "auto",
    subgroup: bool = False,
) -> Table:
    """Check and pack points for many sums.

    Args:
        curve, points, group, backend, subgroup: as `msm` takes them. The table has a copy of the points; of those that lie
            on a GPU it is there, in the form that sums take, and sums over the table are computed there.
        precompute: multiples of each point that are stored, itself included: with k of them, k windows share buckets, which
            saves most of the buckets' own cost and takes k times the memory.

    Raises: as `msm`.
    """
    operation = _operation(curve, group)
    if isinstance(precompute, bool) or not isinstance(precompute, int) or not 1 <= precompute <= 256:
        raise ArgumentError("precompute", repr(precompute), "a whole number in 1 … 256")
    found = _points(operation, points)
    device = place_of([found], backend)
    checked = Points(found.copy() if device is None else found, precompute, kept=True)
    chosen = resolve(operation, backend if device is None else "cuda")
    if flag(subgroup, "subgroup"):
        require_subgroup(operation, found, backend)
    no_sums = np.empty((0, checked.count, 4), np.uint64), None, np.empty((0, *checked.shape), np.uint64)
    if device is None:
        chosen.function(checked, *no_sums)
    else:
        with device.use():
            device.synchronize()  # whatever writes the points may be on a stream that nobody named
            chosen.function(checked, *no_sums)
        checked.leave(device)
    return Table(operation, checked, backend)


def _operation(curve: Any, group: Any) -> str:
    """The operation of a curve and a group."""
    known = sorted({operation.split(".")[0] for operation in GROUPS})
    if not isinstance(curve, str) or curve not in known:
        raise ArgumentError("curve", repr(curve), " or ".join(map(repr, known)))
    if not isinstance(group, str):
        raise ArgumentError("group", repr(group), "'g1' or 'g2'")
    found = {f"{curve}.{group}.msm", f"{curve}.msm" if group == "g1" else ""} & GROUPS.keys()
    if not found:
        raise ArgumentError("group", repr(group), "'g1'" if f"{curve}.msm" in GROUPS else "'g1' or 'g2'")
    return found.pop()


def _points(operation: str, points: Any) -> Any:
    """Checked for shape and dtype: a contiguous NumPy array or a `DeviceArray`."""
    points = viewed(points, "points")
    field = GROUPS[operation].field
    shape = (2, 2, field.base.words) if isinstance(field, QuadraticSpec) else (2, field.words)
    if (
        not isinstance(points, (np.ndarray, DeviceArray))
        or points.dtype != np.uint64
        or points.shape[1:] != shape
    ):
        raise ArgumentError(
            "points", _came(points), f"a uint64 array of shape (n, {', '.join(map(str, shape))})"
        )
    return points if isinstance(points, DeviceArray) else np.ascontiguousarray(points)


def _came(array: Any) -> str:
    known = isinstance(array, (np.ndarray, DeviceArray))
    return f"{array.dtype} {array.shape}" if known else type(array).__name__


def _limit(memory_limit: Any) -> int | None:
    if memory_limit is None:
        return None
    if isinstance(memory_limit, bool) or not isinstance(memory_limit, (int, np.integer)) or memory_limit < 1:
        raise ArgumentError("memory_limit", repr(memory_limit), "a number of bytes, or None")
    return int(memory_limit)


def _scalars(scalars: Any, count: int) -> Any:
    """Checked for shape and dtype, and as (k, n, 4): a contiguous NumPy array or a `DeviceArray`."""
    if (
        not isinstance(scalars, (np.ndarray, DeviceArray))
        or scalars.dtype != np.uint64
        or scalars.ndim not in (2, 3)
        or scalars.shape[-1] != 4
    ):
        raise ArgumentError("scalars", _came(scalars), "a uint64 array of shape (n, 4) or (k, n, 4)")
    if scalars.shape[-2] != count:
        raise ArgumentError("scalars", f"{scalars.shape[-2]} items", f"{count} items, as many as 'points'")
    shape = (len(scalars) if scalars.ndim == 3 else 1, count, 4)
    if isinstance(scalars, DeviceArray):
        return scalars.reshaped(shape)
    return np.ascontiguousarray(scalars).reshape(shape)


def _accept(refused: int, count: int, dimensions: int) -> None:
    """Raise an error if the number of a scalar that is not below the order is none below 0."""
    if refused >= 0:
        which = str(refused) if dimensions == 2 else f"({refused // count}, {refused % count})"
        raise ArgumentError("scalars", f"the order of the group or more in row {which}", "scalars below it")


def _place(points: Points, rows: Any, backend: str) -> Device | None:
    """The GPU where a sum is computed because arguments lie there, or None."""
    found = place_of([points.coordinates, rows], backend)
    if found is not None and points.home is not None and found is not points.home:
        came = f"an array on {found.name}"
        raise ArgumentError("scalars", came, f"one on {points.home.name}, where the points are")
    return points.home or found


def _run(operation: str, points: Points, scalars: Any, backend: str, limit: int | None) -> Words:
    scalars = viewed(scalars, "scalars")
    rows = _scalars(scalars, points.count)
    device = _place(points, rows, backend)
    if not isinstance(rows, DeviceArray):
        _accept(first_above(rows, GROUPS[operation].scalar_field), points.count, scalars.ndim)
    result = np.empty((len(rows), *points.shape), np.uint64)
    call = MsmCall(operation, points, rows, limit, result)
    if device is None:
        run(call, backend)
    else:
        function = resolve(operation, "cuda").function
        with device.use():
            device.synchronize()  # whatever writes the arrays may be on a stream that nobody named
            if isinstance(rows, DeviceArray):
                refused = cuda.MSM[operation].first_not_below(device.stream(), rows)
                _accept(refused, points.count, scalars.ndim)
            call.run(function)
    return result[0] if scalars.ndim == 2 else result
