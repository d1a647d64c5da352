# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of texts as columns: all characters in one buffer, so that none is touched item by item."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from supervm.kernels.array_types import Bytes, Flags

Positions = npt.NDArray[np.int64]
Flat = TypeVar("Flat")

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
        pieces: the list, in pieces one after the other.
        text: the text at a place.

    Attributes:
        lengths: int64 (n,), characters of each without 0x.
        prefixed: bool (n,), which begin with 0x.
        comma: the first text with a comma, or None; with one, the column is of no further use.
    """

    def __init__(self, pieces: Iterable[list[str]], text: Callable[[int], str]) -> None:
        self.text = text
        self.comma: int | None = None
        self._count = 0
        joined = bytearray()
        for piece in pieces:
            self._add(piece, joined)
        self._buffer = np.frombuffer(joined, np.uint8)
        if self.comma is None:
            commas = np.flatnonzero(self._buffer == COMMA)
            self._starts = np.concatenate((np.zeros(1, np.int64), commas + 1))
            self.prefixed = self._prefixed()
            self.lengths = np.diff(self._starts) - 1 - 2 * self.prefixed

    @staticmethod
    def of(texts: list[str] | Texts) -> Texts:
        """The column of a list."""
        return texts if isinstance(texts, Texts) else Texts([texts], texts.__getitem__)

    def __len__(self) -> int:
        return self._count

    def _add(self, piece: list[str], joined: bytearray) -> None:
        text = "".join([",".join(piece), ","]) if piece else ""
        if self.comma is None and text.count(",") != len(piece):
            self.comma = self._count + next(at for at, each in enumerate(piece) if "," in each)
        self._count += len(piece)
        if self.comma is None:
            joined += text.encode("ascii", "replace")

    def _prefixed(self) -> Flags:
        # A text of no character ends with its comma, so that the character behind a start is always there, save the last's.
        first, last = self._starts[:-1], self._buffer.size - 1
        behind = np.minimum(first + 1, last)
        found: Flags = (self._buffer[first] == ZERO) & (self._buffer[behind] | CASE == X)
        return found

    def parts(self) -> Iterator[Part]:
        """The column, a bounded part at a time."""
        first = 0
        while first < self._count:
            begin = self._starts[first]
            within = int(np.searchsorted(self._starts, begin + PART_CHARACTERS, side="right")) - 1
            last = min(max(within, first + 1), first + PART_ROWS, self._count)
            starts = self._starts[first : last + 1]
            buffer = self._buffer[begin : starts[-1]]
            yield Part(first, buffer, starts - begin, self.prefixed[first:last])
            first = last


@dataclass(frozen=True)
class Nested(Generic[Flat]):
    """A list of lists.

    Args:
        flat: the items of all, one list after the other.
        lengths: int64 (n,), how many each list has.
    """

    flat: Flat
    lengths: Positions

    def __len__(self) -> int:
        return len(self.lengths)


def nested_texts(lists: list[list[str]] | Nested[Texts]) -> Nested[Texts]:
    """The column of lists of texts."""
    if isinstance(lists, Nested):
        return lists
    return Nested(Texts.of(list(chain.from_iterable(lists))), lengths_of(lists))


def nested_words(lists: list[list[int]] | Nested[Any]) -> Nested[npt.NDArray[np.uint64]]:
    """The column of lists of numbers below 2^64."""
    if isinstance(lists, Nested):
        return lists
    lengths = lengths_of(lists)
    return Nested(np.fromiter(chain.from_iterable(lists), "<u8", int(lengths.sum())), lengths)


def lengths_of(lists: list[list[Any]]) -> Positions:
    """How many items each list has."""
    return np.fromiter(map(len, lists), np.int64, len(lists))
