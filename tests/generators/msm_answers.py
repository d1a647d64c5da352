# SPDX-License-Identifier: GPL-3.0-or-later
"""Known answers of the multi-scalar multiplication, for `known_answer_vectors`."""

from __future__ import annotations

from typing import Any

from supervm.crypto.oracle import edwards, msm
from supervm.crypto.oracle.pairing_groups import Group
from supervm.crypto.params import bls12_381, bn254
from supervm.crypto.params.curve25519 import EDWARDS25519


def msm_answers() -> dict[str, list[dict[str, Any]]]:
    """Operation → rows."""
    groups = (bn254.G1, bn254.G2, bls12_381.G1, bls12_381.G2)
    return {f"{spec.name}.msm": msm_rows(Group(spec)) for spec in groups} | {"ed25519.msm": msm_rows(None)}


def msm_rows(group: Group | None) -> list[dict[str, Any]]:
    """Sums of a few multiples of the generator (of edwards25519 without a group): random scalars and skewed ones, the
    neutral point, repeated and opposite points."""
    rows: list[dict[str, Any]] = []
    order = group.order if group else edwards.L
    points = [
        None if factor == 0 else _multiple(group, factor) for factor in (1, order - 1, 5, 0, 7, 1 << 100)
    ]
    for description, chosen, scalars in (
        ("nothing", [], []),
        ("one point", [2], [order - 1]),
        ("random", [0, 2, 3, 4, 5], [pow(3, 200 + i, order) for i in range(5)]),
        ("equal points", [4] * 12, [pow(5, 200 + i, order) for i in range(12)]),
        ("opposite points", [0, 1] * 6, [order // 3] * 12),
        ("tiny scalars", [0, 4, 5, 2, 0, 1, 4, 4, 2], [0, 1, 2, 3, 4, 5, 6, 7, 8]),
    ):
        terms = [points[index] for index in chosen]
        if group:
            total = msm.msm(group, terms, scalars)
        else:
            total = msm.ed25519_msm([point or (0, 1) for point in terms], scalars)
        rows.append(
            {
                "description": description,
                "chosen": chosen,
                "scalars": b"".join(value.to_bytes(32, "little") for value in scalars).hex(),
                "sum": _point(group, total),
            }
        )
    rows[0]["points"] = [_point(group, point) for point in points]
    return rows


def _multiple(group: Group | None, factor: int) -> Any:
    if group:
        return group.multiply(factor, group.generator)
    return msm.ed25519_msm([EDWARDS25519.base], [factor])


def _point(group: Group | None, point: Any) -> str:
    """Little-endian words of x and y; all zero is infinity, but (0, 1) on edwards25519."""
    if group is None:
        return b"".join(value.to_bytes(32, "little") for value in point or (0, 1)).hex()
    zero = (0,) * group.degree
    parts = [
        part for value in point or (zero, zero) for part in (value if isinstance(value, tuple) else (value,))
    ]
    return b"".join(part.to_bytes(8 * group.base.words, "little") for part in parts).hex()
