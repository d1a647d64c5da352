# SPDX-License-Identifier: GPL-3.0-or-later
"""What each shard gets of a block, against a plain search for everything that its keys depend on."""

from __future__ import annotations

import random

import numpy as np
import pytest
import shard_runs

from supervm.engine.state.keys import account_keys, object_keys
from supervm.engine.transactions.batch import TransactionBatch
from supervm.engine.transactions.encoding import encode
from supervm.tiers.shards.errors import UndeclaredAccess
from supervm.tiers.shards.planning import Planner
from supervm.tiers.shards.shard_map import ShardMap


def accesses(batch: TransactionBatch, row: int) -> tuple[set[bytes], set[bytes]]:
    """The keys that a transaction may read, and those that it may write."""
    (sender,), (to,) = account_keys(batch.sender[row : row + 1]), account_keys(batch.to[row : row + 1])
    writes = {sender.tobytes()}
    if batch.value[row].any():
        writes.add(to.tobytes())
    first, stop = batch.object_offsets[row : row + 2]
    writes |= {key.tobytes() for key in object_keys(batch.object_ids[first:stop])}
    writes |= {batch.write_keys[place] for place in range(*batch.write_offsets[row : row + 2])}
    reads = {batch.read_keys[place] for place in range(*batch.read_offsets[row : row + 2])}
    return reads | writes, writes


def test_a_shard_gets_all_that_its_keys_depend_on_and_nothing_else() -> None:
    for seed in range(6):
        shards = 1 + seed % 4
        found = ShardMap.uniform(shards)
        planner = Planner(found)
        _, blocks = shard_runs.random_blocks(seed, 150, accounts=25, most=30)
        for block in blocks:
            plan = planner.plan(block)
            touched = [accesses(block, row) for row in range(len(block))]
            cross = sum(len({found.owner(key) for key in keys}) > 1 for keys, _ in touched)
            assert (plan.transactions, plan.cross) == (len(block), cross)
            encoded = encode(block)
            needed: set[tuple[int, bytes]] = set()
            for shard, part in enumerate(plan.parts):
                rows: set[int] = set()
                for row in range(len(block) - 1, -1, -1):
                    mine = {key for key in touched[row][1] if found.owner(key) == shard}
                    later = set().union(*(touched[other][0] for other in rows))
                    if mine or touched[row][1] & later:
                        rows.add(row)
                assert part.rows.tolist() == sorted(rows)
                assert [part.transactions[at] for at in range(len(rows))] == [
                    encoded[row] for row in sorted(rows)
                ]
                assert part.home.tolist() == [plan.home[row] == shard for row in sorted(rows)]
                wanted = [key for each in plan.wanted for key in (each[at] for at in range(len(each)))]
                foreign = [wanted[place] for place in part.foreign]
                expected = {key for row in rows for key in touched[row][0] if found.owner(key) != shard}
                assert len(foreign) == len(expected)
                assert set(foreign) == expected
                needed |= {(found.owner(key), key) for key in expected}
            listed = {(shard, each[at]) for shard, each in enumerate(plan.wanted) for at in range(len(each))}
            assert listed == needed


def test_a_call_that_declares_nothing_is_refused_by_name() -> None:
    batch = TransactionBatch.of(
        sender=bytes(20), nonce=np.arange(3), to=bytes(20), entry=[b"", b"", b"do"], declared=[False] * 3
    )
    with pytest.raises(UndeclaredAccess, match="transaction 2 is a call that declares nothing"):
        Planner(ShardMap.uniform(2)).plan(batch)


def test_independent_transfers_stay_where_they_are() -> None:
    chosen = random.Random(1)
    low, high = (
        np.array([[first, *chosen.randbytes(19)] for _ in range(40)], np.uint8) for first in (3, 200)
    )
    batch = TransactionBatch.of(
        sender=np.concatenate([low[::2], high[::2]]),
        to=np.concatenate([low[1::2], high[1::2]]),
        nonce=0,
        value=1,
    )
    plan = Planner(ShardMap.uniform(2)).plan(batch)
    assert plan.cross == 0
    assert [part.rows.tolist() for part in plan.parts] == [list(range(20)), list(range(20, 40))]
    assert [len(each) for each in plan.wanted] == [0, 0]
