# SPDX-License-Identifier: GPL-3.0-or-later
"""Encodings of transactions: what is signed, and what is hashed and put in the trie.

A transaction's encoding is a list of fields; the table `LAYOUTS` names them in order for each form, and one
kernel writes any of them. Sources: the Yellow Paper, section 4.2 (legacy); EIP-155 (chain id in the signed
payload); EIP-2930, EIP-1559, EIP-4844, EIP-7702, each under "Specification".
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from supervm.crypto.messages import Messages
from supervm.engine.ethereum.rlp import LIST, MAX_HEADER, STRING, put_header, put_integer, put_string
from supervm.engine.ethereum.transactions import (
    AuthorizationInteger,
    Authorizations,
    EthereumTransactions,
    Integer,
    TransactionType,
)

TO, INPUT, ACCESS_LIST, BLOB_HASHES, AUTHORIZATIONS, EMPTY = range(64, 70)
"""Fields that are not integers; integer fields are the values of `Integer`."""

_I = Integer
_LEGACY = (_I.NONCE, _I.GAS_PRICE, _I.GAS, TO, _I.VALUE, INPUT)
_FEES = (_I.CHAIN_ID, _I.NONCE, _I.MAX_PRIORITY_FEE, _I.MAX_FEE, _I.GAS, TO, _I.VALUE, INPUT, ACCESS_LIST)
_UNSIGNED: dict[TransactionType, tuple[int, ...]] = {
    TransactionType.LEGACY: _LEGACY,
    TransactionType.ACCESS_LIST: (_I.CHAIN_ID, *_LEGACY, ACCESS_LIST),
    TransactionType.DYNAMIC_FEE: _FEES,
    TransactionType.BLOB: (*_FEES, _I.MAX_BLOB_FEE, BLOB_HASHES),
    TransactionType.SET_CODE: (*_FEES, AUTHORIZATIONS),
}
_LAYOUTS: list[tuple[int, ...]] = [
    *(_UNSIGNED[kind] for kind in TransactionType),
    (*_LEGACY, _I.CHAIN_ID, EMPTY, EMPTY),
    *((*_UNSIGNED[kind], _I.Y_PARITY if kind else _I.V, _I.R, _I.S) for kind in TransactionType),
]
_PROTECTED = len(TransactionType)
SIGNED = len(TransactionType) + 1
_WIDEST = max(map(len, _LAYOUTS))
LAYOUTS = np.array([(*fields, *[-1] * (_WIDEST - len(fields))) for fields in _LAYOUTS], np.int64)
"""Fields of each form in their order, -1 behind the last: what is signed, by type, and from row `SIGNED` on what is kept."""

_WORD = 33
"""Bytes that a 32-byte word takes at most."""
_ADDRESS = 21
_AUTHORIZATION = MAX_HEADER + _ADDRESS + len(AuthorizationInteger) * _WORD
_AUTHORIZATION_MAGIC = 0x05


def signing_payloads(batch: EthereumTransactions) -> Messages:
    """The bytes whose Keccak-256 each sender signed."""
    return _encoded(batch, np.where(batch.protected, _PROTECTED, batch.type))


def encoded_transactions(batch: EthereumTransactions) -> Messages:
    """The bytes that the transactions trie holds and whose Keccak-256 is a transaction's hash (EIP-2718)."""
    return _encoded(batch, batch.type.astype(np.int64) + SIGNED)


def authorization_payloads(authorizations: Authorizations) -> Messages:
    """0x05 ‖ rlp([chain id, address, nonce]), the bytes whose Keccak-256 each authority signed (EIP-7702)."""
    n = len(authorizations.addresses)
    slots = np.arange(n + 1, dtype=np.int64) * _AUTHORIZATION
    out, offsets = np.zeros(int(slots[-1]), np.uint8), np.zeros(n + 1, np.int64)
    end = _write_authorization_payloads(
        authorizations.integers, authorizations.addresses, slots, out, offsets
    )
    return Messages.of((out[:end], offsets))


def _encoded(batch: EthereumTransactions, layout: NDArray[np.int64]) -> Messages:
    slots = np.zeros(len(batch) + 1, np.int64)
    np.cumsum(_room(batch), out=slots[1:])
    out, offsets = np.zeros(int(slots[-1]), np.uint8), np.zeros(len(batch) + 1, np.int64)
    end = _write_transactions(
        LAYOUTS,
        layout.astype(np.int64),
        batch.type,
        batch.integers,
        (batch.to, batch.has_to),
        (batch.input.data, batch.input.offsets),
        (
            batch.access_lists.offsets,
            batch.access_lists.addresses,
            batch.access_lists.key_offsets,
            batch.access_lists.keys,
        ),
        (batch.blob_offsets, batch.blob_hashes),
        (batch.authorizations.offsets, batch.authorizations.integers, batch.authorizations.addresses),
        slots,
        out,
        offsets,
    )
    return Messages.of((out[:end], offsets))


