# SPDX-License-Identifier: GPL-3.0-or-later
"""The model of docs/scale.md beside pools of one to four nodes whose links are limited.

    python -m supervm.benchmarks.scaling --node-link 40 --head-link 1000

Needs Linux, root, `ip` and `tc`. Every node, the head and a hub between them are network namespaces that are made here and
removed at the end; links are limited by token buckets (tc-tbf), and delayed where the kernel can (tc-netem). Nodes do not
compute: they wait as long as a machine of `--rate` would take, so that four of them fit a machine of two cores. Everything
else is real: Ray, its object stores, the pool, the checks.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from supervm.benchmarks.errors import NotSimulated
from supervm.engine.scheduler.tasks import TaskType
from supervm.tiers.cluster.model import Pool as Model
from supervm.tiers.cluster.task import Columns, Options, Task, take_rows

if TYPE_CHECKING:
    from supervm.tiers.cluster.pool import Pool

ITEM_BYTES, ANSWER_BYTES = 168, 1
"""Of an Ed25519 signature on a message of 64 bytes: key, message with its offset, signature; and of a verdict."""

SHARE_ITEMS = 1 << 15
NODES = (1, 2, 3, 4)
SHARES_PER_NODE = 6
MEGABIT = 1e6 / 8

PREFIX = "svm"
NETWORK = "10.231.77"
PORT = 6399
STORE = 100 << 20
READY_SECONDS = 120.0


def wait(columns: Columns, options: Options) -> Columns:
    """Verdicts of items that take a node of the rate `rate` so long: it waits."""
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
def started(name: str, *arguments: str) -> Iterator[None]:
    """`ray start` in a namespace, ended with all its processes."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
    process = subprocess.Popen(
        ["ip", "netns", "exec", f"{PREFIX}-{name}", *command, f"--object-store-memory={STORE}", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def measure(nodes: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Start a head and nodes in namespaces, and drive them from the head's; what `drive` prints."""
    with ExitStack() as stack:
        delayed = stack.enter_context(
            network(nodes, arguments.node_link, arguments.head_link, arguments.delay)
        )
        head = f"{NETWORK}.1"
        stack.enter_context(started("head", "--head", f"--port={PORT}", f"--node-ip-address={head}",
                                    "--num-cpus=0", "--include-dashboard=false"))  # fmt: skip
        time.sleep(8.0)
        for place in range(1, nodes + 1):
            here = f"--node-ip-address={NETWORK}.{place + 1}"
            stack.enter_context(started(str(place), f"--address={head}:{PORT}", here, "--num-cpus=1"))
        drive = ["ip", "netns", "exec", f"{PREFIX}-head", sys.executable, "-m", "supervm.benchmarks.scaling"]
        drive += ["--drive", f"{head}:{PORT}", "--nodes", str(nodes), "--rate", str(arguments.rate)]
        done = subprocess.run(drive, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotSimulated(f"the driver: {done.stderr.strip()[-400:]}")
        return {**json.loads(done.stdout), "delayed": delayed}


def drive(address: str, nodes: int, rate: float) -> dict[str, Any]:
    """Run work on a cluster of so many nodes: items a second, and what a share costs the driver."""
    with _connected(address, nodes) as pool:
        rows = np.zeros((SHARE_ITEMS, ITEM_BYTES), np.uint8)

        def work(shares: int, speed: float) -> float:
            begun = time.perf_counter()
            found = sum(
                len(answer[0]) for _, answer in pool.run(WAIT, _copies(rows, shares), {"rate": speed})
            )
            assert found == shares * SHARE_ITEMS
            return time.perf_counter() - begun

        work(2 * nodes, 1e9)
        shares = SHARES_PER_NODE * nodes
        cpu = time.process_time()
        seconds = work(shares, rate)
        return {
            "nodes": nodes,
            "items_per_second": shares * SHARE_ITEMS / seconds,
            "driver_cpu_seconds_per_share": (time.process_time() - cpu) / shares,
        }


def _connected(address: str, nodes: int) -> Pool:
    """The pool, once so many nodes are there.

    Raises:
        NotSimulated: they do not come.
    """
    from supervm.tiers.cluster.errors import ClusterError
    from supervm.tiers.cluster.pool import Pool

    until, trouble = time.monotonic() + READY_SECONDS, "nobody was asked"
    while time.monotonic() < until:
        try:
            pool = Pool.connect(address)
        except ClusterError as error:
            trouble = str(error)
        else:
            if len(pool.usable()) >= nodes:
                return pool
            trouble = f"{len(pool.usable())} of {nodes} nodes are there; {'; '.join(pool.troubles())}"
        time.sleep(0.5)
    raise NotSimulated(trouble)


def _copies(rows: Any, count: int) -> Iterator[Columns]:
    """Shares of their own: the store would keep one of equal references."""
    for place in range(count):
        share = rows.copy()
        share[0, 0] = place
        yield (share,)


def main() -> None:
    """Measure, and print each pool beside the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=50_000, help="items a second of a node")
    parser.add_argument("--node-link", type=float, default=1_000, help="megabits a second")
    parser.add_argument("--head-link", type=float, default=1_000, help="megabits a second")
    parser.add_argument(
        "--delay", type=float, default=0.0, help="seconds, of each direction of a node's link"
    )
    parser.add_argument("--share-seconds", type=float, default=0.02, help="the driver's, as measured")
    parser.add_argument("--nodes", type=int, help="only this number")
    parser.add_argument("--drive", metavar="ADDRESS", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.drive:
        print(json.dumps(drive(arguments.drive, arguments.nodes, arguments.rate)))
        return
    model = Model(
        rate=arguments.rate,
        share_items=SHARE_ITEMS,
        item_bytes=ITEM_BYTES,
        answer_bytes=ANSWER_BYTES,
        node_link=arguments.node_link * MEGABIT,
        head_link=arguments.head_link * MEGABIT,
        share_seconds=arguments.share_seconds,
        delay=arguments.delay,
    )
    for nodes in [arguments.nodes] if arguments.nodes else NODES:
        found = measure(nodes, arguments)
        used = model if found["delayed"] else replace(model, delay=0.0)
        items = SHARES_PER_NODE * nodes * SHARE_ITEMS
        predicted = items / used.seconds(items, nodes)
        print(json.dumps({**found, "predicted": predicted, "ratio": found["items_per_second"] / predicted}))


if __name__ == "__main__":
    main()
