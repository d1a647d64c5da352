# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node remembers of the chain beside the state: the genesis it began with, and the blocks it executed.

A block's row is written before the block is executed and completed after it. The engine's storage decides how far the chain
is, unless rows of its last blocks are gone (see `rewinding`): at the next start `reconcile` drops rows beyond it, and
completes the last ones from roots and receipts.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from supervm.engine.blocks.receipts import Receipts
from supervm.tiers.node.blocks import Block
from supervm.tiers.node.databases import NUMBERS, Database, Row
from supervm.tiers.node.errors import NotKept, WrongChain

_TABLES = """
CREATE TABLE IF NOT EXISTS genesis (hash BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS blocks (
    number INTEGER PRIMARY KEY, hash BLOB NOT NULL, parent BLOB NOT NULL, timestamp INTEGER NOT NULL,
    transactions INTEGER NOT NULL, root BLOB, committed INTEGER, failed INTEGER, rejected INTEGER, gas INTEGER
);
"""


@dataclass(frozen=True)
class BlockRecord:
    """A block that is part of the state.

    Args:
        number, timestamp: of the block.
        hash, parent: 32 bytes each.
        transactions: how many it has.
        root: of the state after it, 32 bytes.
        committed, failed, rejected: as `BlockStats` counts them.
        gas: used by all of them.
    """

    number: int
    hash: bytes
    parent: bytes
    timestamp: int
    transactions: int
    root: bytes
    committed: int
    failed: int
    rejected: int
    gas: int


_COLUMNS = ", ".join(BlockRecord.__dataclass_fields__)


class ChainRecords:
    """The records; every method may be called from any thread.

    Args:
        path: of the database, created if it is not there.
        genesis_hash: of the chain, 32 bytes.
        keep: blocks that are kept; older ones are dropped.
        sync: whether each record waits for the disk.

    Raises:
        WrongChain: the database belongs to another genesis.
        DatabaseFailed: it cannot be used; so does every method.
    """

    def __init__(self, path: Path, genesis_hash: bytes, *, keep: int, sync: bool = False) -> None:
        self._database, self._lock, self._keep = Database(path, _TABLES, sync=sync), threading.Lock(), keep
        try:
            found = self._execute("SELECT hash FROM genesis")
            if found is None:
                self._execute("INSERT INTO genesis VALUES (?)", (genesis_hash,))
            elif found[0] != genesis_hash:
                raise WrongChain(
                    f"{path}: the state belongs to genesis {found[0].hex()}, the given one is {genesis_hash.hex()}; "
                    "use another directory for another chain"
                )
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._database.close()

    def begin(self, block: Block) -> None:
        """A block is about to be executed."""
        row = (block.number, block.hash, block.parent, block.timestamp, len(block.transactions))
        self._execute(
            "INSERT OR REPLACE INTO blocks (number, hash, parent, timestamp, transactions) VALUES (?, ?, ?, ?, ?)",
            row,
        )

    def finish(self, number: int, root: bytes, receipts: Receipts) -> None:
        """A block is part of the state."""
        committed = int(receipts.accepted.sum())
        failed = committed - int(receipts.success.sum())
        counts = (committed, failed, len(receipts) - committed, int(receipts.gas.sum(dtype=np.uint64)))
        self._execute(
            "UPDATE blocks SET root = ?, committed = ?, failed = ?, rejected = ?, gas = ? WHERE number = ?",
            (root, *counts, number),
        )
        if number > self._keep:
            self._execute("DELETE FROM blocks WHERE number <= ?", (number - self._keep,))

    def reconcile(self, number: int) -> list[int]:
        """Drop the rows beyond the last block that a state has.

        Args:
            number: of that block; it has a row, or is 0.

        Returns:
            The blocks whose rows are not complete.
        """
        self._execute("DELETE FROM blocks WHERE number > ?", (number,))
        with self._lock:
            found = self._database.execute("SELECT number FROM blocks WHERE root IS NULL ORDER BY number")
        return [place for (place,) in found]

    def noted(self, number: int) -> int:
        """The last block up to this one that has a row, as those before it have; 0 if none has."""
        found = self._execute("SELECT MAX(number) FROM blocks WHERE number <= ?", (number,))
        return 0 if found is None or found[0] is None else int(found[0])

    def root_of(self, number: int) -> bytes | None:
        """The root after a block, if its row is complete."""
        found = self._execute("SELECT root FROM blocks WHERE number = ?", (number,))
        return None if found is None else found[0]

    def settle(self) -> None:
        """Wait until the disk has every row, so that a power loss leaves them."""
        self._execute("PRAGMA wal_checkpoint(FULL)")

    def last(self) -> tuple[int, bytes, int] | None:
        """Number, hash and timestamp of the last block; None before the first."""
        found: tuple[int, bytes, int] | None = self._execute(
            "SELECT number, hash, timestamp FROM blocks ORDER BY number DESC LIMIT 1"
        )
        return found

    def hash_of(self, number: int) -> bytes | None:
        """The hash of a block that was begun; None if it is not kept."""
        found = self._execute("SELECT hash FROM blocks WHERE number = ?", (number,))
        return None if found is None else bytes(found[0])

    def block(self, number: int) -> BlockRecord:
        """A block that is part of the state.

        Raises:
            NotKept: it is not, or no longer kept.
        """
        statement = f"SELECT {_COLUMNS} FROM blocks WHERE number = ? AND root IS NOT NULL"
        found = self._execute(statement, (number,)) if number < NUMBERS else None
        if found is None:
            raise NotKept(
                f"block {number} is not kept: this node has the last {self._keep:,} up to its own last block"
            )
        return BlockRecord(*found)

    def _execute(self, statement: str, values: Row = ()) -> Row | None:
        """The first row that a statement gives."""
        with self._lock:
            return self._database.first(statement, values)
