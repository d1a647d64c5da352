# SPDX-License-Identifier: GPL-3.0-or-later
"""Thrift's compact protocol, as far as a shape asks for it: the rest is passed over, and nothing is reserved.

A shape names the fields of a structure that are wanted: {number: int, bytes, a shape, or a list of one shape}. A field of
another kind than the shape says is passed over too. Source: Apache Thrift, "Thrift compact protocol encoding".
"""

from __future__ import annotations

from typing import Any

Shape = dict[int, Any]
Struct = dict[int, Any]

_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_NUMBERS = (4, 5, 6)
_DEEPEST = 16


class BadThrift(ValueError):
    """Bytes that are no structure of this protocol."""


class Truncated(BadThrift):
    """The bytes end within it."""


def read_struct(data: bytes, shape: Shape) -> tuple[Struct, int]:
    """The wanted fields of a structure, and its length.

    Raises:
        BadThrift: it is none.
        Truncated: it is longer than the bytes.
    """
    reader = _Reader(data)
    return reader.struct(shape, 0), reader.place


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.place = 0

    def struct(self, shape: Shape, depth: int) -> Struct:
        if depth > _DEEPEST:
            raise BadThrift("structures that are nested too deeply")
        found: Struct = {}
        field = 0
        while head := self._byte():
            field = field + (head >> 4) if head >> 4 else self._signed()
            wanted = shape.get(field)
            value = self._value(head & 15, wanted, depth, inside=False)
            if wanted is not None and value is not None:
                found[field] = value
        return found

    def _value(self, kind: int, wanted: Any, depth: int, *, inside: bool) -> Any:
        """A value of a kind, or None if another one is wanted, or none."""
        if kind in (_TRUE, _FALSE):
            truth = (self._byte() if inside else kind) == _TRUE
            return int(truth) if wanted is int else None
        if kind in _NUMBERS or kind == _BYTE:
            number = self._byte() if kind == _BYTE else self._signed()
            return number if wanted is int else None
        if kind == _BINARY:
            text = self._take(self._unsigned())
            return text if wanted is bytes else None
        if kind == _STRUCT:
            found = self.struct(wanted if isinstance(wanted, dict) else {}, depth + 1)
            return found if isinstance(wanted, dict) else None
        if kind in (_LIST, _SET):
            return self._list(wanted[0] if isinstance(wanted, list) else None, depth + 1)
        if kind == _DOUBLE:
            self._take(8)
            return None
        raise BadThrift(f"a field of kind {kind}")

    def _list(self, wanted: Any, depth: int) -> list[Any] | None:
        if depth > _DEEPEST:
            raise BadThrift("lists that are nested too deeply")
        head = self._byte()
        count, kind = head >> 4, head & 15
        if count == 15:
            count = self._unsigned()
        if count > len(self._data) - self.place:  # an entry has a byte at least
            raise Truncated(f"a list of {count:,} entries")
        found = []
        for _ in range(count):
            value = self._value(kind, wanted, depth, inside=True)
            if wanted is not None:
                if value is None:
                    raise BadThrift("a list of another kind")
                found.append(value)
        return found if wanted is not None else None

    def _take(self, count: int) -> bytes:
        if count > len(self._data) - self.place:
            raise Truncated(f"a text of {count:,} bytes")
        self.place += count
        return self._data[self.place - count : self.place]

    def _byte(self) -> int:
        if self.place >= len(self._data):
            raise Truncated("an end within a structure")
        self.place += 1
        return self._data[self.place - 1]

    def _unsigned(self) -> int:
        value = shift = 0
        while (byte := self._byte()) & 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
            if shift > 63:
                raise BadThrift("a number of more than 64 bits")
        return value | byte << shift

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
