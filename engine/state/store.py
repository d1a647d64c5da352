# SPDX-License-Identifier: GPL-3.0-or-later
"""`StateStore`: every key with the versions of its value, readable while a commit is being made.

A commit writes versions under its own number; `publish` makes them visible as a whole. Readers see a watermark: a number
that was published. A version stays as long as a live reader or a named snapshot can see it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from supervm.crypto.messages import Messages
from supervm.kernels.array_types import Numbers
from supervm.kernels.arrays import borrow
from supervm.kernels.cpu.lanes.addresses import LINE
from supervm.kernels.cpu.state import versions as v
from supervm.kernels.keys import KeyTable, aligned
from supervm.kernels.work import Ragged

_CELLS = 1 << 12

_VALUE = 256
"""Bytes that a value is expected to fit in when one is read."""


class StateStore:
    """The multi-version store.

    One thread makes commits (or hands its addresses to compiled code that does); any thread reads.

    Attributes:
        keys: the numbers of keys; they begin at 0 and stay.
        watermark: number of the last published commit; 0 before the first.
        replaced: versions that were replaced and not collected since.
    """

    def __init__(self) -> None:
        self.keys = KeyTable()
        self.watermark = 0
        self.replaced = 0
        self._words = np.zeros(v.VERSION_WORDS, np.int64)
        self._words[v.CELL_COUNT] = 1
        self._heads = np.zeros(0, np.uint32)
        self._cells = aligned(0)
        self._free = np.zeros(0, np.uint32)
        self._readers: Counter[int] = Counter()
        self._lock = threading.RLock()
        self.make_room()
        self.grow_cells(_CELLS)

    @property
    def versions(self) -> int:
        """Address of the versions' words, for compiled code."""
        return int(self._words.ctypes.data)

    @property
    def next_commit(self) -> int:
        """The number of the commit that is being made."""
        return self.watermark + 1

    def make_room(self, keys: int = 0, bytes_: int = 0) -> None:
        """Make room for as many more keys, and bytes of long ones; heads follow."""
        with self._lock:
            self.keys.reserve(keys, bytes_)
            if self.keys.capacity > self._heads.size:
                heads = np.zeros(self.keys.capacity, np.uint32)
                heads[: self._heads.size] = self._heads
                self._heads = heads
                self._words[v.HEADS] = heads.ctypes.data

    def grow_cells(self, cells: int) -> None:
        """Make room for at least as many more cells."""
        with self._lock:
            used = int(self._words[v.CELL_COUNT])
            capacity = max(used + cells, 2 * int(self._words[v.CELL_CAPACITY]))
            grown, free = aligned(LINE * capacity), np.empty(capacity, np.uint32)
            kept = min(LINE * used, self._cells.size)  # cell 0 is not there at first
            grown[:kept] = self._cells[:kept]
            freed = int(self._words[v.FREE_COUNT])
            free[:freed] = self._free[:freed]
            self._cells, self._free = grown, free
            self._words[v.CELLS], self._words[v.CELL_CAPACITY] = grown.ctypes.data, capacity
            self._words[v.FREE] = free.ctypes.data

    def reserve_cells(self, cells: int) -> None:
        """Make room for so many more cells, unless as many are free."""
        words = self._words
        free = int(words[v.CELL_CAPACITY]) - int(words[v.CELL_COUNT]) + int(words[v.FREE_COUNT])
        if cells > free:
            self.grow_cells(cells)

    def intern(self, keys: Ragged) -> Numbers:
        """The number of each key, new ones for new keys."""
        with self._lock:
            numbers = self.keys.intern(keys)
            self.make_room()
        return numbers

    def put(self, numbers: Numbers, values: Ragged, present: NDArray[np.bool_]) -> Numbers:
        """Write values of the commit that is being made, or delete; each key once, none written before in it.

        Returns:
            The keys as `versions.HAS_MORE` says.
        """
        data, offsets = borrow(values.data), borrow(values.offsets)
        wanted = int(v.cells_wanted(present, offsets))
        self.reserve_cells(wanted)
        stack = np.empty(max(wanted, 1), np.uint32)
        v.take_cells(self.versions, stack.ctypes.data, 0, wanted)
        written = np.empty(numbers.size, np.int64)
        arguments = (numbers, self.next_commit, present, data, offsets, stack, written)
        self.replaced += int(v.put_values(self.versions, *arguments))
        return written

    def changed_since(self, commit: int) -> Numbers:
        """The keys that later commits wrote."""
        changed: Numbers = v.changed_since(self.versions, len(self.keys), commit)
        return changed

    def seal(self, again: Numbers, replaced: int) -> None:
        """The commit is complete: it wrote the keys `again` more than once, and replaced so many older versions."""
        with self._lock:
            v.seal(self.versions, again, self.next_commit)
        self.replaced += replaced

    def publish(self) -> None:
        """The commit becomes visible, as a whole."""
        with self._lock:
            self.watermark += 1

    def undo(self, written: Numbers, *, counted: bool = False) -> None:
        """Drop what the commit that is being made wrote of these keys, as `versions.HAS_MORE` says.

        Args:
            counted: whether what it replaced is counted already: after `put` or `seal`.
        """
        with self._lock:
            v.undo(self.versions, key_numbers(written), self.next_commit)
            if counted:
                self.replaced -= int(np.count_nonzero((written >> 32) & v.MOST_CELLS))

    def read(self, key: bytes, watermark: int | None = None) -> bytes | None:
        """The value of a key at a watermark, by default the last published one; None if there is none."""
        with self._lock:
            number = self.number(key)
            return None if number < 0 else self.read_number(number, watermark)

    def number(self, key: bytes) -> int:
        """The number of a key, −1 if it has none."""
        with self._lock:
            return int(self.keys.find(_one(key))[0])

    def read_number(self, number: int, watermark: int | None = None) -> bytes | None:
        """As `read`, by the key's number."""
        with self._lock:
            mark = self.watermark if watermark is None else watermark
            out = np.empty(_VALUE, np.uint8)
            size = int(v.read_at(self.versions, number, mark, out))
            if size > out.size:
                out = np.empty(size, np.uint8)
                size = int(v.read_at(self.versions, number, mark, out))
        return None if size < 0 else out[:size].tobytes()

    def values(self, numbers: Numbers, watermark: int | None = None) -> tuple[Ragged, NDArray[np.bool_]]:
        """The values of keys at a watermark, and whether each has one; by default of the commit that is being made.

        An older watermark than the last one must be held, by `reading` or `hold`.
        """
        # What a held watermark sees stays, but newer cells of the chains may be freed, and all of them move as they grow.
        with self._lock:
            mark = self.next_commit if watermark is None else watermark
            sizes = np.empty(numbers.size, np.int64)
            v.sizes_at(self.versions, numbers, mark, sizes)
            offsets = np.zeros(numbers.size + 1, np.int64)
            np.cumsum(np.maximum(sizes, 0), out=offsets[1:])
            data = np.empty(int(offsets[-1]), np.uint8)
            v.values_at(self.versions, numbers, mark, offsets, data)
        return Ragged(data, offsets), sizes >= 0

    def find(self, keys: Ragged, watermark: int | None = None) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """The values of keys at a watermark, by default the last published one; for any thread.

        Returns:
            (the values there are, one behind the other; whether each key has one).
        """
        with self._lock:
            numbers = self.keys.find(keys)
            known = np.flatnonzero(numbers >= 0)
            values, has = self.values(numbers[known], self.watermark if watermark is None else watermark)
        present = np.zeros(len(numbers), np.bool_)
        present[known] = has
        return values.data, present

    @contextmanager
    def reading(self, watermark: int | None = None) -> Iterator[int]:
        """Keep what a watermark sees, by default the last published one, until the block ends; its number."""
        with self._lock:
            mark = self.watermark if watermark is None else watermark
            self._readers[mark] += 1
        try:
            yield mark
        finally:
            self.release(mark)

    def hold(self, watermark: int) -> None:
        """Keep what a watermark sees, whose versions are still there, until `release`."""
        with self._lock:
            self._readers[watermark] += 1

    def chunk(self, first: int, stop: int, watermark: int) -> tuple[Messages, Messages]:
        """Keys and values at a held watermark, of the key numbers from `first` below `stop` that have one."""
        with self._lock:
            numbers = np.arange(first, stop)
            values, present = self.values(numbers, watermark)
            return Messages(*self.keys.strings(numbers[present])), kept(values, present)

    def release(self, watermark: int) -> None:
        """One reader of this watermark less."""
        with self._lock:
            self._readers[watermark] -= 1
            if self._readers[watermark] <= 0:
                del self._readers[watermark]

    def pinned(self) -> NDArray[np.int64]:
        """Watermarks that somebody reads, ascending."""
        with self._lock:
            return np.array(sorted(self._readers), np.int64)

    def collect(self, numbers: Numbers, oldest: int, keep: int) -> int:
        """Free versions of these keys that nobody can see and that `collection` does not keep; how many."""
        with self._lock:
            freed = int(v.collect(self.versions, numbers, min(oldest, self.watermark), self.pinned(), keep))
        self.replaced -= freed
        return freed

    def collect_replaced(self, written: Numbers) -> None:
        """Free what the last published commit replaced, unless somebody reads it; keys as `versions.HAS_MORE` says."""
        with self._lock:
            self.replaced -= int(v.collect_replaced(self.versions, written, self.watermark, self.pinned()))

    def newest(self, written: Numbers) -> tuple[Ragged, NDArray[np.bool_]]:
        """The values that the commit that is being made gives these keys, and whether each has one; keys as above."""
        offsets, present = np.empty(written.size + 1, np.int64), np.empty(written.size, np.bool_)
        data = np.empty(v.INLINE * written.size, np.uint8)
        total = int(v.newest_values(self.versions, written, offsets, present, data))
        if total > data.size:
            data = np.empty(total, np.uint8)
            v.newest_values(self.versions, written, offsets, present, data)
        return Ragged(data[:total], offsets), present

    def with_history(self, numbers: Numbers) -> Numbers:
        """Those of these keys that have older versions."""
        older: Numbers = v.with_history(self.versions, numbers)
        return older

    @property
    def replaced_bytes(self) -> int:
        """Memory of replaced versions, about."""
        return LINE * self.replaced

    def memory_bytes(self) -> int:
        """Bytes of keys, heads and cells, as far as they are used."""
        used = int(self._words[v.CELL_COUNT]) - int(self._words[v.FREE_COUNT])
        return self.keys.memory_bytes() + 4 * len(self.keys) + LINE * used


def kept(values: Ragged, present: NDArray[np.bool_]) -> Messages:
    """The values that are there; the others are empty."""
    bounds = np.append(values.offsets[:-1][present], values.offsets[-1])
    return Messages(values.data, bounds)


def key_numbers(written: Numbers) -> Numbers:
    """The numbers of written keys, which are noted with the cells that they replaced."""
    return written & v.NUMBER


def _one(key: bytes) -> Ragged:
    return Ragged(np.frombuffer(key or b"\0", np.uint8), np.array([0, len(key)], np.int64))
