# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes a state back to a block whose record the node still has.

Without `sync` a power loss may take the last rows of the records and leave their blocks in the state: they lie in two files,
and the disk may write either first. The log of the storage has every commit since the checkpoint with its root, so that the
state at an earlier one can be built and is known to be right; one more commit gives every key its value of then.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from supervm.crypto.messages import Messages
from supervm.engine.state.state import State
from supervm.engine.storage import Storage
from supervm.tiers.node.errors import WrongChain


@dataclass(frozen=True)
class Point:
    """A commit that the storage can give back.

    Args:
        sequence, height, timestamp: of the commit.
        root: of the state after it, 32 bytes.
    """

    sequence: int
    height: int
    timestamp: int
    root: bytes


def points(storage: Storage) -> dict[int, Point]:
    """The checkpoint and the commits after it, by height; of one height the last, which holds after a rollback."""
    checkpoint = storage.checkpoint
    found = {}
    for each in ([checkpoint] if checkpoint.sequence else []), storage.commits():
        for commit in each:
            point = Point(commit.sequence, commit.height, commit.timestamp, commit.root)
            found[commit.height] = point
    return found


def rewind(state: State, hash: str, to: Point) -> None:
    """Make a state what it was at a commit, its height included; snapshots of later ones are dropped.

    Args:
        state: just opened.
        hash: of its tree.
        to: one of its `points`.

    Raises:
        WrongChain: what the storage has does not give the root of that commit; nothing was changed.
        StorageCorrupt, StorageFailed: it cannot be read or written.
    """
    storage = state.storage
    assert storage is not None
    then = _state_at(storage, hash, to)
    later = (commit for commit in storage.commits() if commit.sequence > to.sequence)
    keys = sorted({commit.keys[at] for commit in later for at in range(len(commit.keys))})
    values = [then.get(key) for key in keys]
    present = np.array([value is not None for value in values], np.bool_)
    for name, position in list(state.snapshots.items()):
        if position.commit > to.sequence:
            state.forget(name)
    written = state.put(Messages.of(keys), Messages.of([value or b"" for value in values]), present)
    root = state.commit(written, height=to.height, timestamp=to.timestamp)
    _check(storage, to, root)


def _state_at(storage: Storage, hash: str, to: Point) -> State:
    """The state at a commit, in memory."""
    state, checkpoint = State(hash=hash), storage.checkpoint
    root = state.position.root
    if checkpoint.sequence:
        pages = [state.put(keys, values, np.ones(len(keys), np.bool_)) for keys, values in storage.pages()]
        written = np.concatenate([np.zeros(0, np.int64), *pages])
        root = state.commit(written, height=checkpoint.height, timestamp=checkpoint.timestamp)
    for commit in storage.commits():
        if commit.sequence > to.sequence:
            break
        written = state.put(commit.keys, commit.values, commit.present)
        root = state.commit(written, height=commit.height, timestamp=commit.timestamp)
    _check(storage, to, root)
    return state


def _check(storage: Storage, to: Point, root: bytes) -> None:
    if root != to.root:
        raise WrongChain(
            f"{storage.path}: the log gives the root {root.hex()} at height {to.height}, it states {to.root.hex()}; "
            "restore a copy"
        )
