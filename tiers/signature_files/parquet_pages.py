# SPDX-License-Identifier: GPL-3.0-or-later
"""Parquet, looked at before pyarrow reads it: what its footer and its pages announce must be there, and fit.

pyarrow reserves what a page's header announces, before it looks at the page: 30 KB can ask for gigabytes. Here the footer
and every page's header of the columns in question are read, and nothing else. They are read without pyarrow, some of whose
functions end the process where metadata contradicts itself. Source: Apache Parquet, `parquet.thrift`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from supervm.tiers.signature_files.compact_thrift import BadThrift, Struct, Truncated, read_struct

MOST_PAGE = 64 << 20
"""Bytes of a page without compression; more only where the compressed page is large too, `RATIO` times as much."""

RATIO = 32
"""By what compressed signatures may grow; random bytes do not, hexadecimal digits double."""

MOST_FOOTER = 256 << 20

PREFIXES = 7
"""The encoding DELTA_BYTE_ARRAY, in which a value repeats the beginning of the one before."""

_LENGTHS = 6
"""The encoding DELTA_LENGTH_BYTE_ARRAY; in both, pyarrow unpacks the lengths of a page's values at once, 4 bytes each."""

_MAGIC = b"PAR1"
_WINDOW, _LARGEST_HEADER = 4 << 10, 16 << 20
_MOST_EMPTY = 64
"""Pages without values of a chunk: one dictionary is usual."""

_SLACK = 128
"""Bytes that chunks of old writers are longer than they say (PARQUET-816)."""

