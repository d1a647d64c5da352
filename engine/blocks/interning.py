# SPDX-License-Identifier: GPL-3.0-or-later
"""A batch with its keys numbered, the result of decoding: later stages compare numbers, not byte strings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from supervm.engine.blocks.kernels import join_lists, lay_keys
from supervm.engine.privacy import shielded_calls
from supervm.engine.privacy.shielded_calls import NULLIFIER, RECIPIENT, ShieldedCalls
from supervm.engine.state.keys import ACCOUNT, account_keys, object_keys
from supervm.engine.state.pools import spent_keys
from supervm.engine.state.store import StateStore
from supervm.engine.transactions.batch import TransactionBatch
from supervm.kernels.array_types import Numbers
from supervm.kernels.arrays import borrow
from supervm.kernels.work import Ragged

ADDRESS_BYTES = 20


@dataclass(frozen=True, eq=False)
class InternedCalls:
    """The calls of pools in a batch, by their form, and the numbers of the keys that they name.

    Args:
        calls: k of them.
        nullifiers: int64 (k, 2), of the keys of their nullifiers in the pool that each calls.
        recipients: int64 (k,), of the accounts that they pay.
    """

    calls: ShieldedCalls
    nullifiers: Numbers
    recipients: Numbers

    def take(self, places: Numbers) -> InternedCalls:
        """Some of the calls, by their places here."""
        return InternedCalls(self.calls.take(places), self.nullifiers[places], self.recipients[places])


@dataclass(frozen=True, eq=False)
class InternedBatch:
    """A batch and the numbers of its keys at one engine.

    Args:
        store: whose numbers they are; another engine's mean nothing here.
        batch: the transactions.
        senders, targets: int64 (n,), of the accounts of `sender` and `to`.
        objects: int64 (o,), of the objects.
        reads, writes: int64, of the declared keys.
        shielded: calls of pools; None where there are none.
    """

    store: StateStore
    batch: TransactionBatch
    senders: Numbers
    targets: Numbers
    objects: Numbers
    reads: Numbers
    writes: Numbers
    shielded: InternedCalls | None

    def __len__(self) -> int:
        return len(self.batch)


def intern_batch(store: StateStore, batch: TransactionBatch) -> InternedBatch:
    """Number the keys of a batch. An address that is sender and target, of many transactions too, has one number."""
    numbers = store.intern(_rows(_accounts(batch)))
    return InternedBatch(
        store,
        batch,
        numbers[: len(batch)],
        numbers[len(batch) :],
        store.intern(_rows(object_keys(batch.object_ids))),
        store.intern(batch.read_keys.ragged),
        store.intern(batch.write_keys.ragged),
        _shielded(store, batch) if batch.private.any() else None,
    )


def _shielded(store: StateStore, batch: TransactionBatch) -> InternedCalls | None:
    calls = shielded_calls.find(batch)
    if not len(calls):
        return None
    inputs = calls.inputs
    nullifiers = inputs[:, NULLIFIER : NULLIFIER + shielded_calls.NOTES].reshape(-1, inputs.shape[2])
    pools = np.repeat(batch.to[calls.rows], shielded_calls.NOTES, axis=0)
    recipients = account_keys(inputs[:, RECIPIENT, -ADDRESS_BYTES:])
    return InternedCalls(
        calls,
        store.intern(_rows(spent_keys(pools, nullifiers))).reshape(-1, shielded_calls.NOTES),
        store.intern(_rows(recipients)),
    )


def _accounts(batch: TransactionBatch) -> NDArray[np.uint8]:
    """The keys of the senders, then of the targets."""
    count = len(batch)
    keys = np.empty((2 * count, 1 + batch.sender.shape[1]), np.uint8)
    for place, addresses in ((0, batch.sender), (count, batch.to)):
        lay_keys(ACCOUNT, borrow(np.ascontiguousarray(addresses)), keys[place : place + count])
    return keys


def _rows(rows: NDArray[np.uint8]) -> Ragged:
    width = rows.shape[1]
    return Ragged(rows.reshape(-1), np.arange(len(rows) + 1, dtype=np.int64) * width)


def declared_keys(interned: InternedBatch) -> tuple[Numbers, Numbers, Numbers]:
    """Each transaction's declared reads, then its declared writes, as one list.

    Returns:
        (offsets int64 (n + 1,), numbers int64, where in it the writes of each transaction begin int64 (n,)).
    """
    batch = interned.batch
    count = len(interned.reads) + len(interned.writes)
    if not count:
        return batch.read_offsets, interned.reads, batch.read_offsets[:-1]
    offsets, numbers = np.empty(len(batch) + 1, np.int64), np.empty(count, np.int64)
    middles = np.empty(len(batch), np.int64)
    join_lists(
        borrow(batch.read_offsets),
        interned.reads,
        borrow(batch.write_offsets),
        interned.writes,
        offsets,
        numbers,
        middles,
    )
    return offsets, numbers, middles
