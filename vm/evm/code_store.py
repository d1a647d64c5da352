# SPDX-License-Identifier: GPL-3.0-or-later
"""The code store: code by its hash, as it is and analysed for one fork, shared by all workers.

What is in it stays where it is for as long as the store lives. Compiled code finds without a lock and adds under one;
numbers count from 1, and 0 means no code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from supervm.kernels.cpu.lanes.addresses import (
    acquire64,
    copy,
    exchange_if,
    load64,
    pause,
    release64,
    store64,
)
from supervm.kernels.errors import ArgumentError
from supervm.kernels.keys import aligned
from supervm.vm.evm.code import analyse, analysed_bytes, rows, words_of
from supervm.vm.evm.forks import Fork
from supervm.vm.evm.machine import CODES, NEEDS_CODES, VALUE_BYTES, get, retry
from supervm.vm.evm.words import copy_value, equal, from_bytes

(
    _LOCK,  # 1: somebody adds
    _RECORDS,  # address of the records
    _CAPACITY,  # how many fit
    _COUNT,  # how many there are; the first is nobody's
    _INDEX,  # address of the index: number of a record, 0 for none
    _MASK,  # its slots less one
    _ARENA,  # address of what the code itself lies in
    _ARENA_BYTES,  # bytes there
    _ARENA_USED,  # bytes that are taken
    _ROWS,  # address of what the analysis knows of opcodes
    _SINGLE,  # 1: blocks of one opcode each
) = range(11)
"""Words of the store."""

(
    R_BYTES,  # address of the code
    R_SIZE,  # bytes of it
    R_CODE,  # address of the analysed code
    R_WORDS,  # address of its words
) = range(4)
_R_HASH = 4
RECORD_BYTES = 64
"""A record: words, and behind them the hash, a value."""

_MOST_CODES = 1 << 20
_CHUNK = 1 << 24


@njit(cache=True)
def code_record(machine: Any, number: Any) -> Any:
    """The address of a code's record."""
    return load64(get(machine, CODES) + 8 * _RECORDS) + RECORD_BYTES * number


@njit(cache=True)
def code_size(machine: Any, number: Any) -> Any:
    """Bytes of a code; number 0 has none."""
    return load64(code_record(machine, number) + 8 * R_SIZE)


@njit(cache=True)
def code_bytes(machine: Any, number: Any) -> Any:
    """The address of a code as it is."""
    return load64(code_record(machine, number) + 8 * R_BYTES)


@njit(cache=True)
def _slot(store: Any, hash_value: Any) -> Any:
    """Address of the slot of the index where a hash is, or would be."""
    index, mask = load64(store + 8 * _INDEX), load64(store + 8 * _MASK)
    records = load64(store + 8 * _RECORDS)
    place = load64(hash_value) & mask
    while True:
        number = acquire64(index + 8 * place)
        if number == 0 or equal(records + RECORD_BYTES * number + 8 * _R_HASH, hash_value):
            return index + 8 * place
        place = (place + 1) & mask


@njit(cache=True)
def _add(store: Any, code: Any, size: Any, hash_value: Any) -> Any:
    """Add a code, by whoever has the lock; its number, or 0 where there is no room."""
    slot = _slot(store, hash_value)
    number = load64(slot)
    if number != 0:
        return number
    number, used = load64(store + 8 * _COUNT), load64(store + 8 * _ARENA_USED)
    raw = (size + 7) & ~7
    wanted = raw + analysed_bytes(size)
    if number >= load64(store + 8 * _CAPACITY) or used + wanted > load64(store + 8 * _ARENA_BYTES):
        return 0
    at = load64(store + 8 * _ARENA) + used
    copy(at, code, size)
    analyse(load64(store + 8 * _ROWS), code, size, at + raw, load64(store + 8 * _SINGLE))
    record = load64(store + 8 * _RECORDS) + RECORD_BYTES * number
    store64(record + 8 * R_BYTES, at)
    store64(record + 8 * R_SIZE, size)
    store64(record + 8 * R_CODE, at + raw)
    store64(record + 8 * R_WORDS, words_of(at + raw, size))
    copy_value(record + 8 * _R_HASH, hash_value)
    store64(store + 8 * _ARENA_USED, used + wanted)
    store64(store + 8 * _COUNT, number + 1)
    release64(slot, number)
    return number


@njit(cache=True)
def _lock(store: Any) -> None:
    while not exchange_if(store + 8 * _LOCK, 0, 1):
        pause()


@njit(cache=True)
def _unlock(store: Any) -> None:
    release64(store + 8 * _LOCK, 0)


