# SPDX-License-Identifier: GPL-3.0-or-later
"""Are numbers of several words below a bound?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from supervm.kernels.arrays import borrow, number_words
from supervm.kernels.spec import FieldSpec

# mypy: disallow_untyped_defs=False


@njit(nogil=True, cache=True)
def first_not_below(values, bound, start, stop):
    """The first of rows start … stop − 1 that is not below the bound; −1 if all are.

    Args:
        values: flat uint64, rows of as many words as `bound` has, little end first.
        bound: uint64, its top word not 0.
    """
    words = bound.size
    for row in range(start, stop):
        if values[words * row + words - 1] >= bound[words - 1]:
            index = words - 1
            while index >= 0 and values[words * row + index] == bound[index]:
                index -= 1
            if index < 0 or values[words * row + index] > bound[index]:
                return row
    return -1


def first_above(values: npt.NDArray[np.uint64], field: FieldSpec) -> int:
    """Index of the first value, in the order of memory, that is no canonical element of the field; −1 if all are.

    Args:
        values: uint64 (…, words), contiguous, little-endian words.
        field: whose modulus.
    """
    modulus = number_words(field.modulus, field.words)
    return int(first_not_below(borrow(values).reshape(-1), modulus, 0, values.size // field.words))
