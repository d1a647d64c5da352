# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions through random histories, against dictionaries: what every pinned reader sees, and where each cell is."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field

import numpy as np
import pytest
from access_worker import AccessWorker, Value, chains, check_cells

from supervm.crypto.messages import Messages
from supervm.engine.state.store import StateStore, key_numbers
from supervm.kernels.cpu.state import access_set
from supervm.kernels.cpu.state import versions as v

KEYS = 24
SIZES = (0, 1, 20, v.INLINE - 1, v.INLINE, v.INLINE + 1, 2 * v.INLINE, 3 * v.INLINE + 5)


@dataclass
class History:
    """A store under random commits, and what it should hold: by key its versions, oldest first."""

    moments: random.Random
    store: StateStore = field(default_factory=StateStore)
    versions: dict[int, list[tuple[int, Value]]] = field(default_factory=dict)
    pins: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store.intern(Messages.of([number.to_bytes(2) for number in range(KEYS)]).ragged)
        self.workers = [AccessWorker(self.store, in_place=False) for _ in range(2)]

    def some(self) -> list[int]:
        return self.moments.sample(range(KEYS), self.moments.choice((1, 2, 5, KEYS)))

    def a_value(self) -> Value:
        return None if self.moments.random() < 0.2 else self.moments.randbytes(self.moments.choice(SIZES))

    def state(self, mark: int) -> dict[int, Value]:
        """By key the value at a watermark."""
        state: dict[int, Value] = {}
        for number, versions in self.versions.items():
            seen = [value for commit, value in versions if commit <= mark]
            if seen:
                state[number] = seen[-1]
        return state

    def write(self) -> None:
        """A commit of transactions, some of which are dropped; the whole commit may be undone."""
        in_place = self.moments.random() < 0.5
        state, before = self.state(self.store.watermark), self.state(self.store.watermark)
        touched: set[int] = set()
        for worker in self.workers:
            worker.words[access_set.IN_PLACE] = in_place
            worker.begin_commit()
        for _ in range(self.moments.randrange(6)):
            worker = self.moments.choice(self.workers)
            worker.forget_all()
            worker.begin()
            changed: dict[int, Value] = {}
            for number in self.some():
                entry = worker.touch(number, reads=self.moments.random() < 0.5)
                assert worker.value(entry) == state.get(number)
                for _ in range(self.moments.randrange(3)):
                    changed[number] = self.a_value()
                    worker.write(entry, changed[number])
                    assert worker.value(entry) == changed[number]
            if self.moments.random() < 0.2:
                continue
            worker.apply_growing()
            touched |= {n for n, value in changed.items() if value is not None or state.get(n) is not None}
            state |= changed
        written = np.concatenate([worker.written() for worker in self.workers])
        assert sorted(key_numbers(written).tolist()) == sorted(touched)
        if self.moments.random() < 0.25:
            self.store.undo(written)
            assert self.state(self.store.watermark) == before
            return
        again = np.concatenate([worker.again() for worker in self.workers])
        self.store.seal(again, sum(int(worker.words[access_set.REPLACED]) for worker in self.workers))
        self._publish(written, {number: state[number] for number in touched})

    def put(self) -> None:
        """A commit in one piece."""
        values = {number: self.a_value() for number in self.some()}
        numbers = np.array(list(values), np.int64)
        present = np.array([value is not None for value in values.values()], np.bool_)
        data = Messages.of([value or b"" for value in values.values()]).ragged
        written = self.store.put(numbers, data, present)
        if self.moments.random() < 0.25:
            self.store.undo(written, counted=True)
            return
        self._publish(written, values)

    def _publish(self, written: np.ndarray, values: dict[int, Value]) -> None:
        self.store.publish()
        mark = self.store.watermark
        newest, present = self.store.values(key_numbers(written))
        found = Messages(*newest)
        for place, number in enumerate(key_numbers(written).tolist()):
            assert (found[place] if present[place] else None) == values[number]
        for number, value in values.items():
            self.versions.setdefault(number, []).append((mark, value))
        if self.moments.random() < 0.4:
            self.store.collect_replaced(written)
            for number in values:
                self._keep(number, lambda commit, above, rank: False)

    def collect(self) -> None:
        numbers, oldest = self.some(), self.moments.randrange(self.store.watermark + 1)
        keep = self.moments.choice((1, 2, 3, 10))
        before = sum(map(len, self.versions.values()))
        freed = self.store.collect(np.array(numbers, np.int64), oldest, keep)
        for number in numbers:
            self._keep(number, lambda commit, above, rank: above > oldest and rank < keep)
        assert freed == before - sum(map(len, self.versions.values()))

    def _keep(self, number: int, stays) -> None:
        """Drop the versions of a key for which `stays` (commit, the one that replaced it, newer ones kept) is false."""
        versions = self.versions.get(number, [])
        kept = versions[-1:]
        for (commit, value), (above, _) in reversed(list(itertools.pairwise(versions))):
            seen = any(commit <= pin < above for pin in self.pins)
            if seen or stays(commit, kept[0][0], len(kept)):
                kept.insert(0, (commit, value))
        self.versions[number] = kept

    def pin(self) -> None:
        if self.pins and self.moments.random() < 0.5:
            self.store.release(self.pins.pop(self.moments.randrange(len(self.pins))))
            return
        mark = self.moments.choice([self.store.watermark, *self.pins])
        self.store.hold(mark)
        self.pins.append(mark)

    def check(self) -> None:
        found, _ = chains(self.store)
        expected = {number: versions[::-1] for number, versions in self.versions.items() if versions}
        assert {number: list(map(tuple, versions)) for number, versions in found.items()} == expected
        assert self.store.replaced == sum(len(versions) - 1 for versions in expected.values())
        check_cells(self.store, *self.workers)

    def check_readers(self) -> None:
        for mark in {self.store.watermark, *self.pins}:
            state = self.state(mark)
            numbers = np.arange(KEYS)
            values, present = self.store.values(numbers, mark)
            found = Messages(*values)
            for number in range(KEYS):
                assert (found[number] if present[number] else None) == state.get(number)
                assert self.store.read(number.to_bytes(2), mark) == state.get(number)


