# SPDX-License-Identifier: GPL-3.0-or-later
"""The transactions of a block one after the other, each seeing all before it, and what a block does beside them."""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.kernels.cpu.lanes.addresses import store64
from supervm.kernels.cpu.state.access_set import ENTRY_COUNT, ENTRY_FIRST, KEYS, apply, forget_all
from supervm.kernels.cpu.state.access_set import get as worker_word
from supervm.kernels.cpu.state.key_table import COUNT, word
from supervm.vm.evm import columns as c
from supervm.vm.evm.columns import item8, item64
from supervm.vm.evm.forks import HAS_ACCESS_LISTS
from supervm.vm.evm.frames import enter_call, run
from supervm.vm.evm.machine import ENTERED, ORIGIN, RETRY, VALUE_BYTES, WORKER, get, put, rule
from supervm.vm.evm.state.accounts import account, add_balance, take_balance, warm_account
from supervm.vm.evm.state.lifecycle import begin_transaction, finish_transaction
from supervm.vm.evm.state.records import BALANCE, LOGS_FIRST, LOGS_USED
from supervm.vm.evm.transaction import execute_system_call, execute_transaction, forget_transaction
from supervm.vm.evm.transaction_words import BLOCK_BLOBS_LEFT, BLOCK_GAS_LEFT
from supervm.vm.evm.validity import GAS_PER_BLOB
from supervm.vm.evm.words import copy_value

MINT, MOVE_ALL = 0, 1
"""Kinds of `change_balances`."""


@njit(cache=True)
def settle(machine: Any) -> bool:
    """Make what the transaction at work wrote the newest versions; False, and nothing of it, where something is full."""
    worker = get(machine, WORKER)
    done = apply(worker, worker, worker_word(worker, ENTRY_FIRST), worker_word(worker, ENTRY_COUNT))
    if not done:
        forget_transaction(machine)
    forget_all(worker)
    return done


@njit(nogil=True, cache=True)
def run_in_order(machine: Any, columns: Any, known: Any, start: Any, stop: Any) -> Any:
    """Execute and apply the transactions from `start` below `stop`.

    Args:
        machine, columns: their addresses.
        known: address of int64 by transaction, how many keys the state has had in all after it; 0 where nobody asks.

    Returns:
        `stop`, or the transaction at which something was full or missing (`access_set.NEEDS` of the worker says what), to
        be called again from there; or the one that breaks a rule (`columns.RULES`), and `NEEDS` is 0.
    """
    worker = get(machine, WORKER)
    for item in range(start, stop):
        if execute_transaction(machine, columns, item) < 0:
            forget_all(worker)
            return item
        if item8(columns, c.RULES, item):
            forget_transaction(machine)
            forget_all(worker)
            return item
        if not settle(machine):
            return item
        put(machine, BLOCK_GAS_LEFT, get(machine, BLOCK_GAS_LEFT) - item64(columns, c.GAS_USED, item))
        used = item64(columns, c.BLOB_GAS, item) // GAS_PER_BLOB
        put(machine, BLOCK_BLOBS_LEFT, get(machine, BLOCK_BLOBS_LEFT) - used)
        if known:
            store64(known + 8 * item, word(worker_word(worker, KEYS), COUNT))
    return stop


@njit(nogil=True, cache=True)
def call_system(machine: Any, target: Any, data: Any, size: Any) -> Any:
    """`execute_system_call`, and apply what it changed; its status, or `RETRY`."""
    status = execute_system_call(machine, target, data, size)
    if status < 0:
        forget_all(get(machine, WORKER))
        return status
    put(machine, LOGS_USED, get(machine, LOGS_FIRST))
    return status if settle(machine) else RETRY


@njit(nogil=True, cache=True)
def call_alone(machine: Any, caller: Any, target: Any, value: Any, data: Any, size: Any, gas: Any) -> Any:
    """Call an account with gas for this frame alone, outside of every block; nothing of it is applied.

    Args:
        caller, target, value: addresses of values.
        data, size: address and bytes of the input.
        gas: what the frame has; nothing is paid for a transaction.

    Returns:
        The status, or `RETRY`; gas, output and logs are where a transaction leaves them.
    """
    begin_transaction(machine)
    status = _warm_and_call(machine, caller, target, value, data, size, gas)
    forget_all(get(machine, WORKER))
    return status


@njit(cache=True)
def _warm_and_call(machine: Any, caller: Any, target: Any, value: Any, data: Any, size: Any, gas: Any) -> Any:
    copy_value(machine + 8 * ORIGIN, caller)
    for address in (caller, target):
        record = account(machine, address)
        if record < 0 or (rule(machine, HAS_ACCESS_LISTS) and warm_account(machine, record) < 0):
            return RETRY
    status = enter_call(machine, caller, target, value, data, size, gas)
    return run(machine) if status == ENTERED else status


@njit(cache=True)
def _move_all(machine: Any, record: Any, other: Any) -> Any:
    """Move everything that an account has to another one; 0 or `RETRY`."""
    receiver = account(machine, other)
    if receiver < 0 or add_balance(machine, receiver, record + BALANCE) < 0:
        return RETRY
    return take_balance(machine, record, record + BALANCE)


@njit(nogil=True, cache=True)
def change_balances(machine: Any, kind: Any, addresses: Any, others: Any, start: Any, stop: Any) -> Any:
    """Change the balances of accounts, outside of every transaction, all or none.

    Args:
        kind: `MINT`: `others` are amounts that the accounts get; `MOVE_ALL`: `others` are accounts that get all they have.
        addresses, others: addresses of as many values.

    Returns:
        0, or `RETRY`.
    """
    begin_transaction(machine)
    for item in range(start, stop):
        record = account(machine, addresses + VALUE_BYTES * item)
        other = others + VALUE_BYTES * item
        if record < 0:
            forget_all(get(machine, WORKER))
            return RETRY
        if kind == MINT:
            done = add_balance(machine, record, other)
        else:
            done = _move_all(machine, record, other)
        if done < 0:
            forget_all(get(machine, WORKER))
            return RETRY
    if finish_transaction(machine) < 0:
        forget_all(get(machine, WORKER))
        return RETRY
    return 0 if settle(machine) else RETRY
