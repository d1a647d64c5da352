# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages of Parquet, looked at before pyarrow reads them: what a page announces must be there, and fit.

pyarrow reserves what a page's header announces, before it looks at the page: 30 KB can ask for gigabytes. Here every header
of the columns in question is read, and nothing else. Source: Apache Parquet, `parquet.thrift`; the encoding is Thrift's
compact protocol.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow.parquet as pq

MOST_PAGE = 64 << 20
"""Bytes of a page without compression; more only where the compressed page is large too, `RATIO` times as much."""

RATIO = 32
"""By what compressed signatures may grow; random bytes do not, hexadecimal digits double."""

PREFIXES = 7
"""The encoding DELTA_BYTE_ARRAY, in which a value repeats the beginning of the one before."""

_LENGTHS = 6
"""The encoding DELTA_LENGTH_BYTE_ARRAY; in both, pyarrow unpacks the lengths of a page's values at once, 4 bytes each."""

_WINDOW, _LARGEST_HEADER = 4 << 10, 16 << 20
_MOST_EMPTY = 64
"""Pages without values of a chunk: one dictionary is usual."""

_SLACK = 128
"""Bytes that chunks of old writers are longer than they say (PARQUET-816)."""

_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12
_DEEPEST = 8

Struct = dict[int, "int | Struct | None"]
"""Field → number, structure, or None for what is passed over."""


class BadPage(ValueError):
    """Bytes that are no page's header, or one that announces what cannot be."""


class _Truncated(Exception):
    """The window ends within the header."""


@dataclass(frozen=True)
class Pages:
    """What a column's pages come to.

    Args:
        dictionary: bytes of its largest dictionary; 0 without one.
        prefixes: bytes of its largest page in the encoding `PREFIXES`; 0 without one.
    """

    dictionary: int = 0
    prefixes: int = 0

    def with_page(self, header: Struct) -> Pages:
        size = _number(header, 2)
        if header.get(1) == _DICTIONARY:
            return Pages(max(self.dictionary, size), self.prefixes)
        if _encoding(header) == PREFIXES:
            return Pages(self.dictionary, max(self.prefixes, size))
        return self


def check_chunk(descriptor: int, chunk: pq.ColumnChunkMetaData, rows: int, flat: bool, end: int) -> Pages:
    """Check the pages of a column in a row group.

    Args:
        descriptor: of the file.
        rows: of the row group.
        flat: whether the column has one value a row.
        end: where the footer begins.

    Raises:
        BadPage: a page lies outside, announces too much, or there are not as many values as rows.
    """
    wanted = chunk.num_values
    if wanted < 0 or (flat and wanted != rows):
        raise BadPage(f"{wanted:,} values, where the row group has {rows:,} rows")
    if wanted == 0:
        return Pages()  # of which no page is read
    place = _start(chunk)
    stop = place + chunk.total_compressed_size + _SLACK
    if place < 4 or chunk.total_compressed_size < 0 or place + chunk.total_compressed_size > end:
        raise BadPage(f"pages at byte {place:,} and on, outside the {end:,} bytes before the footer")
    found, values, empty = Pages(), 0, 0
    while values < wanted:
        header, length = _header(descriptor, place, min(stop, end))
        place = _checked(header, place + length, min(stop, end))
        more = _values(header)
        values, empty = values + more, empty + (more == 0)
        if empty > _MOST_EMPTY:
            raise BadPage(f"more than {_MOST_EMPTY} pages without values")
        found = found.with_page(header)
    if values != wanted:
        raise BadPage(f"{values:,} values in its pages, where {wanted:,} are announced")
    return found


def _start(chunk: pq.ColumnChunkMetaData) -> int:
    first: int = chunk.data_page_offset
    dictionary: int | None = chunk.dictionary_page_offset
    return dictionary if dictionary is not None and 0 < dictionary < first else first


