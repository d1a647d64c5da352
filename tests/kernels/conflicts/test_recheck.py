# SPDX-License-Identifier: GPL-3.0-or-later
"""`check_rows`, which samples waves that a device has found, against the text of the rules."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from conflict_blocks import Sets, drawn, of_sets

from supervm.kernels.cpu.conflicts.detect import detect_conflicts
from supervm.kernels.cpu.conflicts.recheck import check_rows

RULES = pytest.mark.parametrize("locking", [False, True], ids=["versioned", "locking"])
KINDS = pytest.mark.parametrize("as_rows", [False, True], ids=["ids", "rows"])


def needed(reads: Sets, writes: Sets, wave: Sequence[int], i: int, locking: bool) -> int:
    """The wave of transaction i from those of its predecessors, as the rules name them."""

    def last_writer(key: int) -> list[int]:
        return [j for j in range(i) if key in writes[j]][-1:]

    found = {writer for key in reads[i] for writer in last_writer(key)}
    for key in writes[i] if locking else ():
        writer = last_writer(key)
        found.update(writer)
        found.update(j for j in range(max(writer, default=-1) + 1, i) if key in reads[j])
    return 1 + max((wave[j] for j in found), default=-1)


@KINDS
@RULES
def test_sampled_rows_are_checked_against_their_predecessors(locking: bool, as_rows: bool) -> None:
    """Right waves, wrong waves and nonsense; samples of every size; repeated keys and rows."""
    random = np.random.default_rng(6)
    for trial in range(150):
        n, keys, most = (int(random.integers(1, top)) for top in (40, 12, 6))
        reads, writes = (
            [random.integers(0, keys, random.integers(0, most)).tolist() for _ in range(n)] for _ in range(2)
        )
        given = of_sets(reads, writes, as_rows)
        wave = detect_conflicts(given, locking, False).wave
        assert check_rows(given, locking, np.arange(n), wave) == 0
        if trial % 3:
            wave[random.integers(0, n, trial % 3)] += 1
        else:
            low, high = ((-(2**31), 2**31), (-2, 4))[trial % 2]
            wave = random.integers(low, high, n).astype(np.int32)
        rows = np.sort(random.integers(0, n, random.integers(0, n + 1)))
        wrong = sum(int(wave[i]) != needed(reads, writes, wave.tolist(), i, locking) for i in rows.tolist())
        assert check_rows(given, locking, rows, wave) == wrong


@KINDS
@RULES
def test_planted_waves_are_found_in_a_large_block(locking: bool, as_rows: bool) -> None:
    given = drawn(20_000, 30_000, 1, as_rows)
    wave = detect_conflicts(given, locking, False).wave
    random = np.random.default_rng(2)
    rows = np.sort(random.choice(20_000, 500, replace=False))
    assert check_rows(given, locking, rows, wave) == 0
    wrong = wave.copy()
    wrong[rows[100]] += 1
    assert check_rows(given, locking, rows[100:101], wrong) == 1
    assert check_rows(given, locking, rows, wrong) >= 1
    everything = np.arange(20_000)
    assert check_rows(given, locking, everything, wave) == 0
    wrong[:] = 0
    assert check_rows(given, locking, everything, wrong) == np.count_nonzero(wave)
