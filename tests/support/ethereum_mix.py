# SPDX-License-Identifier: GPL-3.0-or-later
"""Chains that mix Ethereum transactions with the engine's own: transfers, calls of a WASM token, calls of EVM contracts.

Ethereum transactions are signed by eth-account. Each of the EVM's contracts has a few bytes.
"""

from __future__ import annotations

import functools
from random import Random
from typing import Any

import numpy as np
from eth_account import Account
from eth_utils import to_checksum_address

from supervm.crypto.messages import Messages
from supervm.engine.ethereum.carried import carry, created_address
from supervm.engine.transactions.batch import TransactionBatch
from supervm.engine.workloads import Genesis, Parameters, Workload
from supervm.engine.workloads.workload import Deployment, block_offsets
from supervm.vm.contracts import load

FORK = "Osaka"
MONEY, OWNERS = 10**15, 12

CODES = {
    # Counts its calls in slot 0, logs the count under the caller, and returns it.
    "count": "5f54600101805f555f523360205fa160205ff3",
    # Adds what is sent up in the caller's slot.
    "bank": "33543401335500",
    # Notes what the fee collector has in slot 0.
    "spy": "41315f5500",
    # Reverts behind a write.
    "revert": "60015f555f5ffd",
    # Halts behind a write.
    "halt": "60015f55fe",
    # Sends half of what it gets to the address in its input.
    "pay": "5f5f5f5f600234045f35620186a0f15000",
    # Notes what the address in its input has in slot 0.
    "look": "5f35315f5500",
    # Creates a contract, and notes its address in slot 0.
    "make": "6360015ff35f526004601c5ff05f5500",
}
"""What the EVM's contracts do, and their code in hexadecimal."""


@functools.cache
def owner(number: int) -> Any:
    """An account of eth-account."""
    return Account.from_key(bytes(31) + bytes([number + 1]))


def address(number: int) -> bytes:
    """An owner's, 20 bytes."""
    return bytes.fromhex(owner(number).address[2:])


def initcode(code: bytes) -> bytes:
    """What leaves a code, of less than 256 bytes, as a contract's."""
    size = bytes([len(code)])
    return b"\x60" + size + b"\x60\x0a\x5f\x39\x60" + size + b"\x5f\xf3" + code


def raw(sender: int, nonce: int, to: bytes | None, data: bytes = b"", **fields: Any) -> bytes:
    """A signed transaction as wallets send it; of type 2, unless `fields` has another price."""
    given: dict[str, Any] = {"nonce": nonce, "data": data, "chainId": 1, "value": 0, "gas": 300_000, **fields}
    given["to"] = b"" if to is None else to_checksum_address(to)
    given = {name: value for name, value in given.items() if value is not None}
    if "gasPrice" not in given:
        given = {"maxFeePerGas": 3, "maxPriorityFeePerGas": 2, **given}
    return bytes(owner(sender).sign_transaction(given).raw_transaction)


CONTRACTS = {name: created_address(address(0), nonce) for nonce, name in enumerate(CODES)}
"""Where owner 0 creates them, by its first transactions."""


def creations() -> list[bytes]:
    """The transactions that create them."""
    return [raw(0, nonce, None, initcode(bytes.fromhex(code))) for nonce, code in enumerate(CODES.values())]


@functools.cache
def token() -> Deployment:
    """The WASM token of the samples."""
    from supervm.engine.engine import Engine

    with Engine.open() as engine:
        return Deployment("token", bytes(32), engine.deploy(load("token")))


def genesis() -> Genesis:
    """Money for all owners, the token, and the EVM."""
    addresses = np.frombuffer(b"".join(map(address, range(OWNERS))), np.uint8).reshape(-1, 20)
    balances = np.tile(np.frombuffer(MONEY.to_bytes(32), np.uint8), (OWNERS, 1))
    return Genesis(addresses, balances, deployments=(token(),), evm=FORK)


class _Mix:
    """Transactions as they are made: nonces count up, and some are wrong."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.nonces = dict.fromkeys(range(OWNERS), 0) | {0: len(CODES)}
        self.carried: list[bytes] = []
        self.own: list[dict[str, Any]] = []
        self.order: list[bool] = []

    def nonce(self, sender: int) -> int:
        nonce = self.nonces[sender]
        if self.random.random() < 0.03:
            return nonce + self.random.choice((-1, 1, 5)) if nonce else nonce + 1
        self.nonces[sender] = nonce + 1
        return nonce

    def one(self, names: list[str]) -> None:
        sender, name = self.random.randrange(OWNERS), self.random.choice(names)
        nonce, other = self.nonce(sender), address(self.random.randrange(OWNERS))
        value = self.random.choice((0, 1, 1000))
        if name in ("transfer", "token"):
            call = {"entry": b"mint", "input": other + value.to_bytes(32), "to": token().address, "value": 0}
            fields = {"to": other, "value": value} if name == "transfer" else call
            self.own.append({"sender": address(sender), "nonce": nonce, "gas_price": 2, **fields})
        elif name == "send":
            price = {"gasPrice": self.random.choice((1, 4))} if self.random.random() < 0.5 else {}
            self.carried.append(raw(sender, nonce, other, value=value, gas=21_000, **price))
        else:
            data = bytes(12) + other if name in ("pay", "look") else b""
            # Sometimes the gas ends somewhere inside.
            gas = self.random.choice((25_000, 45_000, 200_000, 200_000, 200_000))
            self.carried.append(raw(sender, nonce, CONTRACTS[name], data, value=value, gas=gas))
        self.order.append(name not in ("transfer", "token"))

    def batch(self) -> TransactionBatch:
        own = [TransactionBatch.of(gas_limit=100_000, **each) for each in self.own]
        whole = TransactionBatch.concatenate([carry(Messages.of(self.carried)), *own])
        places, ethereum = np.empty(len(self.order), np.int64), np.array(self.order)
        places[ethereum] = np.arange(len(self.carried))
        places[~ethereum] = len(self.carried) + np.arange(len(own))
        return whole.take(places)


EVERYTHING = ("transfer", "token", "send", *CODES)


def mixed(seed: int, count: int, block_size: int, names: tuple[str, ...] = EVERYTHING) -> Workload:
    """A chain whose first block creates the EVM's contracts, and random ones behind it."""
    mix = _Mix(seed)
    for _ in range(count):
        mix.one(list(names))
    first = carry(Messages.of(creations()))
    offsets = np.concatenate([[0], len(first) + block_offsets(count, block_size)])
    transactions = TransactionBatch.concatenate([first, mix.batch()])
    return Workload("mix", Parameters(), genesis(), transactions, offsets)
