# SPDX-License-Identifier: GPL-3.0-or-later
"""The scalar fields that polynomials are over, and checks of arrays of their elements."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from supervm.crypto.params import bls12_381, bn254
from supervm.kernels.arrays import borrow
from supervm.kernels.cpu.backends import CPU_BACKENDS, best
from supervm.kernels.cpu.fields.element_type import Field
from supervm.kernels.cpu.fields.range_check import first_not_below
from supervm.kernels.cpu.ntt.plan import in_all
from supervm.kernels.errors import ArgumentError
from supervm.kernels.spec import FieldSpec
from supervm.kernels.transform import words_of

Elements = npt.NDArray[np.uint64]
"""uint64 (…, 4): canonical field elements, little-endian words."""

SPECS: dict[str, FieldSpec] = {"bn254": bn254.FR, "bls12_381": bls12_381.FR}
"""Curve → its scalar field."""

FIELDS: dict[tuple[str, str], Field] = {
    (curve, backend.name): Field(spec, backend.lanes)
    for curve, spec in SPECS.items()
    for backend in CPU_BACKENDS
}
"""(curve, backend) → the marker that kernels take."""


_LEAST = 1 << 16
"""Rows that a thread checks at least, some ten microseconds of work."""


def spec_of(curve: str) -> FieldSpec:
    """The scalar field of a curve.

    Raises:
        ArgumentError: no such curve.
    """
    if not isinstance(curve, str) or curve not in SPECS:
        raise ArgumentError("curve", repr(curve), " or ".join(map(repr, SPECS)))
    return SPECS[curve]


@functools.cache
def fastest(curve: str) -> Field:
    """The marker of the best CPU backend here."""
    return FIELDS[curve, best().name]


def shaped(array: Any, argument: str, axes: int) -> Any:
    """`array`, if it is uint64 of shape (…, 4) with at least `axes` axes.

    Raises:
        ArgumentError: it is not.
    """
    dtype = getattr(array, "dtype", None)
    shape: tuple[int, ...] = getattr(array, "shape", ())
    if dtype != np.uint64 or len(shape) < axes or shape[-1] != 4:
        came = f"{dtype} {tuple(shape)}" if dtype is not None else type(array).__name__
        raise ArgumentError(argument, came, f"a uint64 array of shape (…, {'n, ' * (axes > 1)}4)")
    return array


def elements(spec: FieldSpec, array: Any, argument: str, axes: int = 2) -> Elements:
    """`array` as a contiguous array of canonical elements.

    Raises:
        ArgumentError: it is no uint64 NumPy array of shape (…, 4) with at least `axes` axes, or an element is not below
            the modulus; the first one is named by its row, all leading axes flattened.
    """
    if not isinstance(array, np.ndarray):
        raise ArgumentError(argument, type(array).__name__, "a NumPy array")
    found = np.ascontiguousarray(shaped(array, argument, axes))
    row = first_not_canonical(spec, found)
    if row >= 0:
        raise ArgumentError(
            argument, f"row {row} is not below the modulus", f"elements of {spec.name}, canonical"
        )
    return found


def first_not_canonical(spec: FieldSpec, array: Elements) -> int:
    """The first row, leading axes flattened, that is not below the modulus; −1 if all are."""
    flat, bound = borrow(array).reshape(-1), words_of([spec.modulus])
    found = []

    def check(start: int, stop: int) -> None:
        row = first_not_below(flat, bound, start, stop)
        if row >= 0:
            found.append(row)

    in_all(check, flat.size // 4, _LEAST)
    return min(found, default=-1)


def shift_of(spec: FieldSpec, coset: Any) -> int:
    """The shift g of a coset g·H: 1 for None, the field's generator for True and "generator".

    Raises:
        ArgumentError: neither that nor an integer that is not 0 modulo the field's order.
    """
    if coset is None:
        return 1
    if coset is True or (isinstance(coset, str) and coset == "generator"):
        return spec.generator
    if isinstance(coset, bool) or not isinstance(coset, (int, np.integer)) or int(coset) % spec.modulus == 0:
        raise ArgumentError(
            "coset", repr(coset), "None, True, 'generator', or an integer that is not 0 modulo the order"
        )
    return int(coset) % spec.modulus
