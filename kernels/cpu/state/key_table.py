# SPDX-License-Identifier: GPL-3.0-or-later
"""Byte strings numbered densely, exactly: equal strings have one number, different strings have two.

A hash of 64 bits under a secret of the process places a string in a table with open addressing; equality is decided on
the bytes. Each string has a record of one cache line, `INLINE` bytes of it in place and its length, so that a usual key
is hashed, compared and stored a line at a time. Longer strings lie in an arena.

Threads find without a lock: a slot appears, with release, after the record that it names. Adding takes a lock. Nothing
grows here, since others may be reading: `FULL` is answered, and `supervm.kernels.keys` grows the arrays between calls.

Compiled functions get the address of the table's words (int64), by name:
"""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.kernels.cpu.lanes.addresses import (
    LINE,
    acquire64,
    clear_line,
    copy,
    copy_line,
    exchange_if,
    fold_product,
    lines_equal,
    load8,
    load32,
    load64,
    pause,
    prefetch_address,
    release64,
    shifted_down,
    store32,
    store64,
)

(SLOTS, MASK, RECORDS, CAPACITY, COUNT, ARENA, ARENA_SIZE, ARENA_USED, LOCK, SEEDS) = range(10)
"""Words of a table: address of the slots (hash ‖ number + 1, 64 bits) and their number − 1; of the records; how many
records fit and are taken; the arena with its size and the bytes taken; the lock; eight words of secret."""

TABLE_WORDS = SEEDS + 8

INLINE = 60
"""Bytes of a string that lie in its record."""

LENGTH = 60
"""Where in a record the length stands, 32 bits; a longer string's record begins with its place in the arena."""

ABSENT = -1
FULL = -2

GROUP = 16
"""Strings that `intern_rows` looks up side by side, so that their cache misses overlap."""

_NUMBER = 0xFFFFFFFF
_TAG = ~_NUMBER


@njit(cache=True, inline="always")
def word(table: Any, index: Any) -> Any:
    """A word of the table."""
    return load64(table + 8 * index)


@njit(cache=True)
def write_record(record: Any, data: Any, length: Any) -> None:
    """The record that looks for a string of `length` bytes at `data`."""
    clear_line(record)
    if length <= INLINE:
        copy(record, data, length)
    store32(record + LENGTH, length)


@njit(cache=True)
def hash_string(table: Any, record: Any, data: Any) -> Any:
    """The 64-bit hash of the string at `data` with this record."""
    seeds = table + 8 * SEEDS
    length = load32(record + LENGTH)
    if length <= INLINE:
        total = fold_product(load64(record) ^ load64(seeds), load64(record + 8) ^ load64(seeds + 8))
        total ^= fold_product(
            load64(record + 16) ^ load64(seeds + 16), load64(record + 24) ^ load64(seeds + 24)
        )
        total ^= fold_product(
            load64(record + 32) ^ load64(seeds + 32), load64(record + 40) ^ load64(seeds + 40)
        )
        total ^= fold_product(
            load64(record + 48) ^ load64(seeds + 48), load64(record + 56) ^ load64(seeds + 56)
        )
        return fold_product(total ^ load64(seeds + 8), load64(seeds) | 1)
    total = fold_product(length ^ load64(seeds), load64(seeds + 8))
    whole = length & ~7
    for at in range(0, whole, 8):
        total = fold_product(total ^ load64(data + at), load64(seeds + 16) | 1) ^ load64(seeds + 24)
    last = 0
    for at in range(whole, length):
        last = (last << 8) | load8(data + at)
    return fold_product(total ^ last, load64(seeds + 32) | 1)


@njit(cache=True)
def bytes_equal(one: Any, other: Any, length: Any) -> bool:
    """Whether two areas of `length` bytes are equal."""
    whole = length & ~7
    for at in range(0, whole, 8):
        if load64(one + at) != load64(other + at):
            return False
    for at in range(whole, length):  # noqa: SIM110 (compiled code has no generators)
        if load8(one + at) != load8(other + at):
            return False
    return True


@njit(cache=True)
def _same(table: Any, number: Any, record: Any, data: Any) -> bool:
    held = word(table, RECORDS) + LINE * number
    length = load32(record + LENGTH)
    if length <= INLINE:
        return lines_equal(held, record)
    if load32(held + LENGTH) != length:
        return False
    return bytes_equal(word(table, ARENA) + load64(held), data, length)


@njit(cache=True)
def _probe(table: Any, record: Any, data: Any, digest: Any) -> Any:
    """The number of a string, or −3 − the slot where it would go."""
    slots, mask = word(table, SLOTS), word(table, MASK)
    slot = shifted_down(digest, 32) & mask
    while True:
        entry = acquire64(slots + 8 * slot)
        if entry == 0:
            return -3 - slot
        if ((entry ^ digest) & _TAG) == 0 and _same(table, (entry & _NUMBER) - 1, record, data):
            return (entry & _NUMBER) - 1
        slot = (slot + 1) & mask


