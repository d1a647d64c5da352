# SPDX-License-Identifier: GPL-3.0-or-later
"""What a wallet knows of a pool, in SQLite: its blocks, the leaves of its tree, and its own notes.

It grows by blocks and goes back by blocks, each in one transaction: a kill at any moment leaves the state before or after.
A note is unspent, reserved by a transaction that was signed, or spent in a block. One that a refused or failed transaction
reserved is free again. What a node told counts once the tree of its block was proved: before that, no note of it is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from supervm.crypto.note_encryption import Found
from supervm.kernels.array_types import Bytes, Offsets, Words
from supervm.tiers.node.databases import Database
from supervm.tiers.node.errors import WalletError
from supervm.tiers.wallet import note_tree

_TABLES = (
    """CREATE TABLE IF NOT EXISTS pool (
    one INTEGER PRIMARY KEY CHECK (one = 1), chain_id BLOB NOT NULL, address BLOB NOT NULL, unit BLOB NOT NULL,
    genesis BLOB NOT NULL, proved INTEGER NOT NULL DEFAULT 0)""",
    "CREATE TABLE IF NOT EXISTS pool_blocks (number INTEGER PRIMARY KEY, hash BLOB NOT NULL, size INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS leaf_groups (number INTEGER PRIMARY KEY, leaves BLOB NOT NULL, root BLOB NOT NULL)",
    """CREATE TABLE IF NOT EXISTS notes (
    place INTEGER PRIMARY KEY, amount BLOB NOT NULL, blinding BLOB NOT NULL, memo BLOB NOT NULL, leaf BLOB NOT NULL,
    nullifier BLOB NOT NULL UNIQUE, block INTEGER NOT NULL, spent INTEGER)""",
    "CREATE TABLE IF NOT EXISTS reserved (nullifier BLOB PRIMARY KEY, payment BLOB NOT NULL)",
)

_PROVED = "COALESCE((SELECT proved FROM pool), 0)"

KEPT_BLOCKS = 10_000
"""Blocks that the wallet can go back: a node keeps the receipts of as many, unless it keeps all."""

_LEAF = 32


@dataclass(frozen=True)
class Pool:
    """The pool that a wallet follows.

    Args:
        chain_id: below 2^64.
        address: 20 bytes.
        unit: of a balance, for each unit of an amount.
        genesis: the hash of its chain's, 32 bytes.
    """

    chain_id: int
    address: bytes
    unit: int
    genesis: bytes


@dataclass(frozen=True)
class Position:
    """The last block that the wallet has scanned, and the leaves of the tree behind it; block 0 before the first."""

    number: int
    hash: bytes
    size: int


@dataclass(frozen=True, eq=False)
class PoolBlocks:
    """What b blocks in a row did to a pool.

    Args:
        first: the number of the first of them.
        hashes: of each, 32 bytes.
        offsets: int64 (b + 1,): block i has the rows offsets[i] … offsets[i + 1] − 1, from 0.
        leaves, nullifiers: uint8 (n, 32), big-endian: commitments in the order of the tree, and what was spent.
        encrypted: uint8 (n, 160).
    """

    first: int
    hashes: Sequence[bytes]
    offsets: Offsets
    leaves: Bytes
    nullifiers: Bytes
    encrypted: Bytes


@dataclass(frozen=True)
class Note:
    """An own note.

    Args:
        place: its index in the tree.
        leaf: its commitment.
        block: that made it.
        spent: the block that spent it, or None.
        payment: the hash of the transaction of this wallet that is to spend it, or None.
    """

    place: int
    amount: int
    blinding: int
    memo: bytes
    leaf: int
    block: int
    spent: int | None
    payment: bytes | None


class NoteStore:
    """The tables of a wallet's database that are about a pool.

    Args:
        database: the wallet's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        for table in _TABLES:
            database.execute(table)

    # The pool --------------------------------------------------------------------------------------------

    def pool(self) -> Pool | None:
        """The pool that it follows; None before `follow`."""
        row = self._database.first("SELECT chain_id, address, unit, genesis FROM pool")
        if row is None:
            return None
        chain_id, address, unit, genesis = row
        return Pool(int.from_bytes(chain_id), address, int.from_bytes(unit), genesis)

    def follow(self, pool: Pool) -> None:
        """Follow this pool from its chain's beginning.

        Raises:
            WalletError: it follows another one.
        """
        known = self.pool()
        if known is not None and known != pool:
            raise WalletError(
                f"the wallet follows pool {known.address.hex()} of chain {known.chain_id}, genesis {known.genesis.hex()}, "
                f"and not {pool.address.hex()} of chain {pool.chain_id}, genesis {pool.genesis.hex()}; "
                "take another directory for another pool"
            )
        self._database.execute(
            "INSERT OR IGNORE INTO pool (one, chain_id, address, unit, genesis) VALUES (1, ?, ?, ?, ?)",
            (pool.chain_id.to_bytes(8), pool.address, pool.unit.to_bytes(8), pool.genesis),
        )

    def position(self) -> Position:
        """Where it is."""
        row = self._database.first("SELECT number, hash, size FROM pool_blocks ORDER BY number DESC LIMIT 1")
        return Position(*row) if row else Position(0, bytes(32), 0)

    def proved(self) -> int:
        """The last block up to which the tree was proved to be the state's; 0 if it never was."""
        row = self._database.first("SELECT proved FROM pool")
        return row[0] if row else 0

    def note_proved(self, number: int) -> None:
        """Remember that it was, up to this block, which is the last one: the notes of all blocks up to it count.

        A payment that was said to be in one of them, and whose notes none of them spent, is not: it is sent again.

        Raises:
            WalletError: another process has changed the wallet meanwhile.
        """
        with self._database.transaction():
            if self.position().number != number:
                raise WalletError(f"the wallet is not at block {number} any more; scan again")
            self._database.execute("UPDATE pool SET proved = ?", (number,))
            self._database.execute(
                "UPDATE transactions SET state = 'sent', number = 0 WHERE state = 'in block' AND reason = 0 AND number <= ?"
                " AND hash IN (SELECT payment FROM reserved JOIN notes USING (nullifier) WHERE spent IS NULL)",
                (number,),
            )

    def hash_of(self, number: int) -> bytes | None:
        """The hash of a scanned block; None if it is not kept."""
        row = self._database.first("SELECT hash FROM pool_blocks WHERE number = ?", (number,))
        return None if row is None else row[0]

    def oldest(self) -> int:
        """The first block that is kept; 0 if there is none."""
        row = self._database.first("SELECT MIN(number) FROM pool_blocks")
        return (row and row[0]) or 0

    # Growing and going back ------------------------------------------------------------------------------

    def extend(self, blocks: PoolBlocks, own: Found, nullifiers: Bytes) -> None:
        """Add blocks, with the notes of theirs that are the wallet's; all of it or nothing.

        Args:
            blocks: that follow the last one.
            own: the wallet's notes among their leaves.
            nullifiers: of these, uint8 (m, 32), big-endian.

        Raises:
            WalletError: another process has extended the wallet meanwhile.
        """
        with self._database.transaction():
            before = self.position()
            if blocks.first != before.number + 1:
                raise WalletError(
                    f"the wallet is at block {before.number}, and cannot take block {blocks.first} next; scan again"
                )
            self._database.execute_many(
                "INSERT INTO pool_blocks VALUES (?, ?, ?)",
                [
                    (blocks.first + index, hash, before.size + int(blocks.offsets[index + 1]))
                    for index, hash in enumerate(blocks.hashes)
                ],
            )
            self._append(before.size, blocks.leaves)
            numbers = _block_numbers(blocks, own.rows)
            self._database.execute_many(
                "INSERT INTO notes VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
                [
                    (
                        before.size + int(row),
                        int(own.amounts[index]).to_bytes(8),
                        own.blindings[index].astype("<u8").tobytes()[::-1],
                        own.memos[index],
                        blocks.leaves[row].tobytes(),
                        nullifiers[index].tobytes(),
                        int(numbers[index]),
                    )
                    for index, row in enumerate(own.rows)
                ],
            )
            self._spend(blocks)
            last = blocks.first + len(blocks.hashes) - 1
            self._database.execute("DELETE FROM pool_blocks WHERE number <= ?", (last - KEPT_BLOCKS,))

    def roll_back(self, number: int) -> None:
        """Forget every block above `number`, 0 for all: notes that they made are gone, those that they spent are unspent.

        Raises:
            WalletError: that block is not kept.
        """
        with self._database.transaction():
            row = self._database.first("SELECT size FROM pool_blocks WHERE number = ?", (number,))
            if row is None and number:
                raise WalletError(f"the wallet cannot go back to block {number}, which it does not keep")
            size = row[0] if row else 0
            self._database.execute("DELETE FROM pool_blocks WHERE number > ?", (number,))
            self._database.execute("DELETE FROM notes WHERE block > ?", (number,))
            self._database.execute("UPDATE notes SET spent = NULL WHERE spent > ?", (number,))
            self._database.execute("UPDATE pool SET proved = MIN(proved, ?)", (number,))
            self._database.execute(  # what was in those blocks is sent again
                "UPDATE transactions SET state = 'sent', number = 0, reason = 0 WHERE state = 'in block' AND number > ?",
                (number,),
            )
            self._cut(size)

    def _append(self, size: int, leaves: Bytes) -> None:
        """Leaves behind the first `size`."""
        at, taken = size, 0
        while taken < len(leaves):
            number, there = divmod(at, note_tree.GROUP)
            part = leaves[taken : taken + note_tree.GROUP - there]
            row = self._database.first("SELECT leaves FROM leaf_groups WHERE number = ?", (number,))
            self._put(number, (row[0] if row else b"") + part.tobytes())
            at, taken = at + len(part), taken + len(part)

    def _cut(self, size: int) -> None:
        """The first `size` leaves alone."""
        number, kept = divmod(size, note_tree.GROUP)
        self._database.execute("DELETE FROM leaf_groups WHERE number >= ?", (number + (1 if kept else 0),))
        if kept:
            [(leaves,)] = self._database.execute("SELECT leaves FROM leaf_groups WHERE number = ?", (number,))
            if len(leaves) > kept * _LEAF:
                self._put(number, leaves[: kept * _LEAF])

    def _put(self, number: int, leaves: bytes) -> None:
        root = note_tree.group_root(_words(leaves)).astype("<u8").tobytes()[::-1]
        self._database.execute("INSERT OR REPLACE INTO leaf_groups VALUES (?, ?, ?)", (number, leaves, root))

    def _spend(self, blocks: PoolBlocks) -> None:
        """Mark the own notes whose nullifiers are in blocks."""
        unspent = [
            nullifier
            for (nullifier,) in self._database.execute("SELECT nullifier FROM notes WHERE spent IS NULL")
        ]
        if not unspent or not len(blocks.nullifiers):
            return
        known = np.frombuffer(b"".join(unspent), f"V{_LEAF}")
        found = np.ascontiguousarray(blocks.nullifiers).view(f"V{_LEAF}").reshape(-1)
        rows = np.flatnonzero(np.isin(found, known))
        self._database.execute_many(
            "UPDATE notes SET spent = ? WHERE nullifier = ? AND spent IS NULL",
            [
                (int(number), found[row].tobytes())
                for row, number in zip(rows, _block_numbers(blocks, rows), strict=True)
            ],
        )

    # Notes -----------------------------------------------------------------------------------------------

    def notes(self) -> list[Note]:
        """All own notes that were proved, in the order of the tree."""
        return self._selected()

    def available(self) -> list[Note]:
        """Those that can be spent now: unspent, and reserved by no transaction that may yet get into a block."""
        return self._selected(
            "AND spent IS NULL AND NOT EXISTS (SELECT 1 FROM transactions t WHERE t.hash = payment"
            " AND (t.state IN ('queued', 'sent') OR (t.state = 'in block' AND t.reason = 0)))"
        )

    def reserve(self, places: Sequence[int], payment: bytes) -> None:
        """Reserve available notes for a transaction, inside of the one that queues it.

        Raises:
            WalletError: one of them is not available any more.
        """
        if set(places) - {note.place for note in self.available()}:
            raise WalletError("a note has been spent or reserved by another command meanwhile; pay again")
        self._database.execute_many(
            "INSERT OR REPLACE INTO reserved SELECT nullifier, ? FROM notes WHERE place = ?",
            [(payment, place) for place in places],
        )

    def _selected(self, more: str = "") -> list[Note]:
        rows = self._database.execute(
            "SELECT place, amount, blinding, memo, leaf, block, spent, payment FROM notes"
            f" LEFT JOIN reserved USING (nullifier) WHERE block <= {_PROVED} {more} ORDER BY place"
        )
        return [
            Note(place, int.from_bytes(amount), int.from_bytes(blinding), memo, int.from_bytes(leaf), *rest)
            for place, amount, blinding, memo, leaf, *rest in rows
        ]

    # The tree --------------------------------------------------------------------------------------------

    def root(self) -> Words:
        """The root of the note tree, uint64 (4,)."""
        return note_tree.above(self._groups())[1]

    def path(self, place: int) -> list[Words]:
        """The 32 siblings of the leaf at a place, from the leaf up, each uint64 (4,)."""
        number, inside = divmod(place, note_tree.GROUP)
        [(leaves,)] = self._database.execute("SELECT leaves FROM leaf_groups WHERE number = ?", (number,))
        return note_tree.group_path(_words(leaves), inside) + note_tree.above(self._groups(), number)[0]

    def _groups(self) -> Words:
        rows = self._database.execute("SELECT root FROM leaf_groups ORDER BY number")
        return _words(b"".join(root for (root,) in rows))


def _words(numbers: bytes) -> Words:
    """Big-endian numbers of 32 bytes as little-endian words, uint64 (n, 4)."""
    rows = np.frombuffer(numbers, np.uint8).reshape(-1, _LEAF)[:, ::-1]
    return np.ascontiguousarray(rows).view("<u8").astype(np.uint64)


def _block_numbers(blocks: PoolBlocks, rows: Offsets) -> Offsets:
    """The block that each row is of."""
    found: Offsets = blocks.first + np.searchsorted(blocks.offsets, rows, "right") - 1
    return found
