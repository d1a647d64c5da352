# SPDX-License-Identifier: GPL-3.0-or-later
"""RLP, read from one buffer by compiled code. Source: the Yellow Paper, appendix B.

What is not the one valid encoding is refused: sizes that leave the buffer, a long form where a short one would do, leading
zeros of a size, a single byte below 0x80 behind a header.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from supervm.engine.ethereum.rlp import LIST, STRING

INVALID = -1


@njit(nogil=True, cache=True)
def read_item(data, position, end):  # type: ignore[no-untyped-def]
    """The item at `position` of bytes that end at `end`: whether it is a list, and where its payload begins and ends.

    The payload's end is the next item's place. `INVALID` stands in both places of what is no item.
    """
    if position >= end:
        return False, INVALID, INVALID
    head = np.int64(data[position])
    if head < STRING:
        return False, position, position + 1
    is_list = head >= LIST
    size = head - (LIST if is_list else STRING)
    first = position + 1
    if size > 55:
        width = size - 55
        if width > end - first or data[first] == 0:
            return False, INVALID, INVALID
        size = np.int64(0)
        for k in range(width):
            if size > end:
                return False, INVALID, INVALID
            size = (size << 8) | np.int64(data[first + k])
        first += width
        if size < 56:
            return False, INVALID, INVALID
    if size > end - first:
        return False, INVALID, INVALID
    if not is_list and size == 1 and data[first] < STRING:
        return False, INVALID, INVALID
    return is_list, first, first + size
