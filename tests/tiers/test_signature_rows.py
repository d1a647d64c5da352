# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns become rows: hex against Python's own decoder, every Arrow type, and the first broken row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervm.tiers.signature_files.rows import Broken, Rows, of_ragged, ragged, read_columns

GOOD: dict[str, Any] = {
    "scheme": ["ed25519", "ecdsa", "schnorr", "schnorr"],
    "public_key": ["01", "0x0202", "", "0X0f"],
    "message": ["aabb", None, "CC", None],
    "digest": [None, "dd", None, "ee"],
    "signature": ["11", "22", "33", "44"],
}


def _read(columns: dict[str, Any]) -> tuple[Rows, Broken | None]:
    arrays = {
        name: column if isinstance(column, pa.Array) else pa.array(column, pa.string())
        for name, column in columns.items()
    }
    return read_columns(arrays, np.arange(1, len(arrays["scheme"]) + 1, dtype=np.int64))


def _changed(name: str, row: int, value: Any) -> dict[str, Any]:
    column = list(GOOD[name])
    column[row] = value
    return {**GOOD, name: column}


def test_fields_are_decoded_and_the_signed_bytes_are_chosen_by_scheme() -> None:
    rows, broken = _read(GOOD)
    assert broken is None
    assert rows.scheme.tolist() == [0, 1, 2, 2]
    assert rows.numbers.tolist() == [1, 2, 3, 4]
    assert rows.public_key.to_pylist() == [b"\1", b"\2\2", b"", b"\x0f"]
    assert rows.signed.to_pylist() == [b"\xaa\xbb", b"\xdd", b"\xcc", b"\xee"]
    assert rows.signature.to_pylist() == [b"\x11", b"\x22", b"\x33", b"\x44"]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()], ids=str)
def test_binary_columns_are_taken_as_they_are(kind: pa.DataType) -> None:
    columns = {
        name: pa.array([None if text is None else text.encode() for text in column], kind)
        for name, column in GOOD.items()
        if name != "scheme"
    }
    rows, broken = _read({"scheme": GOOD["scheme"], **columns})
    assert broken is None
    assert rows.public_key.to_pylist() == [b"01", b"0x0202", b"", b"0X0f"]
    assert rows.signed.to_pylist() == [b"aabb", b"dd", b"CC", b"ee"]


def test_fixed_size_dictionary_and_view_columns() -> None:
    columns = {
        "scheme": pa.array(["ed25519", "ed25519", "schnorr"]).dictionary_encode(),
        "public_key": pa.array([b"ab", b"cd", b"ef"], pa.binary(2)),
        "message": pa.array(["01", "02", "01"]).dictionary_encode(),
        "signature": pa.array(["aa", "bb", "cc"], pa.string_view()),
        "digest": pa.nulls(3),
    }
    rows, broken = _read(columns)
    assert broken is None
    assert rows.public_key.to_pylist() == [b"ab", b"cd", b"ef"]
    assert rows.signed.to_pylist() == [b"\1", b"\2", b"\1"]
    assert rows.signature.to_pylist() == [b"\xaa", b"\xbb", b"\xcc"]


def test_slices_of_columns_are_read_at_their_place() -> None:
    columns = {name: pa.array(column, pa.string()).slice(1, 2) for name, column in GOOD.items()}
    rows, broken = _read(columns)
    assert broken is None
    assert rows.public_key.to_pylist() == [b"\2\2", b""]
    assert rows.signed.to_pylist() == [b"\xdd", b"\xcc"]


def test_an_empty_field_that_the_scheme_does_not_take_counts_as_absent() -> None:
    columns = {**GOOD, "message": ["aabb", "", "CC", ""], "digest": ["", "dd", "", "ee"]}
    rows, broken = _read(columns)
    assert broken is None
    assert rows.signed.to_pylist() == [b"\xaa\xbb", b"\xdd", b"\xcc", b"\xee"]


def test_an_empty_message_is_a_message() -> None:
    rows, broken = _read({name: [column[0]] for name, column in {**GOOD, "message": [""]}.items()})
    assert broken is None
    assert rows.signed.to_pylist() == [b""]


