# SPDX-License-Identifier: GPL-3.0-or-later
"""Waves of some transactions, checked against their true predecessors in one pass over the block.

Only the keys of the sampled transactions are followed: a small table holds, for each, the level (1 + the wave) of
its last writer and, for `locking`, the highest level among the readers since. A bit filter before the table sends
all other accesses on. Bits and slots are found by a mixed key or by a digest under the secret of the process; whole
keys decide equality.

A sampled wave is compared with the waves that the result gives to its predecessors, right or wrong: where those are
wrong, they or predecessors of theirs are what a sample has to hit.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from supervm.kernels.accesses import Accesses
from supervm.kernels.cpu.conflicts.partition import folded_product, mix, random_mixer

NONE = np.int64(-(1 << 62))
"""No writer, or no reader since: below every level."""

WRITER, READERS, KEY = 1, 2, 3
"""Words of a slot: whether it is taken, the levels of the last writer and of the readers since, then the key."""

FILTER_BITS_PER_KEY, LEAST_BITS, MOST_BITS = 32, 10, 23
"""Bits of the filter: 32 a key, within 128 bytes and 1 MiB (as exponents of 2), so that it stays in a cache."""

GROUP = 1024
"""Transactions whose accesses are filtered in one go, before the few that pass are gone through in block order: loops
over the accesses of single transactions end after an unpredictable number of steps."""

_words = random_mixer()


@njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _digest(word0, word1, word2, word3, secret0, secret1, secret2, secret3):
    """A 64-bit digest of a row."""
    left = folded_product(word0 ^ secret0, word1 ^ secret1)
    right = folded_product(word2 ^ secret2, word3 ^ secret3)
    return left + (right << np.uint64(1) | right >> np.uint64(63))


@njit(inline="always")
def _hashed(keys, at, width, words):
    """A 64-bit hash of the key whose words begin at `at`. In line, as Numba counts references to arrays at calls."""
    at = np.uint64(at)
    if width == 1:
        hashed = mix(keys[at], words[0], words[1], words[2])
    else:
        hashed = _digest(
            keys[at], keys[at + np.uint64(1)], keys[at + np.uint64(2)], keys[at + np.uint64(3)],
            words[5], words[6], words[7], words[8],
        )  # fmt: skip
    return hashed


@njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _find(keys, first, last, width, words, marks, shift, hits):
    """List those of the accesses `first:last` that the filter lets pass; how many. No branch depends on a key."""
    count = np.uint64(0)
    for j in range(first, last):
        bit = _hashed(keys, j * width, width, words) >> shift
        hits[count] = j
        count += marks[bit >> np.uint64(6)] >> (bit & np.uint64(63)) & np.uint64(1)
    return np.int64(count)


@njit(inline="always")
def _slot(table, stride, keys, at, width, hashed):
    """Where the slot of a key begins, or an empty one; the table is never more than half full."""
    last = np.uint64(table.size // stride - 1)
    slot = hashed & last
    while True:
        begin = np.int64(slot) * stride
        word = 0
        while word < width and table[begin + KEY + word] == np.int64(keys[at + word]):
            word += 1
        if word == width or table[begin] == 0:
            break
        slot = (slot + np.uint64(1)) & last
    return begin


@njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _insert(keys, first, last, width, words, marks, shift, table, stride):
    """Give the keys `first:last` slots and let the filter pass them."""
    for at in range(first * width, last * width, width):
        hashed = _hashed(keys, at, width, words)
        bit = hashed >> shift
        marks[bit >> np.uint64(6)] |= np.uint64(1) << (bit & np.uint64(63))
        begin = _slot(table, stride, keys, at, width, hashed)
        table[begin], table[begin + WRITER], table[begin + READERS] = 1, NONE, NONE
        for word in range(width):
            table[begin + KEY + word] = np.int64(keys[at + word])


@njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _highest(keys, first, last, width, words, table, stride, readers_too):
    """The highest level that the slots of the keys `first:last` hold."""
    highest = NONE
    for at in range(first * width, last * width, width):
        begin = _slot(table, stride, keys, at, width, _hashed(keys, at, width, words))
        highest = max(highest, table[begin + WRITER])
        if readers_too:
            highest = max(highest, table[begin + READERS])
    return highest


@njit(nogil=True, cache=True, no_cfunc_wrapper=True)
def mismatches(
    read_offsets, read_keys, write_offsets, write_keys, width, locking, rows, wave, words, marks, shift, table, stride,
    read_hits, write_hits,
):  # fmt: skip
    """How many of `rows`, ascending, have another wave than their predecessors call for.

    Args:
        read_keys, write_keys: uint64, `width` words a key.
        marks: uint64, zero: the filter, whose bit a hash shifted by `shift` names.
        table: int64, zero: a power of two slots of `stride` words, at least twice as many as the rows have keys.
        read_hits, write_hits: int64, room for the accesses of any `GROUP` transactions and one more.
    """
    for row in rows:
        _insert(
            read_keys, read_offsets[row], read_offsets[row + 1], width, words, marks, shift, table, stride
        )
        if locking:
            _insert(
                write_keys,
                write_offsets[row],
                write_offsets[row + 1],
                width,
                words,
                marks,
                shift,
                table,
                stride,
            )
    wrong, sample = np.int64(0), np.int64(0)
    for first in range(0, rows[-1] + 1, GROUP):
        last = min(first + GROUP, wave.size)
        read_end = read_offsets[last] if locking else read_offsets[first]
        reads = _find(read_keys, read_offsets[first], read_end, width, words, marks, shift, read_hits)
        writes = _find(
            write_keys, write_offsets[first], write_offsets[last], width, words, marks, shift, write_hits
        )
        read, write = 0, 0
        for i in range(first, last):
            level = np.int64(wave[i]) + 1
            while sample < rows.size and rows[sample] == i:
                needed = _highest(
                    read_keys, read_offsets[i], read_offsets[i + 1], width, words, table, stride, False
                )
                if locking:
                    begin, end = write_offsets[i], write_offsets[i + 1]
                    needed = max(needed, _highest(write_keys, begin, end, width, words, table, stride, True))
                wrong += np.int64((0 if needed == NONE else needed) != level - 1)
                sample += 1
            # What the filter let pass by mistake finds an empty slot; nobody reads what is left there.
            while read < reads and read_hits[read] < read_offsets[i + 1]:
                at = read_hits[read] * width
                begin = _slot(table, stride, read_keys, at, width, _hashed(read_keys, at, width, words))
                table[begin + READERS] = max(table[begin + READERS], level)
                read += 1
            while write < writes and write_hits[write] < write_offsets[i + 1]:
                at = write_hits[write] * width
                begin = _slot(table, stride, write_keys, at, width, _hashed(write_keys, at, width, words))
                table[begin + WRITER], table[begin + READERS] = level, NONE
                write += 1
    return wrong


def check_rows(accesses: Accesses, locking: bool, rows: NDArray[np.int64], wave: NDArray[np.int32]) -> int:
    """How many of the sampled transactions have a wave other than 1 + the highest of their predecessors' (0 without any).

    Args:
        accesses: as for `detect_conflicts`.
        locking: the rule, `locking` or else `versioned`.
        rows: int64, ascending positions in the block; one that is listed twice counts twice.
        wave: int32 (n,), whatever it holds.

    Linear in the accesses before the last row. Memory: up to 128 bytes for each key of the sampled rows, twice that
    if keys have 32 bytes, up to 1 MiB for the filter, and 8 bytes for each access of the fullest group.
    """
    if not rows.size:
        return 0
    width = 1 if accesses.read_keys.ndim == 1 else accesses.read_keys.shape[1]
    keys = int((accesses.read_offsets[rows + 1] - accesses.read_offsets[rows]).sum())
    if locking:
        keys += int((accesses.write_offsets[rows + 1] - accesses.write_offsets[rows]).sum())
    bits = min(max((FILTER_BITS_PER_KEY * keys).bit_length(), LEAST_BITS), MOST_BITS)
    stride = KEY + 1 if width == 1 else 2 * width
    table = np.zeros(stride << (2 * keys).bit_length(), np.int64)
    hits = [
        np.empty(_fullest(offsets) + 1, np.int64)
        for offsets in (accesses.read_offsets, accesses.write_offsets)
    ]
    return int(
        mismatches(
            _frozen(accesses.read_offsets), _frozen(accesses.read_keys),
            _frozen(accesses.write_offsets), _frozen(accesses.write_keys),
            width, locking, _frozen(rows.astype(np.int64)), _frozen(wave), _words,
            np.zeros(1 << bits - 6, np.uint64), np.uint64(64 - bits), table, stride, *hits,
        )
    )  # fmt: skip


def _fullest(offsets: NDArray[np.int64]) -> int:
    """The most accesses of a group of transactions."""
    ends = np.append(offsets[:-1:GROUP], offsets[-1])
    return int(np.diff(ends).max())


def _frozen(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """Flat and read-only, so that one compilation serves all arrays."""
    view = np.ascontiguousarray(array).reshape(-1)
    view.flags.writeable = False
    return view
