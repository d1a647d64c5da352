# SPDX-License-Identifier: GPL-3.0-or-later
"""Seeded items to measure with. The same count gives the same items on every machine."""

from __future__ import annotations

from typing import Final

import numpy as np

from supervm.kernels.array_types import Words

SEED: Final = 20250101
DISTINCT: Final = 16_384
"""Signatures that are made of a kind; a larger batch repeats them: signing more would outlast measuring."""


def random_elements(modulus: int, count: int, salt: int) -> Words:
    """`count` elements below the modulus, rows of 64-bit words, uint64 (count, words), the same on every machine."""
    words = -(-modulus.bit_length() // 64)
    random = np.random.default_rng([SEED, salt, count])
    rows = random.integers(0, 1 << 64, (count, words), dtype=np.uint64)
    rows[:, -1] %= np.uint64(modulus >> 64 * (words - 1))  # below the modulus' own top word: always canonical
    return rows
