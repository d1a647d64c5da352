# SPDX-License-Identifier: GPL-3.0-or-later
"""Sampling: how many items, how much time, and what is found."""

from __future__ import annotations

import numpy as np
import pytest
from fault_rows import line, rows_batch, rows_function

from supervm.engine.scheduler.recheck import Sampler
from supervm.engine.scheduler.settings import SchedulerSettings, Strategy
from supervm.kernels.errors import ArgumentError


def sampled(sampler, items, seconds, model):
    """How many items the CPU is asked for."""
    batch, asked = rows_batch(items), []
    batch.run(rows_function)

    def function(columns, offset, digests, verdicts):
        asked.append(len(columns))
        rows_function(columns, offset, digests, verdicts)

    assert sampler.mismatches(batch, function, seconds, model) == 0
    return sum(asked)


def test_the_share_is_kept_where_time_allows():
    assert sampled(Sampler(0.01), 5000, 10.0, line(0.0, 1e-6)) == 50
    assert sampled(Sampler(0.01), 5000, 10.0, None) == 50
    assert sampled(Sampler(0.25), 10, 10.0, None) == 3  # never fewer than the share


def test_at_least_one_item():
    assert sampled(Sampler(0.01), 5, 1e-9, line(0.0, 1.0)) == 1
    assert sampled(Sampler(0.0), 5000, 1e-9, line(0.0, 1.0)) == 1
    assert sampled(Sampler(0.01), 0, 1.0, None) == 0


def test_the_cap_is_a_share_of_the_time_on_the_device():
    """5 % of 10 ms are 500 µs, which is 49 items of 10 µs after 10 µs that every call costs."""
    assert sampled(Sampler(0.5), 5000, 10e-3, line(10e-6, 10e-6)) in (48, 49)
    assert sampled(Sampler(0.5, cap=0.1), 5000, 10e-3, line(10e-6, 10e-6)) in (98, 99)


def test_no_cap_at_1():
    assert sampled(Sampler(1.0), 5000, 1e-9, line(0.0, 1.0)) == 5000


def test_samples_are_drawn_anew_and_by_the_seed():
    def drawn(seed):
        sampler, rows = Sampler(0.02, seed=seed), []
        batch = rows_batch(500)
        batch.run(rows_function)
        batch.inputs[0][:, :2] = np.arange(500, dtype=np.uint16).view(np.uint8).reshape(500, 2)

        def function(columns, offset, digests, verdicts):
            rows.append(columns[:, :2].copy().view(np.uint16)[:, 0].tolist())

        for _ in range(3):
            sampler.mismatches(batch, function, 1.0, None)
        return rows

    one, again, other = drawn(1), drawn(1), drawn(None)
    assert one == again != other
    assert len({tuple(rows) for rows in one}) == 3
    assert all(len(rows) == 10 == len(set(rows)) for rows in one)


@pytest.mark.parametrize(
    "wrong",
    [
        {"recheck": -0.1},
        {"recheck": 1.1},
        {"recheck": float("nan")},
        {"recheck_cap": 0.0},
        {"deadline_factor": 0.0},
        {"deadline_floor": float("inf")},
        {"cooldown": 30.0, "most_cooldown": 1.0},
        {"smallest_piece": 0},
        {"default_threshold": 0},
        {"calibration_seconds": -1.0},
        {"strategy": "auto"},
    ],
)
def test_settings_say_what_is_wrong(wrong):
    (name, *_) = reversed(wrong)
    with pytest.raises(ArgumentError, match=name):
        SchedulerSettings(**wrong)


def test_strategies_have_their_names():
    assert [strategy.value for strategy in Strategy] == ["auto", "cpu-only", "gpu-only", "balance"]
