# SPDX-License-Identifier: GPL-3.0-or-later
"""What shards vote on a block: all of it is looked at, and compared, before anything is decided."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from supervm.engine.blocks.receipts import Receipts
from supervm.kernels.errors import ArgumentError
from supervm.tiers.service.v1 import shard_pb2 as pb
from supervm.tiers.shards.errors import ShardsDisagree, ShardUnavailable, UndeclaredAccess, VoteRefused
from supervm.tiers.shards.links import Links
from supervm.tiers.shards.participant import AMOUNT_BYTES
from supervm.tiers.shards.planning import Plan
from supervm.tiers.shards.receipts import joined_receipts
from supervm.vm.outcomes import Reason


@dataclass(frozen=True, eq=False)
class Votes:
    """All shards' votes of yes.

    Args:
        receipts: of the block, in its order; None for one without transactions.
        fees: the sum.
    """

    receipts: Receipts | None
    fees: int


def checked(votes: list[pb.Vote], plan: Plan | None, links: Links) -> Votes:
    """The votes, if all are of yes.

    Args:
        votes: of each shard.
        plan: of the block's transactions, if it has any.
        links: say where a shard was asked.

    Raises:
        UndeclaredAccess: a transaction touched what it had not declared.
        VoteRefused: a shard votes no.
        ShardUnavailable: what a shard answers is no vote on its part.
        ShardsDisagree: a transaction does not do the same wherever it is executed.
    """
    for shard, vote in enumerate(votes):
        rows = () if plan is None else plan.parts[shard].rows
        if vote.refusal == pb.REFUSAL_UNDECLARED and vote.row < len(rows):
            raise UndeclaredAccess(int(rows[vote.row]), vote.reason.removeprefix("it "))
        if not vote.yes:
            known = vote.refusal in pb.Refusal.values()
            name = pb.Refusal.Name(vote.refusal) if known else str(vote.refusal)
            raise VoteRefused(shard, name, vote.reason)
    fees = sum(int.from_bytes(vote.fees) for vote in votes)
    for shard, vote in enumerate(votes):
        if len(vote.fees) != AMOUNT_BYTES or fees >> 8 * AMOUNT_BYTES:
            raise ShardUnavailable(shard, links.address(shard), f"its fees are {vote.fees.hex() or 'none'}")
    if plan is None:
        return Votes(None, fees)
    parts = [_receipts(shard, vote, plan, links) for shard, vote in enumerate(votes)]
    receipts = joined_receipts(parts, plan.home)
    for shard, vote in enumerate(votes):
        _compare(shard, vote, plan, receipts)
    return Votes(receipts, fees)


def _receipts(shard: int, vote: pb.Vote, plan: Plan, links: Links) -> Receipts:
    """The receipts of a shard, one for each transaction at home there."""
    home = plan.parts[shard].home
    expected, others = int(home.sum()), int((~home).sum())
    try:
        found = Receipts.from_bytes(vote.receipts)
    except ArgumentError as error:
        raise ShardUnavailable(shard, links.address(shard), f"its receipts cannot be read: {error}") from None
    if len(found) != expected or len(vote.reasons) != others or len(vote.gas) != 8 * others:
        problem = (
            f"it gives {len(found)} receipts for {expected} transactions, and reasons of {len(vote.reasons)}"
        )
        raise ShardUnavailable(shard, links.address(shard), f"{problem}, not {others}")
    return found


def _compare(shard: int, vote: pb.Vote, plan: Plan, receipts: Receipts) -> None:
    """What a shard says of transactions that are at home elsewhere is what their receipts say."""
    part = plan.parts[shard]
    rows = part.rows[~part.home]
    reasons, gas = np.frombuffer(vote.reasons, np.uint8), np.frombuffer(vote.gas, "<u8")
    differ = (reasons != receipts.reason[rows]) | (gas != receipts.gas[rows])
    if differ.any():
        place = int(differ.argmax())
        row = int(rows[place])
        found = (
            _words(receipts.reason[row], receipts.gas[row]),
            _words(reasons[place], gas[place]),
        )
        raise ShardsDisagree(row, int(plan.home[row]), shard, found)


def _words(reason: int, gas: int) -> str:
    known = int(reason) in Reason._value2member_map_
    return f"{Reason(int(reason)).name if known else int(reason)} with gas {int(gas)}"
