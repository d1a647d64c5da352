# SPDX-License-Identifier: GPL-3.0-or-later
"""Division of numbers of several 64-bit limbs, at addresses, little-endian.

Knuth's algorithm D (The Art of Computer Programming, 4.3.1) with quotient digits from a reciprocal that is computed once
(Möller and Granlund, Improved division by invariant integers, IEEE Transactions on Computers 60, 2011): algorithms 3
(reciprocal of one limb), 4 (two limbs by one), 6 (reciprocal of two limbs) and 5 (three limbs by two).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from supervm.kernels.cpu.lanes.addresses import load64, store64
from supervm.kernels.cpu.lanes.lanes import I64
from supervm.vm.evm.words import leading_zeros

_0, _1 = np.uint64(0), np.uint64(1)


@intrinsic
def high_product(typingctx: Any, a: Any, b: Any) -> Any:
    """The upper 64 bits of the product of two uint64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(word, wide) for word in args))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), I64)

    return types.uint64(types.uint64, types.uint64), codegen


@njit(cache=True, inline="always")
def limb(address: Any, place: Any) -> Any:
    """A limb as uint64."""
    return np.uint64(load64(address + 8 * place))


@njit(cache=True, inline="always")
def set_limb(address: Any, place: Any, value: Any) -> None:
    """Set a limb."""
    store64(address + 8 * place, np.int64(value))


@njit(cache=True, error_model="numpy")
def limbs_of(address: Any, most: Any) -> Any:
    """How many of `most` limbs a number has, without the zeros at its upper end."""
    count = most
    while count > 0 and load64(address + 8 * (count - 1)) == 0:
        count -= 1
    return count


