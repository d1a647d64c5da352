# SPDX-License-Identifier: GPL-3.0-or-later
"""The thread that writes: whole batches, in the order in which they were handed over, and none after a failure."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from rocksdict import WriteBatch

from supervm.engine.errors import StorageError, StorageFailed
from supervm.engine.storage.database import Database
from supervm.engine.storage.records import sealed


@dataclass(frozen=True, slots=True)
class Changes:
    """One atomic batch. Deletions come first.

    Args:
        puts: records as (key, body); the writer seals them.
        deletions: ranges of keys (first, after).
        deleted: single keys.
        sync: whether the disk must have the batch before it counts as written.
        sequence: the commit that it holds, 0 for none.
    """

    puts: Sequence[tuple[bytes, bytes]] = ()
    deletions: Sequence[tuple[bytes, bytes]] = ()
    deleted: Sequence[bytes] = ()
    sync: bool = False
    sequence: int = 0


class Writer:
    """Writes on a thread of its own. Any thread may call it.

    Args:
        database: where to.
        depth: most batches that wait; `put` blocks beyond it.
    """

    def __init__(self, database: Database, depth: int) -> None:
        self._database = database
        self._waiting: queue.Queue[Changes | threading.Event | None] = queue.Queue(depth)
        self._failure: StorageError | None = None
        self.written = 0
        """Sequence number of the last commit that the database has taken."""
        self._thread = threading.Thread(target=self._run, name="storage-writer", daemon=True)
        self._thread.start()

    def put(self, changes: Changes) -> None:
        """Hand a batch over.

        Raises:
            StorageFailed: an earlier batch could not be written; this one will not be.
        """
        self.check()
        self._waiting.put(changes)

    def flush(self) -> None:
        """Wait until all that was handed over before is written.

        Raises:
            StorageFailed: it was not.
        """
        reached = threading.Event()
        self._waiting.put(reached)
        reached.wait()
        self.check()

    def check(self) -> None:
        """Raise the failure, if there was one.

        Raises:
            StorageFailed: a batch could not be written.
        """
        if self._failure is not None:
            error = self._failure
            raise type(error)(error.path, error.reason, error.remedy) from error

    def fail(self, error: StorageError) -> None:
        """Take no more batches, for this reason; the first reason counts."""
        self._failure = self._failure or error

    def stop(self) -> None:
        """Write what waits and end the thread. A failure is left for `check`."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            if isinstance(item, threading.Event):
                item.set()
            elif self._failure is None:
                try:
                    self._write(item)
                except StorageError as error:
                    self.fail(error)
                except (
                    Exception
                ) as error:  # whatever it is, callers must learn of it and the thread must go on
                    self.fail(
                        StorageFailed(self._database.path, f"a write failed: {error!r}", "open it again")
                    )

    def _write(self, changes: Changes) -> None:
        batch = WriteBatch(raw_mode=True)
        for first, after in changes.deletions:
            batch.delete_range(first, after)
        for key in changes.deleted:
            batch.delete(key)
        for key, body in changes.puts:
            batch.put(key, sealed(key, body))
        self._database.write(batch, sync=changes.sync)
        self.written = max(self.written, changes.sequence)
