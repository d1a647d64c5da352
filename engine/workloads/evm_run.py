# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a workload of EVM transactions, each block in parallel and in order, and compares both.

A block is executed by several workers first, and what they did is taken back; then in order, which is kept. Times are those
of the transactions: neither loading the state, nor the comparison, nor roots are in them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from supervm.crypto import hashes
from supervm.crypto.messages import Messages
from supervm.engine.arrays import amounts, ragged
from supervm.engine.errors import EngineError
from supervm.engine.ethereum.receipts import encoded_logs
from supervm.engine.evm.accounts import EMPTY_CODE_HASH, Accounts
from supervm.engine.evm.environment import Environment
from supervm.engine.evm.roots import world_root
from supervm.engine.evm.session import Session
from supervm.engine.evm.world import World
from supervm.engine.workloads.evm_calls import (
    FIRST_TIME,
    FUNDS,
    SECONDS_A_BLOCK,
    EvmCalls,
    EvmState,
    EvmWorkload,
)
from supervm.vm.evm import columns as c
from supervm.vm.evm.columns import TransactionColumns, to_words
from supervm.vm.evm.forks import fork_named

FORK = "osaka"
CHAIN_ID = 1_337
COINBASE = bytes.fromhex("c0" * 20)
GAS_LIMIT = 1 << 62
"""Of a block: every block size fits."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class EvmRun:
    """What a workload came to.

    Args:
        threads: of the parallel execution; 1 where there was none.
        transactions: all of them.
        failed: transactions that paid their gas and did nothing else.
        gas: used by all.
        sequential_seconds, parallel_seconds: of all blocks; the second is None with one thread.
        repeated: transactions that parallel execution had to do again.
        conserved: no wei appeared or vanished, the fees' among them: nothing is burnt at a base fee of 0.
        equal: both gave the same gas, success and logs in every block; None with one thread.
        state_root: after the last block, of the whole state.
    """

    threads: int
    transactions: int
    failed: int
    gas: int
    sequential_seconds: float
    parallel_seconds: float | None
    repeated: int
    conserved: bool
    equal: bool | None
    state_root: bytes


def run_evm(workload: EvmWorkload, threads: int = 2, progress: Progress | None = None) -> EvmRun:
    """Execute a workload from its first state.

    Args:
        workload: see `evm_calls`.
        threads: of the parallel execution, which one thread leaves out.
        progress: called with how many blocks are done and how many there are.

    Raises:
        EngineError: a transaction that is not valid where it stands: a defect.
    """
    session, world = Session(threads), World()
    accounts, codes = loaded(workload.state)
    world.load(accounts, codes)
    session.attach(world)
    alone = together = 0.0
    gas = failed = repeated = 0
    equal = True
    try:
        for number, calls in enumerate(workload.blocks):
            if progress is not None:
                progress(number, len(workload))
            environment = environment_of(number)
            parallel = columns_of(calls, workload.parameters.gas_price)
            if threads > 1:
                session.begin(environment)
                team = session.team(environment)
                begun = perf_counter()
                course = team.run(parallel, environment)
                together += perf_counter() - begun
                repeated += course.repeated
                parallel_logs = team.logs(parallel, course.executed)
                team.undo()
            columns = columns_of(calls, workload.parameters.gas_price)
            session.begin(environment)
            begun = perf_counter()
            done, missing = session.run(columns, None, 0, len(columns))
            alone += perf_counter() - begun
            if done != len(columns):
                why = missing or f"rule {int(columns[c.RULES][done])}"
                raise EngineError(f"transaction {done} of block {number}: {why}")
            if threads > 1:
                logs = session.logs(columns, range(len(columns)))
                same = all(np.array_equal(columns[word], parallel[word]) for word in (c.GAS_USED, c.SUCCESS))
                equal &= same and ragged.equal(encoded_logs(logs), encoded_logs(parallel_logs))
            session.worker.seal()
            world.store.publish()
            gas += int(columns[c.GAS_USED].sum())
            failed += int((columns[c.SUCCESS] == 0).sum())
        root = world_root(world)
        conserved = _money(world.accounts()) == _money(accounts)
    finally:
        session.close()
    return EvmRun(
        threads,
        len(workload.calls),
        failed,
        gas,
        alone,
        together if threads > 1 else None,
        repeated,
        conserved,
        equal if threads > 1 else None,
        root,
    )


def _money(accounts: Accounts) -> int:
    return amounts.total(amounts.from_big_endian(accounts.balances))


def environment_of(number: int) -> Environment:
    """The block in which transactions of block `number` of a workload are."""
    return Environment(
        fork=fork_named(FORK),
        chain_id=CHAIN_ID,
        number=number + 1,
        timestamp=FIRST_TIME + SECONDS_A_BLOCK * number,
        coinbase=COINBASE,
        gas_limit=GAS_LIMIT,
        base_fee=0,
        random=number + 1,
    )


def columns_of(calls: EvmCalls, gas_price: int) -> TransactionColumns:
    """Transactions as compiled code takes them."""
    count = len(calls)
    prices = np.zeros((count, 4), np.uint64)
    prices[:, 0] = gas_price
    return TransactionColumns(
        {
            c.TYPES: np.zeros(count, np.uint8),
            c.SENDERS: np.ascontiguousarray(calls.senders),
            c.HAS_TO: np.ones(count, np.uint8),
            c.TARGETS: np.ascontiguousarray(calls.targets),
            c.NONCES: calls.nonces.copy(),
            c.VALUES: to_words(calls.values),
            c.GAS_LIMITS: calls.gas_limits.copy(),
            c.MAX_FEES: prices,
            c.PRIORITY_FEES: prices.copy(),
            c.BLOB_FEES: np.zeros((count, 4), np.uint64),
            c.INPUT: np.ascontiguousarray(calls.input.data),
            c.INPUT_OFFSETS: np.ascontiguousarray(calls.input.offsets),
        }
    )


def loaded(state: EvmState) -> tuple[Accounts, dict[bytes, bytes]]:
    """A state as `World.load` takes it, codes by their Keccak-256."""
    owners, contracts = len(state.owners), list(state.codes)
    digests = hashes.keccak256_batch(Messages.of([state.codes[address] for address in contracts]))
    empty = np.tile(np.frombuffer(EMPTY_CODE_HASH, np.uint8), (owners, 1))
    funds = np.tile(np.frombuffer(FUNDS.to_bytes(32), np.uint8), (owners, 1))
    addresses = np.frombuffer(b"".join(contracts), np.uint8).reshape(-1, 20)
    sizes = [0] * owners + [len(state.slots[address]) for address in contracts]
    accounts = Accounts(
        addresses=np.concatenate([state.owners, addresses]),
        nonces=np.concatenate([np.zeros(owners, np.uint64), np.ones(len(contracts), np.uint64)]),
        balances=np.concatenate([funds, np.zeros((len(contracts), 32), np.uint8)]),
        code_hashes=np.concatenate([empty, digests]),
        offsets=ragged.offsets_of(np.array(sizes, np.int64)),
        slots=np.concatenate([state.slots[address] for address in contracts]),
        values=np.concatenate([state.values[address] for address in contracts]),
    )
    codes = {
        digest.tobytes(): state.codes[address] for digest, address in zip(digests, contracts, strict=True)
    }
    return accounts, codes
