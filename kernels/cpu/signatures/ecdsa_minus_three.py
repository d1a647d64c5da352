# SPDX-License-Identifier: GPL-3.0-or-later
"""ECDSA verification over a curve y² = x³ − 3x + b, one signature in one lane: SEC 1, version 2.0, section 4.1.4."""

from __future__ import annotations

import numpy as np
from numba import njit

from supervm.kernels.cpu.curves.curve import base_field, lanes_of, scalar_field
from supervm.kernels.cpu.curves.double_scalar_multiply import store_scalar
from supervm.kernels.cpu.curves.weierstrass_minus_three import PLACES, on_curve, sum_of_multiples
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields import multiword as wd
from supervm.kernels.cpu.fields.lazy import from_words, mul, sqr
from supervm.kernels.cpu.fields.powers import inverse
from supervm.kernels.cpu.lanes import lanes as ln

# mypy: disallow_untyped_defs=False

WORDS = 20
"""Words of an item."""

DIGEST, R, S, X, Y = range(0, WORDS, 4)
"""Where its parts begin, 32 big-endian bytes each."""


@njit(nogil=True, cache=True)
def verify(curve, item):
    """Whether r and s are in 1 … n − 1, (x, y) is a point of the curve, and the signature is one of this digest.

    Args:
        curve: a `Curve` marker with one lane.
        item: uint64 (WORDS,): digest, r, s, x, y; the digest is reduced modulo the order.
    """
    F, N, lanes = base_field(curve), scalar_field(curve), lanes_of(curve)
    r, s = wd.read_big(lanes, item, WORDS, R, 0, 0), wd.read_big(lanes, item, WORDS, S, 0, 0)
    x_words, y_words = wd.read_big(lanes, item, WORDS, X, 0, 0), wd.read_big(lanes, item, WORDS, Y, 0, 0)
    # CHECK
    outside = ln.or_(wd.words_zero(r), wd.words_zero(s))
    below = ln.and_(wd.below_modulus(N, r), wd.below_modulus(N, s))
    below = ln.and_(below, ln.and_(wd.below_modulus(F, x_words), wd.below_modulus(F, y_words)))
    if ln.mask_bits(ln.and_(below, ln.mask_not(outside))) == 0:
        return False
    x, y = from_words(F, x_words), from_words(F, y_words)
    if not on_curve(curve, x, y):
        return False
    # COMPUTE
    inverted = inverse(N, from_words(N, s))
    digest = from_words(N, wd.read_big(lanes, item, WORDS, DIGEST, 0, 0))
    scalars, digits = np.empty(8, np.uint64), np.empty(2 * PLACES, np.int16)
    store_scalar(scalars, 0, 1, fe.to_words(mul(digest, inverted)))
    store_scalar(scalars, 4, 1, fe.to_words(mul(from_words(N, r), inverted)))
    X3, _, Z3 = sum_of_multiples(curve, (x, y, fe.constant(F, 1)), scalars, digits)
    if ln.mask_bits(fe.is_zero(Z3)) != 0:
        return False
    return _abscissa_is(curve, X3, sqr(Z3), r)


@njit(nogil=True, cache=True)
def _abscissa_is(curve, X3, ZZ, r):
    """Whether X3/ZZ modulo the order is r: it is r, or r + n where that is below p."""
    F = base_field(curve)
    if ln.mask_bits(fe.equal(X3, mul(from_words(F, r), ZZ))) != 0:
        return True
    raised = wd.add_order(curve, r)
    words = (raised[0], raised[1], raised[2], raised[3])
    fits = ln.and_(ln.equal(raised[4], ln.splat(lanes_of(curve), 0)), wd.below_modulus(F, words))
    return ln.mask_bits(ln.and_(fits, fe.equal(X3, mul(from_words(F, words), ZZ)))) != 0
