# SPDX-License-Identifier: GPL-3.0-or-later
"""Products of sparse matrices with vectors, and the products and differences that quotients of polynomials are made of.

Numbers are canonical, four 64-bit words each, in flat uint64 arrays. Entries are multiplied a lane each; their products are
summed one by one, which takes a few additions of words.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.cpu.ntt import shoup
from supervm.kernels.cpu.ntt.word_blocks import load_run, store_run

# mypy: disallow_untyped_defs=False


@njit(nogil=True, cache=True)
def _add(total, term, at, modulus):
    """total += term[at …] modulo a number below 2^255."""
    carry = np.uint64(0)
    for word in range(4):
        partial = total[word] + term[at + word]
        over = partial < total[word]
        whole = partial + carry
        carry = np.uint64(over) | np.uint64(whole < carry)
        total[word] = whole
    word = 3
    while word > 0 and total[word] == modulus[word]:
        word -= 1
    if total[word] >= modulus[word]:
        borrow = np.uint64(0)
        for word in range(4):
            partial = total[word] - modulus[word]
            under = total[word] < modulus[word]
            whole = partial - borrow
            borrow = np.uint64(under) | np.uint64(partial < borrow)
            total[word] = whole


@njit(nogil=True, cache=True)
def multiply_rows(field, modulus, starts, columns, values, vector, out, first, last):
    """Rows first … last − 1 of a sparse matrix times a vector.

    Args:
        field: a marker.
        modulus: uint64 (4,), of the field, below 2^255.
        starts: int64, where each row's entries begin.
        columns: uint32, of each entry.
        values: of each entry.
        vector: numbers.
        out: a number for each row, written.
    """
    lanes = shoup.lanes_of(field)
    width = ln.lane_width(lanes)
    left, right = np.zeros(4 * width, np.uint64), np.zeros(4 * width, np.uint64)
    total = np.zeros(4, np.uint64)
    row = first
    entry, stop = starts[first], starts[last]
    while entry < stop:
        count = min(width, stop - entry)
        for lane in range(count):
            column = np.int64(columns[entry + lane])
            for word in range(4):
                left[4 * lane + word] = values[4 * (entry + lane) + word]
                right[4 * lane + word] = vector[4 * column + word]
        factor = fe.from_words(field, load_run(lanes, right, 0))
        product = fe.mul(shoup.from_plain(field, load_run(lanes, left, 0)), factor)
        store_run(left, 0, shoup.to_plain(shoup.reduce(product)))
        for lane in range(count):
            while starts[row + 1] <= entry + lane:
                for word in range(4):
                    out[4 * row + word] = total[word]
                    total[word] = 0
                row += 1
            _add(total, left, 4 * lane, modulus)
        entry += count
    while row < last:
        for word in range(4):
            out[4 * row + word] = total[word]
            total[word] = 0
        row += 1


@njit(nogil=True, cache=True)
def multiply_subtract(field, a, b, c, out, start, stop):
    """a · b − c number by number, for groups start … stop − 1 of `width`."""
    lanes = shoup.lanes_of(field)
    step = 4 * ln.lane_width(lanes)
    for at in range(start * step, stop * step, step):
        factor = fe.from_words(field, load_run(lanes, b, at))
        product = fe.mul(shoup.from_plain(field, load_run(lanes, a, at)), factor)
        value = fe.sub(product, shoup.from_plain(field, load_run(lanes, c, at)))
        store_run(out, at, shoup.to_plain(shoup.reduce(value)))
