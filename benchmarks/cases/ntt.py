# SPDX-License-Identifier: GPL-3.0-or-later
"""Forward transforms in natural order: `batch` is the size, and a rate counts elements."""

from __future__ import annotations

from supervm.benchmarks.cases import Case, installed
from supervm.benchmarks.peers import zksnake
from supervm.benchmarks.workloads.ntt import random_polynomial

BATCH, SLOW_BATCH = 1 << 20, 1 << 18


def cases() -> list[Case]:
    """Both scalar fields at 2^20."""
    return [_case("bn254"), _case("bls12_381")]


def _case(curve: str) -> Case:
    peers, missing = installed([zksnake.ntt])
    items = random_polynomial(curve)
    return Case(
        f"{curve}.ntt",
        "",
        batch=BATCH,
        slow_batch=SLOW_BATCH,
        workload=items,
        corrupted=items,
        peers=peers,
        missing=missing,
        swept=True,
    )
