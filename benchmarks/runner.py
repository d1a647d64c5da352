# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a suite: every case, backend, thread count and batch size, beside its peers.

Before anything is timed, ours (on the backend of the row) and every peer answer the same items, some of them
damaged; a difference is an error, since a rate of wrong answers means nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from supervm.benchmarks.cases import Case, Peer, Workload, suite_cases
from supervm.benchmarks.errors import PeerDisagrees
from supervm.benchmarks.measure import Contender, best_rates
from supervm.benchmarks.rows import PeerRow, Row
from supervm.kernels import get_threads, registry, set_threads
from supervm.kernels.errors import ArgumentError

ROW_SECONDS = 0.6
"""After this time a row starts no new round, once it had the fewest rounds that count."""

PEER_SECONDS = 0.03
"""About how long one run of one peer takes: a peer gets as many items of the batch as fit."""

SINGLE_CALLS = 64
"""Calls of one item each that one round of a batch of one consists of."""

Progress = Callable[[int, int, str], None]
"""Called before each row with the rows done, the rows in all, and the next row's name."""


@dataclass(frozen=True)
class Plan:
    """One row to measure."""

    case: Case
    backend: str
    threads: int
    batch: int


def run_suite(
    suite: str,
    *,
    threads: int | None = None,
    batch: int | None = None,
    backend: str | None = None,
    progress: Progress | None = None,
) -> list[Row]:
    """Measure a suite and return its rows.

    Args:
        suite: `signatures`, `hashes` or `conflicts`.
        threads: only this number; by default 1, 2 and all cores, and 1 for rows with another workload or rule.
        batch: only this number of items; by default the case's own number and, for most usual rows, 1 too.
        backend: only this one; by default every CPU backend that runs here. `auto` takes what a caller gets.
        progress: told about each row before it runs.

    Raises:
        ArgumentError: an unknown suite, or a number below 1.
        BackendUnavailable: the named backend does not run here.
        PeerDisagrees: a peer and ours gave different answers for one item.
    """
    for name, value in (("threads", threads), ("batch", batch)):
        if value is not None and value < 1:
            raise ArgumentError(name, str(value), "1 or more")
    plans = [
        plan
        for case in suite_cases(suite)
        for plan in _plans(case, threads=threads, batch=batch, backend=backend)
    ]
    rows = []
    agreed: set[tuple[str, str]] = set()
    before = get_threads()
    try:
        for done, plan in enumerate(plans):
            if progress is not None:
                label = f"{plan.case.name}, {plan.backend}, {plan.threads} thread{'s' * (plan.threads > 1)}"
                progress(done, len(plans), f"{label}, batch {plan.batch:,}")
            set_threads(plan.threads)
            if (plan.case.name, plan.backend) not in agreed:
                check_peers(plan.case, plan.backend)
                agreed.add((plan.case.name, plan.backend))
            rows.append(_measure(suite, plan))
    finally:
        set_threads(before)
    return rows


def thread_counts() -> list[int]:
    """1, 2 and every core that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return sorted({1, min(2, cores), cores})


def check_peers(case: Case, backend: str) -> None:
    """Compare every peer's answers with ours, item by item, on sound and damaged items.

    Raises:
        PeerDisagrees: with the peer, the item and both answers.
    """
    workload = case.corrupted(case.checked_items)
    ours = workload.answers(workload.run(backend))
    for peer in case.peers:
        theirs = peer.finish(peer.prepare(workload)())
        if len(theirs) != len(ours):
            raise PeerDisagrees(
                case.name, backend, peer.name, min(len(theirs), len(ours)), len(ours), len(theirs)
            )
        for index, (our, their) in enumerate(zip(ours, theirs, strict=True)):
            if our != their:
                raise PeerDisagrees(case.name, backend, peer.name, index, our, their)


def _plans(case: Case, *, threads: int | None, batch: int | None, backend: str | None) -> Iterator[Plan]:
    if backend is None:
        names = [b.name for b in registry.backends(case.operation) if b.available and b.name != "cuda"]
    else:
        names = [registry.resolve(case.operation, backend).name]
    for name in names:
        size = batch or (case.slow_batch if name == "scalar" else case.batch)
        for count in [threads] if threads else [1] if case.variant else thread_counts():
            yield Plan(case, name, count, size)
        if case.singles and batch is None:
            yield Plan(case, name, threads or 1, 1)


def _measure(suite: str, plan: Plan) -> Row:
    case = plan.case
    workload = case.workload(SINGLE_CALLS if plan.batch == 1 else plan.batch)
    rates = best_rates(
        [_ours(workload, plan)] + [_theirs(peer, workload) for peer in case.peers],
        ROW_SECONDS,
    )
    ours = rates[0]
    return Row(
        suite=suite,
        operation=case.name,
        backend=plan.backend,
        threads=plan.threads,
        batch=plan.batch,
        items_per_second=ours,
        ns_per_item=1e9 / ours,
        transfers="included" if plan.backend == "cuda" else "none",
        peers=tuple(
            PeerRow(peer.name, peer.version, rate, ours / rate)
            for peer, rate in zip(case.peers, rates[1:], strict=True)
        ),
    )


def _ours(workload: Workload, plan: Plan) -> Contender:
    if plan.batch > 1:
        return Contender(lambda: workload.run(plan.backend), workload.items)
    singles = [workload.part(index, index + 1) for index in range(workload.items)]

    def one_by_one() -> None:
        for single in singles:
            single.run(plan.backend)

    return Contender(one_by_one, len(singles))


def _theirs(peer: Peer, workload: Workload) -> Contender:
    """The peer on the first items of the workload, as many as it can do in about `PEER_SECONDS`, or on all."""
    if peer.whole:
        return Contender(peer.prepare(workload), workload.items)
    few = min(32, workload.items)
    rate = best_rates([Contender(peer.prepare(workload.part(0, few)), few)], budget=0.0)[0]
    items = max(few, min(workload.items, int(rate * PEER_SECONDS)))
    return Contender(peer.prepare(workload.part(0, items)), items)
