# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing and reading the canonical encoding of transactions, version 1: the compiled side.

`supervm.engine.transactions.encoding` prepares the arrays; nothing here checks an argument.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# mypy: disallow_untyped_defs=False

VERSION = 1
PRIVATE, DECLARED = 1, 2

HEAD_BYTES = 107
"""Bytes of the fields of fixed size, version to gas price."""

FIELD_STARTS = (0, 1, 2, 3, 11, 31, 39, 59, 91, 99, HEAD_BYTES)
"""Where each of them begins, and where the last one ends."""

VERSION_FAULT, FLAGS_FAULT, TRUNCATED, TRAILING = 1, 2, 3, 4

ENTRY, INPUT, OBJECTS, READS, READ_BYTES, WRITES, WRITE_BYTES, PROOF, SIGNATURE = range(9)
SIZES = 9
"""Numbers of what a message holds: bytes of each string, items of each list, bytes of all keys of a list."""


@njit(nogil=True, cache=True)
def _put(out, p, value, count):
    """The integer in `count` bytes, big-endian; the position after it."""
    to, last = np.uint64(p), np.uint64(count - 1)
    for k in range(np.uint64(count)):
        out[to + k] = value >> np.uint64(8) * (last - k) & np.uint64(0xFF)
    return p + count


@njit(nogil=True, cache=True)
def _copy(out, p, data, begin, end):
    # Unsigned, since a test for a negative index in the loop would keep it from being copied in words.
    to, source = np.uint64(p), np.uint64(begin)
    for k in range(np.uint64(end - begin)):
        out[to + k] = data[source + k]
    return p + end - begin


@njit(nogil=True, cache=True)
def _put_string(out, p, length_bytes, column, i):
    data, offsets = column
    begin, end = offsets[i], offsets[i + 1]
    p = _put(out, p, np.uint64(end - begin), length_bytes)
    return _copy(out, p, data, begin, end)


@njit(nogil=True, cache=True)
def _put_keys(out, p, column, i):
    offsets, data, key_offsets = column
    p = _put(out, p, np.uint64(offsets[i + 1] - offsets[i]), 2)
    for key in range(offsets[i], offsets[i + 1]):
        p = _put_string(out, p, 2, (data, key_offsets), key)
    return p


@njit(nogil=True, cache=True)
def write(tag, signed, numbers, addresses, flags, strings, objects, reads, writes, starts, out, start, stop):
    """Transactions start … stop − 1, each to out[starts[i]:].

    Args:
        tag: uint8 (t,), before each.
        signed: whether the signature is written.
        numbers: (chain_id, nonce, gas_limit, gas_price).
        addresses: (sender, to, value), uint8 rows.
        flags: (private, declared, scheme).
        strings: (data, offsets) of entry, input, proof and signature.
        objects: (offsets, ids).
        reads, writes: (offsets, data of the keys, offsets of the keys).
    """
    chain_id, nonce, gas_limit, gas_price = numbers
    sender, to, value = addresses
    private, declared, scheme = flags
    entry, data, proof, signature = strings
    object_offsets, ids = objects
    for i in range(start, stop):
        p = _copy(out, starts[i], tag, 0, tag.size)
        out[p] = VERSION
        out[p + 1] = (PRIVATE if private[i] else 0) | (DECLARED if declared[i] else 0)
        out[p + 2] = scheme[i]
        p = _put(out, p + 3, chain_id[i], 8)
        p = _copy(out, p, sender[i], 0, 20)
        p = _put(out, p, nonce[i], 8)
        p = _copy(out, p, to[i], 0, 20)
        p = _copy(out, p, value[i], 0, 32)
        p = _put(out, p, gas_limit[i], 8)
        p = _put(out, p, gas_price[i], 8)
        p = _put_string(out, p, 2, entry, i)
        p = _put_string(out, p, 4, data, i)
        p = _put(out, p, np.uint64(object_offsets[i + 1] - object_offsets[i]), 2)
        for item in range(object_offsets[i], object_offsets[i + 1]):
            p = _copy(out, p, ids[item], 0, 32)
        if declared[i]:
            p = _put_keys(out, p, reads, i)
            p = _put_keys(out, p, writes, i)
        p = _put_string(out, p, 4, proof, i)
        if signed:
            p = _put_string(out, p, 2, signature, i)


@njit(nogil=True, cache=True)
def _number(data, p, count):
    """The big-endian integer of `count` bytes, up to 8."""
    at, value = np.uint64(p), np.uint64(0)
    for k in range(np.uint64(count)):
        value = value << np.uint64(8) | np.uint64(data[at + k])
    return value


@njit(nogil=True, cache=True)
def _skip_items(data, p, end, length_bytes, item_bytes):
    """(number, position after as many items of `item_bytes` bytes), or (−1, p) if the message ends before."""
    if end - p < length_bytes:
        return np.int64(-1), p
    count = np.int64(_number(data, p, length_bytes))
    if (end - p - length_bytes) // item_bytes < count:
        return np.int64(-1), p
    return count, p + length_bytes + count * item_bytes


@njit(nogil=True, cache=True)
def _skip_keys(data, p, end):
    """(number of keys, their bytes, position after them), or (−1, 0, start of what is cut)."""
    if end - p < 2:
        return np.int64(-1), np.int64(0), p
    count, held = np.int64(_number(data, p, 2)), np.int64(0)
    p += 2
    for _ in range(count):
        length, p = _skip_items(data, p, end, 2, 1)
        if length < 0:
            return np.int64(-1), np.int64(0), p
        held += length
    return count, held, p


