# SPDX-License-Identifier: GPL-3.0-or-later
"""`World`: accounts, storage and codes of Ethereum in a store of versions, put in and read back in columns.

`supervm.vm.evm.state.keys` says what stands under which key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from supervm.engine.evm.accounts import EMPTY_CODE_HASH, Accounts
from supervm.engine.state.store import StateStore
from supervm.kernels.array_types import Bytes, Flags, Indices, Numbers
from supervm.kernels.work import Ragged
from supervm.vm.evm.state import keys as k

_EMPTY = np.frombuffer(EMPTY_CODE_HASH, np.uint8)
_SLOT = k.ADDRESS_KEY_BYTES + k.INCARNATION_BYTES


class Changed(NamedTuple):
    """Accounts that were written: what they have now, whether they exist, whether their storage began empty.

    Of slots only those are there that were written, ascending; a value may be zero.
    """

    accounts: Accounts
    exists: Flags
    wiped: Flags

    def equals(self, other: Changed) -> bool:
        """Whether both say the same."""
        pairs = zip(
            (*vars(self.accounts).values(), *self[1:]),
            (*vars(other.accounts).values(), *other[1:]),
            strict=True,
        )
        return all(np.array_equal(one, another) for one, another in pairs)


class World:
    """A state of Ethereum.

    Attributes:
        store: the versions; whoever executes makes commits in it.
        codes: of its accounts, by Keccak-256, as far as they are known.
    """

    def __init__(self) -> None:
        self.store = StateStore()
        self.codes: dict[bytes, bytes] = {}
        self._given: Mapping[bytes, bytes] = {}

    def load(self, accounts: Accounts, codes: Mapping[bytes, bytes]) -> None:
        """Put accounts into a store that holds none yet, as a commit of its own, and remember codes.

        Slots of value zero get a number too: they are known to be empty.
        """
        self._given = codes
        coded = (accounts.code_hashes != _EMPTY).any(axis=1)
        for digest in map(bytes, accounts.code_hashes[coded]):
            if digest in codes:
                self.codes[digest] = codes[digest]
        # Before EIP-7610 nobody asked for this: a creation fails there though account and code say nothing.
        owners = np.repeat(np.arange(len(accounts)), np.diff(accounts.offsets))
        stored = np.bincount(owners[accounts.values.any(axis=1)], minlength=len(accounts)) > 0
        odd = stored & ~coded & (accounts.nonces == 0)
        first = np.zeros((len(owners), k.INCARNATION_BYTES), np.uint8)
        tables = [
            (_keys(k.ACCOUNT, accounts.addresses), _account_values(accounts)),
            (_keys(k.CODE_HASH, accounts.addresses[coded]), accounts.code_hashes[coded]),
            (_keys(k.INCARNATION, accounts.addresses[odd]), _incarnations(int(odd.sum()))),
            (_keys(k.STORAGE, accounts.addresses[owners], first, accounts.slots), accounts.values),
        ]
        numbers = self.store.intern(_joined([keys for keys, _ in tables]))
        there = np.ones(numbers.size, np.bool_)
        there[numbers.size - len(owners) :] = accounts.values.any(axis=1)
        rows = np.flatnonzero(there)
        values = _joined([values for _, values in tables]).take(rows)
        self.store.put(numbers[rows], values, np.ones(rows.size, np.bool_))
        self.store.seal(np.zeros(0, np.int64), 0)
        self.store.publish()

    def code(self, digest: bytes) -> bytes | None:
        """A code that was given or that a block made, by its Keccak-256; None if there is none."""
        if digest in self._given:
            return self._given[digest]
        return code_of(self.store, digest)

    def accounts(self) -> Accounts:
        """Every account that exists, ascending by address, in the commit that is being made."""
        found = self._found(np.arange(len(self.store.keys)))
        addresses = _distinct(
            found.rows(k.ACCOUNT, k.ADDRESS_KEY_BYTES).keys[:, 1:],
            found.rows(k.CODE_HASH, k.ADDRESS_KEY_BYTES).keys[:, 1:],
        )
        return _read(found, addresses).accounts

    def changed(self, written: Numbers) -> Changed:
        """The accounts whose keys were written, in the commit that is being made."""
        keys = self.store.keys.strings(written)
        size = np.diff(keys.offsets)
        first = keys.data[keys.offsets[:-1]]
        owned = np.flatnonzero((first != k.CODE) & (size >= k.ADDRESS_KEY_BYTES))
        places = keys.offsets[owned][:, None] + np.arange(1, k.ADDRESS_KEY_BYTES)
        addresses = _distinct(keys.data[places])
        # Of an account that was written in part, the rest is wanted too.
        kinds = (k.ACCOUNT, k.CODE_HASH, k.INCARNATION)
        parts = self.store.keys.find(_joined([_keys(kind, addresses) for kind in kinds]))
        slots = written[np.flatnonzero((first == k.STORAGE) & (size == k.STORAGE_KEY_BYTES))]
        return _read(self._found(np.concatenate([parts[parts >= 0], slots])), addresses)

    def _found(self, numbers: Numbers) -> _Found:
        values, present = self.store.values(numbers)
        return _Found(self.store.keys.strings(numbers), values, present)


def code_of(store: StateStore, digest: bytes) -> bytes | None:
    """A code that a store has, in the commit that is being made, by its Keccak-256; None if it has none."""
    number = store.number(bytes([k.CODE]) + digest)
    return None if number < 0 else store.read_number(number, store.next_commit)


class _Rows(NamedTuple):
    """Keys of one kind, their values, and which of them have one."""

    keys: Bytes
    values: Bytes
    present: Flags


class _Found(NamedTuple):
    """Keys, their values, and which of them have one."""

    keys: Ragged
    values: Ragged
    present: Flags

    def rows(self, kind: int, key_bytes: int, *, all_: bool = False) -> _Rows:
        """The keys of a kind that have a value; with `all_` those that have none too, whose values are zeros."""
        sizes = np.diff(self.keys.offsets)
        first = np.zeros(len(sizes), np.uint8)
        first[sizes > 0] = self.keys.data[self.keys.offsets[:-1][sizes > 0]]
        chosen = np.flatnonzero((first == kind) & (sizes == key_bytes) & (self.present | all_))
        present = self.present[chosen]
        width = {k.ACCOUNT: k.ACCOUNT_BYTES, k.INCARNATION: k.INCARNATION_VALUE_BYTES}.get(kind, k.WORD_BYTES)
        values = np.zeros((len(chosen), width), np.uint8)
        values[present] = self.values.take(chosen[present]).data.reshape(-1, width)
        return _Rows(self.keys.take(chosen).data.reshape(-1, key_bytes), values, present)


def _read(found: _Found, addresses: Bytes) -> Changed:
    """What these accounts, ascending and each once, have in what was found."""
    count = len(addresses)
    held = found.rows(k.ACCOUNT, k.ADDRESS_KEY_BYTES)
    coded = found.rows(k.CODE_HASH, k.ADDRESS_KEY_BYTES)
    moved = found.rows(k.INCARNATION, k.ADDRESS_KEY_BYTES)
    stored = found.rows(k.STORAGE, k.STORAGE_KEY_BYTES, all_=True)
    exists = np.zeros(count, np.bool_)
    account = np.zeros((count, k.ACCOUNT_BYTES), np.uint8)
    code_hashes = np.tile(_EMPTY, (count, 1))
    current = np.zeros((count, k.INCARNATION_BYTES), np.uint8)
    for rows, table in ((held, account), (coded, code_hashes), (moved, current)):
        place, known = _places(addresses, rows.keys[:, 1:])
        table[place[known]] = rows.values[known, : table.shape[1]]
        if rows is not moved:
            exists[place[known]] = True
    owner, known = _places(addresses, stored.keys[:, 1 : k.ADDRESS_KEY_BYTES])
    known &= (stored.keys[:, k.ADDRESS_KEY_BYTES : _SLOT] == current[owner]).all(axis=1)
    words = np.ascontiguousarray(stored.keys[known, _SLOT:]).view(">u8").astype(np.uint64)
    kept = np.flatnonzero(known)[np.lexsort((*words.T[::-1], owner[known]))]
    offsets = np.zeros(count + 1, np.int64)
    np.cumsum(np.bincount(owner[kept], minlength=count), out=offsets[1:])
    accounts = Accounts(
        addresses=addresses,
        nonces=np.ascontiguousarray(account[:, :8]).view(">u8")[:, 0].astype(np.uint64),
        balances=np.ascontiguousarray(account[:, 8:]),
        code_hashes=code_hashes,
        offsets=offsets,
        slots=np.ascontiguousarray(stored.keys[kept, _SLOT:]),
        values=stored.values[kept],
    )
    wiped: Flags = np.asarray(current.any(axis=1))
    return Changed(accounts, exists, wiped)


def _keys(kind: int, *parts: Bytes) -> Bytes:
    return np.concatenate([np.full((len(parts[0]), 1), kind, np.uint8), *parts], axis=1)


def _account_values(accounts: Accounts) -> Bytes:
    nonces = accounts.nonces.astype(">u8")[:, None].view(np.uint8)
    return np.concatenate([nonces, accounts.balances], axis=1)


def _incarnations(count: int) -> Bytes:
    rows = np.zeros((count, k.INCARNATION_VALUE_BYTES), np.uint8)
    rows[:, -1] = 1
    return rows


def _joined(tables: list[Bytes]) -> Ragged:
    """The rows of byte matrices of different widths, one behind the other."""
    lengths = np.concatenate([np.full(len(table), table.shape[1], np.int64) for table in tables])
    offsets = np.zeros(lengths.size + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return Ragged(np.concatenate([np.ascontiguousarray(table).reshape(-1) for table in tables]), offsets)


def _distinct(*lists: Bytes) -> Bytes:
    """The distinct addresses of lists, ascending."""
    whole = np.ascontiguousarray(np.concatenate(lists)).view("V20")[:, 0]
    return np.unique(whole).view(np.uint8).reshape(-1, k.ADDRESS_BYTES)


def _places(addresses: Bytes, wanted: Bytes) -> tuple[Indices, Flags]:
    """Where addresses stand among distinct ones, and whether they do."""
    known = np.ascontiguousarray(addresses).view("V20")[:, 0]
    sought = np.ascontiguousarray(wanted).view("V20")[:, 0]
    # Rows of bytes cannot be searched by NumPy, but ranked together.
    _, ranks = np.unique(np.concatenate([known, sought]), return_inverse=True)
    place = np.full(int(ranks.max(initial=-1)) + 1, -1, np.int64)
    place[ranks[: len(known)]] = np.arange(len(known))
    found = place[ranks[len(known) :]]
    return np.maximum(found, 0), found >= 0
