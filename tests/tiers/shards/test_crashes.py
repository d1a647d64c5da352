# SPDX-License-Identifier: GPL-3.0-or-later
"""Random blocks with a crash, a lost message or a doubled one at any step: shards end where one engine ends, and readers see
all the money meanwhile.
"""

from __future__ import annotations

import random
import shutil

import numpy as np
import pytest
import shard_runs
from shard_runs import Cluster

from supervm.crypto.messages import Messages
from supervm.engine.engine import Engine
from supervm.engine.state.keys import ACCOUNT
from supervm.engine.workloads.run import place_genesis as place_on_engine
from supervm.tiers.shards.errors import ShardUnavailable, VersionGone
from supervm.tiers.shards.genesis import place_genesis
from supervm.tiers.shards.links import LocalLink
from supervm.tiers.shards.messages import NO_STRINGS
from supervm.tiers.shards.reader import SnapshotReader
from supervm.tiers.shards.shard_map import ShardMap

SHARD_STEPS = ("execute", "vote", "voted", "apply", "applied", "abort")
COORDINATOR_STEPS = ("prepare", "decide", "decided", "committed")
RUNS = ((2, 1, 800), (3, 2, 400))
"""Shards, seed and transactions; blocks have 0 to 4 transactions."""


def money(cluster: Cluster, engine: Engine) -> int | None:
    """What a reader sees who knows of no coordinator; None where a shard is dead, or has forgotten the version."""
    accounts = Messages.of([key for key in shard_runs.entries(engine.state) if key[0] == ACCOUNT])
    links = [LocalLink(lambda number=number: cluster.shards[number]) for number in range(len(cluster.map))]
    reader = SnapshotReader(cluster.map, links)
    try:
        held = reader.read(reader.snapshot(), accounts)
    except (ShardUnavailable, VersionGone):
        return None
    return sum(int.from_bytes(held.values[row][8:]) for row in range(len(held)))


@pytest.mark.parametrize(("shards", "seed", "transactions"), RUNS)
def test_whatever_dies_the_result_is_that_of_one_engine(shards: int, seed: int, transactions: int) -> None:
    chosen = random.Random(seed)
    genesis, blocks = shard_runs.random_blocks(seed, transactions, accounts=14, most=4)
    armed = False
    seen: list[int | None] = []

    def dies(step: str) -> bool:
        return armed and chosen.random() < 0.02

    def lost(call: str) -> str:
        return chosen.choice(shard_runs.FAULTS) if armed and chosen.random() < 0.03 else ""

    folder = shard_runs.scratch()
    try:
        cluster = Cluster(folder, ShardMap.uniform(shards), dies, lost)
        with shard_runs.sequential() as engine:
            place_on_engine(engine, genesis)
            place_genesis(cluster.revive(), genesis)
            for number, block in enumerate(blocks):
                armed = True
                found = cluster.execute(block)
                expected = engine.execute(block)
                armed = False
                if number % 5 == 0:
                    seen.append(money(cluster, engine))
                coordinator = cluster.revive()
                assert coordinator.height == engine.height
                if found is not None:
                    assert (found.timestamp, found.fees) == (expected.timestamp, expected.fees)
                    for column in ("reason", "gas", "return_value", "event_offsets"):
                        ours, theirs = getattr(found.receipts, column), getattr(expected.receipts, column)
                        assert np.array_equal(ours, theirs), (number, column)
                if number % 10 == 0 or number == len(blocks) - 1:
                    coordinator.read(NO_STRINGS)  # which brings every shard to the last block
                    assert cluster.state() == shard_runs.entries(engine.state)
            assert set(seen) <= {None, engine.supply}
            assert sum(each is not None for each in seen) > len(seen) // 4
        reached = {step.split(": ")[1] for step in cluster.kills if step.startswith("shard")}
        assert reached == set(SHARD_STEPS)
        assert {s.split(": ")[1] for s in cluster.kills if s.startswith("coordinator")} == set(
            COORDINATOR_STEPS
        )
        cluster.close()
    finally:
        shutil.rmtree(folder)
