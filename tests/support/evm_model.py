# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a transaction as the Yellow Paper and the EIPs have it: dicts, and a copy of all of them as checkpoint."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

from evm_state import Account, World

RIPEMD160 = 3


@dataclass
class Model:
    """The state of a transaction over a world; `fork` is a dict of the rules that matter.

    | rule | meaning |
    |---|---|
    | `clears` | EIP-161 |
    | `new_only` | EIP-6780 |
    | `storage` | name of the EIP of SSTORE's gas: "frontier", "1283", "2200", "2929", "3529" |
    | `destroy_refund` | of SELFDESTRUCT |
    """

    world: World
    clears: bool
    new_only: bool
    storage: str
    destroy_refund: int
    accounts: World = field(default_factory=dict)
    warm: set[object] = field(default_factory=set)
    transient: dict[tuple[int, int], int] = field(default_factory=dict)
    logs: list[bytes] = field(default_factory=list)
    refund: int = 0
    created: set[int] = field(default_factory=set)
    destroyed: set[int] = field(default_factory=set)
    touched: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.accounts = {address: account.copy() for address, account in self.world.items()}

    def checkpoint(self) -> dict[str, object]:
        kept = {name: value for name, value in vars(self).items() if name != "world"}
        return copy.deepcopy(kept)

    def revert_to(self, mark: dict[str, object]) -> None:
        ripemd = RIPEMD160 in self.touched
        vars(self).update(copy.deepcopy(mark))
        if ripemd:
            self.touched.add(RIPEMD160)

    def get(self, address: int) -> Account:
        return self.accounts.get(address, Account())

    def make(self, address: int) -> Account:
        self.touched.add(address)
        return self.accounts.setdefault(address, Account())

    def is_empty(self, address: int) -> bool:
        found = self.get(address)
        return not found.nonce and not found.balance and not found.code

    def exists(self, address: int) -> bool:
        return not self.is_empty(address) if self.clears else address in self.accounts

    def touch(self, address: int) -> None:
        self.touched.add(address)
        if not self.clears:
            self.make(address)

    def add_balance(self, address: int, value: int) -> None:
        if value == 0:
            self.touch(address)
        else:
            found = self.make(address)
            found.balance = (found.balance + value) % 2**256

    def transfer(self, sender: int, recipient: int, value: int) -> int:
        if self.get(sender).balance < value:
            return 1
        if value:
            self.make(sender).balance -= value
            self.add_balance(recipient, value)
        return 0

    def warms(self, what: object) -> int:
        cold = what not in self.warm
        self.warm.add(what)
        return int(cold)

    def load(self, address: int, key: int) -> int:
        return self.get(address).storage.get(key, 0)

    def original(self, address: int, key: int) -> int:
        return self.world.get(address, Account()).storage.get(key, 0)

    def store(self, address: int, key: int, value: int) -> int:
        """Set a slot; its gas."""
        gas, refund = storage_gas(self.storage, self.original(address, key), self.load(address, key), value)
        self.refund += refund
        storage = self.accounts[address].storage
        storage[key] = value
        if not value:
            del storage[key]
        return gas

    def create(self, address: int, nonce: int) -> int:
        found = self.get(address)
        if found.nonce or found.code or self.world.get(address, Account()).storage:
            return 1
        self.make(address).nonce = nonce
        self.created.add(address)
        return 0

    def destroy(self, address: int, beneficiary: int) -> None:
        amount = self.get(address).balance
        deletes = not self.new_only or address in self.created
        if beneficiary != address:
            self.transfer(address, beneficiary, amount)
            if amount == 0:
                self.touch(beneficiary)
                self.touch(address)
        elif deletes:
            self.touch(address)
            self.accounts[address].balance = 0
        if deletes and address not in self.destroyed:
            self.destroyed.add(address)
            self.refund += self.destroy_refund

    def finish(self) -> World:
        gone = set(self.destroyed)
        if self.clears:
            gone |= {address for address in self.touched if self.is_empty(address)}
        return {address: found for address, found in self.accounts.items() if address not in gone}


def storage_gas(eip: str, original: int, current: int, new: int) -> tuple[int, int]:
    """Gas of SSTORE on a warm slot, and what it adds to the refund counter."""
    if eip == "frontier":
        return (20_000 if not current and new else 5_000), (15_000 if current and not new else 0)
    # EIP-1283, EIP-2200 (whose SLOAD costs 800), EIP-2929 and EIP-3529 in the words of EIP-2200.
    sload = {"1283": 200, "2200": 800, "2929": 100, "3529": 100}[eip]
    reset = 5_000 - (2_100 if eip in ("2929", "3529") else 0)
    clears = {"3529": 4_800}.get(eip, 15_000)
    if current == new:
        return sload, 0
    if original == current:
        if original == 0:
            return 20_000, 0
        return reset, clears if new == 0 else 0
    refund = 0
    if original != 0:
        if current == 0:
            refund -= clears
        if new == 0:
            refund += clears
    if original == new:
        refund += (20_000 if original == 0 else reset) - sload
    return sload, refund
