# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks of read and write sets, as `detect_conflicts` takes them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.kernels.accesses import Accesses, Detected

Sets = Sequence[Sequence[int]]
"""The keys of each transaction."""


def rows_of(ids: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Rows whose order is not that of their words as numbers, as many different as there are ids."""
    rows = np.zeros((len(ids), 4), np.uint64)
    rows[:, 0], rows[:, 2] = ids // np.uint64(7), ids % np.uint64(7)
    return rows


def block(
    counts: tuple[NDArray[Any], NDArray[Any]], keys: tuple[NDArray[Any], NDArray[Any]], as_rows: bool = False
) -> Accesses:
    """Reads and writes per transaction and their keys, frozen as the callers of `detect_conflicts` freeze them."""
    offsets = [np.concatenate(([0], np.cumsum(column))).astype(np.int64) for column in counts]
    ids = [np.ascontiguousarray(column, dtype=np.uint64) for column in keys]
    columns = [rows_of(column) if as_rows else column for column in ids]
    for array in (*offsets, *columns):
        array.flags.writeable = False
    return Accesses(offsets[0], columns[0], offsets[1], columns[1])


def of_sets(reads: Sets, writes: Sets, as_rows: bool = False) -> Accesses:
    counts = [np.array([len(keys) for keys in side], np.int64) for side in (reads, writes)]
    keys = [np.array([key for keys in side for key in keys], np.uint64) for side in (reads, writes)]
    return block((counts[0], counts[1]), (keys[0], keys[1]), as_rows)


def drawn(n: int, keys: int, seed: int, as_rows: bool = False, most: int = 4) -> Accesses:
    """Up to `most` reads and writes for each of n transactions, out of so many keys."""
    random = np.random.default_rng(seed)
    counts = random.integers(0, most + 1, n), random.integers(0, most + 1, n)
    ids = [random.integers(0, keys, column.sum(), dtype=np.uint64) for column in counts]
    return block(counts, (ids[0], ids[1]), as_rows)


def assert_same(found: Detected, expected: Detected) -> None:
    for field in dataclasses.fields(Detected):
        one, other = (np.asarray(getattr(result, field.name)) for result in (found, expected))
        assert one.dtype == other.dtype, field.name
        assert np.array_equal(one, other), field.name


def chain(n: int) -> Accesses:
    """Transaction i reads what the one before it has written."""
    ones = np.ones(n, np.int64)
    return block((ones, ones), (np.arange(n), np.arange(1, n + 1)))
