# SPDX-License-Identifier: GPL-3.0-or-later
"""The events of shielded pools as columns (docs/privacy-pool.md, "Events"): what wallets scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from supervm.engine.arrays import ragged
from supervm.engine.blocks.receipts import Path, Receipts
from supervm.engine.execution.shielded import EVENT_BYTES, EVENT_PARTS, POOL_BYTES
from supervm.engine.privacy.shielded_calls import NOTES
from supervm.kernels.array_types import Bytes, Indices, Words
from supervm.kernels.errors import ArgumentError


@dataclass(frozen=True, eq=False)
class NewNotes:
    """The new notes of a block in a pool, n of them, in block order, which is that of the tree.

    Args:
        transactions: int64 (n,), which transaction of the block made each.
        indices: uint64 (n,), in the tree.
        commitments: uint8 (n, 32), big-endian.
        nullifiers: uint8 (n, 32), likewise: of as many notes that were spent.
        notes: uint8 (n, 160), what each note's owner finds and opens it with.
    """

    transactions: Indices
    indices: Words
    commitments: Bytes
    nullifiers: Bytes
    notes: Bytes

    def __len__(self) -> int:
        return len(self.indices)


def new_notes(receipts: Receipts, pool: bytes) -> NewNotes:
    """What a block did to a pool. Only the engine gives receipts the path of pools: no contract can make such events.

    Args:
        receipts: of the block.
        pool: address, 20 bytes, of a shielded pool.

    Raises:
        ArgumentError: receipts of the path of pools with other events than a pool's: no engine made them.
    """
    rows = np.flatnonzero((receipts.path == Path.POOL) & receipts.success)
    _, places = ragged.spread(receipts.event_offsets, rows)
    counts = np.diff(receipts.event_offsets)[rows]
    if (counts != NOTES).any() or (ragged.lengths(receipts.events)[places] != EVENT_BYTES).any():
        raise ArgumentError("receipts", "other events", "two of a pool for each call of one")
    calls = ragged.taken_rows(receipts.events, places, EVENT_BYTES).reshape(len(rows), NOTES, EVENT_BYTES)
    named = calls[:, :, :POOL_BYTES]
    if (named != named[:, :1]).any():
        raise ArgumentError("receipts", "a call with events of two pools", "two of one pool for each call")
    own = (named[:, 0] == np.frombuffer(pool, np.uint8)).all(axis=1)
    data = calls[own].reshape(-1, EVENT_BYTES)
    _, index, commitments, nullifiers, notes = np.split(data, np.cumsum(EVENT_PARTS)[:-1], axis=1)
    indices = np.ascontiguousarray(index).view(">u8")[:, 0].astype(np.uint64)
    return NewNotes(np.repeat(rows[own], NOTES), indices, commitments, nullifiers, notes)
