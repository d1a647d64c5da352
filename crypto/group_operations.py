# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations on points of G1 and G2 as the registry lists them: `bn254.g1.add`, `bls12_381.g2.decode` and so on.

Points are rows of uint64 words, a point's x and then its y, c₀ first, infinity all zero. Every operation writes a verdict an
item: 1 good, −1 for a row that is not canonical or not on the curve, whose result is zero.

- decode(rows, flags, compressed, check) and subgroup(rows): 0 besides, for a point outside the subgroup
- add(first, second), multiply(points, scalars): affine sums and multiples by integers below 2^256
- normalise(rows): affine forms of Jacobian (three coordinates) or extended ones (four)
- map(elements, each, wide), of the groups that have one, on processors only: the point of the subgroup for `each` field
  elements an item, which are canonical words, or where `wide` is set the words of low and high, for low + 2^256·high
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from supervm.crypto import cuda
from supervm.crypto.params import bls12_381, bn254
from supervm.crypto.signatures.batch import for_slices
from supervm.crypto.subgroup_batches import all_in_subgroup, plan
from supervm.kernels.array_types import Words
from supervm.kernels.arrays import borrow
from supervm.kernels.cpu.backends import CPU_BACKENDS, register_on_cpu
from supervm.kernels.cpu.curves.batch_operations import (
    ADD,
    MULTIPLY,
    NORMALISE,
    NORMALISE_EXTENDED,
    batch_slice,
)
from supervm.kernels.cpu.curves.curve import Curve
from supervm.kernels.cpu.curves.decode import decode_slice, lift_slice
from supervm.kernels.cpu.curves.map_to_curve import map_slice
from supervm.kernels.point_checks import CURVE, INFINITE, SUBGROUP
from supervm.kernels.spec import GroupSpec

Small = npt.NDArray[np.int8]

GROUPS: dict[str, GroupSpec] = {spec.name: spec for spec in (bn254.G1, bn254.G2, bls12_381.G1, bls12_381.G2)}
OPERATIONS = ("decode", "subgroup", "add", "multiply", "normalise")

MAPS = tuple(f"{name}.map" for name, spec in GROUPS.items() if spec.map is not None)
"""The operations that make points of field elements."""

CURVES = {
    (name, backend.name): Curve(spec, backend.lanes)
    for backend in CPU_BACKENDS
    for name, spec in GROUPS.items()
}
"""The marker that compiled code takes, by group and backend."""


def _flat(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return borrow(np.ascontiguousarray(rows)).reshape(-1)


def _decode(
    curve: Curve, rows: Words, flags: Small, compressed: bool, check: int, points: Words, verdicts: Small
) -> None:
    """Whether many points are in the subgroup is tested for all together; if that fails, for each by itself."""
    rounds = plan(curve.spec.name, len(verdicts)) if check == SUBGROUP else None
    if rounds:
        _decode_each(curve, rows, flags, compressed, CURVE, points, verdicts)
        there = points.reshape(len(verdicts), -1)[verdicts == 1]
        if all_in_subgroup(curve, there, rounds, partial(_tested, curve)):
            return
    _decode_each(curve, rows, flags, compressed, check, points, verdicts)


def _decode_each(
    curve: Curve, rows: Words, flags: Small, compressed: bool, check: int, points: Words, verdicts: Small
) -> None:
    words, marks, results = _flat(rows), _flat(flags), points.reshape(-1)
    whole = np.empty(2 * words.size, np.uint64) if compressed else words
    check = max(check, CURVE) if compressed else check

    def piece(start: int, stop: int) -> None:
        if compressed:
            lift_slice(curve, words, marks, start, stop, whole)
        decode_slice(curve, whole, marks, check, start, stop, results, verdicts)

    for_slices(len(verdicts), piece)


def _infinite(rows: Words) -> Small:
    """Flags of rows of words."""
    return np.where(rows.any(axis=1), 0, INFINITE).astype(np.int8)


def _tested(curve: Curve, rows: Words) -> Small:
    """The verdicts of points, each by itself."""
    verdicts = np.empty(len(rows), np.int8)
    _decode_each(curve, rows, _infinite(rows), False, SUBGROUP, np.empty(rows.size, np.uint64), verdicts)
    return verdicts


def _subgroup(curve: Curve, rows: Words, verdicts: Small) -> None:
    points = rows.reshape(len(rows), 2 * curve.spec.field.words)
    _decode(curve, points, _infinite(points), False, SUBGROUP, np.empty(points.size, np.uint64), verdicts)


def _batch(operation: int, curve: Curve, first: Words, second: Words, points: Words, verdicts: Small) -> None:
    a, b, results = _flat(first), _flat(second), points.reshape(-1)
    for_slices(
        len(verdicts),
        lambda start, stop: batch_slice(curve, operation, a, b, start, stop, results, verdicts),
    )


def _normalise(curve: Curve, rows: Words, points: Words, verdicts: Small) -> None:
    extended = rows.shape[1] == 4 * curve.spec.field.words
    _batch(NORMALISE_EXTENDED if extended else NORMALISE, curve, rows, rows, points, verdicts)


def _map(curve: Curve, elements: Words, each: int, wide: bool, points: Words, verdicts: Small) -> None:
    rows, results = _flat(elements), points.reshape(-1)
    for_slices(
        len(verdicts),
        lambda start, stop: map_slice(curve, rows, each, int(wide), start, stop, results, verdicts),
    )


_FUNCTIONS: dict[str, Callable[..., None]] = {
    "decode": _decode,
    "subgroup": _subgroup,
    "add": partial(_batch, ADD),
    "multiply": partial(_batch, MULTIPLY),
    "normalise": _normalise,
    "map": _map,
}


def _register(group: str, operation: str) -> None:
    function = _FUNCTIONS[operation]
    register_on_cpu(f"{group}.{operation}", lambda backend: partial(function, CURVES[group, backend.name]))


for _name in GROUPS:
    for _operation in OPERATIONS:
        _register(_name, _operation)
        cuda.register_operation(f"{_name}.{_operation}")
for _name in MAPS:
    _register(*_name.rsplit(".", 1))
