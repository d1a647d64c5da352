# SPDX-License-Identifier: GPL-3.0-or-later
"""Passes over the transactions of a block, in compiled code: what is rejected beforehand, and lists in one piece."""

from __future__ import annotations

import numpy as np
from numba import njit

from supervm.vm.gas import CALL_BASE, CALL_BYTE, TRANSFER_BASE, TRANSFER_OBJECT
from supervm.vm.limits import GAS_LIMIT
from supervm.vm.outcomes import Reason

NOBODY = -1
"""Instead of the number of a contract or an entry point that is not there."""

WRONG_CHAIN = int(Reason.WRONG_CHAIN)
WRONG_SENDER = int(Reason.WRONG_SENDER)
GAS_LIMIT_TOO_HIGH = int(Reason.GAS_LIMIT_TOO_HIGH)
GAS_LIMIT_TOO_LOW = int(Reason.GAS_LIMIT_TOO_LOW)
UNKNOWN_CONTRACT = int(Reason.UNKNOWN_CONTRACT)
UNKNOWN_ENTRY = int(Reason.UNKNOWN_ENTRY)


@njit(nogil=True, cache=True)
def intrinsic_gas(entry_offsets, input_offsets, object_offsets, out):  # type: ignore[no-untyped-def]
    """What each transaction pays at least, uint64 (n,); a transfer is one without an entry point."""
    for item in range(out.size):
        name = entry_offsets[item + 1] - entry_offsets[item]
        if name:
            out[item] = CALL_BASE + CALL_BYTE * (name + input_offsets[item + 1] - input_offsets[item])
        else:
            out[item] = TRANSFER_BASE + TRANSFER_OBJECT * (object_offsets[item + 1] - object_offsets[item])


@njit(nogil=True, cache=True)
def runs_of_names(data, offsets, out):  # type: ignore[no-untyped-def]
    """Number runs of equal strings from 0 into `out`, int64 (n,); how many runs there are.

    Neighbours mostly call the same entry point: of a run one name is looked up.
    """
    runs = 0
    for item in range(out.size):
        first, size = offsets[item], offsets[item + 1] - offsets[item]
        same = item > 0 and size == first - offsets[item - 1]
        before = first - size
        for at in range(size if same else 0):
            if data[first + at] != data[before + at]:
                same = False
                break
        if not same:
            runs += 1
        out[item] = runs - 1
    return runs


@njit(nogil=True, cache=True)
def reject(refused, chains, chain, limits, intrinsic, entry_offsets, contracts, entries, out):  # type: ignore[no-untyped-def]
    """The first reason of the rules that no state can remove, 0 if there is none, to `out`, uint8 (n,)."""
    for item in range(out.size):
        call = entry_offsets[item + 1] > entry_offsets[item]
        reason = refused[item]
        if reason > WRONG_SENDER or reason == 0:
            if chains[item] != chain:
                reason = np.uint8(WRONG_CHAIN)
            elif reason == 0:
                if limits[item] > GAS_LIMIT:
                    reason = np.uint8(GAS_LIMIT_TOO_HIGH)
                elif limits[item] < intrinsic[item]:
                    reason = np.uint8(GAS_LIMIT_TOO_LOW)
                elif call and contracts[item] < 0:
                    reason = np.uint8(UNKNOWN_CONTRACT)
                elif call and entries[item] < 0:
                    reason = np.uint8(UNKNOWN_ENTRY)
        out[item] = reason


@njit(nogil=True, cache=True)
def any_bytes(rows, out):  # type: ignore[no-untyped-def]
    """Which rows, uint64 (n, k), are not all zero, to `out`, bool (n,)."""
    for item in range(out.size):
        bits = np.uint64(0)
        for place in range(rows.shape[1]):
            bits |= rows[item, place]
        out[item] = bits != 0


@njit(nogil=True, cache=True)
def join_lists(first_offsets, first, second_offsets, second, offsets, numbers, middles):  # type: ignore[no-untyped-def]
    """Each transaction's first list, then its second, in `numbers`; where each begins, and where its second does."""
    at = 0
    for item in range(middles.size):
        offsets[item] = at
        for place in range(first_offsets[item], first_offsets[item + 1]):
            numbers[at] = first[place]
            at += 1
        middles[item] = at
        for place in range(second_offsets[item], second_offsets[item + 1]):
            numbers[at] = second[place]
            at += 1
    offsets[middles.size] = at


@njit(nogil=True, cache=True)
def lay_keys(kind, rows, out):  # type: ignore[no-untyped-def]
    """The keys of a kind: its byte, then the row, uint8 (n, k), to out uint8 (n, 1 + k)."""
    for i in range(rows.shape[0]):
        out[i, 0] = kind
        for k in range(rows.shape[1]):
            out[i, k + 1] = rows[i, k]
