# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiles ahead what blocks on shards need beside an engine: what cuts them, and calls of kernels with messages' arrays."""

from __future__ import annotations

from supervm.engine.workloads import Parameters, generate
from supervm.kernels.threads import get_threads, set_threads
from supervm.tiers.shards.coordinator import Coordinator
from supervm.tiers.shards.genesis import place_genesis
from supervm.tiers.shards.links import LocalLink
from supervm.tiers.shards.participant import Participant
from supervm.tiers.shards.shard_map import ShardMap


def warm() -> None:
    """Execute a block on two shards that are thrown away; the kernels' threads stay as many as they are."""
    made = generate("mixed", Parameters(transactions=16, accounts=8, block_size=16, declared=True))
    threads, shard_map = get_threads(), ShardMap.uniform(2)
    shards = [Participant(number, shard_map) for number in range(len(shard_map))]
    links = [LocalLink(lambda number=number: shards[number]) for number in range(len(shard_map))]  # type: ignore[misc]
    try:
        with Coordinator(shard_map, links) as coordinator:
            place_genesis(coordinator, made.genesis)
            for block in made.blocks:
                coordinator.execute(block)
    finally:
        for shard in shards:
            shard.close()
        set_threads(threads)
