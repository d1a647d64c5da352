# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of polynomials at any points."""

from __future__ import annotations

import numpy as np

from supervm.crypto.polynomials.arguments import SPECS, Elements, elements, fastest, spec_of
from supervm.kernels.arrays import borrow, integers
from supervm.kernels.cpu.ntt.ntt import fill_factors
from supervm.kernels.cpu.ntt.plan import in_all
from supervm.kernels.cpu.ntt.polynomials import CHAINS, evaluate_parts, evaluate_points
from supervm.kernels.cpu.ntt.shoup import row_words
from supervm.kernels.rounding import to_nearest
from supervm.kernels.transform import words_of


def evaluate(curve: str, coefficients: Elements, points: Elements) -> Elements:
    """Values of polynomials at points.

    Args:
        curve: `bn254` or `bls12_381`.
        coefficients: uint64 (…, n, 4), canonical, lowest first; any n, and leading axes as a batch.
        points: uint64 (m, 4), canonical, the same for all polynomials.

    Returns:
        uint64 (…, m, 4).

    Raises:
        ArgumentError: an unknown curve, another shape or dtype, or an element that is not canonical (its row is named).
    """
    spec = spec_of(curve)
    found = elements(spec, coefficients, "coefficients")
    places = elements(spec, points, "points").reshape(-1, 4)
    length = found.shape[-2]
    out = np.zeros((*found.shape[:-2], len(places), 4), np.uint64)
    if not length or not out.size:
        return out
    rows, results = found.reshape(-1, length, 4), out.reshape(-1, len(places), 4)
    width = fastest(curve).lanes.width
    whole = len(places) // width * width if len(places) >= width else 0
    for polynomial, result in zip(rows, results, strict=True):
        if whole:
            _at_many(curve, polynomial, places[:whole], result[:whole])
        for index in range(whole, len(places)):
            value = value_at(curve, polynomial, integers(places[index])[0])
            result[index] = words_of([value])
    return out


def value_at(curve: str, coefficients: Elements, point: int) -> int:
    """A polynomial's value at one point.

    Args:
        curve: whose scalar field.
        coefficients: uint64 (n, 4), canonical.
        point: below the order.
    """
    field, p = fastest(curve), SPECS[curve].modulus
    block = CHAINS * field.lanes.width
    whole = len(coefficients) // block * block
    top = np.zeros((block, 4), np.uint64)
    top[: len(coefficients) - whole] = coefficients[whole:]
    table = np.empty(row_words(field.element.code), np.uint64)
    start = words_of([pow(point, block, p)] * field.lanes.width)
    parts = np.empty(4 * block, np.uint64)
    with to_nearest():
        fill_factors(field, table, 0, 1, start, words_of([1]))
        evaluate_parts(field, borrow(coefficients[:whole]).reshape(-1), top.reshape(-1), table, parts)
    value = 0
    for part in reversed(integers(parts.reshape(-1, 4))):
        value = (value * point + part) % p
    return value


def _at_many(curve: str, coefficients: Elements, points: Elements, out: Elements) -> None:
    """At a whole number of groups of points, a lane each."""
    field = fastest(curve)
    step = 4 * field.lanes.width
    flat, places, results = borrow(coefficients).reshape(-1), borrow(points).reshape(-1), out.reshape(-1)

    def groups(start: int, stop: int) -> None:
        part = slice(start * step, stop * step)
        evaluate_points(field, flat, places[part], results[part])

    in_all(groups, places.size // step)
