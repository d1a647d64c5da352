# SPDX-License-Identifier: GPL-3.0-or-later
"""How records are packed: keys and values as columns, and a checksum over each record.

Pairs of keys and values are packed as six columns, little-endian, with a present bit per pair in a commit:

    count uint32 ‖ bytes of keys uint64 ‖ bytes of values uint64 ‖ key lengths uint16 (m) ‖ value lengths uint32 (m) ‖
    present bits (⌈m / 8⌉, commits only, most significant bit first) ‖ keys ‖ values

A sealed record is its body followed by the CRC-32 (zlib) of the record's key in the database and the body, so that a
record that lies under another record's key is damaged too. Nothing here knows the database.
"""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from supervm.crypto.messages import Messages
from supervm.engine.storage.commit import ROOT_BYTES, Commit

PAGE_KEYS = 65_536
"""Most keys of one page of a checkpoint."""
PAGE_BYTES = 1 << 20
"""Most packed bytes of one page: a write of this size keeps the interpreter's lock for about a millisecond."""

_CRC = struct.Struct("<I")
_COLUMNS = struct.Struct("<IQQ")
_COMMIT = struct.Struct(f"<QQ{ROOT_BYTES}sQQ")
_PAIR_BYTES = 6  # the two lengths


class Damaged(Exception):
    """A record is not what was written; whoever read it knows its name and raises `StorageCorrupt`."""


@dataclass(frozen=True, slots=True)
class Logged:
    """A commit as it was read from the log, and the bytes logged up to and with it."""

    commit: Commit
    logged: int


def sealed(key: bytes, body: bytes) -> bytes:
    """`body` with its checksum; the CRC runs without the interpreter's lock, and the body is copied once."""
    return b"".join((body, _CRC.pack(zlib.crc32(body, zlib.crc32(key)))))


def unsealed(key: bytes, record: bytes) -> memoryview:
    """The body of a sealed record.

    Raises:
        Damaged: it is too short, or the checksum differs.
    """
    body = memoryview(record)[: -_CRC.size]
    if len(record) < _CRC.size or _CRC.unpack_from(record, len(body))[0] != zlib.crc32(body, zlib.crc32(key)):
        raise Damaged("its checksum differs")
    return body


def packed_commit(commit: Commit, logged: int) -> bytes:
    """The body of a checked commit's record; one copy of its columns.

    Args:
        commit: what to pack.
        logged: bytes logged before it.
    """
    parts = _columns(commit.keys, commit.values, np.packbits(commit.present))
    size = _COMMIT.size + sum(part.nbytes for part in parts)
    header = _COMMIT.pack(
        commit.sequence, commit.height, commit.root, commit.timestamp, logged + size + _CRC.size
    )
    return b"".join((header, *parts))


def logged_by(body: bytes) -> int:
    """Bytes logged up to and with the commit packed in `body`."""
    return int(_COMMIT.unpack_from(body)[4])


def unpacked_commit(body: memoryview) -> Logged:
    """The commit in a record's body, in arrays of its own.

    Raises:
        Damaged: the body is not one of a commit.
    """
    try:
        sequence, height, root, timestamp, logged = _COMMIT.unpack_from(body)
    except struct.error as error:
        raise Damaged(f"commit: {error}") from None
    keys, values, bits = _pairs(body[_COMMIT.size :], with_bits=True)
    present = np.unpackbits(bits, count=len(keys)).astype(np.bool_)
    return Logged(Commit(sequence, height, root, timestamp, keys, values, present), logged)


def packed_pages(keys: Messages, values: Messages) -> Iterator[tuple[bytes, int]]:
    """Bodies of pages that hold these pairs in order, each with its number of keys."""
    key_ends, value_ends = keys.offsets, values.offsets
    sizes = key_ends + value_ends + _PAIR_BYTES * np.arange(key_ends.size)
    start, count = 0, len(keys)
    while start < count:
        fit = int(np.searchsorted(sizes, sizes[start] + PAGE_BYTES, side="right")) - 1
        stop = min(max(fit, start + 1), start + PAGE_KEYS, count)
        part = slice(start, stop + 1)
        page = _columns(Messages(keys.data, key_ends[part]), Messages(values.data, value_ends[part]), None)
        yield b"".join(page), stop - start
        start = stop


def unpacked_page(body: memoryview) -> tuple[Messages, Messages]:
    """Keys and values of a page, in arrays of their own.

    Raises:
        Damaged: the body is not one of a page.
    """
    keys, values, _ = _pairs(body, with_bits=False)
    return keys, values


def _columns(keys: Messages, values: Messages, bits: npt.NDArray[np.uint8] | None) -> list[memoryview]:
    """The columns of pairs, ready to be joined; the two data columns are views."""
    key_data = keys.data[keys.offsets[0] : keys.offsets[-1]]
    value_data = values.data[values.offsets[0] : values.offsets[-1]]
    columns = [
        np.diff(keys.offsets).astype("<u2"),
        np.diff(values.offsets).astype("<u4"),
        *(() if bits is None else (bits,)),
        key_data,
        value_data,
    ]
    counts = _COLUMNS.pack(len(keys), key_data.size, value_data.size)
    return [memoryview(counts), *(column.data for column in columns)]


def _pairs(body: memoryview, *, with_bits: bool) -> tuple[Messages, Messages, npt.NDArray[np.uint8]]:
    """Keys, values and present bits of packed columns."""
    if len(body) < _COLUMNS.size:
        raise Damaged(f"{len(body)} bytes of columns")
    count, key_bytes, value_bytes = _COLUMNS.unpack_from(body)
    bit_bytes = -(-count // 8) if with_bits else 0
    ends = np.cumsum([_COLUMNS.size, 2 * count, 4 * count, bit_bytes, key_bytes, value_bytes]).tolist()
    if ends[-1] != len(body):
        raise Damaged(f"{len(body)} bytes of columns, {ends[-1]} expected")
    key_lengths, value_lengths, bits, key_data, value_data = (
        np.frombuffer(body[start:stop], np.uint8) for start, stop in itertools.pairwise(ends)
    )
    keys = _messages(key_lengths.view("<u2"), key_data)
    return keys, _messages(value_lengths.view("<u4"), value_data), bits


def _messages(lengths: npt.NDArray[Any], data: npt.NDArray[np.uint8]) -> Messages:
    """Messages of these lengths; the data is copied, since callers may write to what they are given."""
    offsets = np.zeros(lengths.size + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    if offsets[-1] != data.size:
        raise Damaged(f"lengths add up to {offsets[-1]}, {data.size} expected")
    return Messages(data.copy(), offsets)
