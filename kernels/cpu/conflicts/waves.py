# SPDX-License-Identifier: GPL-3.0-or-later
"""From links to waves and edges. A link names a transaction by 1 + its position; 0 is none."""

from __future__ import annotations

import numpy as np
from numba import njit

from supervm.kernels.cpu.conflicts.links import LOW
from supervm.kernels.cpu.conflicts.partition import mix
from supervm.kernels.cpu.lanes.cache_lines import prefetch

NEXT_LINE, NEXT_RECORDS = np.uint64(16), np.uint64(8)
"""Links and records in a cache line. There are too many partitions for the processor to foresee what each needs next."""


@njit(nogil=True, cache=True, no_cfunc_wrapper=True)
def restore_read_links(keys, first, last, words, bits, cursor, links, earlier):
    """Bring the links of reads `first:last` (rule `versioned`) into the order of the reads.

    A partition keeps the order of its accesses, so the next link of a read's partition is its own.
    """
    shift = np.uint64(64) - np.uint64(bits)
    mask, odd, other = words[0], words[1], words[2]
    for j in range(first, last):
        partition = mix(keys[j], mask, odd, other) >> shift
        at = cursor[partition]
        cursor[partition] = at + np.uint64(1)
        prefetch(links, at + NEXT_LINE)
        earlier[j] = links[at]


@njit(nogil=True, cache=True, no_cfunc_wrapper=True)
def restore_all_links(
    read_offsets, read_keys, write_offsets, write_keys, first, last, words, bits, cursor, records,
    read_earlier, read_later, write_earlier,
):  # fmt: skip
    """Bring the links of transactions `first:last` (rule `locking`) into the order of the accesses."""
    shift = np.uint64(64) - np.uint64(bits)
    mask, odd, other = words[0], words[1], words[2]
    for i in range(first, last):
        for j in range(read_offsets[i], read_offsets[i + 1]):
            partition = mix(read_keys[j], mask, odd, other) >> shift
            at = cursor[partition]
            cursor[partition] = at + np.uint64(1)
            prefetch(records, at + NEXT_RECORDS)
            record = records[at]
            read_earlier[j] = np.uint32(record & LOW)
            read_later[j] = np.uint32(record >> np.uint64(32))
        for j in range(write_offsets[i], write_offsets[i + 1]):
            partition = mix(write_keys[j], mask, odd, other) >> shift
            at = cursor[partition]
            cursor[partition] = at + np.uint64(1)
            prefetch(records, at + NEXT_RECORDS)
            write_earlier[j] = np.uint32(records[at] & LOW)


@njit(nogil=True, cache=True, no_cfunc_wrapper=True)
def versioned_waves(read_offsets, read_earlier, levels, wave):
    """Fill `wave` and return how many waves there are.

    `levels[t]` is 1 + the wave of the transaction that a link names t, and 0 for none.
    """
    count = np.int32(0)
    levels[0] = np.int32(0)
    for i in range(wave.size):
        level = np.int32(0)
        for j in range(read_offsets[i], read_offsets[i + 1]):
            level = max(level, levels[read_earlier[j]])
        wave[i] = level
        levels[i + 1] = level + np.int32(1)
        count = max(count, level + np.int32(1))
    return count


@njit(nogil=True, cache=True, no_cfunc_wrapper=True)
def locking_waves(read_offsets, read_earlier, read_later, write_offsets, write_earlier, levels, wave):
    """Fill `wave` and return how many waves there are; `levels` must be zero.

    Before its turn, a transaction's level is what the readers before its writes ask for: every reader raises
    the level of the next writer, so no list of readers is kept.
    """
    count = np.int32(0)
    for i in range(wave.size):
        level = levels[i + 1]
        for j in range(read_offsets[i], read_offsets[i + 1]):
            level = max(level, levels[read_earlier[j]])
        for j in range(write_offsets[i], write_offsets[i + 1]):
            level = max(level, levels[write_earlier[j]])
        wave[i] = level
        level += np.int32(1)
        for j in range(read_offsets[i], read_offsets[i + 1]):
            later = read_later[j]
            levels[later] = max(levels[later], level)
        levels[0] = np.int32(0)
        levels[i + 1] = level
        count = max(count, level)
    return count


@njit(nogil=True, cache=True, no_cfunc_wrapper=True)
def count_successors(offsets, links, forward, counts):
    """Add to `counts[e + 1]` how many links name transaction e as the earlier end of an edge.

    `forward` links point from the earlier transaction to the later one, the others back.
    """
    for i in range(offsets.size - 1):
        for j in range(offsets[i], offsets[i + 1]):
            link = np.int64(links[j])
            if link != 0 and link != i + 1:
                counts[i + 1 if forward else link] += 1


@njit(nogil=True, cache=True, no_cfunc_wrapper=True)
def place_successors(offsets, links, forward, cursor, successors):
    """Write the later end of every link to the place of its earlier end; `cursor` moves on."""
    for i in range(offsets.size - 1):
        for j in range(offsets[i], offsets[i + 1]):
            link = np.int64(links[j])
            if link != 0 and link != i + 1:
                source = i if forward else link - 1
                successors[cursor[source]] = np.int32(link - 1 if forward else i)
                cursor[source] += 1


@njit(nogil=True, cache=True, no_cfunc_wrapper=True)
def count_edges(starts, successors, last_seen, counts):
    """Add to `counts[i + 1]` how many different transactions i depends on; `last_seen` starts at −1."""
    for earlier in range(starts.size - 1):
        for j in range(starts[earlier], starts[earlier + 1]):
            later = successors[j]
            if last_seen[later] != earlier:
                last_seen[later] = np.int32(earlier)
                counts[later + 1] += 1


@njit(nogil=True, cache=True, no_cfunc_wrapper=True)
def place_edges(starts, successors, last_seen, cursor, edges):
    """Write each transaction's predecessors once. They come in ascending order, so nothing is sorted."""
    for earlier in range(starts.size - 1):
        for j in range(starts[earlier], starts[earlier + 1]):
            later = successors[j]
            if last_seen[later] != earlier:
                last_seen[later] = np.int32(earlier)
                edges[cursor[later]] = np.int32(earlier)
                cursor[later] += 1
