# SPDX-License-Identifier: GPL-3.0-or-later
"""Amounts of 256 bits in memory, big-endian, by address; they need no alignment."""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.kernels.cpu.lanes.addresses import below, load64, store64, swap_bytes

AMOUNT_BYTES = 32


@njit(cache=True, inline="always")
def limb(amount: Any, place: Any) -> Any:
    """A word of an amount; the last one, 24, is the least significant."""
    return swap_bytes(load64(amount + place))


@njit(cache=True)
def add_amounts(target: Any, one: Any, other: Any) -> Any:
    """Store the sum modulo 2^256; the carry, 0 or 1. The areas may be the same."""
    carry = 0
    for place in (24, 16, 8, 0):
        a, b = limb(one, place), limb(other, place)
        part = a + b
        total = part + carry
        carry = (1 if below(part, a) else 0) | (1 if below(total, part) else 0)
        store64(target + place, swap_bytes(total))
    return carry


@njit(cache=True)
def subtract_amounts(target: Any, one: Any, other: Any) -> Any:
    """Store the difference modulo 2^256; the borrow, 0 or 1. The areas may be the same."""
    borrow = 0
    for place in (24, 16, 8, 0):
        a, b = limb(one, place), limb(other, place)
        part = a - b
        total = part - borrow
        borrow = (1 if below(a, b) else 0) | (1 if below(part, borrow) else 0)
        store64(target + place, swap_bytes(total))
    return borrow


@njit(cache=True)
def amount_below(one: Any, other: Any) -> bool:
    """Whether one amount is smaller than another."""
    for place in (0, 8, 16, 24):
        a, b = limb(one, place), limb(other, place)
        if a != b:
            return below(a, b)
    return False


@njit(cache=True)
def amount_is_zero(amount: Any) -> bool:
    """Whether an amount is zero."""
    return (load64(amount) | load64(amount + 8) | load64(amount + 16) | load64(amount + 24)) == 0


@njit(cache=True)
def product_of_words(target: Any, a: Any, b: Any) -> None:
    """Store the product of two unsigned words, which has at most 128 bits."""
    mask = 0xFFFFFFFF
    low_a, high_a = a & mask, (a >> 32) & mask
    low_b, high_b = b & mask, (b >> 32) & mask
    low = low_a * low_b
    middle = high_a * low_b
    cross = low_a * high_b
    carry = (((low >> 32) & mask) + (middle & mask) + (cross & mask)) >> 32
    high = high_a * high_b + ((middle >> 32) & mask) + ((cross >> 32) & mask) + carry
    store64(target, 0)
    store64(target + 8, 0)
    store64(target + 16, swap_bytes(high))
    store64(target + 24, swap_bytes(a * b))


@njit(cache=True, inline="always")
def is_small(amount: Any) -> bool:
    """Whether an amount is below 2^64."""
    return (load64(amount) | load64(amount + 8) | load64(amount + 16)) == 0


@njit(cache=True)
def covers(balance: Any, amount: Any) -> bool:
    """Whether a balance is at least an amount."""
    if is_small(amount) and is_small(balance):
        return not below(limb(balance, 24), limb(amount, 24))
    return not amount_below(balance, amount)


@njit(cache=True)
def take_amount(balance: Any, amount: Any) -> None:
    """Subtract an amount that a balance covers; of most amounts only the last word changes."""
    last, part = limb(balance, 24), limb(amount, 24)
    if is_small(amount) and not below(last, part):
        store64(balance + 24, swap_bytes(last - part))
    else:
        subtract_amounts(balance, balance, amount)


@njit(cache=True)
def give_amount(balance: Any, amount: Any) -> None:
    """Add an amount to a balance; the sum has 256 bits."""
    last, part = limb(balance, 24), limb(amount, 24)
    if is_small(amount) and not below(last + part, last):
        store64(balance + 24, swap_bytes(last + part))
    else:
        add_amounts(balance, balance, amount)
