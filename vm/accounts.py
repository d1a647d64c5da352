# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts in an access set: nonce (8 bytes) ‖ balance (32), big-endian; absent when both are zero."""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.kernels.cpu.lanes.addresses import copy, fill, load32, load64
from supervm.kernels.cpu.state.access_set import (
    FLAGS,
    SEEN,
    VALUE,
    VERSIONS,
    WRITTEN,
    delete,
    get,
    present,
    room_for,
)
from supervm.kernels.cpu.state.amounts import amount_is_zero
from supervm.kernels.cpu.state.versions import DATA, cell_address

ACCOUNT_BYTES = 40
NONCE, BALANCE = 0, 8
"""Places in an account."""


@njit(cache=True)
def load_account(worker: Any, entry: Any, out: Any) -> None:
    """Copy the account of an entry, zeros if it is absent."""
    if not present(entry):
        fill(out, 0, ACCOUNT_BYTES)
    elif load32(entry + FLAGS) & WRITTEN:
        copy(out, load64(entry + VALUE), ACCOUNT_BYTES)
    else:
        copy(out, cell_address(get(worker, VERSIONS), load32(entry + SEEN)) + DATA, ACCOUNT_BYTES)


@njit(cache=True)
def store_account(worker: Any, entry: Any, account: Any) -> Any:
    """Write the account of an entry; 0, or `access_set.FULL`."""
    if load64(account + NONCE) == 0 and amount_is_zero(account + BALANCE):
        delete(entry)
        return 0
    at = room_for(worker, entry, ACCOUNT_BYTES)
    if at < 0:
        return at
    copy(at, account, ACCOUNT_BYTES)
    return 0
