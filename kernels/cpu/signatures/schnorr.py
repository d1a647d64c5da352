# SPDX-License-Identifier: GPL-3.0-or-later
"""Schnorr verification with x-only keys over a short Weierstrass curve, for a slice of a batch.

R = s·G − e·P for the point P with even y and the key as x; the signature holds if R is finite, has even y, and x(R) = r.
Source: BIP-340, "Verification".
"""

from __future__ import annotations

import numpy as np
from numba import njit

from supervm.kernels.cpu.curves import weierstrass_prime_order as ws
from supervm.kernels.cpu.curves.curve import base_field, lanes_of, scalar_field
from supervm.kernels.cpu.curves.double_scalar_multiply import (
    invert_results,
    load_root,
    put_point,
    store_root_argument,
    store_scalar,
    take_roots,
    workspace,
)
from supervm.kernels.cpu.curves.one_lane_weierstrass import sum_all
from supervm.kernels.cpu.curves.window_sums import GROUP_ELEMENTS, GROUPS
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields import multiword as wd
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.cpu.lanes.verdicts import write_verdicts

# mypy: disallow_untyped_defs=False


@njit(nogil=True, cache=True)
def verify_slice(curve, base, keys, challenges, signatures, start, stop, verdicts):
    """Write the verdicts of items start … stop − 1.

    Args:
        curve: a `Curve` marker.
        base: `curve.table(base_tables(spec))`, of `one_lane_weierstrass` for one lane.
        keys, challenges: flat uint64 views of (n, 32) big-endian bytes; challenges are not yet reduced.
        signatures: flat uint64 view of (n, 64) big-endian bytes r‖s.
        verdicts: int8 (n,), written: 1 valid, 0 invalid, −1 malformed (no such P, r ≥ p, s ≥ n).
    """
    lanes = lanes_of(curve)
    width = ln.lane_width(lanes)
    span = width * GROUPS
    work, scalars, windows, infinite = workspace(curve)
    flags = np.empty(GROUPS, np.int64)
    for chunk in range(start, stop, span):
        groups = (min(stop - chunk, span) + width - 1) // width
        for group in range(groups):
            words = wd.read_big(lanes, keys, 4, 0, chunk + group * width, stop - 1)
            store_root_argument(curve, work, group, fe.from_words(base_field(curve), words))
        take_roots(curve, work, groups)
        for group in range(groups):
            first = chunk + group * width
            flags[group] = _read(curve, work, scalars, group, keys, challenges, signatures, first, stop - 1)
        sum_all(curve, base, work, scalars, windows, groups, infinite)
        invert_results(curve, work, groups)
        for group in range(groups):
            first = chunk + group * width
            valid = _matches(curve, work, group, signatures, first, stop - 1) & ~infinite[group]
            write_verdicts(verdicts, first, stop, width, valid, flags[group])


@njit(nogil=True, cache=True)
def _read(curve, work, scalars, group, keys, challenges, signatures, first, last):
    """P, s and −e of one group; returns the lanes that are well-formed."""
    lanes = lanes_of(curve)
    F, N = base_field(curve), scalar_field(curve)
    width = ln.lane_width(lanes)
    zero = ln.splat(lanes, 0)
    x_words = wd.read_big(lanes, keys, 4, 0, first, last)
    x = fe.from_words(F, x_words)
    exists, y = ws.lift(curve, x, load_root(curve, work, group), ln.bit_set(zero, 0))
    r = wd.read_big(lanes, signatures, 8, 0, first, last)
    s = wd.read_big(lanes, signatures, 8, 4, first, last)
    well = ln.and_(exists, wd.below_modulus(F, x_words))
    put_point(curve, work, group, well, x, y)
    well = ln.and_(well, ln.and_(wd.below_modulus(F, r), wd.below_modulus(N, s)))
    e = fe.from_words(N, wd.read_big(lanes, challenges, 4, 0, first, last))
    store_scalar(scalars, (8 * group) * width, width, wd.select_words(well, s, (zero, zero, zero, zero)))
    store_scalar(scalars, (8 * group + 4) * width, width, fe.to_words(fe.scale(-1, e)))
    return ln.mask_bits(well)


@njit(nogil=True, cache=True)
def _matches(curve, work, group, signatures, first, last):
    """Lanes where R has even y and r as x."""
    F = base_field(curve)
    size = fe.storage(F)
    at = group * GROUP_ELEMENTS * size
    r = wd.read_big(lanes_of(curve), signatures, 8, 0, first, last)
    same = wd.words_equal(fe.to_words(fe.load(F, work, at)), r)
    odd = ln.bit_set(fe.to_words(fe.load(F, work, at + size))[0], 0)
    return ln.mask_bits(ln.and_(same, ln.mask_not(odd)))
