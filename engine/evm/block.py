# SPDX-License-Identifier: GPL-3.0-or-later
"""One block, executed whole and in order, and what its header says compared with what came out.

The order is that of the Yellow Paper, section 11, and of the EIPs: accounts that are moved by decree, system calls,
transactions, withdrawals or rewards, requests. A block's execution ends early at a transaction that breaks a rule, and at
one that reaches what nobody has given: a code, a storage slot, an ancestor's hash.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from supervm.engine.errors import MissingNodes
from supervm.engine.ethereum.header import NO_UNCLES
from supervm.engine.ethereum.proven_state import ProvenState
from supervm.engine.ethereum.receipts import Logs
from supervm.engine.ethereum.senders import Recovered
from supervm.engine.ethereum.witness import Witness
from supervm.engine.evm.accounts import Accounts, Codes
from supervm.engine.evm.columns import transaction_columns
from supervm.engine.evm.dao import DAO_FORK_BLOCK, DRAINED, REFUND_CONTRACT
from supervm.engine.evm.environment import MAINNET, Environment, environment_of
from supervm.engine.evm.errors import MissingState
from supervm.engine.evm.logs import equal_logs
from supervm.engine.evm.missing import (
    listed_slots,
    unknown_slots,
    with_owner,
    with_proven_accounts,
    with_proven_codes,
    with_proven_slots,
)
from supervm.engine.evm.requests import (
    DEPOSIT_CONTRACT,
    DEPOSIT_EVENT,
    deposit_request,
    encoded_requests,
)
from supervm.engine.evm.rewards import Uncle, mining_payments, withdrawal_payments
from supervm.engine.evm.roots import changes_of
from supervm.engine.evm.session import Session
from supervm.engine.evm.system_calls import AFTER, BEFORE
from supervm.engine.evm.world import Changed, World
from supervm.engine.state.store import key_numbers
from supervm.kernels.array_types import Bytes, Numbers
from supervm.vm.evm import columns as c
from supervm.vm.evm import forks
from supervm.vm.evm.columns import TransactionColumns
from supervm.vm.evm.forks import fork_named
from supervm.vm.evm.machine import SUCCESS
from supervm.vm.evm.rules import Rule
from supervm.vm.evm.transaction import NO_CODE


@dataclass(frozen=True)
class Broken:
    """A transaction that must not be in the block: its position, and the rule."""

    index: int
    rule: Rule


@dataclass
class BlockOutcome:
    """What became of a block.

    Args:
        environment: in which it was executed.
        columns: its transactions, and what became of them.
        executed: how many of them, from the first one on.
        logs: of those.
        broken: the transaction that breaks a rule, if one does.
        missing: what execution reached and nobody has given, if it did.
        failed_call: address of a system contract whose call after the transactions failed, if one did.
        absent: address of a system contract that is not given: what it asks for and changes is not known.
        requests: to the consensus layer; None before Prague.
        roots: the state root after each transaction, uint8 (n, 32), where receipts have it and nodes prove it.
        root: after the block; None where nothing proves it.
        unproven: which trie nodes are missing for a root, '' if none are.
        trace: of the transaction that was to be traced, one line an opcode.
        parallel_equal: whether execution in parallel gave the same; None if there was none.
    """

    environment: Environment
    columns: TransactionColumns
    executed: int = 0
    logs: Logs | None = None
    broken: Broken | None = None
    missing: MissingState | None = None
    failed_call: bytes | None = None
    absent: bytes | None = None
    requests: list[bytes] | None = None
    roots: list[bytes] = field(default_factory=list)
    root: bytes | None = None
    unproven: str = ""
    trace: list[dict[str, Any]] = field(default_factory=list)
    parallel_equal: bool | None = None

    @property
    def whole(self) -> bool:
        """Whether the block was executed to its end."""
        return self.executed == len(self.columns) and self.missing is None and self.failed_call is None

    @property
    def gas_used(self) -> int:
        """Gas of the transactions that were executed."""
        return int(self.columns[c.GAS_USED][: self.executed].sum())

    @property
    def blob_gas_used(self) -> int:
        """Their blob gas."""
        return int(self.columns[c.BLOB_GAS][: self.executed].sum())

    @property
    def statuses(self) -> Bytes:
        """uint8 (executed,): 1 where a transaction succeeded."""
        found: Bytes = self.columns[c.SUCCESS][: self.executed]
        return found


def execute_block(
    session: Session,
    witness: Witness,
    recovered: Recovered,
    codes: Codes,
    *,
    traced: int | None = None,
    with_memory: bool = False,
) -> BlockOutcome:
    """Execute a block on the accounts that are given; afterwards the session's world has them again as they were.

    Args:
        session: that executes; another block's world is left.
        witness: the block and what is given with it.
        recovered: senders and authorities of its transactions.
        codes: of its accounts, by Keccak-256.
        traced: the position of a transaction to trace.
        with_memory: whether its trace has memory.

    Raises:
        HostFunctionFailed: a precompiled contract could not be computed on this machine.
    """
    state, proof = Accounts.of(witness.pre_state), _proof(witness)
    if proof is not None:
        payments = withdrawal_payments(witness.block.header.withdrawals or ())
        named = [witness.block.miner.tobytes(), *(payment.address for payment in payments)]
        state = with_proven_accounts(with_proven_codes(state, proof), named, proof)
    while True:
        execution = _Execution(session, witness, recovered, (state, codes), proof, (traced, with_memory))
        outcome = execution.run()
        if proof is None or not len(execution.unknown.numbers):
            return outcome
        # Slots that the file leaves out may be proven; with them execution may reach others.
        more = with_proven_slots(state, execution.unknown, proof)
        if more is None:
            return outcome
        state = more


def _proof(witness: Witness) -> ProvenState | None:
    """The state before the block as nodes prove it, None where there are none."""
    root = witness.root_before
    return ProvenState(witness.nodes, root) if len(witness.nodes) and root is not None else None


class _Execution:
    """One execution of a block on accounts and codes, some of which may be missing."""

    def __init__(
        self,
        session: Session,
        witness: Witness,
        recovered: Recovered,
        given: tuple[Accounts, Codes],
        proof: ProvenState | None,
        trace: tuple[int | None, bool],
    ) -> None:
        self.session, self.witness, self.proof = session, witness, proof
        self.traced, self.with_memory = trace
        self.recovered = recovered
        chain = MAINNET if witness.chain_id is None else witness.chain_id
        fork = fork_named(witness.fork) if witness.fork and chain != MAINNET else None
        self.environment = environment_of(witness.block, witness.block_hashes, chain_id=chain, fork=fork)
        columns = transaction_columns(witness.block.transactions, recovered, chain_id=chain)
        self.outcome = BlockOutcome(self.environment, columns)
        self.state, codes = given
        world = World()
        world.load(self.state, codes)
        session.attach(world)
        self.unknown = unknown_slots(world, self.state, len(world.store.keys))

    def run(self) -> BlockOutcome:
        session, outcome = self.session, self.outcome
        session.begin(self.environment)
        try:
            self._before()
            self._transactions()
            if outcome.whole:
                changed = self._changed()
                self._after()
        except MissingState as missing:
            outcome.missing = missing
        finally:
            if outcome.logs is None:
                outcome.logs = session.logs(outcome.columns, range(outcome.executed))
            session.undo()
        if outcome.missing is not None:
            outcome.missing = with_owner(outcome.missing, self.state)
        elif outcome.whole and outcome.logs is not None:
            outcome.parallel_equal = self._parallel_equal(changed, outcome.logs)
        return outcome

    def _changed(self) -> Changed:
        return self.session.world.changed(key_numbers(self.session.worker.written()))

    def _parallel_equal(self, changed: Changed, logs: Logs) -> bool:
        """Whether the transactions executed in parallel do and leave what they did in block order."""
        session, first = self.session, self.outcome.columns
        columns = transaction_columns(
            self.witness.block.transactions, self.recovered, chain_id=self.environment.chain_id
        )
        session.begin(self.environment)
        self._before()
        team = session.team(self.environment)
        try:
            course = team.run(columns, self.environment, fewest=0)
            if course.executed < len(columns):
                return False
            same = all(
                np.array_equal(first[word], columns[word])
                for word in (c.RULES, c.SUCCESS, c.GAS_USED, c.BLOB_GAS, c.CREATED)
            )
            found = session.world.changed(key_numbers(team.written()))
            return same and found.equals(changed) and equal_logs(team.logs(columns, len(columns)), logs)
        finally:
            team.undo()

    def _before(self) -> None:
        environment, session = self.environment, self.session
        if environment.chain_id == MAINNET and environment.number == DAO_FORK_BLOCK:
            session.move_all(DRAINED, REFUND_CONTRACT)
        for call in BEFORE:
            data = call.data(environment) if environment.fork[call.rule] else None
            if data is not None:
                session.call_system(call.address, data)

    def _transactions(self) -> None:
        """Execute the transactions, as far as that goes."""
        outcome, count = self.outcome, len(self.outcome.columns)
        given, known = len(self.session.world.store.keys), np.zeros(count, np.int64)
        # Before Byzantium a receipt has the state root after its transaction: each one is a step of its own then.
        stepwise = self.proof is not None and not self.environment.fork[forks.HAS_STATUS]
        step = 1 if stepwise else max(count, 1)
        bounds = sorted({*range(0, count, step), *self._around_traced(), count})
        for start, stop in pairwise(bounds):
            if start == self.traced:
                self._trace(known)
            else:
                outcome.executed, outcome.missing = self.session.run(outcome.columns, known, start, stop)
            if outcome.executed < stop:
                break
            root = self._root() if stepwise else None
            if root is not None:
                outcome.roots.append(root)
        listed = listed_slots(self.witness.block.transactions.access_lists)
        self.unknown = unknown = unknown_slots(self.session.world, self.state, given, listed)
        if len(unknown.numbers):
            before = int(np.searchsorted(known[: outcome.executed], unknown.numbers[0], side="right"))
            if before < outcome.executed or outcome.missing is None:
                outcome.executed, outcome.missing = before, unknown.first(self.state)
        if outcome.executed < count and outcome.missing is None:
            rule = Rule(int(outcome.columns[c.RULES][outcome.executed]))
            outcome.broken = Broken(outcome.executed, rule)

    def _trace(self, known: Numbers) -> None:
        """Execute the traced transaction; its trace ends with the state root, where nodes prove it."""
        assert self.traced is not None
        outcome = self.outcome
        outcome.executed, outcome.missing, outcome.trace = self.session.run_traced(
            outcome.columns, known, self.traced, memory=self.with_memory
        )
        root = self._root() if self.proof is not None and outcome.executed > self.traced else None
        outcome.trace[-1] = {"stateRoot": None if root is None else "0x" + root.hex(), **outcome.trace[-1]}

    def _around_traced(self) -> tuple[int, ...]:
        return () if self.traced is None else (self.traced, self.traced + 1)

    def _after(self) -> None:
        """Withdrawals, rewards and requests, and the root of the state where everything that it depends on is known."""
        environment, session, outcome = self.environment, self.session, self.outcome
        outcome.logs = session.logs(outcome.columns, range(outcome.executed))
        given = len(session.world.store.keys)
        session.pay(withdrawal_payments(self.witness.block.header.withdrawals or ()))
        reward = environment.fork[forks.BLOCK_REWARD]
        uncles = self._uncles()
        if reward and uncles is not None:
            session.pay(mining_payments(environment.number, environment.coinbase, uncles, reward))
        if environment.fork[forks.HAS_REQUESTS]:
            outcome.requests = self._requests()
        self.unknown = unknown_slots(session.world, self.state, given)
        if len(self.unknown.numbers):
            outcome.missing = self.unknown.first(self.state)
        elif self.proof is not None and outcome.failed_call is None and (not reward or uncles is not None):
            outcome.root = self._root()

    def _uncles(self) -> list[Uncle] | None:
        """The block's uncles; None where it names some that are not given."""
        uncles = self.witness.uncles
        if uncles is None:
            return [] if self.witness.block.header.fields["sha3Uncles"] == NO_UNCLES else None
        return [Uncle(uncle.fields["miner"], int.from_bytes(uncle.fields["number"])) for uncle in uncles]

    def _requests(self) -> list[bytes] | None:
        outputs = []
        for call in AFTER:
            status, output = self.session.call_system(call.address, b"")
            if status == NO_CODE and not self._is_given(call.address):
                self.outcome.absent = call.address
                return None
            if status != SUCCESS:
                self.outcome.failed_call = call.address
                return None
            outputs.append((call.kind, output))
        assert self.outcome.logs is not None
        return encoded_requests(deposits(self.outcome.logs), outputs)

    def _is_given(self, address: bytes) -> bool:
        return bool((self.state.addresses == np.frombuffer(address, np.uint8)).all(axis=1).any())

    def _root(self) -> bytes | None:
        """The state root now; None where nodes are missing that prove it."""
        assert self.proof is not None
        try:
            return self.proof.root_after(changes_of(self._changed()))
        except MissingNodes as lacking:
            self.outcome.unproven = str(lacking)
            return None


def deposits(logs: Logs) -> list[bytes]:
    """The deposit requests of a block's logs, in their order."""
    contract = (logs.addresses == np.frombuffer(DEPOSIT_CONTRACT, np.uint8)).all(axis=1)
    found = []
    for place in np.flatnonzero(contract & (np.diff(logs.topic_offsets) > 0)).tolist():
        topic = logs.topics[logs.topic_offsets[place]].tobytes()
        first, end = logs.data.offsets[place : place + 2].tolist()
        request = deposit_request(logs.data.data[first:end].tobytes()) if topic == DEPOSIT_EVENT else None
        if request is not None:
            found.append(request)
    return found
