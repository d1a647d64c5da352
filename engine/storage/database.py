# SPDX-License-Identifier: GPL-3.0-or-later
"""The RocksDB database of a storage: its options, its creation and opening, and its errors in our words.

Options, measured on two Zen 4 cores with commits of 2.6 MB, 27,600 pairs:

- Values from 4 KiB on lie in blob files: flushes and compactions then move keys only. A batch takes about 3.2 ms either
  way, but without blob files single ones took 30 to 55 ms.
- Blob files are compressed with LZ4, on RocksDB's own threads: contract keys and balances are half zeros. 200 commits in
  a row took 5.2 to 5.7 ms each and 45 % of the room, against 6.0 to 6.6 ms without and 7.9 to 9.8 ms with Zstandard.
- A write buffer of 64 MiB: with 256 MiB a batch took 4.2 ms, on fresh memory every time.
- The write-ahead log stays on for commits (1.9 of the 3.1 ms); pages of checkpoints go without, because they are
  flushed before anything refers to them.
- Recovery tolerates a torn end of that log, which is what a kill leaves, and nothing else: damage in its middle is an
  error, where RocksDB's default would silently drop all later commits. `salvage` asks for that default.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rocksdict import (
    BlockBasedOptions,
    Cache,
    CompactOptions,
    DbClosedError,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    WriteBatch,
    WriteOptions,
)

from supervm.engine.errors import StorageCorrupt, StorageFailed, StorageUnavailable
from supervm.engine.storage import layout
from supervm.engine.storage.records import Damaged, sealed, unsealed

RESTORE = "restore the directory from a copy, or delete it and rebuild the state from the chain"


class Database:
    """An open database. Any thread may call it; every failure is one of the room's errors.

    Args:
        path: the storage's directory.
        first: records that a new storage starts with, as (key, body).
        salvage: whether to drop the commits from a damaged place of the write-ahead log on.

    Raises:
        StorageUnavailable: locked by a process, not a storage, no permission, or of another format version.
        StorageCorrupt: a storage whose database RocksDB refuses.
    """

    def __init__(self, path: Path, first: list[tuple[bytes, bytes]], salvage: bool) -> None:
        self.path = path
        try:
            fresh = self._prepared()
        except OSError as error:
            raise StorageUnavailable(
                path, str(error), "name a directory that can be read and written"
            ) from error
        try:
            self._rocks = Rdict(str(path / layout.DATABASE), _options(create=fresh, salvage=salvage))
        except Exception as error:
            raise self._opening_error(str(error)) from error
        try:
            self._begin(fresh, first)
        except BaseException:
            with contextlib.suppress(StorageFailed):
                self.close()
            raise

    def _prepared(self) -> bool:
        """Whether the directory, which now exists, is to become a storage; False where it is one."""
        marker = self.path / layout.FORMAT_FILE
        if marker.exists():
            self._check_format(marker.read_bytes(), marker.name)
            # rocksdict writes files of its own into a directory before it finds no database there.
            if not (self.path / layout.DATABASE / "CURRENT").exists():
                raise StorageCorrupt(self.path, f"{layout.DATABASE}/CURRENT is missing", RESTORE)
            return False
        if not layout.is_fresh(self.path):
            raise StorageUnavailable(
                self.path,
                f"the directory is not empty and has no {layout.FORMAT_FILE}",
                "name an empty directory or one that a storage was created in",
            )
        self.path.mkdir(parents=True, exist_ok=True)
        return True

    def _opening_error(self, said: str) -> StorageUnavailable | StorageCorrupt:
        if "lock hold" in said or "While lock file" in said:
            return StorageUnavailable(
                self.path, "a process has it open", "close that process, or name another directory"
            )
        if said.startswith("IO error") and "No such file" not in said:
            return StorageUnavailable(self.path, said, "see to the disk, then open it again")
        return StorageCorrupt(
            self.path, f"RocksDB refuses it: {said}", f"open it with salvage=True, {RESTORE}"
        )

    def _begin(self, fresh: bool, first: list[tuple[bytes, bytes]]) -> None:
        stored = self._read(layout.FORMAT)
        if stored is not None:
            self._check_format(bytes(self.record(layout.FORMAT)), "the format record")
        elif not fresh:
            raise StorageCorrupt(self.path, "the format record is missing", RESTORE)
        elif next(self.keys(b""), None) is not None:
            raise StorageUnavailable(
                self.path, f"{layout.DATABASE} is another program's database", "name another directory"
            )
        else:
            batch = WriteBatch(raw_mode=True)
            for key, body in [(layout.FORMAT, layout.format_line()), *first]:
                batch.put(key, sealed(key, body))
            self.write(batch, sync=True)
        if fresh:
            self._mark()

    def _mark(self) -> None:
        """Write the format file: whole or absent, even after a power loss."""
        unfinished = self.path / layout.UNFINISHED
        try:
            with open(unfinished, "wb") as file:
                file.write(layout.format_line())
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self.path / layout.FORMAT_FILE)
            folder = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise self._failed(error) from error

    def _check_format(self, line: bytes, where: str) -> None:
        version = layout.format_version(line)
        if version is None:
            raise StorageCorrupt(self.path, f"{where} does not state a format", RESTORE)
        if version != layout.FORMAT_VERSION:
            raise StorageUnavailable(
                self.path,
                f"{where} states format {version}, and this version reads format {layout.FORMAT_VERSION}",
                "open it with the version of SuperVM that wrote it",
            )

    def record(self, key: bytes) -> memoryview:
        """The body of the record under `key`.

        Raises:
            StorageCorrupt: it is missing or damaged.
        """
        body = self.find(key)
        if body is None:
            raise StorageCorrupt(self.path, f"{layout.named(key)} is missing", RESTORE)
        return body

    def find(self, key: bytes) -> memoryview | None:
        """The body of the record under `key`, None without one.

        Raises:
            StorageCorrupt: it is damaged.
        """
        stored = self._read(key)
        if stored is None:
            return None
        try:
            return unsealed(key, stored)
        except Damaged as error:
            raise self.damaged(key, error) from None

    def damaged(self, key: bytes, error: Damaged) -> StorageCorrupt:
        """The error of a damaged record."""
        return StorageCorrupt(self.path, f"{layout.named(key)}: {error}", RESTORE)

    def _read(self, key: bytes) -> bytes | None:
        try:
            stored: bytes | None = self._rocks.get(key)
        except DbClosedError:
            raise closed(self.path) from None
        except Exception as error:
            raise StorageCorrupt(
                self.path, f"{layout.named(key)} cannot be read: {error}", RESTORE
            ) from error
        return stored

    def keys(self, first: bytes) -> Iterator[bytes]:
        """Keys from `first` on, in order.

        Raises:
            StorageCorrupt: the database cannot be read there.
        """
        try:
            yield from self._rocks.keys(from_key=first)
        except DbClosedError:
            raise closed(self.path) from None
        except Exception as error:
            raise StorageCorrupt(self.path, f"keys cannot be read: {error}", RESTORE) from error

    def write(self, batch: WriteBatch, *, sync: bool = False, logged: bool = True) -> None:
        """Write a batch as a whole or not at all.

        rocksdict keeps the interpreter's lock while RocksDB writes (3 ms for 2.6 MB), and would through the wait for the
        disk of a synchronous write; it gives it up in `flush_wal`, which therefore does the waiting.

        Args:
            batch: the changes.
            sync: whether to wait until the disk has them.
            logged: whether they go through the write-ahead log; without it a kill loses them until `flush`.

        Raises:
            StorageFailed: the disk is full, or any other failure. If it was the wait for the disk that failed, the
                batch may still be there, as a whole, at the next opening.
        """
        options = WriteOptions()
        _set(options, "disable_wal", not logged)
        try:
            self._rocks.write(batch, options)
            if sync:
                self._rocks.flush_wal(True)
        except Exception as error:
            raise self._failed(error) from error

    def flush(self) -> None:
        """Bring everything written so far into table files on the disk.

        Raises:
            StorageFailed: the disk is full, or any other failure.
        """
        try:
            self._rocks.flush(True)
        except Exception as error:
            raise self._failed(error) from error

    def reclaim(self, first: bytes, after: bytes) -> None:
        """Give the room of deleted records back to the disk.

        Raises:
            StorageFailed: the disk is full, or any other failure.
        """
        try:
            self._rocks.compact_range(first, after, CompactOptions())
        except Exception as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> StorageFailed:
        return StorageFailed(
            self.path, f"a write failed: {error}", "free space or see to the disk, then open it again"
        )

    def close(self) -> None:
        """Close the database; what was written without the log is flushed. A second call does nothing.

        Raises:
            StorageFailed: the disk is full, or any other failure. The database is closed all the same.
        """
        try:
            self._rocks.close()
        except DbClosedError:
            return
        except Exception as error:
            raise self._failed(error) from error


def closed(path: Path) -> StorageUnavailable:
    """The error of whoever uses a storage after its `close`."""
    return StorageUnavailable(path, "it was closed", "open it again")


def _set(options: Any, name: str, value: Any) -> None:
    """Set an option that rocksdict's annotations declare as a method and its code as an attribute."""
    setattr(options, name, value)


def _options(create: bool, salvage: bool) -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(create)
    options.set_wal_recovery_mode(
        DBRecoveryMode.point_in_time() if salvage else DBRecoveryMode.tolerate_corrupted_tail_records()
    )
    options.set_paranoid_checks(True)
    options.set_compression_type(DBCompressionType.none())
    options.set_write_buffer_size(64 << 20)
    options.set_max_write_buffer_number(4)
    options.set_enable_blob_files(True)
    options.set_min_blob_size(4096)
    options.set_blob_compression_type(DBCompressionType.lz4())
    table = BlockBasedOptions()
    table.set_block_cache(Cache(8 << 20))
    options.set_block_based_table_factory(table)
    options.set_max_background_jobs(2)
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(4 << 20)
    return options
