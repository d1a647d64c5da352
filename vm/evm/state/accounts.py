# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts of a transaction: loaded at the first touch, changed under the journal.

Before Spurious Dragon an account is there once it was touched, empty or not; since then an empty account is as good as
none, and one that a transaction touched is deleted at its end (EIP-161).

A transaction that only adds to an account's balance leaves the sum to whoever applies it, so that payments to one account,
the fee recipient's among them, do not depend on each other. Whoever needs to know nonce or balance, or whether an account
is there, says so by `observe`, as the functions here do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from supervm.kernels.cpu.lanes.addresses import load8, load32, load64, store8, store64, swap_bytes
from supervm.kernels.cpu.state.access_set import FLAGS as ENTRY_FLAGS
from supervm.kernels.cpu.state.access_set import READ, SEEN, VERSIONS, append, depend, find_key, present
from supervm.kernels.cpu.state.access_set import get as worker_word
from supervm.kernels.cpu.state.versions import DATA, cell_address
from supervm.vm import accounts as stored
from supervm.vm.evm.code_store import find_code
from supervm.vm.evm.forks import CLEARS_EMPTY, WARM_RECIPIENT
from supervm.vm.evm.machine import COINBASE, NEEDS_CODE, RETRY, SCRATCH, WORKER, get, retry, rule
from supervm.vm.evm.precompile_numbers import precompile_number
from supervm.vm.evm.state import keys
from supervm.vm.evm.state.journal import add_flags, set_value, set_word
from supervm.vm.evm.state.records import (
    ACCOUNT_RECORD,
    ACCOUNTS,
    ADDRESS,
    BALANCE,
    CODE,
    CODE_ENTRY,
    CODE_HASH,
    CODE_UNKNOWN,
    ENTRY,
    EXISTS,
    FLAGS,
    HOLDS_STORAGE,
    INCARNATION,
    INCARNATION_ENTRY,
    KEY_BYTES_AT,
    KEY_RECORD_AT,
    NEEDS_ACCOUNTS,
    NEW_CODE,
    NONCE,
    OLD_BALANCE,
    OLD_FLAGS,
    OLD_NONCE,
    TOUCHED,
    VALUE_AT,
    WARM,
)
from supervm.vm.evm.state.tables import add_record, find_record, hash_key
from supervm.vm.evm.words import (
    add,
    copy_value,
    equal,
    from_bytes,
    is_zero,
    less,
    subtract,
    to_address_bytes,
    to_bytes,
)

EMPTY_CODE_HASH = 0xC5D2460186F7233C927E7DB2DCC703C0E500B653CA82273B7BFAD8045D85A470
"""Keccak-256 of nothing."""

_HASH_0, _HASH_1, _HASH_2, _HASH_3 = np.frombuffer(EMPTY_CODE_HASH.to_bytes(32, "little"), np.int64).tolist()

DONE, INSUFFICIENT = 0, 1
"""Answers of `transfer`."""


@njit(cache=True)
def has_no_code(record: Any) -> Any:
    """Whether the code of an account is empty."""
    at = record + CODE_HASH
    return (
        (load64(at) ^ _HASH_0)
        | (load64(at + 8) ^ _HASH_1)
        | (load64(at + 16) ^ _HASH_2)
        | (load64(at + 24) ^ _HASH_3)
    ) == 0


@njit(cache=True)
def _put_empty_hash(target: Any) -> None:
    store64(target, _HASH_0)
    store64(target + 8, _HASH_1)
    store64(target + 16, _HASH_2)
    store64(target + 24, _HASH_3)


@njit(cache=True)
def key_entry(machine: Any, size: Any, reads: Any) -> Any:
    """The entry of the key of `size` bytes in the scratch, which the transaction has not touched; `RETRY`."""
    worker, scratch = get(machine, WORKER), get(machine, SCRATCH)
    number = find_key(worker, scratch + KEY_RECORD_AT, scratch + KEY_BYTES_AT, size)
    if number < 0:
        return RETRY
    entry = append(worker, number)
    if entry < 0:
        return RETRY
    if reads:
        depend(entry)
    return entry


@njit(cache=True)
def address_key(machine: Any, kind: Any, address: Any) -> None:
    """Write the key of one of an account's values, by its first byte, into the scratch."""
    key = get(machine, SCRATCH) + KEY_BYTES_AT
    store8(key, kind)
    to_address_bytes(key + 1, address)


