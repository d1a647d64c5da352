# SPDX-License-Identifier: GPL-3.0-or-later
"""Operations on accounts, storage, ancestors and logs."""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.kernels.cpu.lanes.addresses import load64
from supervm.vm.evm.code_store import code_bytes, code_size
from supervm.vm.evm.forks import (
    COLD_ACCOUNT_EXTRA,
    COLD_SLOT_EXTRA,
    COLD_SLOT_GAS,
    SSTORE_STIPEND,
)
from supervm.vm.evm.frame import (
    F_GAS,
    F_MEMORY,
    F_PLACE,
    F_RECORD,
    F_STATIC,
    F_TOP,
    charge,
    drop,
    fail,
    of,
    operand,
    set_of,
)
from supervm.vm.evm.machine import (
    BLOB_COUNT,
    BLOB_HASHES,
    BLOCK_HASHES,
    BLOCK_NUMBER,
    CONTINUE,
    FRAME,
    HASH_ROW_BYTES,
    HASH_ROWS,
    NEEDS_BLOCK_HASH,
    RETRY,
    SCRATCH,
    VALUE_BYTES,
    get,
    retry,
    rule,
)
from supervm.vm.evm.memory import NOWHERE, area, expand
from supervm.vm.evm.opcodes import LOG0, NUMBERS
from supervm.vm.evm.operations_memory import copy_to_memory
from supervm.vm.evm.outcomes import HaltReason
from supervm.vm.evm.state.accounts import account, balance_of, code_of, exists, warm_account
from supervm.vm.evm.state.logs import log
from supervm.vm.evm.state.records import CODE_HASH, CURRENT
from supervm.vm.evm.state.slots import set_slot, slot, warm_slot
from supervm.vm.evm.state.storage_gas import sstore_gas
from supervm.vm.evm.state.transient import transient_get, transient_set
from supervm.vm.evm.words import copy_value, from_bytes, keep_address, set_small, small

OUT_OF_GAS, STATIC_CHANGE = int(HaltReason.OUT_OF_GAS), int(HaltReason.STATIC_CHANGE)

LOG_BYTE_GAS = 8
"""Each byte of a log's data (Yellow Paper, appendix G)."""

BALANCE_OP, SELFBALANCE, EXTCODESIZE, EXTCODECOPY, EXTCODEHASH, BLOCKHASH, BLOBHASH = (
    NUMBERS[name]
    for name in (
        "BALANCE",
        "SELFBALANCE",
        "EXTCODESIZE",
        "EXTCODECOPY",
        "EXTCODEHASH",
        "BLOCKHASH",
        "BLOBHASH",
    )
)
SLOAD, SSTORE, TLOAD, TSTORE = (NUMBERS[name] for name in ("SLOAD", "SSTORE", "TLOAD", "TSTORE"))


@njit(cache=True)
def named_account(machine: Any, value: Any) -> Any:
    """The record of the account whose address are the low 160 bits of a value; `RETRY`."""
    address = get(machine, SCRATCH)
    keep_address(address, value)
    return account(machine, address)


@njit(cache=True)
def _block_hash(machine: Any, top: Any) -> Any:
    number, current = small(top), get(machine, BLOCK_NUMBER)
    if number < 0 or number >= current or current - number > HASH_ROWS:
        set_small(top, 0)
        return CONTINUE
    row = get(machine, BLOCK_HASHES) + HASH_ROW_BYTES * (number % HASH_ROWS)
    if load64(row) != number:
        return retry(machine, NEEDS_BLOCK_HASH, number)
    from_bytes(top, row + 8)
    return CONTINUE


@njit(cache=True)
def _blob_hash(machine: Any, top: Any) -> Any:
    place = small(top)
    if 0 <= place < get(machine, BLOB_COUNT):
        from_bytes(top, get(machine, BLOB_HASHES) + VALUE_BYTES * place)
    else:
        set_small(top, 0)
    return CONTINUE


