# SPDX-License-Identifier: GPL-3.0-or-later
"""The inbox in SQLite: encodings of transactions by hash and by arrival, and the blocks that they were packed into."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from supervm.tiers.node.databases import Database

Arrivals = NDArray[np.int64]

_TABLE = """
CREATE TABLE IF NOT EXISTS transactions (
    arrival INTEGER PRIMARY KEY AUTOINCREMENT, hash BLOB NOT NULL UNIQUE, data BLOB NOT NULL, number INTEGER, place INTEGER
);
CREATE INDEX IF NOT EXISTS by_number ON transactions (number, arrival);
"""

ASKED_AT_ONCE = 500
"""Hashes that one statement asks for."""


@dataclass(frozen=True)
class Noted:
    """A transaction that is noted: the block and the place in it that it was packed into, None while it waits."""

    number: int | None
    place: int | None


class InboxTable:
    """The table; whoever shares it between threads takes turns. Every method raises DatabaseFailed.

    Args:
        path: of the database.
        sync: whether changes wait for the disk.
    """

    def __init__(self, path: Path, *, sync: bool) -> None:
        self._database = Database(path, _TABLE, sync=sync)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def transaction(self) -> AbstractContextManager[None]:
        """Inside of `with`: every change or none."""
        return self._database.transaction()

    def noted(self, hashes: Sequence[bytes]) -> dict[bytes, Noted]:
        """Those of these that are noted."""
        found: dict[bytes, Noted] = {}
        for start in range(0, len(hashes), ASKED_AT_ONCE):
            part = tuple(hashes[start : start + ASKED_AT_ONCE])
            marks = ", ".join("?" * len(part))
            rows = self._database.execute(
                f"SELECT hash, number, place FROM transactions WHERE hash IN ({marks})", part
            )
            found.update((hash, Noted(number, place)) for hash, number, place in rows)
        return found

    @property
    def last(self) -> int:
        """The last arrival; 0 if there is none."""
        [(last,)] = self._database.execute("SELECT COALESCE(MAX(arrival), 0) FROM transactions")
        return int(last)

    def sizes(self) -> Arrivals:
        """Arrival and bytes of each one that waits, int64 (n, 2), ascending."""
        rows = self._database.execute(
            "SELECT arrival, LENGTH(data) FROM transactions WHERE number IS NULL ORDER BY arrival"
        )
        return np.array(rows, np.int64).reshape(-1, 2)

    def encodings(self, arrivals: Arrivals) -> list[bytes]:
        """Of these arrivals, in their order."""
        rows = self._database.execute(
            "SELECT data FROM json_each(?) AS asked CROSS JOIN transactions ON arrival = asked.value"
            " ORDER BY asked.key",
            (json.dumps(arrivals.tolist()),),
        )
        return [data for (data,) in rows]

    def insert(self, rows: Iterable[tuple[int, bytes, bytes]]) -> None:
        """Note transactions: arrival, hash, encoding."""
        self._database.execute_many("INSERT INTO transactions (arrival, hash, data) VALUES (?, ?, ?)", rows)

    def delete(self, arrivals: Arrivals) -> None:
        """Forget these arrivals."""
        self._database.execute_many(
            "DELETE FROM transactions WHERE arrival = ?", [(each,) for each in arrivals.tolist()]
        )

    def delete_hashes(self, hashes: Sequence[bytes], numbers: Sequence[int | None]) -> None:
        """Forget those of these hashes that are in these blocks; that wait, where it is None."""
        self._database.execute_many(
            "DELETE FROM transactions WHERE hash = ? AND number IS ?", zip(hashes, numbers, strict=True)
        )

    def place(self, number: int, arrivals: Arrivals) -> None:
        """These arrivals are in a block, in this order."""
        self._database.execute(
            "UPDATE transactions SET number = ?, place = packed.key FROM json_each(?) AS packed"
            " WHERE arrival = packed.value",
            (number, json.dumps(arrivals.tolist())),
        )

    def release(self, numbers: Sequence[int]) -> None:
        """What is in these blocks waits again."""
        self._database.execute_many(
            "UPDATE transactions SET number = NULL, place = NULL WHERE number = ?",
            [(number,) for number in numbers],
        )

    def numbers(self, after: int) -> list[int]:
        """The blocks after this one that something is in."""
        rows = self._database.execute("SELECT DISTINCT number FROM transactions WHERE number > ?", (after,))
        return [number for (number,) in rows]

    def prune(self, before: int) -> None:
        """Forget what is in blocks before this one."""
        self._database.execute("DELETE FROM transactions WHERE number < ?", (before,))
