# SPDX-License-Identifier: GPL-3.0-or-later
"""Encodings of Ethereum transactions, as wallets make them and tries hold them, read into columns (EIP-2718).

A message is read field by field as `encoding.LAYOUTS` names them, and then written again: what is not the one encoding of
what was read is refused, so that compiled code here need only stay within the message.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from supervm.crypto.messages import Messages
from supervm.engine.ethereum.encoding import (
    ACCESS_LIST,
    AUTHORIZATIONS,
    BLOB_HASHES,
    INPUT,
    LAYOUTS,
    SIGNED,
    TO,
    encoded_transactions,
)
from supervm.engine.ethereum.rlp import LIST
from supervm.engine.ethereum.rlp_reading import INVALID, read_item
from supervm.engine.ethereum.transactions import (
    AccessLists,
    AuthorizationInteger,
    Authorizations,
    EthereumTransactions,
    Integer,
    TransactionType,
    low_uint64,
    parity,
)
from supervm.kernels.array_types import Flags
from supervm.kernels.arrays import borrow

_ENTRIES, _KEYS, _BLOBS, _SIGNERS, _INPUT = range(5)
"""What is counted: entries of access lists, their keys, blobs, authorizations, bytes of input."""

_ADDRESS, _WORD = 20, 32
_MOST_TYPE = len(TransactionType) - 1

_WIDTHS = np.full(len(Integer), _WORD, np.int64)
_WIDTHS[[Integer.CHAIN_ID, Integer.NONCE, Integer.GAS, Integer.V, Integer.Y_PARITY]] = 8
"""Bytes that an integer may have."""

_SIGNED_FIELDS = (
    (int(AuthorizationInteger.CHAIN_ID), _WORD),
    (-1, _ADDRESS),
    (int(AuthorizationInteger.NONCE), 8),
    (int(AuthorizationInteger.Y_PARITY), 1),
    (int(AuthorizationInteger.R), _WORD),
    (int(AuthorizationInteger.S), _WORD),
)
_SIGNED_PLACES = np.array([place for place, _ in _SIGNED_FIELDS], np.int64)
_SIGNED_WIDTHS = np.array([width for _, width in _SIGNED_FIELDS], np.int64)
"""The fields of an authorization in their order: its integer, -1 for the address; bytes that it may have."""


def read_envelopes(envelopes: Messages) -> tuple[EthereumTransactions, Flags]:
    """The transactions of n messages, and which messages are no encodings, bool (n,): their rows mean nothing."""
    data, offsets = borrow(np.ascontiguousarray(envelopes.data)), np.ascontiguousarray(envelopes.offsets)
    count = len(envelopes)
    types, wrong = np.zeros(count, np.uint8), np.zeros(count, np.bool_)
    bounds = np.zeros((5, count + 1), np.int64)
    columns = _columns(count, np.zeros(5, np.int64))
    _read_all(data, offsets, LAYOUTS, False, types, wrong, bounds, columns)
    columns = _columns(count, bounds[:, -1])
    _read_all(data, offsets, LAYOUTS, True, types, wrong, np.zeros_like(bounds), columns)
    integers, to, has_to, inputs, addresses, key_offsets, keys, blobs, signed, signers = columns
    legacy = types == TransactionType.LEGACY
    said = parity(
        types,
        low_uint64(integers[:, Integer.V]),
        legacy,
        low_uint64(integers[:, Integer.Y_PARITY]),
        ~legacy,
        low_uint64(integers[:, Integer.CHAIN_ID]),
        ~legacy,
    )
    integers[:, Integer.CHAIN_ID, 24:] = said.chain_id.astype(">u8")[:, None].view(np.uint8)
    nobody, nothing = np.zeros((count, _ADDRESS), np.uint8), np.zeros(count, np.bool_)
    found = EthereumTransactions(
        type=types,
        integers=integers,
        to=to,
        has_to=has_to,
        input=Messages(inputs, bounds[_INPUT]),
        access_lists=AccessLists(bounds[_ENTRIES], addresses, key_offsets, keys),
        blob_offsets=bounds[_BLOBS],
        blob_hashes=blobs,
        authorizations=Authorizations(bounds[_SIGNERS], signed, signers),
        protected=said.protected,
        recovery_id=said.recovery_id,
        claimed_sender=nobody,
        claimed_hash=np.zeros((count, _WORD), np.uint8),
        claims_sender=nothing,
        claims_hash=nothing,
    )
    again = encoded_transactions(found)
    _compare(data, offsets, again.data, again.offsets, wrong)
    return found, wrong


def _columns(count: int, sizes: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
    """Columns of n transactions with so many entries, keys, blobs, authorizations and bytes of input."""
    entries, keys, blobs, signers, inputs = (int(size) for size in sizes)
    return (
        np.zeros((count, len(Integer), _WORD), np.uint8),
        np.zeros((count, _ADDRESS), np.uint8),
        np.zeros(count, np.bool_),
        np.zeros(inputs, np.uint8),
        np.zeros((entries, _ADDRESS), np.uint8),
        np.zeros(entries + 1, np.int64),
        np.zeros((keys, _WORD), np.uint8),
        np.zeros((blobs, _WORD), np.uint8),
        np.zeros((signers, len(AuthorizationInteger), _WORD), np.uint8),
        np.zeros((signers, _ADDRESS), np.uint8),
    )


@njit(nogil=True, cache=True)
def _put(data, first, stop, width, out):  # type: ignore[no-untyped-def]
    """Copy a string of at most `width` bytes to the end of a row; whether it is that short."""
    if first < 0 or stop - first > width:
        return False
    for k in range(stop - first):
        out[out.size - (stop - first) + k] = data[first + k]
    return True


@njit(nogil=True, cache=True)
def _string(data, position, end, width):  # type: ignore[no-untyped-def]
    """Where the string of exactly `width` bytes at `position` begins and ends; `INVALID` twice if there is none."""
    is_list, first, stop = read_item(data, position, end)
    if is_list or stop - first != width:
        return INVALID, INVALID
    return first, stop


@njit(nogil=True, cache=True)
def _read_keys(data, position, end, write, at, addresses, key_offsets, keys):  # type: ignore[no-untyped-def]
    """An access list; whether it is one."""
    while position < end:
        is_list, entry, stop = read_item(data, position, end)
        if not is_list:
            return False
        first, after = _string(data, entry, stop, _ADDRESS)
        if first < 0:
            return False
        is_list, key, last = read_item(data, after, stop)
        if not is_list or last != stop:
            return False
        if write:
            _put(data, first, after, _ADDRESS, addresses[at[_ENTRIES]])
        at[_ENTRIES] += 1
        while key < last:
            first, key = _string(data, key, last, _WORD)
            if first < 0:
                return False
            if write:
                _put(data, first, key, _WORD, keys[at[_KEYS]])
            at[_KEYS] += 1
        if write:
            key_offsets[at[_ENTRIES]] = at[_KEYS]
        position = stop
    return True


@njit(nogil=True, cache=True)
def _read_blobs(data, position, end, write, at, blobs):  # type: ignore[no-untyped-def]
    """A list of hashes of blobs; whether it is one."""
    while position < end:
        first, position = _string(data, position, end, _WORD)
        if first < 0:
            return False
        if write:
            _put(data, first, position, _WORD, blobs[at[_BLOBS]])
        at[_BLOBS] += 1
    return True


@njit(nogil=True, cache=True)
def _read_signed(data, position, end, write, at, signed, signers, row):  # type: ignore[no-untyped-def]
    """A list of authorizations; whether it is one."""
    while position < end:
        is_list, field, stop = read_item(data, position, end)
        if not is_list:
            return False
        for number in range(_SIGNED_PLACES.size):
            is_list, first, last = read_item(data, field, stop)
            place, width = _SIGNED_PLACES[number], _SIGNED_WIDTHS[number]
            if is_list or first < 0 or last - first > width or (place < 0 and last - first != width):
                return False
            if write:
                _put(
                    data,
                    first,
                    last,
                    width,
                    signers[at[_SIGNERS]] if place < 0 else signed[at[_SIGNERS], place],
                )
            field = last
        if field != stop:
            return False
        at[_SIGNERS] += 1
        position = stop
    return True


@njit(nogil=True, cache=True)
def _read_field(data, field, position, end, write, at, columns, i):  # type: ignore[no-untyped-def]
    """One field of transaction i; where the next one begins, `INVALID` if this is none."""
    integers, to, has_to, inputs, addresses, key_offsets, keys, blobs, signed, signers = columns
    is_list, first, stop = read_item(data, position, end)
    if first < 0 or is_list != (field in (ACCESS_LIST, BLOB_HASHES, AUTHORIZATIONS)):
        return INVALID
    good = True
    if field < TO:
        good = stop - first <= _WIDTHS[field]
        if write and good:
            _put(data, first, stop, _WORD, integers[i, field])
    elif field == TO:
        good = stop == first or stop - first == _ADDRESS
        if write and good:
            has_to[i] = stop > first
            _put(data, first, stop, _ADDRESS, to[i])
    elif field == INPUT:
        if write:
            for k in range(stop - first):
                inputs[at[_INPUT] + k] = data[first + k]
        at[_INPUT] += stop - first
    elif field == ACCESS_LIST:
        good = _read_keys(data, first, stop, write, at, addresses, key_offsets, keys)
    elif field == BLOB_HASHES:
        good = _read_blobs(data, first, stop, write, at, blobs)
    else:
        good = _read_signed(data, first, stop, write, at, signed, signers, i)
    return stop if good else INVALID


@njit(nogil=True, cache=True)
def _read(data, begin, end, table, write, at, columns, i):  # type: ignore[no-untyped-def]
    """One transaction; its type, `INVALID` if it is none."""
    if begin >= end:
        return INVALID
    kind, position = np.int64(0), begin
    if data[begin] < LIST:
        kind, position = np.int64(data[begin]), begin + 1
        if kind == 0 or kind > _MOST_TYPE:
            return INVALID
    is_list, position, stop = read_item(data, position, end)
    if not is_list or stop != end:
        return INVALID
    for number in range(table.shape[1]):
        field = table[SIGNED + kind, number]
        if field < 0:
            break
        position = _read_field(data, field, position, end, write, at, columns, i)
        if position < 0:
            return INVALID
    return kind if position == end else INVALID


@njit(nogil=True, cache=True)
def _read_all(data, offsets, table, write, types, wrong, bounds, columns):  # type: ignore[no-untyped-def]
    """Every message: what it holds is counted in `bounds`, which begins with zeros, and written down if `write`."""
    at = np.zeros(bounds.shape[0], np.int64)
    before = np.zeros(bounds.shape[0], np.int64)
    for i in range(offsets.size - 1):
        if not (write and wrong[i]):
            before[:] = at
            kind = _read(data, offsets[i], offsets[i + 1], table, write, at, columns, i)
            if kind < 0:
                wrong[i] = True
                at[:] = before
            else:
                types[i] = kind
        bounds[:, i + 1] = at


@njit(nogil=True, cache=True)
def _compare(data, offsets, other, other_offsets, wrong):  # type: ignore[no-untyped-def]
    """Mark messages that differ from their rows in another column."""
    for i in range(wrong.size):
        size, first, second = offsets[i + 1] - offsets[i], offsets[i], other_offsets[i]
        if size != other_offsets[i + 1] - second:
            wrong[i] = True
            continue
        for k in range(size):
            if data[first + k] != other[second + k]:
                wrong[i] = True
                break
