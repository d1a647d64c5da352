# SPDX-License-Identifier: GPL-3.0-or-later
"""RLP read and written by compiled code, against the published tests and the package `rlp`."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rlp
from hypothesis import given, settings
from hypothesis import strategies as st

from supervm.engine.ethereum.rlp import LIST, encoded_list, listed, shortest
from supervm.engine.ethereum.rlp_memory import put_header_at, put_integer_at, put_string_at, put_word_at
from supervm.engine.ethereum.rlp_reading import INVALID, read_item

ARCHIVE = Path(__file__).resolve().parents[4] / "shared" / "data" / "evm" / "blocktests_misc.tar.xz"
Item = Any
"""Bytes, or a list of items."""


def published(name: str) -> dict[str, Any]:
    if not ARCHIVE.exists():
        pytest.skip(f"{ARCHIVE.name} is not here")
    with tarfile.open(ARCHIVE) as archive:
        file = archive.extractfile(f"tests/RLPTests/{name}.json")
        assert file
        return dict(json.load(file))


def octets(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def decoded(data: bytes) -> Item:
    """The one item that these bytes are; `ValueError` if they are none."""
    array = np.frombuffer(bytearray(data), np.uint8)
    item, end = _item(array, 0, len(data))
    if end != len(data):
        raise ValueError("more behind the item")
    return item


def _item(array: Any, position: int, end: int) -> tuple[Item, int]:
    is_list, first, last = read_item(array, position, end)
    if INVALID in (first, last):
        raise ValueError("no item")
    if not is_list:
        return array[first:last].tobytes(), last
    items = []
    while first < last:
        item, first = _item(array, first, last)
        items.append(item)
    return items, last


def encoded(item: Item) -> bytes:
    """By the kernels for strings and lists."""
    if isinstance(item, list):
        payload = b"".join(map(encoded, item))
        out = np.zeros(len(payload) + 9, np.uint8)
        out[9:] = np.frombuffer(payload, np.uint8)
        first = put_header_at(out.ctypes.data + 9, len(payload), LIST) - out.ctypes.data
        assert out[first:].tobytes() == listed([encoded(each) for each in item])
        return out[first:].tobytes()
    out = np.zeros(len(item) + 9, np.uint8)
    source = np.frombuffer(bytearray(item + b"\0"), np.uint8)
    first = put_string_at(out.ctypes.data + len(out), source.ctypes.data, len(item)) - out.ctypes.data
    return out[first:].tobytes()


def plain(shown: Any) -> Item:
    """An item of the published tests: text, a number, a big number behind '#', or a list."""
    if isinstance(shown, list):
        return [plain(each) for each in shown]
    if isinstance(shown, int) or shown.startswith("#"):
        return shortest(int(str(shown).removeprefix("#")))
    return shown.encode()


def test_published_items() -> None:
    for name, case in published("rlptest").items():
        item, data = plain(case["in"]), octets(case["out"])
        assert encoded(item) == data, name
        assert decoded(data) == item, name


def test_published_faults() -> None:
    cases = published("invalidRLPTest")
    assert len(cases) > 20
    for case in cases.values():
        with pytest.raises(ValueError, match="item"):
            decoded(octets(case["out"]))


ITEMS = st.recursive(st.binary(max_size=70), lambda inner: st.lists(inner, max_size=6), max_leaves=12)


@given(ITEMS)
@settings(max_examples=200)
def test_items(item: Item) -> None:
    data = rlp.encode(item)
    assert encoded(item) == data
    assert decoded(data) == item


@given(st.binary(max_size=90))
@settings(max_examples=400)
def test_any_bytes(data: bytes) -> None:
    """What is read is what the package reads; where it refuses, so do we."""
    try:
        expected = _lists(rlp.decode(data))
    except rlp.exceptions.DecodingError:
        with pytest.raises(ValueError, match="item"):
            decoded(data)
    else:
        assert decoded(data) == expected


def _lists(item: Any) -> Item:
    return bytes(item) if isinstance(item, bytes) else [_lists(each) for each in item]


@pytest.mark.parametrize("number", [0, 1, 127, 128, 255, 256, 2**64 - 1, 2**255, 2**256 - 1])
def test_integers_and_words(number: int) -> None:
    word = np.frombuffer(bytearray(number.to_bytes(32)), np.uint8)
    for put, expected in ((put_integer_at, rlp.encode(number)), (put_word_at, rlp.encode(word.tobytes()))):
        out = np.zeros(33, np.uint8)
        arguments = (32,) if put is put_integer_at else ()
        first = put(out.ctypes.data + 33, word.ctypes.data, *arguments) - out.ctypes.data
        assert out[first:].tobytes() == expected


def test_lists_of_strings() -> None:
    items = [b"", b"\0", b"\x7f", b"\x80", b"x" * 55, b"y" * 56, b"z" * 300]
    assert encoded_list(items) == rlp.encode(items)
    assert listed([rlp.encode(item) for item in items]) == rlp.encode(items)
    assert listed([]) == rlp.encode([])
