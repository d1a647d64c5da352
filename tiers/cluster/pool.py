# SPDX-License-Identifier: GPL-3.0-or-later
"""The compute pool: the nodes of a Ray cluster, each with one warm actor, and work that is cut over them.

    with Pool.connect("10.0.0.1:6379") as pool:
        for index, (verdicts,) in pool.run("verify.ed25519", parts, {"rule": "zip215"}):
            ...

Every process that connects meets the same actors. What they answer is checked (`checks.py`), what fails is computed
elsewhere (`run.py`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, NamedTuple

import ray

from supervm.engine.scheduler.cost import CostModel
from supervm.kernels.errors import ArgumentError
from supervm.tiers.cluster import connecting
from supervm.tiers.cluster.errors import NoCluster, NoNodeLeft
from supervm.tiers.cluster.nodes import (
    PROBE_SECONDS,
    START_SECONDS,
    Node,
    State,
    first_line,
    found_in_cluster,
)
from supervm.tiers.cluster.planning import Planner
from supervm.tiers.cluster.run import Run
from supervm.tiers.cluster.splitting.parts import RECHECK
from supervm.tiers.cluster.task import NO_OPTIONS, Columns, Options, Repeatable, Task, same
from supervm.tiers.cluster.tasks import TASKS
from supervm.tiers.cluster.worker import About, sources

STORE_SHARE = 4
"""Work in flight takes at most one part in so many of the smallest object store."""

THREAD_ITEMS, GPU_ITEMS = 1 << 15, 1 << 18
"""Items of a share for each thread of a node, and of one with a GPU: some tenths of a second of signatures."""

GRACE_SECONDS = 10.0
"""How long a head is waited for, and others when one node is ready; they are taken up when they come."""

PROBED_ITEMS = 64
"""Of a known answer."""

LOOK_SECONDS = 1.0
"""Between looks at which machines the cluster has."""


class NodeStatus(NamedTuple):
    """A node, for people.

    Args:
        name: in the cluster.
        state: 'ready', 'starting', 'refused', 'gone' or 'taken out'.
        trouble: why it gets no work, or ''.
        about: what it says of itself, None before it has answered.
        rates: task → items a second, as its last shares were.
    """

    name: str
    state: str
    trouble: str
    about: About | None
    rates: dict[str, float]


class Pool:
    """A cluster, as this process uses it. Several threads may run work on a pool at a time.

    Args:
        address: of the cluster, HOST:PORT.

    Attributes:
        choosing: held while shares are given to nodes: each goes to the one that has fewest.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._ours = sources()
        self._nodes: dict[str, Node] = {}
        self._looked, self._looking = 0.0, threading.Lock()
        self.choosing = threading.Lock()
        self._planner = Planner(self)
        self._others: dict[str, Task] = {}

    @classmethod
    def connect(cls, address: str, *, wait: float = START_SECONDS) -> Pool:
        """Connect this process to a cluster and wait until every node has answered.

        Args:
            address: HOST:PORT of the cluster; this machine must be one of its nodes (`supervm cluster join`).
            wait: seconds for slow nodes; those that come later are taken up then.

        Raises:
            NoCluster: none is there, or it cannot be used from here.
            NoNodeLeft: no node answered, or the sources of all differ from ours; why, node by node.
        """
        connecting.connect(address)
        pool = cls(address)
        begun = time.monotonic()
        until = begun + wait
        while not pool.look(now=True):  # a busy head may not answer at once
            if time.monotonic() > begun + GRACE_SECONDS:
                raise NoCluster(address, "its head does not answer any more")
            time.sleep(0.02)
        while any(node.state is State.STARTING for node in pool._met()) and time.monotonic() < until:
            time.sleep(0.02)
            pool.look()
            if pool.usable():
                until = min(until, time.monotonic() + GRACE_SECONDS)
        if not pool.usable():
            raise NoNodeLeft(pool.troubles())
        return pool

    def close(self) -> None:
        """Leave the cluster; its nodes stay warm for others."""
        connecting.disconnect()

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Nodes

    def nodes(self) -> tuple[NodeStatus, ...]:
        """Every node that was met, by name."""
        return tuple(_status(node) for node in sorted(self._met(), key=lambda node: node.name))

    def usable(self) -> list[Node]:
        """Nodes that may be given work now."""
        return [node for node in self._met() if node.usable]

    def hopeful(self) -> bool:
        """Whether a node may become usable."""
        return any(node.state is State.STARTING and node.breaker.closed for node in self._met())

    def troubles(self) -> tuple[str, ...]:
        """Why each node that is not usable is not."""
        return tuple(f"{node.name}: {node.why_not}" for node in self._met() if not node.usable)

    def _met(self) -> list[Node]:
        return list(self._nodes.values())  # at once: another thread may add to them

    def look(self, now: bool = False) -> bool:
        """Take up machines that came, let go of those that left, and see whose actor has answered; one thread at a time.

        Returns:
            Whether the head was asked which machines there are, and answered; it is asked now and then, or `now`.
        """
        if not self._looking.acquire(blocking=False):
            return False
        try:
            return self._look(now)
        finally:
            self._looking.release()

    def _look(self, now: bool) -> bool:
        moment = time.monotonic()
        asked = now or moment - self._looked > LOOK_SECONDS
        if asked:
            self._looked = moment
            if not connecting.answers(self.address):
                return False  # the head restarts; actors go on without it
            found = found_in_cluster()
            for identity, (name, resources) in found.items():
                if identity not in self._nodes and resources.get("CPU", 0) >= 1:
                    self._nodes[identity] = Node(identity, name, resources)
            for identity, node in self._nodes.items():
                if identity not in found:
                    node.gone()
        for node in self._nodes.values():
            node.look(self._ours)
            if node.state is State.READY and not node.breaker.closed:
                self._readmit(node)
        return asked

    def _readmit(self, node: Node) -> None:
        """Ask a node whose cool-down is over for what it failed at: an answer that is known here lets it in again."""
        suspects = node.breaker.probe()
        if not suspects:
            return
        problem = ""
        try:
            node.answers()
            for name in suspects:
                task = TASKS.get(name) or self._others.get(name)
                if task is not None and task.example is not None:
                    columns, options = task.example(PROBED_ITEMS)
                    reference = node.compute(self.on_wire(task), columns, dict(options), sample=True)
                    found = ray.get(reference, timeout=PROBE_SECONDS).answer
                    if not same(found, task.function(columns, options)):
                        problem = f"{name}: a known answer was wrong"
        except ray.exceptions.RayError as error:
            problem = first_line(error)
        node.breaker.probed(problem)

    def lost(self, node: Node, error: Exception) -> None:
        """A node's actor has died or does not answer: it is started again where its machine is still there."""
        if node.state is State.READY:
            node.failed(error)

    # Work

    def on_wire(self, task: Task) -> str | Callable[..., Any]:
        """How a task is sent: by its name, or as its function where it is not in the table."""
        return task.name if TASKS.get(task.name) is task else task.function

    def run(
        self,
        task: Task | str,
        parts: Iterable[Columns],
        options: Options = NO_OPTIONS,
        *,
        recheck: float = RECHECK,
        bytes_in_flight: int | None = None,
        seed: int | None = None,
        wanted: Callable[[], object] = lambda: None,
    ) -> Run:
        """Compute a task over many shares; iterate over what it returns to get (index, answer), in the order of completion.

        Shares should be small: of a tenth of a second to a second. `parts` is read as shares are done, so it may be endless.

        Args:
            task: a row of the table, or its name.
            parts: columns of each share.
            options: the same for all.
            recheck: share of the items of an answer that is computed again, 0 … 1; 0 believes whatever has the form of one.
            bytes_in_flight: of work that is handed out, at most; a quarter of the smallest object store if None.
            seed: of the samples, for tests.
            wanted: called a few times a second; what it raises, because nobody waits any more, ends the run.

        Raises, while it is iterated over:
            ArgumentError: what the task raises for wrong columns.
            NoNodeLeft: every node is gone, refused or taken out.
            ShareFailed: a share failed wherever it was tried.
        """
        if not 0 <= recheck <= 1:
            raise ArgumentError("recheck", repr(recheck), "a share between 0 and 1")
        most = self._store_share() if bytes_in_flight is None else bytes_in_flight
        return Run(self, self.task(task), parts, options, recheck, most, seed, wanted)

    def answers(
        self,
        task: Task | str,
        parts: Iterable[Columns],
        options: Options = NO_OPTIONS,
        *,
        recheck: float = RECHECK,
        wanted: Callable[[], object] = lambda: None,
    ) -> Iterator[tuple[int, Columns]]:
        """As `run`; what a node answered that is found to lie later is computed again at the end, and comes again: the last
        answer of a share counts. The columns of all shares are kept until then, unless `parts` can give them again.

        Raises: as `run`.
        """
        given: dict[int, Columns] = {}
        given_again = parts.again if isinstance(parts, Repeatable) else given.__getitem__

        def seen() -> Iterator[Columns]:
            for index, columns in enumerate(parts):
                if not isinstance(parts, Repeatable):
                    given[index] = columns
                yield columns

        going = self.run(task, seen(), options, recheck=recheck, wanted=wanted)
        yield from going
        numbers = sorted(going.suspects)
        while numbers:
            going = self.run(task, map(given_again, numbers), options, recheck=recheck, wanted=wanted)
            for place, answer in going:
                yield numbers[place], answer
            numbers = [numbers[place] for place in sorted(going.suspects)]

    def compute(self, task: Task | str, columns: Columns, options: Options = NO_OPTIONS) -> Columns:
        """One batch of items that do not depend on each other: here, on one node, or cut over several.

        Whatever is done first by what was measured, transfer included.

        Raises: as `run`.
        """
        return self._planner.compute(self.task(task), columns, options)

    def share_items(self) -> int:
        """Items of a share that is small for every node and not too small for the largest."""
        abouts = [node.about for node in self.usable() if node.about is not None]
        if any(about.gpus for about in abouts):
            return GPU_ITEMS
        return THREAD_ITEMS * max((about.threads for about in abouts), default=1)

    def models(self, task: Task | str) -> dict[str, CostModel]:
        """What the task costs here ('') and on each node by name, transfer included; measured at the first call."""
        return self._planner.models(self.task(task))

    def task(self, task: Task | str) -> Task:
        """A row of the table.

        Raises:
            ArgumentError: no such name.
        """
        if isinstance(task, Task):
            if TASKS.get(task.name) is not task:
                self._others[task.name] = task
            return task
        try:
            return TASKS[task]
        except KeyError:
            raise ArgumentError("task", repr(task), f"one of {', '.join(TASKS)}") from None

    def _store_share(self) -> int:
        stores = [node.resources.get("object_store_memory", 0.0) for node in self.usable()]
        return int(min(stores, default=float(1 << 28))) // STORE_SHARE


def _status(node: Node) -> NodeStatus:
    state = node.state.value
    if node.state is State.READY and not node.usable:
        state = "taken out"
    rates = {task: 1 / pace for task, pace in node.pace.items() if pace}
    return NodeStatus(node.name, state, node.why_not, node.about, rates)