@njit(cache=True)
def seen_value(machine: Any, entry: Any) -> Any:
    """Where the value of an entry lies that is present, short and not written."""
    versions = worker_word(get(machine, WORKER), VERSIONS)
    return cell_address(versions, load32(entry + SEEN)) + DATA


@njit(cache=True)
def _warm_from_the_beginning(machine: Any, address: Any) -> Any:
    """Whether an account is one of the precompiled contracts, or the fee recipient where that is warm."""
    if precompile_number(machine, address) > 0:
        return True
    return rule(machine, WARM_RECIPIENT) != 0 and equal(address, machine + 8 * COINBASE)


@njit(cache=True)
def find_account(machine: Any, address: Any) -> Any:
    """The record of an account that the transaction has touched, or 0."""
    return find_record(machine, ACCOUNTS, ACCOUNT_RECORD, address, 0, hash_key(machine, address, 0))


@njit(cache=True)
def account(machine: Any, address: Any) -> Any:
    """The record of the account whose address is the value at `address`; `RETRY`."""
    digest = hash_key(machine, address, 0)
    record = find_record(machine, ACCOUNTS, ACCOUNT_RECORD, address, 0, digest)
    return record if record != 0 else _load(machine, address, digest)


@njit(cache=True)
def _load(machine: Any, address: Any, digest: Any) -> Any:
    """A new record, from the access set."""
    address_key(machine, keys.ACCOUNT, address)
    # What only gets wei does not depend on what it had: `observe` says who does.
    entry = key_entry(machine, keys.ADDRESS_KEY_BYTES, False)
    if entry < 0:
        return RETRY
    address_key(machine, keys.CODE_HASH, address)
    code_entry = key_entry(machine, keys.ADDRESS_KEY_BYTES, True)
    if code_entry < 0:
        return RETRY
    record = add_record(machine, ACCOUNTS, ACCOUNT_RECORD, NEEDS_ACCOUNTS, address, 0, digest)
    if record < 0:
        return RETRY
    store64(record + ENTRY, entry)
    store64(record + CODE_ENTRY, code_entry)
    flags = EXISTS if present(entry) or present(code_entry) else 0
    if present(entry):
        value = seen_value(machine, entry)
        store64(record + NONCE, swap_bytes(load64(value + stored.NONCE)))
        from_bytes(record + BALANCE, value + stored.BALANCE)
        store64(record + OLD_NONCE, load64(record + NONCE))
        copy_value(record + OLD_BALANCE, record + BALANCE)
    _put_empty_hash(record + CODE_HASH)
    if present(code_entry):
        from_bytes(record + CODE_HASH, seen_value(machine, code_entry))
        if not has_no_code(record):
            store64(record + CODE, CODE_UNKNOWN)
    if _warm_from_the_beginning(machine, address):
        flags |= WARM
    store64(record + FLAGS, flags)
    store64(record + OLD_FLAGS, flags)
    return record


@njit(cache=True)
def code_of(machine: Any, record: Any) -> Any:
    """The number of an account's code in the code store, 0 if it has none; `RETRY`, also where the store lacks it."""
    number = load64(record + CODE)
    if number != CODE_UNKNOWN:
        return number
    number = find_code(machine, record + CODE_HASH)
    if number <= 0:
        to_bytes(get(machine, SCRATCH), record + CODE_HASH)
        return retry(machine, NEEDS_CODE, 0)
    store64(record + CODE, number)
    return number


@njit(cache=True)
def know_incarnation(machine: Any, record: Any) -> Any:
    """Load the incarnation of an account's storage, if it is not known yet; 0 or `RETRY`."""
    if load64(record + INCARNATION_ENTRY) != 0:
        return 0
    address_key(machine, keys.INCARNATION, record + ADDRESS)
    entry = key_entry(machine, keys.ADDRESS_KEY_BYTES, True)
    if entry < 0:
        return RETRY
    if present(entry):
        value = seen_value(machine, entry)
        store64(record + INCARNATION, (swap_bytes(load64(value)) >> 32) & 0xFFFFFFFF)
        store64(record + HOLDS_STORAGE, load8(value + keys.INCARNATION_BYTES))
    store64(record + INCARNATION_ENTRY, entry)
    return 0


@njit(cache=True)
def observe(record: Any) -> None:
    """From now on the transaction depends on an account's nonce and balance; adding to a balance does not need this."""
    depend(load64(record + ENTRY))


@njit(cache=True)
def observed(record: Any) -> Any:
    """Whether the transaction depends on an account's nonce and balance."""
    return load32(load64(record + ENTRY) + ENTRY_FLAGS) & READ != 0


