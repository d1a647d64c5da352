# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks of calls of our own contracts on a real node: tokens, swaps, storage, calls in calls; many senders, every type."""

from __future__ import annotations

import random
from typing import Any

from anvil import CHAIN_ID, GENESIS_TIME, Anvil, account
from eth_utils import to_checksum_address

from supervm.engine.ethereum import contracts

SENDERS = 24
DEADLINE = GENESIS_TIME + 10**6
PLENTY = 10**30
MOST = (1 << 256) - 1


def address_of(number: int) -> bytes:
    """The 20 bytes of an account's address."""
    return bytes.fromhex(account(number).address[2:])


class Traffic:
    """Contracts on a node, and blocks of calls of them.

    Args:
        node: without blocks yet.
        seed: equal seeds give equal transactions.
    """

    def __init__(self, node: Anvil, seed: int = 0) -> None:
        self.node = node
        self.random = random.Random(seed)
        self.at: dict[str, str] = {}
        self.pieces = 0

    def deploy(self) -> int:
        """The contracts; the number of the block that has them."""
        made = {
            "gold": contracts.get("Token").created("Gold", "GLD"),
            "silver": contracts.get("Token").created("Silver", "SLV"),
            "router": contracts.get("Router").created(),
            "ledger": contracts.get("Ledger").created(),
            "workshop": contracts.get("Workshop").created(),
        }
        sent = {name: self.node.send(0, None, data) for name, data in made.items()}
        number = self.node.mine()
        self.at = {name: self.node.receipt(hash)["contractAddress"] for name, hash in sent.items()}
        return number

    def prepare(self) -> int:
        """A pool, tokens for everybody, and allowances; the number of the block."""
        gold, silver = self._at("gold"), self._at("silver")
        self._call(0, "Router", "router", "make", gold, silver)
        for sender in range(SENDERS):
            for name in ("gold", "silver"):
                self._call(0, "Token", name, "mint", address_of(sender), PLENTY, gas=120_000)
                self._call(sender, "Token", name, "approve", self._at("router"), MOST, gas=80_000)
        first = self.node.mine()
        self._call(0, "Router", "router", "add", gold, silver, 10**24, 2 * 10**24, DEADLINE)
        self.node.mine()
        return first

    def tokens(self, count: int = 60) -> int:
        """Transfers of both tokens, some of them by allowance and some of more than there is."""
        for at in range(count):
            sender, other = self._pair()
            name = self.random.choice(("gold", "silver"))
            amount = self.random.randrange(1, 10**20)
            if at % 10 == 7:
                self._call(sender, "Token", name, "transfer", address_of(other), PLENTY * 100, gas=70_000)
            elif at % 10 == 8:
                self._call(sender, "Token", name, "approve", address_of(other), 2 * amount, gas=70_000)
                self._call(
                    other,
                    "Token",
                    name,
                    "transferFrom",
                    address_of(sender),
                    address_of(other),
                    amount,
                    gas=90_000,
                )
            else:
                fresh = at % 6 == 5
                to = self.random.randbytes(20) if fresh else address_of(other)
                self._call(sender, "Token", name, "transfer", to, amount, gas=90_000, **self._kind(at, name))
        return self.node.mine()

    def exchange(self, count: int = 30) -> int:
        """Swaps either way, and liquidity that comes and goes; some of them too late or for too little."""
        gold, silver = self._at("gold"), self._at("silver")
        for at in range(count):
            sender = self.random.randrange(SENDERS)
            path = [gold, silver] if self.random.random() < 0.5 else [silver, gold]
            amount = self.random.randrange(10**15, 10**21)
            until = DEADLINE if at % 10 else 1
            least = MOST if at % 10 == 5 else 1
            if at % 8 == 6:
                self._call(sender, "Router", "router", "add", gold, silver, amount, 2 * amount, DEADLINE)
            else:
                to = address_of(sender)
                self._call(
                    sender,
                    "Router",
                    "router",
                    "swap",
                    amount,
                    least,
                    path,
                    to,
                    until,
                    **self._kind(at, "gold"),
                )
        return self.node.mine()

    def storage(self, count: int = 24) -> int:
        """Slots filled, counted up, turned and cleared again; lists, structures and long texts."""
        for at in range(count):
            sender = self.random.randrange(SENDERS)
            first, size = self.random.randrange(200), self.random.randrange(1, 24)
            calls: list[tuple[Any, ...]] = [
                ("fill", first, size, at),
                ("bump", first, size),
                ("turn", first, size),
                ("clear", first, size),
                ("enter", at % 3, first),
                ("push", size),
                ("pop", 1 + at % 4),
                ("note", self.random.randbytes(self.random.choice((0, 20, 31, 32, 90)))),
                ("sum", first, size),
            ]
            self._call(sender, "Ledger", "ledger", *calls[at % len(calls)], **self._kind(at, "ledger"))
        return self.node.mine()

    def nested(self) -> int:
        """Calls in calls, creations, destructions, reverts, logs, transient storage, precompiled contracts, and money."""
        heir = address_of(SENDERS + 1)
        salt = self.random.randbytes(32)
        for at, (function, *arguments) in enumerate(
            [
                ("make", 5),
                ("make", 13),
                ("make", 6),
                ("make2", 7, salt),
                ("make2", 7, salt),
                ("set", 0, 8),
                ("set", 0, 13),
                ("flash", 9, self.random.randbytes(32), heir),
                ("flash", 9, bytes(32), address_of(3)),
                ("end", 1, heir),
                ("set", 1, 3),
                ("borrow", 0, 40),
                ("peek", 0),
                ("descend", 12, False),
                ("descend", 7, True),
                ("guarded", 9, True),
                ("guarded", 3, False),
                ("logs", 100),
                ("precompiled", self.random.randbytes(77)),
                ("look", [address_of(0), self._at("gold"), heir, bytes(19) + b"\x05"]),
                ("grind", 100, 7),
            ]
        ):
            value = 1000 + at if function in ("make", "make2", "flash") else 0
            kind = self._kind(at, "workshop")
            self._call(at % SENDERS, "Workshop", "workshop", function, *arguments, value=value, **kind)
        self._call(1, "Workshop", "workshop", "descend", 60, False, gas=60_000)  # out of gas
        self.node.send(2, None, bytes.fromhex("60006000fd"))  # reverts
        self.node.send(3, None, bytes.fromhex("60ef60005360016000f3"))  # a code that begins with ef
        self.node.send(4, f"0x{self.random.randbytes(20).hex()}", value=10**15, gas=21_000)
        self.node.send(5, self.at["workshop"], value=12)
        return self.node.mine()

    def delegations(self) -> int:
        """Accounts that take the workshop's code for their own, are called, and give it up again; EIP-7702."""
        node, workshop = self.node, to_checksum_address(self.at["workshop"])
        call = contracts.get("Workshop").call
        for number in (30, 31):
            signed = account(number).sign_authorization(
                {"chainId": CHAIN_ID, "address": workshop, "nonce": 0}
            )
            node.send(
                number - 20, account(number).address, call("make", 4), type=4, authorizationList=[signed]
            )
        node.send(9, account(30).address, call("logs", 64))
        node.send(8, account(31).address, call("descend", 3, True))
        bad = account(32).sign_authorization({"chainId": CHAIN_ID, "address": workshop, "nonce": 7})
        node.send(12, account(32).address, type=4, authorizationList=[bad])
        given_up = account(31).sign_authorization(
            {"chainId": 0, "address": to_checksum_address(bytes(20)), "nonce": 1}
        )
        node.send(13, account(31).address, type=4, authorizationList=[given_up])
        node.send(14, account(31).address, call("logs", 64))
        return node.mine()

    def _at(self, name: str) -> bytes:
        return bytes.fromhex(self.at[name][2:])

    def _pair(self) -> tuple[int, int]:
        first, second = self.random.sample(range(SENDERS), 2)
        return first, second

    def _call(
        self, sender: int, contract: str, name: str, function: str, *arguments: Any, **fields: Any
    ) -> str:
        return self.node.send(
            sender, self.at[name], contracts.get(contract).call(function, *arguments), **fields
        )

    def _kind(self, at: int, name: str) -> dict[str, Any]:
        """A type of transaction, in turns, with an access list where the type has one."""
        listed = [{"address": to_checksum_address(self.at[name]), "storageKeys": [f"0x{2 + at % 2:064x}"]}]
        return [
            {"type": 2},
            {"type": 0},
            {"type": 1, "accessList": listed},
            {"type": 2, "accessList": listed},
        ][at % 4]
