# SPDX-License-Identifier: GPL-3.0-or-later
"""ECDSA verification and public key recovery over a short Weierstrass curve, for a slice of a batch.

Source: SEC 1, version 2.0, sections 4.1.4 (verify) and 4.1.6 (recover). Items that are malformed are computed with
stand-ins (the generator, the scalar 1), so that lanes stay in step, and their verdict is −1.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from supervm.kernels.cpu.curves import weierstrass_prime_order as ws
from supervm.kernels.cpu.curves.curve import base_field, lanes_of, scalar_field
from supervm.kernels.cpu.curves.double_scalar_multiply import (
    invert_results,
    load_root,
    load_scalar,
    put_point,
    store_root_argument,
    store_scalar,
    take_roots,
    workspace,
)
from supervm.kernels.cpu.curves.one_lane_weierstrass import sum_all
from supervm.kernels.cpu.curves.window_sums import GROUP_ELEMENTS, GROUPS, RESULT
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields import multiword as wd
from supervm.kernels.cpu.fields.powers import invert_rows
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.cpu.lanes.verdicts import write_verdicts

# mypy: disallow_untyped_defs=False


@njit(nogil=True, cache=True)
def verify_slice(curve, base, keys, forms, compressed, digests, signatures, low_s, start, stop, verdicts):
    """Write the verdicts of items start … stop − 1.

    Args:
        curve: a `Curve` marker.
        base: `curve.table(base_tables(spec))`, of `one_lane_weierstrass` for one lane.
        keys: flat uint64 view of (n, 64) big-endian bytes x‖y; y is not read where `compressed`.
        forms: int8 (n,): 0 or 1 the parity of y of a compressed key (0 otherwise), −1 a key that is malformed.
        compressed: whether y is to be found from x for every key.
        digests, signatures: flat uint64 views of (n, 32) and (n, 64) big-endian bytes.
        low_s: whether s above half the order is invalid.
        verdicts: int8 (n,), written: 1 valid, 0 invalid, −1 malformed.
    """
    lanes = lanes_of(curve)
    width = ln.lane_width(lanes)
    span = width * GROUPS
    work, scalars, windows, infinite = workspace(curve)
    inverses = np.empty(2 * GROUPS * fe.storage(scalar_field(curve)), np.uint64)
    flags = np.empty(2 * GROUPS, np.int64)
    for chunk in range(start, stop, span):
        groups = (min(stop - chunk, span) + width - 1) // width
        if compressed:
            _request_roots(curve, work, keys, chunk, stop - 1, groups)
        for group in range(groups):
            first = chunk + group * width
            point = _read_key(curve, work, group, keys, forms, compressed, first, stop - 1)
            scalar, low = _read_signature(curve, scalars, group, signatures, False, first, stop - 1)
            flags[2 * group] = point & scalar
            flags[2 * group + 1] = low if low_s else -1
        _divide(curve, scalars, inverses, digests, chunk, stop - 1, groups, False)
        sum_all(curve, base, work, scalars, windows, groups, infinite)
        for group in range(groups):
            first = chunk + group * width
            valid = _abscissa_matches(curve, work, group, signatures, first, stop - 1)
            valid &= flags[2 * group + 1] & ~infinite[group]
            write_verdicts(verdicts, first, stop, width, valid, flags[2 * group])


@njit(nogil=True, cache=True)
def recover_slice(curve, base, digests, signatures, recovery_ids, start, stop, keys, verdicts):
    """Write the keys and verdicts of items start … stop − 1.

    Args:
        curve, base, digests, signatures: as in `verify_slice`.
        recovery_ids: int8 (n,): bit 0 the parity of R's y, bit 1 whether R's x is r + n; others are malformed (−1).
        keys: uint64 flat view of (n, 64) bytes, written: x‖y big-endian, zero where nothing is recovered.
        verdicts: int8 (n,), written: 1 recovered, −1 malformed or not recoverable.
    """
    lanes = lanes_of(curve)
    width = ln.lane_width(lanes)
    span = width * GROUPS
    work, scalars, windows, infinite = workspace(curve)
    inverses = np.empty(2 * GROUPS * fe.storage(scalar_field(curve)), np.uint64)
    flags = np.empty(GROUPS, np.int64)
    for chunk in range(start, stop, span):
        groups = (min(stop - chunk, span) + width - 1) // width
        for group in range(groups):
            r = wd.read_big(lanes, signatures, 8, 0, chunk + group * width, stop - 1)
            ids = wd.read_small(lanes, recovery_ids, chunk + group * width, stop - 1)
            store_root_argument(curve, work, group, _nonce_abscissa(curve, r, ids)[1])
        take_roots(curve, work, groups)
        for group in range(groups):
            first = chunk + group * width
            flags[group] = _read_nonce_point(curve, work, group, signatures, recovery_ids, first, stop - 1)
            flags[group] &= _read_signature(curve, scalars, group, signatures, True, first, stop - 1)[0]
        _divide(curve, scalars, inverses, digests, chunk, stop - 1, groups, True)
        sum_all(curve, base, work, scalars, windows, groups, infinite)
        invert_results(curve, work, groups)
        for group in range(groups):
            first = chunk + group * width
            good = flags[group] & ~infinite[group]
            _write_keys(curve, work, group, good, keys, first, stop)
            write_verdicts(verdicts, first, stop, width, good, good)


@njit(nogil=True, cache=True)
def _read_key(curve, work, group, keys, forms, compressed, first, last):
    """A group's keys to POINT; returns the lanes whose key decodes."""
    lanes = lanes_of(curve)
    F = base_field(curve)
    x_words = wd.read_big(lanes, keys, 8, 0, first, last)
    well = wd.below_modulus(F, x_words)
    x = fe.from_words(F, x_words)
    form = wd.read_small(lanes, forms, first, last)
    if compressed:
        exists, y = ws.lift(curve, x, load_root(curve, work, group), ln.bit_set(form, 0))
        well = ln.and_(well, exists)
    else:
        y_words = wd.read_big(lanes, keys, 8, 4, first, last)
        y = fe.from_words(F, y_words)
        well = ln.and_(well, ln.and_(wd.below_modulus(F, y_words), ws.on_curve(curve, x, y)))
    well = ln.and_(well, ln.mask_not(ln.bit_set(form, 63)))
    put_point(curve, work, group, well, x, y)
    return ln.mask_bits(well)


