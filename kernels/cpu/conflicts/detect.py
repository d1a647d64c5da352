# SPDX-License-Identifier: GPL-3.0-or-later
"""Conflict detection over read and write sets, on the CPU, in time linear in the accesses.

1. *Partition*: accesses go, in block order, to partitions by key (`conflicts_partition`).
2. *Link*: in each partition a small table (`conflicts_table`) finds, for every read, who wrote the key last,
   and for the rule `locking` also who wrote it before every write and who writes it next after every read;
   accesses are counted there (`conflicts_links`).
3. *Restore* the order of the block, then *waves* in one pass over the transactions, and *edges* by transposing
   the links twice (`conflicts_waves`).

A key that everybody writes makes one partition with a table of one entry. No step compares transactions with
each other. All but waves and edges runs on as many threads as `supervm.kernels.set_threads` allows.

Memory beside arguments and result: 12 bytes per access and 4 per transaction for `versioned`, 16 and 4 for
`locking`; 40 more per access for 32-byte keys. Edges come after most of that is freed: 4 bytes per link, of which
there is one per access and, for `locking`, a second per read, and 28 per transaction. Each thread has a table
of 24 to 32 bytes per slot: 2^15 slots, or up to four per distinct key of its fullest partition, and for
`locking` 4 bytes per record of the fullest partition of all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.kernels.accesses import HOT_KEYS, Accesses, Detected
from supervm.kernels.array_types import Offsets
from supervm.kernels.cpu.conflicts import links as linking
from supervm.kernels.cpu.conflicts import partition as partitioning
from supervm.kernels.cpu.conflicts import waves
from supervm.kernels.threads import get_threads, run_slices

PARTITION_RECORDS = 1 << 14
"""Records that a partition should hold: its table, 16 bytes a record, fits a second-level cache of 512 KiB."""

MOST_BITS = 11
"""At most 2048 partitions: their open lines, 192 bytes each, must fit the second-level cache too."""

_words = partitioning.random_mixer()

Links = NDArray[np.uint32]


@dataclass(frozen=True)
class _Partitions:
    """Records by partition and slice of the block, and where each segment of them stands."""

    bits: int
    slices: list[tuple[int, int]]
    starts: Offsets
    counts: Offsets
    writer_starts: Offsets
    records: NDArray[np.uint64]
    writers: NDArray[np.uint32]
    rows: NDArray[np.uint64]


def detect_conflicts(
    accesses: Accesses, locking: bool, edges: bool, words: NDArray[np.uint64] | None = None
) -> Detected:
    """Waves, edges if asked for, and hot keys.

    Args:
        accesses: valid: offsets ascend from 0 to the number of keys, fewer than 2^31 accesses in all.
        locking: the rule, `locking` or else `versioned`.
        edges: whether edges are wanted; without them none are built.
        words: what keys are mixed with, in place of this process's secret; results do not depend on it.
    """
    words = _words if words is None else words
    by_id, rows = accesses, None
    if accesses.read_keys.ndim == 2:
        rows = accesses.read_keys, accesses.write_keys
        by_id = Accesses(
            accesses.read_offsets, _digests(accesses.read_keys, words),
            accesses.write_offsets, _digests(accesses.write_keys, words),
        )  # fmt: skip
    split = _partition(by_id, words, rows)
    hot_keys, hot_counts = _link(split, locking, words)
    n = accesses.read_offsets.size - 1
    wave = np.empty(n, np.int32)
    if locking:
        found = _restore_all(by_id, split, words)
        read_earlier, read_later, write_earlier = found
        levels = np.zeros(n + 1, np.int32)
        count = waves.locking_waves(
            by_id.read_offsets, read_earlier, read_later, by_id.write_offsets, write_earlier, levels, wave
        )
        links = [
            (by_id.read_offsets, read_earlier, False),
            (by_id.read_offsets, read_later, True),
            (by_id.write_offsets, write_earlier, False),
        ]
    else:
        read_earlier = _restore_reads(by_id, split, words)
        count = waves.versioned_waves(by_id.read_offsets, read_earlier, np.empty(n + 1, np.int32), wave)
        links = [(by_id.read_offsets, read_earlier, False)]
    del split
    edge_offsets, edge_list = _edges(n, links) if edges else (np.empty(0, np.int64), np.empty(0, np.int32))
    return Detected(wave, int(count), edge_offsets, edge_list, hot_keys, hot_counts)


def _digests(rows: NDArray[np.uint64], words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    digests = np.empty(rows.shape[0], np.uint64)
    run_slices(
        lambda start, stop: partitioning.digest_rows(rows[start:stop], words, digests[start:stop]),
        rows.shape[0],
        1 << 16,
    )
    return _read_only(digests)


def _read_only(array: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Keys are read-only everywhere: Numba compiles a kernel once more for arrays that may be written to."""
    view = array.view()
    view.flags.writeable = False
    return view


