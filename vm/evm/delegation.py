# SPDX-License-Identifier: GPL-3.0-or-later
"""Delegated code (EIP-7702): designators, and the authorizations of a transaction that write them."""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.kernels.cpu.lanes.addresses import call_address, copy, load8, load64, store8
from supervm.vm.evm import columns as c
from supervm.vm.evm.code_store import add_code, code_bytes, code_size
from supervm.vm.evm.columns import address_item, item8, item64, word_item
from supervm.vm.evm.intrinsic_gas import KNOWN_AUTHORITY_GAS, NEW_AUTHORITY_GAS
from supervm.vm.evm.machine import CHAIN_ID, KECCAK256, RETRY, SCRATCH, STATE_SCRATCH, get
from supervm.vm.evm.state.accounts import (
    account,
    code_of,
    has_no_code,
    nonce_of,
    remove_code,
    set_code,
    set_nonce,
    warm_account,
)
from supervm.vm.evm.state.keys import ADDRESS_BYTES
from supervm.vm.evm.state.records import EXISTS, FLAGS
from supervm.vm.evm.state.storage_gas import add_refund
from supervm.vm.evm.transaction_words import ADDRESS_AT_WORK, DIGEST
from supervm.vm.evm.words import from_address_bytes, from_bytes, is_zero, small

PREFIX = (0xEF, 0x01, 0x00)
"""What a designator begins with; the address follows."""

DESIGNATOR_BYTES = len(PREFIX) + ADDRESS_BYTES

_CODE_AT, _DIGEST_AT = STATE_SCRATCH + 512, STATE_SCRATCH + 544
"""Places in the machine's scratch."""

_MAX_NONCE = -1
"""2^64 − 1 as a signed word."""


@njit(cache=True)
def is_delegation(machine: Any, number: Any) -> Any:
    """Whether a code of the store is a designator; number 0 is none."""
    if number == 0 or code_size(machine, number) != DESIGNATOR_BYTES:
        return False
    code = code_bytes(machine, number)
    return load8(code) == PREFIX[0] and load8(code + 1) == PREFIX[1] and load8(code + 2) == PREFIX[2]


@njit(cache=True)
def delegate(machine: Any, number: Any, out: Any) -> None:
    """Write the address, a value, that a designator names."""
    from_address_bytes(out, code_bytes(machine, number) + len(PREFIX))


@njit(cache=True)
def _names_chain(machine: Any, chain: Any) -> Any:
    """Whether an authorization is for every chain or for this one."""
    return is_zero(chain) or small(chain) == get(machine, CHAIN_ID)


@njit(cache=True)
def _write(machine: Any, record: Any, target: Any) -> Any:
    """Make an account's code the designator of the 20 bytes at `target`, or nothing for zeros; 0 or `RETRY`."""
    code = get(machine, SCRATCH) + _CODE_AT
    copy(code + len(PREFIX), target, ADDRESS_BYTES)
    digest = machine + 8 * DIGEST
    from_address_bytes(digest, target)
    if is_zero(digest):
        return remove_code(machine, record)
    store8(code, PREFIX[0])
    store8(code + 1, PREFIX[1])
    store8(code + 2, PREFIX[2])
    hashed = get(machine, SCRATCH) + _DIGEST_AT
    call_address(get(machine, KECCAK256), code, DESIGNATOR_BYTES, hashed)
    from_bytes(digest, hashed)
    number = add_code(machine, code, DESIGNATOR_BYTES, digest)
    if number < 0:
        return RETRY
    return set_code(machine, record, number, digest)


@njit(cache=True)
def _authorize(machine: Any, columns: Any, place: Any) -> Any:
    """Follow one authorization, or pass it over; 0 or `RETRY`."""
    nonce = item64(columns, c.AUTHORIZATION_NONCES, place)
    if not _names_chain(machine, word_item(columns, c.AUTHORIZATION_CHAINS, place)) or nonce == _MAX_NONCE:
        return 0
    if not item8(columns, c.AUTHORIZATION_VALID, place):
        return 0
    authority = machine + 8 * ADDRESS_AT_WORK
    from_address_bytes(authority, address_item(columns, c.AUTHORITIES, place))
    record = account(machine, authority)
    if record < 0 or warm_account(machine, record) < 0:
        return RETRY
    if not has_no_code(record):
        number = code_of(machine, record)
        if number < 0:
            return RETRY
        if not is_delegation(machine, number):
            return 0
    if nonce_of(record) != nonce:
        return 0
    known = load64(record + FLAGS) & EXISTS != 0
    if known and add_refund(machine, NEW_AUTHORITY_GAS - KNOWN_AUTHORITY_GAS) < 0:
        return RETRY
    if _write(machine, record, address_item(columns, c.AUTHORIZATION_TARGETS, place)) < 0:
        return RETRY
    return set_nonce(machine, record, nonce + 1)


@njit(cache=True)
def follow_authorizations(machine: Any, columns: Any, item: Any) -> Any:
    """Follow a transaction's authorizations, one after the other; 0 or `RETRY`."""
    first, last = (
        item64(columns, c.AUTHORIZATION_OFFSETS, item),
        item64(columns, c.AUTHORIZATION_OFFSETS, item + 1),
    )
    for place in range(first, last):
        if _authorize(machine, columns, place) < 0:
            return RETRY
    return 0
