# SPDX-License-Identifier: GPL-3.0-or-later
"""A caller's rounding mode changes no answer, and is there again afterwards."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from lanes_here import HERE
from patience import PATIENCE

from supervm.crypto import ntt, selftest
from supervm.kernels import rounding, threads
from supervm.kernels.cpu.lanes.lanes import FMA

DOUBLES = [name for name, lanes in HERE.items() if lanes.multiplier == FMA][-1:]
OPERATIONS = ["ed25519.verify", "secp256k1.ecdsa_recover", "bn254.ntt"]


@pytest.fixture(params=range(4))
def mode(request):
    """Each mode of the processor, which the caller leaves."""
    before = rounding.set_mode(request.param)
    yield request.param
    rounding.set_mode(before)


def rounds_like(mode: int) -> bool:
    """Whether this thread's doubles are rounded in a mode: what is a little above and below 1 tells the four apart."""
    tiny = np.float64(2.0**-80)
    up, down = np.float64(1.0) + tiny > 1.0, np.float64(1.0) - tiny < 1.0
    minus = np.float64(-1.0) - tiny < -1.0
    return bool((up, down, minus) == [(0, 0, 0), (0, 1, 1), (1, 0, 0), (0, 1, 0)][mode])


@pytest.mark.parametrize("backend", DOUBLES)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_known_answers(mode, operation, backend):
    outcome = selftest.known_answers(operation, backend)
    assert outcome.ok, outcome.detail
    assert rounds_like(mode)


def test_threads_of_the_pool_round_to_nearest(mode):
    """They are started by a caller in another mode, whose mode they inherit."""
    threads.set_threads(3)
    try:
        seen = {}
        meeting = threading.Barrier(3)

        def work(start: int, stop: int) -> None:
            meeting.wait(PATIENCE)
            seen[threading.get_ident()] = rounds_like(0)

        threads.run_slices(work, 3, 1)
    finally:
        threads.set_threads(1)
    assert len(seen) == 3
    assert all(seen.values())
    assert rounds_like(mode)


def test_values_of_polynomials(mode):
    """What calls kernels without slices."""
    coefficients = np.zeros((5, 4), np.uint64)
    coefficients[:, 0] = 1 + np.arange(5)
    points = np.zeros((9, 4), np.uint64)
    points[:, 0] = 2 + np.arange(9)
    values = ntt.evaluate("bn254", coefficients, points)
    assert [int(row[0]) for row in values] == [
        sum((power + 1) * x**power for power in range(5)) for x in range(2, 11)
    ]
    assert rounds_like(mode)
