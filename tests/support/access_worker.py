# SPDX-License-Identifier: GPL-3.0-or-later
"""Access sets from Python: a worker's words and buffers alone, and what lies in a store's cells, read with NumPy."""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from supervm.engine.state.store import StateStore
from supervm.kernels.array_types import Numbers
from supervm.kernels.cpu.state import access_set
from supervm.kernels.cpu.state import versions as v
from supervm.kernels.keys import aligned

Value = bytes | None


@njit
def _begin(worker: Any) -> None:
    access_set.begin(worker)


@njit
def _forget_all(worker: Any) -> None:
    access_set.forget_all(worker)


@njit
def _touch(worker: Any, number: Any) -> Any:
    return access_set.touch(worker, number)


@njit
def _read(worker: Any, number: Any) -> Any:
    return access_set.read(worker, number)


@njit
def _append(worker: Any, number: Any, reads: Any) -> Any:
    entry = access_set.append(worker, number)
    if entry > 0 and reads:
        access_set.depend(entry)
    return entry


@njit
def _add_when_applied(entry: Any) -> None:
    access_set.add_when_applied(entry)


@njit
def _room_for(worker: Any, entry: Any, size: Any) -> Any:
    return access_set.room_for(worker, entry, size)


@njit
def _delete(entry: Any) -> None:
    access_set.delete(entry)


@njit
def _drop_from(worker: Any, count: Any) -> None:
    access_set.drop_from(worker, count)


@njit
def _valid(worker: Any, first: Any, count: Any) -> Any:
    return access_set.valid(worker, first, count)


@njit
def _apply(worker: Any, owner: Any, first: Any, count: Any) -> Any:
    return access_set.apply(worker, owner, first, count)


@njit
def _copy_value(versions: Any, cell: Any, target: Any, size: Any) -> None:
    v.copy_value(versions, cell, target, size)


class Full(Exception):
    """Something had no room; `args[0]` is what `NEEDS` says."""


