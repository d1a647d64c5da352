# SPDX-License-Identifier: GPL-3.0-or-later
"""Do coefficients and values belong to one polynomial?"""

from __future__ import annotations

import numpy as np

from supervm.crypto.polynomials.arguments import SPECS, Elements, fastest, first_not_canonical
from supervm.crypto.polynomials.values import value_at
from supervm.kernels.arrays import borrow, integers
from supervm.kernels.cpu.ntt.plan import orders
from supervm.kernels.cpu.ntt.polynomials import barycentric_sums
from supervm.kernels.transform import Transform, words_of


def agrees(curve: str, coefficients: Elements, values: Elements, what: Transform, point: int) -> bool:
    """Whether the polynomials of degree below n that coefficients and values describe have the same value at a point.

    From values by the barycentric formula (Berrut, Trefethen, SIAM Review 46, 2004): with nodes xᵢ = g·ω^i,
    P(z) = (zⁿ − gⁿ)/(n·gⁿ) · Σ yᵢ·xᵢ/(z − xᵢ).

    Args:
        curve: whose scalar field.
        coefficients, values: uint64 (n, 4).
        what: the transform; its direction does not matter.
        point: below the order. Where it is a node, the value there is compared.
    """
    spec = SPECS[curve]
    if any(first_not_canonical(spec, array) >= 0 for array in (coefficients, values)):
        return False
    if what.reversed:
        values = values[orders(what.log)[1]]
    return value_at(curve, coefficients, point) == _from_values(curve, values, what, point)


def _from_values(curve: str, values: Elements, what: Transform, point: int) -> int:
    spec, n = SPECS[curve], 1 << what.log
    p, root = spec.modulus, spec.root_of_unity(n)
    vanishing = (pow(point, n, p) - pow(what.shift, n, p)) % p
    if not vanishing:
        return _at_node(curve, values, what, point)
    field = fastest(curve)
    width = field.lanes.width
    whole = n // width * width
    starts = words_of([what.shift * pow(root, lane, p) % p for lane in range(width)])
    sums = np.zeros(4 * width, np.uint64)
    if whole:
        step = words_of([pow(root, width, p)])
        barycentric_sums(field, borrow(values[:whole]).reshape(-1), starts, step, words_of([point]), sums)
    total = sum(integers(sums.reshape(-1, 4)))
    for index, value in enumerate(integers(values[whole:]), whole):
        node = what.shift * pow(root, index, p)
        total += value * node * spec.inverse(point - node)
    return vanishing * spec.inverse(n * pow(what.shift, n, p)) * total % p


def _at_node(curve: str, values: Elements, what: Transform, point: int) -> int:
    p, root = SPECS[curve].modulus, SPECS[curve].root_of_unity(1 << what.log)
    node = what.shift
    for row in range(len(values)):
        if node == point:
            return integers(values[row])[0]
        node = node * root % p
    raise AssertionError("a point with zⁿ = gⁿ is a node")
