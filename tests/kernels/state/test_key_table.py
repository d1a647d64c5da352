# SPDX-License-Identifier: GPL-3.0-or-later
"""The key table against a dictionary: exact for every pair of strings, also where hashes collide and threads meet."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervm.crypto.messages import Messages
from supervm.kernels.cpu.lanes.addresses import LINE
from supervm.kernels.cpu.state import key_table
from supervm.kernels.keys import ARENA_SMALLEST, SMALLEST, KeyTable, aligned
from supervm.kernels.work import Ragged

EDGES = (0, 1, 7, 8, 9, 31, 32, 55, 56, 59, 60, 61, 63, 64, 65, 127, 128, 300)
"""Lengths around those of words, of a record's part and of a line."""


def ragged(strings: Sequence[bytes]) -> Ragged:
    return Messages.of(list(strings)).ragged


def intern(table: KeyTable, strings: Sequence[bytes]) -> list[int]:
    return table.intern(ragged(strings)).tolist()


def find(table: KeyTable, strings: Sequence[bytes]) -> list[int]:
    return table.find(ragged(strings)).tolist()


def held(table: KeyTable) -> list[bytes]:
    """Every string, in the order of the numbers."""
    strings = Messages(*table.strings(np.arange(len(table))))
    return [strings[number] for number in range(len(table))]


def rows(table: KeyTable, strings: Ragged, add: bool) -> tuple[int, np.ndarray]:
    """`intern_rows`, which grows nothing: where it stopped, and the numbers."""
    scratch = aligned(key_table.GROUP * (LINE + 8))
    count = len(strings.offsets) - 1
    out = np.full(count, -9, np.int64)
    arguments = (table.address, scratch.ctypes.data, strings.data, strings.offsets, 0, count, add, out)
    return int(key_table.intern_rows(*arguments)), out


def collide(table: KeyTable) -> None:
    """Take the secret away: strings of up to 8 bytes, and long ones with equal xors of words, get equal hashes."""
    assert len(table) == 0
    table._words[key_table.SEEDS :] = 0


strings = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda size, tail: b"k" * size + tail, st.sampled_from(EDGES), st.binary(max_size=2)),
    st.builds(lambda head, zeros: head + bytes(zeros), st.binary(max_size=2), st.sampled_from(EDGES)),
)


@settings(max_examples=150)
@given(st.lists(st.tuples(st.booleans(), st.lists(strings, max_size=40)), max_size=6), st.booleans())
def test_numbers_are_those_of_a_dictionary(steps, without_secret):
    table, model = KeyTable(), {}
    if without_secret:
        collide(table)
    for add, batch in steps:
        if add:
            assert intern(table, batch) == [model.setdefault(string, len(model)) for string in batch]
        else:
            assert find(table, batch) == [model.get(string, -1) for string in batch]
        assert len(table) == len(model)
    assert held(table) == list(model)


def test_zeros_at_the_end_are_part_of_a_string():
    """A record is padded with zeros; the length tells these strings apart, and prefixes of each other too."""
    family = [head + bytes(zeros) for head in (b"", b"a", b"k" * 50) for zeros in range(20)]
    family += [b"p" * size for size in range(1, 300)]
    table = KeyTable()
    assert intern(table, family) == list(range(len(family)))
    assert find(table, family) == list(range(len(family)))
    assert held(table) == family


def test_one_different_bit_makes_another_string():
    for size in EDGES[1:]:
        base = random.Random(size).randbytes(size)
        family = [base]
        for place in range(size):
            changed = bytearray(base)
            changed[place] ^= 1 << (place % 8)
            family.append(bytes(changed))
        table = KeyTable()
        assert intern(table, family) == list(range(size + 1))


def test_growth_keeps_every_number():
    moments = random.Random(1)
    wanted = list(dict.fromkeys(moments.randbytes(moments.choice(EDGES)) for _ in range(30_000)))
    table, place = KeyTable(), 0
    before = table.capacity
    while place < len(wanted):
        size = moments.choice((1, 2, 17, 900, 5_000))
        batch = wanted[place : place + size]
        assert intern(table, batch) == list(range(place, place + len(batch)))
        place += size
    assert table.capacity > 8 * before
    assert find(table, wanted) == list(range(len(wanted)))
    assert held(table) == wanted


def test_a_batch_larger_than_the_table_is_interned_at_once():
    batch = [number.to_bytes(4) * 20 for number in range(5 * SMALLEST)]
    table = KeyTable()
    assert intern(table, batch + batch) == 2 * list(range(5 * SMALLEST))


def test_strings_of_numbers_in_any_order():
    table = KeyTable()
    wanted = [b"short", b"l" * 200, b"", b"m" * 60, b"n" * 61]
    intern(table, wanted)
    order = np.array([4, 0, 3, 3, 1, 2])
    found = Messages(*table.strings(order))
    assert [found[place] for place in range(6)] == [wanted[number] for number in order]


def test_first_bytes():
    table = KeyTable()
    intern(table, [b"", b"\x00", b"\x05abc", b"\x07" * 60, b"\x01" * 61])
    assert table.first_bytes().tolist() == [255, 0, 5, 7, 255]


