# SPDX-License-Identifier: GPL-3.0-or-later
"""Sampled checks of a detection: a right one passes, a wrong one is found as often as its wrong rows are drawn."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from supervm.engine.conflicts import Detection
from supervm.kernels.accesses import Accesses
from supervm.kernels.cpu.conflicts.detect import detect_conflicts

TRANSACTIONS = 400


def detection(locking, edges, seed=1):
    """A computed detection over a block of many conflicts."""
    random = np.random.default_rng(seed)
    offsets = [np.append(0, np.cumsum(random.integers(0, 4, TRANSACTIONS))) for _ in range(2)]
    keys = [random.integers(0, 60, int(each[-1])).astype(np.uint64) for each in offsets]
    for array in (*offsets, *keys):
        array.flags.writeable = False
    one = Detection(Accesses(offsets[0], keys[0], offsets[1], keys[1]), locking, edges)
    one.run(detect_conflicts)
    return one


def changed(one, **fields):
    other = one.twin()
    other.result = dataclasses.replace(one.result, **fields)
    return other


@pytest.mark.parametrize("locking", [False, True])
@pytest.mark.parametrize("edges", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 1.0])
def test_a_right_result_passes(locking, edges, share):
    for seed in range(5):
        one = detection(locking, edges, seed)
        assert one.mismatches(detect_conflicts, share, np.random.default_rng(seed)) == 0


@pytest.mark.parametrize("locking", [False, True])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.9])
def test_wrong_waves_are_found_at_least_as_often_as_they_are_drawn(locking, share):
    """One wave is raised where nobody depends on it. A share of all checks compares the whole result, besides."""
    one = detection(locking, False)
    wave = one.result.wave.copy()
    wrong = np.flatnonzero(wave < wave.max() - 1)[-1:]
    wave[wrong] += 1
    other = changed(one, wave=wave)
    random, tries = np.random.default_rng(3), 600
    found = sum(other.mismatches(detect_conflicts, share, random) > 0 for _ in range(tries))
    spread = 4 * np.sqrt(share * (1 - share) / tries)
    rate = 1 - (1 - share) ** 2  # its row is drawn, or the whole is compared
    assert share - spread < found / tries < rate + spread + 1 / TRANSACTIONS


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_any_other_wrong_part_is_found_at_that_rate(share):
    one = detection(True, True)
    result, random, tries = one.result, np.random.default_rng(5), 400
    dropped = np.delete(result.edges, -1)
    fewer = np.minimum(result.edge_offsets, dropped.size)
    for fields in ({"hot_counts": result.hot_counts + 1}, {"edges": dropped, "edge_offsets": fewer}):
        other = changed(one, **fields)
        found = sum(other.mismatches(detect_conflicts, share, random) > 0 for _ in range(tries))
        assert found / tries > share - 4 * np.sqrt(share * (1 - share) / tries)
    wrong_count = changed(one, wave_count=result.wave_count + 1)
    assert wrong_count.mismatches(detect_conflicts, 0.0, random)


def test_a_full_check_compares_every_array():
    one = detection(True, True)
    result = one.result
    for fields in (
        {"wave": np.roll(result.wave, 1)},
        {"wave_count": result.wave_count + 1},
        {"edges": result.edges[::-1].copy()},
        {"edge_offsets": result.edge_offsets + 1},
        {"hot_keys": result.hot_keys + np.uint64(1)},
        {"hot_counts": result.hot_counts + 1},
    ):
        assert changed(one, **fields).mismatches(detect_conflicts, 1.0, np.random.default_rng(1))


def test_broken_edges_and_shapes_are_mismatches_not_crashes():
    one = detection(True, True)
    result, random = one.result, np.random.default_rng(1)
    few = np.zeros(3, np.int32)
    for fields in (
        {"wave": result.wave[:-1]},
        {"edge_offsets": result.edge_offsets[:-1]},
        {"edge_offsets": np.zeros_like(result.edge_offsets)},
        {"edge_offsets": result.edge_offsets[::-1].copy()},
        {"edges": few},
        {"edges": result.edges + 10_000},
        {"edges": np.full_like(result.edges, -1)},
        {"edges": np.zeros_like(result.edges)},
    ):
        assert changed(one, **fields).mismatches(detect_conflicts, 0.5, random), fields


def test_an_empty_block_has_nothing_to_check():
    none, keys = np.zeros(1, np.int64), np.zeros(0, np.uint64)
    none.flags.writeable = keys.flags.writeable = False
    one = Detection(Accesses(none, keys, none, keys), False, False)
    one.run(detect_conflicts)
    assert one.mismatches(detect_conflicts, 0.5, np.random.default_rng(1)) == 0
