# SPDX-License-Identifier: GPL-3.0-or-later
"""`State` against dictionaries: commits, snapshots, rollbacks, proofs, in memory and on disk."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from supervm.crypto.messages import Messages
from supervm.crypto.oracle import sparse_merkle
from supervm.engine.config import Collection
from supervm.engine.errors import StorageCorrupt, StorageFailed
from supervm.engine.state.state import Position, State
from supervm.kernels.errors import ArgumentError

KEYS = [b"%d" % place * (1 + place % 40) for place in range(30)]
EAGER = Collection(versions=1, seconds=0, threshold=0, least_interval=0, most_interval=0)
PASSES = Collection(versions=2, seconds=0, threshold=0, least_interval=0, most_interval=0)


def commit(state: State, values: dict[bytes, bytes | None], height: int | None = None) -> bytes:
    """A commit of these values; None deletes."""
    keys, data = Messages.of(list(values)), Messages.of([value or b"" for value in values.values()])
    present = np.array([value is not None for value in values.values()], np.bool_)
    position = state.position
    height = position.height + 1 if height is None else height
    return state.commit(state.put(keys, data, present), height=height, timestamp=position.timestamp + 7)


class Pair:
    """A state and what it should be, under random steps."""

    def __init__(self, seed: int, path: Path | None, hash: str, collection: Collection) -> None:
        self.random = random.Random(seed)
        self.options = {
            "path": path,
            "hash": hash,
            "collection": collection,
            "checkpoint_bytes": 3_000,
            "keep_receipts": 4,
        }
        self.state = State(**self.options)
        self.values: dict[bytes, bytes] = {}
        self.names: dict[str, tuple[Position, dict[bytes, bytes]]] = {}

    def change(self) -> dict[bytes, bytes | None]:
        size = self.random.choice((0, 5, 48, 49, 200))
        keys = self.random.sample(KEYS, self.random.randrange(1, 12))
        return {key: None if self.random.random() < 0.3 else self.random.randbytes(size) for key in keys}

    def commit(self) -> None:
        before, change = self.state.position, self.change()
        root = commit(self.state, change)
        self.values.update({key: value for key, value in change.items() if value is not None})
        for key in [key for key, value in change.items() if value is None]:
            self.values.pop(key, None)
        expected = Position(before.commit + 1, before.height + 1, before.timestamp + 7, root)
        assert self.state.position == expected

    def abort(self) -> None:
        change = self.change()
        keys, data = Messages.of(list(change)), Messages.of([value or b"" for value in change.values()])
        self.state.abort(self.state.put(keys, data, np.array([v is not None for v in change.values()])))

    def snapshot(self) -> None:
        name = f"name {self.random.randrange(6)}"
        if name in self.names:
            with pytest.raises(ArgumentError):
                self.state.snapshot(name)
            self.state.forget(name)
            del self.names[name]
        else:
            self.names[name] = (self.state.snapshot(name), dict(self.values))

    def rollback(self) -> None:
        if not self.names:
            return
        name = self.random.choice(list(self.names))
        to, values = self.names[name]
        commits = self.state.position.commit
        assert self.state.rollback(name) == to.root
        assert self.state.position == Position(commits + 1, to.height, to.timestamp, to.root)
        self.values = dict(values)

    def reopen(self) -> None:
        if self.options["path"] is None:
            return
        position = self.state.position
        self.state.close()
        self.state = State(**self.options)
        assert self.state.position == position
        assert self.state.snapshots == {name: to for name, (to, _) in self.names.items()}

    def prove(self) -> None:
        """A key that is there, one that is not, and one that was never heard of."""
        for key in (self.random.choice(KEYS), self.random.randbytes(3)):
            proof = self.state.prove(key).to_bytes()
            value, hash = self.values.get(key), self.options["hash"]
            root = self.state.position.root
            assert sparse_merkle.verify(root, key, value, proof, hash)
            assert not sparse_merkle.verify(root, key, b"another", proof, hash)

    def check(self) -> None:
        assert {key: self.state.get(key) for key in KEYS} == {key: self.values.get(key) for key in KEYS}
        assert self.state.position.root == self.state.tree.root
        if (
            self.options["hash"] == "sha256" or self.random.random() < 0.2
        ):  # Keccak in plain Python takes its time
            assert self.state.position.root == sparse_merkle.root(self.values, self.options["hash"])
        for to, values in self.names.values():
            assert all(self.state.get(key, to.commit) == values.get(key) for key in KEYS)
        held = sorted({to.commit for to, _ in self.names.values()})
        assert set(held) <= set(self.state.store.pinned().tolist())


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_random_steps(tmp_path, seed, stored):
    hash = ("sha256", "keccak256", "sha256", "keccak256", "poseidon_bn254")[seed]
    collection = (EAGER, PASSES, Collection())[seed % 3]
    pair = Pair(seed, tmp_path / "state" if stored else None, hash, collection)
    steps = {pair.commit: 8, pair.abort: 1, pair.snapshot: 2, pair.rollback: 1, pair.reopen: 1, pair.prove: 3}
    for _ in range(90 if seed < 4 else 12):  # the oracle's Poseidon is slow
        pair.random.choices(list(steps), list(steps.values()))[0]()
        pair.check()
    pair.reopen()
    pair.check()
    for name in list(pair.names):
        pair.state.forget(name)
    pair.state.close()


def test_rolling_back_twice_and_a_snapshot_of_a_state_rolled_back():
    state = State()
    commit(state, {b"a": b"1", b"b": b"1"})
    first = state.snapshot("first")
    commit(state, {b"a": b"2", b"c": b"2"})
    state.snapshot("second")
    commit(state, {b"a": None, b"d": b"3"})
    assert state.rollback("first") == first.root
    assert (state.position.height, state.get(b"a"), state.get(b"c"), state.get(b"d")) == (1, b"1", None, None)
    again = state.snapshot("again")
    assert (again.root, again.height, again.commit) == (first.root, first.height, 4)
    assert state.rollback("second") == state.snapshots["second"].root
    assert (state.get(b"a"), state.get(b"c"), state.position.height) == (b"2", b"2", 2)
    assert state.rollback("second") == state.rollback("second")
    assert state.rollback("again") == state.rollback("first") == first.root
    state.forget("first")
    with pytest.raises(ArgumentError, match="'second', 'again'"):
        state.rollback("first")
    assert state.rollback("again") == first.root


def test_rolling_back_to_nothing():
    state = State()
    state.snapshot("empty")
    commit(state, {b"a": b"1"})
    assert state.rollback("empty") == bytes(32)
    assert (state.get(b"a"), state.position.height) == (None, 0)


@pytest.mark.parametrize("name", ["", "n" * 256, "ü" * 128])
def test_names_that_cannot_be(name):
    with pytest.raises(ArgumentError):
        State().snapshot(name)


def test_two_names_of_one_commit_outlive_each_other(tmp_path):
    """Also after a reopening: who forgets one must not let the other's versions go."""
    for path in (None, tmp_path / "state"):
        state = State(path, collection=EAGER)
        commit(state, {b"key": b"old"})
        state.snapshot("one")
        state.snapshot("two")
        if path is not None:
            state.close()
            state = State(path, collection=EAGER)
        state.forget("one")
        for number in range(3):
            commit(state, {b"key": b"%d" % number})
        assert state.get(b"key", 1) == b"old"
        state.rollback("two")
        assert state.get(b"key") == b"old"
        state.close()


