# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of signatures: every format, in batches of any size, in the file's order, and broken ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from supervm.engine.files.input_files import open_input
from supervm.tiers.errors import BrokenFile
from supervm.tiers.signature_files.arrow_stream import CheckedStream
from supervm.tiers.signature_files.formats import open_signature_file
from supervm.tiers.signature_files.verdict_writers import partial_name, verdict_writer
from supervm.tiers.signature_files.verification import SignatureChecks, Summary, verify_file

Table = Callable[..., pa.Table]
FORMATS = {
    "parquet": lambda table, path: pq.write_table(table, path, row_group_size=17),
    "arrow": lambda table, path: _write_ipc(pa.ipc.new_file, table, path),
    "arrows": lambda table, path: _write_ipc(pa.ipc.new_stream, table, path),
}
"""Suffix → writes a table to a path, in several record batches."""


def _write_ipc(opener: Callable[..., Any], table: pa.Table, path: Path) -> None:
    with opener(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=17)


def _table(items: Sequence[Any], text: bool) -> pa.Table:
    kind = pa.string() if text else pa.binary()
    columns = {"scheme": pa.array([item.scheme for item in items]).dictionary_encode()}
    for name in ("signature", "digest", "message", "public_key"):
        values = [getattr(item, name) for item in items]
        if text:
            values = [None if value is None else "0x" + value.hex() for value in values]
        columns[name] = pa.array(values, kind)
    return pa.table({**columns, "block": pa.array(range(len(items)))})


def _verdicts(path: Path, checks: SignatureChecks, batch_items: int, batch_bytes: int = 1 << 20) -> list[int]:
    """Through a verdict file, whatever happens on the way."""
    output = path.with_suffix(".verdicts")
    output.unlink(missing_ok=True)
    summary = Summary()
    with verdict_writer(output) as writer:
        verify_file(open_signature_file(path, batch_items, batch_bytes), checks, summary, writer=writer)
    verdicts = [int(line) for line in output.read_text().splitlines()]
    assert summary.rows == len(verdicts)
    return verdicts


@pytest.mark.parametrize("batch_items", [1, 7, 1000])
@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("text", [True, False], ids=["hex", "binary"])
def test_columnar_files(
    tmp_path: Path,
    mixed_items: list[Any],
    oracle_checks: SignatureChecks,
    suffix: str,
    text: bool,
    batch_items: int,
) -> None:
    path = tmp_path / f"signatures.{suffix}"
    FORMATS[suffix](_table(mixed_items, text), path)
    file = open_signature_file(path, batch_items, 1 << 20)
    sizes = [len(rows) for rows in file.batches()]
    assert sum(sizes) == len(mixed_items)
    assert max(sizes) <= batch_items
    assert file.fraction == pytest.approx(1.0)
    if batch_items == 7:
        assert _verdicts(path, oracle_checks, batch_items) == [item.verdict for item in mixed_items]


@pytest.mark.parametrize("batch_items", [1, 7, 1000])
def test_json_lines(
    mixed_items: list[Any],
    oracle_checks: SignatureChecks,
    json_lines_file: Callable[..., Path],
    batch_items: int,
) -> None:
    path = json_lines_file(mixed_items)
    assert _verdicts(path, oracle_checks, batch_items) == [item.verdict for item in mixed_items]


def test_summary_counts_by_scheme_and_lists_the_first_failures(
    mixed_items: list[Any], oracle_checks: SignatureChecks, json_lines_file: Callable[..., Path]
) -> None:
    seen: list[tuple[float, int]] = []
    summary = Summary(shown_failures=3)
    file = open_signature_file(json_lines_file(mixed_items), 10, 1 << 20)
    verify_file(file, oracle_checks, summary, progress=lambda *state: seen.append(state))
    expected: dict[str, dict[int, int]] = {}
    for item in mixed_items:
        row = expected.setdefault(item.scheme, {1: 0, 0: 0, -1: 0})
        row[item.verdict] += 1
    assert summary.counts == expected
    wrong = [
        (place, item.scheme, item.verdict) for place, item in enumerate(mixed_items, 1) if item.verdict != 1
    ]
    assert summary.failures == wrong[:3]
    assert not summary.all_valid
    assert seen[-1] == (1.0, len(mixed_items))
    assert [rows for _, rows in seen] == [*range(10, len(mixed_items), 10), len(mixed_items)]


def test_json_lines_in_blocks_smaller_than_the_file(
    tmp_path: Path, mixed_items: list[Any], json_line: Callable[..., str]
) -> None:
    # 64 KiB is the smallest block: 3,000 rows are many blocks, and lines are cut by their borders.
    path = tmp_path / "long.jsonl"
    lines = [json_line(item) for item in mixed_items]
    path.write_text("\n".join(lines[i % len(lines)] for i in range(3000)))
    for batch_items, batch_bytes in ((1000, 1 << 24), (1000, 1 << 16), (64, 1 << 16)):
        batches = list(open_signature_file(path, batch_items, batch_bytes).batches())
        assert np.concatenate([rows.numbers for rows in batches]).tolist() == list(range(1, 3001))
        keys = [key for rows in batches for key in rows.public_key.to_pylist()]
        assert keys == [mixed_items[i % len(lines)].public_key for i in range(3000)]
        assert max(len(rows) for rows in batches) <= batch_items


