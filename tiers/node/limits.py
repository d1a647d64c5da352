# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node that packs blocks puts into a block, and keeps waiting: its settings `node.pack` and `node.inbox`; and why it
keeps no place for a transaction which the rules allow: numbers beside those of `Reason`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from supervm.vm.outcomes import Reason


@dataclass(frozen=True)
class BlockLimits:
    """Of a block that a node packs.

    Args:
        transactions: at most.
        bytes: of its file, at most; no more than any node reads (`blocks.MOST_BYTES`).
        gas: that its transactions could use together, at most.
    """

    transactions: int = 10_000
    bytes: int = 32 << 20
    gas: int = 4_000_000_000


@dataclass(frozen=True)
class InboxLimits:
    """Of the transactions that wait.

    Args:
        block: what fits into a block; what fits into none is refused.
        price: gas price of each, at least.
        transactions, bytes: of all together, at most.
        seconds: that one waits, at most; counted anew from a start of the node.
        sender_transactions, sender_bytes: of one sender, at most.
        sender_gap: how far a nonce may be ahead of the sender's; below it.
    """

    block: BlockLimits = BlockLimits()
    price: int = 1
    transactions: int = 100_000
    bytes: int = 256 << 20
    seconds: float = 3_600.0
    sender_transactions: int = 256
    sender_bytes: int = 4 << 20
    sender_gap: int = 256


class Refusal(IntEnum):
    """The node's own reasons, from 128: no receipt ever has them."""

    PRICE_TOO_LOW = 128
    """The gas price is below `node.pack.price`."""
    ABOVE_BLOCK = 129
    """Its gas limit is above `node.pack.gas`, or its bytes are above `node.pack.bytes`."""
    NONCE_TOO_FAR = 130
    """The nonce is ahead of the account's by `node.inbox.sender.gap` or more."""
    SENDER_FULL = 131
    """The sender has as many transactions or bytes waiting as it may (`node.inbox.sender`)."""
    NONCE_TAKEN = 132
    """Another transaction of the sender waits with this nonce, and this one's gas price is not a tenth above its."""
    INBOX_FULL = 133
    """As much waits as the node keeps (`node.inbox`), for higher prices or longer."""


LATER = frozenset({Refusal.NONCE_TOO_FAR, Refusal.SENDER_FULL, Refusal.INBOX_FULL})
"""Those that a later try may not meet, with the same transaction."""


def reason_name(number: int) -> str:
    """The name of a reason of the rules or of a node; of a number that this version does not know, the number."""
    for kind in (Reason, Refusal):
        if number in kind._value2member_map_:
            return kind(number).name
    return f"reason {number}"
