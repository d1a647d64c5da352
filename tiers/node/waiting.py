# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactions that wait for a block, in columns: which of them the next block would take, and in which order.

A transaction is *ready* if its nonce and those of its sender before it follow the account's without a gap, and the account
holds what all of them may cost: value + gas limit × gas price, whatever they will use. Nothing but the sender's own
transactions takes from its account (a contract moves its own money, and has no key), so a block of ready transactions, each
sender's by nonce, has none that is rejected. Where the chain has Ethereum transactions, an account may let a contract's code
act for it (EIP-7702); what that spends may get a later transaction of the account rejected.

Ready ones are ranked by gas price, the highest first, and by arrival where prices are the same. A transaction counts with
the lowest price, and the latest arrival, of its sender's up to it, since it cannot go before them. What is not ready ranks
behind all that is: with money that is only shown, nobody takes a place from those who pay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.engine.arrays import amounts
from supervm.engine.blocks.layout import intrinsic_gas
from supervm.engine.transactions.batch import Scheme, TransactionBatch
from supervm.kernels.array_types import Flags
from supervm.kernels.keys import KeyTable
from supervm.kernels.work import Ragged
from supervm.tiers.node.blocks import block_bytes
from supervm.tiers.node.quick_check import most_cost
from supervm.vm.gas import NEW_ACCOUNT
from supervm.vm.limits import GAS_LIMIT

Rows = NDArray[Any]
Places = NDArray[np.int64]
Accounts = Callable[[NDArray[np.uint8]], tuple[NDArray[np.uint64], NDArray[np.uint8]]]
"""Nonces, uint64 (k,), and balances, uint8 (k, 32) big-endian, of addresses uint8 (k, 20)."""

ROW = np.dtype(
    [
        ("arrival", np.int64),
        ("sender", np.int64),
        ("nonce", np.uint64),
        ("price", np.uint64),
        ("bytes", np.int64),
        ("gas", np.int64),
        ("cost", np.uint64, (4,)),
        ("since", np.float64),
    ]
)
"""A transaction: its number by arrival, its sender's number, the bytes of its encoding, the gas that it can use, what it
can cost (limbs), and since when it waits, in seconds of the inbox's clock."""

