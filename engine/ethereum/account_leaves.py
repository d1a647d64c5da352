# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaves of the state: accounts and storage values, between columns and RLP.

An account is the list of nonce, balance, storage root and code hash; a storage value is an integer, and zero is no value.
Source: the Yellow Paper, section 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from supervm.crypto.messages import Messages
from supervm.engine.ethereum.rlp import LIST, MAX_HEADER, STRING
from supervm.engine.ethereum.rlp_memory import WORD, put_header_at, put_integer_at, put_word_at
from supervm.engine.ethereum.rlp_reading import INVALID, read_item
from supervm.engine.ethereum.tries.building import EMPTY_ROOT
from supervm.kernels.array_types import Bytes
from supervm.kernels.cpu.lanes.addresses import copy, load8

EMPTY_CODE_HASH = bytes.fromhex("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470")
"""Keccak-256 of no bytes: the code hash of an account without code."""

NONCE_BYTES = 8
_ACCOUNT_MOST = MAX_HEADER + 1 + NONCE_BYTES + 3 * (1 + WORD)


@dataclass(frozen=True)
class AccountLeaves:
    """n accounts: `nonces` uint64 (n,); `balances`, big-endian, `storage_roots` and `code_hashes`, uint8 (n, 32)."""

    nonces: NDArray[np.uint64]
    balances: Bytes
    storage_roots: Bytes
    code_hashes: Bytes

    def __len__(self) -> int:
        return len(self.nonces)

    @classmethod
    def empty(cls, n: int) -> AccountLeaves:
        """AccountLeaves that hold nothing, have no code and no storage."""
        return cls(
            np.zeros(n, np.uint64),
            np.zeros((n, WORD), np.uint8),
            np.tile(np.frombuffer(EMPTY_ROOT, np.uint8), (n, 1)),
            np.tile(np.frombuffer(EMPTY_CODE_HASH, np.uint8), (n, 1)),
        )


def encoded_leaves(accounts: AccountLeaves) -> Messages:
    """The RLP of each account."""
    n = len(accounts)
    nonces = np.ascontiguousarray(accounts.nonces.astype(">u8")).view(np.uint8).reshape(n, NONCE_BYTES)
    out, offsets = np.empty(n * _ACCOUNT_MOST, np.uint8), np.zeros(n + 1, np.int64)
    columns = nonces, accounts.balances, accounts.storage_roots, accounts.code_hashes
    end = _write_accounts(*map(np.ascontiguousarray, columns), out, offsets)
    return Messages(out[:end], offsets)


def decoded_leaves(values: Messages) -> tuple[AccountLeaves, int]:
    """Leaves from their RLP, and the first that is none, −1 if there is no such. Of a value of no bytes comes an account
    that holds nothing."""
    accounts = AccountLeaves.empty(len(values))
    nonces = np.zeros((len(values), NONCE_BYTES), np.uint8)
    columns = nonces, accounts.balances, accounts.storage_roots, accounts.code_hashes
    bad = _read_accounts(values.data, values.offsets, *columns)
    read = nonces.view(">u8")[:, 0].astype(np.uint64)
    return AccountLeaves(read, accounts.balances, accounts.storage_roots, accounts.code_hashes), bad


def encoded_words(words: Bytes) -> Messages:
    """The RLP of each storage value, uint8 (k, 32) big-endian; zero comes out as no bytes."""
    out, offsets = np.empty(len(words) * (1 + WORD), np.uint8), np.zeros(len(words) + 1, np.int64)
    end = _write_words(np.ascontiguousarray(words), out, offsets)
    return Messages(out[:end], offsets)


def decoded_words(values: Messages) -> tuple[Bytes, int]:
    """Storage values from their RLP, uint8 (k, 32), and the first that is none, −1 if there is no such; zero of no bytes."""
    words = np.zeros((len(values), WORD), np.uint8)
    return words, _read_words(values.data, values.offsets, words)


@njit(nogil=True, cache=True)
def _write_accounts(nonces, balances, storage_roots, code_hashes, out, offsets):  # type: ignore[no-untyped-def]
    """Write every account behind the one before; return the end."""
    target = out.ctypes.data
    nonce, balance = nonces.ctypes.data, balances.ctypes.data
    root, code = storage_roots.ctypes.data, code_hashes.ctypes.data
    slot = np.empty(_ACCOUNT_MOST, np.uint8)
    last = np.int64(slot.ctypes.data) + _ACCOUNT_MOST
    end = 0
    for i in range(len(nonces)):
        p = put_word_at(last, code + WORD * i)
        p = put_word_at(p, root + WORD * i)
        p = put_integer_at(p, balance + WORD * i, WORD)
        p = put_integer_at(p, nonce + NONCE_BYTES * i, NONCE_BYTES)
        p = put_header_at(p, last - p, LIST)
        copy(target + end, p, last - p)
        end += last - p
        offsets[i + 1] = end
    return end


@njit(nogil=True, cache=True)
def _write_words(words, out, offsets):  # type: ignore[no-untyped-def]
    target = out.ctypes.data
    source = words.ctypes.data
    slot = np.empty(1 + WORD, np.uint8)
    last = np.int64(slot.ctypes.data) + 1 + WORD
    end = 0
    for i in range(len(words)):
        p = put_integer_at(last, source + WORD * i, WORD)
        if load8(p) != STRING:
            copy(target + end, p, last - p)
            end += last - p
        offsets[i + 1] = end
    return end


@njit(nogil=True, cache=True)
def _read_integer(data, position, end, out):  # type: ignore[no-untyped-def]
    """An integer into the end of `out`; the next item's place, or `INVALID`."""
    is_list, first, last = read_item(data, position, end)
    if first == INVALID or is_list or last - first > len(out) or (last > first and data[first] == 0):
        return INVALID
    for k in range(last - first):
        out[len(out) - (last - first) + k] = data[first + k]
    return last


@njit(nogil=True, cache=True)
def _read_hash(data, position, end, out):  # type: ignore[no-untyped-def]
    is_list, first, last = read_item(data, position, end)
    if first == INVALID or is_list or last - first != WORD:
        return INVALID
    for k in range(WORD):
        out[k] = data[first + k]
    return last


@njit(nogil=True, cache=True)
def _read_accounts(data, offsets, nonces, balances, storage_roots, code_hashes):  # type: ignore[no-untyped-def]
    for i in range(len(nonces)):
        if offsets[i] == offsets[i + 1]:
            continue
        is_list, p, end = read_item(data, offsets[i], offsets[i + 1])
        if not is_list or end != offsets[i + 1]:
            return i
        p = _read_integer(data, p, end, nonces[i])
        if p != INVALID:
            p = _read_integer(data, p, end, balances[i])
        if p != INVALID:
            p = _read_hash(data, p, end, storage_roots[i])
        if p != INVALID:
            p = _read_hash(data, p, end, code_hashes[i])
        if p != end:
            return i
    return -1


@njit(nogil=True, cache=True)
def _read_words(data, offsets, words):  # type: ignore[no-untyped-def]
    for i in range(len(words)):
        first, end = offsets[i], offsets[i + 1]
        # Zero would be no value: its slot has no leaf.
        if first < end and (data[first] == STRING or _read_integer(data, first, end, words[i]) != end):
            return i
    return -1
