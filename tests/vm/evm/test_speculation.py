# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactions that run ahead on several workers, are validated in block order and run again: the same as one by one."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from evm_state import Account, EvmWorker, World, put_world, read_world
from evm_transactions import Authorization, Transaction, transaction_columns

from supervm.engine.state.store import StateStore
from supervm.kernels.cpu.state import access_set
from supervm.vm.evm import columns as c
from supervm.vm.evm import machine as m
from supervm.vm.evm import transaction_words as w
from supervm.vm.evm.forks import NO_LIMIT, fork_named
from supervm.vm.evm.machine import RETRY
from supervm.vm.evm.transaction import execute_transaction

ACCOUNTS = (0xA1, 0xA2, 0xA3, 0xA4, 0xA5)
COINBASE = 0xA5
RESULTS = (c.RULES, c.SUCCESS, c.GAS_USED, c.FEES, c.CREATED)


def block(moments: random.Random, count: int) -> tuple[World, list[Transaction]]:
    """Transactions between few accounts, most of them valid."""
    world = {address: Account(0, 10**18) for address in ACCOUNTS[:4]}
    nonces = dict.fromkeys(ACCOUNTS, 0)
    given = []
    for _ in range(count):
        sender = moments.choice(ACCOUNTS)
        each = Transaction(
            sender, moments.choice((*ACCOUNTS, None)), nonce=nonces[sender], fee=moments.choice((0, 3))
        )
        each = replace(each, gas=90_000, value=moments.choice((0, 1, 10**17, 10**18)))
        if each.to is not None and moments.random() < 0.3:
            authority = moments.choice(ACCOUNTS)
            authorization = Authorization(moments.choice((0, 0x77)), authority, nonces[authority])
            each = replace(each, type=4, authorizations=(authorization,))
        given.append(each)
        nonces[sender] += moments.random() < 0.9
    return world, given


def worker_of(store: StateStore, world: World) -> EvmWorker:
    worker = EvmWorker(store, fork_named("Prague"), runs=True)
    for account in world.values():
        if account.code:
            worker.add_code(account.code)
    worker.machine.set_value(m.COINBASE, COINBASE)
    words = worker.machine.words
    words[m.CHAIN_ID], words[w.BLOCK_GAS_LEFT] = 1, NO_LIMIT
    return worker


def execute(worker: EvmWorker, columns: c.TransactionColumns, item: int) -> tuple[int, int]:
    """Run a transaction behind what the worker holds; its entries."""
    while execute_transaction(worker.address, columns.address, item) == RETRY:
        worker.make_room()
    return worker.access.span


def sequential(world: World, given: list[Transaction]) -> tuple[World, list[Any]]:
    store = StateStore()
    put_world(store, world)
    worker, columns = worker_of(store, world), transaction_columns(given)
    worker.begin_commit()
    for item in range(len(given)):
        execute(worker, columns, item)
        worker.apply()
    worker.end_commit()
    return read_world(store), [columns[word].tobytes() for word in RESULTS]


@pytest.mark.parametrize("seed", range(12))
def test_speculation_ends_as_block_order_does(seed):
    moments = random.Random(seed)
    world, given = block(moments, 40)
    wanted = sequential(world, given)
    store = StateStore()
    put_world(store, world)
    workers = [worker_of(store, world) for _ in range(3)]
    for other in workers[1:]:
        other.codes = workers[0].codes
        other.machine.words[m.CODES] = other.codes.address
    columns = transaction_columns(given)
    for worker in workers:
        worker.begin_commit()
        # Committing takes room in cells only; entries must not move while they are outstanding.
        assert worker.access.words[access_set.ENTRY_CAPACITY] > 50 * len(given)
    spans: dict[int, tuple[EvmWorker, tuple[int, int]]] = {}
    committed = repeated = 0
    while committed < len(given):
        # Some transactions further on, on anybody's worker; again where nobody has committed them yet.
        for _ in range(moments.randrange(4)):
            item = moments.randrange(committed, min(len(given), committed + 8))
            runner = moments.choice(workers)
            spans[item] = runner, execute(runner, columns, item)
        owner, span = spans.pop(committed, (workers[0], None))
        if span is None or not owner.access.valid(*span):
            repeated += span is not None
            owner = workers[0]
            span = execute(owner, columns, committed)
            assert owner.access.valid(*span)
        workers[1].access.apply_growing(owner.access, span)
        committed += 1
    again = np.concatenate([worker.access.again() for worker in workers])
    store.seal(again, sum(int(worker.access.words[access_set.REPLACED]) for worker in workers))
    store.publish()
    assert (read_world(store), [columns[word].tobytes() for word in RESULTS]) == wanted
    assert repeated


def ran_ahead(given: list[Transaction], world: World) -> list[bool]:
    """Execute all of them before any is committed; which of them are still valid in their turn."""
    store = StateStore()
    put_world(store, world)
    worker, columns = worker_of(store, world), transaction_columns(given)
    worker.begin_commit()
    spans = [execute(worker, columns, item) for item in range(len(given))]
    assert not columns[c.RULES].any()
    still = []
    for item, span in enumerate(spans):
        still.append(worker.access.valid(*span))
        if not still[-1]:
            span = execute(worker, columns, item)
        worker.access.apply_growing(worker.access, span)
    store.seal(worker.access.again(), int(worker.access.words[access_set.REPLACED]))
    store.publish()
    assert read_world(store) == sequential(world, given)[0]
    return still


SENDERS = tuple(range(0x5E01, 0x5E09))
FUNDED = {sender: Account(0, 10**18) for sender in SENDERS}


def sent(number: int, to: int, **what: Any) -> Transaction:
    return Transaction(SENDERS[number], to, gas=60_000, fee=3, **what)


@pytest.mark.parametrize(
    "there", [{}, {0xB0: Account(7, 5)}, {0xB0: Account(1, 0, b"\0")}, {COINBASE: Account(0, 1)}]
)
def test_payments_to_one_account_do_not_depend_on_each_other(there):
    """The fee recipient gets a fee each time, too."""
    assert all(ran_ahead([sent(number, 0xB0, value=number) for number in range(8)], FUNDED | there))
    assert all(ran_ahead([sent(number, COINBASE, value=5) for number in range(8)], FUNDED | there))


@pytest.mark.parametrize("code", ["41315000", "413b", "47", "6000600060006000600141617530f1"])
def test_who_looks_depends_on_what_was_paid_before(code):
    """BALANCE and EXTCODESIZE of the fee recipient, SELFBALANCE, a CALL that pays the fee recipient."""
    world = FUNDED | {0xB0: Account(1, 99, bytes.fromhex(code)), 0xB1: Account(0, 1)}
    given = [sent(0, 0xB0), sent(1, 0xB1, value=1), sent(2, 0xB0), sent(3, 0xB0, value=1), sent(4, 0xB0)]
    # Code alone is not what fees change; SELFBALANCE depends on the value that came before, not on fees.
    wanted = {
        "41315000": [True, True, False, False, False],
        "413b": [True] * 5,
        "47": [True, True, True, True, False],
        "6000600060006000600141617530f1": [True, True, False, False, False],
    }
    assert ran_ahead(given, world) == wanted[code]


def test_a_sender_depends_on_what_it_got():
    given = [sent(0, SENDERS[1], value=1), sent(1, 0xB0), sent(2, SENDERS[1], value=1), sent(3, 0xB1)]
    assert ran_ahead(given, FUNDED) == [True, False, True, True]
