# SPDX-License-Identifier: GPL-3.0-or-later
"""Several nodes above this one: calls go to the one with the least to do, and shares of tasks over all of them.

How much a node has to do is asked now and then (`GetStatus`); what is on its way to it counts too. A node that does not
answer gets nothing for a while, and one whose answer is wrong nothing more: answers are checked where that is cheap, some
of the items are computed again here, proofs are verified, paths of trees hashed. Sums are not. Every error names the node.
"""

from __future__ import annotations

import contextvars
import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from supervm.kernels.errors import ArgumentError
from supervm.tiers.cluster.splitting.parts import RECHECK, Held, digest_of
from supervm.tiers.cluster.task import (
    Columns,
    Options,
    Task,
    drawn_rows,
    same,
    size_of,
    take_rows,
    well_formed,
)
from supervm.tiers.node.admission import QUESTION_BYTES
from supervm.tiers.node.callers import Asker, asker, caller_waits
from supervm.tiers.node.errors import UpstreamFailed
from supervm.tiers.node.task_messages import column_message, columns_of, options_text
from supervm.tiers.node.upstream import Upstream
from supervm.tiers.service.v1 import node_pb2 as pb

log = logging.getLogger(__name__)

ASKED_SECONDS, ASKING_SECONDS = 1.0, 2.0
"""How long what a node says of its load is believed, and how long it may take to say it."""

REST_SECONDS = 5.0
"""How long a node gets nothing that did not answer, or had no room."""

REFUSED_SECONDS = 60.0
"""The same for a node that does not take a task on."""

TASK_SECONDS = 600.0
"""How long a share may take, where its caller does not say."""

IN_FLIGHT = 2
"""Shares on their way to each node."""

hops: ContextVar[int] = ContextVar("hops", default=0)
"""Nodes that the share in hand went through."""

ELSEWHERE = frozenset(
    {"UNAVAILABLE", "RESOURCE_EXHAUSTED", "INTERNAL", "CANCELLED", "UNAUTHENTICATED", "UNIMPLEMENTED"}
)
"""What another node may answer otherwise."""

REFUSES = "FAILED_PRECONDITION"

SILENT = "DEADLINE_EXCEEDED"
"""Of a call that took as long as it may; where its caller waits for longer, another node is asked."""


@dataclass(eq=False)
class _Known:
    """What is known of an upstream.

    Args:
        upstream: the connection.
        load: what it said that it had to do.
        asked: when it said so.
        sent: weights of what is on its way to it.
        rests: until when it gets nothing.
        refuses: until when it gets no share of a task.
        liar: whether an answer was wrong.
        asking: held while it is asked for its load.
    """

    upstream: Upstream
    load: int = 0
    asked: float = -math.inf
    sent: int = 0
    rests: float = -math.inf
    refuses: dict[str, float] = field(default_factory=dict)
    liar: bool = False
    asking: threading.Lock = field(default_factory=threading.Lock)


