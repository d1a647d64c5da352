# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage of an engine's state: commits go in, and come back in order after a reopening."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from supervm.crypto.messages import Messages
from supervm.engine.errors import StorageCorrupt, StorageFailed, StorageUnavailable
from supervm.engine.storage import layout
from supervm.engine.storage.checkpoints import Chunks, Folding, remove_leftovers
from supervm.engine.storage.commit import CHECKPOINT_BYTES, COMMIT_BYTES, Commit
from supervm.engine.storage.database import RESTORE, Database, closed
from supervm.engine.storage.positions import Checkpoint, Head
from supervm.engine.storage.receipts import ReceiptsWindow
from supervm.engine.storage.records import logged_by, packed_commit
from supervm.engine.storage.recovery import read_log, read_pages, read_positions
from supervm.engine.storage.writer import Changes, Writer
from supervm.kernels.errors import ArgumentError

KEEP_BLOCKS = 10_000  # whose receipts are kept
QUEUE_DEPTH = 4  # commits that may wait for the writer

T = TypeVar("T")


class Storage:
    """An open storage; use it as a context manager, or call `close`.

    After opening, `pages` and then `commits` give back the state as of the head; the caller checks the root. Commits
    are written by a thread: `commit` returns once the columns are copied, `written` says how far the database is, and
    `flush` waits. What the database has taken survives the death of the process, and with `sync` a power loss too. If
    the process dies, commits that still wait are lost, from the last one backwards. A power loss without `sync` takes
    the last commits likewise, or leaves the write-ahead log damaged, which opening reports and `salvage` cuts off.

    One thread commits, names snapshots and starts checkpoints; the readers may be called from any.
    """

    def __init__(
        self, database: Database, sync: bool, keep_blocks: int, queue_depth: int, checkpoint_bytes: int
    ) -> None:
        """For `open` alone."""
        self._database = database
        self._sync = sync
        self._checkpoint_bytes = checkpoint_bytes
        self._head, self._checkpoint = read_positions(database)
        remove_leftovers(database, self._checkpoint)
        self._receipts = ReceiptsWindow(database, keep_blocks)
        self._lock = threading.Lock()
        self._folding: Folding | None = None
        self._closed = False
        self._writer = Writer(database, queue_depth)
        self._writer.written = self._head.sequence

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        sync: bool = False,
        keep_blocks: int = KEEP_BLOCKS,
        queue_depth: int = QUEUE_DEPTH,
        checkpoint_bytes: int = CHECKPOINT_BYTES,
        salvage: bool = False,
    ) -> Storage:
        """Open the storage in a directory, and create it where there is none.

        Args:
            path: a directory of its own: absent, empty, or with a storage.
            sync: wait for the disk at every commit.
            keep_blocks: how many blocks' receipts to keep; 0 keeps none.
            queue_depth: most commits that wait for the writer.
            checkpoint_bytes: least size of the log at which a checkpoint is due.
            salvage: where the write-ahead log is damaged, go on from the last whole commit before that place.

        Raises:
            ArgumentError: a number out of range.
            StorageUnavailable: open in a process, not a storage, without permission, or of another format version.
            StorageCorrupt: damaged; pages and log are only checked as they are read.
            StorageFailed: the disk is full.
        """
        for name, number, least in (
            ("keep_blocks", keep_blocks, 0),
            ("queue_depth", queue_depth, 1),
            ("checkpoint_bytes", checkpoint_bytes, 1),
        ):
            if number < least:
                raise ArgumentError(name, str(number), f"{least} or more")
        first = [(layout.HEAD, Head().packed()), (layout.CHECKPOINT, Checkpoint().packed())]
        database = Database(Path(path).absolute(), first, salvage)
        try:
            return cls(database, sync, keep_blocks, queue_depth, checkpoint_bytes)
        except BaseException:
            with contextlib.suppress(StorageFailed):
                database.close()
            raise

    @property
    def path(self) -> Path:
        """The directory."""
        return self._database.path

    @property
    def head(self) -> Head:
        """The last commit handed over, with the named snapshots."""
        return self._head

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint that stands."""
        return self._checkpoint

    @property
    def written(self) -> int:
        """Sequence number of the last commit that the database has taken."""
        return self._writer.written

    def pages(self) -> Iterator[tuple[Messages, Messages]]:
        """Keys and values of the state as of the checkpoint, in chunks of up to 65,536 keys, each key once.

        Raises:
            StorageCorrupt: a page is missing or damaged. What came before it is sound, and incomplete.
            StorageUnavailable: another checkpoint took its place meanwhile: read before starting one; or closed.
        """
        return self._read(lambda checkpoint, head: read_pages(self._database, checkpoint))

    def commits(self) -> Iterator[Commit]:
        """The commits after the checkpoint up to the head, in order.

        Raises:
            StorageCorrupt: one is missing or damaged. What came before it is sound, and incomplete.
            StorageUnavailable: another checkpoint took their place meanwhile: read before starting one; or closed.
        """
        return self._read(lambda checkpoint, head: read_log(self._database, checkpoint, head))

    def commit(
        self,
        commit: Commit,
        *,
        codes: Sequence[bytes] = (),
        receipts: bytes | None = None,
        name: str | None = None,
        forget: Sequence[str] = (),
    ) -> None:
        """Hand a commit over, all of it to be written in one atomic batch. Its columns are copied.

        Args:
            commit: the next one: its sequence number is the head's plus 1.
            codes: code that it deploys, stored under its SHA-256.
            receipts: the receipts of its block.
            name: names a snapshot at it.
            forget: snapshots that it drops, before `name` is taken.

        Raises:
            ArgumentError: it is not the next one, or malformed, or a name is taken or unknown. Nothing changed.
            StorageFailed: an earlier commit could not be written; reopen, and commit from the head found then.
            StorageUnavailable: closed.
        """
        self._check_open()
        commit.check()
        with self._lock:
            before = self._head
            if commit.sequence != before.sequence + 1:
                raise ArgumentError("commit.sequence", str(commit.sequence), str(before.sequence + 1))
            if receipts is not None and len(receipts) > COMMIT_BYTES:
                raise ArgumentError("receipts", f"{len(receipts)} bytes", f"up to {COMMIT_BYTES}")
            code_records = [(layout.code_key(hashlib.sha256(code).digest()), bytes(code)) for code in codes]
            body = packed_commit(commit, before.logged)
            head = Head(
                commit.sequence,
                commit.height,
                commit.root,
                commit.timestamp,
                logged_by(body),
                before.snapshots,
            )
            for old in forget:
                head = head.forgotten(old)
            if name is not None:
                head = head.named(name)
            self._writer.check()
            kept, deleted, ranges = self._receipts.step(before.height, commit.height, receipts)
            puts = [
                (layout.log_key(commit.sequence), body),
                (layout.HEAD, head.packed()),
                *code_records,
                *kept,
            ]
            self._writer.put(Changes(puts, ranges, deleted, self._sync, commit.sequence))
            self._head = head

    def name_snapshot(self, name: str) -> None:
        """Name the head. The log from it on is kept until the name is forgotten.

        Raises:
            ArgumentError: the name is taken, empty or longer than 255 bytes, or there are 256 already.
            StorageFailed: an earlier write failed.
            StorageUnavailable: closed.
        """
        self._check_open()
        with self._lock:
            self._put_head(self._head.named(name))

    def forget_snapshot(self, name: str) -> None:
        """Drop a name.

        Raises:
            ArgumentError: there is no such snapshot.
            StorageFailed: an earlier write failed.
            StorageUnavailable: closed.
        """
        self._check_open()
        with self._lock:
            self._put_head(self._head.forgotten(name))

    def checkpoint_due(self) -> int | None:
        """The commit up to which the log should be folded now; None if that is not worth it yet or under way.

        That is the head, or the oldest named snapshot. Ask after each commit, and give the state as of this commit to
        `start_checkpoint`.

        Raises:
            Exception: what the last checkpoint's chunks raised, once.
            StorageFailed: an earlier write failed.
            StorageUnavailable: closed.
        """
        self._check_open()
        self._writer.check()
        with self._lock:
            if self._folding_now():
                return None
            self._raise_folding_error()
            sequence, logged = self._foldable()
            return sequence if self._checkpoint.outgrown(logged, self._checkpoint_bytes) else None

    def start_checkpoint(self, sequence: int, chunks: Chunks) -> None:
        """Fold the log up to a commit on a thread of its own.

        Args:
            sequence: the commit, after the last checkpoint and not after the head or the oldest named snapshot.
            chunks: (keys, values) of the whole state as of it, each key once, in chunks of any size; small chunks
                make small pages. It is iterated on that thread, and its `close` called, if it has one, at the end.

        Raises:
            ArgumentError: the sequence number is out of range, or a checkpoint is under way.
            StorageFailed: an earlier write failed.
            StorageUnavailable: closed.
        """
        self._check_open()
        self._writer.check()
        with self._lock:
            if self._folding_now():
                raise ArgumentError("sequence", "a checkpoint under way", "none, see checkpoint_due")
            self._raise_folding_error()
            last = self._foldable()[0]
            if not self._checkpoint.sequence < sequence <= last:
                raise ArgumentError(
                    "sequence", str(sequence), f"after {self._checkpoint.sequence}, up to {last}"
                )
            self._folding = Folding(
                self._database, self._writer, self._checkpoint, sequence, chunks, self._stands
            )

    def wait_checkpoint(self) -> None:
        """Wait for the checkpoint under way, if there is one.

        Raises:
            Exception: what its chunks raised, once. The storage is as if it had not been started.
            StorageFailed: it could not be written.
        """
        if self._folding is not None:
            self._folding.wait()
            self._raise_folding_error()

    def code(self, digest: bytes) -> bytes | None:
        """The code with this SHA-256 (32 bytes), None if none was stored.

        Raises:
            StorageCorrupt: it is damaged.
            StorageFailed: an earlier write failed.
            StorageUnavailable: closed.
        """
        code = self._find(layout.code_key(digest))
        if code is not None and hashlib.sha256(code).digest() != digest:
            raise StorageCorrupt(self.path, f"code {digest.hex()} has another SHA-256", RESTORE)
        return code

    def receipts(self, height: int) -> bytes | None:
        """The receipts of the block at this height, None if they are not kept.

        Raises:
            StorageCorrupt: they are damaged.
            StorageFailed: an earlier write failed.
            StorageUnavailable: closed.
        """
        return self._find(layout.receipts_key(height))

    def flush(self) -> None:
        """Wait until the database has taken everything handed over.

        Raises:
            StorageFailed: it has not; see `written`.
            StorageUnavailable: closed.
        """
        self._check_open()
        self._writer.flush()

    def close(self) -> None:
        """Write what waits, give up a checkpoint under way, and close. A second call does nothing.

        Raises:
            StorageFailed: something could not be written. The storage is closed all the same.
            Exception: what the last checkpoint's chunks raised, if nobody was told.
        """
        if self._closed:
            return
        self._closed = True
        if self._folding is not None:
            self._folding.stop()
        self._writer.stop()
        try:
            self._database.close()
        finally:
            self._writer.check()
        self._raise_folding_error()

    def __enter__(self) -> Storage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise closed(self.path)

    def _put_head(self, head: Head) -> None:
        self._writer.put(Changes([(layout.HEAD, head.packed())], sync=self._sync))
        self._head = head

    def _foldable(self) -> tuple[int, int]:
        """The last commit that may be folded, and the bytes logged up to it."""
        oldest = min(
            self._head.snapshots.values(), key=lambda snapshot: snapshot.sequence, default=self._head
        )
        return oldest.sequence, oldest.logged

    def _stands(self, checkpoint: Checkpoint) -> None:
        with self._lock:
            self._checkpoint = checkpoint

    def _raise_folding_error(self) -> None:
        if self._folding is not None:
            self._folding.check()

    def _find(self, key: bytes) -> bytes | None:
        self._check_open()
        self._writer.flush()
        body = self._database.find(key)
        return None if body is None else bytes(body)

    def _read(self, read: Callable[[Checkpoint, Head], Iterator[T]]) -> Iterator[T]:
        """Read what belongs to the checkpoint that stands, as long as it does."""
        self._check_open()
        with self._lock:
            checkpoint, head = self._checkpoint, self._head
        self._writer.flush()
        items = read(checkpoint, head)
        while True:
            try:
                item = next(items, None)
            except StorageCorrupt:
                if self._folding is not None:
                    self._folding.wait()  # it deletes what it replaces just before it stands
                if self._checkpoint is checkpoint:
                    raise
            if self._checkpoint is not checkpoint:
                raise StorageUnavailable(
                    self.path, "a checkpoint replaced what was being read", "read before one is started"
                )
            if item is None:
                return
            yield item

    def _folding_now(self) -> bool:
        return self._folding is not None and self._folding.running
