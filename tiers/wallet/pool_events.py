# SPDX-License-Identifier: GPL-3.0-or-later
"""What blocks did to a pool, from their receipts (docs/privacy-pool.md, "Events")."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from supervm.engine.blocks.receipts import Path, Receipts
from supervm.engine.execution.shielded import EVENT_BYTES, INDEX_BYTES
from supervm.engine.privacy.shielded_calls import NOTES
from supervm.kernels.array_types import Bytes, Indices
from supervm.tiers.node.errors import WalletError

_ELEMENT = 32


@dataclass(frozen=True, eq=False)
class Events:
    """The notes of a block's transactions, in the order of the tree.

    Args:
        leaves, nullifiers: uint8 (n, 32), big-endian.
        encrypted: uint8 (n, 160).
    """

    leaves: Bytes
    nullifiers: Bytes
    encrypted: Bytes

    def __len__(self) -> int:
        return len(self.leaves)


def events_of(receipts: Receipts, size: int, number: int) -> Events:
    """The events of the pool whose tree had `size` leaves before the block.

    A receipt does not say which contract it is of. Those of the pool are the successful private transactions with two events
    of a note's length whose indices continue its tree; that nothing else was taken for one, the root of the tree shows in
    the end.

    Args:
        number: of the block, for the error.

    Raises:
        WalletError: transactions continue the tree, but in another order.
    """
    firsts = _candidates(receipts)
    bytes_of = receipts.events.offsets[firsts][:, None] + np.arange(NOTES * EVENT_BYTES)
    rows = receipts.events.data[bytes_of].reshape(len(firsts), NOTES, EVENT_BYTES)
    places = np.ascontiguousarray(rows[..., :INDEX_BYTES]).view(">u8")[..., 0].astype(np.uint64)
    pairs = np.flatnonzero(places[:, 1] == places[:, 0] + np.uint64(1))
    found, at = np.unique(places[pairs, 0], return_index=True)
    at = at[found >= size]
    expected = size + NOTES * np.arange(len(at), dtype=np.uint64)
    others = np.flatnonzero(found[found >= size] != expected)
    taken = pairs[at[: others[0] if len(others) else len(at)]]
    if (np.diff(taken) <= 0).any():
        raise WalletError(
            f"the receipts of block {number} do not continue the note tree of the pool, which has {size} leaves: they "
            "are in another order; ask another upstream"
        )
    rows = rows[taken]
    flat = rows.reshape(-1, EVENT_BYTES)
    ends = (INDEX_BYTES, INDEX_BYTES + _ELEMENT, INDEX_BYTES + 2 * _ELEMENT)
    return Events(*(part.copy() for part in np.split(flat, ends, axis=1)[1:]))


def _candidates(receipts: Receipts) -> Indices:
    """The first event of each transaction that might be one of a pool, int64 (k,)."""
    counts = np.diff(receipts.event_offsets)
    meant = np.flatnonzero((receipts.path == Path.PRIVACY) & receipts.success & (counts == NOTES))
    firsts = receipts.event_offsets[meant]
    lengths = np.diff(receipts.events.offsets)
    same = (lengths[firsts] == EVENT_BYTES) & (lengths[firsts + 1] == EVENT_BYTES)
    found: Indices = firsts[same]
    return found
