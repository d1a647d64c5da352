# SPDX-License-Identifier: GPL-3.0-or-later
"""h·P + s·B on a twisted Edwards curve in one lane, by non-adjacent forms.

One lane need not wait for others: its digits are sparse (`non_adjacent`), which takes about 62 additions.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from supervm.kernels.cpu.curves import edwards as ed
from supervm.kernels.cpu.curves.curve import base_field, lanes_of
from supervm.kernels.cpu.curves.non_adjacent import BASE_MULTIPLES, BASE_WINDOW, WINDOW, write_digits
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields.lookup import lookup, row_words
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.spec import EdwardsSpec

# mypy: disallow_untyped_defs=False

PLACES = 257
"""Digits of a scalar."""


def base_table(spec: EdwardsSpec) -> list[tuple[int, int, int]]:
    """The affine form (y+x, y−x, 2dxy) of the odd multiples B, 3B, … 2047B as integers."""
    p = spec.field.modulus
    point, twice, points = spec.base, ed.affine_add(spec, spec.base, spec.base), []
    for _ in range(BASE_MULTIPLES):
        x, y = point
        points.append(((y + x) % p, (y - x) % p, spec.d2 * x * y % p))
        point = ed.affine_add(spec, point, twice)
    return points


@njit(nogil=True, cache=True)
def double_scalar(curve, base, x, y, h, s):
    """h·P + s·B as (X, Y, Z) for the affine point P = (x, y).

    Args:
        base: `curve.table(base_table(spec))`.
        h, s: words of any two numbers.
    """
    F = base_field(curve)
    lanes = lanes_of(curve)
    words, digits = np.empty(8, np.uint64), np.empty(2 * PLACES, np.int16)
    for index in range(4):
        ln.store(words, index, h[index])
        ln.store(words, 4 + index, s[index])
    write_digits(words, 0, 4, WINDOW, False, digits, 0)
    write_digits(words, 4, 4, BASE_WINDOW, False, digits, PLACES)
    table = fe.local(F, 32)
    _odd_multiples(curve, table, x, y)
    zero, one = fe.constant(F, 0), fe.constant(F, 1)
    X, Y, Z = zero, one, one
    places = PLACES
    while places > 0 and digits[places - 1] == 0 and digits[PLACES + places - 1] == 0:
        places -= 1
    for place in range(places - 1, -1, -1):
        E, F_, G, H = ed.double(X, Y, Z)
        digit = np.int64(digits[place])
        if digit != 0:
            row = 4 * (abs(digit) >> 1)
            plus, minus, z, t2d = (
                fe.get(table, row),
                fe.get(table, row + 1),
                fe.get(table, row + 2),
                fe.get(table, row + 3),
            )
            if digit < 0:
                plus, minus, t2d = minus, plus, fe.scale(-1, t2d)
            E, F_, G, H = ed.add_cached(ed.extended(E, F_, G, H), (plus, minus, z, t2d))
        digit = np.int64(digits[PLACES + place])
        if digit != 0:
            row = ln.splat(lanes, abs(digit) >> 1)
            plus, minus, t2d = lookup(F, base, 0, 0, row_words(F, 3), row, 3)
            if digit < 0:
                plus, minus, t2d = minus, plus, fe.scale(-1, t2d)
            E, F_, G, H = ed.add_affine(ed.extended(E, F_, G, H), (plus, minus, t2d))
        X, Y, Z = ed.projective(E, F_, G, H)
    return X, Y, Z


@njit(nogil=True, cache=True)
def _odd_multiples(curve, table, x, y):
    """Fill `table` with the cached forms of P, 3P, …, 15P for P = (x, y)."""
    P = (x, y, fe.constant(base_field(curve), 1), fe.mul(x, y))
    E, F, G, H = ed.double(P[0], P[1], P[2])
    twice = ed.cached(curve, ed.extended(E, F, G, H))
    for index in range(8):
        if index > 0:
            E, F, G, H = ed.add_cached(P, twice)
            P = ed.extended(E, F, G, H)
        Q = ed.cached(curve, P)
        for part in range(4):
            fe.put(table, 4 * index + part, Q[part])
