# SPDX-License-Identifier: GPL-3.0-or-later
"""What a replay found, block by block."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """Something about a block that does not hold.

    Args:
        block: its number.
        index: the transaction's position, or None where the whole block is meant.
        what: which claim: `sender`, `hash`, `transactions root`, …
        found: what was computed.
        expected: what the file says, or the rule asks.
    """

    block: int
    index: int | None
    what: str
    found: str
    expected: str

    def __str__(self) -> str:
        place = (
            f"block {self.block}" if self.index is None else f"block {self.block}, transaction {self.index}"
        )
        return f"{place}: {self.what}: found {self.found}, expected {self.expected}"


@dataclass(frozen=True)
class BlockReport:
    """One block.

    Args:
        number: its number.
        transactions: how many it has.
        senders_recovered: signatures that gave an address.
        senders_wrong: transactions whose signature gave another address than `from`, or none.
        hashes_wrong: transactions whose hash is not the one stated.
        transactions_root_ok: the header's transactions root is the computed one.
        waves_versioned, waves_locking: waves by each conflict rule over (sender, recipient).
        edges_locking: edges of the locking graph.
        transfers: balance transfers among the transactions.
        transfers_failed: those that could not be executed.
        calls_not_executed: all other transactions; only their nonce was advanced.
        sequential_equal: waves gave the same balances, nonces, outcomes and sums as block order.
        conserved: balances after the block plus what was burned are the balances before, in both.
    """

    number: int
    transactions: int
    senders_recovered: int
    senders_wrong: int
    hashes_wrong: int
    transactions_root_ok: bool
    waves_versioned: int
    waves_locking: int
    edges_locking: int
    transfers: int
    transfers_failed: int
    calls_not_executed: int
    sequential_equal: bool
    conserved: bool


@dataclass(frozen=True)
class ReplayReport:
    """All blocks.

    Args:
        blocks: in the order in which they were given.
        signatures: how many were recovered, those of EIP-7702 authorizations included.
        recovery_seconds: time inside `ecdsa_recover_batch` alone.
        seconds: the whole replay from reading the first file, without the compilation of kernels.
        problems: what is wrong; the replay failed if there are any.
        notes: transfers that failed and nonces that do not match. The blocks are not wrong for these: a
            replay without contract code knows only a part of the state.
    """

    blocks: list[BlockReport]
    signatures: int
    recovery_seconds: float
    seconds: float
    problems: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems

    @property
    def transactions(self) -> int:
        return sum(block.transactions for block in self.blocks)

    @property
    def signatures_per_second(self) -> float:
        """Recoveries a second of `recovery_seconds`; 0 where nothing was recovered."""
        return self.signatures / self.recovery_seconds if self.recovery_seconds else 0.0

    def to_json(self) -> dict[str, Any]:
        """The object that `replay --json` prints, without its `environment`."""
        return {
            "blocks": [asdict(block) for block in self.blocks],
            "totals": {
                "transactions": self.transactions,
                "signatures_per_second": self.signatures_per_second,
                "seconds": self.seconds,
            },
        }
