# SPDX-License-Identifier: GPL-3.0-or-later
"""Conflict detection on a real device: every array of the result is the CPU's."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from supervm.benchmarks.workloads import access
from supervm.engine.conflicts import detect

pytestmark = pytest.mark.gpu

WORKLOADS = {
    "uniform": access.uniform,
    "one key": access.one_key,
    "Zipf": access.zipf,
    "32-byte keys": access.uniform_bytes,
}


@pytest.mark.parametrize("edges", [False, True])
@pytest.mark.parametrize("rule", ["versioned", "locking"])
@pytest.mark.parametrize("name", list(WORKLOADS))
def test_conflicts(name: str, rule: str, edges: bool) -> None:
    for count in (1, 2, 129, 5000, 1 << 17):
        made = WORKLOADS[name](rule)(count)
        offsets = np.arange(count + 1, dtype=np.int64) * access.READS
        found, expected = (
            detect(offsets, made.reads, offsets, made.writes, rule=rule, edges=edges, backend=backend)
            for backend in ("cuda", "scalar")
        )
        for field in fields(expected):
            ours, theirs = getattr(found, field.name), getattr(expected, field.name)
            assert np.array_equal(ours, theirs), f"{field.name} of {count} transactions"


@pytest.mark.parametrize("rule", ["versioned", "locking"])
def test_conflicts_of_uneven_transactions(rule: str) -> None:
    """From no access to hundreds in a transaction, few keys."""
    random = np.random.default_rng(3)
    sizes = random.geometric(0.1, (2, 20_000)) - 1
    sizes[:, ::1000] = 700
    offsets = np.zeros((2, sizes.shape[1] + 1), np.int64)
    np.cumsum(sizes, axis=1, out=offsets[:, 1:])
    reads, writes = (random.integers(0, 30_000, int(bounds[-1])).astype(np.uint64) for bounds in offsets)
    found, expected = (
        detect(offsets[0], reads, offsets[1], writes, rule=rule, edges=True, backend=backend)
        for backend in ("cuda", "scalar")
    )
    for field in fields(expected):
        assert np.array_equal(getattr(found, field.name), getattr(expected, field.name)), field.name