@njit(cache=True)
def _of_account(machine: Any, frame: Any, opcode: Any) -> Any:
    """BALANCE and what asks for an account's code."""
    top = of(frame, F_TOP)
    record = named_account(machine, top)
    cold = warm_account(machine, record) if record >= 0 else RETRY
    if cold < 0:
        return RETRY
    if cold and not charge(frame, rule(machine, COLD_ACCOUNT_EXTRA)):
        return fail(machine, OUT_OF_GAS)
    if opcode == BALANCE_OP:
        copy_value(top, balance_of(record))
        return CONTINUE
    if opcode == EXTCODEHASH:
        if exists(machine, record):
            copy_value(top, record + CODE_HASH)
        else:
            set_small(top, 0)
        return CONTINUE
    code = code_of(machine, record)
    if code < 0:
        return RETRY
    if opcode == EXTCODESIZE:
        set_small(top, code_size(machine, code))
        return CONTINUE
    return copy_to_memory(frame, 1, code_bytes(machine, code), code_size(machine, code))


@njit(cache=True)
def on_accounts(machine: Any, opcode: Any) -> Any:
    """Opcodes that read accounts, ancestors and blobs."""
    frame = get(machine, FRAME)
    if opcode == SELFBALANCE:
        copy_value(drop(frame, -1), balance_of(of(frame, F_RECORD)))
        return CONTINUE
    if opcode == BLOCKHASH:
        return _block_hash(machine, of(frame, F_TOP))
    if opcode == BLOBHASH:
        return _blob_hash(machine, of(frame, F_TOP))
    return _of_account(machine, frame, opcode)


@njit(cache=True)
def _load(machine: Any, frame: Any) -> Any:
    top = of(frame, F_TOP)
    place = slot(machine, of(frame, F_RECORD), top)
    cold = warm_slot(machine, place) if place >= 0 else RETRY
    if cold < 0:
        return RETRY
    if cold and not charge(frame, rule(machine, COLD_SLOT_EXTRA)):
        return fail(machine, OUT_OF_GAS)
    copy_value(top, place + CURRENT)
    return CONTINUE


@njit(cache=True)
def _store(machine: Any, frame: Any) -> Any:
    stipend = rule(machine, SSTORE_STIPEND)
    if stipend > 0 and of(frame, F_GAS) <= stipend:
        return fail(machine, OUT_OF_GAS)
    key, new = operand(frame, 0), operand(frame, 1)
    place = slot(machine, of(frame, F_RECORD), key)
    cold = warm_slot(machine, place) if place >= 0 else RETRY
    if cold < 0:
        return RETRY
    price = sstore_gas(machine, place, new)
    if price < 0:
        return RETRY
    if cold:
        price += rule(machine, COLD_SLOT_GAS)
    if not charge(frame, price):
        return fail(machine, OUT_OF_GAS)
    if set_slot(machine, place, new) < 0:
        return RETRY
    drop(frame, 2)
    set_of(frame, F_PLACE, of(frame, F_PLACE) + 1)
    return CONTINUE


@njit(cache=True)
def _log(machine: Any, frame: Any, topics: Any) -> Any:
    offset, size = operand(frame, 0), operand(frame, 1)
    end = area(offset, size)
    if end == NOWHERE or not charge(frame, LOG_BYTE_GAS * small(size)):
        return fail(machine, OUT_OF_GAS)
    status = expand(frame, end)
    if status != CONTINUE:
        return status
    data = of(frame, F_MEMORY) + (small(offset) if end > 0 else 0)
    if log(machine, of(frame, F_RECORD), operand(frame, 2), topics, data, small(size)) < 0:
        return RETRY
    drop(frame, 2 + topics)
    return CONTINUE


@njit(cache=True)
def on_storage(machine: Any, opcode: Any) -> Any:
    """Opcodes that read or write storage, and logs."""
    frame = get(machine, FRAME)
    if opcode == SLOAD:
        return _load(machine, frame)
    if opcode == TLOAD:
        top = of(frame, F_TOP)
        transient_get(machine, of(frame, F_RECORD), top, top)
        return CONTINUE
    if of(frame, F_STATIC):
        return fail(machine, STATIC_CHANGE)
    if opcode == SSTORE:
        return _store(machine, frame)
    if opcode == TSTORE:
        if transient_set(machine, of(frame, F_RECORD), operand(frame, 0), operand(frame, 1)) < 0:
            return RETRY
        drop(frame, 2)
        return CONTINUE
    return _log(machine, frame, opcode - LOG0)
