# SPDX-License-Identifier: GPL-3.0-or-later
"""The choice of a tier, on hardware that is made up."""

from __future__ import annotations

import pytest

from supervm.kernels.errors import ArgumentError
from supervm.tiers import TIERS, Gpu, Hardware, choose
from supervm.tiers.tier import reason_for, tier_named

GB = 10**9
GPU = (Gpu("H100", 80 * GB, "9.0"),)


@pytest.mark.parametrize(
    ("hardware", "expected"),
    [
        (Hardware(cores=1, memory=1 * GB), "L4"),
        (Hardware(cores=2, memory=1024 * GB), "L4"),
        (Hardware(cores=64, memory=4 * GB), "L4"),
        (Hardware(cores=4, memory=8 * GB), "L3"),
        (Hardware(cores=16, memory=63 * GB), "L3"),
        (Hardware(cores=15, memory=64 * GB), "L3"),
        (Hardware(cores=16, memory=64 * GB), "L2"),
        (Hardware(cores=128, memory=1024 * GB), "L2"),
        (Hardware(cores=64, memory=511 * GB, gpus=GPU), "L2"),
        (Hardware(cores=63, memory=512 * GB, gpus=GPU), "L2"),
        (Hardware(cores=64, memory=512 * GB, gpus=GPU), "L1"),
        (Hardware(cores=4, memory=8 * GB, gpus=GPU), "L3"),
    ],
)
def test_highest_tier_whose_minimum_is_met(hardware: Hardware, expected: str) -> None:
    assert choose(hardware).name == expected


def test_eight_gibibytes_less_what_the_system_keeps_are_eight_gigabytes() -> None:
    assert choose(Hardware(cores=4, memory=int(7.6 * 2**30))).name == "L3"


def test_the_reason_names_what_is_missing() -> None:
    small = Hardware(cores=2, memory=4 * GB)
    assert reason_for(choose(small), small) == "L3 wants 4 cores (found 2) and 8 GB of memory (found 4.0 GB)"
    large = Hardware(cores=64, memory=512 * GB, gpu_reason="no NVIDIA driver")
    assert reason_for(choose(large), large) == "L1 wants a GPU (no NVIDIA driver)"
    largest = Hardware(cores=64, memory=512 * GB, gpus=GPU)
    assert reason_for(choose(largest), largest) == "meets every requirement"


def test_tiers_are_named_in_either_case() -> None:
    assert [tier_named(name).name for name in ("l1", "L2", " L3 ", "l4")] == [tier.name for tier in TIERS]
    with pytest.raises(ArgumentError, match="'L5', expected one of L1, L2, L3, L4"):
        tier_named("L5")
