# SPDX-License-Identifier: GPL-3.0-or-later
"""The events of shielded pools as columns (docs/privacy-pool.md, "Events"): what wallets scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from supervm.engine.arrays import ragged
from supervm.engine.blocks.receipts import Path, Receipts
from supervm.engine.execution.shielded import EVENT_BYTES, INDEX_BYTES
from supervm.engine.privacy.shielded_calls import NOTES
from supervm.engine.transactions.batch import TransactionBatch
from supervm.kernels.array_types import Bytes, Indices
from supervm.kernels.errors import ArgumentError

_ELEMENT = 32


@dataclass(frozen=True, eq=False)
class NewNotes:
    """The new notes of a block in a pool, n of them, in the order of the tree.

    Args:
        transactions: int64 (n,), which transaction of the block made each.
        indices: int64 (n,), in the tree.
        commitments: uint8 (n, 32), big-endian.
        nullifiers: uint8 (n, 32), likewise: of as many notes that were spent.
        notes: uint8 (n, 160), what each note's owner finds and opens it with.
    """

    transactions: Indices
    indices: Indices
    commitments: Bytes
    nullifiers: Bytes
    notes: Bytes

    def __len__(self) -> int:
        return len(self.indices)


def new_notes(batch: TransactionBatch, receipts: Receipts, pool: bytes) -> NewNotes:
    """What a block did to a pool.

    Args:
        batch: the block.
        receipts: of its transactions.
        pool: address, 20 bytes, of a shielded pool.

    Raises:
        ArgumentError: receipts of another block.
    """
    if len(batch) != len(receipts):
        raise ArgumentError("receipts", f"{len(receipts)} of them", f"{len(batch)}, one for each transaction")
    called = (batch.to == np.frombuffer(pool, np.uint8)).all(axis=1)
    rows = np.flatnonzero(called & (receipts.path == Path.PRIVACY) & receipts.success)
    _, places = ragged.spread(receipts.event_offsets, rows)
    if len(places) != NOTES * len(rows) or (ragged.lengths(receipts.events)[places] != EVENT_BYTES).any():
        raise ArgumentError("receipts", "other events", "two of a pool for each call of it")
    data = ragged.taken_rows(receipts.events, places, EVENT_BYTES)
    index, commitments, nullifiers, notes = np.split(
        data, (INDEX_BYTES, INDEX_BYTES + _ELEMENT, INDEX_BYTES + 2 * _ELEMENT), axis=1
    )
    indices = np.ascontiguousarray(index).view(">u8")[:, 0].astype(np.int64)
    return NewNotes(np.repeat(rows, NOTES), indices, commitments, nullifiers, notes)
