# SPDX-License-Identifier: GPL-3.0-or-later
"""Passes over the transactions of a block, in compiled code: what is rejected beforehand, and lists in one piece."""

from __future__ import annotations

import numpy as np
from numba import njit

from supervm.engine.transactions.kernels import HEAD_BYTES
from supervm.vm.gas import (
    BASE,
    DATA_BYTE,
    FREE_DECLARED_BYTES,
    FREE_SIGNATURE_BYTES,
    OBJECT,
    PROOF,
    PROOF_INPUT,
    PROOF_LONG,
    PROOF_LONG_BYTES,
)
from supervm.vm.limits import GAS_LIMIT, TRANSACTION_BYTES
from supervm.vm.outcomes import Reason

NOBODY = -1
"""Instead of the number of a contract or an entry point that is not there."""

FIXED_BYTES = HEAD_BYTES + 2 + 4 + 2 + 4 + 2
"""Of an encoding: its head, and the lengths of entry point, input, objects, proof and signature."""

OBJECT_BYTES, KEY_LENGTH_BYTES, DECLARED_BYTES, INPUT_BYTES = 32, 2, 4, 32
"""Of an encoding: an object's id, the length of a declared key, those of both declared lists, a public input of a proof."""

WRONG_CHAIN = int(Reason.WRONG_CHAIN)
WRONG_SENDER = int(Reason.WRONG_SENDER)
GAS_LIMIT_TOO_HIGH = int(Reason.GAS_LIMIT_TOO_HIGH)
GAS_LIMIT_TOO_LOW = int(Reason.GAS_LIMIT_TOO_LOW)
UNKNOWN_CONTRACT = int(Reason.UNKNOWN_CONTRACT)
UNKNOWN_ENTRY = int(Reason.UNKNOWN_ENTRY)
TOO_LARGE = int(Reason.TOO_LARGE)


@njit(nogil=True, cache=True)
def proof_gas(proof, first, stop):  # type: ignore[no-untyped-def]
    """What the verification of a private transaction's proof costs, whose field is proof[first:stop], of any form.

    It is that of its circuit: how long a proof is says on which curve it is, and what is behind it how many public inputs
    there are. The binding is one more.
    """
    price, inputs = PROOF, 1
    head = first + 2  # version, and the length of the circuit's id
    if head <= stop:
        after = head + np.int64(proof[head - 1]) + 2
        if after <= stop:
            size = np.int64(proof[after - 2]) * 256 + np.int64(proof[after - 1])
            price = PROOF_LONG if size >= PROOF_LONG_BYTES else PROOF
            inputs += max(stop - after - size, 0) // INPUT_BYTES
    return price + PROOF_INPUT * inputs


@njit(nogil=True, cache=True)
def weigh(strings, proof, objects, reads, writes, flags, gas, large):  # type: ignore[no-untyped-def]
    """Intrinsic gas of each transaction, uint64 (n,), and whether its encoding is too large, bool (n,).

    Args:
        strings: offsets of entry points, inputs, proofs and signatures, int64 (n + 1,) each.
        proof: uint8, the bytes of all proofs.
        objects: offsets of the lists of objects, int64 (n + 1,).
        reads, writes: offsets of the lists of declared keys, int64 (n + 1,), and of the keys' bytes.
        flags: (private, declared), bool (n,) each.
    """
    private, declared = flags
    entries, inputs, proofs, signatures = strings
    (read_lists, read_keys), (write_lists, write_keys) = reads, writes
    for item in range(gas.size):
        data = entries[item + 1] - entries[item] + inputs[item + 1] - inputs[item]
        data += proofs[item + 1] - proofs[item]
        keys = 0
        if read_keys.size > 1:
            first, stop = read_lists[item], read_lists[item + 1]
            keys += KEY_LENGTH_BYTES * (stop - first) + read_keys[stop] - read_keys[first]
        if write_keys.size > 1:
            first, stop = write_lists[item], write_lists[item + 1]
            keys += KEY_LENGTH_BYTES * (stop - first) + write_keys[stop] - write_keys[first]
        listed, signed = objects[item + 1] - objects[item], signatures[item + 1] - signatures[item]
        size = FIXED_BYTES + data + keys + OBJECT_BYTES * listed + signed
        if declared[item]:
            size += DECLARED_BYTES
        large[item] = size > TRANSACTION_BYTES
        data += max(signed - FREE_SIGNATURE_BYTES, 0) + max(keys - FREE_DECLARED_BYTES, 0)
        price = BASE + OBJECT * listed + DATA_BYTE * data
        if private[item]:
            price += proof_gas(proof, proofs[item], proofs[item + 1])
        gas[item] = price


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
def reject(refused, chains, chain, large, limits, intrinsic, entry_offsets, contracts, entries, out):  # type: ignore[no-untyped-def]
    """The first reason of the rules that no state can remove, 0 if there is none, to `out`, uint8 (n,)."""
    for item in range(out.size):
        call = entry_offsets[item + 1] > entry_offsets[item]
        reason = refused[item]
        if reason > WRONG_SENDER or reason == 0:
            if chains[item] != chain:
                reason = np.uint8(WRONG_CHAIN)
            elif reason == 0:
                if large[item]:
                    reason = np.uint8(TOO_LARGE)
                elif limits[item] > GAS_LIMIT:
                    reason = np.uint8(GAS_LIMIT_TOO_HIGH)
                elif limits[item] < intrinsic[item]:
                    reason = np.uint8(GAS_LIMIT_TOO_LOW)
                elif call and contracts[item] < 0:
                    reason = np.uint8(UNKNOWN_CONTRACT)
                elif call and entries[item] < 0:
                    reason = np.uint8(UNKNOWN_ENTRY)
        out[item] = reason


@njit(nogil=True, cache=True)
def find_rows(rows, among, out):  # type: ignore[no-untyped-def]
    """Whether each row, uint64 (n, 4), is one of others, uint64 (m, 4), to `out`, bool (n,)."""
    for item in range(out.size):
        found = False
        for other in range(among.shape[0]):
            bits = rows[item, 0] ^ among[other, 0]
            for word in range(1, 4):
                bits |= rows[item, word] ^ among[other, word]
            found |= bits == 0
        out[item] = found


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
