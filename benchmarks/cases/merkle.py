# SPDX-License-Identifier: GPL-3.0-or-later
"""Binary Merkle trees: `batch` is the number of leaves, and a rate counts leaves."""

from __future__ import annotations

from collections.abc import Callable

from supervm.benchmarks.cases import Case, Peer, installed
from supervm.benchmarks.peers import hashlib, light_poseidon, pycryptodome
from supervm.benchmarks.workloads.merkle import random_leaves

BATCH, SLOW_BATCH = 1 << 20, 1 << 14


def cases() -> list[Case]:
    """2^20 leaves, whole trees kept."""
    return [
        _case("poseidon_bn254", [light_poseidon.tree]),
        _case("sha256", [hashlib.sha256_tree]),
        _case("keccak256", [pycryptodome.keccak256_tree]),
    ]


def _case(hash: str, makers: list[Callable[[], Peer]]) -> Case:
    peers, missing = installed(makers)
    items = random_leaves(hash)
    return Case(
        f"merkle.{hash}",
        "",
        batch=BATCH,
        slow_batch=SLOW_BATCH if hash.startswith("poseidon") else BATCH,
        workload=items,
        corrupted=items,
        peers=peers,
        missing=missing,
        swept=True,
    )
