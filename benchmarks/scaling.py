# SPDX-License-Identifier: GPL-3.0-or-later
"""The model of docs/scale.md beside pools of one to four nodes whose links are limited.

    python -m supervm.benchmarks.scaling --node-link 40 --head-link 1000

Needs Linux, root, `ip` and `tc`. Every node, the head and a hub between them are network namespaces that are made here and
removed at the end; links are limited by token buckets (tc-tbf), and delayed where the kernel can (tc-netem). Nodes do not
compute: they wait as long as a machine of `--rate` would take, so that four of them fit a machine of two cores. They are
nodes upstream (`supervm.tiers.node.upstreams`), which are handed shares as those of a cluster are, two at a time.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, cast

import numpy as np

from supervm.benchmarks.errors import NotSimulated
from supervm.engine.scheduler.tasks import TaskType
from supervm.engine.work_classes import Work
from supervm.tiers.cluster.model import Pool
from supervm.tiers.cluster.task import Columns, Options, Task, take_rows
from supervm.tiers.cluster.tasks import TASKS
from supervm.tiers.node.account_cache import AccountCache
from supervm.tiers.node.edge_service import EdgeService
from supervm.tiers.node.server import NodeServer
from supervm.tiers.node.task_desk import TaskDesk
from supervm.tiers.node.tasks import TaskRouter
from supervm.tiers.node.upstream import Upstream
from supervm.tiers.node.upstreams import Upstreams
from supervm.tiers.service.v1 import node_pb2 as pb
from supervm.tiers.tier import L1

ITEM_BYTES, ANSWER_BYTES = 168, 1
"""Of an Ed25519 signature on a message of 64 bytes: key, message with its offset, signature; and of a verdict."""

SHARE_ITEMS = 1 << 14
HANDED_OVER = 40
"""Shares of each size whose cost is taken."""

NODES = (1, 2, 3, 4)
SHARES_PER_NODE = 6
MEGABIT = 1e6 / 8

PREFIX = "svm"
NETWORK = "10.231.77"
PORT = 6399

_computing = threading.Lock()
"""A node computes one share at a time."""


def wait(columns: Columns, options: Options) -> Columns:
    """Verdicts of items that take a node of the rate `rate` so long: it waits."""
    with _computing:
        time.sleep(len(columns[0]) / options["rate"])
    return (np.ones(len(columns[0]), np.int8),)


WAIT = Task(
    "benchmarks.wait", wait, items=lambda columns: len(columns[0]), type=TaskType.HASHING, take=take_rows
)


@contextmanager
def network(nodes: int, node_link: float, head_link: float, delay: float) -> Iterator[bool]:
    """Namespaces `svm-head` and `svm-1` … with a hub between them; whether links have the delay.

    Args:
        nodes: how many.
        node_link, head_link: megabits a second, in each direction.
        delay: seconds of each direction of a node's link.

    Raises:
        NotSimulated: `ip` or `tc` may not, or cannot.
    """
    names = ["head", *map(str, range(1, nodes + 1))]
    with ExitStack() as stack:
        for name in ("hub", *names):
            _do("ip", "netns", "add", f"{PREFIX}-{name}")
            stack.callback(_do, "ip", "netns", "del", f"{PREFIX}-{name}")
            _inside(name, "ip", "link", "set", "lo", "up")
        _inside("hub", "ip", "link", "add", "bridge", "type", "bridge")
        _inside("hub", "ip", "link", "set", "bridge", "up")
        delayed = delay > 0
        for place, name in enumerate(names, 1):
            hub_side, own_side = f"{PREFIX}h{name}", f"{PREFIX}{name}"
            _do("ip", "link", "add", hub_side, "netns", f"{PREFIX}-hub", "type", "veth", "peer", "name", own_side,
                "netns", f"{PREFIX}-{name}")  # fmt: skip
            _inside("hub", "ip", "link", "set", hub_side, "master", "bridge", "up")
            _inside(name, "ip", "address", "add", f"{NETWORK}.{place}/24", "dev", own_side)
            _inside(name, "ip", "link", "set", own_side, "up")
            link = head_link if name == "head" else node_link
            for at, device in (("hub", hub_side), (name, own_side)):
                limited = (
                    "tbf",
                    "rate",
                    f"{link}mbit",
                    "burst",
                    f"{max(64, int(link))}kb",
                    "latency",
                    "200ms",
                )
                _inside(at, "tc", "qdisc", "add", "dev", device, "root", "handle", "1:", *limited)
                if delayed and name != "head":
                    more = ("parent", "1:", "netem", "delay", f"{1e3 * delay}ms")
                    delayed = _may(at, "tc", "qdisc", "add", "dev", device, *more)
        yield delayed


def _do(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip() or "it said nothing"
        raise NotSimulated(f"{' '.join(command)}: {said}; it needs Linux, root, ip and tc")


def _inside(name: str, *command: str) -> None:
    _do("ip", "netns", "exec", f"{PREFIX}-{name}", *command)


def _may(name: str, *command: str) -> bool:
    try:
        _inside(name, *command)
    except NotSimulated:
        return False
    return True


@contextmanager
def served(place: int) -> Iterator[None]:
    """A node in its namespace, ended with the block.

    Raises:
        NotSimulated: it does not listen.
    """
    own = f"{NETWORK}.{place + 1}:{PORT}"
    process = subprocess.Popen([*_in(str(place)), "--serve", own], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != own:
            raise NotSimulated(f"node {place} does not listen on {own}")
        yield
    finally:
        process.terminate()
        process.wait()


def _in(name: str) -> list[str]:
    """This module's command, in a namespace."""
    return ["ip", "netns", "exec", f"{PREFIX}-{name}", sys.executable, "-m", "supervm.benchmarks.scaling"]


