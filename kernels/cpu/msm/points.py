# SPDX-License-Identifier: GPL-3.0-or-later
"""Points of a multi-scalar multiplication are checked and packed."""

from __future__ import annotations

import numpy as np
from numba import njit

from supervm.kernels.cpu.curves.curve import base_field, lanes_of
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields import multiword as wd
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.cpu.msm.addition_lists import checked_point, neutral
from supervm.kernels.cpu.msm.packed_points import read_coordinates, scatter
from supervm.kernels.point_checks import NOT_CANONICAL, NOT_ON_CURVE

# mypy: disallow_untyped_defs=False

ACCEPTED = -1


@njit(nogil=True, cache=True)
def pack_points(curve, coordinates, rows, infinite, start, stop):
    """Check points start … stop − 1 and pack them.

    Args:
        curve: a `Curve` marker.
        coordinates: flat uint64, canonical words of x and y for each point.
        rows: flat uint64, written, see `rows`.
        infinite: uint8, one for each point, written: whether it is the neutral one.

    Returns:
        ACCEPTED, or for the first point that is refused 2·index + NOT_CANONICAL or NOT_ON_CURVE.
    """
    field = base_field(curve)
    lanes = lanes_of(curve)
    width = ln.lane_width(lanes)
    names = np.empty(width, np.uint32)
    for first in range(start, stop, width):
        x_words, y_words = read_coordinates(field, coordinates, first, stop - 1)
        canonical = ln.and_(wd.below_modulus(field, x_words), wd.below_modulus(field, y_words))
        zero = ln.and_(wd.words_zero(x_words), wd.words_zero(y_words))
        none = neutral(curve, x_words, y_words)
        x, y = fe.from_words(field, x_words), fe.from_words(field, y_words)
        good = ln.mask_bits(ln.and_(canonical, ln.or_(none, checked_point(curve, x, y))))
        if good != (1 << width) - 1:
            for lane in range(width):
                if good >> lane & 1 == 0:
                    reason = NOT_ON_CURVE if ln.mask_bits(canonical) >> lane & 1 else NOT_CANONICAL
                    return 2 * min(first + lane, stop - 1) + reason
        for lane in range(width):
            index = min(first + lane, stop - 1)
            names[lane] = index
            infinite[index] = ln.mask_bits(none) >> lane & 1
        scatter(field, rows, rows, names, 0, x, y, zero)
    return ACCEPTED
