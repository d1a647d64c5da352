# SPDX-License-Identifier: GPL-3.0-or-later
"""Ethereum transactions inside of the engine's blocks, compiled: what the engine calls, and what it finds in its columns.

What a rule rejects is rejected by the engine's own reason where it has one. A log is an event: address (20 bytes), number of
topics (1), topics (32 each), data. The output of a creation is the contract's address, that of a call what it returned.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from supervm.engine.execution import columns as b
from supervm.kernels.cpu.lanes.addresses import copy, load32, store8, store32
from supervm.kernels.cpu.state.access_set import NEEDS_EVENTS, lacking
from supervm.kernels.cpu.state.access_set import get as worker_word
from supervm.kernels.cpu.state.access_set import put as put_worker_word
from supervm.vm.context import EVENTS, EVENTS_CAPACITY, EVENTS_USED, PLUG_IN_STATE
from supervm.vm.evm import columns as e
from supervm.vm.evm.columns import address_item, item8, item64
from supervm.vm.evm.intrinsic_gas import floor_gas, intrinsic_gas
from supervm.vm.evm.machine import HALT_REASON, RETRY, get, put
from supervm.vm.evm.rules import Rule
from supervm.vm.evm.state.records import (
    LOG_ADDRESS,
    LOG_DATA_BYTES,
    LOG_HEADER,
    LOG_TOPICS,
    LOGS,
    LOGS_FIRST,
    LOGS_USED,
)
from supervm.vm.evm.transaction import execute_transaction, forget_transaction
from supervm.vm.evm.transaction_words import FLOOR, INTRINSIC
from supervm.vm.evm.validity import broken_rule
from supervm.vm.host_chain import EVENT_HEADER
from supervm.vm.outcomes import Reason

SIGNATURE = "int64(int64, int64, int64)"
"""Of `execute_plugged`, as C has it."""

ADDRESS_BYTES, TOPIC_BYTES = 20, 32
EVENT_HEAD = ADDRESS_BYTES + 1
"""Bytes of an event before its topics."""

_REASONS = {
    Rule.VALID: Reason.NONE,
    Rule.INVALID_SIGNATURE: Reason.BAD_SIGNATURE,
    Rule.WRONG_CHAIN_ID: Reason.WRONG_CHAIN,
    Rule.NONCE_TOO_LOW: Reason.BAD_NONCE,
    Rule.NONCE_TOO_HIGH: Reason.BAD_NONCE,
    Rule.NONCE_IS_MAX: Reason.BAD_NONCE,
    Rule.INSUFFICIENT_FUNDS: Reason.INSUFFICIENT_BALANCE,
    Rule.INTRINSIC_GAS_TOO_LOW: Reason.GAS_LIMIT_TOO_LOW,
    Rule.FLOOR_GAS_TOO_LOW: Reason.GAS_LIMIT_TOO_LOW,
    Rule.GAS_ABOVE_BLOCK: Reason.GAS_LIMIT_TOO_HIGH,
    Rule.GAS_ABOVE_CAP: Reason.GAS_LIMIT_TOO_HIGH,
}
"""The engine's reason for a broken rule; for all others `EVM_RULE`."""

REASON_OF_RULE = np.array([_REASONS.get(rule, Reason.EVM_RULE) for rule in Rule], np.uint8)

EVM_RULE, REVERTED, HALTED = int(Reason.EVM_RULE), int(Reason.EVM_REVERTED), int(Reason.EVM_HALTED)


