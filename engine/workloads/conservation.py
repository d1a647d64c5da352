# SPDX-License-Identifier: GPL-3.0-or-later
"""Invariants of a workload: the sum of all balances, and the totals that the sample contracts track.

Sums are taken over the columns of the last commit, not over what was meant to be written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from supervm.crypto.messages import Messages
from supervm.engine.arrays import ragged
from supervm.engine.engine import Engine
from supervm.engine.state import genesis
from supervm.engine.state.keys import STORAGE
from supervm.engine.state.state import State
from supervm.engine.transactions.contract_calls import MARKET_POOL_KEY, MARKET_TOTALS_KEY, TOKEN_SUPPLY_KEY
from supervm.engine.workloads.workload import Genesis

CHUNK_KEYS = 65_536
"""Keys that are looked at together."""

_ADDRESS_BYTES, _WORD_BYTES, _AMOUNT_BYTES = 20, 32, 8
_SHARES = 2


@dataclass(frozen=True)
class Holdings:
    """Sums of a state.

    Args:
        money: of all accounts, the fee collector's among them.
        contracts: for each token and market, pairs of what its holders have together and what it says that is.
    """

    money: int
    contracts: tuple[tuple[int, int], ...]

    @property
    def consistent(self) -> bool:
        """Whether each contract is right about its holders."""
        return all(held == stated for held, stated in self.contracts)


def holdings(engine: Engine, deployed: Genesis) -> Holdings:
    """The sums of an engine's last commit.

    Args:
        deployed: says which sample contracts stand where.
    """
    sums: list[tuple[int, int]] = []
    for each in deployed.deployments:
        if each.contract in _SUMS:
            sums += _SUMS[each.contract](engine, each.address)
    return Holdings(genesis.supply(engine.state), tuple(sums))


def _token(engine: Engine, address: bytes) -> list[tuple[int, int]]:
    """All balances and the total supply."""
    word = bytes(_WORD_BYTES - _ADDRESS_BYTES)
    return [(_sum(engine.state, address, word, _WORD_BYTES), _stated(engine, address, TOKEN_SUPPLY_KEY)[0])]


def _market(engine: Engine, address: bytes) -> list[tuple[int, int]]:
    """Of each side, balances with the reserve and all that was deposited; all shares and the pool's count of them."""
    held = [_sum(engine.state, address, bytes([side]), 1 + _ADDRESS_BYTES) for side in (0, 1, _SHARES)]
    pool = _stated(engine, address, MARKET_POOL_KEY, _AMOUNT_BYTES, 3)
    totals = _stated(engine, address, MARKET_TOTALS_KEY, _AMOUNT_BYTES, 2)
    sides = [(held[side] + pool[side], totals[side]) for side in (0, 1)]
    return [*sides, (held[_SHARES], pool[_SHARES])]


_SUMS: dict[str, Callable[[Engine, bytes], list[tuple[int, int]]]] = {"token": _token, "amm": _market}
"""By name of the sample contract."""


def _stated(
    engine: Engine, address: bytes, key: bytes, width: int = _WORD_BYTES, count: int = 1
) -> list[int]:
    """The little-endian amounts of `width` bytes that a contract stores under a key; 0 for what is not there."""
    stored = (engine.get(address, key) or b"").ljust(width * count, b"\0")
    return [int.from_bytes(stored[width * k : width * (k + 1)], "little") for k in range(count)]


def _sum(state: State, address: bytes, prefix: bytes, key_bytes: int) -> int:
    """The sum of the little-endian amounts that a contract stores under keys of this prefix and length."""
    whole = bytes([STORAGE]) + address + prefix
    length, total = 1 + len(address) + key_bytes, 0
    with state.store.reading() as mark:
        count = len(state.store.keys)
        for first in range(0, count, CHUNK_KEYS):
            keys, values = state.store.chunk(first, min(first + CHUNK_KEYS, count), mark)
            total += _total(ragged.taken(values, np.flatnonzero(_matching(keys, whole, length))))
    return total


def _matching(keys: Messages, prefix: bytes, length: int) -> NDArray[np.bool_]:
    """Which keys have this prefix and length, bool (n,)."""
    found: NDArray[np.bool_] = ragged.lengths(keys) == length
    for place, wanted in enumerate(prefix):
        rows = np.flatnonzero(found)
        found[rows] = keys.data[keys.offsets[rows] + place] == wanted
    return found


def _total(values: Messages) -> int:
    """The sum of little-endian amounts of any widths."""
    places = np.arange(len(values.data)) - np.repeat(values.offsets[:-1], ragged.lengths(values))
    # Sums of bytes are far below 2^53, up to which the floats that bincount adds are exact.
    sums = np.bincount(places, weights=values.data)
    return sum(int(digit) << (8 * place) for place, digit in enumerate(sums))
