# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of executing a block."""

from __future__ import annotations

from dataclasses import dataclass, field

from supervm.engine.blocks.receipts import Receipts


@dataclass(frozen=True)
class BlockStats:
    """How a block went; nothing here is part of a receipt or a comparison.

    Args:
        transactions, committed, rejected, failed: how many; committed ones changed the state, failed ones among them.
        fast: how many took the fast path.
        way: "sequential", "speculation" or "waves".
        repeated: executed again, or in order only, under speculation.
        turned: speculation gave up for block order.
        undeclared: a transaction touched what it had not declared.
        touched_fast: the block was executed again, since a contract touched an account of the fast path.
        fell_back: transactions that the fast path lost by that.
        fast_target: share of transfers that the router let try the fast path; 1 without a router.
        conflict_rate: repeated ÷ transactions of the consensus path.
        waves: of the block, 0 where it was not cut into waves.
        waiting: verified blocks that waited when this one was taken from the queue.
        stages: seconds by stage.
    """

    transactions: int
    committed: int
    rejected: int
    failed: int
    fast: int
    way: str
    repeated: int = 0
    turned: bool = False
    undeclared: bool = False
    touched_fast: bool = False
    fell_back: int = 0
    fast_target: float = 1.0
    conflict_rate: float = 0.0
    waves: int = 0
    waiting: int = 0
    stages: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class BlockResult:
    """A block that is part of the state.

    Args:
        height, timestamp: of the block.
        receipts: of its transactions.
        state_root: after it, 32 bytes.
        fees: gas used × gas price of all.
        fee_split: the fees by tier, L1 to L4.
        stats: how it went.
    """

    height: int
    timestamp: int
    receipts: Receipts
    state_root: bytes
    fees: int
    fee_split: tuple[int, int, int, int]
    stats: BlockStats
