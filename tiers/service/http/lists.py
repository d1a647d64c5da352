# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of a body to columns, by operations on all their characters at once.

A Python object for each item would take hundreds of nanoseconds with the GIL: of 1 MiB of lists of one number each, 40 ms.
Operations on arrays let go of it. What comes here is JSON already, as msgspec has skipped over it, but perhaps no UTF-8.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from supervm.kernels.array_types import Bytes, Flags
from supervm.tiers.service.http.models import LARGEST_WORD
from supervm.tiers.service.http.texts import QUOTE, ZERO, Positions, Texts

Flat = TypeVar("Flat")
Words = npt.NDArray[np.uint64]

ARRAY, TEXT, INTEGER = "a valid array", "a valid string", "a valid integer"

_COMMA, _OPEN, _CLOSE = b",[]"
_SPACE = b"[], \t\n\r"
_BESIDE = {TEXT: np.zeros(256, np.bool_), INTEGER: np.zeros(256, np.bool_)}
"""Which characters may be outside of texts, where all items are of this kind."""
_BESIDE[TEXT][list(_SPACE + b'"')] = True
_BESIDE[INTEGER][list(_SPACE + b"0123456789")] = True

_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|u00(?P<ascii>[0-7][0-9a-fA-F])|u....|.)", re.DOTALL
)
_MINUS_ZERO = re.compile(rb"-0(?![.eE])")
_NEGATIVE = re.compile(rb"-[0-9]+(?![0-9.eE])")

_TEN = 10
_POWERS = np.array([10**place for place in range(20)], np.uint64)
"""Of ten, below 2^64."""


class WrongItem(Exception):
    """A list, or something in it, that is not what it should be.

    Args:
        place: of it in the list, as `[1][2]`.
        expected: what it should be.
    """

    def __init__(self, place: str, expected: str) -> None:
        super().__init__(f"{place} is not {expected}")
        self.place, self.expected = place, expected


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


def texts(array: bytes) -> Texts:
    """The column of a list of texts. Raises: WrongItem; UnicodeDecodeError."""
    return _texts(array, 1).flat


def nested_texts(array: bytes) -> Nested[Texts]:
    """The column of a list of lists of texts. Raises: WrongItem; UnicodeDecodeError."""
    return _texts(array, 2)


def nested_words(array: bytes) -> Nested[Words]:
    """The column of a list of lists of numbers below 2^64. Raises: WrongItem; UnicodeDecodeError."""
    plain = _plain(array)
    found = _Characters(_MINUS_ZERO.sub(b"00", plain) if b"-" in plain else plain)
    digits = found.all - np.uint8(ZERO)
    good = digits < _TEN
    firsts = good.copy()
    firsts[1:] &= ~good[:-1]
    lengths = found.lengths(2, firsts, INTEGER)
    ends = np.flatnonzero(np.diff(good)) + 1
    words, too_large = _values(digits[good], np.diff(ends)[::2])
    if too_large.any():
        raise found.wrong(int(ends[2 * np.argmax(too_large)]), 2, f"less than or equal to {LARGEST_WORD}")
    return Nested(words.astype("<u8", copy=False), lengths)


def _texts(array: bytes, levels: int) -> Nested[Texts]:
    found = _Characters(_plain(array))
    lengths = found.lengths(levels, found.quotes & ~found.outside, TEXT)
    within = found.all[~(found.outside | found.quotes)]
    return Nested(Texts(within, np.diff(np.flatnonzero(found.quotes))[::2] - 1, array), lengths)


def _plain(array: bytes) -> bytes:
    """With one character of ASCII for each of a text, if that is a digit or x the same. Raises: UnicodeDecodeError."""
    if not array.isascii():
        array = array.decode().encode("ascii", "replace")
    return _ESCAPE.sub(_character, array) if b"\\" in array else array


