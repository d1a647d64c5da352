# SPDX-License-Identifier: GPL-3.0-or-later
"""Damaged files: an error that names what is wrong, or the state of a whole commit; never a value that was not written.

Three ways to lose the last commits go unnoticed, because RocksDB's files are then as they were at an earlier moment: the
end of the write-ahead log is cut off, that log is deleted, or the end of the manifest is cut off at a record. The state
is then that of an earlier commit, whole. Every other damage is an error or does no harm.
"""

from __future__ import annotations

import hashlib
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from rocksdict import WriteBatch
from storage_model import chunks, code_of, commit_of, receipts_of, replayed, states

from supervm.engine.errors import StorageError
from supervm.engine.storage import Storage, StorageCorrupt, layout
from supervm.engine.storage.records import sealed

LAST = 30
STATES = states(LAST)
HARMLESS = ("IDENTITY", "LOCK", "LOG", "OPTIONS", "rocksdict-config.json")
"""Files of the database that nothing is read from."""


def fill(path: Path, live: Path | None = None) -> None:
    """A storage with a second checkpoint, a named commit, codes, receipts, tables and blobs; `live` is a copy of it
    as a kill would leave it, with commits in the write-ahead log only."""
    with Storage.open(path, keep_blocks=8) as storage:
        for sequence in range(1, LAST + 1):
            storage.commit(
                commit_of(sequence),
                codes=[code_of(sequence)] if sequence % 5 == 0 else [],
                receipts=receipts_of(sequence),
                name="old" if sequence == 12 else None,
            )
            if sequence in (6, 12):
                storage.start_checkpoint(sequence, chunks(STATES[sequence]))
                storage.wait_checkpoint()
        storage.flush()
        if live is not None:
            shutil.copytree(path, live)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A storage after `close`, and one as a kill leaves it."""
    folder = tmp_path_factory.mktemp("samples")
    fill(folder / "closed", folder / "killed")
    return {"closed": folder / "closed", "killed": folder / "killed"}


def read(path: Path, **options: bool) -> int:
    """Read everything there is, and compare it with the model; the head."""
    with Storage.open(path, **options) as storage:
        for sequence, state in replayed(storage):
            assert state == STATES[sequence], f"a wrong state at commit {sequence}"
        assert sequence == storage.head.sequence
        assert storage.head.root == (commit_of(sequence).root if sequence else bytes(32))
        for coded in range(5, sequence + 1, 5):
            assert storage.code(hashlib.sha256(code_of(coded)).digest()) == code_of(coded)
        return sequence


def damages(content: bytes, moments: random.Random, count: int) -> list[tuple[str, bytes | None]]:
    """Contents with a changed bit or byte, a zeroed stretch, or an end cut off; None for no file at all."""
    found: list[tuple[str, bytes | None]] = [("deleted", None)]
    for _ in range(count if content else 0):
        place = moments.randrange(len(content))
        changed = content[place] ^ moments.choice((1, 0x80, 0xFF))
        found.append(("changed", content[:place] + bytes([changed]) + content[place + 1 :]))
        found.append(("cut", content[:place]))
        found.append(
            ("zeroed", content[:place] + bytes(len(content[place : place + 64])) + content[place + 64 :])
        )
    return found


@pytest.mark.parametrize("sample", ["closed", "killed"])
def test_damaged_files(samples: dict[str, Path], tmp_path: Path, sample: str):
    moments, seen = random.Random(11), Counter[tuple[str, str, str]]()
    for file in sorted(entry for entry in samples[sample].rglob("*") if entry.is_file()):
        kind = file.name.split("-")[0] if file.suffix not in (".sst", ".blob", ".log") else file.suffix
        for damage, content in damages(file.read_bytes(), moments, 1 if kind in HARMLESS else 6):
            copy = tmp_path / "copy"
            shutil.copytree(samples[sample], copy)
            target = copy / file.relative_to(samples[sample])
            if content is None:
                target.unlink()
            else:
                target.write_bytes(content)
            try:
                outcome = "whole" if read(copy) == LAST else "earlier"
            except StorageError as error:
                outcome, told = "refused", (error.path, error.remedy)
            if outcome == "refused":
                assert told[0] == str(copy)
                assert told[1]
            if kind in HARMLESS:
                assert outcome == "whole", (file.name, damage)
            seen[kind, damage, outcome] += 1
            shutil.rmtree(copy)
    earlier = {(kind, damage) for kind, damage, outcome in seen if outcome == "earlier"}
    assert earlier <= {(".log", "cut"), (".log", "deleted"), ("MANIFEST", "cut")}
    for kind in (".sst", ".blob", "MANIFEST", "CURRENT"):
        assert seen[kind, "deleted", "refused"] >= 1
        assert seen[kind, "changed", "refused"] >= 1
    if sample == "killed":
        assert seen[".log", "changed", "refused"] == 6
        assert seen[".log", "cut", "earlier"] >= 4


def test_salvage_goes_back_to_the_commit_before_the_damage(samples: dict[str, Path], tmp_path: Path):
    (log,) = (samples["killed"] / layout.DATABASE).glob("*.log")
    content = log.read_bytes()
    heads = []
    for part in (5, 3, 2):
        copy = tmp_path / str(part)
        shutil.copytree(samples["killed"], copy)
        place = len(content) - len(content) // part
        (copy / layout.DATABASE / log.name).write_bytes(
            content[:place] + bytes(4096) + content[place + 4096 :]
        )
        with pytest.raises(StorageCorrupt, match="salvage=True"):
            read(copy)
        heads.append(read(copy, salvage=True))
        assert read(copy) == heads[-1]
        with Storage.open(copy) as storage:
            for sequence in range(heads[-1] + 1, LAST + 1):
                storage.commit(commit_of(sequence), codes=[code_of(sequence)])
        assert read(copy) == LAST
    assert LAST > heads[0] > heads[1] > heads[2] > 12


Tamper = Callable[[Storage, WriteBatch], None]


def put(key: bytes, body: bytes) -> Tamper:
    return lambda storage, batch: batch.put(key, sealed(key, body))


def delete(key: bytes) -> Tamper:
    return lambda storage, batch: batch.delete(key)


def copied(key: bytes, to: bytes, reseal: bool) -> Tamper:
    def tamper(storage: Storage, batch: WriteBatch) -> None:
        body = bytes(storage._database.record(key))
        batch.put(to, sealed(to if reseal else key, body))

    return tamper


EMPTY_PAGE = bytes(20)
LOG, PAGE = layout.log_key, layout.page_key


@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (delete(layout.HEAD), "the head is missing"),
        (delete(layout.CHECKPOINT), "the checkpoint's record is missing"),
        (delete(layout.FORMAT), "the format record is missing"),
        (put(layout.FORMAT, b"another program"), "does not state a format"),
        (put(layout.HEAD, b"short"), "the head: "),
        (put(layout.CHECKPOINT, b"short"), "the checkpoint's record: "),
        (delete(LOG(13)), "commit 13 is missing"),
        (delete(LOG(20)), "commit 20 is missing"),
        (delete(LOG(30)), "commit 30 is missing"),
        (copied(LOG(20), LOG(21), True), "commit 21 says that it is commit 20"),
        (copied(LOG(20), LOG(21), False), "commit 21: its checksum differs"),
        (copied(LOG(30), LOG(31), True), "commit 31 lies beyond the head, commit 30"),
        (put(LOG(20), b"not a commit"), "commit 20: "),
        (delete(PAGE(2, 0)), "page 0 of checkpoint 2 is missing"),
        (copied(PAGE(2, 1), PAGE(2, 0), False), "page 0 of checkpoint 2: its checksum differs"),
        (put(PAGE(2, 2), EMPTY_PAGE), "the checkpoint's pages hold"),
        (put(PAGE(2, 0), b"not a page"), "page 0 of checkpoint 2: "),
        (put(layout.code_key(hashlib.sha256(code_of(5)).digest()), b"other code"), "has another SHA-256"),
    ],
)
def test_records_that_contradict_each_other(
    samples: dict[str, Path], tmp_path: Path, tamper: Tamper, message: str
):
    shutil.copytree(samples["closed"], tmp_path / "copy")
    with Storage.open(tmp_path / "copy") as storage:
        batch = WriteBatch(raw_mode=True)
        tamper(storage, batch)
        storage._database.write(batch)
    with pytest.raises(StorageCorrupt, match=message):
        read(tmp_path / "copy")


def test_damaged_receipts_are_not_given(tmp_path: Path):
    fill(tmp_path)
    with Storage.open(tmp_path) as storage:
        height = storage.head.height
        assert storage.receipts(height) == receipts_of(LAST)
        batch = WriteBatch(raw_mode=True)
        batch.put(layout.receipts_key(height), b"receipts of something else")
        storage._database.write(batch)
        with pytest.raises(StorageCorrupt, match=f"the receipts of block {height}"):
            storage.receipts(height)