def _partition(
    accesses: Accesses,
    words: NDArray[np.uint64],
    key_rows: tuple[NDArray[np.uint64], NDArray[np.uint64]] | None,
) -> _Partitions:
    """Step 1. Each thread has one slice of the block, so a partition keeps block order slice by slice."""
    total = accesses.read_keys.size + accesses.write_keys.size
    full = PARTITION_RECORDS if key_rows is None else PARTITION_RECORDS // 2
    bits = max(1, min(MOST_BITS, (total // full).bit_length()))
    n = accesses.read_offsets.size - 1
    slices = _slices(n, get_threads() if total >= 1 << 18 else 1)
    reads = np.zeros((len(slices), 1 << bits), np.int64)
    writes = np.zeros_like(reads)

    def count(start: int, stop: int) -> None:
        for part in range(start, stop):
            first, last = slices[part]
            bounds = accesses.read_offsets[first], accesses.read_offsets[last]
            partitioning.count_records(accesses.read_keys, *bounds, words, bits, reads[part])
            bounds = accesses.write_offsets[first], accesses.write_offsets[last]
            partitioning.count_records(accesses.write_keys, *bounds, words, bits, writes[part])

    run_slices(count, len(slices), 1)
    counts = np.ascontiguousarray((reads + writes).T)
    starts, size = _segments(counts)
    writer_starts, writer_size = _segments(writes.T)
    records = _lines(size, np.uint64)
    writers = _lines(writer_size + partitioning.SEGMENT, np.uint32)
    rows = _lines(0 if key_rows is None else size * partitioning.ROW_WORDS, np.uint64)
    none = _read_only(np.empty((0, partitioning.ROW_WORDS), np.uint64))
    read_rows, write_rows = key_rows if key_rows is not None else (none, none)

    def scatter(start: int, stop: int) -> None:
        for part in range(start, stop):
            partitioning.scatter(
                accesses.read_offsets, accesses.read_keys, read_rows,
                accesses.write_offsets, accesses.write_keys, write_rows, *slices[part], words, bits,
                *(begin[:, part].astype(np.uint64) for begin in (starts, writer_starts)),
                records, writers, rows,
            )  # fmt: skip

    run_slices(scatter, len(slices), 1)
    return _Partitions(bits, slices, starts, counts, writer_starts, records, writers, rows)


def _slices(n: int, parts: int) -> list[tuple[int, int]]:
    """`range(n)` in at most `parts` even pieces, at least one."""
    parts = max(1, min(parts, n))
    return [(n * part // parts, n * (part + 1) // parts) for part in range(parts)]


def _segments(counts: Offsets) -> tuple[Offsets, int]:
    """Where each segment of so many records starts, each at the start of a line, and the sum of all."""
    lines = -(-counts // partitioning.SEGMENT) * partitioning.SEGMENT
    ends = np.cumsum(lines.ravel()).reshape(counts.shape)
    return np.ascontiguousarray(ends - lines), int(ends[-1, -1])


def _lines(size: int, dtype: type) -> NDArray[Any]:
    """An array of `size` numbers, not initialised, that starts at a multiple of 64 bytes."""
    memory = np.empty(size * np.dtype(dtype).itemsize + 64, np.uint8)
    skip = -memory.ctypes.data % 64
    return memory[skip : skip + size * np.dtype(dtype).itemsize].view(dtype)


def _link(
    split: _Partitions, locking: bool, words: NDArray[np.uint64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Step 2, in place; returns the hot keys and their counts."""
    partitions = split.starts.shape[0]
    grain = partitions if get_threads() == 1 else max(1, partitions // (4 * get_threads()))
    parts = -(-partitions // grain)
    hot_counts = np.zeros((parts, HOT_KEYS + 1), np.int64)
    key_words = partitioning.ROW_WORDS if split.rows.size else 1
    hot_keys = np.zeros((parts, HOT_KEYS + 1, key_words), np.uint64)
    largest = int(split.counts.sum(axis=1).max())

    def link(start: int, stop: int) -> None:
        linking.link_partitions(
            start, stop, split.starts, split.counts, split.writer_starts, split.bits, words,
            split.records, split.records.view(np.uint32), split.writers,
            np.zeros(largest + 1 if locking else 0, np.uint32),
            split.rows, np.zeros(6, np.int64), hot_counts[start // grain], hot_keys[start // grain],
        )  # fmt: skip

    run_slices(link, partitions, grain)
    return _hottest(hot_keys[:, :-1].reshape(-1, hot_keys.shape[-1]), hot_counts[:, :-1].ravel())


def _hottest(
    keys: NDArray[np.uint64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The hottest of all threads' candidates: count descending, then key ascending."""
    order = np.lexsort((*keys.T[::-1], -counts))[:HOT_KEYS]
    order = order[counts[order] > 0]
    return keys[order], counts[order]


def _restore_reads(accesses: Accesses, split: _Partitions, words: NDArray[np.uint64]) -> Links:
    """Step 3 of `versioned`: every read's last earlier writer, in the order of the reads."""
    earlier = np.empty(accesses.read_keys.size, np.uint32)
    links = split.records.view(np.uint32)

    def restore(start: int, stop: int) -> None:
        for part in range(start, stop):
            first, last = (accesses.read_offsets[bound] for bound in split.slices[part])
            cursor = 2 * split.starts[:, part].astype(np.uint64)
            waves.restore_read_links(
                accesses.read_keys, first, last, words, split.bits, cursor, links, earlier
            )

    run_slices(restore, len(split.slices), 1)
    return earlier


def _restore_all(
    accesses: Accesses, split: _Partitions, words: NDArray[np.uint64]
) -> tuple[Links, Links, Links]:
    """Step 3 of `locking`: of every read the last earlier and the next writer, of every write the earlier."""
    read_earlier = np.empty(accesses.read_keys.size, np.uint32)
    read_later = np.empty_like(read_earlier)
    write_earlier = np.empty(accesses.write_keys.size, np.uint32)

    def restore(start: int, stop: int) -> None:
        for part in range(start, stop):
            waves.restore_all_links(
                accesses.read_offsets, accesses.read_keys, accesses.write_offsets, accesses.write_keys,
                *split.slices[part], words, split.bits, split.starts[:, part].astype(np.uint64), split.records,
                read_earlier, read_later, write_earlier,
            )  # fmt: skip

    run_slices(restore, len(split.slices), 1)
    return read_earlier, read_later, write_earlier


def _edges(n: int, links: list[tuple[Offsets, Links, bool]]) -> tuple[Offsets, NDArray[np.int32]]:
    """Predecessors of every transaction, ascending, from links (offsets, links, whether they point forward).

    Successors are listed by their earlier end, then gone through in order: appending each to the list of its
    later end gives sorted lists without sorting, and a duplicate is the entry before.
    """
    starts = np.zeros(n + 1, np.int64)
    for offsets, names, forward in links:
        waves.count_successors(offsets, names, forward, starts)
    np.cumsum(starts, out=starts)
    successors = np.empty(int(starts[-1]), np.int32)
    cursor = starts[:-1].copy()
    for offsets, names, forward in links:
        waves.place_successors(offsets, names, forward, cursor, successors)
    edge_offsets = np.zeros(n + 1, np.int64)
    waves.count_edges(starts, successors, np.full(n, -1, np.int32), edge_offsets)
    np.cumsum(edge_offsets, out=edge_offsets)
    edges = np.empty(int(edge_offsets[-1]), np.int32)
    waves.place_edges(starts, successors, np.full(n, -1, np.int32), edge_offsets[:-1].copy(), edges)
    return edge_offsets, edges