def test_colliding_hashes_do_not_mix_strings_up():
    table = KeyTable()
    collide(table)
    short = [number.to_bytes(4) for number in range(900)]
    words = [bytes([number]) * 8 for number in range(1, 9)]
    permuted = random.Random(2)
    long = list(dict.fromkeys(b"".join(permuted.sample(words, 8)) for _ in range(300)))
    assert intern(table, short + long) == list(range(1200))
    assert find(table, long[::-1]) == list(range(1199, 899, -1))
    assert find(table, [b"".join(words[:7]), bytes(5), b"\0" * 8, long[0][:-1]]) == [-1] * 4
    slots = table._slots[table._slots != 0] >> np.uint64(32)
    assert len(np.unique(slots)) == 2, "the hashes did not collide, so that the test tests nothing"


@pytest.mark.parametrize("size", [61, 62, 63, 65, 127, 299])
def test_colliding_strings_that_differ_in_their_tails(size):
    """The bytes behind the last whole word change: alone, which does not reach the part of the hash that is compared
    for the last four of them, and with a word so that the hash stays the same."""
    table = KeyTable()
    collide(table)
    base = random.Random(size).randbytes(size)
    family = [base]
    for place in range(size & ~7, size):
        changed = bytearray(base)
        behind = size - 1 - place  # that byte counts as many times 2^8, and so does byte `behind` of any word
        changed[place] ^= 0x55
        if behind < 4:
            family.append(bytes(changed))
        changed[8 * behind + behind] ^= 0x55
        family.append(bytes(changed))
    assert intern(table, family) == list(range(len(family)))
    tags = table._slots[table._slots != 0] >> np.uint64(32)
    assert len(np.unique(tags)) == 1, "the hashes did not collide, so that the test tests nothing"


def test_a_full_table_takes_nothing_and_loses_nothing():
    table = KeyTable()
    wanted = [number.to_bytes(3) for number in range(table.capacity)]
    intern(table, wanted)
    stopped, numbers = rows(table, ragged([wanted[5], b"new", wanted[6]]), add=True)
    assert (stopped, numbers[0]) == (1, 5)
    assert len(table) == table.capacity == len(wanted)
    assert find(table, [b"new", *wanted]) == [-1, *range(len(wanted))]
    assert intern(table, [b"new"]) == [len(wanted)]
    assert held(table) == [*wanted, b"new"]


@pytest.mark.parametrize("size", [61, 64, 100])
def test_a_full_arena_takes_nothing_and_loses_nothing(size):
    table, stored = KeyTable(), []
    while True:
        string = len(stored).to_bytes(4) + b"l" * (size - 4)
        if rows(table, ragged([string]), add=True)[0] == 0:
            break
        stored.append(string)
    used = int(table._words[key_table.ARENA_USED])
    assert used + size > int(table._words[key_table.ARENA_SIZE])
    assert len(table) == len(stored) < table.capacity
    # The record that the refused string had begun belongs to the next one.
    assert rows(table, ragged([b"short"]), add=True)[1].tolist() == [len(stored)]
    assert find(table, [string, b"short", *stored]) == [-1, len(stored), *range(len(stored))]
    assert intern(table, [string]) == [len(stored) + 1]
    assert held(table) == [*stored, b"short", string]


def race(wanted: list[bytes], seed: int) -> list[np.ndarray]:
    """Two threads add the same strings and a third looks them up; what it found, by number of string.

    With an even seed the two go in the same order, so that they want the same slots; else each has an order of its own.
    """
    count = len(wanted)
    table = KeyTable(count)
    table.reserve(count, sum(map(len, wanted)) + 8 * count)
    orders = [np.random.default_rng([seed, thread]).permutation(count) for thread in range(3)]
    orders[1] = orders[seed % 2]
    batches = [ragged([wanted[place] for place in order]) for order in orders]
    results: dict[int, np.ndarray] = {}
    seen: list[np.ndarray] = []
    start = threading.Barrier(3)

    def add(number: int) -> None:
        start.wait()
        stopped, results[number] = rows(table, batches[number], add=True)
        assert stopped == count

    def look() -> None:
        start.wait()
        while len(results) < 2:
            seen.append(rows(table, batches[2], add=False)[1])

    threads = [threading.Thread(target=add, args=(number,)) for number in range(2)]
    threads.append(threading.Thread(target=look))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(table) == count
    numbers = np.empty(count, np.int64)
    numbers[orders[0]] = results[0]
    assert np.array_equal(numbers[orders[1]], results[1])
    assert np.array_equal(np.sort(numbers), np.arange(count))
    strings = Messages(*table.strings(numbers))
    assert all(strings[place] == wanted[place] for place in range(count))
    for found in seen:
        assert ((found == -1) | (found == numbers[orders[2]])).all()
    return seen


def test_threads_agree_on_numbers():
    """What a reader finds while others add is the truth; races are run until it has come in the middle of a few."""
    wanted = [b"%d " % number * (1 + number % 12) for number in range(20_000)]
    met = 0
    for seed in range(90):
        met += any((found >= 0).any() and (found == -1).any() for found in race(wanted, seed))
        if met >= 3 and seed >= 30:
            return
    raise AssertionError(f"the reader met the writers {met} times in 90 races")


@pytest.mark.parametrize("length", range(ARENA_SMALLEST - 12, ARENA_SMALLEST + 13))
def test_a_long_string_at_the_end_of_the_arena(length: int):
    """Whatever is left of the last word, the table goes on to grow."""
    table, strings = KeyTable(), [bytes([n]) * length for n in range(4)]
    for number, string in enumerate(strings):
        assert table.intern(ragged([string])).tolist() == [number]
    assert table.find(ragged(strings)).tolist() == [0, 1, 2, 3]
