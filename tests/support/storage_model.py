# SPDX-License-Identifier: GPL-3.0-or-later
"""What a storage should hold: commits that are functions of their sequence number, and the state as a plain dictionary."""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Iterator, Mapping

import numpy as np

from supervm.crypto.messages import Messages
from supervm.engine.storage import Commit, Storage

State = dict[bytes, bytes]


def commit_of(sequence: int, pairs: int = 300, pool: int = 900) -> Commit:
    """A commit that changes `pairs` of `pool` keys, a fifth of them to nothing; every seventh changes none."""
    rng = np.random.default_rng([sequence, pairs, pool])
    chosen = rng.permutation(pool)[: 0 if sequence % 7 == 0 else pairs]
    keys = [key_of(int(number)) for number in chosen]
    present = rng.random(len(keys)) > 0.2
    noise = rng.bytes(64)
    values = [
        (b"%d/%d/" % (sequence, number) + noise)[: 1 + number % 60] * bool(kept)
        for number, kept in zip(chosen, present, strict=True)
    ]
    root = hashlib.sha256(b"root %d" % sequence).digest()
    return Commit(
        sequence, height_of(sequence), root, 7 * sequence, Messages.of(keys), Messages.of(values), present
    )


@functools.cache
def key_of(number: int) -> bytes:
    """One of the pool's keys, 1 to 277 bytes long."""
    return (b"%d." % number + hashlib.sha256(b"%d" % number).digest() * 9)[: 5 + number % 273]


def height_of(sequence: int) -> int:
    """Heights rise, and fall back by 3 at every eleventh commit."""
    return sequence - 4 * (sequence // 11)


def code_of(sequence: int) -> bytes:
    """The code that a commit deploys."""
    return b"code %d " % sequence * (1 + sequence % 700)


def receipts_of(sequence: int) -> bytes:
    """The receipts of a commit's block."""
    return b"receipts %d" % sequence * (sequence % 50)


def apply(state: State, commit: Commit) -> None:
    """Take one step."""
    for key, value, kept in zip(
        split(commit.keys), split(commit.values), commit.present.tolist(), strict=True
    ):
        if kept:
            state[key] = value
        else:
            state.pop(key, None)


def split(messages: Messages) -> list[bytes]:
    """All messages; faster than one by one."""
    data, ends = messages.data.tobytes(), messages.offsets.tolist()
    return [data[start:stop] for start, stop in itertools.pairwise(ends)]


def states(last: int, pairs: int = 300, pool: int = 900) -> list[State]:
    """The state after each of the commits 0 to `last`."""
    found: list[State] = [{}]
    for sequence in range(1, last + 1):
        state = dict(found[-1])
        apply(state, commit_of(sequence, pairs, pool))
        found.append(state)
    return found


def chunks(state: Mapping[bytes, bytes], size: int = 200) -> Iterator[tuple[Messages, Messages]]:
    """A state as a checkpoint takes it."""
    items = list(state.items())
    for start in range(0, len(items), size):
        part = items[start : start + size]
        yield Messages.of([key for key, _ in part]), Messages.of([value for _, value in part])


def replayed(storage: Storage) -> Iterator[tuple[int, State]]:
    """(sequence, state) at the checkpoint and after each commit of the log; each state is the same dictionary."""
    state: State = {}
    for keys, values in storage.pages():
        assert state.keys().isdisjoint(split(keys)), "a key twice in a checkpoint"
        state.update(zip(split(keys), split(values), strict=True))
    yield storage.checkpoint.sequence, state
    for commit in storage.commits():
        apply(state, commit)
        yield commit.sequence, state


def same(one: Commit, other: Commit) -> bool:
    """Whether two commits are equal in every column."""
    return (
        (one.sequence, one.height, one.root, one.timestamp)
        == (other.sequence, other.height, other.root, other.timestamp)
        and all(
            np.array_equal(mine.data, its.data) and np.array_equal(mine.offsets, its.offsets)
            for mine, its in ((one.keys, other.keys), (one.values, other.values))
        )
        and np.array_equal(one.present, other.present)
    )
