# SPDX-License-Identifier: GPL-3.0-or-later
"""How contracts begin and end: collisions, SELFDESTRUCT, addresses of new ones."""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.kernels.cpu.lanes.addresses import call_address, load64, store8
from supervm.vm.evm.forks import CONTRACT_NONCE, DESTROYS_NEW_ONLY, SELFDESTRUCT_REFUND
from supervm.vm.evm.machine import KECCAK256, RETRY, SCRATCH, get, rule
from supervm.vm.evm.state import journal
from supervm.vm.evm.state.accounts import (
    add_balance,
    has_no_code,
    know_incarnation,
    nonce_of,
    observe,
    take_balance,
)
from supervm.vm.evm.state.keys import ADDRESS_BYTES
from supervm.vm.evm.state.records import (
    BALANCE,
    CREATED_NOW,
    DESTROYED,
    EXISTS,
    FLAGS,
    HOLDS_STORAGE,
    NONCE,
    TOUCHED,
    VALUE_AT,
)
from supervm.vm.evm.state.storage_gas import add_refund
from supervm.vm.evm.words import copy_value, from_bytes, keep_address, to_address_bytes, to_bytes

COLLISION = 1
"""Answer of `begin_create`: there is a contract at the address."""


@njit(cache=True)
def begin_create(machine: Any, record: Any) -> Any:
    """Make an account a contract that is being created; 0, `COLLISION`, or `RETRY`.

    An account collides that has a nonce, code, or storage (EIP-684, EIP-7610). Its balance stays.
    """
    if nonce_of(record) != 0 or not has_no_code(record):
        return COLLISION
    if know_incarnation(machine, record) < 0:
        return RETRY
    if load64(record + HOLDS_STORAGE):
        return COLLISION
    if journal.add_flags(machine, record, CREATED_NOW | EXISTS | TOUCHED) < 0:
        return RETRY
    return journal.set_word(machine, record + NONCE, rule(machine, CONTRACT_NONCE))


@njit(cache=True)
def destroy(machine: Any, record: Any, beneficiary: Any) -> Any:
    """SELFDESTRUCT: the balance goes to the beneficiary, and the account where the fork deletes it; 0 or `RETRY`.

    What names itself as beneficiary and is deleted burns its balance.
    """
    observe(record)
    deletes = rule(machine, DESTROYS_NEW_ONLY) == 0 or load64(record + FLAGS) & CREATED_NOW != 0
    if beneficiary != record or deletes:
        at = get(machine, SCRATCH) + VALUE_AT + 32
        copy_value(at, record + BALANCE)
        if take_balance(machine, record, at) < 0:
            return RETRY
        if beneficiary != record and add_balance(machine, beneficiary, at) < 0:
            return RETRY
    if not deletes or load64(record + FLAGS) & DESTROYED:
        return 0
    if add_refund(machine, rule(machine, SELFDESTRUCT_REFUND)) < 0:
        return RETRY
    return journal.add_flags(machine, record, DESTROYED)


# ---------------------------------------------------------------------------------------------------------
# Addresses

_STRING, _LIST = 0x80, 0xC0
"""What a string, and a list, of fewer than 56 bytes begins with in RLP, less its length."""

_INPUT_AT, _HASH_AT = VALUE_AT + 64, VALUE_AT + 192


@njit(cache=True)
def _address_of_hash(machine: Any, data: Any, size: Any, out: Any) -> None:
    digest = get(machine, SCRATCH) + _HASH_AT
    call_address(get(machine, KECCAK256), data, size, digest)
    from_bytes(out, digest)
    keep_address(out, out)


@njit(cache=True)
def create_address(machine: Any, creator: Any, nonce: Any, out: Any) -> None:
    """Write the address, a value, of what an account creates at a nonce: keccak(rlp([creator, nonce])).

    Args:
        creator: address of a value.
        nonce: before it is raised.
    """
    data = get(machine, SCRATCH) + _INPUT_AT
    at = data + 2 + ADDRESS_BYTES
    store8(data + 1, _STRING + ADDRESS_BYTES)
    to_address_bytes(data + 2, creator)
    if 0 < nonce < _STRING:
        store8(at, nonce)
        at += 1
    else:
        size = 0
        rest = nonce
        while rest != 0:
            size += 1
            rest = (rest >> 8) & 0x00FFFFFFFFFFFFFF
        store8(at, _STRING + size)
        for place in range(size):
            store8(at + 1 + place, nonce >> (8 * (size - 1 - place)))
        at += 1 + size
    store8(data, _LIST + at - data - 1)
    _address_of_hash(machine, data, at - data, out)


@njit(cache=True)
def create2_address(machine: Any, creator: Any, salt: Any, code_hash: Any, out: Any) -> None:
    """Write the address, a value, of what CREATE2 creates: keccak(0xff ‖ creator ‖ salt ‖ hash of the initcode).

    Args:
        creator, salt, code_hash: addresses of values.
    """
    data = get(machine, SCRATCH) + _INPUT_AT
    store8(data, 0xFF)
    to_address_bytes(data + 1, creator)
    to_bytes(data + 1 + ADDRESS_BYTES, salt)
    to_bytes(data + 33 + ADDRESS_BYTES, code_hash)
    _address_of_hash(machine, data, 65 + ADDRESS_BYTES, out)
