# SPDX-License-Identifier: GPL-3.0-or-later
"""RLP, written from columns into one buffer.

Everything is written from the last byte to the first: the header of a string or list follows its payload, so
that its length is known without a pass for sizes. Source: the Yellow Paper, appendix B.

The functions take the buffer and the position of the first byte already written, and return the position
after putting an item in front of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from numba import njit

STRING = 0x80
LIST = 0xC0
MAX_HEADER = 9


def encoded_list(items: Sequence[bytes]) -> bytes:
    """A list of strings, for what a block has once; columns are written by the kernels below."""
    return listed([encoded_string(item) for item in items])


def encoded_string(item: bytes) -> bytes:
    """A string; one byte below 0x80 is its own encoding."""
    return item if len(item) == 1 and item[0] < STRING else _headed(item, STRING)


def listed(items: Sequence[bytes]) -> bytes:
    """A list of items that are encoded already."""
    return _headed(b"".join(items), LIST)


def shortest(number: int) -> bytes:
    """An integer as a string: big-endian without leading zeros, zero as the empty string."""
    return number.to_bytes((number.bit_length() + 7) // 8)


def _headed(payload: bytes, kind: int) -> bytes:
    if len(payload) < 56:
        return bytes([kind + len(payload)]) + payload
    size = shortest(len(payload))
    return bytes([kind + 55 + len(size)]) + size + payload


@njit(nogil=True, cache=True)
def put_header(out, position, length, kind):  # type: ignore[no-untyped-def]
    """The header of a string or list (`kind`) whose payload of `length` bytes starts at `position`."""
    if length < 56:
        out[position - 1] = kind + length
        return position - 1
    first = position
    while length > 0:
        first -= 1
        out[first] = length & 0xFF
        length >>= 8
    out[first - 1] = kind + 55 + (position - first)
    return first - 1


@njit(nogil=True, cache=True)
def put_raw(out, position, data, start, stop):  # type: ignore[no-untyped-def]
    """Bytes `data[start:stop]` as they are."""
    first = position - (stop - start)
    for k in range(stop - start):
        out[first + k] = data[start + k]
    return first


@njit(nogil=True, cache=True)
def put_string(out, position, data, start, stop):  # type: ignore[no-untyped-def]
    """Bytes `data[start:stop]` as a string; one byte below 0x80 is its own encoding."""
    if stop - start == 1 and data[start] < STRING:
        out[position - 1] = data[start]
        return position - 1
    return put_header(out, put_raw(out, position, data, start, stop), stop - start, STRING)


@njit(nogil=True, cache=True)
def put_integer(out, position, word):  # type: ignore[no-untyped-def]
    """A big-endian word as an integer: its bytes without leading zeros, zero as the empty string."""
    start = 0
    while start < len(word) and word[start] == 0:
        start += 1
    return put_string(out, position, word, start, len(word))
