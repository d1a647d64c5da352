# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage slots of a transaction: loaded at the first touch, changed under the journal."""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.kernels.cpu.lanes.addresses import load64, store8, store32, store64, swap_bytes
from supervm.kernels.cpu.state.access_set import present
from supervm.vm.evm.machine import RETRY, SCRATCH, get
from supervm.vm.evm.state import journal, keys
from supervm.vm.evm.state.accounts import key_entry, know_incarnation, seen_value
from supervm.vm.evm.state.records import (
    ADDRESS,
    CURRENT,
    INCARNATION,
    KEY_BYTES_AT,
    NEEDS_SLOTS,
    ORIGINAL,
    SLOT_ENTRY,
    SLOT_FLAGS,
    SLOT_RECORD,
    SLOTS,
    WARM,
)
from supervm.vm.evm.state.tables import add_record, find_record, hash_key
from supervm.vm.evm.words import copy_value, from_bytes, to_address_bytes, to_bytes


@njit(cache=True)
def slot(machine: Any, record: Any, key: Any) -> Any:
    """The record of a slot of an account's storage, its key the value at `key`; `RETRY`."""
    digest = hash_key(machine, key, record)
    place = find_record(machine, SLOTS, SLOT_RECORD, key, record, digest)
    return place if place != 0 else _load(machine, record, key, digest)


@njit(cache=True)
def _write_key(machine: Any, record: Any, key: Any) -> None:
    at = get(machine, SCRATCH) + KEY_BYTES_AT
    store8(at, keys.STORAGE)
    to_address_bytes(at + 1, record + ADDRESS)
    at += keys.ADDRESS_KEY_BYTES
    store32(at, swap_bytes(load64(record + INCARNATION) << 32))
    to_bytes(at + keys.INCARNATION_BYTES, key)


@njit(cache=True)
def _load(machine: Any, record: Any, key: Any, digest: Any) -> Any:
    """A new record, from the access set."""
    if know_incarnation(machine, record) < 0:
        return RETRY
    _write_key(machine, record, key)
    entry = key_entry(machine, keys.STORAGE_KEY_BYTES, True)
    if entry < 0:
        return RETRY
    place = add_record(machine, SLOTS, SLOT_RECORD, NEEDS_SLOTS, key, record, digest)
    if place < 0:
        return RETRY
    store64(place + SLOT_ENTRY, entry)
    if present(entry):
        from_bytes(place + ORIGINAL, seen_value(machine, entry))
        copy_value(place + CURRENT, place + ORIGINAL)
    return place


@njit(cache=True)
def warm_slot(machine: Any, place: Any) -> Any:
    """Make a slot warm; 1 if it was cold, 0 if not, or `RETRY`."""
    if load64(place + SLOT_FLAGS) & WARM:
        return 0
    return 1 if journal.set_word(machine, place + SLOT_FLAGS, WARM) == 0 else RETRY


@njit(cache=True)
def set_slot(machine: Any, place: Any, value: Any) -> Any:
    """Change a slot to the value at `value`; 0 or `RETRY`."""
    return journal.set_value(machine, place + CURRENT, value)
