# SPDX-License-Identifier: GPL-3.0-or-later
"""Many multiples of one point, by tables of its windows: one addition for each window of a scalar."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from supervm.crypto.curves import Group
from supervm.kernels.array_types import Words
from supervm.kernels.transform import words_of

_SCALAR_BITS = 256
_MOST_BITS = 14
"""Of a window: larger tables miss the cache more than they save."""


def multiples(group: Group, point: Words, scalars: Words) -> Words:
    """kᵢ·P, affine.

    Args:
        group: G1 or G2.
        point: P, affine, of the subgroup.
        scalars: uint64 (n, 4), below 2^256.

    Returns:
        uint64 (n, …).
    """
    count = len(scalars)
    bits = min(_MOST_BITS, max(2, count.bit_length() - 3))
    total = np.zeros((count, *point.shape), np.uint64)
    base = point
    for start in range(0, _SCALAR_BITS, bits):
        row, base = _row(group, base, bits)
        total = group.add(total, row[_digits(scalars, start, bits)])
    return total


def of_generator(group: Group, scalars: Sequence[int]) -> Words:
    """kᵢ times a group's generator, affine, for a few whole numbers below the order.

    Returns:
        uint64 (n, …).
    """
    generators = np.repeat(group.generator[None], len(scalars), 0)
    return group.multiply(generators, words_of(scalars).reshape(-1, 4))


def _row(group: Group, base: Words, bits: int) -> tuple[Words, Words]:
    """The multiples 0 … 2^bits − 1 of a point, and the next one."""
    row = np.zeros((1, *base.shape), np.uint64)
    step = base[None]
    for _ in range(bits):
        row = np.concatenate((row, group.add(row, np.repeat(step, len(row), 0))))
        step = group.double(step)
    return row, step[0]


def _digits(scalars: Words, start: int, bits: int) -> Words:
    word, shift = divmod(start, 64)
    found = scalars[:, word] >> np.uint64(shift)
    if shift + bits > 64 and word + 1 < scalars.shape[1]:
        found = found | scalars[:, word + 1] << np.uint64(64 - shift)
    return found & np.uint64((1 << bits) - 1)
