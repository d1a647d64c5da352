# SPDX-License-Identifier: GPL-3.0-or-later
"""What a block comes to that several shards have executed, and its receipts: those of some rows, and all of them in block
order again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from supervm.engine.arrays import ragged
from supervm.engine.blocks.receipts import Receipts
from supervm.kernels.array_types import Bytes, Numbers


@dataclass(frozen=True)
class ShardedBlock:
    """A block that is part of the state of all shards.

    Args:
        height, timestamp: of the block.
        receipts: of its transactions, in block order; the paths are those of execution one by one.
        roots: of every shard's state.
        fees: gas used × gas price of all.
        transactions, cross: how many there were, and how many touch more than one shard.
        executed: transactions that each shard executed.
        seconds: by stage.
    """

    height: int
    timestamp: int
    receipts: Receipts
    roots: tuple[bytes, ...]
    fees: int
    transactions: int
    cross: int
    executed: tuple[int, ...]
    seconds: dict[str, float] = field(default_factory=dict)


def taken_receipts(receipts: Receipts, rows: Numbers) -> Receipts:
    """The receipts at these indices, int64 (m,), in their order."""
    offsets, events = ragged.spread(receipts.event_offsets, rows)
    return Receipts(
        receipts.path[rows],
        receipts.reason[rows],
        receipts.gas[rows],
        receipts.return_value[rows],
        ragged.taken(receipts.output, rows),
        offsets,
        ragged.taken(receipts.events, events),
    )


def joined_receipts(parts: Sequence[Receipts], home: Bytes) -> Receipts:
    """The receipts of a block in block order.

    Args:
        parts: of each shard, those of the transactions that are at home there, in block order.
        home: uint8 (n,), the shard of each transaction.
    """
    every = Receipts(
        np.concatenate([each.path for each in parts]),
        np.concatenate([each.reason for each in parts]),
        np.concatenate([each.gas for each in parts]),
        np.concatenate([each.return_value for each in parts]),
        ragged.joined([each.output for each in parts]),
        ragged.joined_offsets([each.event_offsets for each in parts]),
        ragged.joined([each.events for each in parts]),
    )
    # Row r of all parts is the transaction order[r] of the block.
    order = np.argsort(home, kind="stable")
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    return taken_receipts(every, places)
