# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of texts as columns: all characters in one buffer, so that none is touched item by item."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from supervm.kernels.array_types import Bytes, Flags

Positions = npt.NDArray[np.int64]

QUOTE, ZERO, X, CASE = ord('"'), ord("0"), ord("x"), 0x20

PART_ROWS, PART_CHARACTERS = 1 << 14, 1 << 20
"""Of a column that are worked on at once: arrays beside it stay small, and the GIL comes free between two parts."""

_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


@dataclass(frozen=True)
class Part:
    """Rows of a column.

    Args:
        first: the place of the first one in the list.
        buffer: their characters.
        starts: int64 (n + 1,), where each begins, and where the next would.
        prefixed: bool (n,), which begin with 0x.
    """

    first: int
    buffer: Bytes
    starts: Positions
    prefixed: Flags

    def digits(self) -> Bytes:
        """The characters without prefixes."""
        begun = self.starts[:-1][self.prefixed]
        if not begun.size:
            return self.buffer
        kept = np.ones(self.buffer.size, np.bool_)
        kept[begun] = kept[begun + 1] = False
        return self.buffer[kept]


class Texts:
    """A list of texts.

    Args:
        buffer: the characters of all, of which those that are no digit may be others that are none.
        lengths: int64 (n,), how many each has.
        array: the list in JSON, perhaps with more brackets.

    Attributes:
        lengths: without 0x.
        prefixed: bool (n,), which begin with 0x.
    """

    def __init__(self, buffer: Bytes, lengths: Positions, array: bytes) -> None:
        self._buffer, self._array = buffer, array
        self._starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
        self.prefixed = np.zeros(len(lengths), np.bool_)
        long = np.flatnonzero(lengths >= 2)
        first = self._starts[long]
        self.prefixed[long] = (buffer[first] == ZERO) & (buffer[first + 1] | CASE == X)
        self.lengths = lengths - 2 * self.prefixed

    def __len__(self) -> int:
        return len(self.lengths)

    def text(self, at: int) -> str:
        """One of them, as it came."""
        for place, found in enumerate(_TEXT.finditer(self._array)):
            if place == at:
                return str(json.loads(found[0]))
        raise IndexError(at)

    def parts(self) -> Iterator[Part]:
        """The column, a bounded part at a time."""
        first = 0
        while first < len(self):
            begin = self._starts[first]
            within = int(np.searchsorted(self._starts, begin + PART_CHARACTERS, side="right")) - 1
            last = min(max(within, first + 1), first + PART_ROWS, len(self))
            starts = self._starts[first : last + 1]
            buffer = self._buffer[begin : starts[-1]]
            yield Part(first, buffer, starts - begin, self.prefixed[first:last])
            first = last
