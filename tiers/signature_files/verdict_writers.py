# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of verdicts, written batch by batch: text, one verdict a line, or a column `verdict` of int8."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from supervm.tiers.errors import BrokenFile

Verdicts = npt.NDArray[np.int8]

SCHEMA = pa.schema([pa.field("verdict", pa.int8(), nullable=False)])
_TEXT = np.array([b"-1\n", b"0\n", b"1\n"])


class VerdictWriter(Protocol):
    """Takes verdicts in the file's order; used in a `with` statement, and complete however that ends."""

    def write(self, verdicts: Verdicts) -> None:
        """Append one batch, int8 (n,)."""

    def __enter__(self) -> VerdictWriter: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class TextWriter:
    """One verdict a line: 1, 0 or -1. Every batch is handed to the operating system at once."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)

    def write(self, verdicts: Verdicts) -> None:
        # Fixed-width cells, padded with NUL bytes that fall out again: no Python per row.
        self._file.write(_TEXT[verdicts + 1].tobytes().replace(b"\0", b""))

    def __enter__(self) -> TextWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


class ColumnWriter:
    """Parquet or Arrow IPC through the writer of pyarrow."""

    def __init__(self, writer: pq.ParquetWriter | pa.ipc.RecordBatchWriter) -> None:
        self._writer = writer

    def write(self, verdicts: Verdicts) -> None:
        self._writer.write_batch(pa.record_batch([pa.array(verdicts)], schema=SCHEMA))

    def __enter__(self) -> ColumnWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()


def verdict_writer(path: Path) -> VerdictWriter:
    """The writer that the name of `path` asks for; a file that is there is replaced.

    Raises:
        BrokenFile: the file cannot be written.
    """
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            return ColumnWriter(pq.ParquetWriter(path, SCHEMA))
        if suffix in (".arrow", ".ipc", ".feather"):
            return ColumnWriter(pa.ipc.new_file(str(path), SCHEMA))
        if suffix == ".arrows":
            return ColumnWriter(pa.ipc.new_stream(str(path), SCHEMA))
        return TextWriter(path)
    except OSError as error:
        raise BrokenFile(str(path), "", error.strerror or str(error)) from None
