# SPDX-License-Identifier: GPL-3.0-or-later
"""What shards and coordinators say to messages that come twice, late or wrong, and to files that are damaged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from shard_runs import Cluster
from two_accounts import HIGH, LOW, MAP, abort_of, balances, commit_of, prepare, transfer

from supervm.crypto.messages import Messages
from supervm.engine.arrays import ragged
from supervm.engine.workloads.generate import generate
from supervm.engine.workloads.workload import Parameters
from supervm.kernels.errors import ArgumentError
from supervm.tiers.service.v1 import shard_pb2 as pb
from supervm.tiers.shards.coordinator import Coordinator
from supervm.tiers.shards.errors import (
    CoordinatorLogDamaged,
    ShardUnavailable,
    UndeclaredAccess,
    VersionGone,
    VoteMissing,
    VoteRefused,
    WrongShard,
)
from supervm.tiers.shards.genesis import place_genesis
from supervm.tiers.shards.links import LocalLink
from supervm.tiers.shards.messages import strings_of
from supervm.tiers.shards.participant import KEPT_VERSIONS, Participant
from supervm.tiers.shards.records import KEPT_DECISIONS, DecisionLog
from supervm.tiers.shards.shard_map import ShardMap


def test_messages_that_come_twice_do_nothing_twice(cluster: Cluster) -> None:
    shard = cluster.shards[0]
    request = prepare(cluster)
    vote = shard.prepare(request)
    assert vote.yes
    assert shard.prepare(request) == vote
    commit = commit_of(request)
    first = shard.commit(commit)
    assert shard.commit(commit) == first
    assert shard.engine.height == request.height
    assert shard.prepare(request).refusal == pb.REFUSAL_STALE
    with pytest.raises(VoteMissing, match="has committed block"):
        shard.abort(abort_of(request))


def test_an_attempt_that_is_over_stays_over(cluster: Cluster) -> None:
    shard = cluster.shards[0]
    request = prepare(cluster)
    abort = abort_of(request)
    for _ in range(2):
        shard.abort(abort)  # even before it was heard of
    assert shard.prepare(request).refusal == pb.REFUSAL_STALE
    with pytest.raises(VoteMissing, match="no vote of attempt"):
        shard.commit(commit_of(request))
    request.attempt += 1
    assert shard.prepare(request).yes
    request.attempt += 1
    assert shard.prepare(request).yes  # a later attempt ends the earlier one
    request.attempt -= 1
    assert shard.prepare(request).refusal == pb.REFUSAL_STALE


def test_a_vote_locks_what_it_writes(cluster: Cluster) -> None:
    shard = cluster.shards[0]
    request = prepare(cluster)
    keys = strings_of(Messages.of([b"\0" + LOW, b"\0" + bytes(20)]))
    asked = pb.VersionRequest(keys=keys, map_digest=MAP.digest)
    assert shard.version(asked).locked == b"\0\0"
    assert shard.prepare(request).yes
    reply = shard.version(asked)
    assert reply.locked == b"\1\0"
    assert [each.height for each in reply.voted] == [request.height]
    request.height += 1
    refused = shard.prepare(request)
    assert refused.refusal == pb.REFUSAL_LOCKED
    assert (b"\0" + LOW).hex() in refused.reason


def test_what_was_read_elsewhere_gets_no_vote(cluster: Cluster) -> None:
    shard = cluster.shards[0]
    assert shard.prepare(prepare(cluster, base_root=bytes(32))).refusal == pb.REFUSAL_VERSION
    assert shard.prepare(prepare(cluster, height=9)).refusal == pb.REFUSAL_VERSION
    with pytest.raises(ArgumentError, match="timestamp"):
        shard.prepare(prepare(cluster, timestamp=1 << 63))


def test_time_ends_before_a_vote_and_not_after(cluster: Cluster) -> None:
    shard = cluster.shards[0]
    request = prepare(cluster)
    assert shard.prepare(request, late=lambda: True).refusal == pb.REFUSAL_LATE
    assert not shard.version(pb.VersionRequest(map_digest=MAP.digest)).voted
    vote = shard.prepare(request)
    assert shard.prepare(request, late=lambda: True) == vote


def test_a_vote_of_no_ends_the_block_everywhere(cluster: Cluster) -> None:
    coordinator = cluster.revive()
    coordinator._roots = (coordinator.roots[0], bytes(32))
    with pytest.raises(VoteRefused, match=r"shard 1 votes no: .* \(REFUSAL_VERSION\)"):
        coordinator.execute(transfer(0))
    assert not cluster.shards[0].version(pb.VersionRequest(map_digest=MAP.digest)).voted
    coordinator._roots = ()
    coordinator.execute(transfer(0))
    assert balances(cluster) == (95, 105)


def test_keys_maps_and_versions_of_others(cluster: Cluster) -> None:
    shard = cluster.shards[0]
    keys = strings_of(Messages.of([b"\0" + HIGH]))
    with pytest.raises(WrongShard, match="ask shard 1"):
        shard.version(pb.VersionRequest(keys=keys, map_digest=MAP.digest))
    with pytest.raises(WrongShard, match="goes by map"):
        Coordinator(ShardMap.uniform(1), [LocalLink(lambda: shard)])
    for nonce in range(KEPT_VERSIONS):
        cluster.revive().execute(transfer(nonce))
    with pytest.raises(VersionGone, match="has the versions 2 to 9, not 1"):
        shard.version(pb.VersionRequest(version=1, map_digest=MAP.digest))
    keys = strings_of(Messages.of([b"\0" + LOW]))
    for version in range(2, 10):
        reply = shard.version(pb.VersionRequest(version=version, keys=keys, map_digest=MAP.digest))
        assert int.from_bytes(reply.values.data[8:]) == 100 - 5 * (version - 1)


def test_a_call_that_breaks_its_declaration_is_named_and_nothing_is_done(tmp_path: Path) -> None:
    made = generate("token", Parameters(transactions=9, accounts=4, block_size=9, declared=True))
    cluster = Cluster(tmp_path, MAP)
    coordinator = cluster.revive()
    place_genesis(coordinator, made.genesis)
    before, batch = cluster.state(), made.transactions
    for row in (0, 4, 8):
        first, stop = batch.write_offsets[row : row + 2]
        lies = replace(
            batch,
            write_offsets=np.where(
                np.arange(10) > row, batch.write_offsets - (stop - first), batch.write_offsets
            ),
            write_keys=ragged.taken(
                batch.write_keys, np.delete(np.arange(len(batch.write_keys)), np.arange(first, stop))
            ),
        )
        with pytest.raises(
            UndeclaredAccess, match=f"transaction {row} touched a key that it had not declared"
        ):
            coordinator.execute(lies)
        assert cluster.state() == before
    assert coordinator.execute(batch).receipts.success.all()
    cluster.close()


# ---------------------------------------------------------------------------------------------- files


def test_a_damaged_log_is_named_and_a_write_that_was_broken_off_is_not(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = DecisionLog(path, MAP.digest)
    for height in range(1, 4):
        log.decide(pb.LogRecord(height=height, attempt=height))
    with pytest.raises(CoordinatorLogDamaged, match="a coordinator has it open"):
        DecisionLog(path, MAP.digest)
    log.close()
    whole = path.read_bytes()
    ends = []
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        opened = DecisionLog(path, MAP.digest)
        ends.append(opened.height)
        opened.close()
    assert ends == sorted(ends)
    assert set(ends) == {0, 1, 2, 3}
    path.write_bytes(whole + bytes(40))
    DecisionLog(path, MAP.digest).close()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 4
        path.write_bytes(damaged)
        with pytest.raises(CoordinatorLogDamaged, match="damaged"):
            DecisionLog(path, MAP.digest)
        assert path.read_bytes() == damaged
    path.write_bytes(whole)
    with pytest.raises(CoordinatorLogDamaged, match="the log of another shard map"):
        DecisionLog(path, bytes(32))


def test_a_long_log_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervm.tiers.shards.records.LOG_BYTES", 3_000)
    log = DecisionLog(tmp_path / "log", MAP.digest)
    for height in range(1, 200):
        log.decide(pb.LogRecord(height=height, attempt=height))
        assert (tmp_path / "log").stat().st_size < 3_200
    log.close()
    log = DecisionLog(tmp_path / "log", MAP.digest)
    assert (log.height, log.epoch) == (199, 2)
    assert {198, 199} <= set(log.decisions)
    log.close()


def test_the_log_of_other_shards_is_refused(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervm.tiers.shards.records.LOG_BYTES", 1_000)
    for nonce in range(KEPT_DECISIONS + 2):
        cluster.revive().execute(transfer(nonce, value=1))
    links = [LocalLink(lambda number=number: cluster.shards[number]) for number in range(2)]
    with pytest.raises(CoordinatorLogDamaged, match="it ends at block 0, and shard 0 is at block 19"):
        Coordinator(MAP, links, tmp_path / "another")
    cluster.coordinator.close()
    fresh = [Participant(number, MAP) for number in range(2)]
    with pytest.raises(CoordinatorLogDamaged, match="at block 19, and shard 0 is only at block 0"):
        Coordinator(
            MAP, [LocalLink(lambda number=number: fresh[number]) for number in range(2)], tmp_path / "log"
        )
    for each in fresh:
        each.close()


def test_a_shard_that_does_not_answer_is_named(cluster: Cluster) -> None:
    coordinator = cluster.revive()
    cluster.lost = lambda call: "lost request" if call == "shard 1: Prepare" else ""
    with pytest.raises(ShardUnavailable, match=r"shard 1 at here: .*; the block was not executed") as told:
        coordinator.execute(transfer(0))
    assert not told.value.decided
    cluster.lost = lambda call: "lost request" if call == "shard 1: Commit" else ""
    with pytest.raises(ShardUnavailable, match="the block is committed, and the shard is told") as told:
        coordinator.execute(transfer(0))
    assert told.value.decided
    cluster.lost = lambda call: ""
    assert balances(cluster) == (95, 105)
