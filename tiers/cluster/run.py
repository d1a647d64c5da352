# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of a task over many shares: who gets which, what comes back, and what is done again.

Shares are handed out a few at a time to whoever has room, so that a fast node takes more of them. A share has one answer:
the first that comes and stands up to its check. Whatever else happens to it costs time alone:

- its node dies, or lacks memory: it goes to another one (in halves, where memory was short and its items are independent);
- its node is slow: when nothing else is left to hand out, whoever is idle computes it too, and the first answer counts;
- its node is silent for far longer than it should be: likewise, at once;
- its answer is wrong: the node is taken out, and what it has answered and was not checked is computed elsewhere;
- its node says that the work itself is wrong: another one is asked, which has to say so too.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import ray

from supervm.kernels.errors import SupervmError
from supervm.tiers.cluster.checks import Checker
from supervm.tiers.cluster.errors import ClusterError, NoNodeLeft, ShareFailed
from supervm.tiers.cluster.nodes import Node, first_line
from supervm.tiers.cluster.shares import Flight, Share
from supervm.tiers.cluster.task import Columns, Options, Task
from supervm.tiers.cluster.worker import Done

if TYPE_CHECKING:
    from supervm.tiers.cluster.pool import Pool

DEPTH = 2
"""Shares that a node has at a time: one that it computes and one that has arrived."""

TRIES = 4
"""Times that a share may fail before the run does."""

SMALLEST = 256
"""Items of a share that is not halved any further."""

TASK_ERRORS = (ray.exceptions.RayTaskError, ray.exceptions.UnserializableException)
"""What a task raised; another error is one of its actor or its node."""

TICK = 0.25
"""Seconds between looks at nodes and shares that do not answer."""


