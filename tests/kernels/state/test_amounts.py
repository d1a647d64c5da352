# SPDX-License-Identifier: GPL-3.0-or-later
"""Amounts of 256 bits in memory against Python integers."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from supervm.kernels.cpu.state import amounts

MODULUS = 1 << 256
WORD = 1 << 64
EDGES = sorted(
    {
        (sign * (1 << bits) + step) % MODULUS
        for bits in (0, 8, 32, 63, 64, 65, 127, 128, 192, 255, 256)
        for sign in (1, -1)
        for step in (-2, -1, 0, 1, 2)
    }
)
AREAS = 3

numbers = st.one_of(st.integers(0, MODULUS - 1), st.sampled_from(EDGES))
words = st.one_of(
    st.integers(0, WORD - 1), st.sampled_from([0, 1, 2**32 - 1, 2**32, 2**32 + 1, WORD - 1, WORD >> 1])
)
offsets = st.integers(0, 7)


@njit
def call_add(target, one, other):
    return amounts.add_amounts(target, one, other)


@njit
def call_subtract(target, one, other):
    return amounts.subtract_amounts(target, one, other)


@njit
def call_below(one, other):
    return amounts.amount_below(one, other)


@njit
def call_is_zero(amount):
    return amounts.amount_is_zero(amount)


@njit
def call_product(target, a, b):
    amounts.product_of_words(target, a, b)


class Areas:
    """Three amounts side by side, `offset` bytes past an aligned address."""

    def __init__(self, *values: int, offset: int = 0) -> None:
        self.bytes = np.full(8 + 32 * AREAS + 8, 0xA5, np.uint8)
        self.offset = offset
        for place, value in enumerate(values):
            self.bytes[self._at(place) : self._at(place) + 32] = list(value.to_bytes(32))

    def _at(self, place: int) -> int:
        return self.offset + 32 * place

    def address(self, place: int) -> int:
        return self.bytes.ctypes.data + self._at(place)

    def __getitem__(self, place: int) -> int:
        return int.from_bytes(self.bytes[self._at(place) : self._at(place) + 32].tobytes())

    def untouched(self) -> bool:
        """Whether nothing was written beside the areas."""
        around = np.concatenate([self.bytes[: self.offset], self.bytes[self.offset + 32 * AREAS :]])
        return bool((around == 0xA5).all())


def check_sums(a: int, b: int, offset: int, target: int) -> None:
    for function, result in ((call_add, a + b), (call_subtract, a - b)):
        areas = Areas(a, b, 7, offset=offset)
        carry = function(areas.address(target), areas.address(0), areas.address(1))
        expected = [a, b, 7]
        expected[target] = result % MODULUS
        assert [areas[place] for place in range(AREAS)] == expected
        assert carry == (not 0 <= result < MODULUS)
        assert areas.untouched()


@settings(max_examples=600)
@given(numbers, numbers, offsets, st.integers(0, 2))
def test_sums_and_differences(a, b, offset, target):
    """The target is a third area, or one of the operands."""
    check_sums(a, b, offset, target)


def test_sums_and_differences_of_edges():
    for place, a in enumerate(EDGES):
        for b in EDGES:
            check_sums(a, b, place % 8, place % 3)


@settings(max_examples=300)
@given(numbers, offsets)
def test_an_amount_with_itself(a, offset):
    areas = Areas(a, offset=offset)
    assert call_add(areas.address(0), areas.address(0), areas.address(0)) == (2 * a >= MODULUS)
    assert areas[0] == 2 * a % MODULUS
    assert call_subtract(areas.address(0), areas.address(0), areas.address(0)) == 0
    assert areas[0] == 0


@settings(max_examples=600)
@given(numbers, numbers, offsets)
def test_comparisons(a, b, offset):
    areas = Areas(a, b, a, offset=offset)
    first, second, same = (areas.address(place) for place in range(AREAS))
    assert call_below(first, second) == (a < b)
    assert call_below(second, first) == (b < a)
    assert not call_below(first, same)
    assert call_is_zero(first) == (a == 0)


def test_comparisons_of_neighbours():
    for value in EDGES:
        for other in ((value - 1) % MODULUS, (value + 1) % MODULUS):
            areas = Areas(value, other)
            assert call_below(areas.address(0), areas.address(1)) == (value < other)


def test_any_single_bit_is_not_zero():
    assert not any(call_is_zero(Areas(1 << bit).address(0)) for bit in range(256))


def as_signed(word: int) -> int:
    return word - WORD if word >= WORD >> 1 else word


@settings(max_examples=600)
@given(words, words, offsets)
def test_products_of_words(a, b, offset):
    areas = Areas(MODULUS - 1, 3, 5, offset=offset)
    call_product(areas.address(0), as_signed(a), as_signed(b))
    assert [areas[0], areas[1], areas[2]] == [a * b, 3, 5]
    assert areas.untouched()


def test_the_largest_product():
    areas = Areas(0)
    call_product(areas.address(0), -1, -1)
    assert areas[0] == (WORD - 1) ** 2
