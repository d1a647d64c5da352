# SPDX-License-Identifier: GPL-3.0-or-later
"""Conflict detection over read and write sets, on the CPU, in time linear in the accesses.

1. *Partition*: accesses go, in block order, to partitions by key (`conflicts_partition`).
2. *Link*: in each partition a small table finds, for every read, who wrote the key last, and for the rule
   `locking` also who wrote it before every write and who writes it next after every read; accesses are counted
   there (`conflicts_links`).
3. *Restore* the order of the block, then *waves* in one pass over the transactions, and *edges* by transposing
   the links twice (`conflicts_waves`).

A key that everybody writes makes one partition with a table of one entry. No step compares transactions with
each other. Steps 1 to 3 up to the waves run on as many threads as `supervm.kernels.set_threads` allows.

Memory, beside the arguments and the result, per access: 8 bytes of records and 4 of links in block order, 4
more per write, and 8 bytes per transaction; `locking` adds 4 to 8 bytes, keys of 32 bytes add 12, edges up to 12 per
access and 12 per transaction. Tables hold 16 to 28 bytes per slot, two to four slots per distinct key of one partition
per thread, or about one per access where that is more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from supervm.kernels.cpu import conflicts_partition as partitioning
from supervm.kernels.cpu import conflicts_waves as waves
from supervm.kernels.threads import run_slices

PARTITION_RECORDS = 1 << 14
"""Records that a partition should hold: its table, 16 bytes a record, fits a second-level cache of 512 KiB."""

MOST_BITS = 11
"""At most 2048 partitions: their open lines, 192 bytes each, must fit the second-level cache too."""

_words = partitioning.random_mixer()

Offsets = NDArray[np.int64]
Links = NDArray[np.uint32]


@dataclass(frozen=True)
class Accesses:
    """The read and write sets of a block in CSR form: `keys[offsets[i]:offsets[i + 1]]` are transaction i's.

    Args:
        read_offsets, write_offsets: int64 (n + 1,).
        read_keys, write_keys: uint64 (m,) ids, or uint64 (m, 4) rows: 32-byte keys as they lie in memory.
    """

    read_offsets: Offsets
    read_keys: NDArray[np.uint64]
    write_offsets: Offsets
    write_keys: NDArray[np.uint64]


@dataclass(frozen=True)
class Detected:
    """What `detect_conflicts` found; `hot_keys` is (h, 1) ids or (h, 4) big-endian words of rows."""

    wave: NDArray[np.int32]
    wave_count: int
    edge_offsets: Offsets
    edges: NDArray[np.int32]
    hot_keys: NDArray[np.uint64]
    hot_counts: NDArray[np.int64]


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
    positions: NDArray[np.uint32] | None


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
    by_id = accesses
    rows = None
    if accesses.read_keys.ndim == 2:
        rows = accesses
        by_id = Accesses(
            accesses.read_offsets, _digests(accesses.read_keys, words),
            accesses.write_offsets, _digests(accesses.write_keys, words),
        )  # fmt: skip
    split = _partition(by_id, words, rows is not None)
    hot_keys, hot_counts = _link(split, rows, locking, words)
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
    edge_offsets, edge_list = (
        _edges(n, links) if edges else (np.zeros(n + 1, np.int64), np.empty(0, np.int32))
    )
    return Detected(wave, int(count), edge_offsets, edge_list, hot_keys, hot_counts)


def _digests(rows: NDArray[np.uint64], words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    digests = np.empty(rows.shape[0], np.uint64)
    run_slices(
        lambda start, stop: partitioning.digest_rows(rows[start:stop], words, digests[start:stop]),
        rows.shape[0],
        1 << 16,
    )
    return digests
