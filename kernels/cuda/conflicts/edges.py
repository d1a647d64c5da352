# SPDX-License-Identifier: GPL-3.0-or-later
"""Edges on a device: links become pairs (later, earlier) in one number of 64 bits, which are sorted and kept once each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from supervm.kernels.cuda.conflicts.peeling import Links
from supervm.kernels.cuda.runtime.device import Buffer, Stream
from supervm.kernels.cuda.runtime.radix_sort import (
    BUFFER_BYTES,
    GROUP,
    MOST_BLOCKS,
    PROGRAM,
    Sorting,
    address,
    digits,
    fetch,
    scan,
    sort_bytes,
    tiles,
    within,
)


def edge_bytes(transactions: int, links: int) -> int:
    """Device memory that `edges` allocates at most."""
    return 24 * links + sort_bytes(links) + 4 * tiles(links) + 8 * (transactions + 1) + 6 * BUFFER_BYTES


def edges(stream: Stream, links: Links) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Predecessors of every transaction, ascending, each once: offsets int64 (n + 1,) and int32. Waits for the stream."""
    n = links.transactions
    bits = max(1, (n - 1).bit_length())
    pairs, spare = stream.allocate(8 * max(1, links.count)), stream.allocate(8 * max(1, links.count))
    found = _collect(stream, links, bits, pairs)
    if not found:
        return np.zeros(n + 1, np.int64), np.empty(0, np.int32)
    sorting = Sorting(pairs, spare, pairs, pairs)
    sorting.sort(stream, found, digits((1 << 2 * bits) - 1))
    numbers, sums = stream.allocate(4 * found), stream.allocate(4 * tiles(found))
    stream.launch_items(PROGRAM, "mark_unique", found, found, sorting.keys, numbers)
    scan(stream, found, numbers, sums, adds=True)
    unique = sorting.spare_keys
    stream.launch_items(PROGRAM, "keep_unique", found, found, numbers, sorting.keys, unique)
    count = within(int(fetch(stream, numbers, np.uint32, 1, 4 * (found - 1))[0]), 1, found, "edges")
    starts, ends = stream.allocate(8 * (n + 1)), stream.allocate(4 * count)
    stream.launch_items(PROGRAM, "edge_offsets", n + 1, n, count, bits, unique, starts)
    stream.launch_items(PROGRAM, "edge_ends", count, count, bits, unique, ends)
    offsets, listed = np.empty(n + 1, np.int64), np.empty(count, np.int32)
    stream.download(starts, offsets)
    stream.download(ends, listed)
    stream.wait()
    return offsets, listed


def _collect(stream: Stream, links: Links, bits: int, pairs: Buffer) -> int:
    """Put the pairs of all links to others into `pairs`, in any order; how many."""
    counter = stream.allocate(4)
    stream.clear(counter)

    def add(count: int, owner: np.uint64, names: Buffer, ahead: int) -> None:
        if count:
            blocks = min(-(-count // GROUP), MOST_BLOCKS)
            stream.launch(
                PROGRAM, "collect_pairs", blocks, GROUP, count, owner, names, ahead, bits, pairs, counter
            )

    readers, writers = address(links.owner, 0), address(links.owner, 4 * links.reads)
    add(links.reads, readers, links.read_earlier, 0)
    if links.locking:
        add(links.reads, readers, links.read_later, 1)
        add(links.writes, writers, links.write_earlier, 0)
    return within(int(fetch(stream, counter, np.uint32, 1)[0]), 0, links.count, "pairs")
