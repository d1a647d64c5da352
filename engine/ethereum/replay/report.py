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


@dataclass
class WholeBlock:
    """What was executed of a block, and what its header says of it.

    Args:
        executed: transactions, from the first one on.
        gas_ok: the gas used, and the blob gas, are those of the header; None if not all transactions were executed.
        bloom_ok: likewise the bloom of the logs.
        receipts_ok: likewise the receipts root; None also where receipts have state roots that nothing proves.
        requests_ok: likewise the hash of the requests; None also before Prague.
        state_ok: likewise the state root; None also where nothing proves it.
        parallel_equal: execution in parallel gave the same; None where there was none.
        problems: what is wrong with the block.
        notes: what could not be executed or checked, and why.
        trace: of the transaction that was to be traced.
    """

    executed: int = 0
    gas_ok: bool | None = None
    bloom_ok: bool | None = None
    receipts_ok: bool | None = None
    requests_ok: bool | None = None
    state_ok: bool | None = None
    parallel_equal: bool | None = None
    problems: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)
    trace: list[dict[str, Any]] = field(default_factory=list)


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
        hash_ok: the block's hash is that of all of its header's fields.
        uncles_ok: the header commits to no uncles and the block names none; None if it names some.
        withdrawals_root_ok: the header's withdrawals root is the computed one; None if the block has no withdrawals.
        parent_ok: the header names the hash of the block before; None if that was not given.
        waves_versioned, waves_locking: waves by each conflict rule over (sender, recipient).
        edges_locking: edges of the locking graph.
        transfers: balance transfers among the transactions.
        transfers_failed: those that could not be executed.
        calls_not_executed: all other transactions; only their nonce was advanced.
        sequential_equal: waves gave the same balances, nonces, outcomes and sums as block order.
        conserved: balances after the block plus what was burned are the balances before, in both.
        gas_ok: the gas used of the whole block, and its blob gas, are the header's; this and what follows is None where the
            block was not executed to its end.
        receipts_ok: so is the receipts root; None also before Byzantium where no trie nodes are given.
        bloom_ok: so is the bloom of all logs.
        requests_ok: so is the hash of the requests; None also before Prague.
        state_ok: so is the state root; None also where no trie nodes prove it.
        transactions_executed: transactions that were executed whole, from the first one on.
        parallel_equal: execution in parallel gave the receipts, the gas and the state of block order.
    """

    number: int
    transactions: int
    senders_recovered: int
    senders_wrong: int
    hashes_wrong: int
    transactions_root_ok: bool
    hash_ok: bool
    uncles_ok: bool | None
    withdrawals_root_ok: bool | None
    parent_ok: bool | None
    waves_versioned: int
    waves_locking: int
    edges_locking: int
    transfers: int
    transfers_failed: int
    calls_not_executed: int
    sequential_equal: bool
    conserved: bool
    gas_ok: bool | None
    receipts_ok: bool | None
    bloom_ok: bool | None
    requests_ok: bool | None
    state_ok: bool | None
    transactions_executed: int
    parallel_equal: bool | None

    @property
    def ok(self) -> bool:
        """Whether nothing that was checked is wrong."""
        checks = (self.transactions_root_ok, self.hash_ok, self.uncles_ok, self.withdrawals_root_ok)
        whole = (
            self.gas_ok,
            self.receipts_ok,
            self.bloom_ok,
            self.requests_ok,
            self.state_ok,
            self.parallel_equal,
        )
        found = (*checks, self.parent_ok, self.sequential_equal, self.conserved, *whole)
        return False not in found and not self.senders_wrong and not self.hashes_wrong


@dataclass(frozen=True)
class Link:
    """What joins a block to the one before.

    Args:
        number: its number.
        hash: of its header, as computed; empty where it could not be.
        parent: the hash that it names.
    """

    number: int
    hash: bytes
    parent: bytes


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
        trace: of the transaction that was to be traced, one line an opcode and one for its end.
        links: of each block, in the order of `blocks`.
    """

    blocks: list[BlockReport]
    signatures: int
    recovery_seconds: float
    seconds: float
    problems: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)
    trace: list[dict[str, Any]] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether there are no `problems`; `notes` do not count."""
        return not self.problems

    @property
    def transactions(self) -> int:
        """How many transactions all blocks have."""
        return sum(block.transactions for block in self.blocks)

    @property
    def signatures_per_second(self) -> float:
        """Recoveries a second of `recovery_seconds`; 0 where nothing was recovered."""
        return self.signatures / self.recovery_seconds if self.recovery_seconds else 0.0

    def checked(self) -> list[str]:
        """What was checked and found right, in words."""
        blocks = self.blocks
        withdrawals = sum(block.withdrawals_root_ok is not None for block in blocks)
        parents = sum(block.parent_ok is not None for block in blocks)
        executed = sum(block.gas_ok is not None for block in blocks)
        receipts = sum(block.receipts_ok is not None for block in blocks)
        states = sum(block.state_ok is not None for block in blocks)
        return [
            f"senders and hashes of {self.transactions:,} transactions",
            f"hashes and transactions roots of {len(blocks):,} blocks",
            *([f"withdrawals roots of {withdrawals:,}"] if withdrawals else []),
            *([f"parents of {parents:,}"] if parents else []),
            *([f"gas and logs of {executed:,}, executed whole"] if executed else []),
            *([f"receipts roots of {receipts:,}"] if receipts else []),
            *([f"state roots of {states:,}"] if states else []),
            "waves give what block order gives",
            "no money made or lost",
        ]

    def unchecked(self) -> list[str]:
        """What a replay cannot know, or was not given, in words."""
        blocks = self.blocks
        uncles = sum(block.uncles_ok is None for block in blocks)
        parents = sum(block.parent_ok is None for block in blocks)
        skipped = sum(block.gas_ok is None for block in blocks)
        receipts = sum(block.receipts_ok is None for block in blocks) - skipped
        states = sum(block.state_ok is None for block in blocks) - skipped
        left = "" if skipped == len(blocks) else f" of {skipped:,} blocks"
        return [
            *(
                [f"state roots, receipts roots, logs and gas used{left}, since contracts are not executed"]
                if skipped or not blocks
                else []
            ),
            *([f"receipts roots of {receipts:,}"] if receipts else []),
            *([f"state roots of {states:,}, of which no trie nodes are given"] if states else []),
            "the pre-states",
            *([f"the uncles of {uncles:,}"] if uncles else []),
            *([f"the parents of {parents:,} blocks, which were not given"] if parents else []),
            "whether the blocks are those of the chain: compare their hashes with a source that you trust",
        ]

    def to_json(self) -> dict[str, Any]:
        """The object that `replay --json` prints, without its `environment`."""
        return {
            "blocks": [asdict(block) for block in self.blocks],
            "totals": {
                "transactions": self.transactions,
                "signatures_per_second": self.signatures_per_second,
                "seconds": self.seconds,
            },
            "checked": self.checked() if self.ok else [],
            "not_checked": self.unchecked(),
        }