@pytest.mark.parametrize("seed", range(12))
def test_random_histories(seed):
    history = History(random.Random(seed))
    pinned: dict[int, dict[int, Value]] = {}
    steps = [history.write, history.put, history.collect, history.pin]
    for _ in range(300):
        history.moments.choices(steps, (4, 2, 2, 3))[0]()
        history.check()
        history.check_readers()
        marks = {history.store.watermark, *history.pins}
        pinned = {mark: pinned.get(mark, history.state(mark)) for mark in marks}
        for mark, state in pinned.items():
            assert history.state(mark) == state, "the model itself forgot what a pinned reader sees"


def test_deleting_what_is_not_there_makes_no_version():
    history = History(random.Random(0))
    worker = history.workers[0]
    worker.begin_commit()
    worker.begin()
    worker.write(worker.touch(0), None)
    assert worker.apply()
    assert worker.written().size == 0
    assert chains(history.store) == ({}, [])


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("sizes", [(10, 20), (10, 100), (100, 10), (100, 300), (0, 48), (49, 48)])
def test_writing_a_key_again_in_one_commit(in_place, sizes):
    """Over the version where it fits and nobody else reads, else beside it; in the end there is one version."""
    store = StateStore()
    store.intern(Messages.of([b"key"]).ragged)
    worker = AccessWorker(store, in_place=in_place)
    worker.begin_commit()
    for place, size in enumerate(sizes):
        worker.begin()
        worker.write(worker.touch(0), bytes([place]) * size)
        assert worker.apply()
    fits = in_place and max(sizes) <= v.INLINE
    assert len(chains(store)[0][0]) == (1 if fits else 2)
    assert worker.again().size == (0 if fits else 1)
    store.seal(worker.again(), 0)
    store.publish()
    assert store.read(b"key") == bytes([1]) * sizes[1]
    assert len(chains(store)[0][0]) == 1
    check_cells(store, worker)


def test_a_reader_at_an_older_watermark_walks_past_what_is_being_written():
    store = StateStore()
    numbers = store.intern(Messages.of([b"key"]).ragged)
    for commit in range(5):
        store.put(numbers, Messages.of([bytes([commit])]).ragged, np.ones(1, np.bool_))
        assert store.read(b"key") == (bytes([commit - 1]) if commit else None)
        store.publish()
    assert [store.read(b"key", mark) for mark in range(6)] == [None, b"\0", b"\1", b"\2", b"\3", b"\4"]


def test_changed_since_names_the_keys_of_later_commits():
    history = History(random.Random(5))
    history.pins.append(0)
    history.store.hold(0)
    for _ in range(30):
        history.put()
    for mark in range(history.store.watermark + 1):
        changed = {n for n, versions in history.versions.items() if versions and versions[-1][0] > mark}
        assert set(history.store.changed_since(mark).tolist()) == changed