_FIRST = np.array([((1 << 19) - 3 * (1 << 8)) // d9 for d9 in range(256, 512)], np.uint64)
"""A reciprocal of 11 bits by the upper nine of the divisor."""


@njit(cache=True, error_model="numpy")
def _reciprocal(divisor: Any) -> Any:
    """⌊(2^128 − 1) / d⌋ − 2^64 for d with its highest bit set."""
    v0 = _FIRST[np.int64(divisor >> np.uint64(55)) - 256]
    d40 = (divisor >> np.uint64(24)) + _1
    v1 = (v0 << np.uint64(11)) - (v0 * v0 * d40 >> np.uint64(40)) - _1
    v2 = (v1 << np.uint64(13)) + (v1 * (np.uint64(1 << 60) - v1 * d40) >> np.uint64(47))
    d0 = divisor & _1
    d63 = (divisor >> _1) + d0
    e = (_0 - v2 * d63) + ((v2 >> _1) & (_0 - d0))
    v3 = (high_product(v2, e) >> _1) + (v2 << np.uint64(31))
    low = v3 * divisor
    carry = _1 if low + divisor < low else _0
    return v3 - (high_product(v3, divisor) + carry) - divisor


@njit(cache=True, error_model="numpy")
def _reciprocal_of_two(d1: Any, d0: Any) -> Any:
    """The same of the two limbs d1, d0."""
    v = _reciprocal(d1)
    p = d1 * v + d0
    if p < d0:
        v -= _1
        if p >= d1:
            v -= _1
            p -= d1
        p -= d1
    high, low = high_product(v, d0), v * d0
    p += high
    if p < high:
        v -= _1
        if p > d1 or (p == d1 and low >= d0):
            v -= _1
    return v


@njit(cache=True, error_model="numpy")
def _divide_by_one(numerator: Any, count: Any, rest: Any, divisor: Any, quotient: Any) -> Any:
    """Divide limbs, and above them one below the divisor, by a limb with its highest bit set; the remainder."""
    inverse = _reciprocal(divisor)
    for place in range(count - 1, -1, -1):
        word = limb(numerator, place)
        low = inverse * rest + word
        high = high_product(inverse, rest) + rest + (_1 if low < word else _0) + _1
        left = word - high * divisor
        if left > low:
            high -= _1
            left += divisor
        if left >= divisor:
            high += _1
            left -= divisor
        set_limb(quotient, place, high)
        rest = left
    return rest


@njit(cache=True, error_model="numpy")
def divide_by_limb(quotient: Any, numerator: Any, count: Any, divisor: Any) -> Any:
    """Divide a value of `count` limbs by one limb, not 0; the remainder.

    Args:
        quotient: address of a value, which may be the numerator's; 0 if it is not asked for.
    """
    bits = np.uint64(leading_zeros(np.int64(divisor)))
    divisor <<= bits
    inverse = _reciprocal(divisor)
    word = limb(numerator, count - 1)
    rest = (word >> _1) >> (np.uint64(63) - bits)
    for place in range(count - 1, -1, -1):
        below = limb(numerator, place - 1) if place > 0 else _0
        shifted = (word << bits) | ((below >> _1) >> (np.uint64(63) - bits))
        word = below
        low = inverse * rest + shifted
        high = high_product(inverse, rest) + rest + (_1 if low < shifted else _0) + _1
        left = shifted - high * divisor
        if left > low:
            high -= _1
            left += divisor
        if left >= divisor:
            high += _1
            left -= divisor
        if quotient != 0:
            set_limb(quotient, place, high)
        rest = left
    if quotient != 0:
        for place in range(count, 4):
            set_limb(quotient, place, _0)
    return rest >> bits


@njit(cache=True, error_model="numpy")
def _digit(u2: Any, u1: Any, u0: Any, d1: Any, d0: Any, inverse: Any) -> Any:
    """⌊(u2, u1, u0) / (d1, d0)⌋ where (u2, u1) < (d1, d0)."""
    low = inverse * u2 + u1
    high = high_product(inverse, u2) + u2 + (_1 if low < u1 else _0)
    r1 = u1 - high * d1
    t1, t0 = high_product(d0, high), d0 * high
    r0 = u0 - t0
    r1 = r1 - t1 - (_1 if u0 < t0 else _0)
    borrow = _1 if r0 < d0 else _0
    r0 -= d0
    r1 = r1 - d1 - borrow
    high += _1
    if r1 >= low:
        high -= _1
        r0 += d0
        r1 = r1 + d1 + (_1 if r0 < d0 else _0)
    if r1 > d1 or (r1 == d1 and r0 >= d0):
        high += _1
    return high


@njit(cache=True, error_model="numpy")
def _subtract_times(target: Any, divisor: Any, count: Any, digit: Any) -> Any:
    """Subtract a digit times the divisor; what is missing above."""
    missing = _0
    for place in range(count):
        other = limb(divisor, place)
        low, high = other * digit, high_product(other, digit)
        low += missing
        high += _1 if low < missing else _0
        word = limb(target, place)
        set_limb(target, place, word - low)
        missing = high + (_1 if word < low else _0)
    return missing


@njit(cache=True, error_model="numpy")
def _add_back(target: Any, divisor: Any, count: Any) -> None:
    """Add the divisor once."""
    carry = _0
    for place in range(count):
        word = limb(target, place)
        total = word + carry
        carry = _1 if total < carry else _0
        other = limb(divisor, place)
        total += other
        carry += _1 if total < other else _0
        set_limb(target, place, total)
    set_limb(target, count, limb(target, count) + carry)


@njit(cache=True, error_model="numpy")
def _shift_left(address: Any, count: Any, bits: Any) -> None:
    """Shift limbs left by 0 to 63 bits, into the limb behind them, which is overwritten."""
    above = _0
    for place in range(count):
        word = limb(address, place)
        set_limb(address, place, (word << bits) | above)
        above = (word >> _1) >> (np.uint64(63) - bits)
    set_limb(address, count, above)


@njit(cache=True, error_model="numpy")
def _shift_right(address: Any, count: Any, bits: Any) -> None:
    """Shift limbs right by 0 to 63 bits."""
    above = _0
    for place in range(count - 1, -1, -1):
        word = limb(address, place)
        set_limb(address, place, (word >> bits) | above)
        above = (word << _1) << (np.uint64(63) - bits)


@njit(cache=True, error_model="numpy")
def divide_limbs(numerator: Any, count: Any, divisor: Any, size: Any, quotient: Any) -> None:
    """Divide; the remainder takes the numerator's place, and the divisor is shifted.

    Args:
        numerator: address of `count` limbs, with room for one behind them.
        divisor: address of `size` ≥ 1 limbs, the highest not zero, with room for one behind them.
        quotient: address of `count` limbs; those that the quotient does not reach become 0.
    """
    for place in range(count):
        set_limb(quotient, place, _0)
    if count < size:
        return
    bits = np.uint64(leading_zeros(load64(divisor + 8 * (size - 1))))
    _shift_left(divisor, size, bits)
    _shift_left(numerator, count, bits)
    if size == 1:
        # The limb that the shift filled is below the divisor: it is the first remainder.
        top = limb(numerator, count)
        rest = _divide_by_one(numerator, count, top, limb(divisor, 0), quotient)
        for place in range(count + 1):
            set_limb(numerator, place, _0)
        set_limb(numerator, 0, rest >> bits)
        return
    d1, d0 = limb(divisor, size - 1), limb(divisor, size - 2)
    inverse = _reciprocal_of_two(d1, d0)
    for place in range(count - size, -1, -1):
        at = numerator + 8 * place
        u2, u1, u0 = limb(at, size), limb(at, size - 1), limb(at, size - 2)
        if u2 == d1 and u1 == d0:
            digit = ~_0
        else:
            digit = _digit(u2, u1, u0, d1, d0, inverse)
        missing = _subtract_times(at, divisor, size, digit)
        set_limb(at, size, u2 - missing)
        if u2 < missing:
            digit -= _1
            _add_back(at, divisor, size)
        set_limb(quotient, place, digit)
    _shift_right(numerator, size, bits)
