# SPDX-License-Identifier: GPL-3.0-or-later
"""Non-adjacent forms of scalars, for one lane: few digits are not zero, all of them odd.

Guide to Elliptic Curve Cryptography, algorithm 3.35: of `window` digits in a row at most one is not zero, so that a scalar
of n bits takes n / (window + 1) additions. Lanes must stay in step and take windows of fixed places instead.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# mypy: disallow_untyped_defs=False

WINDOW = 5
"""Of points whose multiples are made for one sum: eight of them, ±1, ±3, … ±15."""

BASE_WINDOW = 12
"""Of base points, whose odd multiples tables hold: more would no longer fit the second-level cache of every processor."""

BASE_MULTIPLES = 1 << (BASE_WINDOW - 2)
"""Odd multiples of a base point: 1, 3, … 2047."""


@njit(nogil=True, cache=True)
def write_digits(words, at, count, window, negative, digits, start):
    """The 64 · count + 1 digits of a number, the lowest first.

    Args:
        words: uint64; the number is the `count` words from `at` on, little end first.
        window: 2 to 15; digits are odd and between −2^(window − 1) and 2^(window − 1), or zero.
        negative: whether every digit is to be negated.
        digits: int16, written from `start` on.
    """
    places = 64 * count + 1
    digits[start : start + places] = 0
    carry, place = 0, 0
    while place < places:
        if _bits(words, at, count, place, 1) == carry:
            place += 1
            continue
        # Odd, and above the last bit there are zeros: no carry is left there.
        digit = _bits(words, at, count, place, window) + carry
        carry = digit >> (window - 1)
        digit -= carry << window
        digits[start + place] = -digit if negative else digit
        place += window


@njit(nogil=True, cache=True)
def _bits(words, at, count, place, width):
    """`width` bits of the number from bit `place` on."""
    index, shift = place >> 6, place & 63
    if index >= count:
        return 0
    found = words[at + index] >> np.uint64(shift)
    if shift + width > 64 and index + 1 < count:
        found |= words[at + index + 1] << np.uint64(64 - shift)
    return np.int64(found & np.uint64((1 << width) - 1))
