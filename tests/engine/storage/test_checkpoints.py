# SPDX-License-Identifier: GPL-3.0-or-later
"""Checkpoints: when they are due, what they keep and drop, and what is left of those that did not get to their end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rocksdict import WriteBatch
from storage_model import chunks, commit_of, replayed, states

from supervm.crypto.messages import Messages
from supervm.engine.errors import StorageFailed
from supervm.engine.storage import Checkpoint, Storage, StorageUnavailable, layout
from supervm.engine.storage.records import sealed
from supervm.kernels.errors import ArgumentError

STATES = states(40)


def filled(path: Path, last: int, **options: int) -> Storage:
    storage = Storage.open(path, **options)
    for sequence in range(storage.head.sequence + 1, last + 1):
        storage.commit(commit_of(sequence))
    return storage


def stored(storage: Storage, first: bytes, after: bytes) -> list[bytes]:
    found = []
    for key in storage._database.keys(first):
        if key >= after:
            break
        found.append(key)
    return found


def size_on_disk(path: Path) -> int:
    return sum(file.stat().st_size for file in (path / layout.DATABASE).iterdir() if file.name != "LOG")


def check_state(storage: Storage, last: int) -> None:
    """Every state from the checkpoint to the head is the model's."""
    for sequence, state in replayed(storage):
        assert state == STATES[sequence]
    assert sequence == storage.head.sequence == last


def test_a_checkpoint_holds_the_state_and_drops_the_log(tmp_path: Path):
    with filled(tmp_path, 10) as storage:
        storage.start_checkpoint(10, chunks(STATES[10]))
        storage.wait_checkpoint()
        assert stored(storage, layout.log_key(0), layout.AFTER_LOG) == []
        check_state(storage, 10)
    with filled(tmp_path, 15) as storage:
        assert (storage.checkpoint.generation, storage.checkpoint.sequence) == (1, 10)
        assert storage.checkpoint.keys == len(STATES[10])
        storage.start_checkpoint(13, chunks(STATES[13], 50))
        storage.wait_checkpoint()
        assert stored(storage, layout.log_key(0), layout.AFTER_LOG) == [
            layout.log_key(14),
            layout.log_key(15),
        ]
        pages = stored(storage, layout.page_key(0, 0), layout.AFTER_PAGES)
        assert pages == [layout.page_key(2, page) for page in range(storage.checkpoint.pages)]
        check_state(storage, 15)
    with Storage.open(tmp_path) as storage:
        check_state(storage, 15)


def test_an_empty_state_is_a_checkpoint_too(tmp_path: Path):
    with filled(tmp_path, 7) as storage:
        storage.start_checkpoint(7, [])
        storage.wait_checkpoint()
    with Storage.open(tmp_path) as storage:
        assert list(replayed(storage)) == [(7, {})]
        assert storage.checkpoint.pages == 0


def test_it_is_due_when_the_log_is_as_large_as_the_checkpoint(tmp_path: Path):
    with Storage.open(tmp_path, checkpoint_bytes=50_000) as storage:
        due, last = [], 0
        for sequence in range(1, 41):
            storage.commit(commit_of(sequence))
            logged = storage.head.logged - storage.checkpoint.logged
            expected = logged > max(50_000, storage.checkpoint.size)
            assert (storage.checkpoint_due() is not None) == expected
            if expected:
                assert storage.checkpoint_due() == sequence
                storage.start_checkpoint(sequence, chunks(STATES[sequence]))
                storage.wait_checkpoint()
                due.append(sequence - last)
                last = sequence
        assert 3 <= len(due) <= 20


def test_it_never_passes_the_oldest_snapshot(tmp_path: Path):
    with filled(tmp_path, 8, checkpoint_bytes=1) as storage:
        storage.name_snapshot("older")
        for sequence in range(9, 31):
            storage.commit(commit_of(sequence), name="newer" if sequence == 25 else None)
        assert storage.checkpoint_due() == 8
        for wrong in (0, 9, 30, 31):
            with pytest.raises(ArgumentError):
                storage.start_checkpoint(wrong, chunks(STATES[9]))
        storage.start_checkpoint(8, chunks(STATES[8]))
        storage.wait_checkpoint()
        assert storage.checkpoint_due() is None
        check_state(storage, 30)
    with Storage.open(tmp_path, checkpoint_bytes=1) as storage:
        assert [sequence for sequence, _ in replayed(storage)] == list(range(8, 31))
        storage.forget_snapshot("older")
        assert storage.checkpoint_due() == 25
        storage.forget_snapshot("newer")
        assert storage.checkpoint_due() == 30


def test_commits_go_on_while_it_is_written(tmp_path: Path):
    going, seen = threading.Event(), threading.Event()

    def slowly() -> Iterator[tuple[Messages, Messages]]:
        for chunk in chunks(STATES[10]):
            seen.set()
            assert going.wait(60)
            yield chunk

    with filled(tmp_path, 10, checkpoint_bytes=1) as storage:
        storage.start_checkpoint(10, slowly())
        assert seen.wait(60)
        for sequence in range(11, 21):
            storage.commit(commit_of(sequence), name="meanwhile" if sequence == 12 else None)
        storage.flush()
        assert storage.checkpoint == Checkpoint()
        assert storage.checkpoint_due() is None
        with pytest.raises(ArgumentError, match="under way"):
            storage.start_checkpoint(12, [])
        going.set()
        storage.wait_checkpoint()
        assert storage.checkpoint.sequence == 10
        check_state(storage, 20)
    with Storage.open(tmp_path) as storage:
        assert storage.head.snapshots["meanwhile"].sequence == 12
        check_state(storage, 20)