@njit(cache=True)
def execute_plugged(worker: Any, block: Any, item: Any) -> Any:
    """Execute a transaction of the engine's block, as `plug_in.PlugIn` says; 0 or `RETRY`."""
    machine = worker_word(worker, PLUG_IN_STATE)
    columns, row = b.column(block, b.PLUGGED_COLUMNS), b.item64(block, b.PLUGGED, item)
    if execute_transaction(machine, columns, row) < 0:
        return RETRY
    broken = item8(columns, e.RULES, row)
    if broken:
        _say(block, item, REASON_OF_RULE[broken], 0)
        # The rule's number, where the reason does not say which it is.
        b.set64(block, b.RETURNED, item, broken if REASON_OF_RULE[broken] == EVM_RULE else 0)
    elif item8(columns, e.SUCCESS, row):
        if _leave(machine, worker, block, item, row) < 0:
            forget_transaction(machine)
            return RETRY
    else:
        halted = get(machine, HALT_REASON)
        _say(block, item, HALTED if halted else REVERTED, item64(columns, e.GAS_USED, row))
        b.set64(block, b.RETURNED, item, halted)
    put(machine, LOGS_USED, get(machine, LOGS_FIRST))
    return 0


@njit(cache=True)
def _say(block: Any, item: Any, reason: Any, gas: Any) -> None:
    """The receipt of a transaction that leaves neither events nor output, and returned 0."""
    b.set8(block, b.REASONS, item, reason)
    b.set64(block, b.GAS, item, gas)
    b.set64(block, b.RETURNED, item, 0)
    for word in (b.OUTPUT_SIZES, b.EVENT_COUNTS, b.EVENT_SIZES):
        b.set64(block, word, item, 0)
    b.set8(block, b.FLAGS, item, 0)


@njit(cache=True)
def _leave(machine: Any, worker: Any, block: Any, item: Any, row: Any) -> Any:
    """Leave logs and output of a success behind the worker's events, and the receipt; 0 or `RETRY`."""
    columns = b.column(block, b.PLUGGED_COLUMNS)
    logs, count = get(machine, LOGS), item64(columns, e.LOG_COUNTS, row)
    output, size = logs + item64(columns, e.OUTPUT_PLACES, row), item64(columns, e.OUTPUT_SIZES, row)
    if not item8(columns, e.HAS_TO, row):
        output, size = address_item(columns, e.CREATED, row), ADDRESS_BYTES
    events = item64(columns, e.LOG_SIZES, row) + count * (EVENT_HEADER + EVENT_HEAD - LOG_HEADER)
    used = worker_word(worker, EVENTS_USED)
    if used + events + size > worker_word(worker, EVENTS_CAPACITY):
        lacking(worker, NEEDS_EVENTS, events + size)
        return RETRY
    at = worker_word(worker, EVENTS) + used
    log = logs + item64(columns, e.LOG_PLACES, row)
    for _ in range(count):
        topics, data = load32(log + LOG_TOPICS), load32(log + LOG_DATA_BYTES)
        rest = TOPIC_BYTES * topics + data
        store32(at, EVENT_HEAD + rest)
        at += EVENT_HEADER
        copy(at, log + LOG_ADDRESS, ADDRESS_BYTES)
        store8(at + ADDRESS_BYTES, topics)
        copy(at + EVENT_HEAD, log + LOG_HEADER, rest)
        at += EVENT_HEAD + rest
        log += LOG_HEADER + rest
    copy(at, output, size)
    put_worker_word(worker, EVENTS_USED, used + events + size)
    _say(block, item, 0, item64(columns, e.GAS_USED, row))
    b.set64(block, b.EVENT_PLACES, item, used)
    b.set64(block, b.EVENT_SIZES, item, events)
    b.set64(block, b.EVENT_COUNTS, item, count)
    b.set64(block, b.OUTPUT_PLACES, item, used + events)
    b.set64(block, b.OUTPUT_SIZES, item, size)
    return 0


@njit(nogil=True, cache=True)
def check_plugged(machine: Any, columns: Any, count: Any, out: Any) -> None:
    """What rejects transactions whatever their senders have, `Reason` or 0, to `out`, uint8 (count,)."""
    for row in range(count):
        broken = item8(columns, e.REJECTED, row)
        if not broken:
            put(machine, INTRINSIC, intrinsic_gas(machine, columns, row))
            put(machine, FLOOR, floor_gas(machine, columns, row))
            broken = broken_rule(machine, columns, row)
        out[row] = REASON_OF_RULE[broken]
