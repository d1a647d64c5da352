# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of verdicts, written batch by batch: text, one verdict a line, or a column `verdict` of int8.

A file has its name when every verdict is in it. Until then it is written under another one; what an error leaves has the
name with `.partial` behind it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from supervm.engine.files.whole_files import unfinished_name
from supervm.kernels.array_types import Verdicts
from supervm.tiers.errors import BrokenFile

SCHEMA = pa.schema([pa.field("verdict", pa.int8(), nullable=False)])
PARTIAL = ".partial"
_TEXT = np.array([b"-1\n", b"0\n", b"1\n"])


class VerdictWriter(Protocol):
    """Takes verdicts in the file's order; used in a `with` statement, at whose end they can be read."""

    def write(self, verdicts: Verdicts) -> None:
        """Append one batch, int8 (n,)."""

    def __enter__(self) -> VerdictWriter: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class TextWriter:
    """One verdict a line: 1, 0 or -1. Every batch is handed to the operating system at once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, verdicts: Verdicts) -> None:
        """Append one batch, int8 (n,) of 1, 0 and −1, as n lines."""
        # Fixed-width cells, padded with NUL bytes that fall out again: no Python per row.
        self._file.write(_TEXT[verdicts + 1].tobytes().replace(b"\0", b""))
        self._file.flush()

    def __enter__(self) -> TextWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class ColumnWriter:
    """Parquet or Arrow IPC through the writer of pyarrow."""

    def __init__(self, writer: pq.ParquetWriter | pa.ipc.RecordBatchWriter) -> None:
        self._writer = writer

    def write(self, verdicts: Verdicts) -> None:
        """Append one batch, int8 (n,), as a record batch of `SCHEMA`."""
        self._writer.write_batch(pa.record_batch([pa.array(verdicts)], schema=SCHEMA))

    def __enter__(self) -> ColumnWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()


@contextmanager
def verdict_writer(path: Path) -> Iterator[VerdictWriter]:
    """The writer that the name of `path` asks for.

    A file that is there is replaced when the block ends without an error; with one it stays, and what was written until
    then lies beside it, readable, under the name with `PARTIAL` behind it. A device or a pipe is written to as it is.

    Raises:
        BrokenFile: the file cannot be written.
    """
    place = Path(os.path.realpath(path))
    special = str(path).startswith(("/dev/", "/proc/")) or (path.exists() and not path.is_file())
    unfinished = path if special else unfinished_name(place)
    try:
        file = _opened(unfinished, special)
    except OSError as error:
        raise BrokenFile(str(path), "", error.strerror or str(error)) from None
    try:
        with file:
            with _writer(path.suffix.lower(), file) as writer:
                yield writer
            file.flush()
            if not special:
                os.fsync(file.fileno())
    except BaseException:
        if not special:
            with suppress(OSError):
                unfinished.rename(partial_name(place))
        raise
    if not special:
        unfinished.rename(place)


def partial_name(path: Path) -> Path:
    """Where verdicts lie that are not all."""
    return path.with_name(path.name + PARTIAL)


def _opened(path: Path, special: bool) -> BinaryIO:
    if not special:
        return path.open("wb")
    # Not blocking: a pipe that nobody reads would hold the process here without a word.
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        if error.errno == errno.ENXIO and stat.S_ISFIFO(path.stat().st_mode):
            raise OSError(errno.ENXIO, "nobody reads from this pipe") from None
        raise
    os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "wb")


def _writer(suffix: str, file: BinaryIO) -> VerdictWriter:
    if suffix == ".parquet":
        return ColumnWriter(pq.ParquetWriter(file, SCHEMA))
    if suffix in (".arrow", ".ipc", ".feather"):
        return ColumnWriter(pa.ipc.new_file(file, SCHEMA))
    if suffix == ".arrows":
        return ColumnWriter(pa.ipc.new_stream(file, SCHEMA))
    return TextWriter(file)