@pytest.mark.parametrize(
    ("name", "row", "value", "problem"),
    [
        ("scheme", 2, "rsa", "scheme 'rsa' is not known, expected one of ed25519, ecdsa, schnorr"),
        ("scheme", 1, None, "scheme None is not known"),
        ("public_key", 3, None, "'public_key' is missing"),
        ("signature", 0, None, "'signature' is missing"),
        ("public_key", 2, "abc", "'public_key' has 3 hex digits, expected an even number"),
        ("public_key", 1, "0x1", "'public_key' has 1 hex digits"),
        ("signature", 2, "zz", "'signature' is not hex: found 'z'"),
        ("signature", 2, "é", "'signature' is not hex: found 'é'"),
        ("signature", 1, "1 ", "'signature' is not hex: found ' '"),
        ("signature", 1, "0x0x", "'signature' is not hex: found 'x'"),
        ("message", 0, None, "ed25519 takes 'message', which is missing"),
        ("digest", 0, "aa", "ed25519 takes 'message', the row gives 'digest'"),
        ("digest", 1, None, "ecdsa verifies a 32-byte 'digest', which is missing"),
        ("message", 1, "aa", "ecdsa takes 'digest', the row gives 'message'"),
        ("message", 2, None, "schnorr takes 'message', which is missing"),
        ("message", 3, "aa", "schnorr takes 'message' or 'digest', the row gives both"),
    ],
)
def test_the_broken_row_is_named_and_those_before_it_are_kept(
    name: str, row: int, value: Any, problem: str
) -> None:
    rows, broken = _read(_changed(name, row, value))
    assert broken is not None
    assert broken.index == row
    assert problem in broken.problem
    assert len(rows) == row
    assert rows.signed.to_pylist() == [b"\xaa\xbb", b"\xdd", b"\xcc"][:row]


def test_the_first_of_several_broken_rows_is_named() -> None:
    columns = _changed("signature", 2, "zz")
    columns["public_key"] = ["01", "a", "", "0f"]
    _, broken = _read(columns)
    assert broken is not None
    assert broken.index == 1


@pytest.mark.parametrize("name", ["scheme", "public_key", "message", "signature"])
def test_a_column_of_numbers_is_refused(name: str) -> None:
    rows, broken = _read({**GOOD, name: pa.array([1, 2, 3, 4])})
    assert len(rows) == 0
    assert broken is not None
    assert f"'{name}' is int64" in broken.problem


def test_a_file_with_digests_alone() -> None:
    columns = {name: column[1:2] for name, column in GOOD.items() if name != "message"}
    rows, broken = _read(columns)
    assert broken is None
    assert rows.signed.to_pylist() == [b"\xdd"]


hex_texts = st.one_of(
    st.binary(max_size=6).map(bytes.hex),
    st.binary(max_size=6).map(lambda value: "0x" + value.hex().upper()),
    st.text("0x1fFgé ", max_size=5),
)


def _decoded(text: str) -> bytes | None:
    """What Python's decoder says, which lets spaces pass."""
    digits = text[2:] if text[:2] in ("0x", "0X") else text
    try:
        return None if " " in digits else bytes.fromhex(digits)
    except ValueError:
        return None


@given(st.lists(hex_texts, min_size=1, max_size=8))
def test_hex_agrees_with_pythons_decoder(texts: list[str]) -> None:
    columns = {
        "scheme": ["ed25519"] * len(texts),
        "public_key": texts,
        "message": [""] * len(texts),
        "signature": [""] * len(texts),
    }
    rows, broken = _read(columns)
    expected = [_decoded(text) for text in texts]
    stop = expected.index(None) if None in expected else len(texts)
    assert rows.public_key.to_pylist() == expected[:stop]
    assert (None if broken is None else broken.index) == (stop if stop < len(texts) else None)


@given(st.lists(st.binary(max_size=5), max_size=6), st.integers(0, 6), st.integers(0, 6))
def test_ragged_and_of_ragged_are_inverse(values: list[bytes], start: int, count: int) -> None:
    column = pa.array(values, pa.large_binary()).slice(min(start, len(values)), count)
    data, offsets = ragged(column)
    assert offsets[0] == 0
    assert of_ragged(data, offsets).to_pylist() == column.to_pylist()
