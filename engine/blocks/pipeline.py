# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks through overlapping stages: while one is executed and committed, the next ones are verified.

Signature verification needs no state, so it runs on its own thread in front of a bounded queue. The stages after it
change the state and run on the caller's thread, in block order. As long as blocks are small and nothing in them is to be
verified, there is no other thread: handing them over would take longer than what it does with them.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from supervm.engine.blocks.interning import InternedBatch
from supervm.engine.blocks.layout import Block
from supervm.engine.blocks.result import BlockResult
from supervm.engine.blocks.runner import BlockRunner
from supervm.engine.transactions.batch import TransactionBatch

WORTH_A_THREAD = 2_048
"""Transactions of a block without signatures and proofs from which on another thread prepares the next ones."""

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
        batches: the blocks; from the first one on that is worth it (`WORTH_A_THREAD`) they are taken from another thread, as
            the queue has room.
        depth: blocks that wait verified.
    """
    source = iter(batches)
    for batch in source:
        _check(runner, batch)
        if len(_batch(batch)) >= WORTH_A_THREAD or runner.verifies(_plain(batch)):
            yield from _overlapping(runner, chain([batch], source), depth)
            return
        yield _executed(runner, _verified(runner, batch), 0)


def _overlapping(runner: BlockRunner, batches: Batches, depth: int) -> Iterator[BlockResult]:
    """`run_pipeline` with a thread that verifies."""
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
                _check(runner, batch)
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
            yield _executed(runner, item, waiting)
    finally:
        stop.set()
        thread.join()


def _batch(given: TransactionBatch | InternedBatch | TimedBatch) -> TransactionBatch | InternedBatch:
    return given.batch if isinstance(given, TimedBatch) else given


def _plain(given: TransactionBatch | InternedBatch | TimedBatch) -> TransactionBatch:
    batch = _batch(given)
    return batch.batch if isinstance(batch, InternedBatch) else batch


def _check(runner: BlockRunner, given: TransactionBatch | InternedBatch | TimedBatch) -> None:
    """Raise what is wrong with a batch before anything is read from it."""
    batch = _batch(given)
    if isinstance(batch, InternedBatch):
        runner.decode(batch)
    else:
        batch.check()


def _verified(runner: BlockRunner, given: TransactionBatch | InternedBatch | TimedBatch) -> _Verified:
    """A sound batch after the stages that need no state: one whose keys are numbered is laid out for execution as well."""
    began = perf_counter()
    batch, plain = _batch(given), _plain(given)
    timestamp = given.timestamp if isinstance(given, TimedBatch) else None
    refused = runner.verify(plain)
    stages = {"verify": perf_counter() - began, "decode": 0.0}
    if isinstance(batch, InternedBatch):
        return _Verified(runner.prepare(batch, refused, stages), timestamp, refused, stages)
    return _Verified(plain, timestamp, refused, stages)


def _executed(runner: BlockRunner, verified: _Verified, waiting: int) -> BlockResult:
    """The result of a verified block; `waiting` more of them were ready."""
    block, stages = verified.batch, verified.stages
    if isinstance(block, TransactionBatch):
        began = perf_counter()
        interned = runner.decode(block)
        stages["decode"] = perf_counter() - began
        block = runner.prepare(interned, verified.refused, stages)
    elif not runner.is_current(block):
        block = runner.prepare(block.interned, verified.refused, stages)
    result = runner.run(block, runner.timestamp(verified.timestamp), stages)
    return replace(result, stats=replace(result.stats, waiting=waiting))
