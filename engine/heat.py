# SPDX-License-Identifier: GPL-3.0-or-later
"""Which keys are hot, from block to block: counts that decay (LFU), and the transactions that wait for each other there.

A transaction that touches a hot key shortly after another one that touches it would be executed ahead in vain; it is
executed when its turn comes instead. For an extremely hot key those are all its transactions: they run serially; for a
medium one they queue where they come close to each other; cold keys cost nothing.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from supervm.engine.blocks import Block
from supervm.engine.conflicts import detect
from supervm.engine.execution import columns as c
from supervm.engine.execution.speculation import WINDOW

Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]

KEPT = 256
"""Keys that are counted."""

SAMPLE = 8
"""One transaction in so many is counted."""

DECAY = 0.5
"""What a count is worth one block later."""

EXTREME, MEDIUM = 0.10, 0.01
"""Shares of a block's transactions that touch a key, from which on it is extremely or medium hot."""


class Heat(IntEnum):
    """How hot a key is."""

    COLD = 0
    MEDIUM = 1
    EXTREME = 2


class HeatTable:
    """Counts of the hottest keys, over blocks."""

    def __init__(self) -> None:
        self._counts: dict[int, float] = {}
        self._transactions = 0.0

    def count(self, block: Block, backend: str = "auto") -> None:
        """Count the accesses of a sample of the block, by conflict detection, and let older counts decay."""
        rows = np.arange(0, len(block), SAMPLE)
        rows = rows[block.live[rows]]
        offsets, keys = accesses(block, rows)
        nothing = np.zeros(len(rows) + 1, np.int64)
        found = detect(nothing, keys[:0], offsets, keys, backend=backend)
        for key in self._counts:
            self._counts[key] *= DECAY
        self._transactions = self._transactions * DECAY + len(rows)
        for key, times in zip(found.hot_keys.tolist(), found.hot_counts.tolist(), strict=True):
            self._counts[key] = self._counts.get(key, 0.0) + times
        if len(self._counts) > KEPT:
            hottest = sorted(self._counts, key=self._counts.__getitem__, reverse=True)
            self._counts = {key: self._counts[key] for key in hottest[:KEPT]}

    def heat(self, key: int) -> Heat:
        """How hot a key is, by its number."""
        share = self._counts.get(key, 0.0) / self._transactions if self._transactions else 0.0
        return Heat.EXTREME if share >= EXTREME else Heat.MEDIUM if share >= MEDIUM else Heat.COLD

    def hot(self) -> Numbers:
        """Numbers of the keys that are not cold, ascending."""
        return np.array(sorted(key for key in self._counts if self.heat(key) > Heat.COLD), np.int64)


def accesses(block: Block, rows: Numbers) -> tuple[Numbers, NDArray[np.uint64]]:
    """The keys that these transactions are known to touch: accounts, objects and what they declare, in CSR form."""
    columns, batch = block.columns, block.interned.batch
    declared, objects = columns[c.DECLARED_OFFSETS], batch.object_offsets
    counts = 2 + np.diff(declared)[rows] + np.diff(objects)[rows]
    offsets = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    keys = np.empty(int(offsets[-1]), np.uint64)
    keys[offsets[:-1]] = block.interned.senders[rows]
    # A call that moves nothing does not touch its contract's account; its sender stands twice then.
    moved = block.pays[rows] | block.transfers[rows]
    keys[offsets[:-1] + 1] = np.where(moved, block.interned.targets[rows], block.interned.senders[rows])
    start = offsets[:-1] + 2
    for bounds, values in ((declared, columns[c.DECLARED]), (objects, block.interned.objects)):
        many = np.diff(bounds)[rows]
        source = _ranges(bounds[rows], many)
        keys[_ranges(start, many)] = values[source]
        start = start + many
    return offsets, keys


def waiting(block: Block, hot: Numbers) -> Flags:
    """Which transactions touch a hot key within `WINDOW` behind another one that touches it, bool (n,)."""
    waits = np.zeros(len(block), np.bool_)
    if not hot.size:
        return waits
    rows = np.flatnonzero(block.live)
    offsets, keys = accesses(block, rows)
    place = np.searchsorted(hot, keys.astype(np.int64))
    found = hot[np.minimum(place, hot.size - 1)] == keys
    owners = np.repeat(rows, np.diff(offsets))[found]
    order = np.lexsort((owners, place[found]))
    owners, place = owners[order], place[found][order]
    same = (place[1:] == place[:-1]) & (owners[1:] != owners[:-1])
    waits[owners[1:][same & (owners[1:] - owners[:-1] < WINDOW)]] = True
    return waits


def _ranges(starts: Numbers, counts: Numbers) -> Numbers:
    """starts[i], starts[i] + 1, … counts[i] numbers each, one behind the other."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    ranges: Numbers = np.arange(total, dtype=np.int64) + np.repeat(starts - (ends - counts), counts)
    return ranges
