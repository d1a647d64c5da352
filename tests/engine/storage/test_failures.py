# SPDX-License-Identifier: GPL-3.0-or-later
"""Full disks, locks, foreign directories, other formats: a clear error, nothing taken afterwards, nothing half visible."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rocksdict import Options, Rdict, WriteBatch
from storage_model import chunks, commit_of, replayed, states

from supervm.engine.errors import EngineError, StorageError, StorageFailed
from supervm.engine.storage import Storage, StorageCorrupt, StorageUnavailable, layout
from supervm.engine.storage.records import sealed

PAIRS, POOL = 2000, 6000
STATES = states(60, PAIRS, POOL)

UNTIL_FULL = """
import resource, sys
from storage_model import commit_of
from supervm.engine.errors import StorageFailed
from supervm.engine.storage import Storage

with_limit, sync = sys.argv[2] == "limit", sys.argv[3] == "sync"
storage = Storage.open(sys.argv[1], sync=sync)
if with_limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (6_000_000, resource.RLIM_INFINITY))
try:
    for sequence in range(1, 1000):
        storage.commit(commit_of(sequence, 2000, 6000))
        if sequence % 5 == 0:
            storage.flush()
except StorageFailed as error:
    print(storage.written, error, flush=True)
for use in (storage.flush, lambda: storage.commit(commit_of(storage.head.sequence + 1)), storage.close):
    try:
        use()
    except StorageFailed:
        print("refused", flush=True)
storage.close()
"""


def check_state(path: Path) -> int:
    """Every state from the checkpoint to the head is the model's; the head."""
    with Storage.open(path) as storage:
        for sequence, state in replayed(storage):
            assert state == STATES[sequence]
        assert sequence == storage.head.sequence
        return sequence


def go_on(path: Path, head: int) -> None:
    with Storage.open(path) as storage:
        for sequence in range(head + 1, head + 4):
            storage.commit(commit_of(sequence, PAIRS, POOL))
    assert check_state(path) == head + 3


def fill_up(path: Path, limit: str, sync: str) -> int:
    """Commit in a process of its own until the disk is full; how many commits were written."""
    support = Path(__file__).resolve().parents[2] / "support"
    done = subprocess.run(
        [sys.executable, "-c", UNTIL_FULL, str(path), limit, sync],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(support)},
    )
    assert done.returncode == 0, done.stderr
    told, *refused = done.stdout.splitlines()
    assert refused == ["refused"] * 3
    assert str(path) in told
    assert "free space" in told
    return int(told.split()[0])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(disk)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted: {mounted.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("sync", ["sync", "unsynced"])
def test_a_full_disk(small_disk: Path, tmp_path: Path, sync: str):
    written = fill_up(small_disk / "state", "no limit", sync)
    assert written > 5
    elsewhere = tmp_path / "larger"
    shutil.copytree(small_disk / "state", elsewhere)
    assert check_state(elsewhere) == written
    go_on(elsewhere, written)


@pytest.mark.parametrize("sync", ["sync", "unsynced"])
def test_a_file_that_may_grow_no_further(tmp_path: Path, sync: str):
    written = fill_up(tmp_path / "state", "limit", sync)
    assert written > 5
    assert check_state(tmp_path / "state") == written
    go_on(tmp_path / "state", written)


@pytest.mark.parametrize("failure", [StorageFailed("somewhere", "full", "free some"), MemoryError()])
def test_a_failing_write_stops_all_later_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
):
    storage = Storage.open(tmp_path)
    write, calls, going = storage._database.write, [], threading.Event()

    def failing(batch: WriteBatch, **options: bool) -> None:
        calls.append(batch)
        if len(calls) == 4:
            assert going.wait(60)
            raise failure
        write(batch, **options)

    monkeypatch.setattr(storage._database, "write", failing)
    for sequence in range(1, 7):
        storage.commit(commit_of(sequence, PAIRS, POOL))
    going.set()
    with pytest.raises(StorageFailed):
        storage.flush()
    uses = [
        lambda: storage.commit(commit_of(7, PAIRS, POOL)),
        lambda: storage.name_snapshot("n"),
        lambda: storage.start_checkpoint(2, chunks(STATES[2])),
        lambda: list(storage.commits()),
        lambda: storage.code(bytes(32)),
        storage.checkpoint_due,
        storage.flush,
        storage.close,
    ]
    for use in uses:
        with pytest.raises(StorageFailed):
            use()
    assert len(calls) == 4
    assert storage.written == 3
    assert check_state(tmp_path) == 3
    go_on(tmp_path, 3)


