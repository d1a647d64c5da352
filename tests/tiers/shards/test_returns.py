# SPDX-License-Identifier: GPL-3.0-or-later
"""Shards and coordinators that come back with an older disk, another's disk, or beside one that they know nothing of."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from shard_runs import Cluster
from two_accounts import EVERYBODY, HIGH, LOW, MAP, amounts, balances, commit_of, prepare, transfer

from supervm.engine.transactions.batch import TransactionBatch
from supervm.kernels.errors import ArgumentError
from supervm.tiers.service.v1 import shard_pb2 as pb
from supervm.tiers.shards.coordinator import Coordinator
from supervm.tiers.shards.errors import (
    CoordinatorLogDamaged,
    ShardError,
    ShardUnavailable,
    VersionGone,
    VoteRefused,
    WrongShard,
)
from supervm.tiers.shards.genesis import credit
from supervm.tiers.shards.links import LocalLink
from supervm.tiers.shards.participant import Participant
from supervm.tiers.shards.shard_map import ShardMap


def test_a_log_that_ends_too_early_ends_no_vote(cluster: Cluster) -> None:
    log = cluster.folder / "log"
    older = log.read_bytes()
    cluster.lost = lambda call: "lost request" if call == "shard 0: Commit" else ""
    with pytest.raises(ShardUnavailable, match="the block is committed"):
        cluster.revive().execute(transfer(0))
    cluster.lost = lambda call: ""
    cluster.stop_coordinator()
    whole = log.read_bytes()
    log.write_bytes(older)
    with pytest.raises(CoordinatorLogDamaged, match="it ends at block 1, and shard 1 is at block 2"):
        cluster.revive()
    log.write_bytes(whole)
    assert balances(cluster) == (95, 105)


@pytest.mark.parametrize(
    ("block", "error"),
    [(transfer(1), VersionGone), (transfer(0, sender=HIGH), VoteRefused)],
    ids=["a block that reads there", "a block that does not"],
)
def test_a_shard_that_comes_back_a_block_behind_is_told_again(
    cluster: Cluster, tmp_path: Path, block: TransactionBatch, error: type[Exception]
) -> None:
    """Its disk had the vote, and not yet what the vote had become."""

    def copy(step: str) -> bool:
        if step == "shard 0: apply":
            cluster.copy(0, tmp_path / "copy")
        return False

    cluster.faults = copy
    coordinator = cluster.revive()
    coordinator.execute(transfer(0))
    cluster.faults = lambda step: False
    cluster.restore(0, tmp_path / "copy")
    with pytest.raises(error):
        coordinator.execute(block)
    assert coordinator.execute(block).receipts.success.all()
    assert sum(balances(cluster)) == 200


def test_a_log_from_a_copy_counts_on_behind_what_was_done_since(cluster: Cluster) -> None:
    log = cluster.folder / "log"
    older = log.read_bytes()
    cluster.stop_coordinator()
    request = prepare(cluster, attempt=7 << 32)  # an attempt of a coordinator that was opened later
    assert cluster.shards[0].prepare(request).yes
    cluster.stop_coordinator()
    log.write_bytes(older)
    assert cluster.revive().execute(transfer(0)).receipts.success.all()
    assert balances(cluster) == (95, 105)


def test_two_coordinators_with_a_log_each(tmp_path: Path) -> None:
    """Both open shards that have nothing yet, and so neither can know of the other."""
    cluster = Cluster(tmp_path, MAP)
    first = cluster.revive()
    links = [LocalLink(lambda number=number: cluster.shards[number]) for number in range(2)]
    second = Coordinator(MAP, links, tmp_path / "second")
    tried: list[BaseException] = []

    def meddle(step: str) -> bool:
        if step == "coordinator: decide":
            with pytest.raises(WrongShard, match="has blocks of the log") as refused:
                credit(second, EVERYBODY, amounts(7, 7))
            tried.append(refused.value)
        return False

    cluster.faults = meddle
    credit(first, EVERYBODY, amounts(100, 100))
    assert tried
    assert balances(cluster) == (100, 100)
    with pytest.raises(CoordinatorLogDamaged, match="it ends at block 0, and shard 0 is at block 1"):
        credit(second, EVERYBODY, amounts(7, 7))
    second.close()
    cluster.faults = lambda step: False
    cluster.kill(0)
    with pytest.raises(WrongShard, match="has blocks of the log"):
        cluster.revived_shard(0).prepare(
            pb.PrepareRequest(attempt=1 << 60, height=2, map_digest=MAP.digest, coordinator=bytes(16))
        )
    cluster.close()


def test_shards_that_nobody_has_given_a_block_take_the_next_coordinator(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, MAP)
    cluster.lost = lambda call: "lost request" if call == "shard 1: Prepare" else ""
    with pytest.raises(ShardUnavailable):
        credit(cluster.revive(), EVERYBODY, amounts(1, 1))
    cluster.stop_coordinator()
    (tmp_path / "log").unlink()
    cluster.lost = lambda call: ""
    credit(cluster.revive(), EVERYBODY, amounts(100, 100))
    assert balances(cluster) == (100, 100)
    cluster.close()


def test_an_attempt_with_another_part_of_the_block_gets_no_vote(cluster: Cluster) -> None:
    request = prepare(cluster)
    vote = cluster.shards[0].prepare(request)
    cluster.kill(0)
    shard = cluster.revived_shard(0)
    request.timestamp += 1
    refused = shard.prepare(request)
    assert (refused.refusal, refused.yes) == (pb.REFUSAL_STALE, False)
    request.timestamp -= 1
    assert shard.prepare(request) == vote
    assert shard.commit(commit_of(request)).version == request.height


def test_the_directory_of_another_shard_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    for number in range(2):
        storage = cluster.revived_shard(number).engine.state.storage
        assert storage is not None
        storage.flush()  # the last block is written behind its answer
        cluster.copy(number, tmp_path / f"copy-{number}")
    with pytest.raises(WrongShard, match=f"has the key 00{LOW.hex()}, which shard 0 has by the map, not 1"):
        Participant(1, MAP, tmp_path / "copy-0")
    with pytest.raises(WrongShard, match=f"has the key 00{HIGH.hex()}, which shard 2 has"):
        Participant(1, ShardMap.uniform(3), tmp_path / "copy-1")
    Participant(1, MAP, tmp_path / "copy-1").close()


def test_addresses_in_the_wrong_order_are_named(cluster: Cluster, tmp_path: Path) -> None:
    links = [LocalLink(lambda number=number: cluster.shards[number]) for number in (1, 0)]
    with pytest.raises(WrongShard, match="shard 1 answers at this process, not shard 0"):
        Coordinator(MAP, links, tmp_path / "another")


def test_shards_that_keep_their_state_are_not_run_without_a_log(tmp_path: Path) -> None:
    """Their blocks would be nobody's once the coordinator has ended."""
    shards = [Participant(number, MAP, tmp_path / str(number)) for number in range(2)]
    links = [LocalLink(lambda number=number: shards[number]) for number in range(2)]
    with pytest.raises(
        ArgumentError, match="argument 'log': found none, expected a file: shard 0 keeps its state"
    ):
        Coordinator(MAP, links)
    for shard in shards:
        shard.close()


def test_a_shard_that_is_closed_ends_its_call_first(cluster: Cluster) -> None:
    request = prepare(cluster)
    shard = cluster.shards[0]
    begun, goes_on = threading.Event(), threading.Event()

    def wait(step: str) -> bool:
        if step == "shard 0: execute":
            begun.set()
            goes_on.wait(60)
        return False

    cluster.faults = wait
    votes: list[pb.Vote] = []
    closing = threading.Thread(target=shard.close)
    asking = threading.Thread(target=lambda: votes.append(shard.prepare(request)))
    asking.start()
    begun.wait(60)
    closing.start()
    closing.join(0.05)
    assert closing.is_alive()
    goes_on.set()
    for thread in (asking, closing):
        thread.join(60)
    assert votes[0].yes
    calls: tuple[Callable[[], object], ...] = (
        lambda: shard.prepare(request),
        lambda: shard.commit(commit_of(request)),
        lambda: shard.version(pb.VersionRequest(map_digest=MAP.digest)),
    )
    for call in calls:
        with pytest.raises(ShardError, match="is closed"):
            call()
