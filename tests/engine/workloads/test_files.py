# SPDX-License-Identifier: GPL-3.0-or-later
"""Workload files: round trips, and each way in which a file can be broken."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from supervm.engine.errors import InputFileError
from supervm.engine.workloads import (
    NAMES,
    Announced,
    Parameters,
    Workload,
    generate,
    read_workload,
    write_workload,
)
from supervm.engine.workloads.workload import Genesis

SMALL = Parameters(
    transactions=40, accounts=9, hot_keys=1, hot_share=0.5, block_size=15, declared=True, object_share=0.5
)
MIXED = generate("mixed", SMALL)


def written(path: Path, workload: Workload = MIXED) -> bytes:
    write_workload(path, workload)
    return path.read_bytes()


def sections(data: bytes) -> list[bytes]:
    """Independently of the reader."""
    assert data[:8] == b"SVMWORK\x01"
    at, found = 8, []
    while at < len(data) - 32:
        length = int.from_bytes(data[at : at + 8], "little")
        found.append(data[at + 8 : at + 8 + length])
        at += 8 + length
    assert at == len(data) - 32
    assert hashlib.sha256(data[:-32]).digest() == data[-32:]
    return found


def joined(parts: list[bytes]) -> bytes:
    body = b"SVMWORK\x01" + b"".join(len(part).to_bytes(8, "little") + part for part in parts)
    return body + hashlib.sha256(body).digest()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("signed", [False, True])
def test_round_trip(tmp_path: Path, name: str, signed: bool) -> None:
    workload = generate(name, replace(SMALL, signed=signed))
    data = written(tmp_path / "w", workload)
    again = read_workload(tmp_path / "w")
    assert again.equals(workload)
    assert written(tmp_path / "v", again) == data
    assert joined(sections(data)) == data
    assert len(sections(data)) == 13


def test_what_a_workload_came_to_is_kept_and_changes_nothing_else(tmp_path: Path) -> None:
    told = Announced(3, "keccak256", bytes(range(32)))
    plain = written(tmp_path / "w")
    assert read_workload(tmp_path / "w").announced is None
    assert b"announced" not in plain, "as files were before there were announcements"
    written(tmp_path / "v", replace(MIXED, announced=told))
    again = read_workload(tmp_path / "v")
    assert again.announced == told
    assert again.equals(MIXED)
    assert told.differs(bytes(32), "keccak256")
    assert not told.differs(told.state_root, "keccak256")
    assert not told.differs(bytes(32), "sha256"), "trees of other hashes have other roots"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (b'"' + b"00" * 31 + b'"', "31 bytes after 3"),
        (b'"zz"', "hexadecimal digits"),
        (b"7", "header of a workload"),
    ],
)
def test_a_broken_announcement_is_refused(tmp_path: Path, found: bytes, expected: str) -> None:
    told = Announced(3, "sha256", bytes(32))
    parts = sections(written(tmp_path / "w", replace(MIXED, announced=told)))
    parts[0] = parts[0].replace(b'"' + b"00" * 32 + b'"}', found + b"}")
    (tmp_path / "w").write_bytes(joined(parts))
    with pytest.raises(InputFileError, match=expected):
        read_workload(tmp_path / "w")


def test_nothing_in_it_and_a_part_of_a_batch(tmp_path: Path) -> None:
    empty = np.zeros(0, np.uint8)
    genesis = Genesis(empty.reshape(0, 20), empty.reshape(0, 32))
    for count in (0, 7):
        part = MIXED.transactions.slice(3, 3 + count)
        workload = Workload("part", SMALL, genesis, part, np.array([0, 0, count], np.int64))
        written(tmp_path / "w", workload)
        assert read_workload(tmp_path / "w").equals(workload)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 15, 40, 200, 3_000])
def test_truncated(tmp_path: Path, length: int) -> None:
    data = written(tmp_path / "w")
    assert len(data) > 3_000
    for cut in (length, len(data) - 1 - length):
        (tmp_path / "w").write_bytes(data[:cut])
        with pytest.raises(InputFileError):
            read_workload(tmp_path / "w")


def test_every_byte_counts(tmp_path: Path) -> None:
    data = written(tmp_path / "w")
    for at in [*range(16), *range(16, len(data), 397), *range(len(data) - 33, len(data))]:
        changed = bytearray(data)
        changed[at] ^= 0x40
        (tmp_path / "w").write_bytes(changed)
        with pytest.raises(InputFileError):
            read_workload(tmp_path / "w")


def change(index: int, how: Callable[[bytes], bytes]) -> Callable[[list[bytes]], list[bytes]]:
    return lambda parts: [*parts[:index], how(parts[index]), *parts[index + 1 :]]


def number(value: int) -> bytes:
    return value.to_bytes(8, "little", signed=True)


@pytest.mark.parametrize(
    ("broken", "field", "words"),
    [
        (change(0, lambda part: part[:-1]), "header", "header"),
        (change(0, lambda part: b"\xff" + part), "header", "header"),
        (change(0, lambda part: part.replace(b'"accounts":9', b'"accounts":1')), "header", "accounts"),
        (change(0, lambda part: part.replace(b'"name":', b'"game":')), "header", "game"),
        (change(0, lambda part: part.replace(b'"salt":"00', b'"salt":"0x')), "header", "hexadecimal"),
        (change(0, lambda part: part.replace(b'"salt":"00', b'"salt":"')), "header", "31 and 20 bytes"),
        (change(1, lambda part: part[:-1]), "credit addresses", "rows of 20"),
        (change(1, lambda part: part[:-20]), "credit balances", "9 rows"),
        (change(2, lambda part: part + bytes(32)), "credit balances", "10 rows"),
        (change(3, lambda part: part[32:]), "object owners", "rows"),
        (change(5, lambda part: part + b"\0"), "object kinds", "rows"),
        (change(6, lambda part: b""), "entry key offsets", "at least one"),
        (change(6, lambda part: number(1) + part[8:]), "entry key offsets", "ascend"),
        (change(7, lambda part: part + b"\0"), "entry key offsets", "ascend"),
        (change(8, lambda part: part[:8] + part[16:]), "entry value offsets", "rows"),
        (change(8, lambda part: part[:8] + number(-1) + part[16:]), "entry value offsets", "ascend"),
        (change(10, lambda part: part[:-8]), "block offsets", "ascend"),
        (change(10, lambda part: part[:8] + number(41) + part[16:]), "block offsets", "ascend"),
        (change(11, lambda part: part[:-3]), "transaction offsets", "8 bytes"),
        (change(12, lambda part: b"\x02" + part[1:]), "transactions", "message 0, byte 0"),
        (change(11, lambda part: part[:8] + part[16:]), "transactions", "bytes after the last field"),
        (lambda parts: [*parts, b"more"], None, "12 bytes more"),
        (lambda parts: parts[:-1], "transactions", "a whole file"),
    ],
)
def test_broken_but_with_a_right_digest(
    tmp_path: Path, broken: Callable[[list[bytes]], list[bytes]], field: str | None, words: str
) -> None:
    parts = sections(written(tmp_path / "w"))
    (tmp_path / "w").write_bytes(joined(broken(parts)))
    with pytest.raises(InputFileError) as caught:
        read_workload(tmp_path / "w")
    assert caught.value.field == field
    assert words in str(caught.value)
    assert caught.value.file == str(tmp_path / "w")
    assert caught.value.transaction == (0 if field == "transactions" and "byte" in words else None)


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "begins with"), (b"PK\x03\x04" * 20, "begins with"), (b"SVMWORK\x02" + bytes(99), "format 2")],
)
def test_another_file(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "w").write_bytes(data)
    with pytest.raises(InputFileError, match=words):
        read_workload(tmp_path / "w")


def test_no_file(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(InputFileError, match="can be read"):
            read_workload(path)
