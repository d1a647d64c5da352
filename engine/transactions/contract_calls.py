# SPDX-License-Identifier: GPL-3.0-or-later
"""How the sample contracts of `supervm.vm.contracts` are called and where they store things, whole columns at a time.

The layouts are those that the texts of the contracts state in their first lines.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from supervm.engine.transactions.columns import big_endian
from supervm.kernels.array_types import Bytes

TRANSFER = b"transfer"
"""The entry point of the token and of the collection that gives something to somebody."""

_WORD_BYTES, _ADDRESS_BYTES = 32, 20

SWAP = b"swap"
"""The market's entry point that gives an amount of one side for the other."""

TOKEN_SUPPLY_KEY = b"s"
"""Where the token keeps its total supply."""

MARKET_POOL_KEY, MARKET_TOTALS_KEY = b"p", b"t"
"""Where the market keeps its two reserves and its shares, and all that was deposited of each token."""

MARKET_MOST = (1 << 53) - 1
"""The largest amount of the market."""


def token_transfer_input(recipients: Bytes, amounts: Bytes) -> Bytes:
    """recipient ‖ amount, uint8 (n, 52), of uint8 (n, 20) and big-endian uint8 (n, 32)."""
    return np.concatenate([recipients, amounts], axis=1)


def token_balance_keys(owners: Bytes) -> Bytes:
    """The token's storage keys of balances, uint8 (n, 32), of addresses uint8 (n, 20)."""
    return np.concatenate([np.zeros((len(owners), _WORD_BYTES - _ADDRESS_BYTES), np.uint8), owners], axis=1)


def token_stored_amounts(amounts: Bytes) -> Bytes:
    """Amounts as the token stores them, little-endian uint8 (n, 32), of big-endian ones."""
    return np.ascontiguousarray(amounts[:, ::-1])


def nft_transfer_input(recipients: Bytes, ids: Bytes) -> Bytes:
    """recipient ‖ id, uint8 (n, 52), of uint8 (n, 20) and uint8 (n, 32). The id is the storage key of its owner (20)."""
    return np.concatenate([recipients, ids], axis=1)


def market_swap_input(sides: Bytes, amounts: NDArray[np.uint64], least: NDArray[np.uint64]) -> Bytes:
    """side ‖ amount given ‖ least received, uint8 (n, 17), of uint8 (n,) and two times uint64 (n,) below 2^53."""
    return np.concatenate([sides[:, None], big_endian(amounts, 8), big_endian(least, 8)], axis=1)


def market_balance_keys(side: int, owners: Bytes) -> Bytes:
    """The market's storage keys of balances, uint8 (n, 21); side 0 or 1, or 2 for shares; addresses uint8 (n, 20)."""
    return np.concatenate([np.full((len(owners), 1), side, np.uint8), owners], axis=1)


def market_stored_amounts(amounts: NDArray[np.uint64]) -> Bytes:
    """Amounts as the market stores them, little-endian uint8 (n, 8 k), of uint64 (n, k)."""
    return np.ascontiguousarray(amounts).astype("<u8").view(np.uint8)
