# SPDX-License-Identifier: GPL-3.0-or-later
"""Transient storage (EIP-1153): zero at the beginning of a transaction, gone at its end."""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.vm.evm.machine import RETRY
from supervm.vm.evm.state import journal
from supervm.vm.evm.state.records import CURRENT, NEEDS_TRANSIENTS, SLOT_RECORD, TRANSIENTS
from supervm.vm.evm.state.tables import add_record, find_record, hash_key
from supervm.vm.evm.words import copy_value, set_small


@njit(cache=True)
def transient_get(machine: Any, record: Any, key: Any, out: Any) -> None:
    """Write the value of a transient slot of an account to `out`."""
    digest = hash_key(machine, key, record)
    place = find_record(machine, TRANSIENTS, SLOT_RECORD, key, record, digest)
    if place == 0:
        set_small(out, 0)
    else:
        copy_value(out, place + CURRENT)


@njit(cache=True)
def transient_set(machine: Any, record: Any, key: Any, value: Any) -> Any:
    """Change a transient slot of an account; 0 or `RETRY`."""
    digest = hash_key(machine, key, record)
    place = find_record(machine, TRANSIENTS, SLOT_RECORD, key, record, digest)
    if place == 0:
        place = add_record(machine, TRANSIENTS, SLOT_RECORD, NEEDS_TRANSIENTS, key, record, digest)
        if place < 0:
            return RETRY
    return journal.set_value(machine, place + CURRENT, value)
