# SPDX-License-Identifier: GPL-3.0-or-later
"""The detector's kernels under secrets that make keys collide, and what a secret must not change."""

from __future__ import annotations

import dataclasses
import tracemalloc

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray

from supervm.kernels.accesses import Accesses, Detected
from supervm.kernels.cpu.conflicts import detect as conflicts
from supervm.kernels.cpu.conflicts import links, partition, waves
from supervm.kernels.cpu.conflicts.detect import detect_conflicts

NO_SPREAD = partition.mixer(0, 1, 1, [0, 0, 0, 0])
"""Small ids keep their place at the low end: one partition, one bucket. Rows of words a, 0, b, 0 share a digest."""

SECRETS = [NO_SPREAD, partition.mixer(2**64 - 1, 2**63 + 1, 2**33 - 1, [1, 2, 3, 4])]


def accesses(n: int, keys: int, seed: int, as_rows: bool) -> Accesses:
    """Up to four reads and four writes for each of `n` transactions, out of so many keys."""
    random = np.random.default_rng(seed)
    offsets = [np.concatenate(([0], np.cumsum(random.integers(0, 5, n)))) for _ in range(2)]
    ids = [random.integers(0, keys, bounds[-1], dtype=np.uint64) for bounds in offsets]
    if as_rows:
        columns = [np.zeros((len(column), 4), np.uint64) for column in ids]
        for column, row in zip(ids, columns, strict=True):
            row[:, 0], row[:, 2] = column // np.uint64(7), column % np.uint64(7)
        ids = columns
    for column in (*offsets, *ids):
        column.flags.writeable = False
    return Accesses(offsets[0], ids[0], offsets[1], ids[1])


def same(one: Detected, other: Detected) -> bool:
    pairs = zip(dataclasses.astuple(one), dataclasses.astuple(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("as_rows", [False, True])
@pytest.mark.parametrize("locking", [False, True])
def test_colliding_keys_give_the_same_answer(locking: bool, as_rows: bool) -> None:
    """Hundreds of keys in one bucket's run: growth, overflowing buckets, equal digests of different rows."""
    for n, keys in ((1, 2), (20, 9), (400, 60), (400, 3000)):
        given = accesses(n, keys, n + keys, as_rows)
        expected = detect_conflicts(given, locking, True, partition.random_mixer())
        for words in SECRETS:
            assert same(detect_conflicts(given, locking, True, words), expected)


def test_the_secret_is_drawn_anew() -> None:
    assert not np.array_equal(partition.random_mixer(), partition.random_mixer())


@njit
def _there_and_back(keys: NDArray[np.uint64], words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    back = np.empty_like(keys)
    for j in range(keys.size):
        mixed = partition.mix(keys[j], words[0], words[1], words[2])
        back[j] = partition.unmix(mixed, words[0], words[3], words[4])
    return back


def test_mixing_is_one_to_one() -> None:
    keys = np.random.default_rng(1).integers(0, 2**64, 1000, dtype=np.uint64)
    keys[:3] = 0, 1, 2**64 - 1
    for words in (*SECRETS, partition.random_mixer()):
        assert np.array_equal(_there_and_back(keys, words), keys)


def test_structured_keys_spread_over_the_partitions() -> None:
    """Runs, strides and grids, which attack plain multiplication: no partition gets twice its share."""
    j = np.arange(1 << 16, dtype=np.uint64)
    grid = (j & np.uint64(255)) | ((j >> np.uint64(8)) << np.uint64(40))
    for keys in (j, j << np.uint64(32), j << np.uint64(47), j * np.uint64(0x9E3779B97F4A7C15), grid):
        keys.flags.writeable = False
        for _ in range(5):
            counts = np.zeros(64, np.int64)
            words = partition.random_mixer()
            partition.count_records(keys, 0, keys.size, words, 6, counts)
            assert counts.sum() == keys.size
            assert counts.max() < 2 * keys.size / 64


@pytest.mark.parametrize(
    ("locking", "as_rows", "per_access"), [(False, False, 12), (True, False, 16), (False, True, 52)]
)
def test_memory_is_as_documented(locking: bool, as_rows: bool, per_access: int) -> None:
    """What is allocated outside the kernels, which is all but the tables."""
    given = accesses(100_000, 50_000, 5, as_rows)
    detect_conflicts(given, locking, False)
    total = given.read_keys.shape[0] + given.write_keys.shape[0]
    tracemalloc.start()
    detect_conflicts(given, locking, False)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    lines_and_partition = 400_000
    assert peak < per_access * total + 8 * 100_000 + lines_and_partition


def test_segments_start_at_lines() -> None:
    counts = np.array([[0, 1], [16, 17]])
    starts, size = conflicts._segments(counts)
    assert starts.tolist() == [[0, 0], [16, 32]]
    assert size == 64


def test_one_compilation_serves_every_kind_of_input() -> None:
    """Both kinds of keys, both rules, writable or not: a kernel that is compiled again costs seconds."""
    for as_rows in (False, True):
        for locking in (False, True):
            detect_conflicts(accesses(5, 3, 1, as_rows), locking, True)
    for kernel in (
        partition.scatter,
        partition.count_records,
        links.link_partitions,
        waves.versioned_waves,
        waves.place_edges,
    ):
        assert len(kernel.signatures) == 1, kernel
