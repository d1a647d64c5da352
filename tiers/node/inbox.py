# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactions that wait for a block, on disk, each once: they are known by their hashes.

A transaction is noted before its submission is answered, and stays noted with its block for as long as the block is kept, so
whoever has lost an answer asks again and gets it. Packing notes the block first and then hands it over.

What waits is bounded (`limits.InboxLimits`): of a sender, of all together, and in time. Where there is no room, what ranks
last makes it (`waiting`). Whatever was dropped is unknown again, and may be submitted again.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from supervm.crypto.messages import Messages
from supervm.engine.blocks.layout import intrinsic_gas
from supervm.engine.transactions.batch import TransactionBatch
from supervm.engine.transactions.encoding import decode
from supervm.tiers.node.blocks import block_bytes
from supervm.tiers.node.inbox_table import InboxTable, Noted
from supervm.tiers.node.joining import Joining
from supervm.tiers.node.limits import InboxLimits, Refusal
from supervm.tiers.node.waiting import ROW, Accounts, Places, Ranking, Rows, Waiting, amounts_of, rows_of
from supervm.vm.limits import TRANSACTION_BYTES

log = logging.getLogger(__name__)

ROOM_MADE = 16
"""Where there is no room, the last of so many parts of what may wait makes some, so that ranking is worth its time."""

READ_BYTES = 8 << 20
"""Of transactions that are read at once at a start."""


