# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a long JSON list may be cut, so that each piece is parsed by a call of its own.

A parser keeps the GIL for the whole of a call: on a thread, one call for 16 MB would stop the event loop as one on it does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

PIECE_BYTES = 64 << 10
"""Of JSON in a piece: lists of one number each, the slowest, are parsed at about 100 ns a byte, all others at 10."""

_QUOTE, _COMMA, _BACKSLASH = ord('"'), ord(","), b"\\"
_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_OBJECT = 1 << 16
_DEPTHS = np.zeros(256, np.int32)
"""What a character outside of texts adds to the depth; an object counts as deeper than any list that is cut."""
for _characters, _step in ((b"[]", 1), (b"{}", _OBJECT)):
    _DEPTHS[_characters[0]], _DEPTHS[_characters[1]] = _step, -_step


@dataclass(frozen=True)
class Piece:
    """Some items of a list, or of a list in it.

    Args:
        first, last: where it begins and ends in the JSON, in bytes.
        continues: whether it begins within an inner list.
        continued: whether it ends within one.
    """

    first: int
    last: int
    continues: bool
    continued: bool

    def json(self, array: memoryview) -> bytes:
        """A list of its own."""
        head = b"[[" if self.continues else b"["
        return b"".join((head, array[self.first : self.last], b"]]" if self.continued else b"]"))


def pieces(array: memoryview, levels: int, size: int = PIECE_BYTES) -> Iterator[Piece]:
    """Cut a list.

    Args:
        array: a list in JSON, from bracket to bracket; of what is no JSON, pieces are none either.
        levels: 1 to cut between the items, 2 also between those of the lists in it.
        size: bytes of a piece, unless a single item is longer.
    """
    first, end, depth, inside = 1, len(array) - 1, 1, False
    at, begun = 1, 1
    while at < end:
        text = _without_escapes(array, at, min(at + size, end))
        characters = np.frombuffer(text, np.uint8)
        within, depths = _state(characters, inside, depth)
        cuts = np.flatnonzero((characters == _COMMA) & ~within & (depths <= levels))
        if cuts.size:
            cut = int(cuts[-1])
            yield Piece(first, at + cut, begun > 1, int(depths[cut]) > 1)
            first, begun = at + cut + 1, int(depths[cut])
        inside, depth = bool(within[-1]), int(depths[-1])
        at += len(text)
    yield Piece(first, end, begun > 1, False)


def _without_escapes(array: memoryview, first: int, last: int) -> bytes:
    """A stretch that ends behind an escape, not within, and has dots in place of all of them."""
    text = bytes(array[first:last])
    if (len(text) - len(text.rstrip(_BACKSLASH))) % 2:
        text += bytes(array[last : last + 1])
    return _ESCAPED.sub(b"..", text) if _BACKSLASH in text else text


def _state(
    characters: npt.NDArray[np.uint8], inside: bool, depth: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Behind each character: whether it is within a text, and how deep."""
    quotes = np.cumsum(characters == _QUOTE, dtype=np.uint8)  # its lowest bit does not mind the overflow
    within = ((quotes & 1) == 1) ^ inside
    depths = depth + np.cumsum(np.where(within, 0, _DEPTHS[characters]))
    return within, depths
