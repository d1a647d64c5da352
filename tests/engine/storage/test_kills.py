# SPDX-License-Identifier: GPL-3.0-or-later
"""A process is killed (SIGKILL) at any moment of creating, opening, committing and folding: whole commits remain."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import time
from pathlib import Path

import storage_victim
from storage_model import State, apply, code_of, commit_of, height_of, receipts_of, replayed

from supervm.engine.storage import Storage

KILLS = 32


def digest(state: State) -> bytes:
    sums = hashlib.sha256()
    for key in sorted(state):
        sums.update(b"%d %d " % (len(key), len(state[key])) + key + state[key])
    return sums.digest()


class Model:
    """Digests of the states that the victim's commits lead to."""

    def __init__(self) -> None:
        self._state: State = {}
        self._digests = [digest({})]

    def at(self, sequence: int) -> bytes:
        while len(self._digests) <= sequence:
            commit = commit_of(len(self._digests), storage_victim.PAIRS, storage_victim.POOL)
            apply(self._state, commit)
            self._digests.append(digest(self._state))
        return self._digests[sequence]


def killed(path: Path, awaited: bytes, delay: float) -> int:
    """Let a victim run until it has said `awaited` and for `delay` seconds more; how much it said was written."""
    victim = subprocess.Popen([sys.executable, storage_victim.__file__, str(path)], stdout=subprocess.PIPE)
    assert victim.stdout is not None
    with victim, victim.stdout as said:
        first = said.readline()
        while awaited not in first:
            assert first, "the victim ended by itself"
            first = said.readline()
        time.sleep(delay)
        victim.kill()
        lines = [first, *said.read().splitlines()]
    assert victim.returncode == -9
    return max((int(line.split()[1]) for line in lines if line.startswith(b"written ")), default=0)


def check(path: Path, model: Model, reported: int) -> tuple[int, int]:
    """What remains is the model's; the checkpoint's generation and the head."""
    with Storage.open(path) as storage:
        head = storage.head
        assert head.sequence >= reported
        for sequence, state in replayed(storage):
            assert digest(state) == model.at(sequence), f"commit {sequence} of {head.sequence}"
        assert sequence == head.sequence
        if head.sequence:
            last = commit_of(head.sequence, storage_victim.PAIRS, storage_victim.POOL)
            assert (head.height, head.root, head.timestamp) == (last.height, last.root, last.timestamp)
            assert storage.receipts(height_of(head.sequence)) == receipts_of(head.sequence)
        coded_last = head.sequence - head.sequence % storage_victim.CODED
        for coded in range(coded_last, max(0, coded_last - 100), -storage_victim.CODED):
            assert storage.code(hashlib.sha256(code_of(coded)).digest()) == code_of(coded)
        pinned = head.sequence - head.sequence % storage_victim.PINNED
        assert {name: s.sequence for name, s in head.snapshots.items()} == ({"pin": pinned} if pinned else {})
        assert [key for key in storage._database.keys(b"P") if key[:1] == b"P"] == [
            b"P" + storage.checkpoint.generation.to_bytes(8, "big") + page.to_bytes(4, "big")
            for page in range(storage.checkpoint.pages)
        ]
        return storage.checkpoint.generation, head.sequence


def test_kills_at_any_moment_leave_whole_commits(tmp_path: Path):
    """A slow machine does less between two kills: it is killed more often, until as much has been done."""
    moments, model = random.Random(5), Model()
    generations, heads = [], []
    for number in range(20 * KILLS):
        if number >= KILLS and heads[-1] > KILLS and generations[-1] > 3:
            break
        awaited = b"started" if number % 6 == 5 else b"opened"
        reported = killed(tmp_path, awaited, moments.uniform(0, 0.05 if awaited == b"started" else 0.25))
        generation, head = check(tmp_path, model, max([reported, *heads]))
        generations.append(generation)
        heads.append(head)
    assert heads[-1] > KILLS, "too few commits to mean anything"
    assert generations[-1] > 3, "too few checkpoints to mean anything"


def test_kills_while_it_is_created_leave_nothing_or_a_storage(tmp_path: Path):
    moments, model = random.Random(6), Model()
    for number in range(10):
        path = tmp_path / str(number)
        reported = killed(path, b"started", moments.uniform(0, 0.03))
        check(path, model, reported)
