# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks of EVM transactions that call this project's contracts, with the state that they run on; seeded, in columns.

| name | transactions |
|---|---|
| `erc20` | a token's `transfer` between accounts |
| `uniswap` | swaps of one token for another through a router, which all meet at one pair |
| `mixed-evm` | 50 % token transfers, 20 % swaps, 15 % plain transfers, 15 % storage that is counted up |

In block order every transaction succeeds: nonces count up from 0, and balances last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.crypto.messages import Messages
from supervm.engine.arrays import ragged
from supervm.engine.arrays.ranks import ranks_within
from supervm.engine.ethereum import contracts
from supervm.engine.ethereum.contracts import layout
from supervm.engine.ethereum.replay.transfers import intern_rows
from supervm.engine.transactions.columns import big_endian
from supervm.engine.workloads.traffic import generator, pairs, random_rows
from supervm.engine.workloads.workload import Parameters, block_offsets
from supervm.kernels.array_types import Bytes, Indices, Offsets
from supervm.kernels.errors import ArgumentError

FUNDS = 10**30
"""Wei of an account, and units of each token."""

RESERVE = 10**30
"""Of each token in the pair: swaps move its price little."""

MOST_VALUE = 10**6
FIRST_TIME, SECONDS_A_BLOCK = 1_700_000_000, 12
GAS_LIMITS = MappingProxyType({"transfers": 21_000, "erc20": 80_000, "uniswap": 200_000, "storage": 400_000})
SLOTS_A_CALL, SLOTS = 8, 4_096
"""That `Ledger.bump` counts up in one call, and how many there are."""

GOLD, SILVER, PAIR, ROUTER, LEDGER = (bytes([0xE0 + number]) * 20 for number in range(5))
"""Where the contracts are."""

SHARES = MappingProxyType({"erc20": 0.5, "uniswap": 0.2, "transfers": 0.15, "storage": 0.15})
"""Of `mixed-evm`."""


@dataclass(frozen=True, eq=False)
class EvmCalls:
    """n legacy transactions in block order.

    | column | dtype, shape |
    |---|---|
    | `senders`, `targets` | uint8 (n, 20) |
    | `nonces`, `gas_limits` | uint64 (n,) |
    | `values` | uint8 (n, 32), big-endian |
    | `input` | Messages (n) |
    """

    senders: Bytes
    targets: Bytes
    nonces: NDArray[np.uint64]
    gas_limits: NDArray[np.uint64]
    values: Bytes
    input: Messages

    def __len__(self) -> int:
        return len(self.senders)

    def slice(self, start: int, stop: int) -> EvmCalls:
        """The transactions from `start` below `stop`."""
        rows = np.arange(start, stop)
        return self.taken(rows)

    def taken(self, rows: Indices) -> EvmCalls:
        """These transactions."""
        return EvmCalls(
            self.senders[rows],
            self.targets[rows],
            self.nonces[rows],
            self.gas_limits[rows],
            self.values[rows],
            ragged.taken(self.input, rows),
        )

    def equals(self, other: EvmCalls) -> bool:
        """Whether both are the same."""
        names = ("senders", "targets", "nonces", "gas_limits", "values")
        same = all(np.array_equal(getattr(self, name), getattr(other, name)) for name in names)
        return same and ragged.equal(self.input, other.input)


@dataclass(frozen=True, eq=False)
class EvmState:
    """Accounts before the first block: k that have money alone, and contracts.

    Args:
        owners: uint8 (k, 20); each has `FUNDS`.
        codes: of each contract, by its address.
        slots, values: of each contract, uint8 (s, 32).
    """

    owners: Bytes
    codes: dict[bytes, bytes]
    slots: dict[bytes, Bytes]
    values: dict[bytes, Bytes]


@dataclass(frozen=True, eq=False)
class EvmWorkload:
    """Blocks of transactions: block i is `calls` block_offsets[i] … block_offsets[i + 1] − 1."""

    name: str
    parameters: Parameters
    state: EvmState
    calls: EvmCalls
    block_offsets: Offsets

    @property
    def blocks(self) -> Iterator[EvmCalls]:
        """The blocks in order."""
        return (
            self.calls.slice(int(start), int(stop))
            for start, stop in zip(self.block_offsets[:-1], self.block_offsets[1:], strict=True)
        )

    def __len__(self) -> int:
        """Blocks."""
        return len(self.block_offsets) - 1


