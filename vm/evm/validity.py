# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a transaction may be in the block: what it says of itself first, then what its sender's account says.

Rules are looked at in one order, whatever the fork; what a fork does not have is switched off by its rules. EIP-2681
(nonces) and EIP-3607 (senders with code) hold from the first block on: nothing before them broke them.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.kernels.cpu.lanes.addresses import below, load8
from supervm.vm.evm import columns as c
from supervm.vm.evm.columns import item8, item64, word_item
from supervm.vm.evm.delegation import is_delegation
from supervm.vm.evm.forks import (
    BLOB_TRANSACTION_MAX,
    HAS_BASE_FEE,
    HAS_DELEGATION,
    MAX_INITCODE_BYTES,
    MAX_TRANSACTION_GAS,
    NO_LIMIT,
    TRANSACTION_TYPES,
)
from supervm.vm.evm.intrinsic_gas import input_bytes
from supervm.vm.evm.machine import BASE_FEE, BLOB_BASE_FEE, get, rule
from supervm.vm.evm.prices import add_carrying, multiply_units
from supervm.vm.evm.rules import Rule
from supervm.vm.evm.state.accounts import balance_of, code_of, has_no_code, nonce_of
from supervm.vm.evm.transaction_words import (
    BLOCK_BLOBS_LEFT,
    BLOCK_GAS_LEFT,
    FLOOR,
    INTRINSIC,
    MOST,
    PART,
)
from supervm.vm.evm.words import less

TYPE_NOT_SUPPORTED = int(Rule.TYPE_NOT_SUPPORTED)
NONCE_TOO_LOW = int(Rule.NONCE_TOO_LOW)
NONCE_TOO_HIGH = int(Rule.NONCE_TOO_HIGH)
NONCE_IS_MAX = int(Rule.NONCE_IS_MAX)
SENDER_HAS_CODE = int(Rule.SENDER_HAS_CODE)
MAX_FEE_BELOW_BASE_FEE = int(Rule.MAX_FEE_BELOW_BASE_FEE)
PRIORITY_ABOVE_MAX_FEE = int(Rule.PRIORITY_ABOVE_MAX_FEE)
INSUFFICIENT_FUNDS = int(Rule.INSUFFICIENT_FUNDS)
INTRINSIC_GAS_TOO_LOW = int(Rule.INTRINSIC_GAS_TOO_LOW)
FLOOR_GAS_TOO_LOW = int(Rule.FLOOR_GAS_TOO_LOW)
GAS_ABOVE_BLOCK = int(Rule.GAS_ABOVE_BLOCK)
GAS_ABOVE_CAP = int(Rule.GAS_ABOVE_CAP)
INITCODE_TOO_LARGE = int(Rule.INITCODE_TOO_LARGE)
NO_BLOBS = int(Rule.NO_BLOBS)
TOO_MANY_BLOBS = int(Rule.TOO_MANY_BLOBS)
BLOBS_ABOVE_BLOCK = int(Rule.BLOBS_ABOVE_BLOCK)
BLOB_HASH_VERSION = int(Rule.BLOB_HASH_VERSION)
BLOB_CREATION = int(Rule.BLOB_CREATION)
BLOB_FEE_TOO_LOW = int(Rule.BLOB_FEE_TOO_LOW)
NO_AUTHORIZATIONS = int(Rule.NO_AUTHORIZATIONS)
SET_CODE_CREATION = int(Rule.SET_CODE_CREATION)

BLOB_TYPE, SET_CODE_TYPE = 3, 4
"""Types of transactions (EIP-4844, EIP-7702)."""

GAS_PER_BLOB = 1 << 17
BLOB_VERSION = 1
"""First byte of a blob's versioned hash (EIP-4844)."""

NONCE_LIMIT = -1
"""2^64 − 1 as a signed word."""


@njit(cache=True)
def blobs(columns: Any, item: Any) -> Any:
    """How many blobs a transaction has."""
    return item64(columns, c.BLOB_OFFSETS, item + 1) - item64(columns, c.BLOB_OFFSETS, item)


