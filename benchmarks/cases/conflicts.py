# SPDX-License-Identifier: GPL-3.0-or-later
"""Conflict waves of 10⁶ transactions with four reads and four writes each, under both rules."""

from __future__ import annotations

from collections.abc import Callable

from supervm.benchmarks.cases import Case, Peer
from supervm.benchmarks.peers import hash_table, python_dict
from supervm.benchmarks.workloads import access

BATCH = 1_000_000


def cases() -> list[Case]:
    """Uniform keys first; the compiled hash table stands beside the `versioned` rows with uint64 keys."""
    workloads = {
        "": access.uniform,
        "one key": access.one_key,
        "Zipf": access.zipf,
        "32-byte keys": access.uniform_bytes,
    }
    listed = []
    for rule in ("versioned", "locking"):
        for name, make in workloads.items():
            peers = [python_dict.waves()]
            if rule == "versioned" and name != "32-byte keys":
                peers.append(hash_table.waves())
            variant = ", ".join(part for part in (name, rule if rule == "locking" else "") if part)
            listed.append(_case(variant, make(rule), peers))
    return listed


def _case(variant: str, items: Callable[[int], access.AccessItems], peers: list[Peer]) -> Case:
    return Case(
        "conflicts.detect",
        variant,
        batch=BATCH,
        slow_batch=BATCH,
        workload=items,
        corrupted=items,
        peers=peers,
        checked_items=2_000,
    )
