# SPDX-License-Identifier: GPL-3.0-or-later
"""Access sets: entries and their index, written and held values, validity, what a full buffer leaves behind."""

from __future__ import annotations

import ctypes
import random

import numpy as np
import pytest
from access_worker import AccessWorker, Full, chains, check_cells

from supervm.crypto.messages import Messages
from supervm.engine.state.store import StateStore
from supervm.kernels.cpu.state import access_set
from supervm.kernels.cpu.state import versions as v

SIZES = (0, 1, v.INLINE - 1, v.INLINE, v.INLINE + 1, 2 * v.INLINE, 2 * v.INLINE + 1, 300)
"""Lengths of values: of one cell, of two, of many."""


def store_of(values: dict[int, bytes], keys: int = 64) -> StateStore:
    """A store with keys 0, 1, … of which some have a value, of commit 1."""
    store = StateStore()
    store.intern(Messages.of([number.to_bytes(4) for number in range(keys)]).ragged)
    commit(store, dict(values))
    return store


def commit(store: StateStore, values: dict[int, bytes | None]) -> None:
    numbers = np.array(list(values), np.int64)
    present = np.array([value is not None for value in values.values()], np.bool_)
    store.put(numbers, Messages.of([value or b"" for value in values.values()]).ragged, present)
    store.publish()


def newest(store: StateStore) -> dict[int, bytes | None]:
    return {number: versions[0].value for number, versions in chains(store)[0].items()}


@pytest.mark.parametrize("count", [1, 15, 16, 17, 18, 300, access_set.MOST_ENTRIES])
def test_every_key_has_one_entry(count):
    store = store_of({}, 40_000)
    worker = AccessWorker(store)
    moments = random.Random(count)
    numbers = moments.sample(range(40_000), count)
    for _ in range(2):
        worker.begin()
        entries = {}
        for place, number in enumerate(numbers):
            entries[number] = worker.touch(number)
            again = numbers[moments.randrange(place + 1)]
            assert worker.touch(again) == entries[again]
        assert len(set(entries.values())) == count
        assert worker.span[1] == count
        for number in moments.sample(numbers, count):
            assert worker.touch(number) == entries[number]
        worker.forget_all()


def test_keys_that_meet_in_the_index():
    """All of these begin their search at one slot."""
    slots: dict[int, list[int]] = {}
    for number in range(400_000):
        slot = ((number * access_set._MIX) >> 16) & ((1 << access_set.INDEX_BITS) - 1)
        slots.setdefault(slot, []).append(number)
    numbers = max(slots.values(), key=len)[:60]
    assert len(numbers) > 2 * access_set.SCANNED // 3
    numbers = list(dict.fromkeys([*numbers, *range(20)]))
    store = StateStore()
    store.make_room(400_000)
    worker = AccessWorker(store)
    worker.begin()
    entries = [worker.touch(number) for number in numbers]
    assert len(set(entries)) == len(numbers)
    assert [worker.touch(number) for number in numbers] == entries


def test_one_key_too_many():
    store = store_of({}, access_set.MOST_ENTRIES + 2)
    worker = AccessWorker(store)
    worker.begin()
    entries = [worker.touch(number) for number in range(access_set.MOST_ENTRIES)]
    assert worker.touch(access_set.MOST_ENTRIES) == access_set.TOO_MANY
    assert worker.touch(access_set.MOST_ENTRIES, reads=True) == access_set.TOO_MANY
    assert [worker.touch(number) for number in (0, 7, access_set.MOST_ENTRIES - 1)] == [
        entries[number] for number in (0, 7, access_set.MOST_ENTRIES - 1)
    ]
    assert worker.span[1] == access_set.MOST_ENTRIES


def test_nothing_in_the_place_of_a_removed_value():
    """A value of no bytes there was written at an address that nobody had set: a negative one was taken for a lack of room,
    and the transaction tried again for ever.
    """
    store = store_of({5: b"there"})
    worker = AccessWorker(store)
    worker.spoil()
    worker.begin_commit()
    worker.begin()
    for number in (5, 6):
        entry = worker.touch(number)
        worker.write(entry, None)
        worker.write(entry, b"")
        assert worker.value(entry) == b""
        address = int.from_bytes(ctypes.string_at(entry + access_set.VALUE, 8), "little", signed=True)
        assert address >= 0


def test_marks_of_long_ago_in_the_index_mean_nothing():
    """The stamp of transactions has 32 bits; what one wrote 2^32 transactions ago must not be taken for an entry."""
    store = store_of({}, 300)
    worker = AccessWorker(store)
    for stamp in (5, 0xFFFFFFFF):
        worker.words[access_set.INDEX_STAMP] = stamp - 1
        worker.begin()
        for number in range(200):
            worker.touch(number)
        worker.forget_all()
        worker.words[access_set.INDEX_STAMP] = stamp - 1 + (1 << 32)
        worker.begin()
        numbers = [*range(100, 130), 190, 150, 7]
        entries = [worker.touch(number) for number in numbers]
        assert worker.span[1] == len(numbers)
        assert [worker.touch(number) for number in numbers] == entries
        worker.forget_all()


