# SPDX-License-Identifier: GPL-3.0-or-later
"""State created without transactions (credits, objects, storage entries), in columns, and totals over a state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.crypto.messages import Messages
from supervm.engine.state import pools
from supervm.engine.state.keys import ACCOUNT, CODE, STORAGE, account_keys, object_keys
from supervm.engine.state.state import State
from supervm.kernels.array_types import Bytes
from supervm.kernels.errors import ArgumentError
from supervm.kernels.keys import KeyTable
from supervm.vm.limits import KEY_BYTES, VALUE_BYTES

KINDS = 3
"""Kinds of objects."""

ACCOUNT_BYTES = 40
"""Of an account's value."""

_PREFIX = 21
"""Bytes of an account's key, and of a storage key before the contract's own part."""


def credited(state: State, addresses: Any, balances: Any) -> tuple[Messages, Messages, int]:
    """Keys and new values of the accounts that are given balances, each account once, and the sum of what is given."""
    rows, amounts = _rows("addresses", addresses, 20), _rows("balances", balances, 32)
    if len(rows) != len(amounts):
        raise ArgumentError("balances", f"{len(amounts)} rows", f"{len(rows)}, as many as addresses")
    distinct, place = np.unique(rows, axis=0, return_inverse=True)
    keys = account_keys(distinct)
    numbers = state.store.intern(Messages.of(keys).ragged)
    before, present = state.store.values(numbers, state.store.watermark)
    values = np.zeros((len(distinct), ACCOUNT_BYTES), np.uint8)
    values[present] = before.data.reshape(-1, ACCOUNT_BYTES)
    sums = _summed(
        np.concatenate([values[:, 8:], amounts]), np.append(np.arange(len(distinct)), place), len(distinct)
    )
    values[:, 8:] = sums
    return Messages.of(keys), Messages.of(values), total(amounts)


def _summed(amounts: Bytes, groups: NDArray[np.int64], count: int) -> Bytes:
    """Sums of big-endian amounts by group, modulo 2^256."""
    digits = np.zeros((count, 8), np.uint64)
    np.add.at(digits, groups, np.ascontiguousarray(amounts).view(">u4").astype(np.uint64))
    for place in range(7, 0, -1):
        digits[:, place - 1] += digits[:, place] >> np.uint64(32)
    return (digits & np.uint64(0xFFFFFFFF)).astype(">u4").view(np.uint8)


def total(amounts: Bytes) -> int:
    """The sum of big-endian amounts, uint8 (k, 32)."""
    columns = np.ascontiguousarray(amounts).view(">u4").astype(np.uint64).reshape(-1, 8).sum(axis=0)
    return sum(int(column) << (32 * (7 - place)) for place, column in enumerate(columns))


def new_objects(state: State, ids: Any, owners: Any, kinds: Any) -> tuple[Messages, Messages]:
    """Keys and values of objects that do not exist yet."""
    names, holders = _rows("ids", ids, 32), _rows("owners", owners, 20)
    sorts = np.asarray(kinds, np.uint8).reshape(-1)
    if not len(names) == len(holders) == len(sorts):
        found = f"{len(names)} ids, {len(holders)} owners, {len(sorts)} kinds"
        raise ArgumentError("ids", found, "as many of each")
    if (sorts >= KINDS).any():
        raise ArgumentError("kinds", str(int(sorts.max())), "0 owned, 1 shared, 2 immutable")
    keys = Messages.of(object_keys(names))
    numbers = state.store.intern(keys.ragged)
    _, present = state.store.values(numbers, state.store.watermark)
    if present.any() or len(np.unique(numbers)) < len(numbers):
        raise ArgumentError("ids", "an object that exists, or comes twice", "new objects")
    return keys, Messages.of(np.concatenate([sorts[:, None], holders], axis=1))


def check_entries(keys: Messages, values: Messages) -> None:
    """Entries of contracts' storage, each key once, within the limits of the rules.

    Raises:
        ArgumentError: otherwise.
    """
    sizes, lengths = np.diff(keys.offsets), np.diff(values.offsets)
    if len(sizes) != len(lengths):
        raise ArgumentError("values", f"{len(lengths)} values", f"{len(sizes)}, as many as keys")
    if not len(sizes):
        return
    if (
        sizes.min() < _PREFIX
        or sizes.max() > _PREFIX + KEY_BYTES
        or (keys.data[keys.offsets[:-1]] != STORAGE).any()
    ):
        raise ArgumentError("keys", "a key that is no storage key", "01 ‖ contract ‖ up to 256 bytes")
    if lengths.max() > VALUE_BYTES:
        raise ArgumentError("values", f"{lengths.max()} bytes", f"at most {VALUE_BYTES}")
    if len(np.unique(KeyTable().intern(keys.ragged))) < len(keys):
        raise ArgumentError("keys", "a key that comes twice", "each key once")


def supply(state: State) -> int:
    """The sum of all balances of the last commit, and of what shielded pools hold."""
    values = _values_of(state, ACCOUNT)[1]
    pooled = sum(unit * pools.held_units(state.get, address) for address, unit in shielded(state))
    return total(values.reshape(-1, ACCOUNT_BYTES)[:, 8:]) + pooled


def shielded(state: State) -> Iterator[tuple[bytes, int]]:
    """Address and unit of every shielded pool of the last commit."""
    for address, digest in deployed(state):
        unit = pools.unit_of(state.get, address, digest)
        if unit is not None:
            yield address, unit


def deployed(state: State) -> Iterator[tuple[bytes, bytes]]:
    """Address and SHA-256 of the code of every contract of the last commit, shielded pools among them."""
    numbers, values = _values_of(state, CODE)
    keys = Messages(*state.store.keys.strings(numbers))
    for place in range(len(numbers)):
        yield keys[place][1:], values[32 * place : 32 * place + 32].tobytes()


def _values_of(state: State, kind: int) -> tuple[NDArray[np.int64], Bytes]:
    """Numbers of the keys of a kind that have a value, and these values in one piece."""
    numbers = np.flatnonzero(state.store.keys.first_bytes() == kind)
    values, present = state.store.values(numbers, state.store.watermark)
    return numbers[present], values.data


def _rows(argument: str, rows: Any, width: int) -> Bytes:
    array = np.asarray(rows)
    if array.dtype != np.uint8 or array.ndim != 2 or array.shape[1] != width:
        found = f"an array of {array.dtype} with shape {array.shape}"
        raise ArgumentError(argument, found, f"a uint8 array of shape (n, {width})")
    return np.ascontiguousarray(array)