class AccessWorker:
    """A worker of a store, as far as access sets go.

    Args:
        store: whose versions it reads and writes.
        in_place: whether it may write over its own commit's versions.
        entries, values, stack, dirty, again: capacities.
    """

    def __init__(
        self,
        store: StateStore,
        in_place: bool = False,
        entries: int = 40_000,
        values: int = 1 << 20,
        stack: int = 4_096,
        dirty: int = 40_000,
        again: int = 40_000,
    ) -> None:
        self.store = store
        self.words = np.zeros(access_set.ACCESS_WORDS, np.int64)
        self._buffers = []
        for word, capacity, count, unit in (
            (access_set.ENTRIES, access_set.ENTRY_CAPACITY, entries, access_set.ENTRY_BYTES),
            (access_set.VALUES, access_set.VALUES_CAPACITY, values, 1),
            (access_set.STACK, access_set.STACK_CAPACITY, stack, 4),
            (access_set.DIRTY, access_set.DIRTY_CAPACITY, dirty, 8),
            (access_set.AGAIN, access_set.AGAIN_CAPACITY, again, 8),
            (access_set.INDEX, None, 1 << access_set.INDEX_BITS, 8),
        ):
            buffer = aligned(count * unit, fill=True)
            self._buffers.append(buffer)
            self.words[word] = buffer.ctypes.data
            if capacity is not None:
                self.words[capacity] = count
        self.words[access_set.KEYS], self.words[access_set.VERSIONS] = store.keys.address, store.versions
        self.words[access_set.IN_PLACE] = in_place

    @property
    def address(self) -> int:
        return int(self.words.ctypes.data)

    @property
    def span(self) -> tuple[int, int]:
        """First entry of the transaction at work, and how many it has."""
        return int(self.words[access_set.ENTRY_FIRST]), int(self.words[access_set.ENTRY_COUNT])

    def spoil(self) -> None:
        """Leave in every buffer of entries what nobody may rely on: bytes of ones."""
        self._buffers[0][:] = 0xFF

    def begin_commit(self) -> None:
        self.words[access_set.COMMIT_NUMBER] = self.store.next_commit
        for word in (access_set.DIRTY_COUNT, access_set.AGAIN_COUNT, access_set.REPLACED):
            self.words[word] = 0

    def begin(self) -> None:
        _begin(self.address)

    def forget_all(self) -> None:
        _forget_all(self.address)

    def touch(self, number: int, reads: bool = False) -> int:
        """The address of the entry, or `access_set.TOO_MANY`."""
        entry = int((_read if reads else _touch)(self.address, number))
        return self._unless_full(entry)

    def append(self, number: int, reads: bool = False) -> int:
        """The address of a new entry."""
        return self._unless_full(int(_append(self.address, number, reads)))

    def add(self, entry: int, value: bytes) -> None:
        """Write what is added when the transaction is applied."""
        self.write(entry, value)
        _add_when_applied(entry)

    def write(self, entry: int, value: Value) -> None:
        if value is None:
            _delete(entry)
            return
        at = self._unless_full(int(_room_for(self.address, entry, len(value))))
        ctypes.memmove(at, value, len(value))

    def value(self, entry: int) -> Value:
        """What the transaction sees under the key."""
        key, seen, size, flags = np.frombuffer(ctypes.string_at(entry, 16), np.uint32).tolist()
        assert key < self.store.keys.capacity
        if size == v.GONE:
            return None
        if flags & access_set.WRITTEN:
            return ctypes.string_at(
                int.from_bytes(ctypes.string_at(entry + access_set.VALUE, 8), "little"), size
            )
        out = np.empty(size, np.uint8)
        _copy_value(self.store.versions, seen, out.ctypes.data, size)
        return out.tobytes()

    def hold(self, entry: int) -> int:
        """Hold the written value of an entry, as `storage_get` does; its address."""
        at = int.from_bytes(ctypes.string_at(entry + access_set.VALUE, 8), "little")
        self.words[access_set.HELD] = at
        return at

    def drop_from(self, count: int) -> None:
        _drop_from(self.address, count)

    def valid(self, first: int, count: int) -> bool:
        return bool(_valid(self.address, first, count))

    def apply(self, owner: AccessWorker | None = None, span: tuple[int, int] | None = None) -> bool:
        """Apply a transaction, by default the one at work."""
        owner = owner or self
        return bool(_apply(self.address, owner.address, *(span or owner.span)))

    def apply_growing(self, owner: AccessWorker | None = None, span: tuple[int, int] | None = None) -> None:
        """Apply; cells grow if they must, as between two runs of compiled code."""
        while not self.apply(owner, span):
            assert self.words[access_set.NEEDS] == access_set.NEEDS_CELLS, self.words[access_set.NEEDS]
            self.store.grow_cells(int(self.words[access_set.NEEDED]) + v.TAKEN_AT_ONCE)

    def written(self) -> Numbers:
        """The keys that the commit wrote, as compiled code notes them."""
        return self._list(access_set.DIRTY, access_set.DIRTY_COUNT)

    def again(self) -> Numbers:
        return self._list(access_set.AGAIN, access_set.AGAIN_COUNT)

    def stack(self) -> list[int]:
        """The worker's own cells."""
        place = ctypes.string_at(
            int(self.words[access_set.STACK]), 4 * int(self.words[access_set.STACK_COUNT])
        )
        return np.frombuffer(place, np.uint32).tolist()

    def _list(self, address: int, count: int) -> Numbers:
        place = ctypes.string_at(int(self.words[address]), 8 * int(self.words[count]))
        return np.frombuffer(place, np.int64).copy()

    def _unless_full(self, result: int) -> int:
        if result == access_set.FULL:
            raise Full(int(self.words[access_set.NEEDS]))
        return result


class Version(NamedTuple):
    commit: int
    value: Value


def chains(store: StateStore) -> tuple[dict[int, list[Version]], list[int]]:
    """By key number its versions, newest first; and every cell that they take."""
    cells = store._cells.view(np.uint32).reshape(-1, 16)
    found: dict[int, list[Version]] = {}
    taken: list[int] = []
    for number in range(len(store.keys)):
        cell = int(store._heads[number])
        while cell:
            commit, before, size = cells[cell, :3].tolist()
            data, part = b"", cell
            while True:
                taken.append(part)
                data += cells[part, 4:].tobytes()
                part = int(cells[part, 3])
                if part == 0:
                    break
            value = None if size == v.GONE else data[:size]
            found.setdefault(number, []).append(Version(commit, value))
            cell = before
    return found, taken


def check_cells(store: StateStore, *workers: AccessWorker) -> None:
    """Every cell that was ever taken is in a version, free, or a worker's; and in one place only."""
    _, live = chains(store)
    free = store._free[: int(store._words[v.FREE_COUNT])].tolist()
    stacks = [cell for worker in workers for cell in worker.stack()]
    everything = live + free + stacks
    assert sorted(everything) == list(range(1, int(store._words[v.CELL_COUNT])))
