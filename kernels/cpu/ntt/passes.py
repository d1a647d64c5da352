# SPDX-License-Identifier: GPL-3.0-or-later
"""The levels of a transform over elements in a scratch buffer, every lane a transform of its own.

Decimation in time (Cooley and Tukey, Mathematics of Computation 19, 1965): the input lies in bit-reversed order, the output
comes in natural order. Two levels are taken at once, which halves the passes over the buffer. The factors of the level
that joins halves of h elements, ω^k with ω of order 2h for k < h, are rows h … 2h − 1 of a table, so that one
table serves every length.

No value is reduced on the way: each level adds less than 3p (`shoup`), the bound is counted in multiples of p, and where
the next levels would pass R, half of it is taken off: with R/p = 35 once from 2^10 elements on, with 84 never.
"""

from __future__ import annotations

from numba import njit

from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.ntt import shoup

# mypy: disallow_untyped_defs=False

INPUT_BOUND = 3
"""Inputs are below this many p."""


@njit(nogil=True, cache=True)
def transform(field, scratch, log, table):
    """Transform 2^log elements in place; inputs below 3p, outputs below R."""
    count = 1 << log
    size = 1
    bound = 0
    if log % 2 == 1:
        _first_level(field, scratch, count)
        size, bound = 2, 2 * INPUT_BOUND
    elif log:
        _first_levels(field, scratch, count, table)
        size, bound = 4, 4 * INPUT_BOUND
    while size < count:
        if bound + 2 * shoup.PRODUCT_BOUND > shoup.multiples(field):
            _halve(field, scratch, count)
            bound = shoup.multiples(field) // 2 + 1
        for k in range(size):
            _two_levels(field, scratch, count, size, k, table)
        size *= 4
        bound += 2 * shoup.PRODUCT_BOUND


@njit(nogil=True, cache=True)
def _first_level(field, scratch, count):
    """Pairs of neighbours, whose factor is 1."""
    step = fe.storage(field)
    for at in range(0, count * step, 2 * step):
        a, b = fe.load(field, scratch, at), fe.load(field, scratch, at + step)
        fe.store(scratch, at, shoup.add(a, b, 0))
        fe.store(scratch, at + step, shoup.sub(a, b, 3))


@njit(nogil=True, cache=True)
def _first_levels(field, scratch, count, table):
    """Groups of four neighbours: the only factor that is not 1 is the square root of −1, row 3."""
    step = fe.storage(field)
    for at in range(0, count * step, 4 * step):
        a, b = fe.load(field, scratch, at), fe.load(field, scratch, at + step)
        c, d = fe.load(field, scratch, at + 2 * step), fe.load(field, scratch, at + 3 * step)
        even, odd = shoup.add(a, b, 0), shoup.add(c, d, 0)
        difference = shoup.sub(a, b, 3)
        turned = shoup.mul(shoup.sub(c, d, 3), table, 3)
        fe.store(scratch, at, shoup.add(even, odd, 0))
        fe.store(scratch, at + step, shoup.add(difference, turned, 0))
        fe.store(scratch, at + 2 * step, shoup.sub(even, odd, 6))
        fe.store(scratch, at + 3 * step, shoup.sub(difference, turned, 3))


@njit(nogil=True, cache=True)
def _two_levels(field, scratch, count, size, k, table):
    """Element k of each of four parts of `size` elements, in every group of four parts."""
    words = fe.storage(field)
    step = size * words
    for at in range(k * words, count * words, 4 * step):
        b = shoup.mul(fe.load(field, scratch, at + step), table, size + k)
        d = shoup.mul(fe.load(field, scratch, at + 3 * step), table, size + k)
        a, c = shoup.settle(fe.load(field, scratch, at)), fe.load(field, scratch, at + 2 * step)
        even = shoup.mul(shoup.add(c, d, 0), table, 2 * size + k)
        odd = shoup.mul(shoup.sub(c, d, 3), table, 3 * size + k)
        low, high = shoup.add(a, b, 0), shoup.sub(a, b, 3)
        fe.store(scratch, at, shoup.add(low, even, 0))
        fe.store(scratch, at + step, shoup.add(high, odd, 0))
        fe.store(scratch, at + 2 * step, shoup.sub(low, even, 3))
        fe.store(scratch, at + 3 * step, shoup.sub(high, odd, 3))


@njit(nogil=True, cache=True)
def _halve(field, scratch, count):
    step = fe.storage(field)
    for at in range(0, count * step, step):
        fe.store(scratch, at, shoup.halve(fe.load(field, scratch, at)))
