# SPDX-License-Identifier: GPL-3.0-or-later
"""Gas and refunds of SSTORE in every fork, by the original, the current and the new value of the slot.

Before EIP-1283, and in Petersburg, only the current and the new value count. EIP-1283, EIP-2200, EIP-2929 and EIP-3529
have one structure and differ in prices, which the fork's rules give. What a cold slot costs comes on top (`warm_slot`).
"""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.vm.evm.forks import (
    NET_STORAGE_GAS,
    SSTORE_CLEAR_REFUND,
    SSTORE_NOOP_GAS,
    SSTORE_RESET_GAS,
    SSTORE_SET_GAS,
)
from supervm.vm.evm.machine import RETRY, get, rule
from supervm.vm.evm.state import journal
from supervm.vm.evm.state.records import CURRENT, ORIGINAL, REFUND
from supervm.vm.evm.words import equal, is_zero


@njit(cache=True)
def add_refund(machine: Any, amount: Any) -> Any:
    """Change the refund counter, which a failed call puts back; 0 or `RETRY`."""
    if amount == 0:
        return 0
    return journal.set_word(machine, machine + 8 * REFUND, get(machine, REFUND) + amount)


@njit(cache=True)
def sstore_gas(machine: Any, place: Any, value: Any) -> Any:
    """What it costs to set a slot to the value at `value`, before that is done; refunds are added. Or `RETRY`.

    Args:
        place: the slot's record.
    """
    if not rule(machine, NET_STORAGE_GAS):
        return _plain_gas(machine, place, value)
    current, original = place + CURRENT, place + ORIGINAL
    if equal(current, value):
        return rule(machine, SSTORE_NOOP_GAS)
    if equal(original, current):
        if is_zero(original):
            return rule(machine, SSTORE_SET_GAS)
        if is_zero(value) and add_refund(machine, rule(machine, SSTORE_CLEAR_REFUND)) < 0:
            return RETRY
        return rule(machine, SSTORE_RESET_GAS)
    if add_refund(machine, _dirty_refund(machine, original, current, value)) < 0:
        return RETRY
    return rule(machine, SSTORE_NOOP_GAS)


@njit(cache=True)
def _dirty_refund(machine: Any, original: Any, current: Any, value: Any) -> Any:
    """Refund, or what is taken from it, where the transaction changed the slot before."""
    refund = 0
    if not is_zero(original):
        if is_zero(current):
            refund -= rule(machine, SSTORE_CLEAR_REFUND)
        elif is_zero(value):
            refund += rule(machine, SSTORE_CLEAR_REFUND)
    if equal(original, value):
        paid = SSTORE_SET_GAS if is_zero(original) else SSTORE_RESET_GAS
        refund += rule(machine, paid) - rule(machine, SSTORE_NOOP_GAS)
    return refund


@njit(cache=True)
def _plain_gas(machine: Any, place: Any, value: Any) -> Any:
    """Gas by the current value alone (Yellow Paper, appendix G)."""
    if is_zero(place + CURRENT):
        return rule(machine, SSTORE_RESET_GAS if is_zero(value) else SSTORE_SET_GAS)
    if is_zero(value) and add_refund(machine, rule(machine, SSTORE_CLEAR_REFUND)) < 0:
        return RETRY
    return rule(machine, SSTORE_RESET_GAS)
