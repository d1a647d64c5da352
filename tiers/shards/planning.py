# SPDX-License-Identifier: GPL-3.0-or-later
"""What each shard gets of a block: the transactions that it executes, and the keys of others that those touch.

A shard executes every transaction that may write one of its keys, and every one whose writes such a transaction depends on,
in block order (docs/shards.md, "The scheme").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from supervm.crypto.messages import Messages
from supervm.engine.arrays import ragged
from supervm.engine.blocks.interning import InternedBatch, intern_batch
from supervm.engine.state.store import StateStore
from supervm.engine.transactions.batch import TransactionBatch
from supervm.engine.transactions.encoding import encode
from supervm.kernels.array_types import Bytes, Flags, Numbers
from supervm.kernels.arrays import borrow
from supervm.tiers.shards.errors import UndeclaredAccess
from supervm.tiers.shards.kernels import close_over, foreign_keys, list_accesses
from supervm.tiers.shards.messages import Entries
from supervm.tiers.shards.shard_map import ShardMap


@dataclass(frozen=True, eq=False)
class Part:
    """What one shard gets.

    Args:
        transactions: their encodings, in block order.
        rows: int64 (m,), which ones of the block.
        home: bool (m,), whose senders have their accounts here.
        foreign: int64, which of all wanted keys it needs, as places in `Plan.wanted` one behind the other.
    """

    transactions: Messages
    rows: Numbers
    home: Flags
    foreign: Numbers


@dataclass(frozen=True, eq=False)
class Plan:
    """A block, cut for the shards.

    Args:
        transactions: in the block.
        home: uint8 (n,), the shard of each sender's account.
        cross: transactions that touch keys of more than one shard.
        wanted: of each shard, its keys that others need.
        parts: of each shard.
    """

    transactions: int
    home: Bytes
    cross: int
    wanted: tuple[Messages, ...]
    parts: tuple[Part, ...]

    def foreign(self, part: Part, values: list[Entries]) -> Entries:
        """What a shard needs of others, out of what they said.

        Args:
            part: what the shard gets.
            values: of each shard, its `wanted` keys.
        """
        return Entries.joined(values).take(part.foreign)


class Planner:
    """Cuts blocks. One thread calls it; it keeps a number for every key that it has seen.

    Args:
        shard_map: which shard has which key.
    """

    def __init__(self, shard_map: ShardMap) -> None:
        self._map = shard_map
        self._numbers = StateStore()
        self._owners = np.zeros(0, np.uint8)
        self._needed = np.zeros(0, np.uint64)
        self._seen = np.zeros(0, np.int64)
        self._places = np.zeros(0, np.int64)
        self._stamp = 0

    def plan(self, batch: TransactionBatch) -> Plan:
        """Cut a block.

        Raises:
            MalformedBatch: columns that are no batch.
            UndeclaredAccess: a call that does not declare what it touches.
        """
        batch.check()
        calls = np.diff(batch.entry.offsets) > 0
        hidden = calls & ~batch.declared
        if hidden.any():
            raise UndeclaredAccess(int(hidden.argmax()), "is a call that declares nothing")
        interned = intern_batch(self._numbers, batch)
        self._know_owners()
        offsets, keys, writing = _accesses(interned)
        masks, touched = np.empty(len(batch), np.uint64), np.empty(len(batch), np.uint64)
        close_over(offsets, keys, writing, self._owners, self._needed, masks, touched)
        home = self._owners[interned.senders]
        wanted, foreign = self._foreign(offsets, keys, masks)
        encoded = encode(batch)
        parts = []
        for shard in range(len(self._map)):
            rows = np.flatnonzero(masks & (np.uint64(1) << np.uint64(shard)))
            mine = encoded if len(rows) == len(batch) else ragged.taken(encoded, rows)
            parts.append(Part(mine, rows, home[rows] == shard, foreign[shard]))
        cross = int(np.count_nonzero(touched & (touched - np.uint64(1))))
        return Plan(len(batch), home, cross, wanted, tuple(parts))

    def _know_owners(self) -> None:
        """The owners of keys that are new."""
        known, keys = len(self._owners), len(self._numbers.keys)
        if keys > known:
            strings = self._numbers.keys.strings(np.arange(known, keys))
            self._owners = np.concatenate([self._owners, self._map.owners(strings)])
        if self._needed.size < keys:
            self._needed, self._places = np.zeros(2 * keys, np.uint64), np.zeros(2 * keys, np.int64)
            self._seen = np.concatenate([self._seen, np.zeros(2 * keys - self._seen.size, np.int64)])

    def _foreign(
        self, offsets: Numbers, keys: Numbers, masks: np.ndarray[tuple[int], np.dtype[np.uint64]]
    ) -> tuple[tuple[Messages, ...], list[Numbers]]:
        """The keys of each shard that others need, and of each shard the places of those that it needs."""
        needs = []
        found = np.empty(len(keys), np.int64)
        for shard in range(len(self._map)):
            self._stamp += 1
            count = foreign_keys(shard, offsets, keys, self._owners, masks, self._seen, self._stamp, found)
            needs.append(found[:count].copy())
        every = np.unique(np.concatenate(needs))
        listed = every[np.argsort(self._owners[every], kind="stable")]
        bounds = np.searchsorted(self._owners[listed], np.arange(len(self._map) + 1))
        wanted = tuple(
            Messages(*self._numbers.keys.strings(listed[bounds[shard] : bounds[shard + 1]]))
            for shard in range(len(self._map))
        )
        self._places[listed] = np.arange(len(listed))
        return wanted, [self._places[need] for need in needs]


def _accesses(interned: InternedBatch) -> tuple[Numbers, Numbers, Flags]:
    """Offsets, numbers and whether it is written, of the keys that each transaction may touch."""
    batch = interned.batch
    lists = (
        (borrow(batch.object_offsets), interned.objects),
        (borrow(batch.read_offsets), interned.reads),
        (borrow(batch.write_offsets), interned.writes),
    )
    most = 2 * len(batch) + sum(len(numbers) for _, numbers in lists)
    offsets, keys = np.empty(len(batch) + 1, np.int64), np.empty(most, np.int64)
    writing = np.empty(most, np.bool_)
    moves = np.ascontiguousarray(batch.value).view(np.uint64).any(axis=1)
    list_accesses(interned.senders, interned.targets, moves, *lists, offsets, keys, writing)
    return offsets, keys[: offsets[-1]], writing[: offsets[-1]]