def test_who_reads_while_one_is_switched_is_told(tmp_path: Path):
    with filled(tmp_path, 10) as storage:
        storage.start_checkpoint(5, chunks(STATES[5], 20))
        storage.wait_checkpoint()
        pages, commits = storage.pages(), storage.commits()
        next(pages), next(commits)
        storage.start_checkpoint(9, chunks(STATES[9]))
        storage.wait_checkpoint()
        for reading in (pages, commits):
            with pytest.raises(StorageUnavailable, match="replaced"):
                list(reading)
        check_state(storage, 10)


def test_room_is_given_back(tmp_path: Path):
    with Storage.open(tmp_path) as storage:
        for sequence in range(1, 200):
            storage.commit(commit_of(sequence))
            if sequence % 40 == 0:
                storage.start_checkpoint(sequence, chunks({b"only": b"key"}))
                storage.wait_checkpoint()
        storage.start_checkpoint(199, chunks({b"only": b"key"}))
        storage.wait_checkpoint()
        logged = storage.head.logged
    with Storage.open(tmp_path):
        pass
    assert size_on_disk(tmp_path) < logged / 4


class Unwilling(Exception):
    pass


def test_an_error_of_the_source_is_told_once_and_changes_nothing(tmp_path: Path):
    closed = []

    class Pinned:
        """Chunks that hold something until they are closed; nobody else closes an iterator that is no generator."""

        def __init__(self) -> None:
            self._chunks = chunks(STATES[4], 50)

        def __iter__(self) -> Pinned:
            return self

        def __next__(self) -> tuple[Messages, Messages]:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise Unwilling
            return chunk

        def close(self) -> None:
            closed.append(True)

    with filled(tmp_path, 6, checkpoint_bytes=1) as storage:
        for tell in (storage.wait_checkpoint, storage.checkpoint_due):
            storage.start_checkpoint(4, Pinned())
            storage._folding.wait()
            with pytest.raises(Unwilling):
                tell()
        storage.start_checkpoint(4, [(Messages.of([b"k"]), Messages.of([]))])
        with pytest.raises(ArgumentError):
            storage.wait_checkpoint()
        assert closed == [True, True]
        assert stored(storage, layout.page_key(0, 0), layout.AFTER_PAGES) == []
        assert storage.checkpoint == Checkpoint()
        check_state(storage, 6)
        assert storage.checkpoint_due() == 6
        storage.start_checkpoint(6, chunks(STATES[6]))
        storage.wait_checkpoint()
        check_state(storage, 6)
    storage = filled(tmp_path, 8)
    storage.start_checkpoint(7, Pinned())
    storage._folding.wait()
    with pytest.raises(Unwilling):
        storage.close()
    with Storage.open(tmp_path) as storage:
        check_state(storage, 8)


def test_closing_gives_up_the_one_under_way(tmp_path: Path):
    yielded = threading.Event()

    def endless() -> Iterator[tuple[Messages, Messages]]:
        for sequence in range(10**9):
            yield Messages.of([b"%d" % sequence]), Messages.of([b""])
            yielded.set()

    with filled(tmp_path, 5) as storage:
        storage.start_checkpoint(5, endless())
        assert yielded.wait(60)
    with Storage.open(tmp_path) as storage:
        assert storage.checkpoint == Checkpoint()
        assert stored(storage, layout.page_key(0, 0), layout.AFTER_PAGES) == []
        check_state(storage, 5)


def test_leftovers_are_removed_at_opening(tmp_path: Path):
    with filled(tmp_path, 6) as storage:
        storage.start_checkpoint(3, chunks(STATES[3]))
        storage.wait_checkpoint()
        batch = WriteBatch(raw_mode=True)
        for generation, page in ((2, 0), (2, 1), (9, 4)):
            key = layout.page_key(generation, page)
            batch.put(key, sealed(key, b"left over"))
        storage._database.write(batch)
    with Storage.open(tmp_path) as storage:
        pages = stored(storage, layout.page_key(0, 0), layout.AFTER_PAGES)
        assert pages == [layout.page_key(1, page) for page in range(storage.checkpoint.pages)]
        storage.start_checkpoint(5, chunks(STATES[5]))
        storage.wait_checkpoint()
    with Storage.open(tmp_path) as storage:
        check_state(storage, 6)


def test_a_failing_disk_under_a_checkpoint_stops_the_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    storage = filled(tmp_path, 6)
    storage.flush()

    def full() -> None:
        raise StorageFailed(tmp_path, "a write failed: no space", "free some")

    monkeypatch.setattr(storage._database, "flush", full)
    storage.start_checkpoint(6, chunks(STATES[6]))
    with pytest.raises(StorageFailed):
        storage.wait_checkpoint()
    with pytest.raises(StorageFailed):
        storage.commit(commit_of(7))
    with pytest.raises(StorageFailed):
        storage.close()
    with Storage.open(tmp_path) as storage:
        assert storage.checkpoint == Checkpoint()
        check_state(storage, 6)
