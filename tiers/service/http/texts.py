# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of texts as columns: all characters in one buffer, so that none is touched item by item."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from supervm.kernels.array_types import Bytes, Flags

Positions = npt.NDArray[np.int64]

COMMA, ZERO, X, CASE = ord(","), ord("0"), ord("x"), 0x20

PART_ROWS, PART_CHARACTERS = 1 << 14, 1 << 20
"""Of a column that are worked on at once: arrays beside it stay small, and the GIL comes free between two parts."""


@dataclass(frozen=True)
class Part:
    """Rows of a column.

    Args:
        first: the place of the first one in the list.
        buffer: their characters, a comma behind each.
        starts: int64 (n + 1,), where each begins, and where the next would.
        prefixed: bool (n,), which begin with 0x.
    """

    first: int
    buffer: Bytes
    starts: Positions
    prefixed: Flags

    def digits(self) -> Bytes:
        """The characters without commas and prefixes."""
        kept = np.ones(self.buffer.size, np.bool_)
        kept[self.starts[1:] - 1] = False
        begun = self.starts[:-1][self.prefixed]
        kept[begun] = kept[begun + 1] = False
        return self.buffer[kept]


class Texts:
    """A list of texts.

    Args:
        texts: the list.

    Attributes:
        texts: the same.
        lengths: int64 (n,), characters of each without 0x.
        prefixed: bool (n,), which begin with 0x.
        comma: the first text with a comma, or None; with one, the column is of no further use.
    """

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts
        joined = "".join([",".join(texts), ","]) if texts else ""
        self.comma: int | None = None
        if joined.count(",") != len(texts):
            self.comma = next(at for at, text in enumerate(texts) if "," in text)
            return
        self._buffer = np.frombuffer(joined.encode("ascii", "replace"), np.uint8)
        commas = np.flatnonzero(self._buffer == COMMA)
        self._starts = np.concatenate((np.zeros(1, np.int64), commas + 1))
        self.prefixed = self._prefixed()
        self.lengths = np.diff(self._starts) - 1 - 2 * self.prefixed

    def __len__(self) -> int:
        return len(self.texts)

    def _prefixed(self) -> Flags:
        # A text of no character ends with its comma, so that the character behind a start is always there, save the last's.
        first, last = self._starts[:-1], self._buffer.size - 1
        behind = np.minimum(first + 1, last)
        found: Flags = (self._buffer[first] == ZERO) & (self._buffer[behind] | CASE == X)
        return found

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
