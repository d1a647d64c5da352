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
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from supervm.crypto.messages import Messages
from supervm.engine.blocks import intrinsic_gas
from supervm.engine.transaction_encoding import decode
from supervm.engine.transactions import TransactionBatch
from supervm.tiers.node.blocks import block_bytes
from supervm.tiers.node.databases import Database
from supervm.tiers.node.joining import Joining
from supervm.tiers.node.limits import InboxLimits
from supervm.tiers.node.refusals import Refusal
from supervm.tiers.node.waiting import ROW, Accounts, Places, Ranking, Rows, Waiting, rows_of
from supervm.vm.limits import TRANSACTION_BYTES

log = logging.getLogger(__name__)

_TABLE = """
CREATE TABLE IF NOT EXISTS transactions (
    arrival INTEGER PRIMARY KEY AUTOINCREMENT, hash BLOB NOT NULL UNIQUE, data BLOB NOT NULL, number INTEGER, place INTEGER
);
CREATE INDEX IF NOT EXISTS by_number ON transactions (number, arrival);
CREATE TEMP TABLE picked (place INTEGER PRIMARY KEY, arrival INTEGER NOT NULL);
"""

ROOM_MADE = 16
"""Where there is no room, the last of so many parts of what may wait makes some, so that ranking is worth its time."""

READ_BYTES = 8 << 20
"""Of transactions that are read at once at a start."""