@njit(nogil=True, cache=True)
def _request_roots(curve, work, keys, start, last, groups):
    """The roots that compressed keys want, for every group."""
    lanes = lanes_of(curve)
    for group in range(groups):
        words = wd.read_big(lanes, keys, 8, 0, start + group * ln.lane_width(lanes), last)
        store_root_argument(curve, work, group, fe.from_words(base_field(curve), words))
    take_roots(curve, work, groups)


@njit(nogil=True, cache=True)
def _nonce_abscissa(curve, r, ids):
    """(mask, x of R): r, or r + n where bit 1 of the recovery id is set; the mask is clear where that is no x below p."""
    fits, wrapped = _wrapped(curve, r)
    wraps = ln.bit_set(ids, 1)
    x = fe.from_words(base_field(curve), wd.select_words(wraps, wrapped, r))
    return ln.or_(fits, ln.mask_not(wraps)), x


@njit(nogil=True, cache=True)
def _wrapped(curve, r):
    """(mask, r + n): the other abscissa that is r modulo the order; the mask is clear where it is not below p."""
    raised = wd.add_order(curve, r)
    words = (raised[0], raised[1], raised[2], raised[3])
    carried = ln.equal(raised[4], ln.splat(lanes_of(curve), 0))
    return ln.and_(carried, wd.below_modulus(base_field(curve), words)), words


@njit(nogil=True, cache=True)
def _read_nonce_point(curve, work, group, signatures, recovery_ids, first, last):
    """The point R that r and the recovery id name, to POINT; returns the lanes where there is one."""
    lanes = lanes_of(curve)
    r = wd.read_big(lanes, signatures, 8, 0, first, last)
    form = wd.read_small(lanes, recovery_ids, first, last)
    fits, x = _nonce_abscissa(curve, r, form)
    exists, y = ws.lift(curve, x, load_root(curve, work, group), ln.bit_set(form, 0))
    well = ln.and_(ln.and_(exists, fits), ln.mask_not(ln.bit_set(form, 63)))
    put_point(curve, work, group, well, x, y)
    return ln.mask_bits(well)


