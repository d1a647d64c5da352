# SPDX-License-Identifier: GPL-3.0-or-later
"""An account on each of two shards, the blocks between them, and the messages that shards get."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from shard_runs import Cluster

from supervm.crypto.messages import Messages
from supervm.engine.state.keys import account_keys
from supervm.engine.transactions.batch import TransactionBatch
from supervm.tiers.service.v1 import shard_pb2 as pb
from supervm.tiers.shards.errors import ShardUnavailable
from supervm.tiers.shards.shard_map import ShardMap

MAP = ShardMap.uniform(2)
LOW, HIGH = bytes([1]) * 20, bytes([200]) * 20
EVERYBODY = np.frombuffer(LOW + HIGH, np.uint8).reshape(2, 20)


def amounts(*values: int) -> np.ndarray:
    return np.frombuffer(b"".join(value.to_bytes(32) for value in values), np.uint8).reshape(-1, 32)


def transfer(nonce: int, value: int = 5, sender: bytes = LOW, to: bytes = HIGH) -> TransactionBatch:
    """From the first shard to the second, if nothing else is said."""
    return TransactionBatch.of(sender=sender, to=to, nonce=nonce, value=value, gas_limit=10_000)


def balances(cluster: Cluster) -> tuple[int, ...]:
    held = cluster.revive().read(Messages.of(account_keys(EVERYBODY)))
    return tuple(int.from_bytes(held.values[row][8:]) for row in range(2))


def prepare(cluster: Cluster, **changes: object) -> pb.PrepareRequest:
    """The first shard's part of the next block, as its coordinator asks."""
    asked: list[pb.PrepareRequest] = []
    coordinator = cluster.revive()

    def keep(call: str) -> str:
        return "lost request" if call.endswith("Prepare") else ""

    call = cluster.call
    cluster.lost = keep
    cluster.call = lambda number, name, request: (  # type: ignore[method-assign]
        asked.append(request) if (number, name) == (0, "Prepare") else None,
        call(number, name, request),
    )[1]
    with pytest.raises(ShardUnavailable, match="the block was not executed, on any shard"):
        coordinator.execute(transfer(0))
    cluster.call, cluster.lost = call, lambda call: ""  # type: ignore[method-assign]
    request = asked[0]
    for name, value in {"attempt": request.attempt + 1, **changes}.items():
        setattr(request, name, value)
    return request


def commit_of(request: pb.PrepareRequest) -> pb.CommitRequest:
    """What its coordinator says when the block is decided."""
    return pb.CommitRequest(**_named(request))


def abort_of(request: pb.PrepareRequest) -> pb.AbortRequest:
    """What its coordinator says when the attempt is over."""
    return pb.AbortRequest(**_named(request))


def _named(request: pb.PrepareRequest) -> dict[str, Any]:
    """What names an attempt, in every message about it."""
    return {name: getattr(request, name) for name in ("attempt", "height", "map_digest", "coordinator")}
