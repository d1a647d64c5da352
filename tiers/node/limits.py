# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node that packs blocks puts into a block, and keeps waiting: its settings `node.pack` and `node.inbox`."""

from __future__ import annotations

from dataclasses import dataclass


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