def test_transactions_lie_one_behind_the_other():
    store = store_of({0: b"old"})
    worker = AccessWorker(store)
    spans = []
    worker.begin_commit()
    for place in range(40):
        worker.begin()
        for number in range(place % 20):
            worker.write(worker.touch(number), b"%d %d" % (place, number))
        spans.append(worker.span)
    assert [first for first, _ in spans] == np.cumsum([0] + [count for _, count in spans[:-1]]).tolist()
    for span in spans:
        assert worker.apply(span=span)
    assert newest(store) == {number: b"39 %d" % number for number in range(19)}
    check_cells(store, worker)


@pytest.mark.parametrize("size", SIZES)
def test_values_are_read_back(size):
    old, new = random.Random(size).randbytes(size), random.Random(size + 1).randbytes(size)
    store = store_of({3: old})
    worker = AccessWorker(store)
    worker.begin()
    entry = worker.touch(3, reads=True)
    assert worker.value(entry) == old
    assert worker.value(worker.touch(4)) is None
    worker.write(entry, new)
    assert worker.value(worker.touch(3)) == new
    worker.write(entry, None)
    assert worker.value(entry) is None
    worker.write(entry, new)
    assert worker.value(entry) == new


@pytest.mark.parametrize("second", SIZES)
@pytest.mark.parametrize("first", SIZES)
def test_a_held_value_is_not_written_over(first, second):
    store = store_of({})
    worker = AccessWorker(store)
    worker.begin()
    entry, other = worker.touch(1), worker.touch(2)
    old, new = b"o" * first, b"n" * second
    worker.write(entry, old)
    held = worker.hold(entry)
    for _ in range(3):
        worker.write(entry, new)
        worker.write(other, b"x" * 40)
        assert ctypes.string_at(held, first) == old
        assert worker.value(entry) == new
    worker.write(entry, None)
    worker.write(entry, new)
    assert ctypes.string_at(held, first) == old


def test_written_values_do_not_overlap():
    store = store_of({})
    worker = AccessWorker(store)
    worker.begin()
    moments, expected = random.Random(3), {}
    for _ in range(600):
        number = moments.randrange(40)
        expected[number] = moments.randbytes(moments.choice(SIZES))
        worker.write(worker.touch(number), expected[number])
    assert {number: worker.value(worker.touch(number)) for number in expected} == expected


def test_dropped_writes_are_undone():
    store = store_of({0: b"zero", 1: b"one", 2: b"two"})
    worker = AccessWorker(store)
    worker.begin_commit()
    worker.begin()
    worker.write(worker.touch(0, reads=True), b"changed, and longer")
    worker.write(worker.touch(5), b"new")
    worker.write(worker.touch(1), None)
    worker.write(worker.touch(2), b"2")
    assert worker.value(worker.touch(4, reads=True)) is None
    worker.drop_from(1)
    seen = {number: worker.value(worker.touch(number)) for number in range(6)}
    assert seen == {0: b"changed, and longer", 1: b"one", 2: b"two", 3: None, 4: None, 5: None}
    worker.write(worker.touch(2), b"second try")
    worker.drop_from(3)
    assert worker.apply()
    assert newest(store) == {0: b"changed, and longer", 1: b"one", 2: b"two"}


def test_what_was_read_is_known_after_a_drop():
    store = store_of({0: b"zero", 1: b"one"})
    worker = AccessWorker(store)
    worker.begin()
    worker.touch(0, reads=True)
    worker.write(worker.touch(1, reads=True), b"1")
    worker.drop_from(0)
    span = worker.span
    assert worker.valid(*span)
    commit(store, {1: b"other"})
    assert not worker.valid(*span)


@pytest.mark.parametrize("seed", range(30))
def test_validity_is_that_no_read_key_got_a_new_version(seed):
    moments = random.Random(seed)
    store = store_of({number: moments.randbytes(moments.choice(SIZES)) for number in range(0, 64, 2)})
    mine, other = AccessWorker(store), AccessWorker(store)
    mine.begin_commit()
    other.begin_commit()
    mine.begin()
    count = moments.choice((3, 25))
    read = {number for number in moments.sample(range(64), count) if mine.touch(number, reads=True)}
    for number in moments.sample(range(64), count):
        entry = mine.touch(number)
        if moments.random() < 0.5:
            mine.write(entry, b"written")
    assert mine.valid(*mine.span)
    other.begin()
    changed = set()
    for number in moments.sample(range(64), moments.choice((0, 1, 2, 20))):
        value = moments.choice((None, moments.randbytes(30)))
        other.write(other.touch(number), value)
        if value is not None or number % 2 == 0:
            changed.add(number)  # taking nothing away changes nothing
    assert other.apply()
    assert mine.valid(*mine.span) == (not read & changed)


