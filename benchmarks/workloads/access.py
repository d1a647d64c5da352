# SPDX-License-Identifier: GPL-3.0-or-later
"""Read and write sets of a block: uniform keys, one key for all, Zipf, 32-byte keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.benchmarks.workloads import SEED
from supervm.engine import conflicts

READS = WRITES = 4
KEYS_PER_TRANSACTION = 4
"""A block of n transactions touches 4·n different keys at most: 4·10⁶ for 10⁶."""
KEY_BYTES = 32
SPREAD = np.uint64(0x9E3779B97F4A7C15)
"""An odd constant: multiplying by it modulo 2^64 keeps keys different and puts neighbours far apart."""


@dataclass(frozen=True)
class AccessItems:
    """The read and write keys of n transactions, four of each.

    Args:
        reads: (4 n,) uint64 or (4 n, 32) uint8.
        writes: the same.
        rule: `versioned` or `locking`.
    """

    reads: NDArray[Any]
    writes: NDArray[Any]
    rule: str

    @property
    def items(self) -> int:
        """How many transactions."""
        return len(self.reads) // READS

    @cached_property
    def _offsets(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where each transaction's reads and writes begin."""
        numbers = np.arange(self.items + 1, dtype=np.int64)
        return numbers * READS, numbers * WRITES

    def run(self, backend: str) -> object:
        """Waves only."""
        reads, writes = self._offsets
        return conflicts.detect(reads, self.reads, writes, self.writes, rule=self.rule, backend=backend)

    def answers(self, result: Any) -> list[Any]:
        """The wave of each transaction."""
        waves: list[Any] = result.wave.tolist()
        return waves

    def part(self, start: int, stop: int) -> AccessItems:
        """Transactions start … stop − 1 as a block of their own; their keys are not copied."""
        reads, writes = slice(start * READS, stop * READS), slice(start * WRITES, stop * WRITES)
        return AccessItems(self.reads[reads], self.writes[writes], self.rule)

    def moved(self, copy: Callable[[NDArray[Any]], NDArray[Any]]) -> AccessItems:
        """The same block, with keys and offsets in the arrays that `copy` returns."""
        whole = AccessItems(copy(self.reads), copy(self.writes), self.rule)
        reads, writes = self._offsets
        whole.__dict__["_offsets"] = copy(reads), copy(writes)  # as if they were cached
        return whole


def uniform(rule: str) -> Callable[[int], AccessItems]:
    """Every key as likely, out of 4·n."""
    return partial(_make, rule, _uniform_ids)


def one_key(rule: str) -> Callable[[int], AccessItems]:
    """Every transaction reads and writes one and the same key, four times each."""
    return partial(_make, rule, lambda _random, _total, count: np.full(count, 7, np.uint64))


def zipf(rule: str) -> Callable[[int], AccessItems]:
    """The k-th most used of 4·n keys is used in proportion to 1/k."""
    return partial(_make, rule, _zipf_ids)


def uniform_bytes(rule: str) -> Callable[[int], AccessItems]:
    """`uniform` with keys of 32 bytes."""
    return partial(_make, rule, lambda random, total, count: _to_bytes(_uniform_ids(random, total, count)))


def _make(
    rule: str, keys: Callable[[np.random.Generator, int, int], NDArray[Any]], count: int
) -> AccessItems:
    random = np.random.default_rng([SEED, count])
    total = KEYS_PER_TRANSACTION * count
    return AccessItems(keys(random, total, READS * count), keys(random, total, WRITES * count), rule)


def _uniform_ids(random: np.random.Generator, total: int, count: int) -> NDArray[np.uint64]:
    return random.integers(0, total, count, dtype=np.uint64)


def _zipf_ids(random: np.random.Generator, total: int, count: int) -> NDArray[np.uint64]:
    """Inverse of the distribution function ln k / ln total, which 1/k sums to for large totals."""
    ranks = np.power(float(total), random.random(count)).astype(np.uint64)
    return ranks * SPREAD


def _to_bytes(ids: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """32 bytes that no prefix tells apart at once: the id in the second word, mixed words around it."""
    words = np.empty((len(ids), KEY_BYTES // 8), np.uint64)
    words[:, 0] = ids * SPREAD
    words[:, 1] = ids
    words[:, 2] = ids ^ SPREAD
    words[:, 3] = ids * ids
    return words.view(np.uint8)