def _character(escape: re.Match[bytes]) -> bytes:
    """One for an escape: that which it means, or any that is no digit either."""
    character = bytes([int(escape["ascii"] or b"0", 16)])
    return character if character.isalnum() else b"?"


def _values(digits: Bytes, lengths: Positions) -> tuple[Words, Flags]:
    """Numbers from their digits; and which of them have no room in 64 bits, whose values mean nothing."""
    if not lengths.size:
        return np.zeros(0, np.uint64), np.zeros(0, np.bool_)
    ends = np.cumsum(lengths)
    places = np.repeat(ends, lengths) - np.arange(1, digits.size + 1)
    values = np.add.reduceat(digits * _POWERS[np.minimum(places, len(_POWERS) - 1)], ends - lengths)
    # With as many digits as the largest one, a number begins with 1, or is too large; it is below twice 2^64.
    overflown = (digits[ends - lengths] > 1) | (values < _POWERS[-1])
    return values, (lengths > len(_POWERS)) | ((lengths == len(_POWERS)) & overflown)


class _Characters:
    """Those of a list in JSON.

    Args:
        json: the list, with one ASCII character for each of a text.

    Attributes:
        all: uint8 (n,).
        quotes: bool (n,), which begin or end a text.
        outside: bool (n,), which are in no text; of quotes, those that end one.

    Raises:
        WrongItem: it is no list.
    """

    def __init__(self, json: bytes) -> None:
        if json[:1] != b"[":
            raise WrongItem("", ARRAY)
        self._json = json
        self.all: Bytes = np.frombuffer(json, np.uint8)
        self.quotes: Flags = self.all == QUOTE
        self.outside: Flags = ~np.logical_xor.accumulate(self.quotes)  # seven times as fast as a sum
        brackets = ((self.all == _OPEN) | (self.all == _CLOSE)) & self.outside
        brackets[[0, -1]] = False
        self._inner: Flags = brackets

    def lengths(self, levels: int, firsts: Flags, kind: str) -> Positions:
        """How many items each inner list has.

        Args:
            levels: 2 for a list of lists, 1 where there is none in it.
            firsts: bool (n,), which begin an item.
            kind: of all items.

        Raises:
            WrongItem: an item is of another kind, or no list where it should be one, or the other way round.
        """
        lengths = np.zeros(0, np.int64)
        brackets = np.flatnonzero(self._inner)
        faults = [np.flatnonzero(self.outside & ~_BESIDE[kind].take(self.all))]
        if kind != TEXT:
            faults.append(np.flatnonzero(self.quotes))
        if levels == 1:
            faults.append(brackets)
        else:
            closing = brackets[1::2]
            faults.append(closing[self.all[closing] == _OPEN])
            marks = np.flatnonzero(firsts | self._inner)
            is_bracket = self._inner[marks]
            # Marks between two brackets; a search for each among the items would keep the GIL.
            gaps = np.diff(np.flatnonzero(is_bracket), prepend=-1, append=len(marks)) - 1
            lengths, between = gaps[1::2], np.flatnonzero(gaps[::2])
            if between.size:
                faults.append(marks[~is_bracket][gaps[: 2 * int(between[0])].sum() :])
        first = [int(places[0]) for places in faults if places.size]
        if not first:
            return lengths
        at = min(first)
        if kind == INTEGER and _NEGATIVE.match(self._json, at):
            kind = "greater than or equal to 0"
        raise self.wrong(at, levels, kind)

    def wrong(self, at: int, levels: int, expected: str) -> WrongItem:
        """What to say of the first item that is wrong, which has this character."""
        commas = np.flatnonzero((self.all[:at] == _COMMA) & self.outside[:at])
        if levels == 1:
            return WrongItem(f"[{len(commas)}]", expected)
        before = np.flatnonzero(self._inner[:at])
        place = f"[{len(before) // 2}]"
        if len(before) % 2 == 0:
            return WrongItem(place, ARRAY)
        return WrongItem(f"{place}[{np.count_nonzero(commas > before[-1])}]", expected)
