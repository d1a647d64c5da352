# SPDX-License-Identifier: GPL-3.0-or-later
"""One transaction, from its columns to its access set and its outcome; and calls that the system makes.

What it writes stays in the worker's access set: whoever calls applies or forgets it. A transaction that breaks a rule
leaves only what it read, since the rule may depend on that.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.kernels.cpu.lanes.addresses import fill, load64
from supervm.kernels.cpu.state import access_set
from supervm.vm.evm import columns as c
from supervm.vm.evm.columns import address_item, column, item8, item64, set8, set64, word_item
from supervm.vm.evm.delegation import follow_authorizations
from supervm.vm.evm.forks import HAS_ACCESS_LISTS, HAS_BASE_FEE, REFUND_QUOTIENT
from supervm.vm.evm.frames import enter_call, enter_create, run
from supervm.vm.evm.intrinsic_gas import floor_gas, input_bytes, intrinsic_gas
from supervm.vm.evm.machine import (
    BASE_FEE,
    BLOB_BASE_FEE,
    BLOB_COUNT,
    BLOB_HASHES,
    COINBASE,
    ENTERED,
    GAS_LEFT,
    GAS_PRICE,
    ORIGIN,
    RETRY,
    RETURN_BYTES,
    RETURN_DATA,
    SUCCESS,
    WORKER,
    get,
    put,
    rule,
)
from supervm.vm.evm.prices import add_carrying, multiply_units
from supervm.vm.evm.state.accounts import (
    account,
    add_balance,
    has_no_code,
    set_nonce,
    take_balance,
    warm_account,
)
from supervm.vm.evm.state.contracts import create_address
from supervm.vm.evm.state.lifecycle import begin_transaction, finish_transaction
from supervm.vm.evm.state.logs import put_behind
from supervm.vm.evm.state.records import LOG_COUNT, LOGS_FIRST, LOGS_USED, NONCE, REFUND
from supervm.vm.evm.state.slots import slot, warm_slot
from supervm.vm.evm.transaction_words import (
    ADDRESS_AT_WORK,
    FEE,
    FLOOR,
    INTRINSIC,
    KEY_AT_WORK,
    MOST,
    PART,
    TARGET,
)
from supervm.vm.evm.validity import GAS_PER_BLOB, blobs, broken_rule, sender_rule
from supervm.vm.evm.words import (
    add,
    copy_value,
    from_address_bytes,
    from_bytes,
    keep_address,
    less,
    set_small,
    subtract,
    to_address_bytes,
)

SYSTEM_ADDRESS = (1 << 160) - 2
"""Who makes system calls: 0xfffffffffffffffffffffffffffffffffffffffe (EIP-4788)."""

SYSTEM_GAS = 30_000_000
"""Gas of a system call."""

NO_CODE = 4
"""Status of a system call whose target has no code: nothing happened."""


@njit(cache=True)
def execute_transaction(machine: Any, columns: Any, item: Any) -> Any:
    """Execute a transaction of a block; 0, or `RETRY` where there was no room and nothing happened."""
    begin_transaction(machine)
    done = _execute(machine, columns, item)
    if done < 0:
        forget_transaction(machine)
    return done


@njit(cache=True)
def forget_transaction(machine: Any) -> None:
    """Nothing of the transaction at work has happened."""
    access_set.put(get(machine, WORKER), access_set.ENTRY_COUNT, 0)
    put(machine, LOGS_USED, get(machine, LOGS_FIRST))


@njit(cache=True)
def _execute(machine: Any, columns: Any, item: Any) -> Any:
    broken = item8(columns, c.REJECTED, item)
    if broken:
        return _reject(machine, columns, item, broken)
    put(machine, INTRINSIC, intrinsic_gas(machine, columns, item))
    put(machine, FLOOR, floor_gas(machine, columns, item))
    broken = broken_rule(machine, columns, item)
    if broken:
        return _reject(machine, columns, item, broken)
    from_address_bytes(machine + 8 * ORIGIN, address_item(columns, c.SENDERS, item))
    sender = account(machine, machine + 8 * ORIGIN)
    if sender < 0:
        return RETRY
    broken = sender_rule(machine, columns, item, sender)
    if broken < 0:
        return RETRY
    if broken:
        return _reject(machine, columns, item, broken)
    if _pay(machine, columns, item, sender) < 0 or _make_warm(machine, columns, item, sender) < 0:
        return RETRY
    put(machine, BLOB_HASHES, word_item(columns, c.BLOB_HASHES, item64(columns, c.BLOB_OFFSETS, item)))
    put(machine, BLOB_COUNT, blobs(columns, item))
    status = _run(machine, columns, item)
    if status < 0 or _settle(machine, columns, item, sender) < 0 or finish_transaction(machine) < 0:
        return RETRY
    return _outcome(machine, columns, item, status == SUCCESS)


@njit(cache=True)
def _clear(columns: Any, item: Any) -> None:
    """An outcome of zeros: what may be left of an execution that did not count."""
    for word in (c.GAS_USED, c.BLOB_GAS, c.LOG_SIZES, c.LOG_COUNTS, c.OUTPUT_SIZES):
        set64(columns, word, item, 0)
    set8(columns, c.SUCCESS, item, 0)
    fill(address_item(columns, c.CREATED, item), 0, c.ADDRESS)


@njit(cache=True)
def _reject(machine: Any, columns: Any, item: Any, broken: Any) -> Any:
    _clear(columns, item)
    set_small(word_item(columns, c.FEES, item), 0)
    set8(columns, c.RULES, item, broken)
    return 0


@njit(cache=True)
def _price(machine: Any, columns: Any, item: Any) -> None:
    """What the transaction pays for a unit of gas: the base fee and what it offers on top, at most its maximum."""
    price, most = machine + 8 * GAS_PRICE, word_item(columns, c.MAX_FEES, item)
    copy_value(price, most)
    if rule(machine, HAS_BASE_FEE):
        offered = machine + 8 * PART
        # A sum beyond 2^256 is above the maximum as well.
        larger = add_carrying(offered, machine + 8 * BASE_FEE, word_item(columns, c.PRIORITY_FEES, item))
        if not larger and less(offered, most):
            copy_value(price, offered)


@njit(cache=True)
def _pay(machine: Any, columns: Any, item: Any, sender: Any) -> Any:
    """The sender pays for all gas and for blobs, which it can, and its nonce grows; 0 or `RETRY`."""
    _price(machine, columns, item)
    cost, part = machine + 8 * MOST, machine + 8 * PART
    multiply_units(cost, machine + 8 * GAS_PRICE, item64(columns, c.GAS_LIMITS, item))
    count = blobs(columns, item)
    if count:
        multiply_units(part, machine + 8 * BLOB_BASE_FEE, GAS_PER_BLOB * count)
        add(cost, cost, part)
    if take_balance(machine, sender, cost) < 0:
        return RETRY
    return set_nonce(machine, sender, load64(sender + NONCE) + 1)


@njit(cache=True)
def _make_warm(machine: Any, columns: Any, item: Any, sender: Any) -> Any:
    """The sender and the access list are warm; 0 or `RETRY`."""
    if not rule(machine, HAS_ACCESS_LISTS):
        return 0
    if warm_account(machine, sender) < 0:
        return RETRY
    address, key = machine + 8 * ADDRESS_AT_WORK, machine + 8 * KEY_AT_WORK
    first, last = item64(columns, c.ACCESS_OFFSETS, item), item64(columns, c.ACCESS_OFFSETS, item + 1)
    for entry in range(first, last):
        from_address_bytes(address, address_item(columns, c.ACCESS_ADDRESSES, entry))
        record = account(machine, address)
        if record < 0 or warm_account(machine, record) < 0:
            return RETRY
        begin = item64(columns, c.ACCESS_KEY_OFFSETS, entry)
        for place in range(begin, item64(columns, c.ACCESS_KEY_OFFSETS, entry + 1)):
            from_bytes(key, word_item(columns, c.ACCESS_KEYS, place))
            found = slot(machine, record, key)
            if found < 0 or warm_slot(machine, found) < 0:
                return RETRY
    return 0


@njit(cache=True)
def _target(machine: Any, columns: Any, item: Any) -> Any:
    """Find and warm what is called or created; 0 or `RETRY`. Whom its code delegates to is the frame's."""
    target = machine + 8 * TARGET
    if item8(columns, c.HAS_TO, item):
        from_address_bytes(target, address_item(columns, c.TARGETS, item))
    else:
        create_address(machine, machine + 8 * ORIGIN, item64(columns, c.NONCES, item), target)
    record = account(machine, target)
    if record < 0:
        return RETRY
    if not rule(machine, HAS_ACCESS_LISTS):
        return 0
    return RETRY if warm_account(machine, record) < 0 else 0


