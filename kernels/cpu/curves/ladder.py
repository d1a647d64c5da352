# SPDX-License-Identifier: GPL-3.0-or-later
"""Multiples of many points of a Montgomery curve by one scalar, abscissas alone: the ladder of RFC 7748, section 5.

All lanes take the same steps, so a scalar costs no look-up and no digit; which of the two points is doubled is selected,
and the number of steps does not depend on the scalar.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields import multiword as wd
from supervm.kernels.cpu.fields.powers import invert_rows
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.cpu.lanes.verdicts import write_verdicts

# mypy: disallow_untyped_defs=False

GROUPS = 32
"""Lane groups that share one inversion."""

_squares = fe.formula(
    ([(1, 0)], []),
    ([(1, 1)], []),
    ([(1, 0), (-1, 1)], []),
    factors=((0, 0), (1, 1)),
)
"""a², b², a² − b²."""

_cross = fe.formula(
    ([(1, 0), (1, 1)], []),
    ([(1, 0), (-1, 1)], []),
    factors=((0, 1), (2, 3)),
)
"""ab + cd, ab − cd."""


@njit(nogil=True, cache=True)
def _step(u, a24, X2, Z2, X3, Z3):
    """The double of the first point and the sum of both, whose difference has the abscissa u."""
    A, B = fe.add(X2, Z2), fe.sub(X2, Z2)
    C, D = fe.lazy(1, X3, 1, Z3, 0), fe.lazy(1, X3, -1, Z3, 0)
    AA, BB, E = _squares((A, B))
    total, difference = _cross((D, A, C, B))
    Z = fe.mul(E, fe.mul_add(1, a24, E, 1, AA))
    return fe.mul(AA, BB), Z, fe.sqr(total), fe.mul(u, fe.sqr(difference))


@njit(nogil=True, cache=True)
def _ladder(field, u, a24, scalar, bits):
    """(X, Z) of scalar · u."""
    one, zero = fe.constant(field, 1), fe.constant(field, 0)
    X2, Z2, X3, Z3 = one, zero, u, one
    before = np.int64(0)
    for place in range(bits - 1, -1, -1):
        bit = np.int64((scalar[place >> 6] >> np.uint64(place & 63)) & np.uint64(1))
        swap = ln.mask_from_bits(field, -(bit ^ before))
        before = bit
        X2, X3 = fe.select(swap, X3, X2), fe.select(swap, X2, X3)
        Z2, Z3 = fe.select(swap, Z3, Z2), fe.select(swap, Z2, Z3)
        X2, Z2, X3, Z3 = _step(u, a24, X2, Z2, X3, Z3)
    swap = ln.mask_from_bits(field, -before)
    return fe.select(swap, X3, X2), fe.select(swap, Z3, Z2)


@njit(nogil=True, cache=True)
def ladder_slice(field, a24, bits, abscissas, scalar, start, stop, results, verdicts):
    """Write the abscissas of the multiples of items start … stop − 1, canonical, and their verdicts.

    Args:
        field: a `Field` marker, of a field that folds.
        a24: (A − 2)/4 for the curve v² = u³ + A·u² + u, in lanes.
        bits: of the scalar: the number of steps.
        abscissas: flat uint64, four words of each u, little end first, not reduced; bits beyond the modulus's are ignored.
        scalar: uint64 (4,), little end first.
        results: flat uint64, four words an item, written.
        verdicts: int8 (n,), written: 1, or 0 where the multiple is infinity or (0, 0), whose result is 0.
    """
    width = ln.lane_width(field)
    size = fe.storage(field)
    one, zero = fe.constant(field, 1), fe.constant(field, 0)
    nothing = ln.splat(field, 0)
    factor = fe.from_words(field, (ln.splat(field, a24), nothing, nothing, nothing))
    work = np.empty(GROUPS * 3 * size, np.uint64)
    for chunk in range(start, stop, width * GROUPS):
        groups = (min(stop - chunk, width * GROUPS) + width - 1) // width
        for group in range(groups):
            words = wd.read_little(field, abscissas, 4, 0, chunk + group * width, stop - 1)
            u = fe.from_words(field, (words[0], words[1], words[2], ln.keep_low(words[3], 63)))
            X, Z = _ladder(field, u, factor, scalar, bits)
            infinite = fe.is_zero(Z)
            fe.store(work, 3 * group * size, fe.select(infinite, zero, X))
            fe.store(work, (3 * group + 1) * size, fe.select(infinite, one, Z))
        invert_rows(field, work, size, 2 * size, 3 * size, groups)
        for group in range(groups):
            first = chunk + group * width
            at = 3 * group * size
            found = fe.to_words(fe.mul(fe.load(field, work, at), fe.load(field, work, at + size)))
            wd.write_little(results, 4, 0, first, stop, found)
            good = ln.mask_bits(ln.mask_not(wd.words_zero(found)))
            write_verdicts(verdicts, first, stop, width, good, -1)
