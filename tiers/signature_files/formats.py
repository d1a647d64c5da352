# SPDX-License-Identifier: GPL-3.0-or-later
"""Which reader a file needs: its name says, and its first bytes where the name does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from supervm.tiers.errors import BrokenFile
from supervm.tiers.signature_files.arrow_files import ArrowFile, ArrowStream, ParquetFile
from supervm.tiers.signature_files.json_lines import JsonLinesFile
from supervm.tiers.signature_files.rows import Rows

ARROW_FILE_MAGIC = b"ARROW1"
ARROW_STREAM_MAGIC = b"\xff\xff\xff\xff"  # the continuation mark before the schema message
PARQUET_MAGIC = b"PAR1"
JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
PARQUET_SUFFIXES = (".parquet", ".pq")
ARROW_SUFFIXES = (".arrow", ".arrows", ".ipc", ".feather")


class SignatureFile(Protocol):
    """A file that yields its rows in order.

    Attributes:
        format: its format in words.
        place: what messages call a row, 'line' or 'row'.
    """

    path: Path
    format: str
    place: str

    @property
    def fraction(self) -> float:
        """How much of the file has been read, 0 to 1."""

    def batches(self) -> Iterator[Rows]:
        """Batches of rows; BrokenFile at the first broken row, after the rows before it."""


def open_signature_file(path: Path, batch_items: int, batch_bytes: int) -> SignatureFile:
    """The reader for `path`.

    Args:
        batch_items: rows of a batch, at most.
        batch_bytes: bytes of a batch, about.

    Raises:
        BrokenFile: the file is missing, unreadable, or of a format that is not read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise BrokenFile(str(path), "", error.strerror or str(error)) from None
    suffix = path.suffix.lower()
    if suffix in PARQUET_SUFFIXES or head.startswith(PARQUET_MAGIC):
        return ParquetFile(path, batch_items, batch_bytes)
    if head.startswith(ARROW_FILE_MAGIC):
        return ArrowFile(path, batch_items, batch_bytes)
    if suffix in ARROW_SUFFIXES or head.startswith(ARROW_STREAM_MAGIC):
        return ArrowStream(path, batch_items, batch_bytes)
    if suffix in JSON_SUFFIXES or head.lstrip()[:1] == b"{":
        return JsonLinesFile(path, batch_items, batch_bytes)
    known = ", ".join((*JSON_SUFFIXES, *PARQUET_SUFFIXES, *ARROW_SUFFIXES))
    raise BrokenFile(str(path), "", f"neither the name ({known}) nor the content tells a known format")
