# SPDX-License-Identifier: GPL-3.0-or-later
"""Are numbers of several words below a bound?"""

from __future__ import annotations

from numba import njit

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
