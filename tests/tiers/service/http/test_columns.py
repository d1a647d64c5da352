# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of texts to bytes, against Python's own conversions, item by item."""

from __future__ import annotations

import json
import random
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervm.tiers.errors import ServiceError
from supervm.tiers.service.codes import Code
from supervm.tiers.service.http import columns, lists
from supervm.tiers.service.http import texts as columns_of_texts
from supervm.tiers.service.http.writing import PART_BYTES, HexRows, Integers, number_rows, written

DIGITS = re.compile(r"(0[xX])?([0-9a-fA-F]{2})*")
NUMBER = re.compile(r"0[xX][0-9a-fA-F]{1,64}|[0-9]{1,78}")
TEXTS = st.lists(st.text("0123xXaAfF", max_size=6) | st.text(max_size=4))


def column(texts):
    """Of texts, as those of a body are."""
    return lists.texts(json.dumps(texts, ensure_ascii=False).encode("utf-8", "backslashreplace"))


def packed(field, texts, width):
    return columns.packed(field, column(texts), width)


def ragged(field, texts):
    return columns.ragged(field, column(texts))


def numbers(field, texts):
    return columns.numbers(field, column(texts))


def bytes_of(text):
    """What a text says, or None."""
    return bytes.fromhex(re.sub("^0[xX]", "", text)) if DIGITS.fullmatch(text) else None


def number_of(text):
    if not NUMBER.fullmatch(text):
        return None
    value = int(text, 16) if text[:2].lower() == "0x" else int(text)
    return value if value < 1 << 256 else None


def wrong_places(texts, read):
    return [f"f[{at}]" for at, text in enumerate(texts) if read(text) is None]


@given(TEXTS)
def test_ragged_is_fromhex(texts):
    places = wrong_places(texts, bytes_of)
    if places:
        with pytest.raises(ServiceError) as error:
            ragged("f", texts)
        assert error.value.field in places
        return
    rows = ragged("f", texts)
    expected = [bytes_of(text) for text in texts]
    assert rows.data == b"".join(expected)
    assert np.diff(np.frombuffer(rows.offsets, "<u8")).tolist() == [len(row) for row in expected]


@given(
    st.lists(
        st.sampled_from(["0x", "0X", ""]).flatmap(
            lambda head: st.binary(max_size=9).map(lambda b: head + b.hex())
        )
    )
)
def test_every_prefix(texts):
    rows = ragged("f", texts)
    assert rows.data == b"".join(bytes_of(text) for text in texts)


@given(
    st.lists(
        st.integers(0, 2**256 - 1).flatmap(lambda n: st.sampled_from([str(n), hex(n), f"0X{n:064X}"]))
        | st.sampled_from(
            ["0", "0x", "", "-1", "1_0", " 1", "１", "0x" + "0" * 65, "9" * 78, "9" * 79, "1,2"]
        )
    )
)
def test_numbers_are_int(texts):
    places = wrong_places(texts, number_of)
    if places:
        with pytest.raises(ServiceError) as error:
            numbers("f", texts)
        assert error.value.field in places
        return
    expected = b"".join(number_of(text).to_bytes(32, "little") for text in texts)
    assert numbers("f", texts) == expected


@given(st.lists(st.integers(0, 2**256 - 1), min_size=1))
def test_hexadecimal_numbers_of_every_width(values):
    texts = [hex(value) for value in values]
    found = numbers("f", texts)
    assert found == b"".join(value.to_bytes(32, "little") for value in values)
    answer = json.loads(written({"f": number_rows(found)}))
    assert [int(text, 16) for text in answer["f"]] == values


def test_wrong_digits_among_hexadecimal_numbers():
    with pytest.raises(ServiceError) as error:
        numbers("f", ["0x1", "0xg", "0x2"])
    assert error.value.field == "f[1]"


@pytest.mark.parametrize(
    ("texts", "width", "place"),
    [
        (["00" * 32, "0x" + "00" * 31], 32, 1),
        (["00", "0000"], 0, 1),
        (["", "00"], 1, 0),
        (["00", "0x0", "00"], 1, 1),
        (["00", "0g"], 1, 1),
        (["00", "0x0x"], 1, 1),
        (["00", "é0"], 1, 1),
        (["00", "\ud800\ud800"], 1, 1),
        (["00", "0 "], 1, 1),
        (["00", "00,00", "00"], 1, 1),
        (["00", "0,"], 1, 1),
    ],
)
def test_a_wrong_item_is_named(texts, width, place):
    with pytest.raises(ServiceError) as error:
        packed("keys", texts, width)
    assert error.value.code is Code.INVALID_ARGUMENT
    assert error.value.field == f"keys[{place}]"


