# SPDX-License-Identifier: GPL-3.0-or-later
"""The suite `cluster`: work through the compute pool, beside the library alone on one core.

Nodes are processes on this machine with one core each, started here, or those of a cluster that is named. Every answer is
compared with the library's before anything is timed. Sides take turns, the best time of each counts. Rows of several nodes
stand beside the row of one node too.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from supervm.benchmarks.cases import CLUSTER
from supervm.benchmarks.errors import RunsDisagree
from supervm.benchmarks.measure import Timing
from supervm.benchmarks.rows import PeerRow, Row
from supervm.benchmarks.workloads.msm import random_msm
from supervm.benchmarks.workloads.signatures import SignedItems, ed25519_items
from supervm.crypto import ed25519, merkle, msm
from supervm.crypto.messages import Messages
from supervm.engine.errors import MissingPackage
from supervm.kernels import get_threads, registry, set_threads
from supervm.tiers.cluster.errors import NoNodeLeft
from supervm.tiers.cluster.splitting import merkle as split_merkle
from supervm.tiers.cluster.splitting import msm as split_msm
from supervm.tiers.cluster.splitting.parts import OnPool, cuts, in_order
from supervm.tiers.cluster.task import Columns
from supervm.tiers.environment import version

if TYPE_CHECKING:
    from supervm.tiers.cluster.pool import Pool

START_SECONDS = 120.0
"""For a node to come up."""

SIGNATURES, LEAVES, POINTS = 1_000_000, 1 << 20, 1 << 16
PART_SIGNATURES, PART_LEAVES, PART_POINTS = 1 << 15, 1 << 16, 1 << 14

ROUNDS = 2
CHECKED = 4_096
"""Signatures, one in four damaged, of which every verdict is compared."""

STORE_BYTES = 512 << 20
"""Of the object store of a node that is started here."""

ALONE, ONE_NODE = "the library alone", "one node"

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class _Case:
    """What is measured.

    Args:
        operation: of its row.
        runs: the operation in the registry.
        items: of a run.
        alone: the library, on one thread.
        pooled: the same through a pool.
    """

    operation: str
    runs: str
    items: int
    alone: Callable[[], Any]
    pooled: Callable[[OnPool], Any]


def run_cluster(
    *,
    batch: int | None = None,
    address: str | None = None,
    progress: Progress | None = None,
) -> list[Row]:
    """Measure the suite.

    Args:
        batch: items of every case, in place of its own number.
        address: of a cluster that is there; None starts nodes of one core here: one, and then two.
        progress: told about each step before it runs: done, in all, name.

    Raises:
        RunsDisagree: the pool answered otherwise than the library.
        MissingPackage: Ray is not installed.
        ClusterError: the cluster that is named cannot be used.
    """
    tell = progress or (lambda done, total, name: None)
    before = get_threads()
    set_threads(1)
    try:
        cases = _cases(batch)
        counts = [0] if address is not None else [1, 2]
        steps, rows = len(cases) * len(counts), []
        single: dict[str, Timing] = {}
        tell(0, steps, "starting the nodes")
        with ExitStack() as stack:
            grow = stack.enter_context(nodes_of(address))
            for turn, count in enumerate(counts):
                pool = grow(count)
                run, nodes = OnPool(pool), len(pool.usable())
                _check(run)
                for place, case in enumerate(cases):
                    tell(turn * len(cases) + place, steps, f"{case.operation}, {_nodes_in_words(nodes)}")
                    rows.append(_row(case, run, nodes, single))
        return rows
    finally:
        set_threads(before)


def _row(case: _Case, run: OnPool, nodes: int, single: dict[str, Timing]) -> Row:
    """Let pool and library take turns, and compare what they say the first time.

    Args:
        single: timings with one node by operation, where they are known; this one is added if it is one.
    """
    pooled, alone = (lambda: case.pooled(run)), case.alone
    first = [_timed(side) for side in (pooled, alone)]
    if not np.array_equal(*(answer for answer, _ in first)):
        raise RunsDisagree(case.operation, "another answer through the pool", "the library's")
    taken = [[seconds] for _, seconds in first]
    for _ in range(ROUNDS - 1):
        for side, each in zip((pooled, alone), taken, strict=True):
            each.append(_timed(side)[1])
    ours, theirs = (Timing.of(case.items, each) for each in taken)
    beside = [PeerRow(ALONE, version(), theirs.rate, ours.rate / theirs.rate, theirs.spread)]
    if nodes == 1:
        single[case.operation] = ours
    elif case.operation in single:
        one = single[case.operation]
        beside.append(PeerRow(ONE_NODE, version(), one.rate, ours.rate / one.rate, one.spread))
    return Row(
        CLUSTER,
        f"{case.operation} [{_nodes_in_words(nodes)}]",
        registry.resolve(case.runs).name,
        nodes,
        case.items,
        ours.rate,
        1e9 / ours.rate,
        "none",
        tuple(beside),
        ours.spread,
    )


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What it gives, and its seconds, without Python's garbage collection."""
    gc.collect()
    gc.disable()
    try:
        begun = time.perf_counter()
        found = work()
        return found, time.perf_counter() - begun
    finally:
        gc.enable()


