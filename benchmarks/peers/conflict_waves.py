# SPDX-License-Identifier: GPL-3.0-or-later
"""Conflict waves as no library computes them: the way they are usually written, and what a good engineer writes first.

The dictionary of last writers is one pass in Python. The hash table, plain open addressing, is compiled: it has one slot
of 16 bytes a key, half empty, allocated at each call; every access is one probe into memory that no cache holds, which is
what partitioning or prefetching avoids.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from supervm.benchmarks.cases import Answers, Peer
from supervm.benchmarks.peers import version
from supervm.benchmarks.workloads.access import READS, WRITES, AccessItems

MIX = np.uint64(0x9E3779B97F4A7C15)


def dictionary() -> Peer:
    """Both rules; keys are Python integers, or bytes where they have 32 bytes."""
    return Peer("Python dict", platform.python_version(), _prepare_dictionary)


def _keys(array: Any, per_transaction: int) -> list[list[Any]]:
    flat = array.tolist() if array.ndim == 1 else [row.tobytes() for row in array]
    return [flat[start : start + per_transaction] for start in range(0, len(flat), per_transaction)]


def _prepare_dictionary(workload: AccessItems) -> Callable[[], Answers]:
    reads, writes = _keys(workload.reads, READS), _keys(workload.writes, WRITES)
    pass_over = _versioned if workload.rule == "versioned" else _locking
    return lambda: pass_over(reads, writes)


def _versioned(reads: list[list[Any]], writes: list[list[Any]]) -> Answers:
    """`after[key]` is the first wave that may read what the last writer of the key left."""
    after: dict[Any, int] = {}
    waves = []
    for read, written in zip(reads, writes, strict=True):
        wave = max([after.get(key, 0) for key in read])
        for key in written:
            after[key] = wave + 1
        waves.append(wave)
    return waves


def _locking(reads: list[list[Any]], writes: list[list[Any]]) -> Answers:
    """Writers wait for the last writer and for every reader since; the latest of those readers is enough."""
    after_writer: dict[Any, int] = {}
    after_readers: dict[Any, int] = {}
    waves = []
    for read, written in zip(reads, writes, strict=True):
        wave = max([after_writer.get(key, 0) for key in read + written])
        wave = max(wave, max([after_readers.get(key, 0) for key in written]))
        for key in read:
            after_readers[key] = max(after_readers.get(key, 0), wave + 1)
        for key in written:
            after_writer[key] = wave + 1
            after_readers[key] = 0
        waves.append(wave)
    return waves


def hash_table() -> Peer:
    """Rule `versioned`, uint64 keys."""
    return Peer("plain hash table (Numba)", version("numba"), _prepare_table, _as_list, whole=True)


def _as_list(answers: Answers) -> Answers:
    waves: Answers = answers[0].tolist()
    return waves


def _prepare_table(workload: AccessItems) -> Callable[[], Answers]:
    slots = 1 << max(4, int(2 * len(workload.writes) - 1).bit_length())
    reads, writes = workload.reads, workload.writes
    return lambda: [_versioned_in_table(reads, writes, READS, WRITES, slots)]


@njit(nogil=True, cache=True)
def _slot(keys: NDArray[np.uint64], after: NDArray[np.int64], key: np.uint64, shift: np.uint64) -> np.int64:
    """Where `key` is, or the free slot where it would be; a slot is free while its `after` is 0."""
    slot = np.int64((key * MIX) >> shift)
    last = np.int64(len(keys) - 1)
    while after[slot] != 0 and keys[slot] != key:
        slot = (slot + np.int64(1)) & last
    return slot


@njit(nogil=True, cache=True)
def _versioned_in_table(
    reads: NDArray[np.uint64], writes: NDArray[np.uint64], per_read: int, per_write: int, slots: int
) -> NDArray[np.int32]:
    """`after[slot]` is 1 + the wave of the key's last writer."""
    keys = np.empty(slots, np.uint64)
    after = np.zeros(slots, np.int64)
    bits = 0
    while (1 << bits) < slots:
        bits += 1
    shift = np.uint64(64 - bits)
    count = len(reads) // per_read
    waves = np.empty(count, np.int32)
    for transaction in range(count):
        wave = np.int64(0)
        for index in range(transaction * per_read, (transaction + 1) * per_read):
            wave = max(wave, after[_slot(keys, after, reads[index], shift)])
        for index in range(transaction * per_write, (transaction + 1) * per_write):
            slot = _slot(keys, after, writes[index], shift)
            keys[slot] = writes[index]
            after[slot] = wave + 1
        waves[transaction] = wave
    return waves
