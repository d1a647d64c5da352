# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that commits until it is killed, and says on standard output how far the database has what it committed."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from storage_model import State, apply, chunks, code_of, commit_of, receipts_of, replayed

from supervm.crypto.messages import Messages
from supervm.engine.storage import Storage

PAIRS, POOL = 2000, 4000
PINNED = 13
"""Every commit of a multiple of this number is named, and the name before it forgotten."""
CODED = 5
"""Every commit of a multiple of this number deploys code."""


def say(words: str) -> None:
    """One line, in one write."""
    os.write(1, f"{words}\n".encode())


def slowly(state: State) -> Iterator[tuple[Messages, Messages]]:
    """The state in small chunks with pauses, so that many a kill falls among them."""
    for chunk in chunks(state, 500):
        time.sleep(0.002)
        yield chunk


def run(path: Path) -> None:
    """Open, take up the state, and go on from the head for ever."""
    say("started")
    storage = Storage.open(path, checkpoint_bytes=200_000, keep_blocks=20)
    pins = {snapshot.sequence for snapshot in storage.head.snapshots.values()}
    kept: dict[int, State] = {}
    for sequence, state in replayed(storage):
        if sequence in pins:
            kept[sequence] = dict(state)
    say(f"opened {sequence}")
    while True:
        sequence = storage.head.sequence + 1
        commit = commit_of(sequence, PAIRS, POOL)
        pin = sequence % PINNED == 0
        storage.commit(
            commit,
            codes=[code_of(sequence)] if sequence % CODED == 0 else [],
            receipts=receipts_of(sequence),
            name="pin" if pin else None,
            forget=list(storage.head.snapshots) if pin else [],
        )
        apply(state, commit)
        if pin:
            kept = {sequence: dict(state)}
        due = storage.checkpoint_due()
        if due is not None:
            storage.start_checkpoint(due, slowly(dict(kept.get(due, state))))
        say(f"written {storage.written}")


if __name__ == "__main__":
    run(Path(sys.argv[1]))
