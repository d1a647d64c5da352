# SPDX-License-Identifier: GPL-3.0-or-later
"""Which reader a file needs: its name says, and its first bytes where the name does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from supervm.engine.files.input_files import InputFile, open_input
from supervm.tiers.errors import BrokenFile, told_as_broken_file
from supervm.tiers.signature_files.arrow_files import ArrowFile, ArrowStream, ParquetFile
from supervm.tiers.signature_files.json_lines import BYTE_ORDER_MARK, JsonLinesFile
from supervm.tiers.signature_files.rows import Batch

ARROW_FILE_MAGIC = b"ARROW1"
ARROW_STREAM_MAGIC = b"\xff\xff\xff\xff"  # the continuation mark before the schema message
PARQUET_MAGIC = b"PAR1"
PEEKED = 64
"""Bytes that are looked at."""
JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
PARQUET_SUFFIXES = (".parquet", ".pq")
ARROW_SUFFIXES = (".arrow", ".arrows", ".ipc", ".feather")


class SignatureFile(Protocol):
    """A file that yields its rows in order.

    Attributes:
        source: where its bytes come from; who opened the file closes it.
        format: its format in words.
        place: what messages call a row, 'line' or 'row'.
    """

    source: InputFile
    format: str
    place: str

    @property
    def fraction(self) -> float | None:
        """How much of the file has been read, 0 to 1; None where nobody knows, in a pipe."""

    def batches(self) -> Iterator[Batch]:
        """Batches of rows; BrokenFile at the first broken row, after the rows before it."""


def open_signature_file(path: Path, batch_items: int, batch_bytes: int) -> SignatureFile:
    """The reader for a file or a pipe, which is opened once and looked at before it is read.

    Args:
        path: where it is; '-' is standard input.
        batch_items: rows of a batch, at most.
        batch_bytes: bytes of a batch, about.

    Raises:
        BrokenFile: it is missing, unreadable, neither file nor pipe, or of a format that is not read.
    """
    with told_as_broken_file():
        source = open_input(path)
        try:
            return _reader(source, path.suffix.lower())(source, batch_items, batch_bytes)
        except BaseException:
            source.close()
            raise


def _reader(source: InputFile, suffix: str) -> Callable[[InputFile, int, int], SignatureFile]:
    head = source.peek(PEEKED)
    if suffix in PARQUET_SUFFIXES or head.startswith(PARQUET_MAGIC):
        return ParquetFile
    if head.startswith(ARROW_FILE_MAGIC):
        return ArrowFile
    if suffix in ARROW_SUFFIXES or head.startswith(ARROW_STREAM_MAGIC):
        return ArrowStream
    text = head.removeprefix(BYTE_ORDER_MARK).lstrip()
    # Nothing at all is a file of JSON Lines without a row.
    if suffix in JSON_SUFFIXES or text[:1] == b"{" or not head:
        return JsonLinesFile
    known = ", ".join((*JSON_SUFFIXES, *PARQUET_SUFFIXES, *ARROW_SUFFIXES))
    raise BrokenFile(source.name, "", f"neither the name ({known}) nor the content tells a known format")
