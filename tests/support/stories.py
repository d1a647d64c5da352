# SPDX-License-Identifier: GPL-3.0-or-later
"""Short scenarios told by hand: a few people, a program contract, the one that misbehaves, and blocks with right nonces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import program_contract as program
from blocks import Block, Scenario
from contracts_for_tests import misbehaving, misdeed
from judge import Tx
from judge.model import contract_address

SALT = bytes(32)
RICH = 10**15
GAS = 400_000


def person(number: int) -> bytes:
    """The address of somebody."""
    return b"\xaa" + number.to_bytes(19, "big")


def thing(number: int) -> bytes:
    """The id of an object."""
    return b"\x0b" * 28 + number.to_bytes(4, "big")


class Story:
    """What happens, transaction by transaction.

    Args:
        people: `person(0)` … have `RICH` each.
        objects: (kind, owner) of `thing(0)` ….
        others: codes of contracts besides the two.
    """

    def __init__(
        self, people: int = 8, objects: Sequence[tuple[int, bytes]] = (), others: Sequence[bytes] = ()
    ) -> None:
        self.people = [person(number) for number in range(people)]
        self._objects = [(thing(number), kind, owner) for number, (kind, owner) in enumerate(objects)]
        codes = [program.program_contract(), misbehaving(), *others]
        self.contracts = [(code, SALT) for code in codes]
        self.program, self.bad, *self.others = (contract_address(code, SALT) for code in codes)
        self._nonces: Counter[bytes] = Counter()
        self._blocks: list[Block] = []

    def transfer(self, sender: bytes, to: bytes, value: int = 0, **fields: object) -> Tx:
        """A transfer with the sender's next nonce."""
        fields.setdefault("gas_limit", 10_000)
        tx = Tx(sender, self._nonces[sender], to, value, **fields)  # type: ignore[arg-type]
        self._nonces[sender] += 1
        return tx

    def skip(self, sender: bytes) -> None:
        """One of the sender's nonces is used up elsewhere."""
        self._nonces[sender] += 1

    def call(self, sender: bytes, body: bytes, **fields: object) -> Tx:
        """A call of the program contract."""
        fields.setdefault("gas_limit", GAS)
        to = fields.pop("to", self.program)
        return self.transfer(sender, to, entry=program.ENTRY, input=body, **fields)  # type: ignore[arg-type]

    def enter(self, sender: bytes, to: bytes, entry: bytes, call_input: bytes = b"", **fields: object) -> Tx:
        """A call of any contract's entry point."""
        fields.setdefault("gas_limit", GAS)
        return self.transfer(sender, to, entry=entry, input=call_input, **fields)

    def deed(
        self, sender: bytes, name: str, arguments: bytes = b"", by_number: bool = False, **fields: object
    ) -> Tx:
        """A call of the contract that misbehaves."""
        return self.enter(sender, self.bad, *misdeed(name, arguments, by_number), **fields)

    def block(self, transactions: Sequence[Tx], timestamp: int | None = None) -> None:
        """These make a block."""
        self._blocks.append(Block(list(transactions), timestamp))

    def scenario(self) -> Scenario:
        """All of it."""
        return Scenario(
            [(address, RICH) for address in self.people], self._objects, self.contracts, self._blocks
        )

    # State keys, for declarations.

    @staticmethod
    def account(address: bytes) -> bytes:
        return b"\x00" + address

    def key(self, number: int) -> bytes:
        return b"\x01" + self.program + bytes([number])
