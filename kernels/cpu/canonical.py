# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether values of several words are below a modulus."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from supervm.kernels.arrays import borrow
from supervm.kernels.spec import FieldSpec


@njit(nogil=True, cache=True)
def _first_above(values: Any, modulus: Any) -> Any:
    """Index of the first value that is not below the modulus, or −1; words little end first, in flat arrays."""
    words = modulus.size
    top = modulus[words - 1]
    for item in range(values.size // words):
        last = item * words + words - 1
        if values[last] < top:
            continue
        index = words - 1
        while index > 0 and values[item * words + index] == modulus[index]:
            index -= 1
        if values[item * words + index] >= modulus[index]:
            return item
    return -1


def first_above(values: npt.NDArray[np.uint64], field: FieldSpec) -> int:
    """Index of the first value, in the order of memory, that is no canonical element of the field; −1 if all are.

    Args:
        values: uint64 (…, words), contiguous, little-endian words.
        field: whose modulus.
    """
    mask = (1 << 64) - 1
    modulus = np.array([field.modulus >> (64 * i) & mask for i in range(field.words)], np.uint64)
    return int(_first_above(borrow(values).reshape(-1), modulus))
