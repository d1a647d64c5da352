# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns of a reply to the JSON of an answer, a bounded part at a time, so that the GIL comes free in between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import msgspec
import numpy as np

PART_BYTES = 1 << 16
"""Of a reply, in a part of its JSON."""

NUMBER_BYTES = 32


@dataclass(frozen=True)
class HexRows:
    """A list of texts: rows of `width` bytes, each as hexadecimal digits behind 0x."""

    data: bytes
    width: int

    def parts(self) -> Iterator[str]:
        """The items in JSON, without the last comma of a part."""
        step = max(1, PART_BYTES // self.width) * self.width
        for first in range(0, len(self.data), step):
            digits = self.data[first : first + step].hex(",", self.width)
            yield '"0x' + digits.replace(",", '","0x') + '"'


@dataclass(frozen=True)
class Integers:
    """A list of integers: an array of this type."""

    data: bytes
    dtype: str

    def parts(self) -> Iterator[str]:
        """As those of `HexRows`."""
        values = np.frombuffer(self.data, self.dtype)
        step = PART_BYTES // values.itemsize
        for first in range(0, len(values), step):
            yield msgspec.json.encode(values[first : first + step].tolist()).decode()[1:-1]


Members: TypeAlias = Mapping[str, HexRows | Integers | str]
"""Of an answer, by name; a text has nothing that JSON would have to escape."""


def written(members: Members) -> bytes:
    """An answer."""
    found = []
    for name, value in members.items():
        text = f'"{value}"' if isinstance(value, str) else f"[{','.join(value.parts())}]"
        found.append(f'"{name}":{text}')
    return f"{{{','.join(found)}}}".encode()


def as_hex(data: bytes) -> str:
    """Bytes as a text."""
    return "0x" + data.hex()


def number_rows(data: bytes) -> HexRows:
    """Rows of 32 little-endian bytes as numbers: 0x and 64 digits, the most significant first."""
    rows = np.frombuffer(data, np.uint8).reshape(-1, NUMBER_BYTES)
    return HexRows(rows[:, ::-1].tobytes(), NUMBER_BYTES)
