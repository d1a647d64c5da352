# SPDX-License-Identifier: GPL-3.0-or-later
"""Small requests of one kind are verified together, and each gets its own verdicts.

A batch waits until it is full or old, then for its turn; until its turn comes it takes further requests, so that batches
grow under load. A request that fills a batch alone is one, and is cut into pieces between which others have their turn.
Requests that were cancelled or have expired are left out when the turn comes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np

from supervm.kernels.array_types import Verdicts
from supervm.tiers.errors import ServiceError
from supervm.tiers.service.codes import Code
from supervm.tiers.service.job_pool import JobPool

Verify: TypeAlias = Callable[..., Verdicts]
"""(kind, what `Columns.arrays` returns…) → int8 (n,)."""

Answer: TypeAlias = "bytes | ServiceError"

log = logging.getLogger(__name__)

PIECE = 8
"""A request is cut into pieces of so many full batches: long enough for every core, short enough for those who wait."""


class Columns(Protocol):
    """What one request has to be verified."""

    @property
    def kind(self) -> Hashable:
        """What items have in common that one call can verify."""

    @property
    def items(self) -> int:
        """Of the request; as many verdicts it gets."""

    @property
    def weight(self) -> int:
        """What it counts in a batch, in the queue and in its caller's rate: `items` at least."""

    def joined(self, others: Sequence[Any]) -> Columns:
        """These items and, behind them, those of others of the same kind."""

    def arrays(self, first: int, after: int) -> tuple[Any, ...]:
        """The items from `first` until `after`, as `Verify` takes them."""


def expired() -> ServiceError:
    """What a request is told whose time is over."""
    return ServiceError(Code.DEADLINE_EXCEEDED, "", "the deadline passed before the request's turn came")


class Sink(Protocol):
    """Who waits for verdicts.

    Attributes:
        gone: nobody waits any more.
    """

    gone: bool

    def deliver(self, request: Pending, answer: Answer) -> None:
        """Take the verdicts, packed int8, or why there are none. Called once, in the loop, unless the sink is gone."""


class Pending:
    """A request that waits for its verdicts.

    Args:
        columns: its items.
        deadline: `time.monotonic()` after which nobody wants them, or None.
        sink: takes them.
        tag: the sink's own.
        size: bytes that the request and its answer take in the queue.
    """

    __slots__ = ("begun", "columns", "deadline", "sink", "size", "tag")

    def __init__(self, columns: Columns, deadline: float | None, sink: Sink, tag: int, size: int) -> None:
        self.columns, self.deadline, self.sink, self.tag, self.size = columns, deadline, sink, tag, size
        self.begun = time.monotonic()


class Batch:
    """Requests of one kind that are verified by one call, or one request by several.

    Args:
        kind: of all.
        verify: does it.
        piece: what a call may weigh, if there is one request.
        gatherer: that the batch belongs to.
    """

    def __init__(
        self,
        kind: Hashable,
        verify: Verify,
        piece: int,
        gatherer: Gatherer,
    ) -> None:
        self.kind, self.weight = kind, 0
        self.queued = False
        self._verify, self._piece, self._gatherer = verify, piece, gatherer
        self._requests: list[Pending] = []
        self._verdicts: Verdicts | None = None
        self._done = 0

    def add(self, request: Pending) -> None:
        """Take a request of this kind in."""
        self._requests.append(request)
        self.weight += request.columns.weight

    def start(self) -> bool:
        """Leave out who is gone or too late; see `Job`."""
        if not self._done:
            self._gatherer.close(self)
        now = time.monotonic()
        kept = []
        for request in self._requests:
            if request.sink.gone:
                self._gatherer.leave(request)
            elif request.deadline is not None and request.deadline <= now:
                self._gatherer.settle(request, expired())
            else:
                kept.append(request)
        self._requests = kept
        return bool(kept)

    def step(self) -> bool:
        """Verify all of them, or a piece of the only one; see `Job`."""
        if len(self._requests) > 1:
            one, *others = [request.columns for request in self._requests]
            whole = one.joined(others)
            self._verdicts = self._part(whole, 0, whole.items)
            return False
        (request,) = self._requests
        items = request.columns.items
        piece = max(1, self._piece * items // max(1, request.columns.weight))
        if self._verdicts is None:
            self._verdicts = np.empty(items, np.int8)
        first, after = self._done, min(self._done + piece, items)
        self._verdicts[first:after] = self._part(request.columns, first, after)
        self._done = after
        return after < items

    def finish(self) -> None:
        """See `Job`."""
        assert self._verdicts is not None
        packed, first = self._verdicts.tobytes(), 0
        for request in self._requests:
            after = first + request.columns.items
            self._gatherer.settle(request, packed[first:after])
            first = after

    def fail(self, error: BaseException) -> None:
        """See `Job`."""
        answer = self._gatherer.failed(error)
        for request in self._requests:
            self._gatherer.settle(request, answer)

    def _part(self, columns: Columns, first: int, after: int) -> Verdicts:
        """Verdicts of the items from `first` until `after`."""
        return self._verify(columns.kind, *columns.arrays(first, after))


class Gatherer:
    """Puts requests into batches, and batches into a pool.

    Args:
        pool: where batches are verified.
        verify: the batch functions.
        full: what a full batch weighs.
        age: seconds after which a batch waits no longer.
        failed: turns what `verify` raised into an answer.
        leave: takes a request out of the queue, whatever became of it.
        ready: what a batch weighs that waits no longer, but takes requests until its turn comes; None for a full one.
        piece: what a call weighs, at most, of a request that fills a batch alone; None for `PIECE` full batches.
    """

    def __init__(
        self,
        pool: JobPool,
        verify: Verify,
        full: int,
        age: float,
        failed: Callable[[BaseException], ServiceError],
        leave: Callable[[Pending], None],
        ready: int | None = None,
        piece: int | None = None,
    ) -> None:
        self._pool, self._verify, self._full, self._age = pool, verify, full, age
        self.failed, self.leave = failed, leave
        self._ready, self._piece = ready or full, piece or PIECE * full
        self._open: dict[Hashable, Batch] = {}
        self._loop = asyncio.get_running_loop()

    def put(self, request: Pending) -> None:
        """Have a request verified, with others if it is small."""
        kind, weight = request.columns.kind, request.columns.weight
        if weight >= self._full:
            batch = self._batch(kind)
            batch.add(request)
            self._queue(batch)
            return
        found = self._open.get(kind)
        if found is not None and found.weight + weight > self._full:
            self.close(found)
            self._queue(found)
            found = None
        if found is None:
            found = self._open[kind] = self._batch(kind)
            self._loop.call_later(self._age, self._queue, found)
        found.add(request)
        if found.weight == self._full:
            self.close(found)
        if found.weight >= self._ready:
            self._queue(found)

    def close(self, batch: Batch) -> None:
        """Put no further request into a batch."""
        if self._open.get(batch.kind) is batch:
            del self._open[batch.kind]

    def settle(self, request: Pending, answer: Answer) -> None:
        """Take a request out of the queue and answer it; a sink that fails costs the others of a batch nothing."""
        self.leave(request)
        if not request.sink.gone:
            try:
                request.sink.deliver(request, answer)
            except Exception:
                log.exception("an answer could not be delivered")

    def _batch(self, kind: Hashable) -> Batch:
        return Batch(kind, self._verify, self._piece, self)

    def _queue(self, batch: Batch) -> None:
        if not batch.queued:
            batch.queued = True
            self._pool.put(batch)
