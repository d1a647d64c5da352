# SPDX-License-Identifier: GPL-3.0-or-later
"""Folding: the state as of one commit is written as pages, and the log up to that commit is dropped.

A checkpoint is due when the log that it would drop is as large as the last checkpoint (and as the least size), so every
byte of state is rewritten at most once per byte logged: the cost per commit stays constant as the state grows.

The pages go to the database beside its write-ahead log and are flushed into table files before one batch switches the
checkpoint's record to them and deletes the older pages and log. An interruption before that batch leaves pages of a
generation that no record names; `remove_leftovers` deletes them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from rocksdict import WriteBatch

from supervm.crypto.messages import Messages
from supervm.engine.errors import StorageError
from supervm.engine.storage import layout
from supervm.engine.storage.commit import check_pairs
from supervm.engine.storage.database import Database
from supervm.engine.storage.positions import Checkpoint
from supervm.engine.storage.records import packed_pages, sealed
from supervm.engine.storage.recovery import read_commit
from supervm.engine.storage.writer import Changes, Writer

Chunks = Iterable[tuple[Messages, Messages]]


class Stopped(Exception):
    """The storage closes; the checkpoint is given up."""


class Folding:
    """One checkpoint under way, on a thread of its own.

    Args:
        database: where to.
        writer: writes the switch, in order with the commits.
        last: the checkpoint that stands.
        sequence: the commit to fold up to, already handed to the writer.
        chunks: keys and values of the whole state as of it, each key once.
        done: called with the new checkpoint once it stands.
    """

    def __init__(
        self,
        database: Database,
        writer: Writer,
        last: Checkpoint,
        sequence: int,
        chunks: Chunks,
        done: Callable[[Checkpoint], None],
    ) -> None:
        self._database = database
        self._writer = writer
        self._last = last
        self._sequence = sequence
        self._chunks = chunks
        self._done = done
        self._stop = threading.Event()
        self.error: BaseException | None = None
        """Why it was given up: an error of `chunks`, or of the storage."""
        self._thread = threading.Thread(target=self._run, name="storage-checkpoint", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it still works."""
        return self._thread.is_alive()

    def wait(self) -> None:
        """Wait until it has ended, well or not."""
        self._thread.join()

    def stop(self) -> None:
        """Give it up between two pages, and wait for that."""
        self._stop.set()
        self._thread.join()

    def check(self) -> None:
        """Raise why it was given up, once; nothing while it still works."""
        if not self.running and self.error is not None:
            error, self.error = self.error, None
            raise error

    def _run(self) -> None:
        try:
            self._fold()
        except Stopped:
            self._give_up()
        except StorageError as error:
            self.error = error
            self._writer.fail(error)
        except BaseException as error:  # an error of `chunks`: the log is still whole, so the storage goes on
            self.error = error
            self._give_up()
        finally:
            close = getattr(self._chunks, "close", None)
            if close is not None:
                close()

    def _fold(self) -> None:
        self._writer.flush()
        logged = read_commit(self._database, self._sequence)
        generation = self._last.generation + 1
        pages, keys, size = self._write_pages(generation)
        self._database.flush()
        checkpoint = Checkpoint(
            generation,
            self._sequence,
            logged.commit.height,
            logged.commit.root,
            logged.commit.timestamp,
            logged.logged,
            pages,
            keys,
            size,
        )
        old_pages = (layout.page_key(0, 0), layout.page_key(generation, 0))
        old_log = (layout.log_key(0), layout.log_key(self._sequence + 1))
        self._writer.put(
            Changes(puts=[(layout.CHECKPOINT, checkpoint.packed())], deletions=[old_pages, old_log])
        )
        self._writer.flush()
        self._done(checkpoint)
        self._database.flush()
        for first, after in (old_pages, old_log):
            self._database.reclaim(first, after)

    def _write_pages(self, generation: int) -> tuple[int, int, int]:
        """Number of pages, of keys and of bytes written."""
        pages = keys = size = 0
        for chunk in self._chunks:
            check_pairs(*chunk)
            for body, count in packed_pages(*chunk):
                if self._stop.is_set():
                    raise Stopped
                self._writer.check()
                key = layout.page_key(generation, pages)
                batch = WriteBatch(raw_mode=True)
                batch.put(key, sealed(key, body))
                self._database.write(batch, logged=False)
                pages, keys, size = pages + 1, keys + count, size + len(body)
        return pages, keys, size

    def _give_up(self) -> None:
        try:
            remove_leftovers(self._database, self._last)
        except StorageError as error:
            self.error = self.error or error
            self._writer.fail(error)


def remove_leftovers(database: Database, checkpoint: Checkpoint) -> None:
    """Delete pages of generations after the checkpoint's: an interrupted one wrote them.

    Raises:
        StorageCorrupt: the database cannot be read.
        StorageFailed: it cannot be written.
    """
    first = layout.page_key(checkpoint.generation + 1, 0)
    found = next(database.keys(first), None)
    if found is not None and found < layout.AFTER_PAGES:
        batch = WriteBatch(raw_mode=True)
        batch.delete_range(first, layout.AFTER_PAGES)
        database.write(batch)
        database.flush()
        database.reclaim(first, layout.AFTER_PAGES)
