# SPDX-License-Identifier: GPL-3.0-or-later
"""Damaged and hostile signature files: a clear error in little memory, whatever they announce; and what only looks odd."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from limited_reader import changed, read_limited

from supervm.tiers.errors import BrokenFile
from supervm.tiers.signature_files.compact_thrift import BadThrift, Truncated, read_struct
from supervm.tiers.signature_files.formats import open_signature_file
from supervm.tiers.signature_files.rows import value_lengths

MUCH = 400 << 20
"""Bytes that reading a small file never takes."""

SEEDS = 120

ROW = {"scheme": "ed25519", "public_key": b"k" * 32, "message": b"m", "signature": b"s" * 64}


def _table(rows: int = 300, **columns: Any) -> pa.Table:
    plain = {
        "scheme": ["ed25519"] * rows,
        "public_key": [bytes([place % 251]) * 32 for place in range(rows)],
        "message": [b"%d" % place for place in range(rows)],
        "signature": [bytes([place % 250]) * 64 for place in range(rows)],
    }
    return pa.table(plain | columns)


def _ipc(path: Path, table: pa.Table, opener: Any = pa.ipc.new_file, **options: Any) -> Path:
    with opener(str(path), table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=100)
    return path


def _write(path: Path, table: pa.Table) -> Path:
    """In the format that the name says."""
    if path.suffix == ".parquet":
        pq.write_table(
            table, path, row_group_size=100, compression="zstd" if "zstd" in path.name else "snappy"
        )
    elif path.suffix == ".jsonl":
        rows = [
            {name: value.hex() if isinstance(value, bytes) else value for name, value in row.items()}
            for row in table.to_pylist()
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        opener = pa.ipc.new_stream if path.suffix == ".arrows" else pa.ipc.new_file
        _ipc(path, table, opener, compression="zstd" if "zstd" in path.name else None)
    return path


def _varint(value: int) -> bytes:
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _announcing(path: Path, size: int) -> Path:
    """A Parquet file, the first page of whose signatures says that it has so many bytes without compression."""
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(3)
    data = bytearray(path.read_bytes())
    start = min(chunk.data_page_offset, chunk.dictionary_page_offset or chunk.data_page_offset)
    found, length = read_struct(bytes(data[start:]), {1: int, 2: int, 3: int})
    rest = data[start + 2 + 1 + len(_varint(2 * found[2])) + 1 + len(_varint(2 * found[3])) : start + length]
    # The longer header takes its bytes from the page behind it.
    head = bytes(data[start : start + 2]) + b"\x15" + _varint(2 * size) + b"\x15"
    packed = found[3] - (len(head) + len(_varint(2 * found[3])) + len(rest) - length)
    header = head + _varint(2 * packed) + bytes(rest)
    assert len(header) + packed == length + found[3]
    data[start : start + len(header)] = header
    path.write_bytes(data)
    return path


def test_a_page_that_announces_gigabytes(tmp_path: Path) -> None:
    path = _announcing(_write(tmp_path / "zstd.parquet", _table()), (1 << 31) - 1)
    assert path.stat().st_size < 30_000
    (found,) = read_limited(path)
    assert found["rows"] == 0
    assert "a page of 2,147,483,647 bytes in" in found["error"]
    assert found["grown"] < MUCH


@pytest.mark.parametrize("name", ["a.parquet", "zstd.parquet", "a.arrow", "a.arrows", "zstd.arrow"])
def test_a_long_value_that_every_row_repeats(tmp_path: Path, name: str) -> None:
    rows = 1_000
    long = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([bytes(4 << 20)]))
    path = _write(tmp_path / name, _table(rows, message=long))
    (found,) = read_limited(path)
    assert (found["rows"], found["error"]) == (rows, "")
    assert found["grown"] < MUCH


def test_views_of_the_same_bytes(tmp_path: Path) -> None:
    rows, long = 1_000, bytes(4 << 20)
    view = (len(long).to_bytes(4, "little") + long[:4] + bytes(8)) * rows
    column = pa.Array.from_buffers(pa.binary_view(), rows, [None, pa.py_buffer(view), pa.py_buffer(long)])
    assert value_lengths(column.slice(3, 2)).tolist() == [len(long)] * 2
    (found,) = read_limited(_write(tmp_path / "a.arrow", _table(rows, message=column)))
    assert (found["rows"], found["error"]) == (rows, "")
    assert found["grown"] < MUCH


@pytest.mark.parametrize("name", ["zstd.arrow", "zstd.arrows"])
@pytest.mark.parametrize("announced", [2 << 30, 1 << 62, -2])
def test_a_compressed_buffer_that_announces_too_much(tmp_path: Path, name: str, announced: int) -> None:
    path = _write(tmp_path / name, _table())
    data = path.read_bytes()
    size = (100 * 64).to_bytes(8, "little")  # of the signatures of a record batch
    assert size in data
    path.write_bytes(data.replace(size, announced.to_bytes(8, "little", signed=True)))
    (found,) = read_limited(path)
    assert found["rows"] == 0
    assert "compressed" in found["error"]
    assert found["grown"] < MUCH


def test_values_that_share_their_beginnings(tmp_path: Path) -> None:
    """DELTA_BYTE_ARRAY: a value may be as long as its page for two bytes more."""
    rows = 1_000
    path = tmp_path / "prefixes.parquet"
    table = _table(rows, message=[bytes(1 << 20) + b"%d" % place for place in range(rows)])
    encodings = dict.fromkeys(table.column_names, "DELTA_BYTE_ARRAY")
    pq.write_table(table, path, use_dictionary=False, column_encoding=encodings)
    assert path.stat().st_size < 3 << 20
    (found,) = read_limited(path)
    assert (found["rows"], found["error"]) == (rows, "")
    assert found["grown"] < MUCH


@pytest.mark.parametrize(
    "name", ["a.parquet", "zstd.parquet", "a.arrow", "zstd.arrow", "a.arrows", "zstd.arrows", "a.jsonl"]
)
def test_any_damage_is_an_error_or_none(tmp_path: Path, name: str) -> None:
    path = _write(tmp_path / name, _table())
    # A process that a file ends has no answer for it, which fails here.
    found = read_limited(*(f"{path}@{seed}" for seed in range(SEEDS)))
    assert max(each["grown"] for each in found) < MUCH
    wrong = [each for each in found if each["error"]]
    assert len(wrong) > SEEDS // 4
    assert all(each["rows"] <= 300 or not each["error"] for each in found)
    assert changed(b"content", 1) == changed(b"content", 1)


@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY", "DICTIONARY"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_encodings_of_parquet(tmp_path: Path, encoding: str, version: str) -> None:
    fixed = pa.array([bytes([place % 7]) * 64 for place in range(300)], pa.binary(64))
    table = _table(signature=fixed)
    how: dict[str, Any] = {"use_dictionary": encoding == "DICTIONARY"}
    if encoding not in ("DICTIONARY", "PLAIN"):
        how["column_encoding"] = {name: encoding for name in table.column_names if name != "signature"}
    path = tmp_path / "file.parquet"
    pq.write_table(table, path, data_page_version=version, row_group_size=70, **how)
    rows = list(open_signature_file(path, 64, 1 << 20).batches())
    assert [key for batch in rows for key in batch.public_key.to_pylist()] == table["public_key"].to_pylist()
    assert [sign for batch in rows for sign in batch.signature.to_pylist()] == fixed.to_pylist()


def _broken(path: Path) -> str:
    with pytest.raises(BrokenFile) as caught:
        list(open_signature_file(path, 64, 1 << 20).batches())
    return str(caught.value)


def test_lists_and_structures_are_refused_unread(tmp_path: Path) -> None:
    for column in (pa.array([[b"s"]] * 300), pa.array([{"s": b"s"}] * 300)):
        path = _write(tmp_path / "a.parquet", _table(signature=column))
        assert "column 'signature' is a list or a structure" in _broken(path)
        assert "'signature' is" in _broken(_write(tmp_path / "a.arrow", _table(signature=column)))


@pytest.mark.parametrize("name", ["a.arrow", "a.arrows"])
def test_a_null_in_a_dictionary_is_no_empty_message(tmp_path: Path, name: str) -> None:
    message = pa.DictionaryArray.from_arrays(pa.array([0] * 299 + [1], pa.int32()), pa.array([b"m", None]))
    path = _write(tmp_path / name, _table(message=message))
    assert "row 300: ed25519 takes 'message', which is missing" in _broken(path)


@pytest.mark.parametrize(
    ("line", "doubled"),
    [
        ('{"scheme":"ed25519","public_key":"","message":"","signature":"00","signature":"01"}', "signature"),
        ('{"scheme":"ed25519","public_key":"","message":"","message" : "01","signature":""}', "message"),
        (
            '{"scheme":"ed25519","public_key":"","message":"","sign\\u0061ture":"","signature":""}',
            "signature",
        ),
        ('{"scheme":"ecdsa","scheme":"ed25519","public_key":"","message":"","signature":""}', "scheme"),
        ('{"scheme":"ecdsa","digest":null,"digest":"00","public_key":"","signature":""}', "digest"),
        ('{"scheme":"ed25519","public_key":"","message":"","signature":"","more":{"message":1}}', ""),
        ('{"scheme":"ed25519","public_key":"","message":"","signature":"","m":"\\"message\\" message"}', ""),
        ('{"scheme":"ed25519","public_key":"","message":"","signature":"","m":1,"m":2}', ""),
    ],
)
def test_a_member_that_is_there_twice(
    tmp_path: Path, line: str, doubled: str, mixed_items: list[Any], json_line: Callable[..., str]
) -> None:
    path = tmp_path / "file.jsonl"
    path.write_text("\n".join([json_line(mixed_items[0]), line, json_line(mixed_items[1])]))
    if doubled:
        assert f"line 2: '{doubled}' is there more than once" in _broken(path)
    else:
        batches = list(open_signature_file(path, 64, 1 << 20).batches())
        assert [number for rows in batches for number in rows.numbers] == [1, 2, 3]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x15",
        b"\x1c" * 40,
        b"\x19\xf5\xff\xff\xff\xff\x0f",
        b"\x18\xff\xff\xff\xff\x0f",
        b"\x15" + b"\xff" * 11,
    ],
)
def test_bytes_that_are_no_structure(data: bytes) -> None:
    with pytest.raises(BadThrift):
        read_struct(data, {1: int})


def test_structures_are_read_as_far_as_they_are_asked_for() -> None:
    data = b"\x15\x04\x18\x03abc\x19\x25\x02\x04\x1c\x15\x06\x00\x11\x00more"
    shape = {1: int, 2: bytes, 3: [int], 4: {1: int}, 5: int}
    found, length = read_struct(data, shape)
    assert found == {1: 2, 2: b"abc", 3: [1, 2], 4: {1: 3}, 5: 1}
    assert data[length:] == b"more"
    assert read_struct(data, {1: bytes})[0] == {}
    for cut in range(length):
        with pytest.raises(Truncated):
            read_struct(data[:cut], shape)
