# SPDX-License-Identifier: GPL-3.0-or-later
"""Unsigned integers of any number of 64-bit words at addresses, little end first: products, remainders, Montgomery products.

Sources: Knuth, "The Art of Computer Programming", volume 2, section 4.3.1, algorithms M and D; Möller, Granlund, "Improved
division by invariant integers" (IEEE Transactions on Computers 60, 2011), algorithm 4; Koç, Acar, Kaliski (IEEE Micro 16,
1996), finely integrated operand scanning. Nothing here is constant in time.
"""

from __future__ import annotations

from numba import njit

from supervm.kernels.cpu.lanes.addresses import below, fill, load64, multiply_add, shifted_down, store64

# mypy: disallow_untyped_defs=False


@njit(nogil=True, cache=True)
def significant(number, words):
    """Words up to the highest that is not zero."""
    while words and load64(number + 8 * (words - 1)) == 0:
        words -= 1
    return words


@njit(nogil=True, cache=True)
def is_less(a, b, words):
    """Whether a < b."""
    for index in range(words - 1, -1, -1):
        x, y = load64(a + 8 * index), load64(b + 8 * index)
        if x != y:
            return below(x, y)
    return False


@njit(nogil=True, cache=True)
def subtract(out, a, b, words):
    """a − b modulo 2^(64·words); the borrow, 0 or 1. `out` may be a or b."""
    borrow = 0
    for index in range(words):
        x, y = load64(a + 8 * index), load64(b + 8 * index)
        difference = x - y
        store64(out + 8 * index, difference - borrow)
        borrow = (1 if below(x, y) else 0) | (1 if below(difference, borrow) else 0)
    return borrow


@njit(nogil=True, cache=True)
def multiply(out, a, b, words):
    """a·b in twice as many words; `out` overlaps neither."""
    fill(out, 0, 16 * words)
    for i in range(words):
        factor, carry = load64(b + 8 * i), 0
        row = out + 8 * i
        for j in range(words):
            low, carry = multiply_add(load64(a + 8 * j), factor, load64(row + 8 * j), carry)
            store64(row + 8 * j, low)
        store64(row + 8 * words, carry)


# Remainders ------------------------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def shift_left(out, a, words, bits):
    """a·2^bits for 0 to 63 bits, modulo 2^(64·words); what is shifted out. `out` may be a."""
    carry = 0
    for index in range(words):
        word = load64(a + 8 * index)
        store64(out + 8 * index, (word << bits) | carry)
        carry = shifted_down(word, 64 - bits) if bits else 0
    return carry


@njit(nogil=True, cache=True)
def shift_right(out, a, words, bits):
    """⌊a / 2^bits⌋ for 0 to 63 bits. `out` may be a."""
    carry = 0
    for index in range(words - 1, -1, -1):
        word = load64(a + 8 * index)
        store64(out + 8 * index, shifted_down(word, bits) | carry)
        carry = (word << (64 - bits)) if bits else 0


@njit(nogil=True, cache=True)
def leading_zeros(word):
    """Zeros above the highest bit of a word that is not 0."""
    count = 0
    while word > 0:
        word <<= 1
        count += 1
    return count


@njit(nogil=True, cache=True)
def reciprocal(divisor):
    """⌊(2^128 − 1) / divisor⌋ − 2^64 for a word whose top bit is set."""
    rest, quotient = ~divisor, 0
    for _ in range(64):
        carry = rest < 0
        rest = (rest << 1) | 1
        quotient <<= 1
        if carry or not below(rest, divisor):
            rest -= divisor
            quotient |= 1
    return quotient


@njit(nogil=True, cache=True, inline="always")
def divide(high, low, divisor, inverse):
    """Quotient and rest of high·2^64 + low, high below the divisor: algorithm 4 of Möller and Granlund.

    Args:
        divisor: a word whose top bit is set.
        inverse: its `reciprocal`.
    """
    fraction, quotient = multiply_add(inverse, high, low, 0)
    quotient += high + 1
    rest = low - quotient * divisor
    if below(fraction, rest):
        quotient -= 1
        rest += divisor
    if not below(rest, divisor):
        quotient += 1
        rest -= divisor
    return quotient, rest


@njit(nogil=True, cache=True)
def remainder(number, words, divisor, size, inverse):
    """Replace a number by its remainder: algorithm D, the quotient left out.

    Args:
        number: address of `words` words; if these are more than `size`, the upper `size` are below the divisor.
        divisor: address of `size` words, the top bit set.
        inverse: `reciprocal` of its top word.
    """
    top = load64(divisor + 8 * (size - 1))
    second = load64(divisor + 8 * (size - 2)) if size > 1 else 0
    for place in range(words - size - 1, -1, -1):
        row = number + 8 * place
        high, low = load64(row + 8 * size), load64(row + 8 * (size - 1))
        if high == top:
            quotient = -1
        else:
            quotient, rest = divide(high, low, top, inverse)
            if size > 1:
                third = load64(row + 8 * (size - 2))
                while True:
                    product_low, product_high = multiply_add(quotient, second, 0, 0)
                    if below(product_high, rest) or (product_high == rest and not below(third, product_low)):
                        break
                    quotient -= 1
                    rest += top
                    if below(rest, top):  # above 2^64: the product cannot be larger any more
                        break
        left = high - _subtract_multiple(row, divisor, size, quotient)
        while left != 0:
            left += _add(row, divisor, size)
        store64(row + 8 * size, 0)
    if words >= size and not is_less(number, divisor, size):
        subtract(number, number, divisor, size)


@njit(nogil=True, cache=True, inline="always")
def _subtract_multiple(row, divisor, size, quotient):
    """row − quotient·divisor in place; what is to be taken from the word above."""
    carry = 0
    for index in range(size):
        low, carry = multiply_add(quotient, load64(divisor + 8 * index), carry, 0)
        word = load64(row + 8 * index)
        store64(row + 8 * index, word - low)
        carry += 1 if below(word, low) else 0
    return carry


@njit(nogil=True, cache=True)
def _add(row, divisor, size):
    """row + divisor in place; the carry."""
    carry = 0
    for index in range(size):
        low, carry = multiply_add(load64(divisor + 8 * index), 1, load64(row + 8 * index), carry)
        store64(row + 8 * index, low)
    return carry


# Montgomery form -------------------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def minus_inverse(word):
    """−word⁻¹ modulo 2^64 of an odd word, by Newton's method: five right bits at first, twice as many each time."""
    inverse = (3 * word) ^ 2
    for _ in range(4):
        inverse *= 2 - word * inverse
    return -inverse


@njit(nogil=True, cache=True)
def montgomery_multiply(out, a, b, modulus, words, factor):
    """a·b / 2^(64·words) modulo an odd modulus, both below it; `out` overlaps neither.

    Args:
        factor: `minus_inverse` of the modulus' lowest word.
    """
    fill(out, 0, 8 * words)
    over = 0
    lowest = load64(modulus)
    for i in range(words):
        digit = load64(b + 8 * i)
        low, carry = multiply_add(load64(a), digit, load64(out), 0)
        quotient = low * factor
        _, second = multiply_add(quotient, lowest, low, 0)
        for j in range(1, words):
            low, carry = multiply_add(load64(a + 8 * j), digit, load64(out + 8 * j), carry)
            low, second = multiply_add(quotient, load64(modulus + 8 * j), low, second)
            store64(out + 8 * (j - 1), low)
        low, high = multiply_add(carry, 1, second, over)
        store64(out + 8 * (words - 1), low)
        over = high
    if over != 0 or not is_less(out, modulus, words):
        subtract(out, out, modulus, words)
