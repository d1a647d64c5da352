# SPDX-License-Identifier: GPL-3.0-or-later
"""base^exponent mod modulus for integers of any size: windows of the exponent, Montgomery products for an odd modulus.

For an even one a product is followed by its remainder, by a multiple of the modulus whose top bit is set: that is right
modulo the modulus too. Nothing is kept secret: the time depends on all numbers.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from supervm.kernels.cpu.fields.long_integers import (
    divide,
    leading_zeros,
    minus_inverse,
    montgomery_multiply,
    multiply,
    reciprocal,
    remainder,
    shift_left,
    shift_right,
    significant,
)
from supervm.kernels.cpu.lanes.addresses import (
    copy,
    fill,
    load8,
    load64,
    multiply_add,
    shifted_down,
    stack_room,
    store8,
    store64,
)

# mypy: disallow_untyped_defs=False

LARGE = 4096
"""Words of a modulus from which on one bit of the exponent is taken at once: a table would be as large as the cache."""

WORD_WINDOW = 4
"""Bits of the exponent that are taken at once where the modulus is one word."""

WORD_TABLE = 8 << WORD_WINDOW


@njit(nogil=True, cache=True)
def read_big_endian(out, words, data, given, size):
    """The number of `size` bytes, big-endian, as `words` words.

    Args:
        data: address of the first `given` bytes of the number; the others are zero.
    """
    fill(out, 0, 8 * words)
    for index in range(min(given, size)):
        store8(out + size - 1 - index, load8(data + index))


@njit(nogil=True, cache=True)
def write_big_endian(out, size, number):
    """A number at an address as `size` bytes, big-endian; what is above is left out."""
    for index in range(size):
        store8(out + size - 1 - index, load8(number + index))


@njit(nogil=True, cache=True)
def _digit(exponent, given, size, low, bits):
    """Bits low … low + bits − 1 of the exponent, eight at most."""
    place = size - 1 - (low >> 3)
    value = load8(exponent + place) if place < given else 0
    if place >= 1 and place - 1 < given:
        value |= load8(exponent + place - 1) << 8
    return (value >> (low & 7)) & ((1 << bits) - 1)


@njit(nogil=True, cache=True)
def _bits(exponent, given, size):
    """Bits of the exponent up to the highest that is set."""
    for place in range(min(given, size)):
        byte = load8(exponent + place)
        if byte:
            return 8 * (size - 1 - place) + 64 - leading_zeros(byte)
    return 0


@njit(nogil=True, cache=True)
def _window(bits, words):
    """Bits of the exponent that are taken at once."""
    if words >= LARGE or bits <= 8:
        return 1
    if bits <= 24:
        return 2
    if bits <= 96:
        return 3
    return 4 if bits <= 320 else 5


@njit(nogil=True, cache=True)
def power(out, base, base_words, exponent, given, size, modulus, words):
    """Write base^exponent mod modulus, `words` words, to an address; zeros for the modulus 0.

    Args:
        base, modulus: addresses of numbers of `base_words` and `words` words.
        exponent: address of the first `given` of `size` bytes, big-endian; the others are zero.
    """
    fill(out, 0, 8 * words)
    words = significant(modulus, words)
    base_words = significant(base, base_words)
    bits = _bits(exponent, given, size)
    if words == 0 or (words == 1 and load64(modulus) == 1):
        return
    if bits == 0:
        store64(out, 1)
        return
    if words == 1:
        store64(out, _power_of_word(base, base_words, exponent, given, size, load64(modulus), bits))
        return
    window = _window(bits, words)
    room = np.empty((4 + (1 << window)) * words + max(base_words, 2 * words) + 1, np.int64)
    _power(room, out, base, base_words, exponent, given, size, modulus, words, bits, window)


@njit(nogil=True, cache=True)
def _power_of_word(base, base_words, exponent, given, size, modulus, bits):
    """The power modulo one word, 2 or more: quotients by the inverse of a multiple whose top bit is set."""
    shift = leading_zeros(modulus)
    divisor = modulus << shift
    inverse = reciprocal(divisor)
    value = 0
    for index in range(base_words - 1, -1, -1):
        value = divide(value, load64(base + 8 * index), divisor, inverse)[1]
    table = stack_room(WORD_TABLE)
    store64(table, 1)
    for index in range(1, 1 << WORD_WINDOW):
        store64(table + 8 * index, _word_product(load64(table + 8 * (index - 1)), value, divisor, inverse))
    low = (bits - 1) // WORD_WINDOW * WORD_WINDOW
    total = load64(table + 8 * _digit(exponent, given, size, low, bits - low))
    while low > 0:
        low -= WORD_WINDOW
        for _ in range(WORD_WINDOW):
            total = _word_product(total, total, divisor, inverse)
        digit = _digit(exponent, given, size, low, WORD_WINDOW)
        if digit:
            total = _word_product(total, load64(table + 8 * digit), divisor, inverse)
    # Modulo the modulus itself: shifted like the divisor, the remainder has that many zeros at its end.
    high = shifted_down(total, 64 - shift) if shift else 0
    return shifted_down(divide(high, total << shift, divisor, inverse)[1], shift)


@njit(nogil=True, cache=True, inline="always")
def _word_product(a, b, divisor, inverse):
    low, high = multiply_add(a, b, 0, 0)
    return divide(high, low, divisor, inverse)[1]


@njit(nogil=True, cache=True)
def _power(room, out, base, base_words, exponent, given, size, modulus, words, bits, window):
    bytes_ = 8 * words
    divisor = room.ctypes.data
    total, other = divisor + bytes_, divisor + 2 * bytes_
    table = divisor + 3 * bytes_
    wide = table + (bytes_ << window)
    # LOAD
    shift = leading_zeros(load64(modulus + bytes_ - 8))
    shift_left(divisor, modulus, words, shift)
    inverse = reciprocal(load64(divisor + bytes_ - 8))
    odd = load64(modulus) & 1
    factor = minus_inverse(load64(modulus)) if odd else 0
    fill(wide, 0, 8 * (max(base_words, 2 * words) + 1))
    copy(wide, base, 8 * base_words)
    _reduce(other, wide, base_words, divisor, words, shift, inverse)
    fill(table, 0, bytes_)
    store64(table, 1)
    if odd:
        _to_montgomery(table, table, wide, divisor, words, shift, inverse)
        _to_montgomery(other, other, wide, divisor, words, shift, inverse)
    copy(table + bytes_, other, bytes_)
    for index in range(2, 1 << window):
        row = table + bytes_ * index
        _product(row, row - bytes_, other, wide, modulus, divisor, words, inverse, odd, factor)
    # COMPUTE
    low = (bits - 1) // window * window
    copy(total, table + bytes_ * _digit(exponent, given, size, low, bits - low), bytes_)
    while low > 0:
        low -= window
        for _ in range(window):
            _product(other, total, total, wide, modulus, divisor, words, inverse, odd, factor)
            total, other = other, total
        digit = _digit(exponent, given, size, low, window)
        if digit:
            row = table + bytes_ * digit
            _product(other, total, row, wide, modulus, divisor, words, inverse, odd, factor)
            total, other = other, total
    # STORE
    if odd:
        fill(table, 0, bytes_)
        store64(table, 1)
        montgomery_multiply(other, total, table, modulus, words, factor)
        total = other
    else:
        copy(wide, total, bytes_)
        _reduce(total, wide, words, divisor, words, shift, inverse)
    copy(out, total, bytes_)


@njit(nogil=True, cache=True)
def _product(out, a, b, wide, modulus, divisor, words, inverse, odd, factor):
    """a·b: of an odd modulus in Montgomery form, else modulo the divisor; `out` overlaps neither."""
    if odd:
        montgomery_multiply(out, a, b, modulus, words, factor)
    else:
        multiply(wide, a, b, words)
        remainder(wide, 2 * words, divisor, words, inverse)
        copy(out, wide, 8 * words)


@njit(nogil=True, cache=True)
def _reduce(out, wide, count, divisor, words, shift, inverse):
    """The remainder of `count` words at `wide`, behind which there is room for one more; they are lost."""
    store64(wide + 8 * count, shift_left(wide, wide, count, shift))
    remainder(wide, count + 1, divisor, words, inverse)
    shift_right(out, wide, words, shift)


@njit(nogil=True, cache=True)
def _to_montgomery(out, a, wide, divisor, words, shift, inverse):
    """a·2^(64·words) mod modulus; `out` may be a."""
    fill(wide, 0, 8 * words)
    copy(wide + 8 * words, a, 8 * words)
    _reduce(out, wide, 2 * words, divisor, words, shift, inverse)