def test_a_line_longer_than_a_block(
    tmp_path: Path, mixed_items: list[Any], json_line: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "long.jsonl"
    message = b"m" * 200_000
    path.write_text(json_line(mixed_items[0]) + "\n" + json_line(mixed_items[0], message=message.hex()))
    rows = list(open_signature_file(path, 10, 1 << 16).batches())
    assert rows[-1].signed[-1].as_py() == message
    monkeypatch.setattr("supervm.tiers.signature_files.json_lines.LONGEST_LINE", 1 << 17)
    with pytest.raises(BrokenFile, match="line 2: longer than 131072 bytes"):
        list(open_signature_file(path, 10, 1 << 16).batches())


def test_empty_lines_byte_order_mark_and_line_ends(
    tmp_path: Path, mixed_items: list[Any], json_line: Callable[..., str]
) -> None:
    path = tmp_path / "odd.jsonl"
    first, second, third = (json_line(item) for item in mixed_items[:3])
    path.write_bytes(f"\ufeff{first}\r\n\n  \n{second}\n\n{third}".encode())
    rows = list(open_signature_file(path, 10, 1 << 20).batches())
    assert [number for batch in rows for number in batch.numbers] == [1, 4, 6]


@pytest.mark.parametrize("suffix", ["jsonl", *FORMATS])
def test_empty_files(
    tmp_path: Path, oracle_checks: SignatureChecks, mixed_items: list[Any], suffix: str
) -> None:
    path = tmp_path / f"empty.{suffix}"
    if suffix == "jsonl":
        path.write_bytes(b"")
    else:
        FORMATS[suffix](_table(mixed_items, text=True).slice(0, 0), path)
    assert _verdicts(path, oracle_checks, 10) == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "truncated"),
        ("not json", "malformed"),
        ("[1]", "Expected `object`, got `array`"),
        ('{"scheme": "ed25519", "public_key": "aa", "message": ""}', "missing required field `signature`"),
        (
            '{"scheme": "ed25519", "public_key": 7, "message": "", "signature": ""}',
            "Expected `str`, got `int` - at `$.public_key`",
        ),
        (
            '{"scheme": "ed25519", "public_key": "xy", "message": "", "signature": ""}',
            "'public_key' is not hex: found 'x'",
        ),
        ('{"scheme": "rsa", "public_key": "", "message": "", "signature": ""}', "scheme 'rsa' is not known"),
        ('{"scheme": "ecdsa", "public_key": "", "message": "00", "signature": ""}', "'digest'"),
        ('{"a": 1} {"b": 2}', "missing required field"),
        ('{"scheme": "\udc80"}', "utf-8"),
    ],
)
@pytest.mark.parametrize("batch_items", [3, 1000])
def test_a_broken_line_is_named_after_the_verdicts_before_it(
    tmp_path: Path,
    mixed_items: list[Any],
    oracle_checks: SignatureChecks,
    json_line: Callable[..., str],
    line: str,
    problem: str,
    batch_items: int,
) -> None:
    path = tmp_path / "broken.jsonl"
    lines = [json_line(item) for item in mixed_items[:8]]
    lines[5:5] = ["", line]
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    with pytest.raises(BrokenFile) as caught:
        _verdicts(path, oracle_checks, batch_items)
    assert caught.value.place == "line 7"
    assert problem in caught.value.problem
    assert not path.with_suffix(".verdicts").exists()  # which are not all
    verdicts = partial_name(path.with_suffix(".verdicts")).read_text().split()
    assert [int(verdict) for verdict in verdicts] == [item.verdict for item in mixed_items[:5]]


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_broken_row_is_named_after_the_verdicts_before_it(
    tmp_path: Path, mixed_items: list[Any], oracle_checks: SignatureChecks, suffix: str
) -> None:
    path = tmp_path / f"broken.{suffix}"
    table = _table(mixed_items, text=True)
    signatures = table.column("signature").to_pylist()
    signatures[20] = "0x12 4"
    table = table.set_column(1, "signature", pa.array(signatures))
    FORMATS[suffix](table, path)
    with pytest.raises(BrokenFile, match="row 21: 'signature' is not hex: found ' '"):
        _verdicts(path, oracle_checks, 8)
    assert not path.with_suffix(".verdicts").exists()  # which are not all
    verdicts = partial_name(path.with_suffix(".verdicts")).read_text().split()
    assert [int(verdict) for verdict in verdicts] == [item.verdict for item in mixed_items[:20]]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    ("dropped", "problem"),
    [
        (["signature"], "no column 'signature'; the columns are scheme, digest, message, public_key, block"),
        (["scheme"], "no column 'scheme'"),
        (["message", "digest"], "no column 'message' or 'digest'"),
    ],
)
def test_a_missing_column_is_named(
    tmp_path: Path,
    mixed_items: list[Any],
    oracle_checks: SignatureChecks,
    suffix: str,
    dropped: list[str],
    problem: str,
) -> None:
    path = tmp_path / f"broken.{suffix}"
    FORMATS[suffix](_table(mixed_items, text=True).drop_columns(dropped), path)
    with pytest.raises(BrokenFile, match=problem):
        _verdicts(path, oracle_checks, 8)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_a_file_that_is_cut_off_is_an_error(
    tmp_path: Path, mixed_items: list[Any], oracle_checks: SignatureChecks, suffix: str, kept: float
) -> None:
    path = tmp_path / f"cut.{suffix}"
    FORMATS[suffix](_table(mixed_items, text=False), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(BrokenFile, match="not readable as"):
        _verdicts(path, oracle_checks, 8)


def test_the_content_tells_the_format_where_the_name_does_not(
    tmp_path: Path, mixed_items: list[Any], json_lines_file: Callable[..., Path]
) -> None:
    for suffix, write in FORMATS.items():
        path = tmp_path / f"{suffix}-file"
        write(_table(mixed_items, text=False), path)
        assert sum(len(rows) for rows in open_signature_file(path, 8, 1 << 20).batches()) == len(mixed_items)
    plain = json_lines_file(mixed_items).rename(tmp_path / "signatures")
    assert open_signature_file(plain, 8, 1 << 20).format == "JSON Lines"
    (tmp_path / "letter.txt").write_text("Dear Sir")
    with pytest.raises(BrokenFile, match=r"letter\.txt: neither the name .* nor the content"):
        open_signature_file(tmp_path / "letter.txt", 8, 1 << 20)
    with pytest.raises(BrokenFile, match="No such file"):
        open_signature_file(tmp_path / "absent.jsonl", 8, 1 << 20)
    with pytest.raises(BrokenFile, match="directory"):
        open_signature_file(tmp_path, 8, 1 << 20)


@pytest.mark.parametrize("suffix", ["txt", "parquet", "arrow", "arrows"])
def test_verdict_files(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"verdicts.{suffix}"
    with verdict_writer(path) as writer:
        writer.write(np.array([1, 0, -1], np.int8))
        writer.write(np.array([], np.int8))
        writer.write(np.array([-1, 1], np.int8))
    if suffix == "txt":
        assert path.read_text() == "1\n0\n-1\n-1\n1\n"
        return
    if suffix == "parquet":
        table = pq.read_table(path)
    else:
        opener = pa.ipc.open_file if suffix == "arrow" else pa.ipc.open_stream
        with opener(path.read_bytes()) as reader:
            table = reader.read_all()
    assert table.schema.field("verdict").type == pa.int8()
    assert table.column("verdict").to_pylist() == [1, 0, -1, -1, 1]


@pytest.mark.parametrize("suffix", ["txt", "parquet", "arrow", "arrows"])
def test_a_verdict_file_that_cannot_be_written(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "absent" / f"verdicts.{suffix}"
    with pytest.raises(BrokenFile, match="No such file"), verdict_writer(path):
        pass


def test_verdicts_before_an_error_are_in_a_readable_parquet_file(
    tmp_path: Path, mixed_items: list[Any], oracle_checks: SignatureChecks, json_line: Callable[..., str]
) -> None:
    path, output = tmp_path / "broken.jsonl", tmp_path / "verdicts.parquet"
    path.write_text("\n".join([*(json_line(item) for item in mixed_items[:5]), "{"]))
    with pytest.raises(BrokenFile), verdict_writer(output) as writer:
        verify_file(open_signature_file(path, 2, 1 << 20), oracle_checks, Summary(), writer=writer)
    assert not output.exists()
    written = pq.read_table(partial_name(output)).column("verdict").to_pylist()
    assert written == [item.verdict for item in mixed_items[:5]]


@pytest.mark.parametrize("count", [1, 7, 300, 10_000, 1 << 20])
def test_reads_that_span_messages(tmp_path: Path, count: int) -> None:
    table = pa.table({"number": list(range(3_000))})
    path = tmp_path / "stream.arrows"
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)  # more messages than Python calls may be nested
    whole = path.read_bytes()
    with open_input(path) as source:
        stream = CheckedStream(source, 1 << 30)
        found = b""
        while piece := bytes(stream.read(count)):
            found += piece
            assert stream.tell() == len(found)
            assert len(piece) == min(count, len(whole) - len(found) + len(piece))
    assert found == whole
