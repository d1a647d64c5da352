# SPDX-License-Identifier: GPL-3.0-or-later
"""Conflict waves the way they are usually written: one pass in Python with a dictionary of last writers."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

from supervm.benchmarks.cases import Answers, Peer
from supervm.benchmarks.workloads.access import READS, WRITES, AccessItems


def waves() -> Peer:
    """Both rules; keys are Python integers, or bytes where they have 32 bytes."""
    return Peer("Python dict", platform.python_version(), _prepare)


def _keys(array: Any, per_transaction: int) -> list[list[Any]]:
    flat = array.tolist() if array.ndim == 1 else [row.tobytes() for row in array]
    return [flat[start : start + per_transaction] for start in range(0, len(flat), per_transaction)]


def _prepare(workload: AccessItems) -> Callable[[], Answers]:
    reads, writes = _keys(workload.reads, READS), _keys(workload.writes, WRITES)
    pass_over = _versioned if workload.rule == "versioned" else _locking
    return lambda: pass_over(reads, writes)


def _versioned(reads: list[list[Any]], writes: list[list[Any]]) -> Answers:
    """`after[key]` is the first wave that may read what the last writer of the key left."""
    after: dict[Any, int] = {}
    waves = []
    for read, written in zip(reads, writes, strict=True):
        wave = max([after.get(key, 0) for key in read])
        for key in written:
            after[key] = wave + 1
        waves.append(wave)
    return waves


def _locking(reads: list[list[Any]], writes: list[list[Any]]) -> Answers:
    """Writers wait for the last writer and for every reader since; the latest of those readers is enough."""
    after_writer: dict[Any, int] = {}
    after_readers: dict[Any, int] = {}
    waves = []
    for read, written in zip(reads, writes, strict=True):
        wave = max([after_writer.get(key, 0) for key in read + written])
        wave = max(wave, max([after_readers.get(key, 0) for key in written]))
        for key in read:
            after_readers[key] = max(after_readers.get(key, 0), wave + 1)
        for key in written:
            after_writer[key] = wave + 1
            after_readers[key] = 0
        waves.append(wave)
    return waves
