# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes of a pool: an actor on each, whether it may be used, how fast it is, and its circuit breaker.

starting ──it answers, with our sources──▶ ready          starting ──other sources──▶ refused
starting ──no answer for long──▶ refused ──it answers──▶ ready
ready ──its actor died and the machine is there──▶ starting
any ──the machine left the cluster──▶ gone; one that comes back is another node
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from supervm.engine.scheduler.breaker import CircuitBreaker
from supervm.engine.scheduler.settings import SchedulerSettings
from supervm.tiers.cluster.errors import NodeRefused
from supervm.tiers.cluster.worker import About, NodeWorker

NAMESPACE = "supervm"
"""Of the actors: every process that uses a cluster meets the same ones, warm from the last."""

SAMPLES = "samples"
"""The concurrency group of an actor in which checks are computed, beside the share in hand."""

START_SECONDS = 120.0
"""How long an actor may take to come up: it loads the libraries, and asks for its GPUs."""

PROBE_SECONDS = 10.0
"""How long a node may take over a known answer."""

AGAIN_SECONDS = 0.5
"""After an actor died: until the head knows it, its name leads to the dead one."""

DAMPING = 0.3
"""How far one share moves what is known of a node's speed."""


class State(Enum):
    """Of a node."""

    STARTING = "starting"
    READY = "ready"
    REFUSED = "refused"
    GONE = "gone"


@dataclass(eq=False)
class Node:
    """A node.

    Args:
        identity: Ray's, in hexadecimal digits.
        name: unique in the cluster, for people.
        resources: as Ray has them.
        state: see above.
        trouble: why it is not ready, or ''.
        about: what it says of itself, once it has answered.
        pace: task → seconds of an item, as its last shares were.
        flying: shares of this process that are on their way there.
    """

    identity: str
    name: str
    resources: dict[str, float]
    state: State = State.STARTING
    trouble: str = ""
    about: About | None = None
    pace: dict[str, float] = field(default_factory=dict)
    flying: int = 0
    breaker: CircuitBreaker = field(
        default_factory=lambda: CircuitBreaker(SchedulerSettings.cooldown, SchedulerSettings.most_cooldown)
    )
    _warm: set[str] = field(default_factory=set)
    _actor: Any = None
    _asked: Any = None
    _since: float = -AGAIN_SECONDS
    _counting: threading.Lock = field(default_factory=threading.Lock)

    @property
    def usable(self) -> bool:
        """Whether it may be given work."""
        return self.state is State.READY and self.breaker.closed

    @property
    def why_not(self) -> str:
        """Why it may not, or ''."""
        return "" if self.usable else self.trouble or self.breaker.reason or self.state.value

    def start(self) -> None:
        """Find its actor, or start it, and ask what it is."""
        options: dict[str, Any] = {
            "name": f"supervm {self.identity}",
            "namespace": NAMESPACE,
            "get_if_exists": True,
            "lifetime": "detached",
            "num_cpus": self.resources.get("CPU", 0),
            "num_gpus": self.resources.get("GPU", 0),
            "max_restarts": 0,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(self.identity, soft=False),
        }
        cores = int(self.resources.get("CPU", 0))
        try:
            kind = ray.remote(concurrency_groups={SAMPLES: 1})(NodeWorker)
            self._actor = kind.options(**options).remote(cores)
            self._asked = self._actor.about.remote()
        except (ray.exceptions.RayError, ValueError) as error:
            self._actor = self._asked = None
            self.trouble = first_line(error)
        self.state, self._since = State.STARTING, time.monotonic()

    def look(self, ours: str) -> None:
        """Take up the answer of an actor that was started, if it is there.

        Args:
            ours: digest of our sources.
        """
        late = self.state is State.REFUSED and self._asked is not None  # its cores are free by now
        if self.state is not State.STARTING and not late:
            return
        if self._asked is None:
            if time.monotonic() - self._since > AGAIN_SECONDS:
                self.start()
            return
        ready, _ = ray.wait([self._asked], timeout=0)
        if not ready:
            if not late and time.monotonic() - self._since > START_SECONDS:
                self.refuse(
                    f"no answer within {START_SECONDS:.0f} s; are its cores in use by other work of Ray?"
                )
            return
        try:
            self.about = ray.get(self._asked)
        except ray.exceptions.RayError as error:
            self._asked = None
            self.failed(error)
            return
        if self.about.digest != ours:
            refused = refusal(self, ours)
            self.refuse(refused.problem)
            self._asked = None
            return
        self.state, self.trouble, self._asked = State.READY, "", None

    def refuse(self, problem: str) -> None:
        """Use it no more, for this reason."""
        self.state, self.trouble = State.REFUSED, problem

    def failed(self, error: BaseException) -> None:
        """Its actor has died, or does not answer: three times within a minute open the circuit."""
        self.breaker.failure("actor", first_line(error))
        self.state, self.trouble, self._asked = State.STARTING, first_line(error), None
        self._since = time.monotonic()
        self._warm.clear()

    def gone(self) -> None:
        """Its machine has left the cluster."""
        self.state, self.trouble = State.GONE, "it has left the cluster"

    def compute(self, task: Any, columns: Any, options: dict[str, Any], sample: bool = False) -> Any:
        """Begin a task there; the reference of its `Done`.

        Args:
            task: a name, or a function.
            columns: a reference, or columns themselves where they are few.
            sample: do not wait for the shares that the node has.
        """
        group = {"concurrency_group": SAMPLES} if sample else {}
        return self._actor.compute.options(**group).remote(task, columns, options)

    def count(self, more: int) -> None:
        """So many more shares are on their way there, or fewer."""
        with self._counting:
            self.flying += more

    def answers(self) -> None:
        """See that its actor answers.

        Raises:
            RayError: it does not.
        """
        ray.get(self._actor.about.options(concurrency_group=SAMPLES).remote(), timeout=PROBE_SECONDS)

    def learn(self, task: str, items: int, seconds: float) -> None:
        """A share of so many items took it so long; the first one of a task may have compiled kernels, and tells nothing."""
        if task not in self._warm:
            self._warm.add(task)
            return
        found = seconds / max(1, items)
        before = self.pace.get(task)
        self.pace[task] = found if before is None else before + DAMPING * (found - before)

    def seconds(self, task: str, items: int) -> float | None:
        """What so many items are thought to take it; None if nobody knows."""
        pace = self.pace.get(task)
        return None if pace is None else pace * items


def refusal(node: Node, ours: str) -> NodeRefused:
    """Why a node with other sources is not used."""
    theirs = node.about
    assert theirs is not None
    return NodeRefused(
        node.name,
        f"its sources are {theirs.digest} of version {theirs.version}, ours are {ours}: install the same version there and "
        "start it again (`supervm cluster stop`, then `join`)",
    )


def first_line(error: BaseException) -> str:
    """What an error says, in a line."""
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0] if said else 'no reason given'}"


def found_in_cluster() -> dict[str, tuple[str, dict[str, float]]]:
    """Identity → name and resources of every machine that is in the cluster now.

    Names are Ray's (`--node-name`, else an address), with the begin of the identity where two have the same.
    """
    alive = [node for node in ray.nodes() if node["Alive"]]
    names = [node["NodeName"] for node in alive]
    return {
        node["NodeID"]: (
            name if names.count(name) == 1 else f"{name} {node['NodeID'][:8]}",
            dict(node["Resources"]),
        )
        for node, name in zip(alive, names, strict=True)
    }