def generate_evm(name: str, parameters: Parameters) -> EvmWorkload:
    """Make a workload.

    Args:
        name: one of `EVM_NAMES`.
        parameters: what it is like; signatures, objects, declared keys and private shares are not of these workloads.

    Raises:
        ArgumentError: an unknown name, or a parameter that is not of these workloads.
    """
    if name not in EVM_NAMES:
        raise ArgumentError("name", repr(name), f"one of {', '.join(EVM_NAMES)}")
    for unused in ("declared", "signed", "object_share", "private_share"):
        if getattr(parameters, unused):
            raise ArgumentError(unused, repr(getattr(parameters, unused)), "none, in EVM workloads")
    accounts = random_rows(generator(parameters, "accounts"), parameters.accounts, 20)
    counts = {name: parameters.transactions} if name != MIXED else _counts(parameters.transactions)
    parts = [
        _PARTS[part](replace(parameters, transactions=count), accounts) for part, count in counts.items()
    ]
    calls = _in_order(parts, parameters)
    offsets = block_offsets(len(calls), parameters.block_size)
    return EvmWorkload(name, parameters, _state(accounts), calls, offsets)


def _transfers(parameters: Parameters, accounts: Bytes) -> EvmCalls:
    count, random = parameters.transactions, generator(parameters, "evm transfers")
    sender, recipient = pairs(random, count, parameters)
    values = _words(random.integers(1, MOST_VALUE + 1, count))
    return _calls("transfers", accounts[sender], accounts[recipient], np.zeros((count, 0), np.uint8), values)


def _erc20(parameters: Parameters, accounts: Bytes) -> EvmCalls:
    count, random = parameters.transactions, generator(parameters, "erc20")
    sender, recipient = pairs(random, count, parameters)
    amounts = _words(random.integers(1, MOST_VALUE + 1, count))
    data = _input("Token", "transfer", _addresses(accounts[recipient]), amounts)
    return _calls("erc20", accounts[sender], _everywhere(GOLD, count), data)


def _uniswap(parameters: Parameters, accounts: Bytes) -> EvmCalls:
    count, random = parameters.transactions, generator(parameters, "uniswap")
    sender, _ = pairs(random, count, parameters)
    side = random.integers(0, 2, count)
    tokens = np.stack([_everywhere(GOLD, count), _everywhere(SILVER, count)])
    rows = np.arange(count)
    amounts = _words(random.integers(MOST_VALUE, 1000 * MOST_VALUE, count))
    head = [_words(np.full(count, number)) for number in (1, 5 * layout.WORD)]
    deadline = _words(np.full(count, (1 << 62)))
    path = [_words(np.full(count, 2)), _addresses(tokens[side, rows]), _addresses(tokens[1 - side, rows])]
    data = _input("Router", "swap", amounts, *head, _addresses(accounts[sender]), deadline, *path)
    return _calls("uniswap", accounts[sender], _everywhere(ROUTER, count), data)


def _storage(parameters: Parameters, accounts: Bytes) -> EvmCalls:
    count, random = parameters.transactions, generator(parameters, "evm storage")
    sender, _ = pairs(random, count, parameters)
    first = _words(random.integers(0, SLOTS - SLOTS_A_CALL, count))
    data = _input("Ledger", "bump", first, _words(np.full(count, SLOTS_A_CALL)))
    return _calls("storage", accounts[sender], _everywhere(LEDGER, count), data)


_PARTS: dict[str, Callable[[Parameters, Bytes], EvmCalls]] = {
    "erc20": _erc20,
    "uniswap": _uniswap,
    "transfers": _transfers,
    "storage": _storage,
}

MIXED = "mixed-evm"
EVM_NAMES = ("erc20", "uniswap", MIXED)
"""The workloads of `generate_evm`."""


def _counts(transactions: int) -> dict[str, int]:
    """How many of each kind `mixed-evm` has."""
    counts = {name: int(transactions * share) for name, share in SHARES.items()}
    counts["transfers"] += transactions - sum(counts.values())
    return counts