def test_digits_may_be_escaped():
    array = rb'["\u0030\u0078a\u0042", "cd", "\u00300"]'
    assert columns.packed("f", lists.texts(array), 1) == b"\xab\xcd\x00"
    assert [lists.texts(array).text(at) for at in range(3)] == ["0xaB", "cd", "00"]


@pytest.mark.parametrize(
    "text", [r"\ud83d\ude00", r"\/0", r"\u002c0", r"\"0", r"\\0", r"\u00220", r"\ud83d0", "é0"]
)
def test_other_characters_may_be_escaped(text):
    """Each is one character, and shown as it came."""
    with pytest.raises(ServiceError) as error:
        columns.packed("f", lists.texts(f'["00", "{text}0", "zz"]'.encode()), 1)
    assert error.value.field == "f[1]"
    shown = json.loads(f'"{text}0"')
    assert ("3 digits" if len(shown) % 2 else ascii(shown)) in error.value.message


def test_rows_and_back():
    rows = [bytes([index]) * 33 for index in range(5)]
    texts = json.loads(written({"f": HexRows(b"".join(rows), 33)}))["f"]
    assert texts == ["0x" + row.hex() for row in rows]
    assert packed("f", texts, 33) == packed("f", texts, 0) == b"".join(rows)
    assert written({"f": HexRows(b"", 32), "g": number_rows(b"")}) == b'{"f":[],"g":[]}'
    assert packed("f", [], 32) == numbers("f", []) == b""
    assert ragged("f", []).offsets == bytes(8)


@pytest.fixture
def small_parts(monkeypatch):
    """Columns are worked on a few rows at a time."""
    monkeypatch.setattr(columns_of_texts, "PART_ROWS", 3)
    monkeypatch.setattr(columns_of_texts, "PART_CHARACTERS", 100)


@pytest.mark.parametrize("wrong", [None, "x", "0x", "", "9" * 78, "9" * 79, str(1 << 256)])
def test_numbers_in_parts(small_parts, wrong):
    """Of every length, decimal and hexadecimal side by side, with one that is wrong at every place."""
    choose = random.Random(1)
    values = [choose.randrange(1 << bits) for bits in range(1, 257, 7)] + [0, (1 << 256) - 1]
    texts = [choose.choice([str, hex])(value) for value in values]
    if wrong is None:
        assert numbers("f", texts) == b"".join(value.to_bytes(32, "little") for value in values)
        return
    for place in range(len(texts) + 1):
        with pytest.raises(ServiceError) as error:
            numbers("f", [*texts[:place], wrong, *texts[place:], "also wrong"])
        assert error.value.field == f"f[{place}]"
        assert ("a number of 2^256 or more" in error.value.message) == (
            number_of(wrong) is None and len(wrong) == 78
        )


def test_bytes_in_parts(small_parts):
    texts = [choose * "ab" for choose in range(70)]
    rows = ragged("f", texts)
    assert rows.data == b"".join(map(bytes.fromhex, texts))
    for place in range(len(texts)):
        with pytest.raises(ServiceError) as error:
            ragged("f", [*texts[:place], "0xag", *texts[place:]])
        assert error.value.field == f"f[{place}]"


def test_numbers_that_no_message_has_room_for():
    many = ["1"] * ((16 << 20) // 32)
    assert len(numbers("f", many)) == 16 << 20
    with pytest.raises(ServiceError) as error:
        numbers("f", [*many, "1"])
    assert error.value.code is Code.RESOURCE_EXHAUSTED
    with pytest.raises(ServiceError) as error:
        numbers("f", [*many, "x"])
    assert error.value.field == f"f[{len(many)}]"


def test_answers_in_parts():
    rows = random.Random(2).randbytes(65 * (PART_BYTES // 65 * 2 + 7))
    for dtype in ("<i1", "<i4", "<u8"):
        values = np.frombuffer(random.Random(3).randbytes(PART_BYTES * 2 + 64), dtype)
        text = written({"a": HexRows(rows, 65), "b": Integers(values.tobytes(), dtype), "c": "0x12"})
        found = json.loads(text)
        assert [bytes.fromhex(item[2:]) for item in found["a"]] == [
            rows[at : at + 65] for at in range(0, len(rows), 65)
        ]
        assert found["b"] == values.tolist()
        assert found["c"] == "0x12"
