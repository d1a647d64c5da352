# SPDX-License-Identifier: GPL-3.0-or-later
"""Signature files in JSON Lines, read block by block."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa

from supervm.tiers.errors import BrokenFile
from supervm.tiers.signature_files.rows import Rows, read_columns

LONGEST_LINE = 64 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Line(msgspec.Struct, gc=False):
    """One line; its other members are passed over."""

    scheme: str
    public_key: str
    signature: str
    message: str | None = None
    digest: str | None = None


_decoder = msgspec.json.Decoder(Line)


class JsonLinesFile:
    """Reads a file of JSON objects, one a line; empty lines are passed over.

    Args:
        path: the file.
        batch_items: rows of a batch, at most.
        batch_bytes: bytes of text of a batch, about.
    """

    format = "JSON Lines"
    place = "line"

    def __init__(self, path: Path, batch_items: int, batch_bytes: int) -> None:
        self.path = path
        self.size = path.stat().st_size
        self.bytes_read = 0
        self._items = batch_items
        self._bytes = batch_bytes

    @property
    def fraction(self) -> float:
        """How much of the file has been read, 0 to 1."""
        return self.bytes_read / self.size if self.size else 1.0

    def batches(self) -> Iterator[Rows]:
        """Rows in the file's order.

        Raises:
            BrokenFile: at the first broken line, after the rows before it were yielded.
        """
        lines: list[Line] = []
        numbers: list[int] = []
        number = 1
        held = 0
        for block in self._blocks():
            texts = block.split(b"\n")
            problem = self._decode(texts, number, lines, numbers)
            number += len(texts) - 1
            held += len(block)
            # What does not fill a batch waits for the next block, unless it is large already.
            stop = len(lines)
            if problem is None and held < self._bytes:
                stop -= stop % self._items
            for start in range(0, stop, self._items):
                end = min(stop, start + self._items)
                yield from self._rows(lines[start:end], numbers[start:end])
            if problem is not None:
                raise problem
            if stop:
                del lines[:stop], numbers[:stop]
                held = 0
        yield from self._rows(lines, numbers)

    def _blocks(self) -> Iterator[bytes]:
        """Whole lines, about an eighth of a batch at a time."""
        step = max(1 << 16, self._bytes // 8)
        with self.path.open("rb") as file:
            rest = file.read(len(BYTE_ORDER_MARK)).removeprefix(BYTE_ORDER_MARK)
            number = 1
            while block := file.read(step):
                self.bytes_read += len(block)
                cut = block.rfind(b"\n") + 1
                if cut == 0:
                    rest += block
                    if len(rest) > LONGEST_LINE:
                        self._fail(number, f"longer than {LONGEST_LINE} bytes")
                    continue
                whole = rest + block[:cut]
                yield whole
                number += whole.count(b"\n")
                rest = block[cut:]
            self.bytes_read = self.size
            if rest.strip():
                yield rest

    def _decode(
        self, texts: list[bytes], number: int, lines: list[Line], numbers: list[int]
    ) -> BrokenFile | None:
        """Append the lines up to a broken one, whose error comes back; `number` is that of the first text."""
        decode = _decoder.decode
        if not texts[-1]:
            texts = texts[:-1]
        try:
            lines += [decode(text) for text in texts]
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass  # a broken or an empty line is in here: one at a time, to know which
        else:
            numbers += range(number, number + len(texts))
            return None
        for place, text in enumerate(texts, number):
            try:
                lines.append(decode(text))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                if text.strip():
                    return BrokenFile(str(self.path), f"line {place}", str(error))
            else:
                numbers.append(place)
        return None

    def _rows(self, lines: list[Line], numbers: list[int]) -> Iterator[Rows]:
        if not lines:
            return
        # Spelt out: a loop over names would look up each attribute by its name, three times as slowly.
        members: dict[str, list[str] | list[str | None]] = {
            "scheme": [line.scheme for line in lines],
            "public_key": [line.public_key for line in lines],
            "message": [line.message for line in lines],
            "digest": [line.digest for line in lines],
            "signature": [line.signature for line in lines],
        }
        columns = {name: pa.array(values, pa.large_string()) for name, values in members.items()}
        rows, broken = read_columns(columns, np.array(numbers, np.int64))
        yield rows
        if broken is not None:
            self._fail(numbers[broken.index], broken.problem)

    def _fail(self, number: int, problem: str) -> None:
        raise BrokenFile(str(self.path), f"line {number}", problem)