@njit(cache=True)
def balance_of(record: Any) -> Any:
    """Where an account's balance lies, a value, on which the transaction depends from now on."""
    observe(record)
    return record + BALANCE


@njit(cache=True)
def nonce_of(record: Any) -> Any:
    """An account's nonce, on which the transaction depends from now on."""
    observe(record)
    return load64(record + NONCE)


@njit(cache=True)
def seems_empty(record: Any) -> Any:
    """Whether an account has nonce 0, balance 0 and no code, as far as the transaction has seen."""
    return load64(record + NONCE) == 0 and is_zero(record + BALANCE) and has_no_code(record)


@njit(cache=True)
def is_empty(record: Any) -> Any:
    """Whether an account has nonce 0, balance 0 and no code."""
    observe(record)
    return seems_empty(record)


@njit(cache=True)
def exists(machine: Any, record: Any) -> Any:
    """Whether an account counts as there: since EIP-161 an empty one does not."""
    observe(record)
    if rule(machine, CLEARS_EMPTY):
        return not seems_empty(record)
    return load64(record + FLAGS) & EXISTS != 0


@njit(cache=True)
def warm_account(machine: Any, record: Any) -> Any:
    """Make an account warm; 1 if it was cold, 0 if not, or `RETRY`."""
    if load64(record + FLAGS) & WARM:
        return 0
    return 1 if add_flags(machine, record, WARM) == 0 else RETRY


@njit(cache=True)
def touch(machine: Any, record: Any) -> Any:
    """A call, or a value of zero, reaches an account: before EIP-161 it is there from now on; 0 or `RETRY`."""
    if rule(machine, CLEARS_EMPTY):
        return add_flags(machine, record, TOUCHED)
    observe(record)
    return add_flags(machine, record, TOUCHED | EXISTS)


@njit(cache=True)
def _set_balance(machine: Any, record: Any, balance: Any) -> Any:
    if add_flags(machine, record, TOUCHED | EXISTS) < 0:
        return RETRY
    return set_value(machine, record + BALANCE, balance)


@njit(cache=True)
def add_balance(machine: Any, record: Any, value: Any) -> Any:
    """Add a value to a balance, modulo 2^256; 0 or `RETRY`. Zero touches the account."""
    if is_zero(value):
        return touch(machine, record)
    at = get(machine, SCRATCH) + VALUE_AT
    add(at, record + BALANCE, value)
    return _set_balance(machine, record, at)


@njit(cache=True)
def take_balance(machine: Any, record: Any, value: Any) -> Any:
    """Subtract a value that the balance covers; 0 or `RETRY`."""
    observe(record)
    if is_zero(value):
        return touch(machine, record)
    at = get(machine, SCRATCH) + VALUE_AT
    subtract(at, record + BALANCE, value)
    return _set_balance(machine, record, at)


@njit(cache=True)
def transfer(machine: Any, sender: Any, recipient: Any, value: Any) -> Any:
    """Move a value from one account to another, which may be the same; 0, `INSUFFICIENT`, or `RETRY`.

    Zero moves nothing and touches nobody.
    """
    if is_zero(value):
        return DONE
    if less(balance_of(sender), value):
        return INSUFFICIENT
    if take_balance(machine, sender, value) < 0:
        return RETRY
    return add_balance(machine, recipient, value)


@njit(cache=True)
def set_nonce(machine: Any, record: Any, nonce: Any) -> Any:
    """Change an account's nonce; 0 or `RETRY`."""
    observe(record)
    if add_flags(machine, record, TOUCHED | EXISTS) < 0:
        return RETRY
    return set_word(machine, record + NONCE, nonce)


@njit(cache=True)
def set_code(machine: Any, record: Any, number: Any, digest: Any) -> Any:
    """Give an account other code; 0 or `RETRY`.

    Args:
        number: of the code store.
        digest: address of the code's hash, a value.
    """
    if add_flags(machine, record, TOUCHED | EXISTS | NEW_CODE) < 0:
        return RETRY
    if set_word(machine, record + CODE, number) < 0:
        return RETRY
    return set_value(machine, record + CODE_HASH, digest)


@njit(cache=True)
def remove_code(machine: Any, record: Any) -> Any:
    """Take an account's code away; 0 or `RETRY`."""
    at = get(machine, SCRATCH) + VALUE_AT
    _put_empty_hash(at)
    return set_code(machine, record, 0, at)
