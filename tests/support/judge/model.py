# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules, one transaction after another, on a dictionary."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Sequence

from judge import rules, tree
from judge.contract import Contract
from judge.host import Host, Surroundings
from judge.rules import ACCOUNT, CODE, OBJECT, Reason
from judge.transaction import Receipt, Tx, encode
from judge.view import View

COLLECTOR = bytes(19) + b"\xfe"


def contract_address(code: bytes, salt: bytes) -> bytes:
    """Where `deploy` puts this code: 20 bytes."""
    return tree.keccak256(CODE + salt + hashlib.sha256(code).digest())[-20:]


class Judge:
    """A state and what the rules allow to be done to it.

    Args:
        chain_id: transactions of other chains are rejected.
        fee_collector: address that the fees of a block go to.
        hash: `sha256` or `keccak256`, the hash of the state root.
        verify: says of a transaction's signature 0 or the number of a rejection; without it none is checked.
        verifier: the verdict of a private transaction's proof, 1, 0 or −1; without it private ones are rejected.
        log_access: put into each receipt the state keys that the transaction read and wrote.
    """

    def __init__(
        self,
        chain_id: int = 1,
        fee_collector: bytes = COLLECTOR,
        hash: str = "sha256",
        *,
        verify: Callable[[Tx], int] | None = None,
        verifier: Callable[[Tx], int] | None = None,
        log_access: bool = False,
    ) -> None:
        self.state: dict[bytes, bytes] = {}
        self.height = 0
        self.timestamp = 0
        self.log_access = log_access
        self._chain_id = chain_id
        self._collector = fee_collector
        self._hash = hash
        self._verify = verify
        self._verifier = verifier
        self._contracts: dict[bytes, Contract] = {}

    def copy(self) -> Judge:
        """A judge that goes on from here by itself; compiled contracts are shared."""
        other = copy.copy(self)
        other.state = dict(self.state)
        other._contracts = dict(self._contracts)
        return other

    def root(self) -> bytes:
        return tree.root(self.state, self._hash)

    def account(self, address: bytes) -> tuple[int, int]:
        """(nonce, balance)."""
        return View(self.state).account(address)

    def money(self) -> int:
        """The sum of all balances."""
        return sum(
            int.from_bytes(value[8:], "big") for key, value in self.state.items() if key[:1] == ACCOUNT
        )

    def credit(self, address: bytes, amount: int) -> None:
        """A commit: more money in the world, at this address."""
        if amount < 0 or self.money() + amount > rules.MOST_MONEY:
            raise ValueError(f"argument 'amount': {amount} would take the sum of all balances out of range")
        view = View(self.state)
        view.add(address, amount)
        self._commit(view)

    def create_object(self, id: bytes, kind: int, owner: bytes) -> None:
        """A commit: an object that was not there."""
        if OBJECT + id in self.state or kind not in (rules.OWNED, rules.SHARED, rules.IMMUTABLE):
            raise ValueError(f"object {id.hex()}: it exists, or {kind} is no kind")
        view = View(self.state)
        view.set(OBJECT + id, bytes([kind]) + owner)
        self._commit(view)

    def deploy(self, code: bytes, salt: bytes) -> bytes:
        """A commit: the contract's address."""
        code_hash = hashlib.sha256(code).digest()
        if code_hash not in self._contracts:
            self._contracts[code_hash] = Contract(code)
        address = contract_address(code, salt)
        view = View(self.state)
        view.set(CODE + address, code_hash)
        self._commit(view)
        return address

    def _commit(self, view: View) -> None:
        view.commit()
        self.height += 1

    def execute(self, transactions: Sequence[Tx], timestamp: int | None = None) -> list[Receipt]:
        """A block: its receipts, in order."""
        self.timestamp = self.timestamp + 1 if timestamp is None else timestamp
        receipts = [self._transaction(tx) for tx in transactions]
        fees = sum(r.gas * tx.gas_price for r, tx in zip(receipts, transactions, strict=True))
        last = View(self.state)
        last.add(self._collector, fees)
        self._commit(last)
        return receipts

    def _transaction(self, tx: Tx) -> Receipt:
        view = View(self.state)
        rejection = self._rejection(tx, view)
        if rejection:
            return self._logged(Receipt(False, False, int(rejection)), view)
        nonce, balance = view.account(tx.sender)
        view.set_account(tx.sender, nonce + 1, balance - tx.value - tx.gas_limit * tx.gas_price)
        receipt = self._call(tx, view) if tx.entry else self._transfer(tx, view)
        if receipt.success:
            view.add(tx.sender, (tx.gas_limit - receipt.gas) * tx.gas_price)
        else:
            view.undo()
            view.set_account(tx.sender, nonce + 1, balance - receipt.gas * tx.gas_price)
        view.commit()
        return self._logged(receipt, view)

    def _logged(self, receipt: Receipt, view: View) -> Receipt:
        if self.log_access:
            receipt.reads.extend(sorted(view.reads))
            receipt.writes.extend(sorted(view.writes))
        return receipt

    def _rejection(self, tx: Tx, view: View) -> int:
        """The first reason that applies, or 0."""
        signature = self._verify(tx) if self._verify is not None else 0
        if signature:
            return signature
        if tx.chain_id != self._chain_id:
            return Reason.WRONG_CHAIN
        if tx.private and self._verifier is None:
            return Reason.NO_VERIFIER
        if tx.private and self._verifier is not None and (verdict := self._verifier(tx)) != 1:
            return Reason.MALFORMED_PROOF if verdict == -1 else Reason.BAD_PROOF
        if len(encode(tx)) > rules.MOST_TRANSACTION_BYTES:
            return Reason.TOO_LARGE
        if tx.gas_limit > rules.MOST_GAS:
            return Reason.GAS_LIMIT_TOO_HIGH
        if tx.gas_limit < _intrinsic(tx):
            return Reason.GAS_LIMIT_TOO_LOW
        if tx.entry:
            code_hash = view.get(CODE + tx.to)
            if code_hash is None:
                return Reason.UNKNOWN_CONTRACT
            if tx.entry not in self._contracts[code_hash].entries:
                return Reason.UNKNOWN_ENTRY
        nonce, balance = view.account(tx.sender)
        if tx.nonce != nonce or tx.nonce == rules.MOST_NONCE:
            return Reason.BAD_NONCE
        if balance < tx.value + tx.gas_limit * tx.gas_price:
            return Reason.INSUFFICIENT_BALANCE
        return Reason.NONE

    def _transfer(self, tx: Tx, view: View) -> Receipt:
        owned = bytes([rules.OWNED]) + tx.sender
        for id in tx.objects:
            if not view.has_room(OBJECT + id):
                return Receipt(True, False, int(Reason.LIMIT_EXCEEDED), _intrinsic(tx))
            if view.get(OBJECT + id) != owned:
                return Receipt(True, False, int(Reason.OBJECT_NOT_OWNED), _intrinsic(tx))
        if tx.value and not view.has_room(ACCOUNT + tx.to):
            return Receipt(True, False, int(Reason.LIMIT_EXCEEDED), _intrinsic(tx))
        gas = _intrinsic(tx) + _arrival(tx, view)
        if gas > tx.gas_limit:
            return Receipt(True, False, int(Reason.OUT_OF_GAS), tx.gas_limit)
        view.add(tx.to, tx.value)
        for id in tx.objects:
            view.set(OBJECT + id, bytes([rules.OWNED]) + tx.to)
        return Receipt(True, True, 0, gas)

    def _call(self, tx: Tx, view: View) -> Receipt:
        intrinsic = _intrinsic(tx) + _arrival(tx, view)
        if intrinsic > tx.gas_limit:
            return Receipt(True, False, int(Reason.OUT_OF_GAS), tx.gas_limit)
        view.add(tx.to, tx.value)
        contract = self._contracts[self.state[CODE + tx.to]]
        before = intrinsic + contract.before
        if before > tx.gas_limit:
            return Receipt(True, False, int(Reason.OUT_OF_GAS), tx.gas_limit)
        around = Surroundings(
            block_number=self.height + 1,
            timestamp=self.timestamp,
            caller=tx.sender,
            contract=tx.to,
            value=tx.value,
            input=tx.input,
            gas_limit=tx.gas_limit,
            intrinsic=before,
        )
        host = Host(view, around)
        most_memory = rules.most_memory(tx.gas_limit - intrinsic)
        ended = contract.call(tx.entry, host, tx.gas_limit - before, most_memory)
        gas, reason = before + ended.fuel + host.spent + ended.growth, ended.reason
        if reason is Reason.OUT_OF_GAS or gas > tx.gas_limit:
            gas, reason = tx.gas_limit, Reason.OUT_OF_GAS
        if reason:
            code = ended.returned if reason is Reason.CONTRACT_ERROR else 0
            return Receipt(True, False, int(reason), gas, code)
        return Receipt(True, True, 0, gas, ended.returned, host.output, list(host.events))


def _intrinsic(tx: Tx) -> int:
    gas = rules.intrinsic_gas(
        tx.entry,
        tx.input,
        tx.proof,
        objects=len(tx.objects),
        declared=[*tx.reads, *tx.writes] if tx.declared else [],
        signature=tx.signature,
    )
    return gas + (rules.proof_gas(tx.proof) if tx.private else 0)


def _arrival(tx: Tx, view: View) -> int:
    """What it costs that the value arrives where no account was."""
    key = ACCOUNT + tx.to
    return rules.growth_gas(key, view.get(key), bytes(40)) if tx.value else 0