@njit(cache=True)
def find_code(machine: Any, hash_value: Any) -> Any:
    """The number of the code with this hash, a value; 0 if the store does not have it."""
    return load64(_slot(get(machine, CODES), hash_value))


@njit(cache=True)
def add_code(machine: Any, code: Any, size: Any, hash_value: Any) -> Any:
    """The number of a code of `size` bytes, added if it is not there; `RETRY`."""
    store = get(machine, CODES)
    _lock(store)
    number = _add(store, code, size, hash_value)
    _unlock(store)
    return number if number else retry(machine, NEEDS_CODES, size)


@njit(cache=True)
def analyse_here(machine: Any, code: Any, size: Any, target: Any) -> None:
    """Make code ready that the store does not keep: initcode."""
    store = get(machine, CODES)
    analyse(load64(store + 8 * _ROWS), code, size, target, load64(store + 8 * _SINGLE))


@njit(cache=True, nogil=True)
def _add_all(store: Any, data: Any, offsets: Any, hashes: Any, numbers: Any, first: Any, scratch: Any) -> Any:
    """Add codes from `first` on; which one did not fit, or how many there are."""
    place = first
    _lock(store)
    while place < len(numbers):
        from_bytes(scratch, hashes + VALUE_BYTES * place)
        size = offsets[place + 1] - offsets[place]
        number = _add(store, data + offsets[place], size, scratch)
        if number == 0:
            break
        numbers[place] = number
        place += 1
    _unlock(store)
    return place


@njit(cache=True, nogil=True)
def _set_arena(store: Any, arena: Any, size: Any) -> None:
    """Let what comes go into other memory."""
    _lock(store)
    store64(store + 8 * _ARENA, arena)
    store64(store + 8 * _ARENA_BYTES, size)
    store64(store + 8 * _ARENA_USED, 0)
    _unlock(store)


class CodeStore:
    """A code store for one fork.

    Args:
        fork: its opcodes and prices.
        single: blocks of one opcode each, which traces need.
    """

    def __init__(self, fork: Fork, single: bool = False) -> None:
        self.fork = fork
        self._words = np.zeros(11, np.int64)
        self._records = np.zeros(_MOST_CODES * RECORD_BYTES // 8 + 1, np.int64)
        self._index = np.zeros(2 * _MOST_CODES, np.int64)
        self._rows = rows(fork)
        self._arenas: list[NDArray[np.uint8]] = []
        words = self._words
        words[_RECORDS], words[_CAPACITY], words[_COUNT] = self._records.ctypes.data, _MOST_CODES, 1
        words[_INDEX], words[_MASK] = self._index.ctypes.data, len(self._index) - 1
        words[_ROWS], words[_SINGLE] = self._rows.ctypes.data, single
        self.make_room(0)

    @property
    def address(self) -> int:
        """For the machine's word `CODES`."""
        return int(self._words.ctypes.data)

    def __len__(self) -> int:
        return int(self._words[_COUNT]) - 1

    def make_room(self, size: int) -> None:
        """Make room for at least one more code of `size` bytes; other threads may work with the store meanwhile.

        Raises:
            ArgumentError: the store has as many codes as it can hold.
        """
        if len(self) + 1 >= _MOST_CODES:
            raise ArgumentError(
                "codes", f"{len(self)} in one store", f"fewer than {_MOST_CODES - 1}; make another store"
            )
        arena = aligned(max(_CHUNK, 2 * (size + analysed_bytes.py_func(size)) + 64))
        self._arenas.append(arena)
        _set_arena(self.address, arena.ctypes.data, arena.size)

    def add(self, codes: Sequence[bytes], hashes: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Add codes that are not there yet.

        Args:
            codes: of any length.
            hashes: their Keccak-256, uint8 (n, 32).

        Returns:
            Their numbers, int64 (n,).
        """
        if hashes.shape != (len(codes), VALUE_BYTES) or hashes.dtype != np.uint8:
            found = f"{hashes.dtype} {hashes.shape}"
            raise ArgumentError("hashes", found, f"uint8 ({len(codes)}, {VALUE_BYTES}), one row a code")
        data = np.frombuffer(b"".join(codes) + bytes(8), np.uint8)
        offsets = np.zeros(len(codes) + 1, np.int64)
        np.cumsum([len(code) for code in codes], out=offsets[1:])
        numbers = np.zeros(len(codes), np.int64)
        hashes, scratch = np.ascontiguousarray(hashes), np.zeros(4, np.int64)
        done = 0
        while True:
            done = _add_all(
                self.address,
                data.ctypes.data,
                offsets,
                hashes.ctypes.data,
                numbers,
                done,
                scratch.ctypes.data,
            )
            if done == len(codes):
                return numbers
            self.make_room(len(codes[done]))
