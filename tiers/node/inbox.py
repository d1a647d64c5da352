# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactions that wait for a block, on disk, each once: they are known by their hashes.

A transaction is noted before its submission is answered, and stays noted with its block for as long as the block is kept, so
whoever has lost an answer asks again and gets it. Packing notes the block first and then hands it over.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from supervm.tiers.node.databases import Database

_TABLE = """
CREATE TABLE IF NOT EXISTS transactions (
    arrival INTEGER PRIMARY KEY AUTOINCREMENT, hash BLOB NOT NULL UNIQUE, data BLOB NOT NULL, number INTEGER, place INTEGER
);
CREATE INDEX IF NOT EXISTS by_number ON transactions (number, arrival);
"""


@dataclass(frozen=True)
class Noted:
    """A transaction that is noted: the block and the place in it that it was packed into, None while it waits."""

    number: int | None
    place: int | None


class Inbox:
    """The inbox; every method may be called from any thread, and raises DatabaseFailed where its file cannot be used.

    Args:
        path: of the database.
        sync: whether notes wait for the disk.
    """

    def __init__(self, path: Path, *, sync: bool = False) -> None:
        self._database, self._lock = Database(path, _TABLE, sync=sync), threading.Lock()

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._database.close()

    def find(self, hashes: Sequence[bytes]) -> list[Noted | None]:
        """What is noted of transactions, None for those that are not."""
        with self._lock:
            return [self._find(each) for each in hashes]

    def add(self, hashes: Sequence[bytes], encodings: Sequence[bytes]) -> None:
        """Note transactions, all or none; those that are noted already stay as they are."""
        with self._lock, self._database.transaction():
            self._database.execute_many(
                "INSERT OR IGNORE INTO transactions (hash, data) VALUES (?, ?)",
                zip(hashes, encodings, strict=True),
            )

    def readmit(self, hashes: Sequence[bytes], numbers: Sequence[int]) -> None:
        """Let transactions wait once more that these blocks had, and rejected."""
        with self._lock, self._database.transaction():
            self._database.execute_many(
                "UPDATE transactions SET number = NULL, place = NULL WHERE hash = ? AND number = ?",
                zip(hashes, numbers, strict=True),
            )

    @property
    def waiting(self) -> int:
        """Transactions that no block has."""
        with self._lock:
            [(count,)] = self._database.execute("SELECT COUNT(*) FROM transactions WHERE number IS NULL")
            return int(count)

    def pack(self, number: int, most: int) -> list[bytes]:
        """Give the oldest waiting transactions, `most` of them at most, places in a block; their encodings."""
        with self._lock, self._database.transaction():
            rows = self._database.execute(
                "SELECT arrival, data FROM transactions WHERE number IS NULL ORDER BY arrival LIMIT ?",
                (most,),
            )
            self._database.execute_many(
                "UPDATE transactions SET number = ?, place = ? WHERE arrival = ?",
                [(number, place, arrival) for place, (arrival, _) in enumerate(rows)],
            )
        return [data for _, data in rows]

    def release(self, last: int, holds: Callable[[int], bool]) -> None:
        """Let transactions wait again whose block was never handed over.

        Args:
            last: number of the last executed block.
            holds: whether a later block is there and will be executed.
        """
        with self._lock, self._database.transaction():
            packed = self._database.execute(
                "SELECT DISTINCT number FROM transactions WHERE number > ?", (last,)
            )
            lost = [(number,) for (number,) in packed if not holds(number)]
            self._database.execute_many(
                "UPDATE transactions SET number = NULL, place = NULL WHERE number = ?", lost
            )

    def prune(self, before: int) -> None:
        """Forget the transactions of blocks before this one."""
        with self._lock:
            self._database.execute("DELETE FROM transactions WHERE number < ?", (before,))

    def _find(self, hash: bytes) -> Noted | None:
        row = self._database.first("SELECT number, place FROM transactions WHERE hash = ?", (hash,))
        return None if row is None else Noted(*row)
