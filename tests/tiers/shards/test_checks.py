# SPDX-License-Identifier: GPL-3.0-or-later
"""Every shard that executes a transaction checks signature and proof: wrong ones get the reason that one engine gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shard_runs

from supervm.engine.config import EngineConfig, Mode
from supervm.engine.engine import Engine
from supervm.engine.workloads.generate import generate
from supervm.engine.workloads.private_transfers import benchmark_verifier
from supervm.engine.workloads.run import place_genesis as place_on_engine
from supervm.engine.workloads.workload import Parameters
from supervm.tiers.shards.coordinator import Coordinator
from supervm.tiers.shards.genesis import place_genesis
from supervm.tiers.shards.links import LocalLink
from supervm.tiers.shards.participant import Participant
from supervm.tiers.shards.shard_map import ShardMap
from supervm.vm.outcomes import Reason


class Counted:
    """Meters that add up wrong proofs."""

    def __init__(self) -> None:
        self.proofs = 0

    def prepared(self, yes: bool, seconds: float) -> None:
        assert yes

    def committed(self) -> None:
        pass

    def aborted(self) -> None:
        raise AssertionError

    def refused_proofs(self, count: int) -> None:
        self.proofs += count


@pytest.mark.parametrize("private", [0.0, 0.4])
def test_wrong_signatures_and_proofs(private: float, tmp_path: Path) -> None:
    parameters = Parameters(
        transactions=60, accounts=20, block_size=20, declared=True, signed=True, private_share=private
    )
    workload = generate("transfers", parameters)
    batch = workload.transactions
    batch.signature.data[batch.signature.offsets[7] + 40] ^= 1
    config = EngineConfig(
        mode=Mode.SEQUENTIAL, signatures=True, verifier=benchmark_verifier() if private else None
    )
    found = ShardMap.uniform(2)
    meters = [Counted(), Counted()]
    shards = [Participant(number, found, None, config, meters[number]) for number in range(2)]
    links = [LocalLink(lambda number=number: shards[number]) for number in range(2)]
    reasons: list[int] = []
    with Engine.open(None, config) as engine, Coordinator(found, links) as coordinator:
        place_on_engine(engine, workload.genesis)
        place_genesis(coordinator, workload.genesis)
        for block in workload.blocks:
            expected, ours = engine.execute(block), coordinator.execute(block)
            assert np.array_equal(ours.receipts.reason, expected.receipts.reason)
            reasons += ours.receipts.reason.tolist()
        state = {
            key: value for shard in shards for key, value in shard_runs.entries(shard.engine.state).items()
        }
        assert state == shard_runs.entries(engine.state)
    for shard in shards:
        shard.close()
    assert Reason.BAD_SIGNATURE in reasons
    if private:
        wrong = sum(reason in (Reason.BAD_PROOF, Reason.MALFORMED_PROOF) for reason in reasons)
        # Each is checked where its sender is, and wherever else it is executed.
        assert 0 < wrong <= sum(each.proofs for each in meters) <= 2 * wrong
        assert all(each.proofs for each in meters)
