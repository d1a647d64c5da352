# SPDX-License-Identifier: GPL-3.0-or-later
"""Number-theoretic transforms of any power of two: passes over blocks of as many lines as there are lanes.

A transform of n = n₁·n₂ numbers is n₂ transforms of n₁ numbers and then n₁ of n₂ (Bailey, Journal of Supercomputing 4,
1990): with input index i = i₁·n₂ + i₂ and output index o = o₁ + n₁·o₂ the first pass transforms over i₁ and multiplies by
ω^(i₂·o₁), the second transforms over i₂. A *line* is the numbers that one such transform is over. A block, `width` lines,
goes to a scratch buffer that the second-level cache holds, is transformed there in lanes, and goes back.

Lines lie in memory in two ways: neighbours *along* each other, number i of the next line right after number i of this one,
or each line by itself, its numbers in a row. Where the blocks of a pass come from and where they go is all that differs
between natural order, bit-reversed order and transforms small enough to be one line.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.cpu.ntt import shoup
from supervm.kernels.cpu.ntt.passes import transform
from supervm.kernels.cpu.ntt.word_blocks import load_pairs, load_run, store_pairs, store_run

# mypy: disallow_untyped_defs=False

FIRST, LAST = 0, 1
"""Kinds of pass: the first of two multiplies its results by ω^(i₂·o₁); the last reduces them."""

BITS = 13
"""The factors of a first pass are products of powers: n₂ is at most 2^BITS."""

ROOTS, SHIFTS, SCALE, RATIO = 0, BITS, 2 * BITS, 2 * BITS + 1
"""Rows of a first pass's constants: the powers ω^(2^s), the powers g^(2^s) of a shift, a factor of all results, and one
whose power o₁ the results have besides."""

CONSTANTS = 2 * BITS + 2


@njit(nogil=True, cache=True)
def run_blocks(field, lanes, source, target, log, shape, along, order, table, scales, twist, start, stop):
    """Blocks start … stop − 1 of a pass.

    Args:
        field, lanes: markers.
        source, target: flat uint64 arrays of four words a number; the same only where lines lie in both in the same way.
        log: 2^log numbers a line, 1 or more.
        shape: (lines of a group, numbers of a group). A block never spans groups; a group's last one may be smaller, if
            no lines lie along each other.
        along: whether lines lie along each other in `source`, and in `target`.
        order: two int64 (2^log,): the place in the scratch buffer of number i of a line in `source`, and in `target`.
        table: factors of the levels, see `passes`.
        scales: (factors before, rows between those of neighbours, factors after, rows between): numbers are multiplied
            by them, unless there are −1 rows between.
        twist: (FIRST or LAST, constants, i₂ of every line of a group as int64, log₂ n₂, whether there is a shift).
    """
    width = ln.lane_width(lanes)
    count = 1 << log
    scratch = np.empty(count * fe.storage(field), np.uint64)
    kind, constants, numbers, bits, shifted = twist
    before, before_step, after, after_step = scales
    blocks = (shape[0] + width - 1) // width
    for block in range(start, stop):
        first = block % blocks * width
        last = min(width, shape[0] - first) - 1
        base = 4 * (block // blocks * shape[1])
        if along[0]:
            at = base + 4 * first
            _load_along(field, lanes, source, at, 4 * shape[0], order[0], scratch, before, before_step)
        else:
            at = base + 4 * first * count
            _load_lines(field, lanes, source, at, last, order[0], scratch, before, before_step)
        transform(field, scratch, log, table)
        if kind == FIRST:
            number = ln.load(lanes, numbers, first)
            _twist(field, scratch, count, number, constants, bits, shifted)
        else:
            _finish(field, scratch, count, after, after_step, order[1])
        if along[1]:
            _store_along(field, target, base + 4 * first, 4 * shape[0], order[1], scratch)
        else:
            _store_lines(field, target, base + 4 * first * count, last, order[1], scratch)


@njit(nogil=True, cache=True)
def _load_along(field, lanes, source, at, step, order, scratch, before, before_step):
    words = fe.storage(field)
    for index in range(order.size):
        value = shoup.from_plain(field, load_run(lanes, source, at + index * step))
        if before_step >= 0:
            value = shoup.mul(value, before, index * before_step)
        fe.store(scratch, order[index] * words, value)


@njit(nogil=True, cache=True)
def _load_lines(field, lanes, source, at, last, order, scratch, before, before_step):
    words = fe.storage(field)
    count = order.size
    for index in range(0, count, 2):
        pair = load_pairs(lanes, source, at + 4 * index, 4 * count, last)
        a = shoup.from_plain(field, (pair[0], pair[1], pair[2], pair[3]))
        b = shoup.from_plain(field, (pair[4], pair[5], pair[6], pair[7]))
        if before_step >= 0:
            a = shoup.mul(a, before, index * before_step)
            b = shoup.mul(b, before, (index + 1) * before_step)
        fe.store(scratch, order[index] * words, a)
        fe.store(scratch, order[index + 1] * words, b)


@njit(nogil=True, cache=True)
def _store_along(field, target, at, step, order, scratch):
    words = fe.storage(field)
    for index in range(order.size):
        value = fe.load(field, scratch, order[index] * words)
        store_run(target, at + index * step, shoup.to_plain(value))


@njit(nogil=True, cache=True)
def _store_lines(field, target, at, last, order, scratch):
    words = fe.storage(field)
    count = order.size
    for index in range(0, count, 2):
        a = shoup.to_plain(fe.load(field, scratch, order[index] * words))
        b = shoup.to_plain(fe.load(field, scratch, order[index + 1] * words))
        pair = (a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3])
        store_pairs(target, at + 4 * index, 4 * count, last, pair)


@njit(nogil=True, cache=True)
def _finish(field, scratch, count, after, after_step, order):
    """Scale and reduce."""
    words = fe.storage(field)
    for index in range(count):
        at = order[index] * words
        value = fe.load(field, scratch, at)
        if after_step >= 0:
            value = shoup.mul(value, after, index * after_step)
        fe.store(scratch, at, shoup.reduce(value))


@njit(nogil=True, cache=True)
def _twist(field, scratch, count, number, constants, bits, shifted):
    """Multiply result o₁ by scale · g^i₂ · (ratio · ω^i₂)^o₁, in four progressions side by side.

    Results are below 2.12p for R/p ≥ 35: factors are below p + 4p²/R, values below R. That is below 2^256.
    """
    words = fe.storage(field)
    ratio = fe.mul(_constant(field, constants, RATIO), _power(field, number, constants, ROOTS, bits))
    t0 = _constant(field, constants, SCALE)
    if shifted:
        t0 = fe.mul(t0, _power(field, number, constants, SHIFTS, bits))
    t1 = fe.mul(t0, ratio)
    square = fe.sqr(ratio)
    t2, t3 = fe.mul(t0, square), fe.mul(t1, square)
    ratio = fe.sqr(square)
    for at in range(0, count * words, 4 * words):
        _multiply(field, scratch, at, t0)
        _multiply(field, scratch, at + words, t1)
        _multiply(field, scratch, at + 2 * words, t2)
        _multiply(field, scratch, at + 3 * words, t3)
        t0, t1, t2, t3 = fe.mul(t0, ratio), fe.mul(t1, ratio), fe.mul(t2, ratio), fe.mul(t3, ratio)


@njit(nogil=True, cache=True)
def _multiply(field, scratch, at, factor):
    fe.store(scratch, at, fe.mul(shoup.carry(fe.load(field, scratch, at)), factor))


@njit(nogil=True, cache=True)
def words_everywhere(field, array, at):
    """The number at word `at`, in every lane."""
    lanes = shoup.lanes_of(field)
    return (
        ln.splat(lanes, array[at]),
        ln.splat(lanes, array[at + 1]),
        ln.splat(lanes, array[at + 2]),
        ln.splat(lanes, array[at + 3]),
    )


@njit(nogil=True, cache=True)
def _constant(field, constants, row):
    return fe.from_words(field, words_everywhere(field, constants, 4 * row))


@njit(nogil=True, cache=True)
def _power(field, exponent, constants, row, bits):
    """Lanes of g^exponent, from the powers g^(2^s) in the constants."""
    result = fe.constant(field, 1)
    for bit in range(bits):
        factor = fe.mul(result, _constant(field, constants, row + bit))
        result = fe.select(ln.bit_set(exponent, 0), factor, result)
        exponent = ln.shift_right(exponent, 1)
    return result


@njit(nogil=True, cache=True)
def fill_factors(field, table, row, count, starts, steps):
    """Write start · step^i for i < count to rows row … of a table of factors.

    Args:
        starts: flat uint64, four words each: start · step^lane.
        steps: four words: step^width.
    """
    lanes = shoup.lanes_of(field)
    width = ln.lane_width(lanes)
    value = fe.from_words(field, load_run(lanes, starts, 0))
    step = _constant(field, steps, 0)
    for index in range(0, count, width):
        shoup.store_factors(table, row + index, min(width, count - index), value)
        value = fe.mul(value, step)
