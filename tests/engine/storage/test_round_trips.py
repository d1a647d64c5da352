# SPDX-License-Identifier: GPL-3.0-or-later
"""What is committed comes back: columns of every shape, codes, receipts, snapshots, after any number of reopenings."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_model import chunks, code_of, commit_of, height_of, receipts_of, replayed, same, states

from supervm.crypto.messages import Messages
from supervm.engine.storage import Commit, Head, Snapshot, Storage, StorageCorrupt, StorageUnavailable
from supervm.engine.storage.records import (
    PAGE_BYTES,
    PAGE_KEYS,
    Damaged,
    packed_commit,
    packed_pages,
    sealed,
    unpacked_commit,
    unpacked_page,
    unsealed,
)
from supervm.kernels.errors import ArgumentError


def commit(sequence: int, pairs: dict[bytes, bytes | None], height: int | None = None) -> Commit:
    """A commit of these pairs; None deletes."""
    return Commit(
        sequence,
        sequence if height is None else height,
        hashlib.sha256(b"%d" % sequence).digest(),
        0,
        Messages.of(list(pairs)),
        Messages.of([value or b"" for value in pairs.values()]),
        np.array([value is not None for value in pairs.values()], np.bool_),
    )


def test_a_new_storage_is_empty(tmp_path: Path):
    with Storage.open(tmp_path / "new" / "deep") as storage:
        assert storage.head == Head()
        assert list(storage.pages()) == []
        assert list(storage.commits()) == []
    with Storage.open(tmp_path / "new" / "deep") as storage:
        assert storage.head == Head()


@pytest.mark.parametrize("sync", [False, True])
def test_commits_come_back_after_reopening(tmp_path: Path, sync: bool):
    for start in (1, 8, 20):
        with Storage.open(tmp_path, sync=sync) as storage:
            assert storage.head.sequence == start - 1
            for sequence in range(start, {1: 8, 8: 20, 20: 31}[start]):
                storage.commit(commit_of(sequence))
            storage.flush()
            assert storage.written == storage.head.sequence
            read = list(storage.commits())
            assert len(read) == storage.head.sequence
    with Storage.open(tmp_path) as storage:
        read = list(storage.commits())
        assert [entry.sequence for entry in read] == list(range(1, 31))
        assert all(same(entry, commit_of(entry.sequence)) for entry in read)
        last = commit_of(30)
        assert (storage.head.height, storage.head.root, storage.head.timestamp) == (
            last.height,
            last.root,
            last.timestamp,
        )


def test_extreme_columns_come_back(tmp_path: Path):
    pairs: dict[bytes, bytes | None] = {
        b"\0": b"",
        b"k" * 277: bytes(range(256)) * 256,
        b"x": None,
        b"y" * 276: b"\xff",
    }
    steps = [commit(1, pairs), commit(2, {}), commit(3, {b"k" * 277: None}), commit(4, {b"x": b"again"})]
    edge = Commit(5, 2**64 - 1, bytes(32), 2**64 - 1, steps[1].keys, steps[1].values, steps[1].present)
    with Storage.open(tmp_path) as storage:
        for step in [*steps, edge]:
            storage.commit(step)
    with Storage.open(tmp_path) as storage:
        assert all(same(mine, its) for mine, its in zip(storage.commits(), [*steps, edge], strict=True))
        *_, (sequence, state) = replayed(storage)
        assert sequence == 5
        assert state == {b"\0": b"", b"x": b"again", b"y" * 276: b"\xff"}


def test_views_into_larger_buffers_are_stored_and_copied(tmp_path: Path):
    data = np.arange(100, dtype=np.uint8)
    keys = Messages(data, np.array([10, 13, 20], np.int64))
    values = Messages(data, np.array([50, 50, 70], np.int64))
    expected = [(keys[0], values[0]), (keys[1], values[1])]
    with Storage.open(tmp_path) as storage:
        storage.commit(Commit(1, 1, bytes(32), 0, keys, values, np.ones(2, np.bool_)))
        data[:] = 0
        (read,) = storage.commits()
        assert [(read.keys[i], read.values[i]) for i in range(2)] == expected
        read.keys.data[:] = 7


pair = st.tuples(st.binary(min_size=1, max_size=277), st.none() | st.binary(max_size=300))


@given(st.lists(pair, max_size=20, unique_by=lambda entry: entry[0]), st.integers(0, 2**64 - 1))
@settings(max_examples=150)
def test_records_round_trip(pairs: list[tuple[bytes, bytes | None]], logged: int):
    before = commit(3, dict(pairs), height=logged)
    body = packed_commit(before, logged // 2)
    record = sealed(b"L3", body)
    after = unpacked_commit(unsealed(b"L3", record))
    assert same(before, after.commit)
    assert after.logged == logged // 2 + len(record)
    read = [unpacked_page(memoryview(page)) for page, _ in packed_pages(before.keys, before.values)]
    assert [key for keys, _ in read for key in (keys[i] for i in range(len(keys)))] == [k for k, _ in pairs]


@given(st.data())
@settings(max_examples=150)
def test_a_changed_record_is_damaged(data: st.DataObject):
    record = bytearray(sealed(b"L1", packed_commit(commit(1, {b"key": b"value", b"gone": None}), 0)))
    place = data.draw(st.integers(0, len(record) - 1))
    record[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Damaged):
        unsealed(b"L1", bytes(record))


def test_a_record_under_another_key_or_cut_short_is_damaged():
    body = packed_commit(commit(1, {b"key": b"value"}), 0)
    for key, record in ((b"L2", sealed(b"L1", body)), (b"L1", sealed(b"L1", body)[:-1]), (b"L1", b"abc")):
        with pytest.raises(Damaged):
            unsealed(key, record)
    for cut in range(len(body)):
        with pytest.raises(Damaged):
            unpacked_commit(memoryview(body)[:cut])


def test_pages_are_full_and_no_fuller():
    count = PAGE_KEYS + 1000
    keys = Messages.of(np.arange(count, dtype=">u4").view(np.uint8).reshape(count, 4))
    values = Messages.of(np.zeros((count, 1), np.uint8))
    assert [size for _, size in packed_pages(keys, values)] == [PAGE_KEYS, 1000]
    keys, values = Messages.of([b"%d" % i for i in range(200)]), Messages.of([bytes(65_536)] * 200)
    pages = list(packed_pages(keys, values))
    assert sum(size for _, size in pages) == 200
    assert all(PAGE_BYTES - 70_000 < len(page) < PAGE_BYTES + 100 for page, _ in pages[:-1])


def test_codes_are_found_by_their_digest(tmp_path: Path):
    with Storage.open(tmp_path) as storage:
        storage.commit(commit_of(1), codes=[code_of(1), code_of(2), b""])
        assert storage.code(hashlib.sha256(code_of(2)).digest()) == code_of(2)
        storage.commit(commit_of(2), codes=[code_of(1)])
    with Storage.open(tmp_path) as storage:
        assert storage.code(hashlib.sha256(code_of(1)).digest()) == code_of(1)
        assert storage.code(hashlib.sha256(b"").digest()) == b""
        assert storage.code(bytes(32)) is None


def test_receipts_of_the_last_blocks_are_kept(tmp_path: Path):
    with Storage.open(tmp_path, keep_blocks=5) as storage:
        for height in range(1, 31):
            storage.commit(commit(height, {}), receipts=receipts_of(height))
        storage.commit(commit(31, {}, height=30))
    with Storage.open(tmp_path, keep_blocks=5) as storage:
        found = {height: storage.receipts(height) for height in range(32)}
        assert found == {h: receipts_of(h) if 26 <= h <= 30 else None for h in range(32)}
        storage.commit(commit(32, {}, height=200), receipts=b"far")
        assert [storage.receipts(height) for height in (29, 30, 200)] == [None, None, b"far"]
    with Storage.open(tmp_path, keep_blocks=0) as storage:
        storage.commit(commit(33, {}, height=201), receipts=b"none are kept")
        assert storage.receipts(200) is None
        assert storage.receipts(201) is None


def test_a_rollback_drops_the_receipts_above_it(tmp_path: Path):
    with Storage.open(tmp_path) as storage:
        for height in range(1, 11):
            storage.commit(commit(height, {}), receipts=receipts_of(height))
        storage.commit(commit(11, {b"restored": b"1"}, height=4))
        assert storage.receipts(4) == receipts_of(4)
        assert [storage.receipts(height) for height in range(5, 11)] == [None] * 6
        storage.commit(commit(12, {}, height=5), receipts=b"another block 5")
    with Storage.open(tmp_path) as storage:
        assert storage.head.height == 5
        assert storage.receipts(5) == b"another block 5"
        assert storage.receipts(6) is None


def test_snapshots_are_named_with_and_without_a_commit(tmp_path: Path):
    with Storage.open(tmp_path) as storage:
        storage.commit(commit_of(1), name="first")
        storage.commit(commit_of(2))
        storage.name_snapshot("zweiter ☂")
        logged = storage.head.logged
        storage.commit(commit_of(3), name="first", forget=["first"])
        for wrong in ("first", "", "x" * 256, "\ud800"):
            with pytest.raises(ArgumentError):
                storage.name_snapshot(wrong)
        with pytest.raises(ArgumentError):
            storage.forget_snapshot("unknown")
    with Storage.open(tmp_path) as storage:
        assert set(storage.head.snapshots) == {"first", "zweiter ☂"}
        assert storage.head.snapshots["zweiter ☂"] == Snapshot(2, height_of(2), logged)
        assert storage.head.snapshots["first"].sequence == 3
        storage.forget_snapshot("first")
    with Storage.open(tmp_path) as storage:
        assert set(storage.head.snapshots) == {"zweiter ☂"}
        for number in range(255):
            storage.name_snapshot(f"{number}")
        with pytest.raises(ArgumentError, match="256"):
            storage.name_snapshot("one more")


def test_what_is_not_the_next_commit_is_refused_and_changes_nothing(tmp_path: Path):
    good = commit(2, {b"k": b"v"})

    def other(**changed: object) -> Commit:
        fields = {name: getattr(good, name) for name in Commit.__slots__}
        return Commit(**{**fields, **changed})  # type: ignore[arg-type]

    wrong = [
        other(sequence=1),
        other(sequence=3),
        other(height=-1),
        other(height=2**64),
        other(timestamp=2**64),
        other(root=bytes(31)),
        other(keys=Messages.of([b""])),
        other(keys=Messages.of([bytes(278)])),
        other(values=Messages.of([bytes(65_537)])),
        other(values=Messages.of([])),
        other(keys=[b"k"]),
        other(present=np.ones(2, np.bool_)),
        other(present=np.ones(1, np.uint8)),
        other(present=np.zeros(1, np.bool_)),
    ]
    with Storage.open(tmp_path) as storage:
        storage.commit(commit(1, {}), name="n")
        for step in wrong:
            with pytest.raises(ArgumentError):
                storage.commit(step)
        for extra in ({"name": "n"}, {"forget": ["unknown"]}):
            with pytest.raises(ArgumentError):
                storage.commit(good, **extra)
        storage.commit(good)
    with Storage.open(tmp_path) as storage:
        assert storage.head.sequence == 2
        assert len(list(storage.commits())) == 2


def test_arguments_of_open_are_checked(tmp_path: Path):
    for wrong in ({"keep_blocks": -1}, {"queue_depth": 0}, {"checkpoint_bytes": 0}):
        with pytest.raises(ArgumentError):
            Storage.open(tmp_path, **wrong)


def test_a_closed_storage_says_so(tmp_path: Path):
    storage = Storage.open(tmp_path)
    storage.commit(commit_of(1))
    reading = storage.commits()
    storage.close()
    storage.close()
    uses = [
        lambda: storage.commit(commit_of(2)),
        lambda: storage.code(bytes(32)),
        lambda: storage.receipts(1),
        lambda: storage.name_snapshot("n"),
        lambda: storage.forget_snapshot("n"),
        lambda: storage.start_checkpoint(1, []),
        lambda: list(reading),
        lambda: list(storage.pages()),
        storage.flush,
        storage.checkpoint_due,
    ]
    for use in uses:
        with pytest.raises(StorageUnavailable, match="closed"):
            use()


def test_the_last_commit_and_the_head_must_agree(tmp_path: Path):
    after = states(4)
    with Storage.open(tmp_path) as storage:
        for sequence in range(1, 5):
            storage.commit(commit_of(sequence))
        storage.start_checkpoint(2, chunks(after[2]))
        storage.wait_checkpoint()
        *_, (sequence, state) = replayed(storage)
        assert (sequence, state) == (4, after[4])
        storage._head = Head(4, height_of(4), bytes(32), 28, storage.head.logged)
        with pytest.raises(StorageCorrupt, match="differ about commit 4"):
            list(storage.commits())
