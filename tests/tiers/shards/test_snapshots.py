# SPDX-License-Identifier: GPL-3.0-or-later
"""Shards over gRPC: the sum at every snapshot that a reader sees, errors, and who gets in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import trustme
from certificates import Files

from supervm.crypto.messages import Messages
from supervm.engine.arrays.ranks import ranks_within
from supervm.engine.state.keys import account_keys
from supervm.engine.transactions.batch import TransactionBatch
from supervm.kernels.array_types import Bytes
from supervm.tiers.service.security import ServerTls
from supervm.tiers.service.v1 import shard_pb2 as pb
from supervm.tiers.shards.coordinator import Coordinator
from supervm.tiers.shards.errors import ShardUnavailable, VersionGone, VoteMissing, WrongShard
from supervm.tiers.shards.genesis import credit
from supervm.tiers.shards.links import GrpcLink
from supervm.tiers.shards.participant import Participant
from supervm.tiers.shards.reader import SnapshotReader
from supervm.tiers.shards.server import ShardServer
from supervm.tiers.shards.shard_map import ShardMap

MAP = ShardMap.uniform(3)
ACCOUNTS, BALANCE, BLOCKS, READERS = 30, 1_000, 120, 2


@pytest.fixture
def addresses() -> Iterator[list[str]]:
    with ExitStack() as stack:
        found = []
        for number in range(len(MAP)):
            participant = Participant(number, MAP)
            stack.callback(participant.close)
            server = ShardServer(participant, "127.0.0.1:0")
            server.start()
            stack.callback(server.stop)
            found.append(server.address)
        yield found


def blocks(accounts: Bytes) -> Iterator[TransactionBatch]:
    chosen = np.random.default_rng(5)
    senders = chosen.integers(0, len(accounts), BLOCKS * 10)
    to = chosen.integers(0, len(accounts), len(senders))
    nonces = ranks_within(senders, np.ones(len(senders), np.bool_)).astype(np.uint64)
    batch = TransactionBatch.of(
        sender=accounts[senders],
        to=accounts[to],
        nonce=nonces,
        value=chosen.integers(0, BALANCE // 4, len(senders)),
        gas_limit=10_000,
    )
    return (batch.slice(at, at + 10) for at in range(0, len(batch), 10))


def test_every_snapshot_has_all_the_money(addresses: list[str]) -> None:
    accounts = np.random.default_rng(4).integers(0, 256, (ACCOUNTS, 20), np.uint8)
    keys = Messages.of(account_keys(accounts))
    over = threading.Event()
    seen: list[list[tuple[int, int]]] = [[] for _ in range(READERS)]
    gone = [0] * READERS
    problems: list[BaseException] = []

    def read(number: int) -> None:
        links = [GrpcLink(shard, address) for shard, address in enumerate(addresses)]
        reader = SnapshotReader(MAP, links)
        try:
            while not over.is_set():
                try:
                    snapshot = reader.snapshot()
                    values = reader.read(snapshot, keys)
                except VersionGone:
                    gone[number] += 1
                    continue
                held = (
                    values.values.data.reshape(-1, 40)[:, 8:] if values.present.any() else np.zeros((0, 32))
                )
                seen[number].append((snapshot.version, sum(int.from_bytes(row.tobytes()) for row in held)))
        except BaseException as error:
            problems.append(error)
        finally:
            for link in links:
                link.close()

    readers = [threading.Thread(target=read, args=(number,)) for number in range(READERS)]
    links = [GrpcLink(shard, address) for shard, address in enumerate(addresses)]
    with Coordinator(MAP, links) as coordinator:
        credit(coordinator, accounts, np.tile(np.frombuffer(BALANCE.to_bytes(32), np.uint8), (ACCOUNTS, 1)))
        for each in readers:
            each.start()
        cross = sum(block.cross for block in coordinator.run(blocks(accounts)))
        over.set()
        for each in readers:
            each.join()
        assert coordinator.height == BLOCKS + 1
    assert not problems
    assert cross > BLOCKS
    for each in seen:
        versions = [version for version, _ in each]
        assert versions == sorted(versions)
        assert len(set(versions)) > 2
        assert {total for _, total in each} == {ACCOUNTS * BALANCE}


def test_a_shard_that_is_gone_is_named(addresses: list[str]) -> None:
    links = [GrpcLink(0, addresses[0]), GrpcLink(1, "127.0.0.1:1"), GrpcLink(2, addresses[2])]
    with pytest.raises(ShardUnavailable, match=r"shard 1 at 127\.0\.0\.1:1: UNAVAILABLE"):
        Coordinator(MAP, links)


@pytest.mark.parametrize(
    ("name", "request_", "error"),
    [
        ("Version", pb.VersionRequest(version=9, map_digest=MAP.digest), VersionGone),
        ("Version", pb.VersionRequest(map_digest=bytes(32)), WrongShard),
        ("Commit", pb.CommitRequest(height=1, attempt=1, map_digest=MAP.digest), VoteMissing),
        (
            "Prepare",
            pb.PrepareRequest(
                height=1, transactions=pb.Strings(offsets=b"x"), map_digest=MAP.digest, base_root=bytes(32)
            ),
            ShardUnavailable,
        ),
    ],
)
def test_errors_are_the_same_over_grpc(
    addresses: list[str], name: str, request_: object, error: type[Exception]
) -> None:
    link = GrpcLink(0, addresses[0])
    with pytest.raises(error):
        link.call(name, request_, 5.0)()
    link.close()


def test_only_who_has_a_certificate_gets_in(tmp_path: Path) -> None:
    files, stranger = Files(tmp_path), trustme.CA().issue_cert("caller.example")
    participant = Participant(0, ShardMap.uniform(1))
    server = ShardServer(
        participant, "localhost:0", ServerTls(files.certificate, files.key, files.authorities)
    )
    server.start()
    asked = pb.VersionRequest(map_digest=ShardMap.uniform(1).digest)
    for credentials in (None, files.credentials(), files.credentials(stranger)):
        link = GrpcLink(0, server.address, credentials)
        with pytest.raises(ShardUnavailable, match="UNAVAILABLE"):
            link.call("Version", asked, 5.0)()
        link.close()
    link = GrpcLink(0, server.address, files.credentials(files.authority.issue_cert("caller.example")))
    assert link.call("Version", asked, 5.0)().version == 0
    link.close()
    server.stop()
    participant.close()
