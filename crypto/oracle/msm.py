# SPDX-License-Identifier: GPL-3.0-or-later
"""Multi-scalar multiplication by its definition: Σ sᵢ·Pᵢ, term by term."""

from __future__ import annotations

from collections.abc import Sequence

from supervm.crypto.oracle import edwards
from supervm.crypto.oracle.pairing_groups import Group, Point


def msm(group: Group, points: Sequence[Point | None], scalars: Sequence[int]) -> Point | None:
    """Σ sᵢ·Pᵢ of affine points, None being infinity; points need not be in the subgroup."""
    total: Point | None = None
    for point, scalar in zip(points, scalars, strict=True):
        total = group.add(total, group.multiply(scalar, point))
    return total


def ed25519_msm(points: Sequence[tuple[int, int]], scalars: Sequence[int]) -> tuple[int, int]:
    """Σ sᵢ·Pᵢ of affine points of edwards25519, whose neutral point is (0, 1)."""
    total = edwards.IDENTITY
    for point, scalar in zip(points, scalars, strict=True):
        total = edwards.add(total, edwards.multiply(scalar, edwards.from_affine(*point)))
    x, y, z, _ = total
    inverse = pow(z, -1, edwards.P)
    return x * inverse % edwards.P, y * inverse % edwards.P