@njit(nogil=True, cache=True)
def _read_signature(curve, scalars, group, signatures, over_r, first, last):
    """(lanes with r and s in 1 … n − 1, lanes with s ≤ n/2); the fraction r/s, or s/r if `over_r`, to `scalars`."""
    lanes = lanes_of(curve)
    N = scalar_field(curve)
    width = ln.lane_width(lanes)
    r = wd.read_big(lanes, signatures, 8, 0, first, last)
    s = wd.read_big(lanes, signatures, 8, 4, first, last)
    well = ln.and_(wd.below_modulus(N, r), wd.below_modulus(N, s))
    well = ln.and_(well, ln.mask_not(ln.or_(wd.words_zero(r), wd.words_zero(s))))
    zero = ln.splat(lanes, 0)
    one = (ln.splat(lanes, 1), zero, zero, zero)
    above, below = (s, r) if over_r else (r, s)
    store_scalar(scalars, (8 * group) * width, width, wd.select_words(well, above, one))
    store_scalar(scalars, (8 * group + 4) * width, width, wd.select_words(well, below, one))
    return ln.mask_bits(well), ln.mask_bits(ln.mask_not(wd.above_half(N, s)))


@njit(nogil=True, cache=True)
def _divide(curve, scalars, inverses, digests, start, last, groups, negated):
    """u₁ = ±digest / d and u₂ = a / d for each group's scalars (a, d), in their place, with one inversion."""
    N = scalar_field(curve)
    lanes = lanes_of(curve)
    width = ln.lane_width(lanes)
    size = fe.storage(N)
    for group in range(groups):
        value = fe.from_words(N, load_scalar(lanes, scalars, (8 * group + 4) * width, width))
        fe.store(inverses, 2 * group * size, value)
    invert_rows(N, inverses, 0, size, 2 * size, groups)
    for group in range(groups):
        inverted = fe.load(N, inverses, 2 * group * size)
        digest = fe.from_words(N, wd.read_big(lanes, digests, 4, 0, start + group * width, last))
        if negated:
            digest = fe.scale(-1, digest)
        numerator = fe.from_words(N, load_scalar(lanes, scalars, (8 * group) * width, width))
        store_scalar(scalars, (8 * group) * width, width, fe.to_words(fe.mul(digest, inverted)))
        store_scalar(scalars, (8 * group + 4) * width, width, fe.to_words(fe.mul(numerator, inverted)))


@njit(nogil=True, cache=True)
def _abscissa_matches(curve, work, group, signatures, first, last):
    """Lanes where the affine x of RESULT, reduced modulo the order, is r; no inversion is needed for that.

    x is r, or r + n if that is below p: X = r·Z² or X = (r + n)·Z².
    """
    lanes = lanes_of(curve)
    F = base_field(curve)
    size = fe.storage(F)
    at = (group * GROUP_ELEMENTS + RESULT) * size
    X, Z = fe.load(F, work, at), fe.load(F, work, at + 2 * size)
    ZZ = fe.sqr(Z)
    r = wd.read_big(lanes, signatures, 8, 0, first, last)
    fits, wrapped = _wrapped(curve, r)
    direct = fe.equal(X, fe.mul(fe.from_words(F, r), ZZ))
    indirect = ln.and_(fits, fe.equal(X, fe.mul(fe.from_words(F, wrapped), ZZ)))
    return ln.mask_bits(ln.or_(direct, indirect))


@njit(nogil=True, cache=True)
def _write_keys(curve, work, group, good, keys, first, stop):
    """The affine points of a group as rows of 64 big-endian bytes, zero where `good` is clear."""
    F = base_field(curve)
    lanes = lanes_of(curve)
    size = fe.storage(F)
    at = group * GROUP_ELEMENTS * size
    mask = ln.mask_from_bits(lanes, good)
    zero = ln.splat(lanes, 0)
    x = wd.select_words(mask, fe.to_words(fe.load(F, work, at)), (zero, zero, zero, zero))
    y = wd.select_words(mask, fe.to_words(fe.load(F, work, at + size)), (zero, zero, zero, zero))
    wd.write_big(keys, 8, 0, first, stop, x)
    wd.write_big(keys, 8, 4, first, stop, y)
