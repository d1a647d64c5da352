# SPDX-License-Identifier: GPL-3.0-or-later
"""The arithmetic that takes more than a few instructions: division, powers. Values at addresses, modulo 2^256.

Division by zero gives zero. Signed operations are in two's complement and round towards zero (Yellow Paper, appendix H).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from supervm.kernels.cpu.lanes.addresses import fill, load64
from supervm.vm.evm.division import divide_by_limb, divide_limbs, high_product, limb, limbs_of, set_limb
from supervm.vm.evm.machine import VALUE_BYTES, VALUE_WORDS
from supervm.vm.evm.words import (
    copy_value,
    is_negative,
    is_zero,
    leading_zeros,
    multiply,
    negate,
    set_small,
)

_0, _1 = np.uint64(0), np.uint64(1)

SCRATCH_BYTES = 256
_NUMERATOR, _DIVISOR, _QUOTIENT, _LEFT, _RIGHT = 0, 80, 128, 192, 224
"""Places in the scratch that is passed: 9 limbs and one more, 5, 8, and two values."""


@njit(cache=True)
def _put(target: Any, source: Any, count: Any) -> None:
    """Write a value of `count` limbs."""
    copy_value(target, source)
    for place in range(count, VALUE_WORDS):
        set_limb(target, place, _0)


@njit(cache=True, error_model="numpy")
def divide(quotient: Any, remainder: Any, a: Any, b: Any, scratch: Any) -> None:
    """Write ⌊a / b⌋ and a mod b, both unsigned, where an address is given and not 0.

    Args:
        scratch: address of `SCRATCH_BYTES`.
    """
    size = limbs_of(b, VALUE_WORDS)
    count = limbs_of(a, VALUE_WORDS)
    if size == 0:
        _write(quotient, 0)
        _write(remainder, 0)
    elif count <= 1 and size <= 1:
        one, other = limb(a, 0), limb(b, 0)
        whole = one // other
        _write(quotient, np.int64(whole))
        _write(remainder, np.int64(one - whole * other))
    elif size == 1:
        rest = divide_by_limb(quotient, a, count, limb(b, 0))
        _write(remainder, np.int64(rest))
    else:
        copy_value(scratch + _NUMERATOR, a)
        copy_value(scratch + _DIVISOR, b)
        fill(scratch + _QUOTIENT, 0, VALUE_BYTES)
        divide_limbs(scratch + _NUMERATOR, count, scratch + _DIVISOR, size, scratch + _QUOTIENT)
        if quotient != 0:
            copy_value(quotient, scratch + _QUOTIENT)
        if remainder != 0:
            _put(remainder, scratch + _NUMERATOR, min(size, count))


@njit(cache=True, inline="always")
def _write(target: Any, number: Any) -> None:
    """Write a value of one limb, unless the address is 0."""
    if target != 0:
        set_small(target, number)


@njit(cache=True)
def divide_signed(quotient: Any, remainder: Any, a: Any, b: Any, scratch: Any) -> None:
    """The same in two's complement: the quotient rounded towards zero, the remainder with the sign of a."""
    left, right = scratch + _LEFT, scratch + _RIGHT
    a_negative, b_negative = is_negative(a), is_negative(b)
    copy_value(left, a)
    copy_value(right, b)
    if a_negative:
        negate(left, left)
    if b_negative:
        negate(right, right)
    divide(quotient, remainder, left, right, scratch)
    if quotient != 0 and a_negative != b_negative:
        negate(quotient, quotient)
    if remainder != 0 and a_negative:
        negate(remainder, remainder)


@njit(cache=True)
def _reduce(target: Any, limbs: Any, modulus: Any, scratch: Any) -> None:
    """Write the numerator in the scratch, of up to `limbs` limbs, modulo a value that is not 0."""
    size = limbs_of(modulus, VALUE_WORDS)
    count = limbs_of(scratch + _NUMERATOR, limbs)
    copy_value(scratch + _DIVISOR, modulus)
    divide_limbs(scratch + _NUMERATOR, count, scratch + _DIVISOR, size, scratch + _QUOTIENT)
    _put(target, scratch + _NUMERATOR, min(size, count))


@njit(cache=True)
def add_modulo(target: Any, a: Any, b: Any, modulus: Any, scratch: Any) -> None:
    """Write (a + b) mod m, the sum not reduced before."""
    if is_zero(modulus):
        set_small(target, 0)
        return
    carry = _0
    for place in range(VALUE_WORDS):
        word = limb(a, place)
        total = word + carry
        carry = _1 if total < carry else _0
        other = limb(b, place)
        total += other
        carry += _1 if total < other else _0
        set_limb(scratch + _NUMERATOR, place, total)
    set_limb(scratch + _NUMERATOR, VALUE_WORDS, carry)
    _reduce(target, VALUE_WORDS + 1, modulus, scratch)


@njit(cache=True)
def multiply_modulo(target: Any, a: Any, b: Any, modulus: Any, scratch: Any) -> None:
    """Write (a · b) mod m, the product not reduced before."""
    if is_zero(modulus):
        set_small(target, 0)
        return
    product = scratch + _NUMERATOR
    fill(product, 0, 2 * VALUE_BYTES)
    for place in range(VALUE_WORDS):
        digit = limb(a, place)
        above = _0
        for other in range(VALUE_WORDS):
            word = limb(b, other)
            low, high = word * digit, high_product(word, digit)
            low += above
            high += _1 if low < above else _0
            before = limb(product, place + other)
            low += before
            high += _1 if low < before else _0
            set_limb(product, place + other, low)
            above = high
        set_limb(product, place + VALUE_WORDS, above)
    _reduce(target, 2 * VALUE_WORDS, modulus, scratch)


@njit(cache=True)
def bits_of(a: Any) -> Any:
    """Bits of a value without the zeros at its upper end."""
    count = limbs_of(a, VALUE_WORDS)
    return 0 if count == 0 else 64 * count - leading_zeros(load64(a + 8 * (count - 1)))


@njit(cache=True)
def power(target: Any, base: Any, exponent: Any, scratch: Any) -> None:
    """Write base^exponent; 0^0 is 1. The target may be one of the operands."""
    factor, bits = scratch + _LEFT, bits_of(exponent)
    times = scratch + _RIGHT
    copy_value(factor, base)
    copy_value(times, exponent)
    set_small(target, 1)
    for place in range(bits - 1, -1, -1):
        multiply(target, target, target)
        if (load64(times + 8 * (place >> 6)) >> (place & 63)) & 1:
            multiply(target, target, factor)
