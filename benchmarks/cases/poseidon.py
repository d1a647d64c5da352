# SPDX-License-Identifier: GPL-3.0-or-later
"""Poseidon and Poseidon2 hashes of t − 1 field elements."""

from __future__ import annotations

from supervm.benchmarks.cases import Case, installed
from supervm.benchmarks.peers import light_poseidon
from supervm.benchmarks.workloads.poseidon import random_inputs

BATCH, SLOW_BATCH = 1 << 16, 1 << 13
NO_PACKAGE = "no package for Python computes it in compiled code"
"""light-poseidon-python takes two inputs and no more."""


def cases() -> list[Case]:
    """Width 3, which trees use, first; 5, and 3 over the other field and in the second version."""
    return [
        _case("bn254", 3, "poseidon", swept=True),
        _case("bn254", 5, "poseidon"),
        _case("bls12_381", 3, "poseidon"),
        _case("bn254", 3, "poseidon2"),
    ]


def _case(curve: str, width: int, variant: str, swept: bool = False) -> Case:
    known = (curve, width, variant) == ("bn254", 3, "poseidon")
    peers, missing = installed([light_poseidon.hashes] if known else [])
    items = random_inputs(curve, width, variant)
    return Case(
        f"{curve}.{variant}.t{width}",
        "",
        batch=BATCH,
        slow_batch=SLOW_BATCH,
        workload=items,
        corrupted=items,
        peers=peers,
        missing=missing,
        swept=swept,
        alone="" if known else NO_PACKAGE,
    )
