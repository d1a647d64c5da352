# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading back: the head, the checkpoint's pages, and the log after them, each against what the others say."""

from __future__ import annotations

from collections.abc import Iterator

from supervm.crypto.messages import Messages
from supervm.engine.errors import StorageCorrupt
from supervm.engine.storage import layout
from supervm.engine.storage.commit import Commit
from supervm.engine.storage.database import RESTORE, Database
from supervm.engine.storage.positions import Checkpoint, Head
from supervm.engine.storage.records import Damaged, Logged, unpacked_commit, unpacked_page


def read_positions(database: Database) -> tuple[Head, Checkpoint]:
    """The head and the checkpoint, in agreement with each other and with where the log ends.

    Raises:
        StorageCorrupt: one is missing or damaged, or they contradict each other or the log.
    """
    try:
        key = layout.HEAD
        head = Head.unpacked(database.record(key))
        key = layout.CHECKPOINT
        checkpoint = Checkpoint.unpacked(database.record(key))
    except Damaged as error:
        raise database.damaged(key, error) from None
    if head.sequence < checkpoint.sequence:
        raise _contradiction(
            database, f"the head is commit {head.sequence} and the checkpoint commit {checkpoint.sequence}"
        )
    if head.sequence == checkpoint.sequence and _place(head) != _place(checkpoint):
        raise _contradiction(database, f"head and checkpoint differ about commit {head.sequence}")
    for name, snapshot in head.snapshots.items():
        if not checkpoint.sequence <= snapshot.sequence <= head.sequence:
            raise _contradiction(
                database, f"snapshot {name!r} names commit {snapshot.sequence}, outside the log"
            )
    after = next(database.keys(layout.log_key(head.sequence + 1)), None)
    if after is not None and after < layout.AFTER_LOG:
        raise _contradiction(database, f"{layout.named(after)} lies beyond the head, commit {head.sequence}")
    return head, checkpoint


def read_pages(database: Database, checkpoint: Checkpoint) -> Iterator[tuple[Messages, Messages]]:
    """Keys and values of the checkpoint, page by page, in the order in which they were given.

    Raises:
        StorageCorrupt: a page is missing or damaged, or their sum is not the checkpoint's.
    """
    keys = 0
    for page in range(checkpoint.pages):
        key = layout.page_key(checkpoint.generation, page)
        try:
            pairs = unpacked_page(database.record(key))
        except Damaged as error:
            raise database.damaged(key, error) from None
        keys += len(pairs[0])
        yield pairs
    if keys != checkpoint.keys:
        raise _contradiction(
            database, f"the checkpoint's pages hold {keys} keys and its record says {checkpoint.keys}"
        )


def read_log(database: Database, checkpoint: Checkpoint, head: Head) -> Iterator[Commit]:
    """The commits after the checkpoint up to the head, in order.

    Raises:
        StorageCorrupt: one is missing or damaged, or the last is not what the head says.
    """
    for sequence in range(checkpoint.sequence + 1, head.sequence + 1):
        logged = read_commit(database, sequence)
        last = logged.commit
        if sequence == head.sequence and _place(head) != (
            last.sequence,
            last.height,
            last.root,
            last.timestamp,
            logged.logged,
        ):
            raise _contradiction(database, f"the head and the log differ about commit {sequence}")
        yield last


def read_commit(database: Database, sequence: int) -> Logged:
    """One commit of the log.

    Raises:
        StorageCorrupt: it is missing or damaged.
    """
    key = layout.log_key(sequence)
    try:
        logged = unpacked_commit(database.record(key))
    except Damaged as error:
        raise database.damaged(key, error) from None
    if logged.commit.sequence != sequence:
        raise _contradiction(database, f"{layout.named(key)} says that it is commit {logged.commit.sequence}")
    return logged


def _place(position: Head | Checkpoint) -> tuple[int, int, bytes, int, int]:
    return position.sequence, position.height, position.root, position.timestamp, position.logged


def _contradiction(database: Database, reason: str) -> StorageCorrupt:
    return StorageCorrupt(database.path, reason, RESTORE)