class Upstreams(Upstream):
    """Several upstreams as one, and a runner of tasks over them; use it as a context manager. Methods may be called from any
    thread.

    Args:
        upstreams: one or more; they are closed with this one.
        recheck: share of the items of an answer that is computed again here.
    """

    def __init__(self, upstreams: Sequence[Upstream], recheck: float = RECHECK) -> None:
        if not upstreams:
            raise ArgumentError("upstreams", "none", "one or more")
        self._known = [_Known(each) for each in upstreams]
        self._recheck, self._lock = recheck, threading.Lock()
        self._random = np.random.default_rng()
        self._last = threading.local()

    @property
    def address(self) -> str:  # type: ignore[override]
        """Of the upstream that this thread called last, else of all."""
        found: str = getattr(self._last, "address", "") or ", ".join(
            each.upstream.address for each in self._known
        )
        return found

    def close(self) -> None:
        """Close all connections; calls that wait for an answer end without one."""
        for each in self._known:
            each.upstream.close()

    def call(self, method: str, request: Any, seconds: float | None = None) -> Any:
        """As `Upstream.call`, of the node with the least to do; where it does not answer, of the next one."""
        return self._first_that_answers(
            1, "", lambda known: known.upstream.call(method, request, seconds), method
        )

    # ---------------------------------------------------------------------------------------------- shares of tasks

    def hold(self, columns: Columns) -> Held:
        """As `Runner.hold`: a node that lacks them is sent them with the first share."""
        return Held(digest_of(columns), lambda: columns)

    def run(self, task: str, parts: Iterable[Columns], options: Options) -> Iterator[tuple[int, Columns]]:
        """As `Runner.run`. Where nobody wants the answers any more, or the caller leaves, what is on its way is cancelled.

        Raises:
            UpstreamFailed: no node answers, or each refuses the task or answers wrongly; the last one is named.
            ArgumentError: a share that no message holds.
        """
        from supervm.tiers.cluster.tasks import TASKS  # which has what is split over nodes

        text, held = options_text(options)
        share = _Share(TASKS[task], options, text, held, hops.get())
        done: queue.SimpleQueue[tuple[int, Columns | BaseException]] = queue.SimpleQueue()
        asking = Asker()

        def carry_out(index: int, columns: Columns) -> None:
            try:
                done.put((index, self._answer(share, columns)))
            except BaseException as error:
                done.put((index, error))

        def next_one() -> int:
            index, found = done.get()
            if isinstance(found, BaseException):
                raise found
            answers.append((index, found))
            return 1

        answers: list[tuple[int, Columns]] = []
        flying, most = 0, IN_FLIGHT * len(self._known)
        parent = asker.get() or Asker()
        with parent.telling(asking.leave), ThreadPoolExecutor(most, "supervm-upstreams") as threads:
            context = contextvars.copy_context()
            context.run(asker.set, asking)
            try:
                for index, columns in enumerate(parts):
                    threads.submit(context.copy().run, carry_out, index, columns)
                    flying += 1
                    while flying == most:
                        flying -= next_one()
                        yield answers.pop()
                while flying:
                    flying -= next_one()
                    yield answers.pop()
            finally:
                asking.leave()

    def _answer(self, share: _Share, columns: Columns) -> Columns:
        """The answer to one share, of whoever gives one that is right."""
        task = share.task

        def ask(known: _Known) -> Columns:
            found = share.ask(known.upstream, columns)
            if not self._right(share, columns, found):
                known.liar = True
                log.warning("an upstream answers wrongly and is asked no more", extra={"problem": task.name})
                details = f"a wrong answer to {task.name}; it is asked no more"
                raise UpstreamFailed(known.upstream.address, "RunTask", "INTERNAL", details)
            return found

        answer: Columns = self._first_that_answers(task.type.cost, task.name, ask, "RunTask")
        return answer

    def _right(self, share: _Share, columns: Columns, answer: Columns) -> bool:
        """Whether an answer stands up to a check: the task's own, or items that are computed again here."""
        task = share.task
        if not well_formed(task, columns, share.options, answer):
            return False
        with self._lock:
            random = np.random.default_rng(self._random.integers(1 << 63))
        if task.check is not None:
            return task.check(columns, share.options, answer, random)
        if task.take is None:
            return True  # a sum: only all of it again would tell
        rows = drawn_rows(task.items(columns), self._recheck, random)
        return same(task.function(task.take(columns, rows), share.options), take_rows(answer, rows))

    # ---------------------------------------------------------------------------------------------- who is asked

    def _first_that_answers(self, cost: int, task: str, ask: Callable[[_Known], Any], method: str) -> Any:
        """What the upstream with the least to do answers, or the next one."""
        tried: set[_Known] = set()
        failed: UpstreamFailed | None = None
        while (known := self._least_loaded(task, tried)) is not None:
            tried.add(known)
            self._last.address = known.upstream.address
            try:
                with self._sent(known, cost):
                    return ask(known)
            except UpstreamFailed as error:
                asking = asker.get()
                silent = error.code == SILENT and caller_waits.get() > time.monotonic()
                if not (silent or error.code in ELSEWHERE | {REFUSES}) or (
                    asking is not None and asking.left
                ):
                    raise
                failed = error
                if error.code == REFUSES:
                    known.refuses[task] = time.monotonic() + REFUSED_SECONDS
                else:
                    known.rests = time.monotonic() + REST_SECONDS
        if failed is None:
            addresses = ", ".join(each.upstream.address for each in self._known)
            details = "each has failed, answered wrongly, or refused, and is left alone for a while"
            raise UpstreamFailed(addresses, method, "UNAVAILABLE", details)
        raise failed

    def _least_loaded(self, task: str, tried: set[_Known]) -> _Known | None:
        """Of those that were not tried; those that rest come last, and liars and who refuses the task never."""
        now = time.monotonic()
        left = [
            each
            for each in self._known
            if each not in tried and not each.liar and each.refuses.get(task, -math.inf) < now
        ]
        if len(left) > 1:
            for each in left:
                self._ask_for_load(each, task)
        left = [each for each in left if each.refuses.get(task, -math.inf) < now]
        return min(left, key=lambda each: (each.rests > now, each.load + each.sent), default=None)

    def _ask_for_load(self, known: _Known, task: str) -> None:
        with known.asking:
            now = time.monotonic()
            if now - known.asked < ASKED_SECONDS or known.rests > now:
                return
            try:
                status: pb.NodeStatus = known.upstream.call(
                    "GetStatus", pb.GetStatusRequest(), ASKING_SECONDS
                )
            except UpstreamFailed:
                known.rests = time.monotonic() + REST_SECONDS
                return
            # What is on its way there may be part of what it says: it counts twice for a second, for all alike.
            known.load, known.asked = status.task_load, now
            if task and not status.takes_tasks:
                known.refuses[task] = now + REFUSED_SECONDS

    @contextmanager
    def _sent(self, known: _Known, cost: int) -> Iterator[None]:
        with self._lock:
            known.sent += cost
        try:
            yield
        finally:
            with self._lock:
                known.sent -= cost