def test_versions_of_a_forgotten_snapshot_go_though_their_keys_are_never_written_again():
    state = State(collection=PASSES)
    commit(state, dict.fromkeys(KEYS, b"old"))
    state.snapshot("name")
    commit(state, dict.fromkeys(KEYS, b"new"))
    commit(state, {b"other": b"1"})
    assert state.store.replaced == len(KEYS)
    state.forget("name")
    commit(state, {b"other": b"2"})
    commit(state, {b"other": b"3"})
    assert state.store.replaced <= 1


def test_replayed_history_is_not_kept(tmp_path):
    """Reopening goes through every commit since the checkpoint, but only what a snapshot sees is of any use."""
    state = State(tmp_path / "state")
    for number in range(50):
        commit(state, dict.fromkeys(KEYS, b"%d" % number))
        if number == 20:
            state.snapshot("name")
    state.close()
    state = State(tmp_path / "state", collection=PASSES)
    assert state.store.replaced == len(KEYS)
    state.forget("name")
    commit(state, {b"other": b"1"})
    assert state.store.replaced == 0
    state.close()


def test_another_hash_than_the_stored_one(tmp_path):
    state = State(tmp_path / "state", hash="keccak256")
    commit(state, {b"key": b"value"})
    state.close()
    with pytest.raises(StorageCorrupt, match="another hash"):
        State(tmp_path / "state", hash="sha256")
    with State(tmp_path / "state", hash="keccak256").storage as storage:
        assert storage.head.sequence == 1