def test_another_worker_applies():
    store = store_of({0: b"zero"})
    owner, committer = AccessWorker(store), AccessWorker(store)
    for worker in (owner, committer):
        worker.begin_commit()
    owner.begin()
    owner.write(owner.touch(0), b"new" * 50)
    owner.write(owner.touch(1), b"one")
    assert committer.apply(owner)
    assert newest(store) == {0: b"new" * 50, 1: b"one"}
    assert owner.written().size == 0
    assert sorted((committer.written() & v.NUMBER).tolist()) == [0, 1]
    assert committer.words[access_set.REPLACED] == 1
    check_cells(store, owner, committer)


@pytest.mark.parametrize(
    ("room", "need"),
    [
        ({"dirty": 5}, access_set.NEEDS_DIRTY),
        ({"again": 5}, access_set.NEEDS_AGAIN),
        ({"stack": 400}, access_set.NEEDS_CELLS),
        ({}, access_set.NEEDS_CELLS),
    ],
)
def test_nothing_is_applied_where_something_is_full(room, need):
    """Transactions of three keys each, until one finds no room; without `room` it is cells that run out."""
    store = store_of({0: b"zero", 1: b"one"})
    worker = AccessWorker(store, **room)
    worker.begin_commit()
    for place in range(100):
        before = (chains(store), worker.written().tolist(), worker.again().tolist())
        worker.begin()
        first = 3 * place if need == access_set.NEEDS_DIRTY else 0
        for number in range(first, first + 3):
            worker.write(worker.touch(number), b"s" * (2_000 if need == access_set.NEEDS_CELLS else 20))
        if not worker.apply():
            break
        if not room:
            store._words[v.CELL_CAPACITY] = store._words[v.CELL_COUNT]
    assert 0 < place < 99
    assert worker.words[access_set.NEEDS] == need
    assert (chains(store), worker.written().tolist(), worker.again().tolist()) == before
    check_cells(store, worker)


def test_an_entry_more_than_there_is_room_for():
    store = store_of({})
    worker = AccessWorker(store, entries=30)
    for count in (10, 20):
        worker.begin()
        entries = [worker.touch(number) for number in range(count)]
    with pytest.raises(Full, match=str(access_set.NEEDS_ENTRIES)):
        worker.touch(40)
    assert worker.span == (10, 20)
    assert [worker.touch(number) for number in range(20)] == entries


def test_a_refused_value_leaves_the_entry_as_it_was():
    store = store_of({0: b"zero"})
    worker = AccessWorker(store, values=128)
    worker.begin()
    entry = worker.touch(0)
    worker.write(entry, b"w" * 60)
    for size in (129, 1000):
        with pytest.raises(Full):
            worker.write(entry, bytes(size))
        assert worker.value(entry) == b"w" * 60
    worker.write(entry, b"v" * 64)
    assert worker.value(entry) == b"v" * 64


def test_appended_entries_are_as_good_as_touched_ones_and_as_many_as_there_is_room_for():
    count = access_set.MOST_ENTRIES + 100
    store = store_of({3: b"three"}, count)
    worker = AccessWorker(store)
    worker.begin_commit()
    worker.begin()
    entries = [worker.append(number, reads=number == 3) for number in range(count)]
    assert len(set(entries)) == count == worker.span[1]
    assert worker.value(entries[3]) == b"three"
    worker.write(entries[3], b"four")
    worker.write(entries[-1], b"last")
    span = worker.span
    assert worker.valid(*span)
    other = AccessWorker(store)
    other.begin_commit()
    other.begin()
    other.write(other.touch(3), b"more")
    other.apply_growing()
    assert not worker.valid(*span)
    worker.apply_growing()
    assert newest(store) == {3: b"four", count - 1: b"last"}
    worker.words[access_set.ENTRY_CAPACITY] = count
    with pytest.raises(Full, match=str(access_set.NEEDS_ENTRIES)):
        worker.append(count)


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("there", [None, 0, 7, 2**256 - 1])
def test_what_is_added_is_added_to_the_newest_value(there, in_place):
    head = b"whatever"
    values = {} if there is None else {0: head + there.to_bytes(32)}
    store = store_of(values)
    workers = [AccessWorker(store, in_place=in_place) for _ in range(3)]
    spans = []
    for amount, worker in enumerate(workers, 1):
        worker.begin_commit()
        worker.begin()
        worker.add(worker.append(0), bytes(8) + (2**255 + amount).to_bytes(32))
        spans.append(worker.span)
    # None depends on it, and all count, whoever applies them.
    for worker, span in zip(workers, spans, strict=True):
        assert worker.valid(*span)
        workers[0].apply_growing(worker, span)
    total = ((there or 0) + 3 * 2**255 + 6) % 2**256
    assert newest(store) == {0: (bytes(8) if there is None else head) + total.to_bytes(32)}


def test_what_is_added_to_a_removed_value_is_added_to_zeros():
    store = store_of({0: b"whatever" + bytes(31) + b"\5"})
    worker = AccessWorker(store)
    worker.begin_commit()
    worker.begin()
    worker.write(worker.touch(0), None)
    worker.apply_growing()
    worker.forget_all()
    worker.begin()
    worker.add(worker.append(0), bytes(39) + b"\1")
    worker.apply_growing()
    assert newest(store) == {0: bytes(39) + b"\1"}
