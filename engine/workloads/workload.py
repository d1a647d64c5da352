# SPDX-License-Identifier: GPL-3.0-or-later
"""What a workload is: blocks of transactions, and the state that they run on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from supervm.crypto.messages import Messages
from supervm.engine.arrays import ragged
from supervm.engine.transactions.batch import TransactionBatch
from supervm.kernels.array_types import Bytes, Offsets
from supervm.kernels.errors import ArgumentError


@dataclass(frozen=True)
class Parameters:
    """What a generator is asked for.

    Args:
        transactions: how many.
        accounts: how many there are, the hot ones among them.
        hot_keys: accounts (for `nft`: tokens) that a share of the traffic meets at.
        hot_share: that share, 0 to 1; exactly round(hot_share × transactions) transactions touch a hot key.
        block_size: transactions in a block; the last one may have fewer.
        seed: equal parameters and an equal seed give equal workloads.
        declared: whether each transaction declares exactly what it reads and writes.
        signed: whether the accounts have Ed25519 keys and the transactions are signed.
        object_share: of plain transfers that also move one object of the sender's, 0 to 1.
        private_share: of the transactions that are private transfers with a proof, 0 to 1.
        gas_price: of every transaction.

    Raises:
        ArgumentError: a value out of range, naming it.
    """

    transactions: int = 100_000
    accounts: int = 10_000
    hot_keys: int = 0
    hot_share: float = 0.0
    block_size: int = 10_000
    seed: int = 0
    declared: bool = False
    signed: bool = False
    object_share: float = 0.0
    gas_price: int = 1
    private_share: float = 0.0

    def __post_init__(self) -> None:
        least = {"transactions": 0, "accounts": 2, "hot_keys": 0, "block_size": 1, "seed": 0, "gas_price": 0}
        for name, bound in least.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < bound:
                raise ArgumentError(name, repr(value), f"an integer of at least {bound}")
        if self.gas_price >= 1 << 32:
            raise ArgumentError("gas_price", str(self.gas_price), "below 2^32")
        for name in ("hot_share", "object_share", "private_share"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not (math.isfinite(value) and 0 <= value <= 1):
                raise ArgumentError(name, repr(value), "0 to 1")
        for name in ("declared", "signed"):
            if not isinstance(getattr(self, name), bool):
                raise ArgumentError(name, repr(getattr(self, name)), "True or False")
        if self.hot_share and not self.hot_keys:
            raise ArgumentError("hot_keys", "0", f"at least 1 for a hot share of {self.hot_share}")


@dataclass(frozen=True)
class Deployment:
    """A sample contract by name, the salt it is deployed with (32 bytes), and the address that this gives (20)."""

    contract: str
    salt: bytes
    address: bytes


@dataclass(frozen=True, eq=False)
class Genesis:
    """The state before the first block.

    | field | dtype, shape | meaning |
    |---|---|---|
    | `addresses`, `balances` | uint8 (k, 20), uint8 (k, 32) | what `Engine.credit` gives; amounts big-endian |
    | `object_ids`, `object_owners`, `object_kinds` | uint8 (o, 32), (o, 20), (o,) | for `Engine.create_objects` |
    | `deployments` | tuple of `Deployment` | for `Engine.deploy` |
    | `keys`, `values` | Messages (e) | entries of the state besides, of contracts' storage: keys as the rules have them |
    | `evm` | str | the fork whose rules Ethereum transactions follow; '' where there are none |

    The entries spare 10^5 accounts as many transactions that mint.
    """

    addresses: Bytes
    balances: Bytes
    object_ids: Bytes = field(default_factory=lambda: np.zeros((0, 32), np.uint8))
    object_owners: Bytes = field(default_factory=lambda: np.zeros((0, 20), np.uint8))
    object_kinds: Bytes = field(default_factory=lambda: np.zeros(0, np.uint8))
    deployments: tuple[Deployment, ...] = ()
    keys: Messages = field(default_factory=lambda: ragged.repeated(b"", 0))
    values: Messages = field(default_factory=lambda: ragged.repeated(b"", 0))
    evm: str = ""

    def equals(self, other: Genesis) -> bool:
        """Whether both are the same state, in the same order."""
        names = ("addresses", "balances", "object_ids", "object_owners", "object_kinds")
        return (
            all(np.array_equal(getattr(self, name), getattr(other, name)) for name in names)
            and (self.deployments, self.evm) == (other.deployments, other.evm)
            and ragged.equal(self.keys, other.keys)
            and ragged.equal(self.values, other.values)
        )


@dataclass(frozen=True)
class Announced:
    """The result of a workload when it was first run, for comparison with later runs.

    Args:
        blocks: how many blocks it had.
        hash: the state tree's (`EngineConfig.hash`).
        state_root: after the last of them, 32 bytes.
    """

    blocks: int
    hash: str
    state_root: bytes

    def differs(self, root: bytes, hash: str) -> bool:
        """Whether another root came out; trees of other hashes are not compared."""
        return hash == self.hash and root != self.state_root


@dataclass(frozen=True, eq=False)
class Workload:
    """Transactions in blocks: block i is `transactions` block_offsets[i] … block_offsets[i + 1] − 1, int64 (b + 1,).

    `announced` is None where nobody has run it.
    """

    name: str
    parameters: Parameters
    genesis: Genesis
    transactions: TransactionBatch
    block_offsets: Offsets
    announced: Announced | None = None

    @property
    def blocks(self) -> Iterator[TransactionBatch]:
        """The blocks in order, from the first one at each use; their bytes are shared with `transactions`."""
        return (
            self.transactions.slice(int(start), int(stop))
            for start, stop in zip(self.block_offsets[:-1], self.block_offsets[1:], strict=True)
        )

    @property
    def private(self) -> bool:
        """Whether any transaction is private."""
        return bool(self.transactions.private.any())

    def __len__(self) -> int:
        """Blocks."""
        return len(self.block_offsets) - 1

    def equals(self, other: Workload) -> bool:
        """Whether everything is the same, what is announced aside."""
        return (
            (self.name, self.parameters) == (other.name, other.parameters)
            and self.genesis.equals(other.genesis)
            and self.transactions.equals(other.transactions)
            and np.array_equal(self.block_offsets, other.block_offsets)
        )


def block_offsets(transactions: int, block_size: int) -> Offsets:
    """Offsets, int64 (b + 1,), of blocks of `block_size` transactions, the last one shorter."""
    return np.append(np.arange(0, transactions, block_size, dtype=np.int64), np.int64(transactions))
