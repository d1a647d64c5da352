# SPDX-License-Identifier: GPL-3.0-or-later
"""The multi-version store: what readers see while commits are made and old versions go, and what it all weighs."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
from access_worker import chains, check_cells
from patience import PATIENCE

from supervm.crypto.messages import Messages
from supervm.engine.config import Collection
from supervm.engine.state.state import State
from supervm.engine.state.store import StateStore, kept, key_numbers
from supervm.kernels.cpu.lanes.addresses import LINE

ONE = np.ones(1, np.bool_)


def put(store: StateStore, key: bytes, value: bytes | None) -> np.ndarray:
    """A commit of one key."""
    numbers = store.intern(Messages.of([key]).ragged)
    written = store.put(numbers, Messages.of([value or b""]).ragged, ONE & (value is not None))
    store.publish()
    return written


def test_a_commit_is_visible_as_a_whole_and_not_before():
    store = StateStore()
    numbers = store.intern(Messages.of([b"a", b"b"]).ragged)
    store.put(numbers, Messages.of([b"1", b"2"]).ragged, np.ones(2, np.bool_))
    assert (store.read(b"a"), store.read(b"b")) == (None, None)
    store.publish()
    assert (store.read(b"a"), store.read(b"b"), store.watermark) == (b"1", b"2", 1)
    store.undo(store.put(numbers, Messages.of([b"3", b"4"]).ragged, np.ones(2, np.bool_)), counted=True)
    assert (store.read(b"a"), store.replaced) == (b"1", 0)
    check_cells(store)


@pytest.mark.parametrize("size", [0, 255, 256, 257, 70_000])
def test_values_of_any_size_are_read(size):
    store = StateStore()
    put(store, b"key", b"v" * size)
    assert store.read(b"key") == b"v" * size
    assert store.read(b"other") is None
    put(store, b"key", None)
    assert store.read(b"key") is None
    assert store.read(b"key", 1) == b"v" * size


def test_an_empty_key():
    store = StateStore()
    put(store, b"", b"value")
    assert store.read(b"") == b"value"


def test_chunks_hold_what_has_a_value_at_their_watermark():
    store = StateStore()
    for key, value in ((b"a", b"1"), (b"b", b"2"), (b"c", b""), (b"a", b"3"), (b"b", None), (b"d", b"4")):
        put(store, key, value)
    with store.reading(4) as mark:
        keys, values = store.chunk(0, 4, mark)
        assert [keys[place] for place in range(len(keys))] == [b"a", b"b", b"c"]
        assert [values[place] for place in range(len(values))] == [b"3", b"2", b""]
        keys, values = store.chunk(2, 4, 6)
        assert [keys[place] for place in range(len(keys))] == [b"c", b"d"]


def test_kept_values():
    values = Messages.of([b"one", b"", b"", b"four"]).ragged
    found = kept(values, np.array([True, False, True, True]))
    assert [found[place] for place in range(len(found))] == [b"one", b"", b"four"]


def test_readers_of_one_watermark_are_counted():
    store = StateStore()
    put(store, b"key", b"1")
    with store.reading() as first, store.reading() as second:
        assert first == second == 1
        put(store, b"key", b"2")
        with store.reading():
            assert store.pinned().tolist() == [1, 2]
    assert store.pinned().tolist() == []
    store.hold(2)
    with store.reading():
        pass
    assert store.pinned().tolist() == [2]
    store.release(2)
    assert store.pinned().tolist() == []


def run_beside(work: Callable[[], None], reader: Callable[[], None], readers: int = 2) -> None:
    """`reader` again and again on threads until `work` has ended; each of them at least once, errors are raised."""
    ended, errors, rounds = threading.Event(), [], [0] * readers

    def loop(place: int) -> None:
        try:
            while not ended.is_set() or not rounds[place]:
                reader()
                rounds[place] += 1
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=loop, args=(place,)) for place in range(readers)]
    for thread in threads:
        thread.start()
    try:
        work()
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    for error in errors:
        raise error


@pytest.mark.parametrize("history", [True, False])
def test_readers_on_threads_see_whole_commits_only(history):
    """Every commit gives all of a group of keys its own number, in values of one cell and of several. Keys and cells
    grow meanwhile, commits are undone, and old versions are freed at once or in passes."""
    rules = Collection(
        versions=2,
        seconds=0,
        threshold=0,
        least_interval=0,
        most_interval=0,
        history_bytes=1 << 30 if history else 0,
    )
    state = State(collection=rules)
    store = state.store
    keys = [b"key %d" % place * (1 + place % 20) for place in range(40)]
    group = Messages.of(keys)

    def values(number: int) -> Messages:
        return Messages.of([number.to_bytes(4) * (1 + place) for place in range(len(keys))])

    everything = np.ones(len(keys), np.bool_)
    state.commit(state.put(group, values(1), everything), height=1, timestamp=0)
    numbers = store.intern(group.ragged)

    def read() -> None:
        with store.reading() as mark:
            for place in range(0, len(keys), 7):
                assert store.read(keys[place], mark) == mark.to_bytes(4) * (1 + place)
            found, present = store.values(numbers, mark)
            rows = Messages(*found)
            assert present.all()
            for place in range(len(keys)):
                assert rows[place] == mark.to_bytes(4) * (1 + place)
            chunk = store.chunk(0, len(keys), mark)[1]
            assert np.array_equal(chunk.data, found.data)
        newest = [int.from_bytes((state.get(keys[place]) or b"")[:4]) for place in range(3)]
        assert newest == sorted(newest), "a later read went back"

    def work() -> None:
        for number in range(2, 400):
            more = Messages.of([b"%d %d" % (number, place) * 10 for place in range(60)])
            other = state.put(more, more, np.ones(60, np.bool_))
            if number % 5 == 0:
                state.abort(np.concatenate([other, state.put(group, values(0), everything)]))
                other = other[:0]
            written = state.put(group, values(number), everything)
            state.commit(np.concatenate([written, other]), height=number, timestamp=0)

    run_beside(work, read)
    assert state.position.commit == store.watermark == 399
    assert len(store.keys) > 20_000
    state.commit(state.put(group, values(400), everything), height=400, timestamp=0)
    longest = max(map(len, chains(store)[0].values()))
    assert longest <= 2
    check_cells(store)


@pytest.mark.parametrize("what", ["read", "number", "values", "chunk"])
def test_nobody_reads_while_cells_move(what):
    """Growing and freeing hold a lock; whoever reads waits for it, since old arrays are gone afterwards."""
    store = StateStore()
    put(store, b"key", b"value")
    reads: dict[str, Callable[[], object]] = {
        "read": lambda: store.read(b"key"),
        "number": lambda: store.number(b"key"),
        "values": lambda: store.values(np.zeros(1, np.int64), 1),
        "chunk": lambda: store.chunk(0, 1, 1),
    }
    reader = threading.Thread(target=reads[what])
    with store._lock:
        reader.start()
        reader.join(0.05)
        assert reader.is_alive()
    reader.join(PATIENCE)
    assert not reader.is_alive()


def weight(store: StateStore, versions: int) -> float:
    return store.memory_bytes() / versions


@pytest.mark.parametrize("prefix", [0, 21])
def test_a_version_takes_at_most_200_bytes(prefix):
    """Keys (behind a contract's address or not) and values of 32 bytes; the tree is counted apart."""
    count = 100_000
    random = np.random.default_rng(1)
    keys = np.zeros((count, prefix + 32), np.uint8)
    keys[:, prefix:] = random.integers(0, 256, (count, 32), np.uint8)
    store = StateStore()
    numbers = store.intern(Messages.of(keys).ragged)
    for versions in range(1, 6):
        values = Messages.of(random.integers(0, 256, (count, 32), np.uint8))
        store.put(numbers, values.ragged, np.ones(count, np.bool_))
        store.publish()
        assert weight(store, versions * count) <= 200
        allocated = store._cells.size + store._heads.nbytes + store._free.nbytes + store.keys._records.size
        assert allocated + store.keys._slots.nbytes <= 3 * store.memory_bytes()
    before = store.memory_bytes()
    assert store.collect(numbers, store.watermark, 1) == 4 * count
    assert before - store.memory_bytes() == 4 * count * LINE


def test_numbers_of_written_keys():
    store = StateStore()
    put(store, b"other", b"1")
    put(store, b"key", b"1")
    assert key_numbers(put(store, b"key", b"2")).tolist() == [1]
    assert (put(store, b"key", b"3") < 0).all(), "there is more behind the replaced version"
