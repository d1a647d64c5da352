# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of Arrow IPC, looked at before pyarrow reads them: what they announce must be there, and fit.

pyarrow reserves what a message announces, before it looks at what is there: a few bytes can ask for any amount. A body may
not reach beyond the file, its buffers not beyond the body, and compressed buffers not announce more than `most` bytes, or
`RATIO` times the body where that is more. Source: Apache Arrow, `Message.fbs`, `File.fbs`, "IPC message format"; the
encoding is that of FlatBuffers.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

RATIO = 32
"""By what compressed signatures may grow; random bytes do not, hexadecimal digits double."""

MOST_METADATA = 64 << 20
"""Bytes of a message's description."""

MOST_STREAMED = 1 << 30
"""Bytes of a message's body in a pipe, which has to be held."""

CONTINUATION = b"\xff\xff\xff\xff"

_DICTIONARY, _RECORDS = 2, 3
_MOST_FIELDS = 16
_COMPRESSED_HEAD = 8
_NOT_COMPRESSED = -1
_BLOCK = np.dtype([("offset", "<i8"), ("metadata", "<i4"), ("pad", "<i4"), ("body", "<i8")])
_BUFFER = np.dtype([("offset", "<i8"), ("length", "<i8")])


class BadMessage(ValueError):
    """Bytes that are no message, or one that announces what cannot be."""


class _Table:
    """A table of FlatBuffers, every access to which stays within its bytes."""

    def __init__(self, data: memoryview, place: int) -> None:
        self._data, self._place = data, place
        self._fields: list[int] = []
        vtable = place - self._number("<i", place)
        size = self._number("<H", vtable)
        for field in range(min(_MOST_FIELDS, (size - 4) // 2)):
            self._fields.append(self._number("<H", vtable + 4 + 2 * field))

    @classmethod
    def root(cls, data: memoryview) -> _Table:
        return cls(data, _unpacked(data, "<I", 0))

    def number(self, field: int, form: str) -> int:
        """A scalar; 0 where it is absent."""
        place = self._of(field)
        return self._number(form, place) if place else 0

    def table(self, field: int) -> _Table | None:
        """A table within, or None."""
        place = self._of(field)
        return _Table(self._data, place + self._number("<I", place)) if place else None

    def structures(self, field: int, kind: np.dtype[np.void]) -> np.ndarray[tuple[int], np.dtype[np.void]]:
        """A vector of structures; empty where it is absent."""
        place = self._of(field)
        if not place:
            return np.empty(0, kind)
        start = place + self._number("<I", place)
        count = self._number("<I", start)
        if start + 4 + count * kind.itemsize > len(self._data):
            raise BadMessage(f"a list of {count:,} entries that its {len(self._data):,} bytes cannot hold")
        return np.frombuffer(self._data, kind, count, start + 4)

    def _of(self, field: int) -> int:
        offset = self._fields[field] if field < len(self._fields) else 0
        return self._place + offset if offset else 0

    def _number(self, form: str, place: int) -> int:
        return _unpacked(self._data, form, place)


@dataclass(frozen=True)
class Block:
    """Where a message of a file lies: its first byte, the bytes of its description, prefix included, and of its body."""

    offset: int
    metadata: int
    body: int


def body_length(metadata: memoryview) -> int:
    """The length of the body that follows a description."""
    length = _Table.root(metadata).number(3, "<q")
    if length < 0:
        raise BadMessage(f"a body of {length:,} bytes")
    return length


def check_message(metadata: memoryview, body: Callable[[int, int], memoryview], most: int) -> None:
    """Check the record batch or dictionary that a message holds; other messages have no body to reserve for.

    Args:
        metadata: its description.
        body: (first byte, count) → bytes of its body.
        most: bytes that its compressed buffers may announce in all, however small they are.

    Raises:
        BadMessage: a buffer lies outside the body, or they announce more.
    """
    message = _Table.root(metadata)
    kind, length = message.number(1, "<B"), body_length(metadata)
    batch = message.table(2)
    if kind == _DICTIONARY and batch is not None:
        batch = batch.table(1)
    if kind not in (_DICTIONARY, _RECORDS) or batch is None:
        return
    buffers = batch.structures(2, _BUFFER)
    starts, sizes = buffers["offset"], buffers["length"]
    if len(buffers) and not ((starts >= 0) & (sizes >= 0) & (starts <= length - sizes)).all():
        raise BadMessage(f"a buffer outside the {length:,} bytes of its message")
    if batch.table(3) is None:
        return
    announced = 0
    for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
        if size:
            announced += _announced(body, start, size)
    limit = max(most, RATIO * length)
    if announced > limit:
        raise BadMessage(f"{announced:,} bytes in {length:,} compressed ones; at most {limit:,} are taken")


def blocks_of(footer: memoryview, end: int) -> tuple[list[Block], list[Block]]:
    """The dictionaries and the record batches of a file, by its footer.

    Args:
        end: where the footer begins.

    Raises:
        BadMessage: it is no footer, or one of a file that is larger.
    """
    table = _Table.root(footer)
    found: list[list[Block]] = []
    for field in (2, 3):
        rows = table.structures(field, _BLOCK)
        offsets, metadata, body = (rows[name].astype(np.int64) for name in ("offset", "metadata", "body"))
        inside = (offsets >= 8) & (metadata >= 8) & (body >= 0) & (body <= end) & (offsets <= end)
        if not (inside & (offsets + metadata + np.where(inside, body, 0) <= end)).all():
            raise BadMessage(f"a message outside the {end:,} bytes before the footer")
        found.append(
            [Block(*row) for row in zip(offsets.tolist(), metadata.tolist(), body.tolist(), strict=True)]
        )
    return found[0], found[1]


def _announced(body: Callable[[int, int], memoryview], start: int, size: int) -> int:
    """The bytes that a compressed buffer says it has without compression."""
    if size < _COMPRESSED_HEAD:
        raise BadMessage(f"a compressed buffer of {size} bytes, which does not tell its length")
    (length,) = struct.unpack("<q", body(start, _COMPRESSED_HEAD))
    if length < _NOT_COMPRESSED:
        raise BadMessage(f"a compressed buffer of {length:,} bytes")
    return size if length == _NOT_COMPRESSED else int(length)


def _unpacked(data: memoryview, form: str, place: int) -> int:
    if not 0 <= place <= len(data) - struct.calcsize(form):
        raise BadMessage(f"a reference to byte {place:,} of {len(data):,}")
    value: int = struct.unpack_from(form, data, place)[0]
    return value
