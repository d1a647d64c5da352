# SPDX-License-Identifier: GPL-3.0-or-later
"""A transaction's state from its beginning to its end: empty tables, then what changed back into the access set."""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.kernels.cpu.lanes.addresses import copy, load64, store8, store32, store64, swap_bytes
from supervm.kernels.cpu.state import access_set
from supervm.kernels.cpu.state.access_set import (
    HINT_COUNT,
    add_when_applied,
    begin,
    delete,
    depend,
    present,
    room_for,
)
from supervm.vm import accounts as stored
from supervm.vm.evm.code_store import code_bytes, code_size
from supervm.vm.evm.forks import CLEARS_EMPTY
from supervm.vm.evm.machine import RETRY, SCRATCH, WORKER, get, put, rule
from supervm.vm.evm.state import keys
from supervm.vm.evm.state.accounts import (
    has_no_code,
    key_entry,
    know_incarnation,
    observe,
    observed,
    seems_empty,
)
from supervm.vm.evm.state.records import (
    ACCOUNT_RECORD,
    ACCOUNTS,
    BALANCE,
    CODE,
    CODE_ENTRY,
    CODE_HASH,
    CREATED_NOW,
    CURRENT,
    DESTROYED,
    ENTRY,
    EXISTS,
    FLAGS,
    HOLDS_STORAGE,
    INCARNATION,
    INCARNATION_ENTRY,
    JOURNAL_COUNT,
    KEY_BYTES_AT,
    LOG_COUNT,
    LOGS_FIRST,
    LOGS_USED,
    NEW_CODE,
    NEW_STORAGE,
    NONCE,
    OLD_BALANCE,
    OLD_FLAGS,
    OLD_NONCE,
    ORIGINAL,
    R_OWNER,
    REFUND,
    SLOT_ENTRY,
    SLOT_RECORD,
    SLOTS,
    T_COUNT,
    T_RECORDS,
    TOUCHED,
    TRANSIENTS,
    VALUE_AT,
)
from supervm.vm.evm.state.tables import clear_table
from supervm.vm.evm.words import equal, is_zero, subtract, to_bytes


@njit(cache=True)
def begin_transaction(machine: Any) -> None:
    """A transaction begins: nothing is touched, behind the entries of the access set that are there."""
    worker = get(machine, WORKER)
    begin(worker)
    access_set.put(worker, HINT_COUNT, 0)
    clear_table(machine, ACCOUNTS)
    clear_table(machine, SLOTS)
    clear_table(machine, TRANSIENTS)
    put(machine, JOURNAL_COUNT, 0)
    put(machine, LOGS_FIRST, get(machine, LOGS_USED))
    put(machine, LOG_COUNT, 0)
    put(machine, REFUND, 0)


@njit(cache=True)
def finish_transaction(machine: Any) -> Any:
    """Delete what is to be deleted and write what changed into the access set; 0 or `RETRY`."""
    place = get(machine, SLOTS + T_RECORDS)
    for _ in range(get(machine, SLOTS + T_COUNT)):
        if not equal(place + CURRENT, place + ORIGINAL) and _store_slot(machine, place) < 0:
            return RETRY
        place += SLOT_RECORD
    record = get(machine, ACCOUNTS + T_RECORDS)
    for _ in range(get(machine, ACCOUNTS + T_COUNT)):
        if load64(record + FLAGS) & (TOUCHED | NEW_STORAGE) and _store_account(machine, record) < 0:
            return RETRY
        record += ACCOUNT_RECORD
    return 0


@njit(cache=True)
def _deleted(machine: Any, record: Any) -> Any:
    """Whether an account is gone when the transaction ends."""
    flags = load64(record + FLAGS)
    if flags & DESTROYED:
        return True
    return flags & TOUCHED != 0 and rule(machine, CLEARS_EMPTY) != 0 and seems_empty(record)


@njit(cache=True)
def _store_slot(machine: Any, place: Any) -> Any:
    record, entry = load64(place + R_OWNER), load64(place + SLOT_ENTRY)
    if _deleted(machine, record):
        return 0
    if is_zero(place + CURRENT):
        delete(entry)
        return 0
    if load64(record + NONCE) == 0 and has_no_code(record):
        store64(record + FLAGS, load64(record + FLAGS) | NEW_STORAGE)
    at = room_for(get(machine, WORKER), entry, keys.WORD_BYTES)
    if at < 0:
        return RETRY
    to_bytes(at, place + CURRENT)
    return 0


