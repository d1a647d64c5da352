# SPDX-License-Identifier: GPL-3.0-or-later
"""Signature files in Parquet and in Arrow IPC, file or stream, read record batch by record batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from supervm.tiers.errors import BrokenFile
from supervm.tiers.signature_files.rows import COLUMNS, REQUIRED, SIGNED, Rows, read_columns


class ColumnarFile(ABC):
    """What the three formats share: one source of record batches, cut into batches of rows."""

    format = ""
    place = "row"

    def __init__(self, path: Path, batch_items: int, batch_bytes: int) -> None:
        self.path = path
        self.fraction = 0.0
        self._items = batch_items
        self._bytes = batch_bytes

    def batches(self) -> Iterator[Rows]:
        """Rows in the file's order.

        Raises:
            BrokenFile: the file is not of its format, lacks a column, or has a broken row, after the rows
                before it were yielded.
        """
        first = 0
        try:
            for batch in self._record_batches():
                for piece in self._pieces(batch):
                    columns = {name: piece.column(name) for name in COLUMNS if name in piece.schema.names}
                    for column in columns.values():
                        column.validate(full=True)
                    numbers = np.arange(first + 1, first + 1 + piece.num_rows, dtype=np.int64)
                    rows, broken = read_columns(columns, numbers)
                    yield rows
                    if broken is not None:
                        place = f"row {numbers[broken.index]}"
                        raise BrokenFile(str(self.path), place, broken.problem)
                    first += piece.num_rows
            self.fraction = 1.0
        except (pa.ArrowException, OSError) as error:
            place = f"after row {first}" if first else ""
            said = (str(error).splitlines() or [type(error).__name__])[0]
            raise BrokenFile(str(self.path), place, f"not readable as {self.format}: {said}") from None

    @abstractmethod
    def _record_batches(self) -> Iterator[pa.RecordBatch]:
        """The columns of `COLUMNS` that the file has, checked with `_columns`; sets `fraction` on the way."""

    def _columns(self, names: list[str]) -> list[str]:
        """The columns to read, of those in the file."""
        found = f"the columns are {', '.join(names) or 'none'}"
        for name in REQUIRED:
            if name not in names:
                raise BrokenFile(str(self.path), "", f"no column '{name}'; {found}")
        if not set(SIGNED).intersection(names):
            raise BrokenFile(str(self.path), "", f"no column 'message' or 'digest'; {found}")
        doubled = [name for name in COLUMNS if names.count(name) > 1]
        if doubled:
            raise BrokenFile(str(self.path), "", f"column '{doubled[0]}' is there more than once")
        return [name for name in COLUMNS if name in names]

    def _pieces(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Slices of at most the rows, and on average the bytes, of a batch; nothing is copied."""
        rows = min(self._items, max(1, batch.num_rows * self._bytes // max(1, batch.nbytes)))
        for start in range(0, batch.num_rows, rows):
            yield batch.slice(start, rows)


class ParquetFile(ColumnarFile):
    """Reads Parquet row group by row group."""

    format = "Parquet"

    def _record_batches(self) -> Iterator[pa.RecordBatch]:
        # Buffered: otherwise a whole column of a row group is held, and a file may be one row group.
        with pq.ParquetFile(self.path, buffer_size=1 << 20, pre_buffer=False) as file:
            columns = self._columns(file.schema_arrow.names)
            total = max(1, file.metadata.num_rows)
            size = sum(
                file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups)
            )
            rows = min(self._items, max(1, total * self._bytes // max(1, size)))
            seen = 0
            for batch in file.iter_batches(batch_size=rows, columns=columns):
                seen += batch.num_rows
                self.fraction = seen / total
                yield batch


class ArrowFile(ColumnarFile):
    """Reads the Arrow IPC file format through a memory map."""

    format = "an Arrow IPC file"

    def _record_batches(self) -> Iterator[pa.RecordBatch]:
        with pa.memory_map(str(self.path)) as source, pa.ipc.open_file(source) as reader:
            columns = self._columns(reader.schema.names)
            for index in range(reader.num_record_batches):
                yield reader.get_batch(index).select(columns)
                self.fraction = (index + 1) / reader.num_record_batches


class ArrowStream(ColumnarFile):
    """Reads the Arrow IPC stream format."""

    format = "an Arrow IPC stream"

    def _record_batches(self) -> Iterator[pa.RecordBatch]:
        size = max(1, self.path.stat().st_size)
        with pa.memory_map(str(self.path)) as source, pa.ipc.open_stream(source) as reader:
            columns = self._columns(reader.schema.names)
            for batch in reader:
                yield batch.select(columns)
                self.fraction = source.tell() / size
