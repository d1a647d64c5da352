# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases of a node, in SQLite. Whoever shares one between threads takes turns; what fails names the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from supervm.tiers.node.errors import DatabaseFailed

Row = tuple[Any, ...]

NUMBERS = 1 << 63
"""SQLite has no integers from here on."""


class Database:
    """A database whose commits survive the death of the process; each statement outside of a transaction is one.

    Args:
        path: of the file, created if it is not there.
        tables: statements that make its tables where they are not there.
        sync: whether each commit waits for the disk, and so survives a power loss.
        log: whether commits are appended to a file beside it first, so that nobody who reads waits.

    Raises:
        DatabaseFailed: the file is none of SQLite's, cannot be opened, or is locked.
    """

    def __init__(self, path: Path, tables: str, *, sync: bool, log: bool = True) -> None:
        self._path = path
        with self._telling():
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                if log:
                    self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute(f"PRAGMA synchronous = {'FULL' if sync else 'NORMAL'}")
                self._connection.executescript(tables)
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        """Close it."""
        self._connection.close()

    def execute(self, statement: str, values: Row = ()) -> list[Row]:
        """The rows that a statement gives. Raises: DatabaseFailed."""
        with self._telling():
            return self._connection.execute(statement, values).fetchall()

    def first(self, statement: str, values: Row = ()) -> Row | None:
        """The first of them. Raises: DatabaseFailed."""
        with self._telling():
            row: Row | None = self._connection.execute(statement, values).fetchone()
            return row

    def execute_many(self, statement: str, rows: Iterable[Row]) -> None:
        """A statement for each of these rows. Raises: DatabaseFailed."""
        with self._telling():
            self._connection.executemany(statement, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Inside of `with`: everything or nothing. Raises: DatabaseFailed."""
        with self._telling():
            self._connection.execute("BEGIN IMMEDIATE")
            with self._connection:
                yield

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise DatabaseFailed(str(self._path), str(error)) from error
