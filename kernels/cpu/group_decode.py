# SPDX-License-Identifier: GPL-3.0-or-later
"""Points from coordinates that were read from bytes: ranges, the curve's equation, the root of a compressed point, the
subgroup."""

from __future__ import annotations

import numpy as np
from numba import njit

from supervm.kernels.cpu import field as fe
from supervm.kernels.cpu import group as gr
from supervm.kernels.cpu import group_rows as rw
from supervm.kernels.cpu import lanes as ln
from supervm.kernels.cpu import words as wd
from supervm.kernels.cpu.curve import base_field, lanes_of
from supervm.kernels.cpu.group_roots import square_roots
from supervm.kernels.cpu.loose import from_words, to_words
from supervm.kernels.cpu.verdicts import write_verdicts

# mypy: disallow_untyped_defs=False

MALFORMED, INFINITE, LARGER = 1, 2, 4
"""Bits of an item's flags: what its encoding's flag bits say."""

NONE, FIELD, CURVE, SUBGROUP = range(4)
"""Checks; each includes those before."""


@njit(nogil=True, cache=True)
def decode_slice(curve, rows, flags, compressed, check, start, stop, results, verdicts):
    """Write the points and verdicts of items start … stop − 1.

    Args:
        curve: a `Curve` marker.
        rows: flat uint64, a row an item: the words of x, and of y unless `compressed`.
        flags: int8 (n,).
        compressed: y is the root that the flag LARGER says.
        check: NONE … SUBGROUP; a compressed point is always on the curve.
        results: flat uint64 rows of points, written; zeros where the verdict is not 1.
        verdicts: int8 (n,), written: 1 valid, 0 not in the subgroup, −1 malformed.
    """
    F = base_field(curve)
    width, size = ln.lane_width(lanes_of(curve)), rw.words_of(F)
    roots = np.empty(rw.GROUPS * fe.storage(F), np.uint64)
    columns = 1 if compressed else 2
    for chunk in range(start, stop, width * rw.GROUPS):
        groups = (min(stop - chunk, width * rw.GROUPS) + width - 1) // width
        if compressed:
            for group in range(groups):
                words = wd.read_element(F, rows, size, 0, chunk + group * width, stop - 1)
                fe.store(roots, group * fe.storage(F), rw.right_side(curve, from_words(F, words)))
            square_roots(F, roots, groups)
        for group in range(groups):
            first = chunk + group * width
            x_words = wd.read_element(F, rows, columns * size, 0, first, stop - 1)
            marks = wd.read_small(lanes_of(curve), flags, first, stop - 1)
            infinite, well = _marks(marks)
            well = ln.and_(well, wd.below_modulus(F, x_words)) if check > NONE or compressed else well
            x = from_words(F, x_words)
            if compressed:
                y = fe.load(F, roots, group * fe.storage(F))
                turned = ln.xor(wd.above_half(F, to_words(y)), ln.bit_set(marks, 2))
                y_words = to_words(fe.select(turned, fe.scale(-1, y), y))
            else:
                y_words = wd.read_element(F, rows, columns * size, size, first, stop - 1)
                well = ln.and_(well, wd.below_modulus(F, y_words)) if check > NONE else well
            y = from_words(F, y_words)
            if check >= CURVE or compressed:
                well = ln.and_(well, ln.or_(infinite, rw.on_curve(curve, x, y)))
            valid = well
            if check == SUBGROUP:
                P = gr.jacobian(curve, x, y, ln.or_(infinite, ln.mask_not(well)))
                valid = ln.and_(well, gr.in_subgroup(curve, P))
            kept = ln.and_(valid, ln.mask_not(infinite))
            _write_words(results, size, first, stop, kept, x_words, y_words)
            write_verdicts(verdicts, first, stop, width, ln.mask_bits(valid), ln.mask_bits(well))


@njit(nogil=True, inline="always")
def _marks(marks):
    """(infinite, well-formed) from flags."""
    return ln.bit_set(marks, 1), ln.mask_not(ln.bit_set(marks, 0))


@njit(nogil=True, inline="always")
def _write_words(results, size, first, stop, kept, x_words, y_words):
    wd.write_little(results, 2 * size, 0, first, stop, wd.cleared(kept, x_words))
    wd.write_little(results, 2 * size, size, first, stop, wd.cleared(kept, y_words))