@njit(cache=True)
def _store_account(machine: Any, record: Any) -> Any:
    if _deleted(machine, record):
        return _delete_account(machine, record)
    flags = load64(record + FLAGS)
    if flags & NEW_CODE and _store_code(machine, record) < 0:
        return RETRY
    if flags & NEW_STORAGE and _store_incarnation(machine, record, load64(record + INCARNATION), 1) < 0:
        return RETRY
    known = load64(record + OLD_FLAGS) & EXISTS != 0
    if not observed(record):
        if not equal(record + BALANCE, record + OLD_BALANCE):
            return _store_payments(machine, record)
        if known or flags & EXISTS == 0:
            return 0
        observe(record)  # it comes to be there, with nothing
    same = load64(record + NONCE) == load64(record + OLD_NONCE) and equal(
        record + BALANCE, record + OLD_BALANCE
    )
    if (known and same) or flags & EXISTS == 0:
        return 0
    at = room_for(get(machine, WORKER), load64(record + ENTRY), stored.ACCOUNT_BYTES)
    if at < 0:
        return RETRY
    store64(at + stored.NONCE, swap_bytes(load64(record + NONCE)))
    to_bytes(at + stored.BALANCE, record + BALANCE)
    return 0


@njit(cache=True)
def _store_payments(machine: Any, record: Any) -> Any:
    """Write what an account got in all, to be added to what it has."""
    entry = load64(record + ENTRY)
    at = room_for(get(machine, WORKER), entry, stored.ACCOUNT_BYTES)
    if at < 0:
        return RETRY
    sum_at = get(machine, SCRATCH) + VALUE_AT
    subtract(sum_at, record + BALANCE, record + OLD_BALANCE)
    to_bytes(at + stored.BALANCE, sum_at)
    add_when_applied(entry)
    return 0


@njit(cache=True)
def _delete_account(machine: Any, record: Any) -> Any:
    """Nothing of an account stays; its storage is left behind under an incarnation that is over."""
    for which in (ENTRY, CODE_ENTRY):
        entry = load64(record + which)
        # One that was not there, and got nothing, is not there now, whatever others do: an account that is there and
        # empty is as old as the block's beginning.
        if present(entry):
            depend(entry)
            delete(entry)
    if load64(record + OLD_FLAGS) & EXISTS == 0 or load64(record + FLAGS) & CREATED_NOW:
        return 0  # it has no storage but that of this transaction, which is not written
    if know_incarnation(machine, record) < 0:
        return RETRY
    if not load64(record + FLAGS) & DESTROYED and load64(record + HOLDS_STORAGE) == 0:
        return 0  # empty, so it never had storage
    return _store_incarnation(machine, record, load64(record + INCARNATION) + 1, 0)


@njit(cache=True)
def _store_incarnation(machine: Any, record: Any, incarnation: Any, holds_storage: Any) -> Any:
    entry = load64(record + INCARNATION_ENTRY)
    at = room_for(get(machine, WORKER), entry, keys.INCARNATION_VALUE_BYTES)
    if at < 0:
        return RETRY
    store32(at, swap_bytes(incarnation << 32))
    store8(at + keys.INCARNATION_BYTES, holds_storage)
    return 0


@njit(cache=True)
def _store_code(machine: Any, record: Any) -> Any:
    """Write an account's code hash, and the code under it unless it is there."""
    entry = load64(record + CODE_ENTRY)
    if has_no_code(record):
        delete(entry)
        return 0
    at = room_for(get(machine, WORKER), entry, keys.WORD_BYTES)
    if at < 0:
        return RETRY
    to_bytes(at, record + CODE_HASH)
    key = get(machine, SCRATCH) + KEY_BYTES_AT
    store8(key, keys.CODE)
    to_bytes(key + 1, record + CODE_HASH)
    # Who reads this key reads the same bytes whoever wrote them: nothing depends on it.
    code_entry = key_entry(machine, keys.CODE_KEY_BYTES, False)
    if code_entry < 0:
        return RETRY
    if present(code_entry):
        return 0
    number = load64(record + CODE)
    size = code_size(machine, number)
    at = room_for(get(machine, WORKER), code_entry, size)
    if at < 0:
        return RETRY
    copy(at, code_bytes(machine, number), size)
    return 0
