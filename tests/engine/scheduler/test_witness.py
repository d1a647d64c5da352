# SPDX-License-Identifier: GPL-3.0-or-later
"""Who computed a batch, as the thread that asked for it is told: also where it was cut, failed, or was thrown away."""

from __future__ import annotations

import threading

import pytest
from fault_device import Faults, lend
from fault_rows import OPERATION, right, rows_batch

from supervm.engine.scheduler import Strategy
from supervm.kernels import registry
from supervm.kernels.backend_trace import computed, witness
from supervm.kernels.errors import DeviceError


def seen_by(items: int, backend: str = "auto") -> str:
    """The backend of one batch, whose results are right whoever computed them."""
    batch = rows_batch(items)
    with witness() as seen:
        registry.run(batch, backend)
    assert right(batch)
    return seen.backend(OPERATION)


def test_without_a_scheduler_it_is_the_one_that_was_found():
    assert seen_by(5) == seen_by(5, "scalar") == "scalar"
    with witness() as seen:
        pass
    assert seen.backend(OPERATION) == "none"


def test_with_one_executor(make):
    with make():
        assert seen_by(5) == "scalar"
        assert seen_by(0) == "none"


def test_the_scheduler_tells_where_it_went(make, device):
    lend(OPERATION, 2)
    with make(device, cpu=(0.0, 1e-3), device=(0.1, 1e-6)):
        assert seen_by(10) == "scalar"
        assert seen_by(300) == "cuda"
    assert device.calls == [300]


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        (Faults(wrong_items=1), "scalar"),
        (Faults(launch=DeviceError("x", "injected")), "scalar"),
        (Faults(lost_in_the_middle=True), "scalar"),
        (Faults(memory_items=20), "cuda"),
    ],
    ids=["wrong", "failed", "lost", "halved"],
)
def test_only_what_was_kept_counts(make, device, faults, expected):
    lend(OPERATION, 2)
    device.faults = faults
    with make(device):
        assert seen_by(40) == expected
    assert device.calls


def test_a_batch_that_was_cut_names_both(make, device):
    lend(OPERATION, 2)
    with make(device, strategy=Strategy.BALANCE, cpu=(0.0, 1e-6), device=(0.0, 1e-6)):
        assert seen_by(1000) == "cuda+scalar"


def test_threads_and_blocks_see_their_own():
    with witness() as outer:
        computed("a", "scalar")
        with witness() as inner:
            computed("b", "ifma")
        thread = threading.Thread(target=computed, args=("c", "cuda"))
        thread.start()
        thread.join()
        computed("a", "cuda")
    computed("a", "ifma")
    assert [outer.backend(name) for name in "abc"] == ["cuda+scalar", "none", "none"]
    assert inner.backend("b") == "ifma"