def _room(batch: EthereumTransactions) -> NDArray[np.int64]:
    """Bytes that each transaction takes at most."""
    lists = batch.access_lists
    keys = np.diff(lists.key_offsets[lists.offsets])
    fixed = 1 + _WIDEST * _WORD + 5 * MAX_HEADER
    room: NDArray[np.int64] = fixed + np.diff(batch.input.offsets) + keys * _WORD
    room += np.diff(lists.offsets) * (2 * MAX_HEADER + _ADDRESS)
    room += np.diff(batch.blob_offsets) * _WORD + np.diff(batch.authorizations.offsets) * _AUTHORIZATION
    return room


@njit(nogil=True, cache=True)
def _write_transactions(  # type: ignore[no-untyped-def]
    table, layout, types, integers, recipients, inputs, access, blobs, authorizations, slots, out, offsets
):
    """Write every transaction at the end of its slot and move it down to the one before; return the end."""
    to, has_to = recipients
    data, data_offsets = inputs
    end = 0
    for i in range(len(layout)):
        last = slots[i + 1]
        p = last
        for f in range(table.shape[1] - 1, -1, -1):
            field = table[layout[i], f]
            if field < 0:
                continue
            if field < TO:
                p = put_integer(out, p, integers[i, field])
            elif field == TO:
                p = put_string(out, p, to[i], 0, 20 if has_to[i] else 0)
            elif field == INPUT:
                p = put_string(out, p, data, data_offsets[i], data_offsets[i + 1])
            elif field == ACCESS_LIST:
                p = _put_access_list(out, p, access, i)
            elif field == BLOB_HASHES:
                p = _put_blob_hashes(out, p, blobs, i)
            elif field == AUTHORIZATIONS:
                p = _put_authorizations(out, p, authorizations, i)
            else:
                p = put_header(out, p, 0, STRING)
        p = put_header(out, p, last - p, LIST)
        if types[i] != 0:
            p -= 1
            out[p] = types[i]
        for k in range(last - p):
            out[end + k] = out[p + k]
        end += last - p
        offsets[i + 1] = end
    return end


@njit(nogil=True, cache=True)
def _put_access_list(out, position, access, i):  # type: ignore[no-untyped-def]
    offsets, addresses, key_offsets, keys = access
    p = position
    for entry in range(offsets[i + 1] - 1, offsets[i] - 1, -1):
        entry_end = p
        for k in range(key_offsets[entry + 1] - 1, key_offsets[entry] - 1, -1):
            p = put_string(out, p, keys[k], 0, 32)
        p = put_header(out, p, entry_end - p, LIST)
        p = put_string(out, p, addresses[entry], 0, 20)
        p = put_header(out, p, entry_end - p, LIST)
    return put_header(out, p, position - p, LIST)


@njit(nogil=True, cache=True)
def _put_blob_hashes(out, position, blobs, i):  # type: ignore[no-untyped-def]
    offsets, hashes = blobs
    p = position
    for k in range(offsets[i + 1] - 1, offsets[i] - 1, -1):
        p = put_string(out, p, hashes[k], 0, 32)
    return put_header(out, p, position - p, LIST)


@njit(nogil=True, cache=True)
def _put_authorizations(out, position, authorizations, i):  # type: ignore[no-untyped-def]
    offsets, integers, addresses = authorizations
    p = position
    for a in range(offsets[i + 1] - 1, offsets[i] - 1, -1):
        entry_end = p
        p = put_integer(out, p, integers[a, AuthorizationInteger.S.value])
        p = put_integer(out, p, integers[a, AuthorizationInteger.R.value])
        p = put_integer(out, p, integers[a, AuthorizationInteger.Y_PARITY.value])
        p = _put_authorization_message(out, p, integers[a], addresses[a])
        p = put_header(out, p, entry_end - p, LIST)
    return put_header(out, p, position - p, LIST)


@njit(nogil=True, cache=True)
def _put_authorization_message(out, position, integers, address):  # type: ignore[no-untyped-def]
    """Chain id, address and nonce."""
    p = put_integer(out, position, integers[AuthorizationInteger.NONCE.value])
    p = put_string(out, p, address, 0, 20)
    return put_integer(out, p, integers[AuthorizationInteger.CHAIN_ID.value])


@njit(nogil=True, cache=True)
def _write_authorization_payloads(integers, addresses, slots, out, offsets):  # type: ignore[no-untyped-def]
    end = 0
    for a in range(len(addresses)):
        last = slots[a + 1]
        p = _put_authorization_message(out, last, integers[a], addresses[a])
        p = put_header(out, p, last - p, LIST) - 1
        out[p] = _AUTHORIZATION_MAGIC
        for k in range(last - p):
            out[end + k] = out[p + k]
        end += last - p
        offsets[a + 1] = end
    return end
