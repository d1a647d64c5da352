# SPDX-License-Identifier: GPL-3.0-or-later
"""Multi-scalar multiplication Σ sᵢ·Pᵢ in the groups of BN254, BLS12-381 and edwards25519.

Points are affine and canonical, words little end first: (n, 2, L) in G1, (n, 2, 2, L) in G2 with c₀ first, L = 4 for BN254
and 6 for BLS12-381; infinity is all zero. Points of edwards25519 are (n, 2, 4), the neutral one is (0, 1). Scalars are
(n, 4), below the order of the group. That points are on their curve is always checked. They may lie outside the subgroup,
unless `subgroup` is set: the sum is that of the terms.

Memory beside the arguments, for n points of w words, windows of b bits (chosen by cost: about log₂ n − 3), g windows at a
time (all at once for small n, one for large), and T threads:

    n·8w  +  T · g·(8n + 2^(b − 1)·(9.6·w + 20)),  and about a megabyte for each thread.

Where `memory_limit` is less, points are worked on in pieces, whose sums are added.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from supervm.crypto.arguments import flag
from supervm.crypto.msm_call import GROUPS, MsmCall, Points, Words, require_subgroup
from supervm.kernels.cpu.canonical import first_above
from supervm.kernels.cuda.arrays import fetched
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
        scalars: uint64 (n, 4), below the order; or (k, n, 4) for k sums over the same points. Arrays that lie on a GPU are
            fetched; to keep points there, `prepare` them.
        group: `g1` or `g2`; of edwards25519 there is one, which goes by `g1`.
        backend: `auto`, `ifma`, `scalar` or `cuda`.
        subgroup: check that the points are in the subgroup of prime order.
        memory_limit: bytes beside the arguments; None for what is fastest.

    Returns:
        uint64 (2, L) or (2, 2, L); with a leading k for scalars (k, n, 4).

    Raises:
        ArgumentError: another shape or dtype, different lengths, a point that is not canonical, not on the curve or not in
            the subgroup if that is asked, a scalar of the order or above (the first row is named), too low a limit.
        BackendUnavailable: the named backend cannot run here.
    """
    operation = _operation(curve, group)
    checked = Points(_points(operation, points))
    if flag(subgroup, "subgroup"):
        require_subgroup(operation, checked.coordinates, backend)
    return _run(operation, checked, scalars, backend, _limit(memory_limit))


class Table:
    """Points that are checked once and stay in the form that a backend works with. Made by `prepare`."""

    def __init__(self, operation: str, points: Points, backend: str) -> None:
        self._operation, self._points, self._backend = operation, points, backend

    def __len__(self) -> int:
        return len(self._points.coordinates)

    def msm(self, scalars: Words) -> Words:
        """As `msm.msm` over these points.

        Raises:
            ArgumentError: another shape or dtype, another length, or a scalar of the order or above.
        """
        return _run(self._operation, self._points, scalars, self._backend, None)


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
        curve, points, group, backend, subgroup: as `msm` takes them; the points are copied.
        precompute: multiples of each point that are stored, itself included: with k of them, k windows share buckets, which
            saves most of the buckets' own cost and takes k times the memory.

    Raises: as `msm`.
    """
    operation = _operation(curve, group)
    if isinstance(precompute, bool) or not isinstance(precompute, int) or not 1 <= precompute <= 256:
        raise ArgumentError("precompute", repr(precompute), "a whole number in 1 … 256")
    checked = Points(_points(operation, points).copy(), precompute, kept=True)
    chosen = resolve(operation, backend)
    if flag(subgroup, "subgroup"):
        require_subgroup(operation, checked.coordinates, backend)
    none = np.zeros((1, len(checked.coordinates), 4), np.uint64)
    chosen.function(checked, none, None, np.empty((1, *checked.coordinates.shape[1:]), np.uint64))
    return Table(operation, checked, backend)


def _operation(curve: Any, group: Any) -> str:
    """The operation of a curve and a group."""
    known = sorted({operation.split(".")[0] for operation in GROUPS})
    if curve not in known:
        raise ArgumentError("curve", repr(curve), " or ".join(map(repr, known)))
    found = {f"{curve}.{group}.msm", f"{curve}.msm" if group == "g1" else ""} & GROUPS.keys()
    if not found:
        raise ArgumentError("group", repr(group), "'g1'" if f"{curve}.msm" in GROUPS else "'g1' or 'g2'")
    return found.pop()


def _points(operation: str, points: Any) -> Words:
    """Checked for shape and dtype; an array that lies on a GPU is fetched."""
    points = fetched(points, "points")
    field = GROUPS[operation].field
    shape = (2, 2, field.base.words) if isinstance(field, QuadraticSpec) else (2, field.words)
    if not isinstance(points, np.ndarray) or points.dtype != np.uint64 or points.shape[1:] != shape:
        raise ArgumentError(
            "points", _came(points), f"a uint64 array of shape (n, {', '.join(map(str, shape))})"
        )
    return np.ascontiguousarray(points)


def _came(array: Any) -> str:
    return f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__


def _limit(memory_limit: Any) -> int | None:
    if memory_limit is None:
        return None
    if isinstance(memory_limit, bool) or not isinstance(memory_limit, (int, np.integer)) or memory_limit < 1:
        raise ArgumentError("memory_limit", repr(memory_limit), "a number of bytes, or None")
    return int(memory_limit)


def _scalars(operation: str, scalars: Any, count: int) -> Words:
    """Checked, and as (k, n, 4)."""
    if (
        not isinstance(scalars, np.ndarray)
        or scalars.dtype != np.uint64
        or scalars.ndim not in (2, 3)
        or scalars.shape[-1] != 4
    ):
        raise ArgumentError("scalars", _came(scalars), "a uint64 array of shape (n, 4) or (k, n, 4)")
    if scalars.shape[-2] != count:
        raise ArgumentError("scalars", f"{scalars.shape[-2]} items", f"{count} items, as many as 'points'")
    rows = np.ascontiguousarray(scalars)
    refused = first_above(rows, GROUPS[operation].scalar_field)
    if refused >= 0:
        which = str(refused) if rows.ndim == 2 else f"({refused // count}, {refused % count})"
        raise ArgumentError("scalars", f"the order of the group or more in row {which}", "scalars below it")
    return rows.reshape(-1, count, 4) if rows.ndim == 2 and count else rows.reshape(_sums(rows), count, 4)


def _sums(rows: Words) -> int:
    return 1 if rows.ndim == 2 else len(rows)


def _run(operation: str, points: Points, scalars: Any, backend: str, limit: int | None) -> Words:
    scalars = fetched(scalars, "scalars")
    rows = _scalars(operation, scalars, len(points.coordinates))
    result = np.empty((len(rows), *points.coordinates.shape[1:]), np.uint64)
    run(MsmCall(operation, points, rows, limit, result), backend)
    return result[0] if scalars.ndim == 2 else result