class _Node(EdgeService):
    """A node that does nothing but shares."""

    def __init__(self) -> None:
        router = TaskRouter(L1, tuple(Work))
        self._tasks = TaskDesk(router, open_to_others=True)
        super().__init__(cast("Any", None), router, AccountCache(1 << 10, 1.0), desk=self._tasks)

    def get_status(self, request: pb.GetStatusRequest) -> pb.NodeStatus:
        return pb.NodeStatus(takes_tasks=True, task_load=self._tasks.load)


def serve(address: str) -> None:
    """Be a node until a signal ends it; its address is printed when it listens."""
    TASKS[WAIT.name] = WAIT
    NodeServer(_Node(), address).start()
    print(address, flush=True)
    threading.Event().wait()


def measure(nodes: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Start nodes in namespaces and drive them from the head's; what `drive` finds.

    Raises:
        NotSimulated: as `network` and `served`, or the driver failed.
    """
    with ExitStack() as stack:
        links = arguments.node_link, arguments.head_link
        delayed = stack.enter_context(network(nodes, *links, arguments.delay))
        for place in range(1, nodes + 1):
            stack.enter_context(served(place))
        drive = [*_in("head"), "--drive", "--nodes", str(nodes), "--rate", str(arguments.rate)]
        done = subprocess.run(drive, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotSimulated(f"the driver: {done.stderr.strip()[-400:]}")
        return {**json.loads(done.stdout), "delayed": delayed}


def drive(nodes: int, rate: float) -> dict[str, Any]:
    """Hand work to so many nodes: items a second, and what a share costs the driver."""
    TASKS[WAIT.name] = WAIT
    above = [Upstream(f"{NETWORK}.{place + 1}:{PORT}") for place in range(1, nodes + 1)]
    rows = np.zeros((SHARE_ITEMS, ITEM_BYTES), np.uint8)
    with Upstreams(above, recheck=0.0) as run:

        def work(shares: int, speed: float) -> float:
            begun = time.perf_counter()
            answers = run.run(WAIT.name, ((rows,) for _ in range(shares)), {"rate": speed})
            found = sum(len(answer[0]) for _, answer in answers)
            if found != shares * SHARE_ITEMS:
                raise NotSimulated(f"{found} answers to {shares * SHARE_ITEMS} items")
            return time.perf_counter() - begun

        cpu = time.process_time()
        work(2 * nodes, 1e9)
        share_seconds = (time.process_time() - cpu) / (2 * nodes)
        shares = SHARES_PER_NODE * nodes
        seconds = work(shares, rate)
    return {
        "nodes": nodes,
        "items_per_second": shares * SHARE_ITEMS / seconds,
        "share_seconds": share_seconds,
    }


def hand_over() -> dict[str, float]:
    """What a share and an item cost whoever hands them to a cluster: processor seconds, from shares of two sizes on a node
    that answers at once; checks included."""
    from supervm.benchmarks import scaling  # nodes know the task by this name, not by that of a program
    from supervm.benchmarks.cluster import nodes_of

    costs = []
    with nodes_of(None) as grow:
        pool = grow(1)
        for size in (SHARE_ITEMS, 8 * SHARE_ITEMS):
            rows = np.zeros((size, ITEM_BYTES), np.uint8)
            for shares in (2, HANDED_OVER):
                cpu = time.process_time()
                for _ in pool.run(scaling.WAIT, ((rows.copy(),) for _ in range(shares)), {"rate": 1e9}):
                    pass
            costs.append((time.process_time() - cpu) / HANDED_OVER)
    item = max(0.0, (costs[1] - costs[0]) / (7 * SHARE_ITEMS))
    return {"share_seconds": costs[0] - item * SHARE_ITEMS, "item_seconds": item}


def main() -> None:
    """Measure, and print each pool beside the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=50_000, help="items a second of a node")
    parser.add_argument("--node-link", type=float, default=1_000, help="megabits a second")
    parser.add_argument("--head-link", type=float, default=1_000, help="megabits a second")
    parser.add_argument(
        "--delay", type=float, default=0.0, help="seconds, of each direction of a node's link"
    )
    parser.add_argument(
        "--hand-over", action="store_true", help="what a share costs whoever hands it to a cluster"
    )
    parser.add_argument("--nodes", type=int, help="only this number")
    parser.add_argument("--drive", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--serve", metavar="ADDRESS", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return
    if arguments.drive:
        print(json.dumps(drive(arguments.nodes, arguments.rate)))
        return
    if arguments.hand_over:
        print(json.dumps(hand_over()))
        return
    model = Pool(
        rate=arguments.rate,
        share_items=SHARE_ITEMS,
        item_bytes=ITEM_BYTES,
        answer_bytes=ANSWER_BYTES,
        node_link=arguments.node_link * MEGABIT,
        head_link=arguments.head_link * MEGABIT,
        delay=arguments.delay,
        recheck=0.0,
    )
    for nodes in [arguments.nodes] if arguments.nodes else NODES:
        found = measure(nodes, arguments)
        delay = arguments.delay if found["delayed"] else 0.0
        used = replace(model, delay=delay, share_seconds=found["share_seconds"])
        items = SHARES_PER_NODE * nodes * SHARE_ITEMS
        predicted = items / used.seconds(items, nodes)
        print(json.dumps({**found, "predicted": predicted, "ratio": found["items_per_second"] / predicted}))


if __name__ == "__main__":
    main()