@njit(cache=True)
def find(table: Any, record: Any, data: Any) -> Any:
    """The number of the string at `data` with this record, or `ABSENT`."""
    found = _probe(table, record, data, hash_string(table, record, data))
    return found if found >= 0 else ABSENT


@njit(cache=True)
def intern(table: Any, record: Any, data: Any) -> Any:
    """The number of the string at `data` with this record, a new one if need be; `FULL` if there is no room."""
    return _intern(table, record, data, hash_string(table, record, data))


@njit(cache=True)
def _intern(table: Any, record: Any, data: Any, digest: Any) -> Any:
    found = _probe(table, record, data, digest)
    if found >= 0:
        return found
    lock = table + 8 * LOCK
    while not exchange_if(lock, 0, 1):
        pause()
    # Another thread may have added it, or taken the slot, since.
    found = _probe(table, record, data, digest)
    if found < 0:
        found = _add(table, record, data, digest, -3 - found)
    release64(lock, 0)
    return found


@njit(cache=True)
def _add(table: Any, record: Any, data: Any, digest: Any, slot: Any) -> Any:
    number, used = word(table, COUNT), word(table, ARENA_USED)
    length = load32(record + LENGTH)
    if number >= word(table, CAPACITY):
        return FULL
    held = word(table, RECORDS) + LINE * number
    copy_line(held, record)
    if length > INLINE:
        if used + ((length + 7) & ~7) > word(table, ARENA_SIZE):
            return FULL
        copy(word(table, ARENA) + used, data, length)
        store64(held, used)
        store64(table + 8 * ARENA_USED, used + ((length + 7) & ~7))
    store64(table + 8 * COUNT, number + 1)
    release64(word(table, SLOTS) + 8 * slot, (digest & _TAG) | (number + 1))
    return number


@njit(cache=True)
def string_address(table: Any, number: Any) -> Any:
    """Where the bytes of a string lie."""
    held = word(table, RECORDS) + LINE * number
    return held if load32(held + LENGTH) <= INLINE else word(table, ARENA) + load64(held)


@njit(cache=True)
def string_length(table: Any, number: Any) -> Any:
    """How many bytes a string has."""
    return load32(word(table, RECORDS) + LINE * number + LENGTH)


@njit(nogil=True, cache=True)
def intern_rows(
    table: Any, scratch: Any, data: Any, offsets: Any, start: Any, stop: Any, add: Any, out: Any
) -> Any:
    """Number the strings data[offsets[i]:offsets[i + 1]] for i from `start` below `stop` into `out`.

    Args:
        scratch: address of `GROUP` records and as many words.
        add: whether unknown strings get a number; they are `ABSENT` otherwise.

    Returns:
        `stop`, or the first string for which there was no room.
    """
    digests = scratch + GROUP * LINE
    base = data.ctypes.data
    for first in range(start, stop, GROUP):
        last = min(first + GROUP, stop)
        for item in range(first, last):
            record = scratch + LINE * (item - first)
            write_record(record, base + offsets[item], offsets[item + 1] - offsets[item])
            digest = hash_string(table, record, base + offsets[item])
            store64(digests + 8 * (item - first), digest)
            prefetch_address(word(table, SLOTS) + 8 * (shifted_down(digest, 32) & word(table, MASK)))
        for item in range(first, last):
            slot = shifted_down(load64(digests + 8 * (item - first)), 32) & word(table, MASK)
            entry = load64(word(table, SLOTS) + 8 * slot)
            prefetch_address(word(table, RECORDS) + LINE * ((entry & _NUMBER) - 1))
        for item in range(first, last):
            record = scratch + LINE * (item - first)
            digest = load64(digests + 8 * (item - first))
            if add:
                number = _intern(table, record, base + offsets[item], digest)
                if number == FULL:
                    return item
            else:
                number = max(_probe(table, record, base + offsets[item], digest), ABSENT)
            out[item] = number
    return stop


@njit(nogil=True, cache=True)
def place_all(table: Any) -> None:
    """Enter every string into empty slots, after they grew."""
    slots, mask = word(table, SLOTS), word(table, MASK)
    for number in range(word(table, COUNT)):
        record = word(table, RECORDS) + LINE * number
        digest = hash_string(table, record, string_address(table, number))
        slot = shifted_down(digest, 32) & mask
        while load64(slots + 8 * slot) != 0:
            slot = (slot + 1) & mask
        store64(slots + 8 * slot, (digest & _TAG) | (number + 1))


@njit(nogil=True, cache=True)
def copy_strings(table: Any, numbers: Any, offsets: Any, data: Any) -> None:
    """Copy the strings of these numbers to data[offsets[i]:offsets[i + 1]]."""
    base = data.ctypes.data
    for item in range(numbers.size):
        copy(base + offsets[item], string_address(table, numbers[item]), offsets[item + 1] - offsets[item])
