# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of one transaction: records found by a value and an owner, by open addressing.

The index is as small as its records allow, so that a usual transaction's lies in the nearest cache and is cleared at
once. The hash is under the secret of the state's key table: nobody can choose keys that collide.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.kernels.cpu.lanes.addresses import fill, fold_product, load32, load64, store32, store64
from supervm.kernels.cpu.state.access_set import KEYS
from supervm.kernels.cpu.state.key_table import SEEDS
from supervm.vm.evm.machine import WORKER, get, put, retry
from supervm.vm.evm.state.records import (
    R_HASH,
    R_KEY,
    R_OWNER,
    T_CAPACITY,
    T_COUNT,
    T_INDEX,
    T_INDEX_CAPACITY,
    T_MASK,
    T_RECORDS,
)
from supervm.vm.evm.words import copy_value, equal

SMALLEST_INDEX = 256
"""Places of an index at first."""


@njit(cache=True)
def clear_table(machine: Any, table: Any) -> None:
    """No records any more."""
    put(machine, table + T_COUNT, 0)
    put(machine, table + T_MASK, SMALLEST_INDEX - 1)
    fill(get(machine, table + T_INDEX), 0, 4 * SMALLEST_INDEX)


@njit(cache=True)
def hash_key(machine: Any, key: Any, owner: Any) -> Any:
    """The hash of a value at `key` and an owner."""
    seeds = load64(get(machine, WORKER) + 8 * KEYS) + 8 * SEEDS
    total = fold_product(load64(key) ^ load64(seeds), load64(key + 8) ^ load64(seeds + 8))
    total ^= fold_product(load64(key + 16) ^ load64(seeds + 16), load64(key + 24) ^ load64(seeds + 24))
    return fold_product(total ^ owner ^ load64(seeds + 32), load64(seeds + 40) | 1)


@njit(cache=True)
def find_record(machine: Any, table: Any, size: Any, key: Any, owner: Any, digest: Any) -> Any:
    """The address of the record of `size` bytes with this key and owner, or 0."""
    index, mask, records = (
        get(machine, table + T_INDEX),
        get(machine, table + T_MASK),
        get(machine, table + T_RECORDS),
    )
    slot = digest & mask
    while True:
        place = load32(index + 4 * slot)
        if place == 0:
            return 0
        record = records + size * (place - 1)
        if load64(record + R_OWNER) == owner and equal(record + R_KEY, key):
            return record
        slot = (slot + 1) & mask


@njit(cache=True)
def _enter(index: Any, mask: Any, digest: Any, place: Any) -> None:
    slot = digest & mask
    while load32(index + 4 * slot) != 0:
        slot = (slot + 1) & mask
    store32(index + 4 * slot, place + 1)


@njit(cache=True)
def _widen(machine: Any, table: Any, size: Any, needs: Any) -> Any:
    """Make the index four times as large; 0 or `RETRY`."""
    places = 4 * (get(machine, table + T_MASK) + 1)
    if places > get(machine, table + T_INDEX_CAPACITY):
        return retry(machine, needs + 1, places)
    index = get(machine, table + T_INDEX)
    fill(index, 0, 4 * places)
    put(machine, table + T_MASK, places - 1)
    record = get(machine, table + T_RECORDS)
    for place in range(get(machine, table + T_COUNT)):
        _enter(index, places - 1, load64(record + R_HASH), place)
        record += size
    return 0


@njit(cache=True)
def add_record(machine: Any, table: Any, size: Any, needs: Any, key: Any, owner: Any, digest: Any) -> Any:
    """The address of a new record of `size` bytes, zeros but for key, owner and hash; `RETRY` where there is no room.

    Args:
        needs: number of the table's need.
    """
    count = get(machine, table + T_COUNT)
    if count >= get(machine, table + T_CAPACITY):
        return retry(machine, needs, count + 1)
    if 2 * (count + 1) > get(machine, table + T_MASK) + 1 and _widen(machine, table, size, needs) < 0:
        return -1
    record = get(machine, table + T_RECORDS) + size * count
    fill(record, 0, size)
    copy_value(record + R_KEY, key)
    store64(record + R_OWNER, owner)
    store64(record + R_HASH, digest)
    _enter(get(machine, table + T_INDEX), get(machine, table + T_MASK), digest, count)
    put(machine, table + T_COUNT, count + 1)
    return record
