# SPDX-License-Identifier: GPL-3.0-or-later
"""Random elements of prime fields as rows of 64-bit words."""

from __future__ import annotations

import numpy as np

from supervm.benchmarks.workloads import SEED
from supervm.kernels.array_types import Words


def random_elements(modulus: int, count: int, salt: int) -> Words:
    """`count` elements below the modulus, uint64 (count, words), the same on every machine."""
    words = -(-modulus.bit_length() // 64)
    random = np.random.default_rng([SEED, salt, count])
    rows = random.integers(0, 1 << 64, (count, words), dtype=np.uint64)
    rows[:, -1] %= np.uint64(modulus >> 64 * (words - 1))  # below the modulus' own top word: always canonical
    return rows