def _nodes_in_words(count: int) -> str:
    return f"{count} node{'s' * (count > 1)}"


def _cases(batch: int | None) -> list[_Case]:
    signatures = ed25519_items(batch or SIGNATURES)
    messages = Messages.of(signatures.messages)
    leaves = np.random.default_rng(0).integers(0, 256, (batch or LEAVES, 32), np.uint8)
    sums = random_msm("bn254", "g1")(batch or POINTS)
    points, scalars = sums.points, sums.scalars
    held: list[split_msm.Bases] = []

    def of_points(run: OnPool) -> Any:
        # Points travel once: a prover sums over the same ones again and again.
        if not held:
            held.append(split_msm.Bases(run, "bn254", points, range_points=PART_POINTS))
        return held[0].msm(scalars)

    table = msm.prepare("bn254", points)
    return [
        _Case(
            "cluster.ed25519.verify",
            "ed25519.verify",
            signatures.items,
            lambda: _alone(signatures, messages),
            lambda run: _verdicts(run, signatures),
        ),
        _Case(
            "cluster.merkle.sha256",
            "merkle.sha256",
            len(leaves),
            lambda: merkle.root(leaves, "sha256").value,
            lambda run: split_merkle.root(run, leaves, "sha256", part_leaves=PART_LEAVES).value,
        ),
        _Case("cluster.bn254.g1.msm", "bn254.g1.msm", len(points), lambda: table.msm(scalars), of_points),
    ]


def _alone(items: SignedItems, messages: Messages) -> Any:
    return ed25519.verify_batch(items.keys, messages, items.signatures)


def _verdicts(run: OnPool, items: SignedItems) -> Any:
    return np.concatenate([answer[0] for answer in in_order(run.run("verify.ed25519", _parts(items), {}))])


def _parts(items: SignedItems) -> Iterator[Columns]:
    """Columns of the task, as `supervm.tiers.cluster.signature_tasks` has them."""
    width = items.messages.shape[1]
    for start, stop in cuts(items.items, PART_SIGNATURES):
        offsets = np.arange(stop - start + 1, dtype=np.int64) * width
        rows = (array[start:stop] for array in (items.keys, items.messages, items.signatures))
        keys, messages, signatures = rows
        yield keys, messages.reshape(-1), offsets, signatures


def _check(run: OnPool) -> None:
    """Verdicts of damaged signatures.

    Raises:
        RunsDisagree: the pool has another one.
    """
    items = ed25519_items(CHECKED).damaged()
    expected = _alone(items, Messages.of(items.messages))
    if not np.array_equal(_verdicts(run, items), expected):
        raise RunsDisagree("cluster.ed25519.verify", "other verdicts through the pool", "the library's")


@contextmanager
def nodes_of(address: str | None) -> Iterator[Callable[[int], Pool]]:
    """Gives the pool with so many nodes: those of the cluster that is named, or as many as that are started here.

    Raises:
        MissingPackage: Ray is not installed.
    """
    try:
        import ray.cluster_utils

        from supervm.tiers.cluster.pool import Pool
    except ModuleNotFoundError as absent:
        raise MissingPackage(absent.name or "ray", "computing on a cluster") from absent
    with ExitStack() as stack:
        if address is not None:
            pool = stack.enter_context(Pool.connect(address))
            yield lambda count: pool
            return
        node: dict[str, Any] = {"num_cpus": 1, "object_store_memory": STORE_BYTES}
        cluster = ray.cluster_utils.Cluster(
            initialize_head=True, head_node_args={**node, "include_dashboard": False}
        )
        stack.callback(cluster.shutdown)
        pool = stack.enter_context(Pool.connect(cluster.address))

        def grow(count: int) -> Pool:
            while len(pool.nodes()) < count:
                cluster.add_node(**node)
                pool.look(now=True)
            until = time.monotonic() + START_SECONDS
            while len(pool.usable()) < count:
                if time.monotonic() > until:
                    raise NoNodeLeft(pool.troubles())
                time.sleep(0.05)
                pool.look()
            return pool

        yield grow
