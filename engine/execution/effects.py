# SPDX-License-Identifier: GPL-3.0-or-later
"""What transactions of every kind do beside their own: begin with nothing, and add a value to an account."""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.kernels.cpu.state.access_set import TOO_MANY, get, present, put, read
from supervm.kernels.cpu.state.amounts import add_amounts
from supervm.vm import context as w
from supervm.vm.accounts import BALANCE, load_account, store_account
from supervm.vm.context import RETRY
from supervm.vm.gas import NEW_ACCOUNT
from supervm.vm.guest import charge
from supervm.vm.outcomes import Reason

LIMIT_EXCEEDED = int(Reason.LIMIT_EXCEEDED)
OUT_OF_GAS = int(Reason.OUT_OF_GAS)


@njit(cache=True)
def nothing_yet(worker: Any) -> None:
    """Nothing has happened in this transaction: no events, no output."""
    put(worker, w.EVENT_COUNT, 0)
    put(worker, w.EVENTS_FIRST, get(worker, w.EVENTS_USED))
    put(worker, w.OUTPUT_BYTES, 0)
    put(worker, w.RETURNED, 0)


@njit(cache=True)
def receive(worker: Any, number: Any, value: Any) -> Any:
    """Add a value to an account; 0, `LIMIT_EXCEEDED`, `OUT_OF_GAS` for a new account, or `RETRY`."""
    account = get(worker, w.SCRATCH)
    entry = read(worker, number)
    if entry < 0:
        return LIMIT_EXCEEDED if entry == TOO_MANY else RETRY
    if not present(entry) and not charge(worker, NEW_ACCOUNT):
        put(worker, w.GAS_CHARGED, get(worker, w.GAS_LIMIT))
        return OUT_OF_GAS
    load_account(worker, entry, account)
    add_amounts(account + BALANCE, account + BALANCE, value)
    return RETRY if store_account(worker, entry, account) < 0 else 0
