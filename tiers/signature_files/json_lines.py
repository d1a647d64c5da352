# SPDX-License-Identifier: GPL-3.0-or-later
"""Signature files in JSON Lines, read block by block."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from supervm.engine.files.input_files import InputFile
from supervm.tiers.errors import BrokenFile, told_as_broken_file
from supervm.tiers.signature_files.rows import Batch, Broken, read_columns

LONGEST_LINE = 64 << 20
"""Bytes of a line, and of lines without anything one after the other."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Line(msgspec.Struct, gc=False):
    """One line; its other members are passed over."""

    scheme: str
    public_key: str
    signature: str
    message: str | None = None
    digest: str | None = None


_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class JsonLinesFile:
    """Reads a file or a pipe of JSON objects, one a line; empty lines are passed over.

    Args:
        source: the file or pipe, at its first byte.
        batch_items: rows of a batch, at most.
        batch_bytes: bytes of text of a batch, about.
    """

    format = "JSON Lines"
    place = "line"
    line: type[msgspec.Struct] = Line
    """The members of a line."""

    def __init__(self, source: InputFile, batch_items: int, batch_bytes: int) -> None:
        self.source = source
        self.bytes_read = 0
        self._items = batch_items
        self._bytes = batch_bytes
        self._empty = 0
        self._decoder = msgspec.json.Decoder(self.line)
        self._members = self.line.__struct_fields__
        self._keys = [f'"{name}"'.encode() for name in self._members]

    @property
    def fraction(self) -> float | None:
        """How much of a file has been read, 0 to 1; None of a pipe."""
        if self.source.size is None:
            return None
        return min(1.0, self.bytes_read / self.source.size) if self.source.size else 1.0

    def batches(self) -> Iterator[Batch]:
        """Rows in the file's order.

        Raises:
            BrokenFile: at the first broken line, after the rows before it were yielded.
        """
        lines: list[Any] = []
        numbers: list[int] = []
        number = 1
        held = 0
        for block in self._blocks():
            if not block.strip():
                number += block.count(b"\n")
                self._pass_empty(number, len(block))
                continue
            texts = block.split(b"\n")
            problem = self._decode(block, texts, number, lines, numbers)
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
        if self.source.peek(len(BYTE_ORDER_MARK)) == BYTE_ORDER_MARK:
            self.source.read(len(BYTE_ORDER_MARK))
        rest, number = bytearray(), 1
        while block := self._read(step):
            self.bytes_read += len(block)
            cut = block.rfind(b"\n") + 1
            if cut == 0:
                rest += block
                if len(rest) > LONGEST_LINE:
                    self._fail(number, f"longer than {LONGEST_LINE} bytes")
                continue
            whole = bytes(rest) + block[:cut] if rest else block[:cut]
            yield whole
            number += whole.count(b"\n")
            rest = bytearray(block[cut:])
        if rest.strip():
            yield bytes(rest)

    def _read(self, most: int) -> bytes:
        with told_as_broken_file():
            return self.source.read(most)

    def _decode(
        self, block: bytes, texts: list[bytes], number: int, lines: list[Any], numbers: list[int]
    ) -> BrokenFile | None:
        """Append the lines of a block up to a broken one, whose error comes back; `number` is that of the first text."""
        decode = self._decoder.decode
        if not texts[-1]:
            texts = texts[:-1]
        try:
            decoded = [decode(text) for text in texts]
        except _UNREADABLE:
            pass  # a broken or an empty line is in here: one at a time, to know which
        else:
            if self._surely_single(block, decoded) or not any(map(self._doubled, texts)):
                lines += decoded
                numbers += range(number, number + len(texts))
                self._empty = 0
                return None
        for place, text in enumerate(texts, number):
            problem = self._decode_one(text, place, lines, numbers)
            if problem is not None:
                return BrokenFile(self.source.name, f"line {place}", problem)
        return None

    def _decode_one(self, text: bytes, place: int, lines: list[Any], numbers: list[int]) -> str | None:
        """Append a line, unless it is empty; what is wrong with it comes back."""
        try:
            line = self._decoder.decode(text)
        except RecursionError:
            return "lists and objects that are nested too deeply"
        except _UNREADABLE as error:
            if text.strip():
                return str(error)
            self._pass_empty(place, len(text) + 1)
            return None
        self._empty = 0
        doubled = self._doubled(text)
        if doubled is None:
            lines.append(line)
            numbers.append(place)
        return doubled

    def _rows(self, lines: list[Any], numbers: list[int]) -> Iterator[Batch]:
        if not lines:
            return
        rows, broken = self._columns(lines, np.array(numbers, np.int64))
        yield rows
        if broken is not None:
            self._fail(numbers[broken.index], broken.problem)

    def _columns(self, lines: list[Any], numbers: npt.NDArray[np.int64]) -> tuple[Batch, Broken | None]:
        """The rows of lines, up to the first broken one, and that one, if any."""
        # Spelt out: a loop over names would look up each attribute by its name, three times as slowly.
        members: dict[str, list[str] | list[str | None]] = {
            "scheme": [line.scheme for line in lines],
            "public_key": [line.public_key for line in lines],
            "message": [line.message for line in lines],
            "digest": [line.digest for line in lines],
            "signature": [line.signature for line in lines],
        }
        columns = {name: pa.array(values, pa.large_string()) for name, values in members.items()}
        return read_columns(columns, numbers)

    def _pass_empty(self, number: int, count: int) -> None:
        """Pass over bytes without a row; a source of nothing else has no end."""
        self._empty += count
        if self._empty > LONGEST_LINE:
            self._fail(number, f"nothing but empty lines in {LONGEST_LINE} bytes")

    def _fail(self, number: int, problem: str) -> None:
        raise BrokenFile(self.source.name, f"line {number}", problem)

    def _surely_single(self, block: bytes, lines: list[Any]) -> bool:
        """Whether a glance shows that no line has a member twice: readers differ about which of two counts.

        A member takes a colon; where there are as many as there are members with a value, there is no other one.
        """
        members = 3 * len(lines)
        members += sum([line.message is not None for line in lines])
        members += sum([line.digest is not None for line in lines])
        return block.count(b":") == members

    def _doubled(self, text: bytes) -> str | None:
        """What is wrong with a line that has a member twice; of one that could be decoded."""
        if b"\\" not in text and all(text.count(key) <= 1 for key in self._keys):
            return None
        doubled: list[str] = []

        def pairs(found: list[tuple[str, object]]) -> dict[str, object]:
            names = [name for name, _ in found]
            # The outermost object comes last.
            doubled[:] = [name for name in self._members if names.count(name) > 1]
            return {}

        try:
            json.loads(text, object_pairs_hook=pairs)
        except RecursionError:
            return "lists and objects that are nested too deeply"
        except ValueError as error:
            return str(error)
        return f"'{doubled[0]}' is there more than once" if doubled else None