@dataclass(frozen=True)
class Noted:
    """A transaction that is noted: the block and the place in it that it was packed into, None while it waits."""

    number: int | None
    place: int | None


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
        self._database, self._lock = Database(path, _TABLE, sync=sync), threading.Lock()
        block = self.limits.block
        self._block = np.array([block.transactions, block.bytes - block_bytes(0, 0), block.gas])
        try:
            self._load()
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._database.close()

    def find(self, hashes: Sequence[bytes]) -> list[Noted | None]:
        """What is noted of transactions, None for those that are not."""
        with self._lock:
            return [self._find(each) for each in hashes]

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
            fresh = np.array([place for each, place in firsts.items() if self._find(each) is None], np.int64)
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
        kept = np.delete(self._waiting.rows, joining.replaced)
        kept = np.concatenate([kept, rows[joining.reasons == 0]])
        kept, dropped = self._with_room(kept, accounts)
        joining.reasons[np.isin(arrivals, dropped)] = Refusal.INBOX_FULL
        noted = np.flatnonzero(joining.reasons == 0).tolist()
        gone = np.concatenate([self._waiting.rows["arrival"][joining.replaced], dropped])
        with self._database.transaction():
            self._delete(gone[gone < self._next])
            self._database.execute_many(
                "INSERT INTO transactions (arrival, hash, data) VALUES (?, ?, ?)",
                ((self._next + place, hashes[place], encodings[place]) for place in noted),
            )
        self._next += len(batch)
        self._waiting.rows = kept
        return joining.reasons

    def _with_room(self, rows: Rows, accounts: Accounts) -> tuple[Rows, Places]:
        """What of these rows may wait together, and the arrivals of the others."""
        limits = self.limits
        if len(rows) <= limits.transactions and int(rows["bytes"].sum()) <= limits.bytes:
            return rows, np.zeros(0, np.int64)
        places = self._waiting.ranked(rows, accounts).places
        sums = np.cumsum(rows["bytes"][places])
        most = min(
            limits.transactions - limits.transactions // ROOM_MADE,
            int(np.searchsorted(sums, limits.bytes - limits.bytes // ROOM_MADE, "right")),
        )
        log.info("%d transactions that rank last made room for others", len(rows) - most)
        self._hopeless[:] = 0
        return rows[np.sort(places[:most])], rows["arrival"][places[most:]]

    def _expire(self) -> None:
        """Drop what has waited for too long."""
        since = self._waiting.rows["since"]  # by arrival, and so ascending
        old = int(np.searchsorted(since, self._clock() - self.limits.seconds))
        if old:
            self._drop(np.arange(old))
            log.info("%d transactions waited for longer than %g s, and are dropped", old, self.limits.seconds)

    def forget(self, hashes: Sequence[bytes], numbers: Sequence[int]) -> None:
        """Forget that these blocks had these transactions, and rejected them."""
        with self._lock, self._database.transaction():
            self._database.execute_many(
                "DELETE FROM transactions WHERE hash = ? AND number = ?", zip(hashes, numbers, strict=True)
            )

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
            return bool((_sums(self._waiting.rows) - self._hopeless >= self._block).any())

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
            sums = np.cumsum(_amounts(rows[ready]), axis=0)
            count = int((sums <= self._block).all(axis=1).sum())
            if most is not None:
                count = min(count, most)
            self._note_hopeless(ranking)
            if not count or (full and count == ready.size and not (sums[-1] >= self._block).any()):
                return []
            return self._take(number, ready[:count], ranking)

    def _take(self, number: int, chosen: Places, ranking: Ranking) -> list[bytes]:
        rows = self._waiting.rows
        arrivals, spent = rows["arrival"][chosen], np.flatnonzero(ranking.spent)
        with self._database.transaction():
            self._database.execute("DELETE FROM picked")
            self._database.execute_many(
                "INSERT INTO picked (place, arrival) VALUES (?, ?)", enumerate(arrivals.tolist())
            )
            self._database.execute(
                "UPDATE transactions SET number = ?, place = picked.place FROM picked"
                " WHERE transactions.arrival = picked.arrival",
                (number,),
            )
            found = self._database.execute(
                "SELECT data FROM picked CROSS JOIN transactions USING (arrival) ORDER BY picked.place"
            )
            self._delete(rows["arrival"][spent])
        self._waiting.rows = np.delete(rows, np.concatenate([chosen, spent]))
        return [data for (data,) in found]

    def unpack(self, number: int) -> None:
        """Let the transactions of a block wait again that was not handed over."""
        with self._lock:
            self._release([number])

    def holds(self, number: int) -> bool:
        """Whether transactions were packed into this block."""
        with self._lock:
            found = self._database.first("SELECT 1 FROM transactions WHERE number = ? LIMIT 1", (number,))
            return found is not None

    def release(self, last: int, holds: Callable[[int], bool]) -> None:
        """Let transactions wait again whose block was never handed over.

        Args:
            last: number of the last executed block.
            holds: whether a later block is there and will be executed.
        """
        with self._lock:
            packed = self._database.execute(
                "SELECT DISTINCT number FROM transactions WHERE number > ?", (last,)
            )
            self._release([number for (number,) in packed if not holds(number)])

    def drop(self, hashes: Sequence[bytes]) -> None:
        """Forget transactions that wait."""
        with self._lock:
            with self._database.transaction():
                self._database.execute_many(
                    "DELETE FROM transactions WHERE hash = ? AND number IS NULL", [(each,) for each in hashes]
                )
            self._load()

    def prune(self, before: int) -> None:
        """Forget the transactions of blocks before this one."""
        with self._lock:
            self._database.execute("DELETE FROM transactions WHERE number < ?", (before,))

    # ---------------------------------------------------------------------------------------------- inside

    def _note_hopeless(self, ranking: Ranking) -> None:
        self._hopeless = _sums(self._waiting.rows[ranking.places[ranking.ready :]])

    def _release(self, numbers: list[int]) -> None:
        with self._database.transaction():
            self._database.execute_many(
                "UPDATE transactions SET number = NULL, place = NULL WHERE number = ?",
                [(number,) for number in numbers],
            )
        if numbers:
            self._load()

    def _drop(self, places: Places) -> None:
        with self._database.transaction():
            self._delete(self._waiting.rows["arrival"][places])
        self._waiting.rows = np.delete(self._waiting.rows, places)
        self._hopeless[:] = 0

    def _delete(self, arrivals: Places) -> None:
        self._database.execute_many(
            "DELETE FROM transactions WHERE arrival = ?", [(each,) for each in arrivals.tolist()]
        )

    def _find(self, hash: bytes) -> Noted | None:
        row = self._database.first("SELECT number, place FROM transactions WHERE hash = ?", (hash,))
        return None if row is None else Noted(*row)

    # ---------------------------------------------------------------------------------------------- a start

    def _load(self) -> None:
        """Number what waits on disk. What no block would take any more, by size, gas or price, is dropped unread."""
        self._waiting, self._hopeless = Waiting(), np.zeros(3, np.int64)
        [(last,)] = self._database.execute("SELECT COALESCE(MAX(arrival), 0) FROM transactions")
        self._next = int(last) + 1
        sizes = np.array(
            self._database.execute(
                "SELECT arrival, LENGTH(data) FROM transactions WHERE number IS NULL ORDER BY arrival"
            ),
            np.int64,
        ).reshape(-1, 2)
        large = sizes[:, 1] > TRANSACTION_BYTES
        dropped, found = [sizes[large, 0]], [np.zeros(0, ROW)]
        for first, stop in _parts(sizes[~large, 1]):
            part = sizes[~large][first:stop]
            kept, lost = self._loaded(part[:, 0])
            found.append(kept)
            dropped.append(lost)
        self._waiting.rows = np.concatenate(found)
        gone = np.concatenate(dropped)
        if gone.size:
            log.warning(
                "%d transactions that waited fit into no block by these limits, and are dropped", gone.size
            )
            with self._database.transaction():
                self._delete(gone)

    def _loaded(self, arrivals: Places) -> tuple[Rows, Places]:
        """The rows of these arrivals, and the arrivals of what is dropped."""
        encodings = Messages.of(
            [
                data
                for (data,) in self._database.execute(
                    "SELECT data FROM transactions WHERE number IS NULL AND arrival BETWEEN ? AND ? ORDER BY arrival",
                    (int(arrivals[0]), int(arrivals[-1])),
                )
                if len(data) <= TRANSACTION_BYTES
            ]
        )
        batch, faults = decode(encodings)
        sizes, here = np.diff(encodings.offsets)[faults.kept], arrivals[faults.kept]
        rows = rows_of(batch, sizes, here, self._clock())
        rows["sender"] = self._waiting.number(batch.sender)
        intrinsic, large = intrinsic_gas(batch)
        fits = (_amounts(rows) <= self._block).all(axis=1) & (rows["price"] >= np.uint64(self.limits.price))
        fits &= ~large & (batch.gas_limit >= intrinsic)
        return rows[fits], np.concatenate([arrivals[faults.rows], here[~fits]])


def _parts(sizes: Places) -> Iterator[tuple[int, int]]:
    """Bounds of parts of about `READ_BYTES`."""
    part = (np.cumsum(sizes) - sizes) // READ_BYTES
    bounds = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), sizes.size]
    return ((first, stop) for first, stop in itertools.pairwise(bounds) if first < stop)


def _amounts(rows: Rows) -> Places:
    """What each row takes of a block: 1, bytes of the file, gas; int64 (m, 3)."""
    size = rows["bytes"] + (block_bytes(1, 0) - block_bytes(0, 0))
    return np.stack([np.ones(len(rows), np.int64), size, rows["gas"]], axis=1)


def _sums(rows: Rows) -> Places:
    found: Places = _amounts(rows).sum(axis=0)
    return found
