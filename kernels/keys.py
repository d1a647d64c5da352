# SPDX-License-Identifier: GPL-3.0-or-later
"""`KeyTable`: byte strings in, dense numbers out; it owns and grows the arrays of `supervm.kernels.cpu.state.key_table`."""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.kernels.arrays import borrow
from supervm.kernels.cpu.lanes.addresses import LINE
from supervm.kernels.cpu.state import key_table
from supervm.kernels.work import Ragged

SMALLEST = 1 << 10
"""Strings that an empty table has room for."""

ARENA_SMALLEST = 1 << 14


def aligned(size: int, fill: bool = False) -> NDArray[np.uint8]:
    """`size` bytes that begin at a cache line; not touched, and so not in memory yet, unless they are filled."""
    raw = (np.zeros if fill else np.empty)(size + LINE, np.uint8)
    return raw[-raw.ctypes.data % LINE :][:size]


class KeyTable:
    """Numbers from 0 for byte strings, in the order in which they come.

    Growing moves arrays, so `reserve` and `intern` belong to times when no other thread uses the table; compiled code
    that runs in several threads adds what fits and answers `key_table.FULL` otherwise.
    """

    def __init__(self, capacity: int = SMALLEST) -> None:
        self._words = np.zeros(key_table.TABLE_WORDS, np.int64)
        self._words[key_table.SEEDS :] = np.frombuffer(secrets.token_bytes(64), np.int64)
        self._records = aligned(0)
        self._arena = np.empty(ARENA_SMALLEST, np.uint8)
        self._scratch = aligned(key_table.GROUP * (LINE + 8))
        self._grow(max(capacity, SMALLEST))
        self._place_arena(self._arena)

    def __len__(self) -> int:
        return int(self._words[key_table.COUNT])

    @property
    def address(self) -> int:
        """Of the table's words, for compiled code."""
        return int(self._words.ctypes.data)

    @property
    def capacity(self) -> int:
        """Strings that fit before the table must grow."""
        return int(self._words[key_table.CAPACITY])

    def intern(self, strings: Ragged) -> NDArray[np.int64]:
        """The number of each string, new ones for new strings."""
        return self._look_up(strings, add=True)

    def find(self, strings: Ragged) -> NDArray[np.int64]:
        """The number of each string, −1 for those that have none."""
        return self._look_up(strings, add=False)

    def _look_up(self, strings: Ragged, add: bool) -> NDArray[np.int64]:
        count = len(strings.offsets) - 1
        numbers = np.empty(count, np.int64)
        data, offsets = borrow(strings.data), borrow(strings.offsets)
        done = 0
        while done < count:
            arguments = (self.address, self._scratch.ctypes.data, data, offsets, done, count, add, numbers)
            done = key_table.intern_rows(*arguments)
            if done < count:
                longest = int(np.diff(strings.offsets[done:]).max())
                self.reserve(min(count - done, max(len(self), SMALLEST)), longest)
        return numbers

    def reserve(self, strings: int, bytes_: int = 0) -> None:
        """Make room for as many more strings, and for as many more bytes of long ones."""
        wanted = len(self) + strings
        if wanted > self.capacity:
            self._grow(max(wanted, 2 * self.capacity))
        used = int(self._words[key_table.ARENA_USED])
        room = used + (bytes_ + 7 & ~7)  # a long string takes whole words
        if room > self._arena.size:
            arena = np.empty(max(2 * self._arena.size, room), np.uint8)
            arena[:used] = self._arena[:used]
            self._place_arena(arena)

    def strings(self, numbers: NDArray[Any]) -> Ragged:
        """The strings of these numbers, each from 0 below `len(self)`."""
        records = self._records.reshape(-1, LINE)[numbers]
        lengths = records[:, key_table.LENGTH :].copy().view(np.uint32)[:, 0].astype(np.int64)
        offsets = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        data = np.empty(int(offsets[-1]), np.uint8)
        key_table.copy_strings(self.address, np.ascontiguousarray(numbers, np.int64), offsets, data)
        return Ragged(data, offsets)

    def first_bytes(self) -> NDArray[np.uint8]:
        """The first byte of each string of up to `key_table.INLINE` bytes; 255 for others, and for an empty one."""
        records = self._records.reshape(-1, LINE)[: len(self)]
        lengths = records[:, key_table.LENGTH :].copy().view(np.uint32)[:, 0]
        return np.where((lengths > 0) & (lengths <= key_table.INLINE), records[:, 0], 255).astype(np.uint8)

    def memory_bytes(self) -> int:
        """Bytes of the slots, and of the records and the arena as far as they are used."""
        slots = 8 * (int(self._words[key_table.MASK]) + 1)
        return slots + LINE * len(self) + int(self._words[key_table.ARENA_USED])

    def _grow(self, capacity: int) -> None:
        slots = 1 << (2 * capacity - 1).bit_length()
        self._slots = np.zeros(slots, np.uint64)
        records = aligned(LINE * (slots // 2))
        records[: LINE * len(self)] = self._records[: LINE * len(self)]
        self._records = records
        words = self._words
        words[key_table.SLOTS], words[key_table.MASK] = self._slots.ctypes.data, slots - 1
        words[key_table.RECORDS], words[key_table.CAPACITY] = records.ctypes.data, slots // 2
        key_table.place_all(self.address)

    def _place_arena(self, arena: NDArray[np.uint8]) -> None:
        self._arena = arena
        self._words[key_table.ARENA], self._words[key_table.ARENA_SIZE] = arena.ctypes.data, arena.size
