# SPDX-License-Identifier: GPL-3.0-or-later
"""Shards that answer what they must not, and blocks that no state can take: nothing of them is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from shard_runs import Cluster
from two_accounts import EVERYBODY, HIGH, LOW, MAP, amounts, balances, transfer

from supervm.crypto.messages import Messages
from supervm.engine.blocks.receipts import Receipts
from supervm.engine.config import EngineConfig
from supervm.kernels.errors import ArgumentError
from supervm.tiers.service.v1 import shard_pb2 as pb
from supervm.tiers.shards.coordinator import Coordinator
from supervm.tiers.shards.errors import ShardsDisagree, ShardUnavailable, VoteRefused, WrongShard
from supervm.tiers.shards.genesis import credit
from supervm.tiers.shards.links import LocalLink
from supervm.tiers.shards.messages import strings_of
from supervm.tiers.shards.participant import Participant
from supervm.tiers.shards.receipts import taken_receipts


def two_receipts(receipts: bytes) -> bytes:
    return taken_receipts(Receipts.from_bytes(receipts), np.array([0, 0])).to_bytes()


@pytest.mark.parametrize(
    ("lie", "error", "words"),
    [
        (
            lambda vote: {"receipts": b"none"},
            ShardUnavailable,
            "shard 0 at here: its receipts cannot be read",
        ),
        (lambda vote: {"receipts": two_receipts(vote.receipts)}, ShardUnavailable, "2 receipts for 1"),
        (lambda vote: {"reasons": b"\1"}, ShardUnavailable, "reasons of 1, not 0"),
        (lambda vote: {"fees": bytes(33)}, ShardUnavailable, "its fees are 00"),
        (lambda vote: {"fees": b""}, ShardUnavailable, "its fees are none"),
        (lambda vote: {"yes": False, "refusal": 99, "reason": "so"}, VoteRefused, r"votes no: so \(99\)"),
        (
            lambda vote: {"yes": False, "refusal": pb.REFUSAL_UNDECLARED, "row": 9},
            VoteRefused,
            "REFUSAL_UNDECLARED",
        ),
    ],
    ids=[
        "no receipts",
        "too many receipts",
        "too many reasons",
        "large fees",
        "no fees",
        "no refusal",
        "no row",
    ],
)
def test_a_vote_is_looked_at_before_it_decides(
    cluster: Cluster, lie: Callable[[pb.Vote], dict[str, Any]], error: type[Exception], words: str
) -> None:
    call = cluster.call

    def lying(number: int, name: str, request: Any) -> Any:
        reply = call(number, name, request)
        if (number, name) == (0, "Prepare"):
            reply = pb.Vote.FromString(reply.SerializeToString())
            for field, value in lie(reply).items():
                setattr(reply, field, value)
        return reply

    cluster.call = lying  # type: ignore[method-assign]
    with pytest.raises(error, match=words) as told:
        cluster.revive().execute(transfer(0))
    assert "the block was not executed" in str(told.value)
    cluster.call = call  # type: ignore[method-assign]
    assert cluster.revive().height == 1
    assert not cluster.shards[0].version(pb.VersionRequest(map_digest=MAP.digest)).voted
    cluster.revive().execute(transfer(0))
    assert balances(cluster) == (95, 105)


def test_a_shard_that_lies_about_what_another_needs(cluster: Cluster) -> None:
    """It says that the sender has nothing; that it has, the transaction itself shows there."""
    call = cluster.call

    def lying(number: int, name: str, request: Any) -> Any:
        reply = call(number, name, request)
        if (number, name) == (0, "Version") and reply.values.data:
            reply.values.data = bytes(len(reply.values.data))
        return reply

    cluster.call = lying  # type: ignore[method-assign]
    with pytest.raises(
        ShardsDisagree,
        match=r"transaction 0: shard 0 says NONE with gas .*, shard 1 INSUFFICIENT_BALANCE with gas 0",
    ):
        cluster.revive().execute(transfer(0))
    cluster.call = call  # type: ignore[method-assign]
    assert balances(cluster) == (100, 100)


def test_shards_with_other_rules_than_each_other() -> None:
    shards = [Participant(0, MAP, None, EngineConfig(signatures=True)), Participant(1, MAP)]
    links = [LocalLink(lambda number=number: shards[number]) for number in range(2)]
    with Coordinator(MAP, links) as coordinator:
        credit(coordinator, EVERYBODY, amounts(100, 100))
        with pytest.raises(
            ShardsDisagree, match=r"shard 0 says MALFORMED_SIGNATURE.*, shard 1 NONE.*the same rules"
        ):
            coordinator.execute(transfer(0))
        assert coordinator.supply() == 200
    for shard in shards:
        shard.close()


ACCOUNT, FAR = b"\0" + LOW, b"\0" + HIGH


@pytest.mark.parametrize(
    ("keys", "values", "error", "words"),
    [
        ([ACCOUNT, ACCOUNT], [bytes(40)] * 2, ArgumentError, "a key that comes twice"),
        ([FAR], [bytes(40)], WrongShard, "gives this shard the key 00c8.*, which shard 1 has"),
        ([ACCOUNT], [bytes(39)], ArgumentError, "an account's of another length"),
        ([b"\1" + bytes(300)], [b""], ArgumentError, "301 to 301 bytes"),
        ([b"\1" + LOW + b"key"], [bytes(65_537)], ArgumentError, "65537 bytes"),
        ([b"\2" + LOW], [bytes(32)], ArgumentError, "none with the SHA-256 00"),
        ([b""], [b""], ArgumentError, "0 to 0 bytes"),
    ],
    ids=["twice", "another shard's", "half an account", "long key", "long value", "no code", "no key"],
)
def test_entries_that_no_state_can_have_get_no_vote(
    cluster: Cluster, keys: list[bytes], values: list[bytes], error: type[Exception], words: str
) -> None:
    shard = cluster.shards[0]
    asked = pb.PrepareRequest(
        attempt=cluster.revive()._attempt + 1,
        height=2,
        base_root=shard.engine.state.position.root,
        map_digest=MAP.digest,
        coordinator=cluster.revive()._log.identity,
        entry_keys=strings_of(Messages.of(keys)),
        entry_values=strings_of(Messages.of(values)),
    )
    with pytest.raises(error, match=words):
        shard.prepare(asked)
    assert not shard.version(pb.VersionRequest(map_digest=MAP.digest)).voted
    cluster.revive().execute(transfer(0))
    assert balances(cluster) == (95, 105)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [(ACCOUNT, bytes(40), "keys of this shard"), (FAR, bytes(41), "an account's of another length")],
)
def test_values_of_others_that_cannot_be_theirs(
    cluster: Cluster, key: bytes, value: bytes, words: str
) -> None:
    call = cluster.call

    def changed(number: int, name: str, request: Any) -> Any:
        if (number, name) == (0, "Prepare"):
            request.foreign_keys.CopyFrom(strings_of(Messages.of([key])))
            request.foreign_values.CopyFrom(strings_of(Messages.of([value])))
            request.foreign_present = b"\1"
        return call(number, name, request)

    cluster.call = changed  # type: ignore[method-assign]
    with pytest.raises(ArgumentError, match=words):
        cluster.revive().execute(transfer(0))
    cluster.call = call  # type: ignore[method-assign]
    assert balances(cluster) == (100, 100)


def test_all_balances_fit_one_amount(cluster: Cluster) -> None:
    """So that no sum of a transfer's passes it, whichever shards they are on."""
    most = (1 << 256) - 1
    coordinator = cluster.revive()
    assert coordinator.supply() == 200
    for first, second in ((1 << 255, 1 << 255), (most - 199, 0), (0, most - 199)):
        with pytest.raises(ArgumentError, match="at most 2"):
            credit(coordinator, EVERYBODY, amounts(first, second))
    credit(coordinator, EVERYBODY, amounts(most - 200, 0))
    assert coordinator.supply() == most
    assert coordinator.execute(transfer(0, value=most - 100)).receipts.success.all()
    assert balances(cluster) == (0, most)