@pytest.mark.parametrize("method", ["commit", "checkpoint_due", "start_checkpoint"])
def test_a_storage_that_fails_leaves_the_state_as_it_was(tmp_path, monkeypatch, method):
    state = State(tmp_path / "state", checkpoint_bytes=1)
    for number in range(5):
        commit(state, {b"a": b"1" * number, b"b": b"1"})
    state.storage.wait_checkpoint()
    before, replaced = state.position, state.store.replaced

    def fail(*arguments, **named):
        raise StorageFailed(state.storage.path, "injected", "reopen")

    with monkeypatch.context() as patch:
        patch.setattr(state.storage, method, fail)
        for _ in range(2):
            with pytest.raises(StorageFailed, match="injected"):
                commit(state, {b"a": b"2", b"c": b"2"})
            state.storage.wait_checkpoint()
            assert state.position == before
            assert (state.get(b"a"), state.get(b"c")) == (b"1111", None)
            assert state.tree.root == before.root
            assert (state.store.replaced, state.store.pinned().size) == (replaced, 0)
    root = commit(state, {b"a": b"3", b"c": b"3"})
    assert root == sparse_merkle.root({b"a": b"3", b"b": b"1", b"c": b"3"})
    state.close()
    state = State(tmp_path / "state")
    assert state.position.root == root
    state.close()


def test_a_storage_that_has_failed_says_so_until_it_is_opened_again(tmp_path):
    state = State(tmp_path / "state")
    commit(state, {b"a": b"1"})
    state.storage.flush()
    before = state.position
    state.storage._writer.fail(StorageFailed(state.storage.path, "disk full", "open it again"))
    for _ in range(3):
        with pytest.raises(StorageFailed, match="open it again"):
            commit(state, {b"a": b"2"})
        assert (state.position, state.get(b"a")) == (before, b"1")
    with pytest.raises(StorageFailed):
        state.close()
    state = State(tmp_path / "state")
    assert (state.position, state.get(b"a")) == (before, b"1")
    commit(state, {b"a": b"2"})
    state.close()


def test_a_checkpoint_that_fails_to_read_loses_nothing(tmp_path, monkeypatch):
    """What its chunks raised is raised at the next commit, which is not made then; the one after it is."""
    state = State(tmp_path / "state", checkpoint_bytes=1)
    commit(state, {b"a": b"1"})
    with monkeypatch.context() as patch:
        patch.setattr(state.store, "chunk", lambda *arguments: 1 // 0)
        commit(state, {b"a": b"2"})
        state.storage._folding.wait()
    with pytest.raises(ZeroDivisionError):
        commit(state, {b"a": b"3"})
    assert (state.get(b"a"), state.position.commit, state.store.pinned().size) == (b"2", 2, 0)
    commit(state, {b"a": b"4"})
    state.storage.wait_checkpoint()
    assert state.storage.checkpoint.sequence == 2
    state.close()
    state = State(tmp_path / "state")
    assert state.get(b"a") == b"4"
    state.close()
