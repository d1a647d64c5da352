# SPDX-License-Identifier: GPL-3.0-or-later
"""RLP written to memory by address: as `rlp`, from the last byte to the first, for columns of many small items.

The functions take the address of the first byte already written, and return the address after putting an item in front of
it. Whoever calls them has room. Source: the Yellow Paper, appendix B.
"""

from __future__ import annotations

from numba import njit

from supervm.engine.ethereum.rlp import STRING
from supervm.kernels.cpu.lanes.addresses import copy, load8, store8

WORD = 32


@njit(nogil=True, cache=True)
def put_header_at(p, length, kind):  # type: ignore[no-untyped-def]
    """The header of a string or list (`kind`) whose payload of `length` bytes starts at `p`."""
    if length < 56:
        store8(p - 1, kind + length)
        return p - 1
    first = p
    while length > 0:
        first -= 1
        store8(first, length & 0xFF)
        length >>= 8
    store8(first - 1, kind + 55 + (p - first))
    return first - 1


@njit(nogil=True, cache=True)
def put_string_at(p, source, size):  # type: ignore[no-untyped-def]
    """`size` bytes at `source` as a string; one byte below 0x80 is its own encoding."""
    copy(p - size, source, size)
    if size == 1 and load8(source) < STRING:
        return p - 1
    return put_header_at(p - size, size, STRING)


@njit(nogil=True, cache=True)
def put_word_at(p, source):  # type: ignore[no-untyped-def]
    """32 bytes as a string."""
    copy(p - WORD, source, WORD)
    store8(p - WORD - 1, STRING + WORD)
    return p - WORD - 1


@njit(nogil=True, cache=True)
def put_integer_at(p, source, size):  # type: ignore[no-untyped-def]
    """A big-endian integer of `size` bytes: without leading zeros, zero as the empty string."""
    while size > 0 and load8(source) == 0:
        source += 1
        size -= 1
    return put_string_at(p, source, size)


@njit(nogil=True, cache=True)
def header_size(length):  # type: ignore[no-untyped-def]
    """Bytes of the header of a string or list of `length` bytes."""
    size = 1
    if length >= 56:
        while length > 0:
            size += 1
            length >>= 8
    return size
