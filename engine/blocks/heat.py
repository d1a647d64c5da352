# SPDX-License-Identifier: GPL-3.0-or-later
"""Which keys are hot, from block to block: counts that decay (LFU), and the transactions that wait for each other there.

A transaction that touches a hot key shortly after another one that touches it would be executed ahead in vain; it is
executed when its turn comes instead. For an extremely hot key those are all its transactions: they run serially; for a
medium one they queue where they come close to each other; cold keys cost nothing.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numba import njit
from numpy.typing import NDArray

from supervm.engine.blocks.layout import Block
from supervm.engine.conflicts import detect
from supervm.engine.execution import columns as c
from supervm.engine.execution.optimistic import WINDOW
from supervm.kernels.array_types import Flags, Numbers

KEPT = 256
"""Keys that are counted."""

SAMPLE, LEAST_SAMPLE = 32, 256
"""One transaction in so many is counted, or more of them where that would be fewer than so many."""

EVERY = 8
"""Blocks from one count to the next, while nothing conflicts much."""

DECAY = 0.5
"""What a count is worth at the next one."""

EXTREME, MEDIUM = 0.10, 0.01
"""Shares of a block's transactions that touch a key, from which on it is extremely or medium hot."""


LEAST_COUNT = 8
"""Below so many accesses in the samples a share says nothing."""


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
        self._blocks = 0

    def observe(self, block: Block, backend: str = "auto") -> None:
        """Count a block if it is time again."""
        if self._blocks % EVERY == 0:
            self.count(block, backend)
        self._blocks += 1

    def hurry(self) -> None:
        """Count the next block in any case: this one conflicted with itself more than was known."""
        self._blocks = 0

    def count(self, block: Block, backend: str = "auto") -> None:
        """Count the accesses of a sample of the block, by conflict detection, and let older counts decay."""
        step = max(1, min(SAMPLE, len(block) // LEAST_SAMPLE))
        rows = np.arange(0, len(block), step)
        rows = rows[block.live[rows]]
        offsets, keys = written_keys(block, rows)
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
        count = self._counts.get(key, 0.0)
        share = count / self._transactions if count >= LEAST_COUNT else 0.0
        return Heat.EXTREME if share >= EXTREME else Heat.MEDIUM if share >= MEDIUM else Heat.COLD

    def hot(self) -> Numbers:
        """Numbers of the keys that are not cold, ascending."""
        return np.array(sorted(key for key in self._counts if self.heat(key) > Heat.COLD), np.int64)


def written_keys(block: Block, rows: Numbers) -> tuple[Numbers, NDArray[np.uint64]]:
    """The keys that these transactions are known to write, in CSR form."""
    offsets, keys, only_read = accesses(block, rows)
    owners = np.repeat(np.arange(len(rows)), np.diff(offsets))[~only_read]
    bounds = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(np.bincount(owners, minlength=len(rows)), out=bounds[1:])
    return bounds, keys[~only_read]


def accesses(block: Block, rows: Numbers) -> tuple[Numbers, NDArray[np.uint64], Flags]:
    """The keys that these transactions are known to touch: accounts, what they declare, objects.

    Returns:
        (offsets int64, keys uint64, which of them are only read bool).
    """
    columns, batch = block.columns, block.interned.batch
    declared, objects = columns[c.DECLARED_OFFSETS], batch.object_offsets
    counts = 2 + np.diff(declared)[rows] + np.diff(objects)[rows]
    offsets = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    keys, only_read = np.empty(int(offsets[-1]), np.uint64), np.zeros(int(offsets[-1]), np.bool_)
    keys[offsets[:-1]] = block.interned.senders[rows]
    # A call that moves nothing does not touch its contract's account; its sender stands twice then.
    moved = block.pays[rows] | block.transfers[rows]
    keys[offsets[:-1] + 1] = np.where(moved, block.interned.targets[rows], block.interned.senders[rows])
    start = offsets[:-1] + 2
    only_read[_ranges(start, (columns[c.DECLARED_WRITES] - declared[:-1])[rows])] = True
    for bounds, values in ((declared, columns[c.DECLARED]), (objects, block.interned.objects)):
        many = np.diff(bounds)[rows]
        keys[_ranges(start, many)] = values[_ranges(bounds[rows], many)]
        start = start + many
    return offsets, keys, only_read


class Queues:
    """Finds the transactions that wait for one before them; keeps an array by key number between blocks."""

    def __init__(self) -> None:
        self._places = np.zeros(0, np.int32)

    def waiting(self, block: Block, hot: Numbers, keys: int) -> Flags:
        """Which transactions write a hot key within `WINDOW` behind another one that writes it, bool (n,).

        Args:
            hot: numbers of hot keys.
            keys: how many key numbers there are.
        """
        waits = np.zeros(len(block), np.bool_)
        if not hot.size:
            return waits
        if self._places.size < keys:
            self._places = np.zeros(max(keys, 2 * self._places.size), np.int32)
        self._places[hot] = FAR
        interned, columns = block.interned, block.columns
        _mark_waiting(
            block.live,
            interned.senders,
            interned.targets,
            block.pays | block.transfers,
            columns[c.DECLARED_WRITES],
            columns[c.DECLARED_OFFSETS],
            columns[c.DECLARED],
            self._places,
            waits,
        )
        self._places[hot] = 0
        return waits


FAR = -(1 << 30)
"""Where a hot key was written last, before it was written at all."""


@njit(nogil=True, cache=True)
def _near(places, number, item):  # type: ignore[no-untyped-def]
    """Whether a hot key was written shortly before; cold keys stand at 0, hot ones at their last writer + 1."""
    place = places[number]
    if place == 0:
        return False
    places[number] = item + 1
    return 0 <= item + 1 - place < WINDOW if place > 0 else False


@njit(nogil=True, cache=True)
def _mark_waiting(live, senders, targets, moved, writes, offsets, declared, places, waits):  # type: ignore[no-untyped-def]
    for item in range(live.size):
        if not live[item]:
            continue
        near = _near(places, senders[item], item)
        if moved[item] and targets[item] != senders[item]:
            near |= _near(places, targets[item], item)
        for place in range(writes[item], offsets[item + 1]):
            if declared[place] != senders[item] and declared[place] != targets[item]:
                near |= _near(places, declared[place], item)
        waits[item] = near


def _ranges(starts: Numbers, counts: Numbers) -> Numbers:
    """starts[i], starts[i] + 1, … counts[i] numbers each, one behind the other."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    ranges: Numbers = np.arange(total, dtype=np.int64) + np.repeat(starts - (ends - counts), counts)
    return ranges
