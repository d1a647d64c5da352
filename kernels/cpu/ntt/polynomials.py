# SPDX-License-Identifier: GPL-3.0-or-later
"""Polynomials over a field: values at points, products of values, division by X^n − 1.

Numbers are canonical, four 64-bit words each, in flat uint64 arrays; polynomials are their coefficients, lowest first.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields.powers import invert_rows
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.cpu.ntt import shoup
from supervm.kernels.cpu.ntt.ntt import words_everywhere
from supervm.kernels.cpu.ntt.word_blocks import load_run, store_run

# mypy: disallow_untyped_defs=False

CHAINS = 4
"""Horner's rule waits for every product; so many of its chains run side by side."""

_CHUNK = 256
"""Groups of lanes that share an inversion."""


@njit(nogil=True, cache=True)
def evaluate_parts(field, coefficients, top, table, parts):
    """The polynomial in parts: for each c < CHAINS · width, Σ aᵢ·z^(i − c) over i ≡ c.

    Args:
        field: a marker.
        coefficients: a whole number of blocks of CHAINS · width coefficients.
        top: the block above them.
        table: one factor, z^(CHAINS · width).
        parts: as long as a block, written: Horner's rule in z over them gives the value.
    """
    lanes = shoup.lanes_of(field)
    step = 4 * ln.lane_width(lanes)
    a, b = _plain(field, lanes, top, 0), _plain(field, lanes, top, step)
    c, d = _plain(field, lanes, top, 2 * step), _plain(field, lanes, top, 3 * step)
    for at in range(coefficients.size - CHAINS * step, -1, -CHAINS * step):
        a = shoup.add(shoup.mul(a, table, 0), _plain(field, lanes, coefficients, at), 0)
        b = shoup.add(shoup.mul(b, table, 0), _plain(field, lanes, coefficients, at + step), 0)
        c = shoup.add(shoup.mul(c, table, 0), _plain(field, lanes, coefficients, at + 2 * step), 0)
        d = shoup.add(shoup.mul(d, table, 0), _plain(field, lanes, coefficients, at + 3 * step), 0)
    store_run(parts, 0, shoup.to_plain(shoup.reduce(a)))
    store_run(parts, step, shoup.to_plain(shoup.reduce(b)))
    store_run(parts, 2 * step, shoup.to_plain(shoup.reduce(c)))
    store_run(parts, 3 * step, shoup.to_plain(shoup.reduce(d)))


@njit(nogil=True, cache=True)
def _plain(field, lanes, array, at):
    return shoup.from_plain(field, load_run(lanes, array, at))


@njit(nogil=True, cache=True)
def evaluate_points(field, coefficients, points, out):
    """Values at many points, a lane each.

    Args:
        field: a marker.
        coefficients: of one polynomial, at least one.
        points, out: a whole number of groups of `width`; `out` is written.
    """
    lanes = shoup.lanes_of(field)
    for at in range(0, points.size, 4 * ln.lane_width(lanes)):
        point = fe.from_words(field, load_run(lanes, points, at))
        last = coefficients.size - 4
        value = shoup.from_plain(field, words_everywhere(field, coefficients, last))
        for index in range(last - 4, -1, -4):
            coefficient = shoup.from_plain(field, words_everywhere(field, coefficients, index))
            value = shoup.carry(shoup.add(fe.mul(value, point), coefficient, 0))
        store_run(out, at, shoup.to_plain(shoup.reduce(value)))


@njit(nogil=True, cache=True)
def multiply_values(field, a, b, out, start, stop):
    """a · b number by number, for groups start … stop − 1 of `width`; b, a whole number of groups, is repeated."""
    lanes = shoup.lanes_of(field)
    step = 4 * ln.lane_width(lanes)
    for at in range(start * step, stop * step, step):
        factor = fe.from_words(field, load_run(lanes, b, at % b.size))
        product = fe.mul(_plain(field, lanes, a, at), factor)
        store_run(out, at, shoup.to_plain(shoup.reduce(product)))


