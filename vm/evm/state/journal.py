# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal: what was where before a change, so that a failed call is undone from its checkpoint on.

Everything that a call may undo is in memory that stays where it is while the transaction runs: records of accounts and
slots, words of the machine. So an entry is an address and what was there.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.kernels.cpu.lanes.addresses import load64, store64
from supervm.vm.evm.machine import RETRY, get, put, retry
from supervm.vm.evm.state.records import (
    ACCOUNT_FLAGS,
    ADDRESS,
    FLAGS,
    J_KIND,
    J_OLD,
    J_PLACE,
    JOURNAL,
    JOURNAL_CAPACITY,
    JOURNAL_COUNT,
    JOURNAL_ENTRY,
    NEEDS_JOURNAL,
    TOUCHED,
    VALUE,
    WORD,
)
from supervm.vm.evm.words import copy_value, small

RIPEMD160 = 3
"""Address of the precompiled contract whose touch is never undone: on mainnet it was deleted in block 2,675,119 although
the call that had touched it ran out of gas, and that became the rule."""


@njit(cache=True)
def checkpoint(machine: Any) -> Any:
    """A mark to go back to."""
    return get(machine, JOURNAL_COUNT)


@njit(cache=True)
def _entry(machine: Any, place: Any, kind: Any) -> Any:
    """The address of a new entry; `RETRY`."""
    count = get(machine, JOURNAL_COUNT)
    if count >= get(machine, JOURNAL_CAPACITY):
        return retry(machine, NEEDS_JOURNAL, count + 1)
    entry = get(machine, JOURNAL) + JOURNAL_ENTRY * count
    store64(entry + J_PLACE, place)
    store64(entry + J_KIND, kind)
    put(machine, JOURNAL_COUNT, count + 1)
    return entry


@njit(cache=True)
def set_word(machine: Any, place: Any, word: Any) -> Any:
    """Change 8 bytes; 0 or `RETRY`."""
    entry = _entry(machine, place, WORD)
    if entry < 0:
        return RETRY
    store64(entry + J_OLD, load64(place))
    store64(place, word)
    return 0


@njit(cache=True)
def set_value(machine: Any, place: Any, value: Any) -> Any:
    """Change a value to the one at `value`; 0 or `RETRY`."""
    entry = _entry(machine, place, VALUE)
    if entry < 0:
        return RETRY
    copy_value(entry + J_OLD, place)
    copy_value(place, value)
    return 0


@njit(cache=True)
def add_flags(machine: Any, record: Any, flags: Any) -> Any:
    """Set flags of an account that are not set yet; 0 or `RETRY`."""
    old = load64(record + FLAGS)
    if old & flags == flags:
        return 0
    entry = _entry(machine, record + FLAGS, ACCOUNT_FLAGS)
    if entry < 0:
        return RETRY
    store64(entry + J_OLD, old)
    store64(record + FLAGS, old | flags)
    return 0


@njit(cache=True)
def revert_to(machine: Any, mark: Any) -> None:
    """Undo every change since a checkpoint."""
    entry = get(machine, JOURNAL) + JOURNAL_ENTRY * get(machine, JOURNAL_COUNT)
    for _ in range(get(machine, JOURNAL_COUNT) - mark):
        entry -= JOURNAL_ENTRY
        place, kind = load64(entry + J_PLACE), load64(entry + J_KIND)
        if kind == VALUE:
            copy_value(place, entry + J_OLD)
            continue
        old = load64(entry + J_OLD)
        if kind == ACCOUNT_FLAGS and small(place - FLAGS + ADDRESS) == RIPEMD160:
            old |= load64(place) & TOUCHED
        store64(place, old)
    put(machine, JOURNAL_COUNT, mark)
