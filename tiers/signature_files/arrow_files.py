# SPDX-License-Identifier: GPL-3.0-or-later
"""Signature files in Arrow IPC, file or stream, and in Parquet, read record batch by record batch."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from supervm.engine.errors import InputFileError
from supervm.engine.files.input_files import InputFile
from supervm.tiers.errors import BrokenFile
from supervm.tiers.signature_files.arrow_messages import (
    CONTINUATION,
    BadMessage,
    Block,
    blocks_of,
    check_message,
)
from supervm.tiers.signature_files.arrow_stream import CheckedStream
from supervm.tiers.signature_files.parquet_pages import BadPage, Footer, Pages, check_pages, read_footer
from supervm.tiers.signature_files.rows import COLUMNS, REQUIRED, SIGNED, Rows, read_columns, value_lengths

EXPANSION = 4
"""Batches that a record batch may take in memory beside its file: what compressed buffers may announce in all."""

LEAST_EXPANSION = 64 << 20


class ColumnarFile(ABC):
    """What the three formats share: one source of record batches, cut into batches of rows.

    Args:
        source: the file or pipe, which `close` closes.
        batch_items: rows of a batch, at most.
        batch_bytes: bytes of a batch, about.
    """

    format = ""
    place = "row"

    def __init__(self, source: InputFile, batch_items: int, batch_bytes: int) -> None:
        self.source = source
        self.fraction: float | None = 0.0
        self._items = batch_items
        self._bytes = batch_bytes
        self._most = max(LEAST_EXPANSION, EXPANSION * batch_bytes)

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
                    numbers = np.arange(first + 1, first + 1 + piece.num_rows, dtype=np.int64)
                    rows, broken = read_columns(columns, numbers)
                    yield rows
                    if broken is not None:
                        place = f"row {numbers[broken.index]}"
                        raise BrokenFile(self.source.name, place, broken.problem)
                    first += piece.num_rows
            self.fraction = 1.0
        except UnicodeDecodeError:
            raise self._unreadable(first, "a name that is not UTF-8") from None
        except (pa.ArrowException, OSError, BadMessage, BadPage, InputFileError) as error:
            said = (str(error).splitlines() or [type(error).__name__])[0]
            raise self._unreadable(first, said) from None

    @abstractmethod
    def _record_batches(self) -> Iterator[pa.RecordBatch]:
        """The columns of `COLUMNS` that the file has, checked with `_columns`; sets `fraction` on the way."""

    def _columns(self, names: list[str]) -> list[str]:
        """The columns to read, of those in the file."""
        name_of_file = self.source.name
        found = f"the columns are {', '.join(names) or 'none'}"
        for name in REQUIRED:
            if name not in names:
                raise BrokenFile(name_of_file, "", f"no column '{name}'; {found}")
        if not set(SIGNED).intersection(names):
            raise BrokenFile(name_of_file, "", f"no column 'message' or 'digest'; {found}")
        doubled = [name for name in COLUMNS if names.count(name) > 1]
        if doubled:
            raise BrokenFile(name_of_file, "", f"column '{doubled[0]}' is there more than once")
        return [name for name in COLUMNS if name in names]

    def _pieces(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Slices of at most the rows, and about the bytes, of a batch, with checked columns; nothing is copied.

        The bytes are those of the values: a dictionary or a view may name a long one in every row.
        """
        start = 0
        while start < batch.num_rows:
            piece = batch.slice(start, self._items)
            sizes = np.zeros(piece.num_rows, np.int64)
            for column in piece.columns:
                column.validate(full=True)
                sizes += value_lengths(column)
            ends = np.cumsum(sizes)
            rows = max(1, int(np.searchsorted(ends, self._bytes, side="right")))
            yield piece.slice(0, rows)
            start += min(rows, piece.num_rows)

    def _unreadable(self, rows: int, problem: str) -> BrokenFile:
        place = f"after row {rows}" if rows else ""
        return BrokenFile(self.source.name, place, f"not readable as {self.format}: {problem}")

    def _must_be_whole(self, instead: str) -> None:
        """See that every place of the file can be gone to."""
        if not self.source.whole:
            problem = f"{self.format} is read from its end on, which a pipe does not have"
            raise BrokenFile(self.source.name, "", f"{problem}: write it to a file first, or pipe {instead}")


