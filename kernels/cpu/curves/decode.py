# SPDX-License-Identifier: GPL-3.0-or-later
"""Points from coordinates that were read from bytes: ranges, the curve's equation, the root of a compressed point, the
subgroup."""

from __future__ import annotations

import numpy as np
from numba import njit

from supervm.kernels.cpu.curves import affine_words as rw
from supervm.kernels.cpu.curves import weierstrass as gr
from supervm.kernels.cpu.curves.curve import base_field, lanes_of
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields import multiword as wd
from supervm.kernels.cpu.fields.lazy import from_words, to_words
from supervm.kernels.cpu.fields.square_roots import square_roots
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.cpu.lanes.verdicts import write_verdicts
from supervm.kernels.point_checks import CURVE, FIELD, SUBGROUP

# mypy: disallow_untyped_defs=False


@njit(nogil=True, cache=True)
def lift_slice(curve, abscissas, flags, start, stop, rows):
    """Write x and y of compressed items start … stop − 1 to `rows`, for `decode_slice`.

    Args:
        curve: a `Curve` marker.
        abscissas: flat uint64, the words of x of each item.
        flags: int8 (n,); y is the root that LARGER says.
        rows: flat uint64 rows of x and y, written. Where x is of no point, y is such that the equation does not hold.
    """
    F = base_field(curve)
    width, size = ln.lane_width(lanes_of(curve)), rw.words_of(F)
    roots = np.empty(rw.GROUPS * fe.storage(F), np.uint64)
    for chunk in range(start, stop, width * rw.GROUPS):
        groups = (min(stop - chunk, width * rw.GROUPS) + width - 1) // width
        for group in range(groups):
            words = wd.read_element(F, abscissas, size, 0, chunk + group * width, stop - 1)
            fe.store(roots, group * fe.storage(F), rw.right_side(curve, from_words(F, words)))
        square_roots(F, roots, groups)
        for group in range(groups):
            first = chunk + group * width
            y = fe.load(F, roots, group * fe.storage(F))
            words = to_words(y)
            marks = wd.read_small(lanes_of(curve), flags, first, stop - 1)
            turned = ln.xor(wd.above_half(F, words), ln.bit_set(marks, 2))
            words = wd.select_words(turned, to_words(fe.scale(-1, y)), words)
            wd.write_little(rows, 2 * size, size, first, stop, words)
            words = wd.read_element(F, abscissas, size, 0, first, stop - 1)
            wd.write_little(rows, 2 * size, 0, first, stop, words)


@njit(nogil=True, cache=True)
def decode_slice(curve, rows, flags, check, start, stop, results, verdicts):
    """Write the points and verdicts of items start … stop − 1.

    Args:
        curve: a `Curve` marker.
        rows: flat uint64, the words of x and of y of each item.
        flags: int8 (n,).
        check: NONE … SUBGROUP.
        results: flat uint64 rows of points, written; zeros where the verdict is not 1.
        verdicts: int8 (n,), written: 1 valid, 0 not in the subgroup, −1 malformed.
    """
    F = base_field(curve)
    width, size = ln.lane_width(lanes_of(curve)), rw.words_of(F)
    for first in range(start, stop, width):
        x_words = wd.read_element(F, rows, 2 * size, 0, first, stop - 1)
        y_words = wd.read_element(F, rows, 2 * size, size, first, stop - 1)
        marks = wd.read_small(lanes_of(curve), flags, first, stop - 1)
        infinite, well = ln.bit_set(marks, 1), ln.mask_not(ln.bit_set(marks, 0))
        if check >= FIELD:
            well = ln.and_(well, ln.and_(wd.below_modulus(F, x_words), wd.below_modulus(F, y_words)))
        valid = well
        if check >= CURVE:
            x, y = from_words(F, x_words), from_words(F, y_words)
            well = ln.and_(well, ln.or_(infinite, rw.on_curve(curve, x, y)))
            valid = well
            if check == SUBGROUP:
                P = gr.jacobian(curve, x, y, ln.or_(infinite, ln.mask_not(well)))
                valid = ln.and_(well, gr.in_subgroup(curve, P))
        kept = ln.and_(valid, ln.mask_not(infinite))
        wd.write_little(results, 2 * size, 0, first, stop, wd.cleared(kept, x_words))
        wd.write_little(results, 2 * size, size, first, stop, wd.cleared(kept, y_words))
        write_verdicts(verdicts, first, stop, width, ln.mask_bits(valid), ln.mask_bits(well))