@njit(cache=True)
def _run(machine: Any, columns: Any, item: Any) -> Any:
    """Run the outermost frame; its status."""
    if follow_authorizations(machine, columns, item) < 0 or _target(machine, columns, item) < 0:
        return RETRY
    caller, target = machine + 8 * ORIGIN, machine + 8 * TARGET
    value = word_item(columns, c.VALUES, item)
    data = column(columns, c.INPUT) + item64(columns, c.INPUT_OFFSETS, item)
    size = input_bytes(columns, item)
    gas = item64(columns, c.GAS_LIMITS, item) - get(machine, INTRINSIC)
    if item8(columns, c.HAS_TO, item):
        status = enter_call(machine, caller, target, value, data, size, gas)
    else:
        status = enter_create(machine, caller, target, value, data, size, gas)
    return run(machine) if status == ENTERED else status


@njit(cache=True)
def _settle(machine: Any, columns: Any, item: Any, sender: Any) -> Any:
    """Refund what is not used, and pay the fee recipient; 0 or `RETRY`."""
    limit = item64(columns, c.GAS_LIMITS, item)
    used = limit - get(machine, GAS_LEFT)
    used -= min(used // rule(machine, REFUND_QUOTIENT), get(machine, REFUND))
    used = max(used, get(machine, FLOOR))
    set64(columns, c.GAS_USED, item, used)
    price, part, fee = machine + 8 * GAS_PRICE, machine + 8 * PART, machine + 8 * FEE
    multiply_units(part, price, limit - used)
    if add_balance(machine, sender, part) < 0:
        return RETRY
    copy_value(fee, price)
    if rule(machine, HAS_BASE_FEE):
        subtract(fee, price, machine + 8 * BASE_FEE)
    multiply_units(fee, fee, used)
    copy_value(word_item(columns, c.FEES, item), fee)
    recipient = account(machine, machine + 8 * COINBASE)
    return RETRY if recipient < 0 else add_balance(machine, recipient, fee)


@njit(cache=True)
def _outcome(machine: Any, columns: Any, item: Any, success: Any) -> Any:
    """Write down what became of a valid transaction; 0 or `RETRY`."""
    first, used = get(machine, LOGS_FIRST), get(machine, LOGS_USED)
    size = get(machine, RETURN_BYTES)
    place = put_behind(machine, get(machine, RETURN_DATA), size)
    if place < 0:
        return RETRY
    set8(columns, c.RULES, item, 0)
    set8(columns, c.SUCCESS, item, 1 if success else 0)
    set64(columns, c.BLOB_GAS, item, GAS_PER_BLOB * blobs(columns, item))
    created = address_item(columns, c.CREATED, item)
    fill(created, 0, c.ADDRESS)
    if success and not item8(columns, c.HAS_TO, item):
        to_address_bytes(created, machine + 8 * TARGET)
    set64(columns, c.LOG_PLACES, item, first)
    set64(columns, c.LOG_SIZES, item, used - first)
    set64(columns, c.LOG_COUNTS, item, get(machine, LOG_COUNT))
    set64(columns, c.OUTPUT_PLACES, item, place)
    set64(columns, c.OUTPUT_SIZES, item, size)
    return 0


@njit(cache=True)
def execute_system_call(machine: Any, target: Any, data: Any, size: Any) -> Any:
    """Call a contract as the system does, outside of every transaction; its status, `NO_CODE`, or `RETRY`.

    What it changed lies in the access set, its output in `RETURN_DATA`.

    Args:
        target: address of the contract's address, a value.
        data, size: address and bytes of the input.
    """
    begin_transaction(machine)
    status = _call_system(machine, target, data, size)
    if status < 0:
        forget_transaction(machine)
    return status


@njit(cache=True)
def _call_system(machine: Any, target: Any, data: Any, size: Any) -> Any:
    record = account(machine, target)
    if record < 0:
        return RETRY
    if has_no_code(record):
        return NO_CODE
    caller, nothing = machine + 8 * ORIGIN, machine + 8 * PART
    set_small(nothing, 2)
    set_small(caller, 0)
    subtract(caller, caller, nothing)
    keep_address(caller, caller)
    set_small(nothing, 0)
    copy_value(machine + 8 * GAS_PRICE, nothing)
    put(machine, BLOB_COUNT, 0)
    status = enter_call(machine, caller, target, nothing, data, size, SYSTEM_GAS)
    if status == ENTERED:
        status = run(machine)
    if status < 0 or finish_transaction(machine) < 0:
        return RETRY
    return status