SENDERS_KEPT = 1 << 14
"""Numbers of senders that nothing waits of, beyond as many as wait, before all are numbered anew."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """An order of m rows.

    Args:
        places: int64 (m,), the rows, best first: those that are ready, then the others.
        ready: how many are.
        spent: bool (m,), by row: its nonce was spent, so that it is worth nothing.
    """

    places: Places
    ready: int
    spent: Flags


def rows_of(batch: TransactionBatch, sizes: Places, arrivals: Places, since: float) -> Rows:
    """Rows of transactions of these sizes; their senders are not numbered yet."""
    rows = np.zeros(len(batch), ROW)
    rows["arrival"], rows["since"] = arrivals, since
    rows["nonce"], rows["price"], rows["bytes"] = batch.nonce, batch.gas_price, sizes
    intrinsic, _ = intrinsic_gas(batch)
    limit = np.minimum(batch.gas_limit, np.uint64(GAS_LIMIT))
    is_call = (np.diff(batch.entry.offsets) > 0) | (batch.scheme == Scheme.ETHEREUM)
    rows["gas"] = np.where(is_call, limit, np.minimum(limit, intrinsic + np.uint64(NEW_ACCOUNT)))
    cost, overflows = most_cost(batch)
    rows["cost"] = np.where(overflows[:, None], ~np.uint64(0), cost)
    return rows


def amounts_of(rows: Rows) -> Places:
    """What each row takes of a block, int64 (m, 3): 1 of its transactions, bytes of its file, gas."""
    size = rows["bytes"] + (block_bytes(1, 0) - block_bytes(0, 0))
    return np.stack([np.ones(len(rows), np.int64), size, rows["gas"]], axis=1)


def rank(rows: Rows, nonces: NDArray[np.uint64], balances: NDArray[np.uint64]) -> Ranking:
    """Order rows.

    Args:
        rows: m, by arrival, no two of a sender with one nonce.
        nonces, balances: of each row's sender, uint64 (m,) and limbs (m, 4).
    """
    count = len(rows)
    spent = rows["nonce"] < nonces
    by = np.lexsort((rows["nonce"], rows["sender"]))
    by = by[~spent[by]]
    sender, place = rows["sender"][by], np.arange(by.size)
    begins = np.diff(sender, prepend=-1) != 0
    first = np.maximum.accumulate(np.where(begins, place, 0))
    in_line = rows["nonce"][by] - nonces[by] == (place - first).astype(np.uint64)
    needed, overflows = amounts.running_totals(rows["cost"][by], first)
    ready = in_line & ~overflows & ~amounts.below(balances[by], needed)
    # Prices and arrivals as ranks, so that those of a sender lie apart from those of all others in one running extreme.
    apart = (np.cumsum(begins) - 1) * (count + 1)
    prices = _ranks(rows["price"][by])
    lowest = np.minimum.accumulate(prices - apart) + apart
    latest = np.maximum.accumulate(by + apart) - apart
    order = np.lexsort((rows["nonce"][by], latest, -lowest, ~ready))
    places = np.concatenate([by[order], np.flatnonzero(spent)])
    return Ranking(places, int(np.count_nonzero(ready)), spent)


def _ranks(values: NDArray[np.uint64]) -> Places:
    """Numbers in the order of these values, from 0, the same for the same."""
    if not values.size or (values == values[0]).all():
        return np.zeros(values.size, np.int64)
    found: Places = np.unique(values, return_inverse=True)[1].reshape(-1)
    return found


class Waiting:
    """The rows, by arrival, and the numbers of their senders. Whoever shares it between threads takes turns.

    Attributes:
        totals: int64 (3,), the sum of `amounts_of` the rows.
    """

    def __init__(self) -> None:
        self._buffer: Rows = np.zeros(SENDERS_KEPT, ROW)
        self._owners: Places = np.zeros(SENDERS_KEPT, np.int64)  # the senders once more, in one piece
        self._count, self.totals = 0, np.zeros(3, np.int64)
        self._senders = KeyTable()

    def __len__(self) -> int:
        return self._count

    @property
    def rows(self) -> Rows:
        """All rows; what changes them leaves this view behind."""
        return self._buffer[: self._count]

    def append(self, rows: Rows) -> None:
        """Add rows behind the others."""
        count = self._count + len(rows)
        if count > len(self._buffer):
            grown, owners = np.zeros(2 * count, ROW), np.zeros(2 * count, np.int64)
            grown[: self._count], owners[: self._count] = self.rows, self._owners[: self._count]
            self._buffer, self._owners = grown, owners
        self._buffer[self._count : count] = rows
        self._owners[self._count : count] = rows["sender"]
        self._count, self.totals = count, self.totals + amounts_of(rows).sum(axis=0)

    def keep(self, rows: Rows) -> None:
        """Have these rows, and no others."""
        self._buffer, self._owners = np.zeros(SENDERS_KEPT, ROW), np.zeros(SENDERS_KEPT, np.int64)
        self._count, self.totals = 0, np.zeros(3, np.int64)
        self.append(rows)

    def number(self, addresses: NDArray[np.uint8]) -> Places:
        """The numbers of senders, uint8 (k, 20)."""
        if len(self._senders) > 2 * self._count + SENDERS_KEPT:
            held = self._addresses(self.rows["sender"])
            self._senders = KeyTable()
            self._owners[: self._count] = self._senders.intern(_strings(held))
            self.rows["sender"] = self._owners[: self._count]
        return self._senders.intern(_strings(addresses))

    def of_senders(self, senders: Places) -> Places:
        """The rows of these senders, int64, ascending."""
        wanted = np.zeros(len(self._senders), np.bool_)
        wanted[senders] = True
        return np.flatnonzero(wanted[self._owners[: self._count]])

    def accounts(self, rows: Rows, accounts: Accounts) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Nonce and balance of each row's sender now, as `rank` takes them."""
        senders, which = np.unique(rows["sender"], return_inverse=True)
        nonces, balances = accounts(self._addresses(senders))
        which = which.reshape(-1)
        return nonces[which], amounts.from_big_endian(balances)[which]

    def ranked(self, rows: Rows, accounts: Accounts) -> Ranking:
        """The order of rows whose senders are numbered here."""
        return rank(rows, *self.accounts(rows, accounts))

    def _addresses(self, senders: Places) -> NDArray[np.uint8]:
        return self._senders.strings(senders).data.reshape(-1, 20)


def _strings(addresses: NDArray[np.uint8]) -> Ragged:
    data = np.ascontiguousarray(addresses)
    return Ragged(data.reshape(-1), np.arange(len(data) + 1, dtype=np.int64) * 20)
