# SPDX-License-Identifier: GPL-3.0-or-later
"""The cost model against straight lines and brute force; how far one batch can move it; how a batch is cut by it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from fault_rows import line
from hypothesis import given, settings
from hypothesis import strategies as st

from supervm.engine.scheduler.cost import (
    MOST_ITEMS,
    NOTABLE,
    CostModel,
    cheaper_stretch,
    cheapest,
    crossover,
    shares,
)

quick = settings(max_examples=60)

seconds = st.floats(1e-7, 1e-1)


@st.composite
def models(draw):
    sizes = sorted(draw(st.sets(st.integers(1, 5000), min_size=1, max_size=8)))
    times = draw(st.lists(seconds, min_size=len(sizes), max_size=len(sizes)))
    return CostModel(sizes, times)


def test_points_are_met_and_lines_lie_between_and_beyond():
    model = CostModel((1, 8, 64), (10e-6, 10e-6, 66e-6), bytes_per_item=100)
    assert model.estimate(1, 100) == model.estimate(8, 800) == pytest.approx(10e-6)
    assert model.estimate(36, 3600) == pytest.approx(38e-6)
    assert model.estimate(64 + 1000, 0) == pytest.approx(1066e-6)
    assert CostModel((4,), (8e-6,)).estimate(40, 0) == pytest.approx(80e-6)


def test_bytes_beyond_the_usual_cost_extra():
    model = CostModel((1, 100), (1e-6, 100e-6), bytes_per_item=64, per_byte=1e-9)
    assert model.estimate(100, 6400) == pytest.approx(100e-6)
    assert model.estimate(100, 106_400) == pytest.approx(200e-6)
    assert 10e-6 <= model.estimate(100, 0) < 100e-6


@quick
@given(models(), st.integers(0, 20_000), st.integers(0, 20_000))
def test_more_items_never_take_less_time(model, one, other):
    low, high = sorted((one, other))
    assert model.estimate(low, 0) <= model.estimate(high, 0)


@quick
@given(models(), st.floats(1e-8, 1.0))
def test_items_within_is_the_inverse(model, time):
    items = model.items_within(time)
    if items:
        assert model.estimate(items, 0) <= time * (1 + 1e-6) or items == model.sizes[0]
    if items < MOST_ITEMS:
        assert model.estimate(items + 2, 0) >= time * (1 - 1e-6)


@quick
@given(models(), models())
def test_crossover_is_the_first_cheaper_size(one, other):
    found = crossover(one, other)
    limit = 6000
    cheaper = np.array([other.estimate(n, 0) < one.estimate(n, 0) for n in range(1, limit)])
    first = int(cheaper.argmax()) + 1 if cheaper.any() else None
    if first is not None:
        assert found == first or abs(one.estimate(found, 0) / other.estimate(found, 0) - 1) < 1e-9
    else:
        assert found is None or found >= limit


def test_a_stretch_may_end():
    quick_start = CostModel((1, 100), (1e-6, 1e-3))
    assert cheaper_stretch(line(50e-6, 1e-7), quick_start) == (
        1,
        5,
    )  # 1e-6 + 10.09e-6·(n − 1) < 50e-6 + 1e-7·n
    assert cheaper_stretch(line(0.0, 10e-6), line(1e-3, 1e-6)) == (112, None)
    assert cheaper_stretch(line(0.0, 1e-6), line(1e-3, 2e-6)) is None


def test_crossover_of_lines():
    assert crossover(line(0.0, 10e-6), line(1e-3, 1e-6)) == 112  # the first above 1e-3 / 9e-6 = 111.1
    assert crossover(line(0.0, 1e-6), line(1e-3, 2e-6)) is None
    assert crossover(line(1e-3, 1e-6), line(0.0, 1e-6)) == 1


def test_the_line_is_recovered():
    fitted = line(2e-4, 3e-6).line()
    assert (fitted.fixed, fitted.per_item) == (pytest.approx(2e-4), pytest.approx(3e-6))
    only = CostModel((10,), (1e-3,)).line()
    assert (only.fixed, only.per_item) == (0.0, pytest.approx(1e-4))
    bent = CostModel((1, 10, 100), (1e-6, 1e-5, 2e-3)).line()
    assert bent.fixed == 0.0
    assert bent.per_item > 0


def test_later_batches_are_learnt():
    model = line(0.0, 1e-6)
    for _ in range(60):
        model.observe(2000, 0, 6e-3)
    assert model.estimate(2000, 0) == pytest.approx(6e-3, rel=0.1)
    assert model.measured(2000, 0) == pytest.approx(2e-3)
    for _ in range(80):
        model.observe(2000, 0, 1e-3)
    assert model.estimate(2000, 0) == pytest.approx(1e-3, rel=0.1)


def test_a_level_stretch_sinks_as_a_whole():
    model = CostModel((1, 100, 1000, 10_000), (3e-4, 3e-4, 3e-4, 9e-4))
    for _ in range(60):
        model.observe(1000, 0, 2e-4)
    assert model.seconds == pytest.approx((2e-4, 2e-4, 2e-4, 9e-4), rel=0.1)


@quick
@given(models(), st.integers(1, 10_000), st.floats(1e-9, 3600.0))
def test_one_outlier_moves_little(model, items, time):
    before = [model.estimate(n, 0) for n in model.sizes]
    known = model.sizes
    model.observe(items, 0, time)
    for n, old in zip(known, before, strict=True):
        # A point moves by a tenth at most, and draws along those that would be out of order.
        assert 0.9 * min(before) <= model.estimate(n, 0) <= 1.1 * max(before)
        if time > old and n > items:
            assert model.estimate(n, 0) >= 0.999 * old
    assert list(model.seconds) == sorted(model.seconds)


def test_an_outlier_flips_no_decision_that_is_clear():
    cpu, device = line(0.0, 10e-6), line(1e-3, 1e-6)
    device.observe(4000, 0, 60.0)
    cpu.observe(50, 0, 60.0)
    assert device.estimate(4000, 0) < cpu.estimate(4000, 0)
    assert cpu.estimate(50, 0) < device.estimate(50, 0)


def test_larger_batches_than_ever_become_points():
    model = line(1e-3, 1e-6)
    for _ in range(30):
        model.observe(100_000, 0, 0.3)
    assert model.sizes[-1] == 100_000
    assert model.estimate(100_000, 0) == pytest.approx(0.3, rel=0.1)
    assert model.estimate(1000, 0) == pytest.approx(2e-3, rel=0.1)


def test_long_messages_correct_the_time_of_a_byte():
    model = CostModel((1, 100), (1e-6, 100e-6), bytes_per_item=64, per_byte=1e-9)
    for _ in range(60):
        model.observe(100, 10**7, 0.03)
    assert model.per_byte == pytest.approx(3e-9, rel=0.1)
    assert model.estimate(100, 6400) == pytest.approx(100e-6)


@pytest.mark.parametrize(
    ("sizes", "times"),
    [((), ()), ((0, 1), (1, 1)), ((2, 1), (1, 1)), ((1,), (0,)), ((1,), (float("nan"),)), ((1,), (1, 2))],
)
def test_impossible_figures_are_refused(sizes, times):
    with pytest.raises(ValueError, match=r"size|time"):
        CostModel(sizes, times)


# How a batch is cut


@quick
@given(st.lists(models(), min_size=1, max_size=4), st.integers(0, 100_000))
def test_shares_are_whole_and_sum_up(lanes, items):
    cut = shares(items, 0, lanes)
    assert sum(cut) == items
    assert all(part >= 0 for part in cut)


@quick
@given(
    st.lists(st.tuples(st.floats(0, 1e-2), st.floats(1e-7, 1e-4)), min_size=2, max_size=4),
    st.integers(2000, 200_000),
)
def test_shares_end_together(figures, items):
    """No other cut is done notably sooner: the slowest part takes no longer than the best of a thousand cuts."""
    lanes = [line(*pair) for pair in figures]
    cut = shares(items, 0, lanes)
    took = max(model.estimate(part, 0) for model, part in zip(lanes, cut, strict=True) if part)
    # By the closed form for lines: drop the lanes whose fixed cost is never worth it.
    best = min(
        (items + sum(fixed / slope for fixed, slope in some)) / sum(1 / slope for _, slope in some)
        for count in range(1, len(figures) + 1)
        for some in itertools.combinations(figures, count)
        if all(
            (items + sum(fixed / slope for fixed, slope in some)) / sum(1 / slope for _, slope in some)
            >= fixed
            for fixed, _ in some
        )
    )
    assert took <= best * 1.02 + 2e-4


def test_a_small_batch_is_not_cut():
    assert shares(50, 0, [line(0.0, 1e-6), line(1e-3, 1e-8)]) == [50, 0]


def test_equal_executors_get_equal_parts():
    cut = shares(9000, 0, [line(1e-4, 1e-6)] * 3)
    assert max(cut) - min(cut) <= 3


def test_the_cheapest_by_number_of_items():
    """One at a time against eight for the price of three: the change is where the lines cross."""
    single = CostModel((1, 2, 4, 8), (10e-6, 20e-6, 40e-6, 80e-6))
    lanes = CostModel((1, 8, 9, 16), (30e-6, 30e-6, 60e-6, 60e-6))
    assert cheapest({"lanes": lanes, "single": single}) == ((1, "single"), (4, "lanes"))
    assert cheapest({"lanes": lanes}) == ((1, "lanes"),)
    assert cheapest({"single": single, "lanes": lanes}) == ((1, "single"), (4, "lanes"))
    slower = CostModel((1, 2, 4, 8), (10.1e-6, 20.2e-6, 40.4e-6, 80.8e-6))
    assert cheapest({"slower": slower, "single": single}) == ((1, "slower"),), "not worth a change"


@quick
@given(st.lists(models(), min_size=1, max_size=4))
def test_the_cheapest_is_never_much_dearer(candidates):
    named = {f"model {index}": model for index, model in enumerate(candidates)}
    stretches = cheapest(named)
    assert stretches[0][0] == 1
    assert all(a[0] < b[0] and a[1] != b[1] for a, b in itertools.pairwise(stretches))
    for items in range(1, 64):
        name = [name for start, name in stretches if start <= items][-1]
        best = min(model.measured(items, 0) for model in candidates)
        assert named[name].measured(items, 0) <= best / (1 - NOTABLE) * (1 + 1e-9)