@njit(cache=True)
def broken_rule(machine: Any, columns: Any, item: Any) -> Any:
    """The first rule that a transaction breaks by what it says, 0 if none; intrinsic and floor gas are known."""
    kind, limit = item8(columns, c.TYPES, item), item64(columns, c.GAS_LIMITS, item)
    if kind > SET_CODE_TYPE or (rule(machine, TRANSACTION_TYPES) >> kind) & 1 == 0:
        return TYPE_NOT_SUPPORTED
    if below(limit, get(machine, INTRINSIC)):
        return INTRINSIC_GAS_TOO_LOW
    if below(limit, get(machine, FLOOR)):
        return FLOOR_GAS_TOO_LOW
    if item64(columns, c.NONCES, item) == NONCE_LIMIT:
        return NONCE_IS_MAX
    creates = not item8(columns, c.HAS_TO, item)
    if creates and input_bytes(columns, item) > rule(machine, MAX_INITCODE_BYTES):
        return INITCODE_TOO_LARGE
    cap = rule(machine, MAX_TRANSACTION_GAS)
    if cap != NO_LIMIT and below(cap, limit):
        return GAS_ABOVE_CAP
    # What the block has left is below 2^63, so that from here on a gas limit is not negative.
    if below(get(machine, BLOCK_GAS_LEFT), limit):
        return GAS_ABOVE_BLOCK
    if rule(machine, HAS_BASE_FEE):
        most = word_item(columns, c.MAX_FEES, item)
        if less(most, word_item(columns, c.PRIORITY_FEES, item)):
            return PRIORITY_ABOVE_MAX_FEE
        if less(most, machine + 8 * BASE_FEE):
            return MAX_FEE_BELOW_BASE_FEE
    if kind == BLOB_TYPE:
        return _blob_rule(machine, columns, item, creates)
    if kind == SET_CODE_TYPE:
        if creates:
            return SET_CODE_CREATION
        if item64(columns, c.AUTHORIZATION_OFFSETS, item) == item64(
            columns, c.AUTHORIZATION_OFFSETS, item + 1
        ):
            return NO_AUTHORIZATIONS
    return 0


@njit(cache=True)
def _blob_rule(machine: Any, columns: Any, item: Any, creates: Any) -> Any:
    count = blobs(columns, item)
    if creates:
        return BLOB_CREATION
    if count == 0:
        return NO_BLOBS
    if count > rule(machine, BLOB_TRANSACTION_MAX):
        return TOO_MANY_BLOBS
    if count > get(machine, BLOCK_BLOBS_LEFT):
        return BLOBS_ABOVE_BLOCK
    first = item64(columns, c.BLOB_OFFSETS, item)
    for place in range(first, first + count):
        if load8(word_item(columns, c.BLOB_HASHES, place)) != BLOB_VERSION:
            return BLOB_HASH_VERSION
    if less(word_item(columns, c.BLOB_FEES, item), machine + 8 * BLOB_BASE_FEE):
        return BLOB_FEE_TOO_LOW
    return 0


@njit(cache=True)
def sender_rule(machine: Any, columns: Any, item: Any, sender: Any) -> Any:
    """The first rule that a transaction breaks by its sender's account, 0 if none; or `RETRY`."""
    nonce, wanted = nonce_of(sender), item64(columns, c.NONCES, item)
    if nonce != wanted:
        return NONCE_TOO_LOW if below(wanted, nonce) else NONCE_TOO_HIGH
    if not _covers(machine, columns, item, balance_of(sender)):
        return INSUFFICIENT_FUNDS
    if has_no_code(sender):
        return 0
    if not rule(machine, HAS_DELEGATION):
        return SENDER_HAS_CODE
    number = code_of(machine, sender)
    if number < 0:
        return number
    return 0 if is_delegation(machine, number) else SENDER_HAS_CODE


@njit(cache=True)
def _covers(machine: Any, columns: Any, item: Any, balance: Any) -> bool:
    """Whether a balance suffices for gas and blobs at the highest price and the value."""
    most, part = machine + 8 * MOST, machine + 8 * PART
    limit, value = item64(columns, c.GAS_LIMITS, item), word_item(columns, c.VALUES, item)
    larger = multiply_units(most, word_item(columns, c.MAX_FEES, item), limit)
    larger |= add_carrying(most, most, value)
    count = blobs(columns, item)
    if count:
        larger |= multiply_units(part, word_item(columns, c.BLOB_FEES, item), GAS_PER_BLOB * count)
        larger |= add_carrying(most, most, part)
    return not larger and not less(balance, most)
