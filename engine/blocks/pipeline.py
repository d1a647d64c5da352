# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks through overlapping stages: while one is executed and committed, the next ones are verified.

Signature verification needs no state, so it runs on its own thread in front of a bounded queue. The stages after it
change the state and run on the caller's thread, in block order.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from supervm.engine.blocks.interning import InternedBatch
from supervm.engine.blocks.layout import Block
from supervm.engine.blocks.result import BlockResult
from supervm.engine.blocks.runner import BlockRunner
from supervm.engine.transactions.batch import TransactionBatch

_WAIT_SECONDS = 0.05
"""How often a stage that waits looks whether it is to stop."""


class TimedBatch(NamedTuple):
    """A block that states its time: seconds, 0 to 2^63 − 1."""

    batch: TransactionBatch
    timestamp: int


Batches = Iterable[TransactionBatch | InternedBatch | TimedBatch]


class _Verified(NamedTuple):
    batch: TransactionBatch | Block
    timestamp: int | None
    refused: NDArray[np.uint8]
    stages: dict[str, float]


_Item = _Verified | BaseException | None
"""A verified block; what ended the verification; or the end."""


def run_pipeline(runner: BlockRunner, batches: Batches, depth: int) -> Iterator[BlockResult]:
    """Execute blocks in order.

    Args:
        runner: what executes them.
        batches: the blocks; taken from another thread, as the queue has room.
        depth: blocks that wait verified.
    """
    verified: queue.Queue[_Item] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: _Item) -> None:
        while not stop.is_set():
            try:
                verified.put(item, timeout=_WAIT_SECONDS)
                return
            except queue.Full:
                continue

    def verify() -> None:
        try:
            for batch in batches:
                put(_verified(runner, batch))
                if stop.is_set():
                    return
            put(None)
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=verify, name="supervm-verify", daemon=True)
    thread.start()
    try:
        while True:
            waiting = verified.qsize()
            item = verified.get()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            block, stages = item.batch, item.stages
            if isinstance(block, TransactionBatch):
                began = perf_counter()
                interned = runner.decode(block)
                stages["decode"] = perf_counter() - began
                block = runner.prepare(interned, item.refused, stages)
            elif not runner.is_current(block):
                block = runner.prepare(block.interned, item.refused, stages)
            result = runner.run(block, runner.timestamp(item.timestamp), stages)
            yield replace(result, stats=replace(result.stats, waiting=waiting))
    finally:
        stop.set()
        thread.join()


def _verified(runner: BlockRunner, given: TransactionBatch | InternedBatch | TimedBatch) -> _Verified:
    """A batch after the stages that need no state: one whose keys are numbered is laid out for execution as well."""
    began = perf_counter()
    batch, timestamp = given if isinstance(given, TimedBatch) else (given, None)
    plain = batch.batch if isinstance(batch, InternedBatch) else batch
    if isinstance(batch, InternedBatch):
        runner.decode(batch)
    else:
        plain.check()
    refused = runner.verify(plain)
    stages = {"verify": perf_counter() - began, "decode": 0.0}
    if isinstance(batch, InternedBatch):
        return _Verified(runner.prepare(batch, refused, stages), timestamp, refused, stages)
    return _Verified(plain, timestamp, refused, stages)