class Run:
    """Iterate over it to get (index, answer) of every share, in the order in which they are done.

    Args:
        pool: whose nodes compute.
        task: what is to be done.
        parts: columns of each share; taken as they are needed.
        options: of the task.
        recheck: share of the items of each answer that is computed again elsewhere, 0 … 1; at least one is.
        bytes_in_flight: of work taken from `parts` and not answered, at most; one share always goes.
        seed: of the samples.
        wanted: called now and then; what it raises ends the run.

    Attributes:
        suspects: indices that were answered by a node which was found to answer wrongly later. Their samples were right; who
            wants to be sure has them computed again.
    """

    def __init__(
        self,
        pool: Pool,
        task: Task,
        parts: Iterable[Columns],
        options: Options,
        recheck: float,
        bytes_in_flight: int,
        seed: int | None = None,
        wanted: Callable[[], object] = lambda: None,
    ) -> None:
        self.suspects: set[int] = set()
        self._pool, self._task, self._options = pool, task, dict(options)
        self._parts, self._most = enumerate(parts), bytes_in_flight
        self._exhausted = False
        self._held = 0
        self._waiting: deque[Share] = deque()
        self._flights: dict[Any, Flight] = {}
        self._answered: dict[Node, set[int]] = {}
        self._checker = Checker(task, self._options, recheck, np.random.default_rng(seed))
        self._looked, self._wanted = time.monotonic(), wanted
        self._iterator = self._answers()

    def __iter__(self) -> Iterator[tuple[int, Columns]]:
        return self._iterator

    def close(self) -> None:
        """Hand nothing out any more and forget what is on its way."""
        self._iterator.close()  # type: ignore[attr-defined]

    # The loop

    def _answers(self) -> Iterator[tuple[int, Columns]]:
        try:
            while True:
                self._wanted()
                self._take_in()
                self._hand_out()
                if not self._held:
                    return
                for share in (*self._landed(), *self._look_after()):
                    yield share.index, self._released(share)
        except ray.exceptions.RayError as error:  # of Ray itself, such as a store without room
            raise ClusterError(f"task '{self._task.name}': {first_line(error)}") from error
        finally:
            self._forget()

    def _take_in(self) -> None:
        """Take parts while there is room for their bytes."""
        while not self._exhausted and (self._held < self._most or not self._held):
            part = next(self._parts, None)
            if part is None:
                self._exhausted = True
                return
            index, columns = part
            share = Share(index, columns, self._task.items(columns))
            self._held += max(1, share.size)
            self._waiting.append(share)

    def _released(self, share: Share) -> Columns:
        assert share.answer is not None
        self._held -= max(1, share.size)
        return share.answer

    def _hand_out(self) -> None:
        """Give shares to nodes that have room, those with the shortest queue first."""
        nodes = self._pool.usable()
        if not nodes and not self._pool.hopeful():
            raise NoNodeLeft(self._pool.troubles())
        load = dict.fromkeys(nodes, 0)
        for flight in self._flights.values():
            if flight.node in load:
                load[flight.node] += 1
        # Other runs of this process have shares on their way, too.
        with self._pool.choosing:
            for depth in range(DEPTH):
                for node in sorted(nodes, key=lambda node: node.flying):
                    if load[node] <= depth and self._next_for(node):
                        load[node] += 1

    def _next_for(self, node: Node) -> bool:
        """Hand a share to this node, if there is one that it should get."""
        for _ in range(len(self._waiting)):
            share = self._waiting.popleft()
            if share.done:
                continue
            if any(flight.node is node for flight in share.flights) or self._left_to_others(share, node):
                self._waiting.append(share)  # it is meant for another one
                continue
            return self._launch(share, node)
        if self._exhausted and not any(flight.node is node for flight in self._flights.values()):
            late = self._slowest(node)
            return late is not None and self._launch(late, node)
        return False

    def _left_to_others(self, share: Share, node: Node) -> bool:
        """Whether a share failed on this node, and another one will have room that has not tried it: who fails at once
        always has room, and would take all tries."""
        if node not in share.blamed:
            return False
        now = time.monotonic()
        silent = {flight.node for flight in self._flights.values() if flight.overdue(now)}
        return any(other not in share.blamed | silent for other in self._pool.usable())

    def _slowest(self, idle: Node) -> Share | None:
        """The share that would be done last and that an idle node would do sooner."""
        now = time.monotonic()
        latest, found = now, None
        for flight in self._flights.values():
            share = flight.share
            if share.done or share.failures or share.halves or len(share.flights) > 1:
                continue
            ours = idle.seconds(self._task.name, share.items)
            if ours is None:
                continue
            theirs = ours if flight.expected is None else flight.expected
            # Who is late already will be as late again.
            end = max(flight.begun + theirs, now + (now - flight.begun - theirs))
            if end > max(latest, now + ours):
                latest, found = end, share
        return found

    def _launch(self, share: Share, node: Node) -> bool:
        task: Any = self._pool.on_wire(self._task)
        if share.place is None:
            share.place = ray.put(share.columns)
        try:
            reference = node.compute(task, share.place, self._options)
        except ray.exceptions.RayError as error:
            self._pool.lost(node, error)
            if not share.flights:
                self._waiting.appendleft(share)
            return False
        queued = sum(flight.expected or 0.0 for flight in self._flights.values() if flight.node is node)
        own = node.seconds(self._task.name, share.items)
        flight = Flight(share, node, reference, time.monotonic(), None if own is None else queued + own)
        share.flights.append(flight)
        self._flights[reference] = flight
        node.count(1)
        return True

    # What comes back

    def _landed(self) -> Iterator[Share]:
        """Shares whose answers have come and stand."""
        references = [*self._flights, *self._checker.references]
        if not references:
            time.sleep(TICK)
            return
        ready, _ = ray.wait(references, num_returns=len(references), timeout=0)
        if not ready:
            ready, _ = ray.wait(references, num_returns=1, timeout=TICK)
        for reference in ready:
            flight = self._flights.get(reference)
            if flight is not None:
                self._ended(flight)
                yield from self._answered_by(flight)
            else:
                yield from self._checked(reference)

    def _answered_by(self, flight: Flight) -> Iterator[Share]:
        share, node = flight.share, flight.node
        try:
            done: Done = ray.get(flight.reference)
        except ray.exceptions.RayError as error:
            self._failed(flight, error)
            return
        node.learn(self._task.name, share.items, done.seconds)
        if share.done or not node.usable:  # answered before; or by somebody whose word is nothing worth
            self._again(share)
            return
        yield from self._settle(
            self._checker.begin(share, done.answer, node, self._pool.usable(), self._pool.on_wire(self._task))
        )

    def _checked(self, reference: Any) -> Iterator[Share]:
        yield from self._settle(self._checker.finish(reference))

    def _settle(self, verdict: Any) -> Iterator[Share]:
        """Draw the consequences of a check that has ended: who is believed, who is not, and what stands."""
        if verdict is None:  # on its way
            return
        for liar in verdict.wrong:
            self._distrust(liar)
        if verdict.failed is not None:
            self._pool.lost(*verdict.failed)
        share: Share = verdict.share
        if share.done:
            return
        if verdict.answer is None or not verdict.node.breaker.closed:
            self._again(share)
            return
        yield from self._stands(share, verdict.answer, verdict.node)

    def _stands(self, share: Share, answer: Columns, node: Node) -> Iterator[Share]:
        share.done, share.answer = True, answer
        self._answered.setdefault(node, set()).add(share.index)
        for failed in share.blamed - {node}:
            failed.breaker.failure(self._task.name, "it failed at what another node did")
        parent = share.parent
        if parent is None:
            yield share
            return
        if all(half.done for half in parent.halves) and not parent.done:
            answers = [half.answer for half in parent.halves]
            joined = tuple(np.concatenate(columns) for columns in zip(*answers, strict=True))
            yield from self._stands(parent, joined, node)

    # What goes wrong

    def _again(self, share: Share) -> None:
        """Have a share computed that nobody computes now."""
        if not share.done and not share.flights and not share.halves and share not in self._waiting:
            self._waiting.appendleft(share)

    def _failed(self, flight: Flight, error: Exception) -> None:
        """A share brought no answer: its actor died, or its task raised something.

        What a task raises is held against the node once another one has computed the share.
        """
        share, cause = flight.share, getattr(error, "cause", None)
        if isinstance(cause, SupervmError) and isinstance(cause, (ValueError, LookupError)):
            self._refused(flight, cause)
            return
        if isinstance(error, TASK_ERRORS):
            share.blamed.add(flight.node)
        else:
            self._pool.lost(flight.node, error)
        if share.done:
            return
        share.failures += 1
        if share.failures >= TRIES:
            raise ShareFailed(self._task.name, share.index, first_line(cause or error)) from error
        # Ray's words for a worker that was killed name the lack of memory as a cause.
        short = isinstance(cause, MemoryError) or (cause is None and "memory" in str(error).lower())
        if short and self._task.take is not None and share.items > SMALLEST and not share.halves:
            self._halve(share)
        else:
            self._again(share)

    def _refused(self, flight: Flight, cause: Exception) -> None:
        """A node calls the work wrong, which is the caller's error where a second one says so, or there is none to ask."""
        share = flight.share
        if share.done:
            return
        share.refusals += 1
        share.blamed.add(flight.node)
        if share.refusals > 1 or all(node in share.blamed for node in self._pool.usable()):
            raise cause from None
        self._again(share)

    def _halve(self, share: Share) -> None:
        assert self._task.take is not None
        middle = share.items // 2
        for start, stop in ((0, middle), (middle, share.items)):
            columns = self._task.take(share.columns, np.arange(start, stop))
            half = Share(share.index, columns, stop - start, parent=share)
            share.halves.append(half)
        self._waiting.extendleft(reversed(share.halves))

    def _distrust(self, node: Node) -> None:
        """A node has answered wrongly: nothing of it counts that was not checked."""
        node.breaker.lose(f"{self._task.name}: it answered wrongly")
        self.suspects |= self._answered.get(node, set())
        for flight in [flight for flight in self._flights.values() if flight.node is node]:
            self._drop(flight)

    def _drop(self, flight: Flight) -> None:
        """Expect nothing of a flight any more."""
        self._ended(flight)
        self._again(flight.share)

    def _ended(self, flight: Flight) -> None:
        del self._flights[flight.reference]
        flight.share.flights.remove(flight)
        flight.node.count(-1)

    def _look_after(self) -> Iterator[Share]:
        """See which nodes are there, and give away what is overdue; shares whose late checks have ended."""
        now = time.monotonic()
        if now - self._looked < TICK:
            return
        self._looked = now
        self._pool.look()
        for flight in [flight for flight in self._flights.values() if not flight.node.usable]:
            self._drop(flight)
        for flight in self._flights.values():
            share = flight.share
            if (
                flight.overdue(now)
                and len(share.flights) == 1
                and not share.done
                and share not in self._waiting
            ):
                self._waiting.appendleft(share)
        for verdict in self._checker.late():
            yield from self._settle(verdict)

    def _forget(self) -> None:
        """Leave nothing behind: what has not begun on a node is not computed there any more."""
        for flight in list(self._flights.values()):
            self._ended(flight)
            with suppress(ray.exceptions.RayError):
                ray.cancel(flight.reference)
        self._waiting.clear()
        self._checker.forget()
