# SPDX-License-Identifier: GPL-3.0-or-later
"""Coordinates of points times one number, in rows of canonical words: into and out of the Montgomery form of files."""

from __future__ import annotations

from numba import njit

from supervm.kernels.cpu.curves.curve import base_field, lanes_of
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields import multiword as wd
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.cpu.msm.packed_points import read_coordinates, write_coordinates

# mypy: disallow_untyped_defs=False


@njit(nogil=True, cache=True)
def scale_coordinates(curve, rows, factor, out, start, stop):
    """Both numbers of rows start … stop − 1 times a factor.

    Args:
        curve: a `Curve` marker of a curve over a prime field.
        rows: flat uint64, two numbers a row.
        factor: one such row, the factor twice.
        out: as `rows`, written.

    Returns:
        The first row with a number that is not below p; −1 if there is none.
    """
    field = base_field(curve)
    lanes = lanes_of(curve)
    width = ln.lane_width(lanes)
    nowhere = ln.mask_from_bits(lanes, 0)
    factor_words, _ = read_coordinates(field, factor, 0, 0)
    scale = fe.from_words(field, factor_words)
    for first in range(start, stop, width):
        x_words, y_words = read_coordinates(field, rows, first, stop - 1)
        good = ln.mask_bits(ln.and_(wd.below_modulus(field, x_words), wd.below_modulus(field, y_words)))
        if good != (1 << width) - 1:
            for lane in range(width):
                if good >> lane & 1 == 0:
                    return min(first + lane, stop - 1)
        x = fe.mul(fe.from_words(field, x_words), scale)
        y = fe.mul(fe.from_words(field, y_words), scale)
        write_coordinates(out, first, stop, fe.to_words(x), fe.to_words(y), nowhere)
    return -1