@dataclass(frozen=True)
class _Share:
    """What all shares of a run have in common.

    Args:
        task, options: of the run.
        text, held: the options as they travel, and what is held in them.
        hops: nodes that it went through.
    """

    task: Task
    options: Options
    text: str
    held: Sequence[Held]
    hops: int

    def ask(self, upstream: Upstream, columns: Columns) -> Columns:
        """What a node answers; columns that are held go with it where the node says that it lacks them."""
        request = pb.RunTaskRequest(
            task=self.task.name,
            columns=[column_message(column) for column in columns],
            options=self.text,
            hops=self.hops,
        )
        _require_room(self.task.name, request.ByteSize())
        by_digest = {held.digest: held for held in self.held}
        sent: set[str] = set()
        while True:
            reply: pb.RunTaskReply = upstream.call("RunTask", request, TASK_SECONDS)
            if not reply.lacks:
                try:
                    return columns_of(reply.columns, "columns")
                except ArgumentError as error:
                    raise UpstreamFailed(upstream.address, "RunTask", "INTERNAL", str(error)) from None
            del request.held[:]
            for digest in reply.lacks:
                if digest not in by_digest or digest in sent:
                    details = f"it lacks columns that it was sent, {digest[:16]}…"
                    raise UpstreamFailed(upstream.address, "RunTask", "INTERNAL", details)
                sent.add(digest)
                held = by_digest[digest].source()
                _require_room(self.task.name, request.ByteSize() + size_of(held))
                message = pb.HeldColumns(digest=digest, columns=[column_message(column) for column in held])
                request.held.append(message)


def _require_room(task: str, size: int) -> None:
    if size > QUESTION_BYTES:
        expected = f"at most {QUESTION_BYTES:,}, which a node reads: cut it into smaller shares"
        raise ArgumentError("columns", f"{size:,} bytes in a share of {task}", expected)
