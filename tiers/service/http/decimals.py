# SPDX-License-Identifier: GPL-3.0-or-later
"""Decimal digits to 256-bit numbers, all rows at once.

Digits are grouped by eight; a number is the sum of its groups times powers of 10^8, which are split into limbs of 32 bits.
Ten groups below 10^8 times limbs below 2^32 sum up to less than 2^62: no limb overflows 64 bits, and the carries come last.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from supervm.kernels.array_types import Bytes, Flags
from supervm.tiers.service.http.texts import ZERO, Positions

MOST_DIGITS = 78
"""Of 2^256 − 1."""

_GROUP_DIGITS = 8
_GROUPS = -(-MOST_DIGITS // _GROUP_DIGITS)
_LIMBS, _LIMB_BITS = 8, 32
_MASK = np.uint64((1 << _LIMB_BITS) - 1)
_POWERS = np.array(
    [
        [(10 ** (_GROUP_DIGITS * group) >> (_LIMB_BITS * limb)) & int(_MASK) for limb in range(_LIMBS)]
        for group in reversed(range(_GROUPS))
    ],
    np.uint64,
)
"""Of 10^8, the highest first, as limbs from the lowest on: 10^72 is below 2^256."""


def from_decimals(digits: Bytes, lengths: Positions) -> tuple[Bytes, Flags]:
    """Numbers as rows of 32 bytes, little-endian.

    Args:
        digits: decimal ones, in ASCII, of all numbers.
        lengths: of each number, at most 78.

    Returns:
        The rows, and which of the numbers are too large, whose rows mean nothing.
    """
    groups = -(-int(lengths.max(initial=0)) // _GROUP_DIGITS)
    width = groups * _GROUP_DIGITS
    aligned = np.zeros((len(lengths), width), np.uint8)
    aligned[np.arange(width) >= width - lengths[:, None]] = digits - ZERO
    pairs = (aligned[:, ::2] * 10 + aligned[:, 1::2]).astype(np.uint16)
    fours = (pairs[:, ::2] * 100 + pairs[:, 1::2]).astype(np.uint64)
    eights = fours[:, ::2] * 10_000 + fours[:, 1::2]
    return _carried(eights @ _POWERS[_GROUPS - groups :])


def _carried(sums: npt.NDArray[np.uint64]) -> tuple[Bytes, Flags]:
    """Limbs without their carries, as bytes; and where the last limb has one."""
    limbs = np.empty(sums.shape, "<u4")
    carry = np.zeros(len(sums), np.uint64)
    for limb in range(_LIMBS):
        whole = sums[:, limb] + carry
        limbs[:, limb] = whole & _MASK
        carry = whole >> np.uint64(_LIMB_BITS)
    return limbs.view(np.uint8), carry > 0