class ParquetFile(ColumnarFile):
    """Reads Parquet row group by row group."""

    format = "Parquet"

    def _record_batches(self) -> Iterator[pa.RecordBatch]:
        self._must_be_whole("JSON Lines or an Arrow IPC stream")
        with os.fdopen(self.source.raw(), "rb") as opened:
            footer = read_footer(opened.fileno(), self.source.size or 0)
            # Buffered: otherwise a whole column of a row group is held, and a file may be one row group.
            options = {
                "buffer_size": 1 << 20,
                "pre_buffer": False,
                # A list has a byte an entry at least; the reader reserves for as many as it announces.
                "thrift_string_size_limit": max(1, footer.length),
                "thrift_container_size_limit": max(1, footer.length),
            }
            with pq.ParquetFile(opened, **options) as file:
                metadata, columns = file.metadata, self._columns(file.schema_arrow.names)
            pages = check_pages(opened.fileno(), footer, columns)
            rows, seen = self._rows(footer, pages), 0
            # Values that rows repeat stay apart until they are cut into pieces, where they would come to much.
            apart = [name for name, found in pages.items() if found.repeated * rows > self._most]
            opened.seek(0)
            with pq.ParquetFile(opened, metadata=metadata, read_dictionary=apart, **options) as file:
                for batch in file.iter_batches(batch_size=rows, columns=columns):
                    seen += batch.num_rows
                    self.fraction = min(1.0, seen / max(1, footer.rows))
                    yield batch
        if seen != footer.rows:
            raise BadPage(f"{seen:,} rows, where {footer.rows:,} are announced")

    def _rows(self, footer: Footer, pages: dict[str, Pages]) -> int:
        """Rows to read at once, so that they take about the bytes of a batch, whatever the file says of itself."""
        rows = min(self._items, max(1, footer.rows * self._bytes // max(1, footer.bytes)))
        width = sum(column.width for column in footer.columns if column.name in pages)
        if width:
            rows = min(rows, max(1, self._bytes // width))
        prefixes = max(found.prefixes for found in pages.values())
        if prefixes:
            # Every value may be as long as the page.
            rows = min(rows, max(1, self._most // prefixes))
        return rows


class ArrowFile(ColumnarFile):
    """Reads the Arrow IPC file format through a memory map."""

    format = "an Arrow IPC file"

    def _record_batches(self) -> Iterator[pa.RecordBatch]:
        self._must_be_whole("an Arrow IPC stream")
        data = memoryview(self.source.mapped())
        dictionaries, batches = self._blocks(data)
        for block in dictionaries:
            self._check(data, block)
        with pa.ipc.open_file(pa.BufferReader(data)) as reader:
            columns = self._columns(reader.schema.names)
            if len(batches) != reader.num_record_batches:
                raise BadMessage(
                    f"{len(batches):,} record batches in its footer, not {reader.num_record_batches:,}"
                )
            options = _only(reader.schema, columns)
        with pa.ipc.open_file(pa.BufferReader(data), options=options) as reader:
            for index, block in enumerate(batches):
                self._check(data, block)
                yield reader.get_batch(index).select(columns)
                self.fraction = (index + 1) / len(batches)

    def _blocks(self, data: memoryview) -> tuple[list[Block], list[Block]]:
        """Where messages lie, by the footer, whose length stands before the last 6 bytes."""
        if len(data) < 20 or bytes(data[-6:]) != b"ARROW1":
            raise BadMessage(f"{len(data):,} bytes that do not end in a footer and 'ARROW1'")
        length = int.from_bytes(data[-10:-6], "little", signed=True)
        end = len(data) - 10 - length
        if length <= 0 or end < 8:
            raise BadMessage(f"a footer of {length:,} bytes")
        return blocks_of(data[end : end + length], end)

    def _check(self, data: memoryview, block: Block) -> None:
        prefix = 8 if bytes(data[block.offset : block.offset + 4]) == CONTINUATION else 4
        length = int.from_bytes(
            data[block.offset + prefix - 4 : block.offset + prefix], "little", signed=True
        )
        start = block.offset + block.metadata
        if not 0 < length <= block.metadata - prefix:
            raise BadMessage(f"a description of {length:,} bytes in {block.metadata:,}")
        metadata = data[block.offset + prefix : block.offset + prefix + length]
        body = data[start : start + block.body]
        check_message(metadata, lambda first, count: body[first : first + count], self._most)


class ArrowStream(ColumnarFile):
    """Reads the Arrow IPC stream format."""

    format = "an Arrow IPC stream"

    def _record_batches(self) -> Iterator[pa.RecordBatch]:
        stream = CheckedStream(self.source, self._most)
        with pa.ipc.open_stream(pa.PythonFile(stream, mode="r")) as reader:
            columns = self._columns(reader.schema.names)
            for batch in reader:
                yield batch.select(columns)
                self.fraction = stream.fraction


def _only(schema: pa.Schema, columns: list[str]) -> pa.ipc.IpcReadOptions:
    """Options that leave other columns unread."""
    return pa.ipc.IpcReadOptions(included_fields=[schema.get_field_index(name) for name in columns])
