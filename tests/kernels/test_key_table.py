# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers of byte strings, against a dictionary."""

from __future__ import annotations

import numpy as np
import pytest

from supervm.kernels.cpu.key_table import INLINE
from supervm.kernels.keys import ARENA_SMALLEST, SMALLEST, KeyTable
from supervm.kernels.work import Ragged


def ragged(strings: list[bytes]) -> Ragged:
    offsets = np.cumsum([0, *map(len, strings)]).astype(np.int64)
    return Ragged(np.frombuffer(b"".join(strings) or b"\0", np.uint8), offsets)


def test_numbers_are_those_of_a_dictionary():
    """Strings of every kind of length, some of them prefixes of others or different in their last byte alone."""
    random = np.random.default_rng(1)
    lengths = [0, 1, 7, 8, 21, 33, INLINE - 1, INLINE, INLINE + 1, INLINE + 4, 100, 277, 3_000]
    known: dict[bytes, int] = {}
    table = KeyTable()
    for _ in range(60):
        strings = [
            bytes([int(random.integers(0, 3))]) * (length - 1) + bytes([int(random.integers(0, 40))])
            if length
            else b""
            for length in random.choice(lengths, 100).tolist()
        ]
        asked = [known.get(string, -1) for string in strings]
        assert table.find(ragged(strings)).tolist() == asked
        numbers = table.intern(ragged(strings)).tolist()
        assert numbers == [known.setdefault(string, len(known)) for string in strings]
    names = sorted(known, key=known.__getitem__)
    data, offsets = table.strings(np.arange(len(table)))
    assert [data[a:b].tobytes() for a, b in zip(offsets[:-1], offsets[1:], strict=True)] == names
    assert len(table) == len(known) > SMALLEST


@pytest.mark.parametrize("length", range(ARENA_SMALLEST - 12, ARENA_SMALLEST + 13))
def test_a_long_string_at_the_end_of_the_arena(length: int):
    """Whatever is left of the last word, the table goes on to grow."""
    table, strings = KeyTable(), [bytes([n]) * length for n in range(4)]
    for number, string in enumerate(strings):
        assert table.intern(ragged([string])).tolist() == [number]
    assert table.find(ragged(strings)).tolist() == [0, 1, 2, 3]