class Inbox:
    """The inbox; every method may be called from any thread, and raises DatabaseFailed where its file cannot be used.

    Args:
        path: of the database.
        limits: of what waits.
        sync: whether notes wait for the disk.
        clock: seconds, never falling.
    """

    def __init__(
        self,
        path: Path,
        limits: InboxLimits | None = None,
        *,
        sync: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits, self._clock = limits or InboxLimits(), clock
        self._table, self._lock = InboxTable(path, sync=sync), threading.Lock()
        block = self.limits.block
        self._block = np.array([block.transactions, block.bytes - block_bytes(0, 0), block.gas])
        self._most = np.array([self.limits.transactions, self.limits.bytes, np.iinfo(np.int64).max])
        try:
            self._load()
        except BaseException:
            self._table.close()
            raise

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._table.close()

    def find(self, hashes: Sequence[bytes]) -> list[Noted | None]:
        """What is noted of transactions, None for those that are not."""
        with self._lock:
            noted = self._table.noted(hashes)
        return [noted.get(each) for each in hashes]

    # ---------------------------------------------------------------------------------------------- in

    def add(
        self,
        hashes: Sequence[bytes],
        encodings: Sequence[bytes],
        accounts: Accounts,
        batch: TransactionBatch | None = None,
    ) -> NDArray[np.uint8]:
        """Note transactions that the quick check found nothing against.

        Args:
            hashes, encodings: of n transactions.
            accounts: says what their senders have now.
            batch: the same in columns, if it is at hand.

        Returns:
            uint8 (n,): 0 for what is noted, also by an earlier call; else `Refusal`, or `Reason.INSUFFICIENT_BALANCE`
            where the account does not hold what all of its sender's may cost that wait.
        """
        reasons = np.zeros(len(hashes), np.uint8)
        firsts: dict[bytes, int] = {}
        for place, each in enumerate(hashes):
            firsts.setdefault(each, place)
        with self._lock:
            noted = self._table.noted(hashes)
            fresh = np.array([place for each, place in firsts.items() if each not in noted], np.int64)
            if fresh.size:
                if batch is None:
                    batch, _ = decode(Messages.of(list(encodings)))
                self._expire()
                reasons[fresh] = self._join(
                    [hashes[place] for place in fresh], [encodings[place] for place in fresh],
                    batch.take(fresh), accounts,
                )  # fmt: skip
        return reasons[[firsts[each] for each in hashes]] if len(firsts) < len(hashes) else reasons

    def _join(
        self, hashes: list[bytes], encodings: list[bytes], batch: TransactionBatch, accounts: Accounts
    ) -> NDArray[np.uint8]:
        sizes = np.array([len(each) for each in encodings], np.int64)
        arrivals = self._next + np.arange(len(batch))
        rows = rows_of(batch, sizes, arrivals, self._clock())
        rows["sender"] = self._waiting.number(batch.sender)
        joining = Joining(self._waiting, rows, self.limits, accounts)
        joining.join()
        waiting, joined = self._waiting, rows[joining.reasons == 0]
        kept, gone = None, np.zeros(0, np.int64)
        if joining.replaced.size or self._too_many(joined):
            kept = np.concatenate([np.delete(waiting.rows, joining.replaced), joined])
            kept, dropped = self._with_room(kept, accounts)
            joining.reasons[np.isin(arrivals, dropped)] = Refusal.INBOX_FULL
            gone = np.concatenate([waiting.rows["arrival"][joining.replaced], dropped])
        noted = np.flatnonzero(joining.reasons == 0).tolist()
        with self._table.transaction():
            self._table.delete(gone[gone < self._next])
            self._table.insert((self._next + place, hashes[place], encodings[place]) for place in noted)
        self._next += len(batch)
        if kept is None:
            waiting.append(joined)
        else:
            waiting.keep(kept)
        return joining.reasons

    def _too_many(self, joined: Rows) -> bool:
        """Whether there is no room for these too."""
        return bool((self._waiting.totals + amounts_of(joined).sum(axis=0) > self._most).any())

    def _with_room(self, rows: Rows, accounts: Accounts) -> tuple[Rows, Places]:
        """What of these rows may wait together, and the arrivals of the others."""
        sizes = amounts_of(rows)
        if not (sizes.sum(axis=0) > self._most).any():
            return rows, np.zeros(0, np.int64)
        places = self._waiting.ranked(rows, accounts).places
        sums = np.cumsum(sizes[places], axis=0)
        most = int((sums <= self._most - self._most // ROOM_MADE).all(axis=1).sum())
        log.info("%d transactions that rank last made room for others", len(rows) - most)
        self._hopeless[:] = 0
        return rows[np.sort(places[:most])], rows["arrival"][places[most:]]

    def _expire(self) -> None:
        """Drop what has waited for too long."""
        since, last = self._waiting.rows["since"], self._clock() - self.limits.seconds
        if len(since) and since[0] < last:  # by arrival, and so ascending
            old = int(np.searchsorted(since, last))
            self._drop(np.arange(old))
            log.info("%d transactions waited for longer than %g s, and are dropped", old, self.limits.seconds)

    def forget(self, hashes: Sequence[bytes], numbers: Sequence[int]) -> None:
        """Forget that these blocks had these transactions, and rejected them."""
        with self._lock, self._table.transaction():
            self._table.delete_hashes(hashes, numbers)

    # ---------------------------------------------------------------------------------------------- out

    @property
    def waiting(self) -> int:
        """Transactions that no block has."""
        return len(self._waiting)

    @property
    def hopeful(self) -> bool:
        """Whether something waits that may be ready: what was not at the last ranking is not, until `reconsider`."""
        return len(self._waiting) > int(self._hopeless[0])

    @property
    def may_fill(self) -> bool:
        """Whether what may be ready fills a block."""
        with self._lock:
            return bool((self._waiting.totals - self._hopeless >= self._block).any())

    def reconsider(self) -> None:
        """The state has changed: what was not ready may be now."""
        self._hopeless[:] = 0

    def pack(
        self, number: int, accounts: Accounts, most: int | None = None, *, full: bool = False
    ) -> list[bytes]:
        """Give the best of what is ready places in a block; their encodings, none where nothing is.

        Args:
            number: of the block.
            accounts: says what senders have in the state that the block will meet.
            most: transactions, where not as many as the limits say.
            full: whether there is to be no block unless it is full.
        """
        with self._lock:
            self._expire()
            ranking = self._waiting.ranked(self._waiting.rows, accounts)
            ready, rows = ranking.places[: ranking.ready], self._waiting.rows
            sums = np.cumsum(amounts_of(rows[ready]), axis=0)
            count = int((sums <= self._block).all(axis=1).sum())
            if most is not None:
                count = min(count, most)
            self._hopeless = amounts_of(rows[ranking.places[ranking.ready :]]).sum(axis=0)
            if not count or (full and count == ready.size and not (sums[-1] >= self._block).any()):
                return []
            return self._take(number, ready[:count], ranking)

    def _take(self, number: int, chosen: Places, ranking: Ranking) -> list[bytes]:
        rows = self._waiting.rows
        arrivals, spent = rows["arrival"][chosen], np.flatnonzero(ranking.spent)
        with self._table.transaction():
            found = self._table.encodings(arrivals)
            self._table.place(number, arrivals)
            self._table.delete(rows["arrival"][spent])
        self._waiting.keep(np.delete(rows, np.concatenate([chosen, spent])))
        return found

    def unpack(self, number: int) -> None:
        """Let the transactions of a block wait again that was not handed over."""
        with self._lock:
            self._release([number])

    def holds(self, number: int) -> bool:
        """Whether transactions were packed into this block."""
        with self._lock:
            return number in self._table.numbers(number - 1)

    def release(self, last: int, holds: Callable[[int], bool]) -> None:
        """Let transactions wait again whose block was never handed over.

        Args:
            last: number of the last executed block.
            holds: whether a later block is there and will be executed.
        """
        with self._lock:
            self._release([number for number in self._table.numbers(last) if not holds(number)])

    def drop(self, hashes: Sequence[bytes]) -> None:
        """Forget transactions that wait."""
        with self._lock:
            with self._table.transaction():
                self._table.delete_hashes(hashes, [None] * len(hashes))
            self._load()

    def prune(self, before: int) -> None:
        """Forget the transactions of blocks before this one."""
        with self._lock:
            self._table.prune(before)

    # ---------------------------------------------------------------------------------------------- inside

    def _release(self, numbers: list[int]) -> None:
        with self._table.transaction():
            self._table.release(numbers)
        if numbers:
            self._load()

    def _drop(self, places: Places) -> None:
        with self._table.transaction():
            self._table.delete(self._waiting.rows["arrival"][places])
        self._waiting.keep(np.delete(self._waiting.rows, places))
        self._hopeless[:] = 0

    # ---------------------------------------------------------------------------------------------- a start

    def _load(self) -> None:
        """Number what waits on disk. What no block would take any more, by size, gas or price, is dropped unread."""
        self._waiting, self._hopeless = Waiting(), np.zeros(3, np.int64)
        self._next, sizes = self._table.last + 1, self._table.sizes()
        large = sizes[:, 1] > TRANSACTION_BYTES
        dropped, found = [sizes[large, 0]], [np.zeros(0, ROW)]
        for first, stop in _parts(sizes[~large, 1]):
            part = sizes[~large][first:stop]
            kept, lost = self._loaded(part[:, 0])
            found.append(kept)
            dropped.append(lost)
        self._waiting.keep(np.concatenate(found))
        gone = np.concatenate(dropped)
        if gone.size:
            log.warning(
                "%d transactions that waited fit into no block by these limits, and are dropped", gone.size
            )
            with self._table.transaction():
                self._table.delete(gone)

    def _loaded(self, arrivals: Places) -> tuple[Rows, Places]:
        """The rows of these arrivals, and the arrivals of what is dropped."""
        encodings = Messages.of(self._table.encodings(arrivals))
        batch, faults = decode(encodings)
        sizes, here = np.diff(encodings.offsets)[faults.kept], arrivals[faults.kept]
        rows = rows_of(batch, sizes, here, self._clock())
        rows["sender"] = self._waiting.number(batch.sender)
        intrinsic, large = intrinsic_gas(batch)
        fits = (amounts_of(rows) <= self._block).all(axis=1) & (rows["price"] >= np.uint64(self.limits.price))
        fits &= ~large & (batch.gas_limit >= intrinsic)
        return rows[fits], np.concatenate([arrivals[faults.rows], here[~fits]])


def _parts(sizes: Places) -> Iterator[tuple[int, int]]:
    """Bounds of parts of about `READ_BYTES`."""
    part = (np.cumsum(sizes) - sizes) // READ_BYTES
    bounds = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), sizes.size]
    return ((first, stop) for first, stop in itertools.pairwise(bounds) if first < stop)