_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_REPEATED = 2
_BYTE_ARRAY = 6
_CODECS = {0: None, 1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4_raw"}
_MOST_ENTRIES = 1 << 20
"""Values of a dictionary that are looked at; in a larger one, any value may have all of its bytes."""
_PAGE = {1: int, 2: int, 3: int, 5: {1: int, 2: int}, 7: {1: int}, 8: {1: int, 4: int}}
_CHUNK = {1: bytes, 3: {4: int, 5: int, 7: int, 9: int, 11: int}}
_ROW_GROUP = {1: [_CHUNK], 2: int, 3: int}
_SCHEMA_ELEMENT = {1: int, 2: int, 3: int, 4: bytes, 5: int}
_FILE = {2: [_SCHEMA_ELEMENT], 3: int, 4: [_ROW_GROUP]}


class BadPage(ValueError):
    """Bytes that are no Parquet, or announce what cannot be."""


@dataclass(frozen=True)
class Column:
    """A column of values.

    Args:
        name: at the top of the schema; the values of a structure share it.
        flat: whether it has one value a row and is no part of a structure.
        width: bytes of a value, 0 unless all have the same number.
        ragged: whether its values are bytes of any number.
    """

    name: str
    flat: bool
    width: int
    ragged: bool


@dataclass(frozen=True)
class Footer:
    """What a file says of itself.

    Args:
        length: bytes.
        start: where it begins in the file.
        columns: in the order in which row groups have them.
        rows: of the file.
        row_groups: as in `parquet.thrift`.
    """

    length: int
    start: int
    columns: list[Column]
    rows: int
    row_groups: list[Struct]

    @property
    def bytes(self) -> int:
        """The values' bytes, as the file tells them."""
        return sum(max(0, group.get(2, 0)) for group in self.row_groups)


@dataclass(frozen=True)
class Pages:
    """What the pages of columns come to.

    Args:
        repeated: bytes of the longest value in a dictionary, which any row may name; 0 without one.
        prefixes: bytes of the largest page in the encoding `PREFIXES`; 0 without one.
    """

    repeated: int = 0
    prefixes: int = 0

    def and_pages(self, other: Pages) -> Pages:
        """What both come to together: the larger of each number."""
        return Pages(max(self.repeated, other.repeated), max(self.prefixes, other.prefixes))


def read_footer(descriptor: int, size: int) -> Footer:
    """Read the footer of a file.

    Raises:
        BadPage: there is none, or it contradicts itself.
    """
    tail = os.pread(descriptor, 8, max(0, size - 8))
    length = int.from_bytes(tail[:4], "little")
    if size < 12 or tail[4:] != _MAGIC or length > size - 12:
        raise BadPage(f"{size:,} bytes that do not end in a footer and 'PAR1'")
    if length > MOST_FOOTER:
        raise BadPage(f"a footer of {length:,} bytes; at most {MOST_FOOTER:,} are taken")
    start = size - 8 - length
    data = os.pread(descriptor, length, start)
    try:
        found, _ = read_struct(data, _FILE)
    except BadThrift as error:
        raise BadPage(f"its footer has {error}") from None
    columns, groups, rows = list(_columns(found.get(2, []))), found.get(4, []), _number(found, 3)
    for group in groups:
        if len(group.get(1, [])) != len(columns):
            raise BadPage(
                f"a row group of {len(group.get(1, [])):,} columns, where there are {len(columns):,}"
            )
    held = sum(_number(group, 3) for group in groups)
    if held != rows:
        raise BadPage(f"{held:,} rows in its row groups, where {rows:,} are announced")
    return Footer(length, start, columns, rows, groups)


def check_pages(descriptor: int, footer: Footer, names: Iterable[str]) -> dict[str, Pages]:
    """Check every page of some columns; what they come to, by name.

    Raises:
        BadPage: a page lies outside, announces too much, or there are not as many values as rows.
    """
    found = dict.fromkeys(names, Pages())
    for column in footer.columns:
        if column.name in found and not column.flat:
            raise BadPage(f"column '{column.name}' is a list or a structure, expected text or binary")
    for group in footer.row_groups:
        for column, chunk in zip(footer.columns, group[1], strict=True):
            if column.name in found:
                pages = _check_chunk(descriptor, chunk, column, _number(group, 3), footer.start)
                found[column.name] = found[column.name].and_pages(pages)
    return found


def _columns(elements: list[Struct]) -> Iterator[Column]:
    """The leaves of a schema, which is a tree whose nodes stand in the order of a walk."""
    open_groups: list[list[int | bool]] = []  # children to come, whether repeated
    name = ""
    for place, element in enumerate(elements):
        children = element.get(5, 0)
        repeated = element.get(3) == _REPEATED or bool(open_groups and open_groups[-1][1])
        if len(open_groups) == 1:
            name = element.get(4, b"").decode("utf-8", "replace")
        if open_groups:
            open_groups[-1][0] -= 1
        elif place:
            raise BadPage("a schema with more than one root")
        if children > 0:
            open_groups.append([children, repeated and place > 0])
        elif place:
            flat = not repeated and len(open_groups) == 1
            yield Column(name, flat, max(0, element.get(2, 0)), element.get(1) == _BYTE_ARRAY)
        while open_groups and open_groups[-1][0] <= 0:
            open_groups.pop()
    if open_groups:
        raise BadPage("a schema that ends within a group")


def _check_chunk(descriptor: int, chunk: Struct, column: Column, rows: int, end: int) -> Pages:
    """Check the pages of a column in a row group; the footer begins at `end`."""
    if 1 in chunk:
        raise BadPage("a column in another file")
    about = chunk.get(3, {})
    wanted, size = _number(about, 5), _number(about, 7)
    if wanted != rows:
        raise BadPage(f"{wanted:,} values, where the row group has {rows:,} rows")
    if wanted == 0:
        return Pages()  # of which no page is read
    first, dictionary = _number(about, 9), about.get(11, 0)
    place = dictionary if 0 < dictionary < first else first
    if place < len(_MAGIC) or place + size > end:
        raise BadPage(f"pages from byte {place:,} on, outside the {end:,} bytes before the footer")
    stop = min(place + size + _SLACK, end)
    found, values, empty = Pages(), 0, 0
    while values < wanted:
        header, length = _header(descriptor, place, stop)
        body, place = place + length, _after(header, place + length, stop)
        more = _values(header)
        values, empty = values + more, empty + (more == 0)
        if empty > _MOST_EMPTY:
            raise BadPage(f"more than {_MOST_EMPTY} pages without values")
        if header[1] == _DICTIONARY and column.ragged:
            packed = os.pread(descriptor, place - body, body)
            found = found.and_pages(Pages(repeated=_longest(packed, header, about.get(4, -1))))
        if _encoding(header) == PREFIXES:
            found = found.and_pages(Pages(prefixes=_number(header, 2)))
    if values != wanted:
        raise BadPage(f"{values:,} values in its pages, where {wanted:,} are announced")
    return found


def _after(header: Struct, place: int, end: int) -> int:
    """Where the page after this one begins, whose header ends at `place`."""
    plain, packed = _number(header, 2), _number(header, 3)
    if packed > end - place:
        raise BadPage(f"a page of {packed:,} bytes, of which {max(0, end - place):,} are there")
    limit = max(MOST_PAGE, RATIO * packed)
    if plain > limit:
        raise BadPage(f"a page of {plain:,} bytes in {packed:,} compressed ones; at most {limit:,} are taken")
    if _encoding(header) in (_LENGTHS, PREFIXES) and 4 * _values(header) > limit:
        raise BadPage(f"a page of {_values(header):,} values in {packed:,} bytes")
    return place + packed


def _longest(packed: bytes, header: Struct, codec: int) -> int:
    """Bytes of the longest value in a dictionary of byte arrays, each of which stands behind its length."""
    size, entries = _number(header, 2), _number(header.get(7, {}), 1)
    if codec not in _CODECS or entries > _MOST_ENTRIES:
        return size
    name = _CODECS[codec]
    data = packed if name is None else pa.decompress(packed, decompressed_size=size, codec=name).to_pybytes()
    longest = place = 0
    first = int.from_bytes(data[:4], "little")
    if len(data) == entries * (4 + first):
        lengths = np.frombuffer(data, np.uint8).reshape(entries, 4 + first)[:, :4]
        if (lengths == lengths[:1]).all():  # of keys and signatures, all are alike
            return first
    for _ in range(entries):
        length = int.from_bytes(data[place : place + 4], "little")
        longest, place = max(longest, length), place + 4 + length
        if place > len(data):
            raise BadPage(f"a dictionary of {entries:,} values that its {len(data):,} bytes do not hold")
    return longest


def _values(header: Struct) -> int:
    """The values of a page, none for one that is no data."""
    place = {_DATA: 5, _DATA_V2: 8}.get(_number(header, 1))
    return 0 if place is None else _number(header.get(place, {}), 1)


def _encoding(header: Struct) -> int | None:
    encoding: int | None = header.get(5, {}).get(2, header.get(8, {}).get(4))
    return encoding


def _number(struct: Struct, field: int) -> int:
    value = struct.get(field)
    if not isinstance(value, int) or value < 0:
        raise BadPage(f"a number that is {'missing' if value is None else value}, in field {field}")
    return value


def _header(descriptor: int, place: int, end: int) -> tuple[Struct, int]:
    """The header at a place, and its length."""
    window = _WINDOW
    while place < end:
        data = os.pread(descriptor, min(window, end - place), place)
        try:
            return read_struct(data, _PAGE)
        except Truncated:
            if window >= _LARGEST_HEADER or len(data) < window:
                break
            window *= 4
        except BadThrift as error:
            raise BadPage(f"at byte {place:,}, {error}") from None
    raise BadPage(f"no whole header of a page at byte {place:,}")
