# SPDX-License-Identifier: GPL-3.0-or-later
"""Multi-scalar multiplication: `batch` is the number of points, and a rate counts points."""

from __future__ import annotations

from collections.abc import Callable

from supervm.benchmarks.cases import Case, Peer, installed
from supervm.benchmarks.peers import arkworks, pynacl, zksnake
from supervm.benchmarks.workloads.msm import random_msm

BATCH, SMALL_BATCH = 1 << 16, 1 << 13
CHECKED = 64


def cases() -> list[Case]:
    """G1 of both curves at 2^16 points; G2 and Ed25519's group, which are slower or rarer, at 2^13."""
    return [
        _case("bn254", "g1", [zksnake.msm], BATCH),
        _case("bls12_381", "g1", [arkworks.msm, zksnake.msm], BATCH),
        _case("bn254", "g2", [zksnake.msm], SMALL_BATCH),
        _case("bls12_381", "g2", [arkworks.msm, zksnake.msm], SMALL_BATCH),
        _case("ed25519", "", [pynacl.msm], SMALL_BATCH),
    ]


def _case(curve: str, group: str, makers: list[Callable[[], Peer]], batch: int) -> Case:
    peers, missing = installed(makers)
    items = random_msm(curve, group or "g1")
    return Case(
        ".".join(part for part in (curve, group, "msm") if part),
        "",
        batch=batch,
        slow_batch=batch,
        workload=items,
        corrupted=items,
        peers=peers,
        missing=missing,
        checked_items=CHECKED,
        swept=group == "g1",
    )
