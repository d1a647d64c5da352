# SPDX-License-Identifier: GPL-3.0-or-later
"""Amounts of 256 bits in columns: four uint64 limbs a row, least significant first.

NumPy multiplies and adds no 128-bit integers, so whole columns are computed on eight 32-bit digits a row; the
compiled kernels work on the four limbs.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from supervm.kernels.array_types import Flags

Limbs = NDArray[np.uint64]

_DIGIT = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)


def from_big_endian(words: NDArray[np.uint8]) -> Limbs:
    """Limbs (n, 4) of big-endian rows, uint8 (n, 32)."""
    limbs = np.ascontiguousarray(words).view(">u8")[:, ::-1]
    return np.ascontiguousarray(limbs.astype(np.uint64))


def to_big_endian(limbs: Limbs) -> NDArray[np.uint8]:
    """Big-endian rows, uint8 (n, 32), of limbs (n, 4)."""
    return np.ascontiguousarray(limbs[:, ::-1].astype(">u8")).view(np.uint8)


def from_int(value: int) -> Limbs:
    """Limbs (4,) of an integer below 2^256."""
    return np.frombuffer(value.to_bytes(32, "little"), "<u8").astype(np.uint64)


def to_int(limbs: Limbs) -> int:
    """The integer of limbs (4,)."""
    return int.from_bytes(limbs.astype("<u8").tobytes(), "little")


def total(limbs: Limbs) -> int:
    """The exact sum of limbs (n, 4), n below 2^32."""
    return sum(int(digit) << (32 * k) for k, digit in enumerate(_digits(limbs).sum(axis=0, dtype=np.uint64)))


def totals(limbs: Limbs, groups: NDArray[np.int64], count: int) -> tuple[Limbs, Flags]:
    """The sum of each of `count` groups modulo 2^256, limbs (count, 4), and whether it reached 2^256.

    `groups` int64 (n,) numbers the group of each row, n below 2^32.
    """
    sums = np.zeros((count, 8), np.uint64)
    np.add.at(sums, groups, _digits(limbs))
    return _carried(sums)


def running_totals(limbs: Limbs, first: NDArray[np.int64]) -> tuple[Limbs, Flags]:
    """The sum of each row and of those before it down to row first[i], modulo 2^256, and whether it reached 2^256.

    `first` int64 (n,), n below 2^32: where the row's group begins; groups lie in one piece.
    """
    digits = _digits(limbs)
    sums = np.cumsum(digits, axis=0, dtype=np.uint64)
    return _carried(sums - (sums - digits)[first])


def add(a: Limbs, b: Limbs) -> tuple[Limbs, Flags]:
    """a + b modulo 2^256, row by row, and whether it reached 2^256."""
    return _carried(_digits(a) + _digits(b))


def multiply(a: Limbs, factor: int) -> tuple[Limbs, Flags]:
    """a · factor modulo 2^256, row by row, and whether it reached 2^256; the factor is below 2^31."""
    return _carried(_digits(a) * np.uint64(factor))


def products(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> Limbs:
    """a · b of words, uint64 (n,) each, row by row; limbs (n, 4)."""
    low_a, high_a, low_b, high_b = a & _DIGIT, a >> _SHIFT, b & _DIGIT, b >> _SHIFT
    low, cross, middle = low_a * low_b, low_a * high_b, high_a * low_b
    carried = (low >> _SHIFT) + (cross & _DIGIT) + (middle & _DIGIT)
    limbs = np.zeros((len(a), 4), np.uint64)
    limbs[:, 0] = a * b
    limbs[:, 1] = high_a * high_b + (cross >> _SHIFT) + (middle >> _SHIFT) + (carried >> _SHIFT)
    return limbs


def word_total(words: NDArray[np.uint64]) -> int:
    """The exact sum of words, uint64 (n,), n below 2^32."""
    return int((words & _DIGIT).sum()) + (int((words >> _SHIFT).sum()) << 32)


def below(a: Limbs, b: Limbs) -> Flags:
    """Whether a < b, row by row."""
    a, b = np.broadcast_arrays(a, b)
    top = 3 - np.argmax((a != b)[:, ::-1], axis=1)
    row = np.arange(len(a))
    less: Flags = a[row, top] < b[row, top]
    return less


def _digits(limbs: Limbs) -> Limbs:
    return np.stack([limbs & _DIGIT, limbs >> _SHIFT], axis=2).reshape(len(limbs), 8)


def _carried(digits: Limbs) -> tuple[Limbs, Flags]:
    carry = np.zeros(len(digits), np.uint64)
    for k in range(8):
        carry += digits[:, k]
        digits[:, k] = carry & _DIGIT
        carry >>= _SHIFT
    return digits[:, 0::2] | digits[:, 1::2] << _SHIFT, carry != 0


@njit(nogil=True, cache=True)
def assign(a, b):  # type: ignore[no-untyped-def]
    """a = b. (A slice assignment would bring the compilation of its error messages with it.)"""
    for k in range(4):
        a[k] = b[k]


@njit(nogil=True, cache=True)
def less(a, b):  # type: ignore[no-untyped-def]
    """Whether limbs a < limbs b."""
    for k in range(3, -1, -1):
        if a[k] != b[k]:
            return a[k] < b[k]
    return False


@njit(nogil=True, cache=True)
def add_to(a, b):  # type: ignore[no-untyped-def]
    """a += b; whether it reached 2^256."""
    carry = np.uint64(0)
    for k in range(4):
        partial = a[k] + carry
        carry = np.uint64(partial < carry)
        a[k] = partial + b[k]
        carry |= np.uint64(a[k] < partial)
    return carry != 0


@njit(nogil=True, cache=True)
def subtract_from(a, b):  # type: ignore[no-untyped-def]
    """a −= b; whether it fell below 0."""
    borrow = np.uint64(0)
    for k in range(4):
        partial = a[k] - borrow
        borrow = np.uint64(partial > a[k])
        a[k] = partial - b[k]
        borrow |= np.uint64(a[k] > partial)
    return borrow != 0
