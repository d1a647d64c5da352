# SPDX-License-Identifier: GPL-3.0-or-later
"""Long lists of a body to columns: pydantic parses and checks piece by piece, and of each only its column stays."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, TypeAdapter, ValidationError

from supervm.tiers.service.http.models import HexList, NumberLists, WordLists
from supervm.tiers.service.http.pieces import Piece, pieces
from supervm.tiers.service.http.texts import Nested, Positions, Texts, lengths_of

_STRICT = ConfigDict(strict=True)  # as the models


class NoPieces(Exception):
    """A body that cannot be parsed in pieces, perhaps because it is no JSON."""


class WrongItem(Exception):
    """An item that is wrong, as pydantic says it.

    Args:
        kind, message: of its finding.
        place: in the list, and in the list in it.
    """

    def __init__(self, kind: str, message: str, place: tuple[int, ...]) -> None:
        super().__init__(f"{message} at {place}")
        self.kind, self.message, self.place = kind, message, place


class LongList:
    """A list in JSON that is parsed in pieces, once.

    Args:
        array: the list, from bracket to bracket.
        shape: what it is.
        size: bytes of a piece.
    """

    def __init__(self, array: memoryview, shape: Shape, size: int) -> None:
        self._array, self._shape, self._size = array, shape, size
        self._pieces: list[Piece] = []
        self._firsts: list[int] = []
        self._lengths: list[Positions] = []
        self._lists = self._open = self._items = 0

    def __iter__(self) -> Iterator[list[Any]]:
        """The items, of all lists one after the other, in pieces.

        Raises:
            WrongItem: an item is wrong.
            NoPieces: a piece is no JSON.
        """
        for piece in pieces(self._array, self._shape.levels, self._size):
            found = self._parse(piece)
            items = self._flat(found)
            if self._shape.levels > 1:
                self._count(found, piece)
            self._pieces.append(piece)
            self._firsts.append(self._items)
            self._items += len(items)
            yield items

    def text(self, at: int) -> str:
        """An item that is a text, parsed again."""
        place = bisect_right(self._firsts, at) - 1
        found: str = self._flat(self._parse(self._pieces[place]))[at - self._firsts[place]]
        return found

    @property
    def lengths(self) -> Positions:
        """How many items each list has, after all pieces: int64 (n,)."""
        lengths = np.concatenate([np.zeros(0, np.int64), *self._lengths])
        sizes = np.fromiter(map(len, self._lengths), np.int64, len(self._lengths))
        begins = np.ones(len(lengths), np.bool_)
        # A piece that continues a list has a list itself.
        begins[(np.cumsum(sizes) - sizes)[[piece.continues for piece in self._pieces]]] = False
        return np.add.reduceat(lengths, np.flatnonzero(begins)) if len(lengths) else lengths

    def _flat(self, found: list[Any]) -> list[Any]:
        return found if self._shape.levels == 1 else list(chain.from_iterable(found))

    def _parse(self, piece: Piece) -> list[Any]:
        try:
            found: list[Any] = self._shape.check.validate_json(piece.json(self._array))
            return found
        except ValidationError as error:
            finding = error.errors(include_url=False, include_context=False, include_input=False)[0]
        if finding["type"] == "json_invalid":
            raise NoPieces
        raise WrongItem(finding["type"], finding["msg"], self._place(piece, *finding["loc"]))

    def _place(self, piece: Piece, at: Any, *inner: Any) -> tuple[Any, ...]:
        """Of an item of the next piece in the whole list."""
        if self._shape.levels == 1:
            return (self._items + at, *inner)
        if piece.continues and at == 0 and inner:
            inner = (self._open + inner[0], *inner[1:])
        return (self._lists - piece.continues + at, *inner)

    def _count(self, found: list[list[Any]], piece: Piece) -> None:
        self._lengths.append(lengths_of(found))
        self._lists += len(found) - piece.continues
        if found:
            within = self._open if piece.continues and len(found) == 1 else 0
            self._open = within + len(found[-1])


@dataclass(frozen=True)
class Shape:
    """What a list of a body is.

    Args:
        check: of pieces.
        levels: 2 for lists of lists.
        gather: the column of such a list.
    """

    check: TypeAdapter[Any]
    levels: int
    gather: Callable[[LongList], Any]

    def column(self, array: memoryview, size: int) -> Any:
        """The column of a list in JSON.

        Args:
            array: from bracket to bracket.
            size: bytes of a piece.

        Raises:
            WrongItem: an item is wrong.
            NoPieces: it is no JSON.
        """
        return self.gather(LongList(array, self, size))


def _texts(found: LongList) -> Texts:
    return Texts(found, found.text)


def _nested_texts(found: LongList) -> Nested[Texts]:
    return Nested(_texts(found), found.lengths)


def _nested_words(found: LongList) -> Nested[npt.NDArray[np.uint64]]:
    words = [np.array(piece, "<u8") for piece in found]
    return Nested(np.concatenate(words), found.lengths)


_TEXTS = Shape(TypeAdapter(HexList, config=_STRICT), 1, _texts)
_NESTED_TEXTS = Shape(TypeAdapter(NumberLists, config=_STRICT), 2, _nested_texts)
_NESTED_WORDS = Shape(TypeAdapter(WordLists, config=_STRICT), 2, _nested_words)

SHAPES = dict.fromkeys(
    ("public_keys", "signatures", "messages", "digests", "leaves", "points", "scalars", "proofs"), _TEXTS
) | {
    "inputs": _NESTED_TEXTS,
    "public_inputs": _NESTED_TEXTS,
    "reads": _NESTED_WORDS,
    "writes": _NESTED_WORDS,
}
"""By member, the same in every body."""