def _calls(kind: str, senders: Bytes, targets: Bytes, data: Bytes, values: Bytes | None = None) -> EvmCalls:
    count = len(senders)
    return EvmCalls(
        senders,
        targets,
        np.zeros(count, np.uint64),
        np.full(count, GAS_LIMITS[kind], np.uint64),
        np.zeros((count, layout.WORD), np.uint8) if values is None else values,
        Messages.of(data),
    )


def _in_order(parts: list[EvmCalls], parameters: Parameters) -> EvmCalls:
    """All parts at random places, those of one part in their order, with nonces."""
    kinds = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    generator(parameters, "order").shuffle(kinds)
    starts = ragged.offsets_of(np.array([len(part) for part in parts], np.int64))
    joined = EvmCalls(
        np.concatenate([part.senders for part in parts]),
        np.concatenate([part.targets for part in parts]),
        np.concatenate([part.nonces for part in parts]),
        np.concatenate([part.gas_limits for part in parts]),
        np.concatenate([part.values for part in parts]),
        ragged.joined([part.input for part in parts]),
    )
    calls = joined.taken(starts[kinds] + ranks_within(kinds))
    senders, _ = intern_rows(calls.senders)
    return replace(calls, nonces=ranks_within(senders).astype(np.uint64))


def _state(accounts: Bytes) -> EvmState:
    """Money and both tokens for everybody, a pair of them, and a ledger in which every slot counts something."""
    token = contracts.get("Token")
    holders = np.concatenate([accounts, np.frombuffer(PAIR, np.uint8).reshape(1, -1)])
    amounts = [FUNDS] * len(accounts) + [RESERVE]
    supply = {token.storage["totalSupply"]: FUNDS * len(accounts) + RESERVE}
    most = np.full((len(accounts), layout.WORD), 0xFF, np.uint8)
    held = _joined(
        (layout.balance_slots(holders), _rows(amounts)),
        (layout.allowance_slots(accounts, ROUTER), most),
        _table(supply),
    )
    numbers = _words(np.arange(SLOTS))
    counted = (
        layout.mapped_slots(contracts.get("Ledger").storage["slots"], numbers),
        _words(np.arange(1, SLOTS + 1)),
    )
    storage = {
        GOLD: held,
        SILVER: held,
        PAIR: _table(layout.pair_storage(GOLD, SILVER, RESERVE, FIRST_TIME - SECONDS_A_BLOCK)),
        ROUTER: _table(layout.router_storage(GOLD, SILVER, PAIR)),
        LEDGER: _joined(counted, _table({contracts.get("Ledger").storage["total"]: 1})),
    }
    kinds = {GOLD: "Token", SILVER: "Token", PAIR: "Pair", ROUTER: "Router", LEDGER: "Ledger"}
    return EvmState(
        accounts,
        {address: contracts.get(kind).runtime for address, kind in kinds.items()},
        {address: slots for address, (slots, _) in storage.items()},
        {address: values for address, (_, values) in storage.items()},
    )


def _input(contract: str, function: str, *words: Bytes) -> Bytes:
    """uint8 (n, 4 + 32 w): the selector, and w columns of words."""
    selector = np.frombuffer(contracts.get(contract).selector(function), np.uint8)
    return np.concatenate([np.tile(selector, (len(words[0]), 1)), *words], axis=1)


def _words(numbers: NDArray[Any]) -> Bytes:
    """uint8 (n, 32) of integers (n,)."""
    return big_endian(numbers.astype(np.uint64))


def _addresses(rows: Bytes) -> Bytes:
    return np.concatenate([np.zeros((len(rows), layout.WORD - rows.shape[1]), np.uint8), rows], axis=1)


def _everywhere(address: bytes, count: int) -> Bytes:
    return np.tile(np.frombuffer(address, np.uint8), (count, 1))


def _rows(numbers: list[int]) -> Bytes:
    joined = b"".join(number.to_bytes(layout.WORD) for number in numbers)
    return np.frombuffer(joined, np.uint8).reshape(-1, layout.WORD)


def _table(slots: dict[int, int]) -> tuple[Bytes, Bytes]:
    return _rows(list(slots)), _rows(list(slots.values()))


def _joined(*tables: tuple[Bytes, Bytes]) -> tuple[Bytes, Bytes]:
    return tuple(np.concatenate(column) for column in zip(*tables, strict=True))  # type: ignore[return-value]
