# SPDX-License-Identifier: GPL-3.0-or-later
"""The conflict peers give the waves of the definition, which compares every pair."""

from collections.abc import Callable

import numpy as np
import pytest

from supervm.benchmarks.cases import Peer
from supervm.benchmarks.peers import conflict_waves
from supervm.benchmarks.workloads.access import READS, WRITES, AccessItems, one_key, uniform_bytes, zipf


def waves_by_pairs(items: AccessItems) -> list[int]:
    """Longest path over all pairs that conflict under the rule."""
    reads = items.reads.reshape(items.items, READS, -1).tolist()
    writes = items.writes.reshape(items.items, WRITES, -1).tolist()
    waves: list[int] = []
    for later in range(items.items):
        wave = 0
        for key in reads[later] + (writes[later] if items.rule == "locking" else []):
            writers = [earlier for earlier in range(later) if key in writes[earlier]]
            wave = max([wave, *(waves[writer] + 1 for writer in writers[-1:])])
        if items.rule == "locking":
            for key in writes[later]:
                readers = [earlier for earlier in range(later) if key in reads[earlier]]
                wave = max([wave, *(waves[reader] + 1 for reader in readers)])
        waves.append(wave)
    return waves


def few_keys(rule: str) -> AccessItems:
    random = np.random.default_rng(5)
    reads, writes = random.integers(0, 300, (2, 60 * READS), dtype=np.uint64)
    return AccessItems(reads, writes, rule)


WORKLOADS: dict[str, Callable[[str], AccessItems]] = {
    "few keys": few_keys,
    "one key": lambda rule: one_key(rule)(20),
    "Zipf": lambda rule: zipf(rule)(60),
    "32 bytes": lambda rule: uniform_bytes(rule)(60),
}


@pytest.mark.parametrize("rule", ["versioned", "locking"])
@pytest.mark.parametrize("name", list(WORKLOADS))
def test_the_dictionary(name: str, rule: str) -> None:
    _compare(conflict_waves.dictionary(), WORKLOADS[name](rule))


@pytest.mark.parametrize("name", ["few keys", "one key", "Zipf"])
def test_the_hash_table(name: str) -> None:
    _compare(conflict_waves.hash_table(), WORKLOADS[name]("versioned"))


def _compare(peer: Peer, items: AccessItems) -> None:
    expected = waves_by_pairs(items)
    assert max(expected) > 1
    assert peer.finish(peer.prepare(items)()) == expected