def test_commits_wait_for_a_slow_disk_and_keep_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with Storage.open(tmp_path, queue_depth=2) as storage:
        write, going = storage._database.write, threading.Event()

        def slow(batch: WriteBatch, **options: bool) -> None:
            assert going.wait(60)
            write(batch, **options)

        monkeypatch.setattr(storage._database, "write", slow)
        taken: list[int] = []

        def commit_all() -> None:
            for sequence in range(1, 12):
                storage.commit(commit_of(sequence, PAIRS, POOL))
                taken.append(sequence)

        committing = threading.Thread(target=commit_all)
        committing.start()
        while len(taken) < 3:
            threading.Event().wait(0.01)
        committing.join(0.3)
        assert taken == [1, 2, 3], "one that is being written, and two that wait"
        assert storage.written == 0
        going.set()
        committing.join()
        storage.flush()
        assert storage.written == 11
    assert check_state(tmp_path) == 11


def test_a_second_opening_is_refused(tmp_path: Path):
    with Storage.open(tmp_path) as storage:
        storage.commit(commit_of(1, PAIRS, POOL))
        with pytest.raises(StorageUnavailable, match="a process has it open"):
            Storage.open(tmp_path)
        program = (
            "import sys\n"
            "from supervm.engine.storage import Storage, StorageUnavailable\n"
            "try:\n    Storage.open(sys.argv[1])\n"
            "except StorageUnavailable as error:\n    print(error)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=60
        )
        assert "a process has it open; close that process" in done.stdout, done.stderr
        storage.commit(commit_of(2, PAIRS, POOL))
    assert check_state(tmp_path) == 2


def test_directories_that_are_no_storage_stay_as_they_are(tmp_path: Path):
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "notes.txt").write_text("mine")
    file = tmp_path / "file"
    file.write_text("mine too")
    rocks = tmp_path / "rocks"
    other = Rdict(str(rocks))
    other["key"] = "value"
    other.close()
    before = sorted(path.name for path in rocks.iterdir())
    for path in (foreign, file, rocks):
        with pytest.raises(StorageUnavailable):
            Storage.open(path)
    assert [path.name for path in foreign.iterdir()] == ["notes.txt"]
    assert file.read_text() == "mine too"
    assert sorted(path.name for path in rocks.iterdir()) == before


def test_another_program_s_database_in_our_place_is_not_taken(tmp_path: Path):
    other = Rdict(str(tmp_path / layout.DATABASE), Options(raw_mode=True))
    other[b"key"] = b"value"
    other.close()
    with pytest.raises(StorageUnavailable, match="another program's database"):
        Storage.open(tmp_path)
    other = Rdict(str(tmp_path / layout.DATABASE), Options(raw_mode=True))
    assert list(other.items()) == [(b"key", b"value")]
    other.close()


def test_a_newer_format_is_refused(tmp_path: Path):
    newer = f"{layout.FORMAT_NAME} {layout.FORMAT_VERSION + 1}\n".encode()
    for place in ("file", "record"):
        path = tmp_path / place
        with Storage.open(path) as storage:
            if place == "record":
                batch = WriteBatch(raw_mode=True)
                batch.put(layout.FORMAT, sealed(layout.FORMAT, newer))
                storage._database.write(batch)
        if place == "file":
            (path / layout.FORMAT_FILE).write_bytes(newer)
        with pytest.raises(StorageUnavailable, match="states format 2, and this version reads format 1"):
            Storage.open(path)


def test_an_interrupted_creation_is_taken_up(tmp_path: Path):
    with Storage.open(tmp_path / "whole") as storage:
        storage.commit(commit_of(1, PAIRS, POOL))
    (tmp_path / "whole" / layout.FORMAT_FILE).rename(tmp_path / "whole" / layout.UNFINISHED)
    assert check_state(tmp_path / "whole") == 1
    (tmp_path / "empty" / layout.DATABASE).mkdir(parents=True)
    assert check_state(tmp_path / "empty") == 0


def test_a_database_that_is_gone_is_not_made_anew(tmp_path: Path):
    with Storage.open(tmp_path):
        pass
    shutil.rmtree(tmp_path / layout.DATABASE)
    with pytest.raises(StorageCorrupt, match="CURRENT is missing"):
        Storage.open(tmp_path)
    assert not (tmp_path / layout.DATABASE).exists()


@pytest.mark.parametrize("kind", [StorageError, StorageUnavailable, StorageCorrupt, StorageFailed])
def test_errors_say_what_where_and_what_to_do(kind: type[StorageError]):
    error = pickle.loads(pickle.dumps(kind("some/where", "it broke", "mend it")))
    assert type(error) is kind
    assert isinstance(error, EngineError)
    assert (error.path, error.reason, error.remedy) == ("some/where", "it broke", "mend it")
    assert str(error) == "storage some/where: it broke; mend it"