@njit(nogil=True, cache=True)
def _head_fault(data, begin, end):
    """(fault, its place in the message) of the fields of fixed size; fault 0 if there is none."""
    if end > begin and data[begin] != VERSION:
        return VERSION_FAULT, np.int64(0)
    if end > begin + 1 and data[begin + 1] > (PRIVATE | DECLARED):
        return FLAGS_FAULT, np.int64(1)
    if end - begin < HEAD_BYTES:
        place = np.int64(0)
        for k in range(len(FIELD_STARTS)):
            if FIELD_STARTS[k] <= end - begin:
                place = np.int64(FIELD_STARTS[k])
        return TRUNCATED, place
    return 0, np.int64(0)


@njit(nogil=True, cache=True)
def _measure(data, begin, end, sizes):
    """Fill in what one message holds, but zeros of lists that are not declared; (fault, its place in the message)."""
    fault, place = _head_fault(data, begin, end)
    if fault:
        return fault, place
    sizes[ENTRY], p = _skip_items(data, begin + HEAD_BYTES, end, 2, 1)
    if sizes[ENTRY] < 0:
        return TRUNCATED, p - begin
    sizes[INPUT], p = _skip_items(data, p, end, 4, 1)
    if sizes[INPUT] < 0:
        return TRUNCATED, p - begin
    sizes[OBJECTS], p = _skip_items(data, p, end, 2, 32)
    if sizes[OBJECTS] < 0:
        return TRUNCATED, p - begin
    if data[begin + 1] & DECLARED:
        sizes[READS], sizes[READ_BYTES], p = _skip_keys(data, p, end)
        if sizes[READS] < 0:
            return TRUNCATED, p - begin
        sizes[WRITES], sizes[WRITE_BYTES], p = _skip_keys(data, p, end)
        if sizes[WRITES] < 0:
            return TRUNCATED, p - begin
    sizes[PROOF], p = _skip_items(data, p, end, 4, 1)
    if sizes[PROOF] < 0:
        return TRUNCATED, p - begin
    sizes[SIGNATURE], p = _skip_items(data, p, end, 2, 1)
    if sizes[SIGNATURE] < 0:
        return TRUNCATED, p - begin
    if p != end:
        return TRAILING, p - begin
    return 0, np.int64(0)


@njit(nogil=True, cache=True)
def measure(data, offsets, start, stop, faults, places, bounds):
    """What messages start … stop − 1 hold, or why they are not encodings: a fault and its place.

    bounds: int64 (SIZES, n + 1), zeros; what message i holds goes to bounds[:, i + 1].
    """
    for i in range(start, stop):
        fault, place = _measure(data, offsets[i], offsets[i + 1], bounds[:, i + 1])
        faults[i] = fault
        places[i] = place


@njit(nogil=True, cache=True)
def _take_string(data, p, length_bytes, column, k):
    """Copy the string at p to row k of the column; the position after it."""
    out, offsets = column
    length = offsets[k + 1] - offsets[k]
    _copy(out, offsets[k], data, p + length_bytes, p + length_bytes + length)
    return p + length_bytes + length


@njit(nogil=True, cache=True)
def _take_keys(data, p, column, k):
    """Copy the keys at p to row k of (offsets, first byte of each row, data, offsets of the keys)."""
    offsets, first, out, key_offsets = column
    p += 2
    at = first[k]
    for key in range(offsets[k], offsets[k + 1]):
        length = np.int64(_number(data, p, 2))
        _copy(out, at, data, p + 2, p + 2 + length)
        p += 2 + length
        at += length
        key_offsets[key + 1] = at
    return p


@njit(nogil=True, cache=True)
def read(data, offsets, rows, numbers, addresses, flags, strings, objects, reads, writes, start, stop):
    """Messages rows[start … stop − 1] to rows start … stop − 1 of the columns, which have the measured sizes.

    The columns come as `write` has them; those of keys have the first byte of each row besides.
    """
    chain_id, nonce, gas_limit, gas_price = numbers
    sender, to, value = addresses
    private, declared, scheme = flags
    entry, payload, proof, signature = strings
    object_offsets, ids = objects
    for k in range(start, stop):
        p = offsets[rows[k]]
        private[k] = data[p + 1] & PRIVATE
        declared[k] = data[p + 1] & DECLARED
        scheme[k] = data[p + 2]
        chain_id[k] = _number(data, p + 3, 8)
        _copy(sender[k], 0, data, p + 11, p + 31)
        nonce[k] = _number(data, p + 31, 8)
        _copy(to[k], 0, data, p + 39, p + 59)
        _copy(value[k], 0, data, p + 59, p + 91)
        gas_limit[k] = _number(data, p + 91, 8)
        gas_price[k] = _number(data, p + 99, 8)
        p = _take_string(data, p + HEAD_BYTES, 2, entry, k)
        p = _take_string(data, p, 4, payload, k) + 2
        for item in range(object_offsets[k], object_offsets[k + 1]):
            _copy(ids[item], 0, data, p, p + 32)
            p += 32
        if declared[k]:
            p = _take_keys(data, p, reads, k)
            p = _take_keys(data, p, writes, k)
        p = _take_string(data, p, 4, proof, k)
        _take_string(data, p, 2, signature, k)