@njit(nogil=True, cache=True)
def divide_by_vanishing(field, coefficients, n, quotient, remainder):
    """By X^n − 1, for a field in one lane: qᵢ = aᵢ₊ₙ + qᵢ₊ₙ from the top, and what stays below n.

    Args:
        coefficients: n of them or more.
        quotient, remainder: written; of as many numbers as there are coefficients less n, and of n.
    """
    lanes = shoup.lanes_of(field)
    for at in range(coefficients.size - 4, -1, -4):
        value = _plain(field, lanes, coefficients, at)
        if at < quotient.size:
            value = fe.add(value, _plain(field, lanes, quotient, at))
        if at >= 4 * n:
            store_run(quotient, at - 4 * n, shoup.to_plain(value))
        else:
            store_run(remainder, at, shoup.to_plain(value))


@njit(nogil=True, cache=True)
def divide_by_linear(field, coefficients, point, quotient, remainder):
    """By X − z, for a field in one lane: qᵢ₋₁ = aᵢ + z·qᵢ from the top, and where i is 0 the value at z, which is left over.

    Args:
        coefficients: one of them or more.
        point: z.
        quotient, remainder: written; of as many numbers as there are coefficients less one, and of one.
    """
    lanes = shoup.lanes_of(field)
    z = fe.from_words(field, words_everywhere(field, point, 0))
    value = fe.constant(field, 0)
    for at in range(coefficients.size - 4, -1, -4):
        value = fe.add(fe.mul(value, z), _plain(field, lanes, coefficients, at))
        if at:
            store_run(quotient, at - 4, shoup.to_plain(value))
        else:
            store_run(remainder, 0, shoup.to_plain(value))


@njit(nogil=True, cache=True)
def inverses_less_one(field, starts, step, out):
    """1/(x − 1) for the x of a geometric sequence, none of which may be 1.

    Args:
        field: a marker.
        starts: the first x of each lane.
        step: what they are multiplied by from group to group.
        out: a whole number of groups of `width`, written.
    """
    lanes = shoup.lanes_of(field)
    step_words, words = 4 * ln.lane_width(lanes), fe.storage(field)
    room = np.empty(2 * _CHUNK * words, np.uint64)
    x = fe.from_words(field, load_run(lanes, starts, 0))
    ratio = fe.from_words(field, words_everywhere(field, step, 0))
    one = fe.constant(field, 1)
    groups = out.size // step_words
    for first in range(0, groups, _CHUNK):
        count = min(_CHUNK, groups - first)
        for index in range(count):
            fe.store(room, index * words, fe.sub(x, one))
            x = fe.mul(x, ratio)
        invert_rows(field, room, 0, _CHUNK * words, words, count)
        for index in range(count):
            found = fe.to_words(fe.load(field, room, index * words))
            store_run(out, step_words * (first + index), found)


@njit(nogil=True, cache=True)
def barycentric_sums(field, values, starts, step, point, sums):
    """Σ yᵢ·xᵢ/(z − xᵢ), a sum for each lane; no xᵢ may be z.

    Args:
        values: y, a whole number of groups of `width`.
        starts: the first x of each lane.
        step: what they are multiplied by from group to group.
        point: z.
        sums: one number a lane, written.
    """
    lanes = shoup.lanes_of(field)
    width, words = ln.lane_width(lanes), fe.storage(field)
    room = np.empty(2 * _CHUNK * words, np.uint64)
    x = fe.from_words(field, load_run(lanes, starts, 0))
    ratio = fe.from_words(field, words_everywhere(field, step, 0))
    z = fe.from_words(field, words_everywhere(field, point, 0))
    total = fe.constant(field, 0)
    groups = values.size // (4 * width)
    for first in range(0, groups, _CHUNK):
        count = min(_CHUNK, groups - first)
        start = x
        for index in range(count):
            fe.store(room, index * words, fe.sub(z, x))
            x = fe.mul(x, ratio)
        invert_rows(field, room, 0, _CHUNK * words, words, count)
        x = start
        for index in range(count):
            y = _plain(field, lanes, values, 4 * width * (first + index))
            total = fe.add(total, fe.mul(fe.mul(fe.load(field, room, index * words), x), y))
            x = fe.mul(x, ratio)
    store_run(sums, 0, shoup.to_plain(shoup.reduce(total)))