def _checked(header: Struct, place: int, end: int) -> int:
    """Where the next page begins."""
    plain, packed = _number(header, 2), _number(header, 3)
    if packed > end - place:
        raise BadPage(f"a page of {packed:,} bytes, of which {max(0, end - place):,} are there")
    limit = max(MOST_PAGE, RATIO * packed)
    if _encoding(header) in (_LENGTHS, PREFIXES) and 4 * _values(header) > limit:
        raise BadPage(f"a page of {_values(header):,} values in {packed:,} bytes")
    if plain > limit:
        raise BadPage(f"a page of {plain:,} bytes in {packed:,} compressed ones; at most {limit:,} are taken")
    return place + packed


def _values(header: Struct) -> int:
    """The values of a page, none for one that is no data."""
    place = {_DATA: 5, _DATA_V2: 8}.get(_number(header, 1))
    if place is None:
        return 0
    inner = header.get(place)
    if not isinstance(inner, dict):
        raise BadPage("a page without its own header")
    return _number(inner, 1)


def _encoding(header: Struct) -> int | None:
    for field, place in ((5, 2), (8, 4)):
        inner = header.get(field)
        if isinstance(inner, dict) and isinstance(number := inner.get(place), int):
            return number
    return None


def _number(struct: Struct, field: int) -> int:
    value = struct.get(field)
    if not isinstance(value, int) or value < 0:
        raise BadPage(f"a header whose field {field} is {value!r}")
    return value


def _header(descriptor: int, place: int, end: int) -> tuple[Struct, int]:
    """The header at a place, and its length."""
    window = _WINDOW
    while place < end:
        data = os.pread(descriptor, min(window, end - place), place)
        try:
            return _read(data)
        except _Truncated:
            if window >= _LARGEST_HEADER or len(data) < window:
                break
            window *= 4
    raise BadPage(f"no whole header at byte {place:,}")


def _read(data: bytes) -> tuple[Struct, int]:
    reader = _Compact(data)
    return reader.struct(0), reader.place


class _Compact:
    """Thrift's compact protocol: numbers and structures are kept, the rest is passed over."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.place = 0

    def struct(self, depth: int) -> Struct:
        if depth > _DEEPEST:
            raise BadPage("a header that is nested too deeply")
        found: Struct = {}
        field = 0
        while head := self._byte():
            step, kind = head >> 4, head & 15
            field = field + step if step else self._signed()
            found[field] = self._value(kind, depth, inside=False)
        return found

    def _value(self, kind: int, depth: int, *, inside: bool) -> int | Struct | None:
        if kind in (_TRUE, _FALSE):
            return (self._byte() if inside else kind) == _TRUE
        if kind == _BYTE:
            return self._byte()
        if 4 <= kind <= 6:
            return self._signed()
        if kind == _STRUCT:
            return self.struct(depth + 1)
        skip: Callable[[], None] | None = {
            _DOUBLE: lambda: self._skip(8),
            _BINARY: lambda: self._skip(self._unsigned()),
            _LIST: lambda: self._list(depth + 1),
            _SET: lambda: self._list(depth + 1),
        }.get(kind)
        if skip is None:
            raise BadPage(f"a header with a field of kind {kind}")
        skip()
        return None

    def _list(self, depth: int) -> None:
        head = self._byte()
        count = head >> 4 if head >> 4 != 15 else self._unsigned()
        if count > len(self._data) - self.place:  # an entry has a byte at least
            raise _Truncated
        for _ in range(count):
            self._value(head & 15, depth, inside=True)

    def _skip(self, count: int) -> None:
        if count > len(self._data) - self.place:
            raise _Truncated
        self.place += count

    def _byte(self) -> int:
        if self.place >= len(self._data):
            raise _Truncated
        self.place += 1
        return self._data[self.place - 1]

    def _unsigned(self) -> int:
        value = shift = 0
        while (byte := self._byte()) & 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
            if shift > 63:
                raise BadPage("a number of more than 64 bits")
        return value | byte << shift

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
