# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a suite: every case, backend, thread count and batch size, beside its peers.

Before anything is timed, ours (on the backend of the row) and every peer answer the same items, some of them
damaged; a difference is an error, since a rate of wrong answers means nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from supervm.benchmarks import beside, device
from supervm.benchmarks.cases import CLUSTER, EVM, EXECUTION, SERVICE, SHARDS, Case, Workload, suite_cases
from supervm.benchmarks.measure import Contender, timings
from supervm.benchmarks.rows import Row
from supervm.kernels import get_threads, registry, set_threads
from supervm.kernels.errors import ArgumentError

ROW_SECONDS = 0.6
"""After this time a row starts no new round, once it had the fewest rounds that count."""

SINGLE_CALLS = 64
"""Calls of one item each that one round of a batch of one consists of."""

SWEEP = tuple(1 << power for power in range(8, 23, 2))
"""Sizes that `sweep` measures: 2^8, 2^10, … 2^22."""

Progress = Callable[[int, int, str], None]
"""Called before each row with the rows done, the rows in all, and the next row's name."""


@dataclass(frozen=True)
class Plan:
    """One row to measure.

    Args:
        case: what.
        backend: where.
        threads: of ours.
        batch: items of a call.
        kernels_only: inputs lie on the device and results stay there.
        beside: whether peers are measured beside it.
    """

    case: Case
    backend: str
    threads: int
    batch: int
    kernels_only: bool = False
    beside: bool = True

    @property
    def label(self) -> str:
        """What is measured, in words."""
        how = ", kernels alone" if self.kernels_only else ""
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        return f"{self.case.name}, {self.backend}{how}, {threads}, batch {self.batch:,}"


def run_suite(
    suite: str,
    *,
    threads: int | None = None,
    batch: int | None = None,
    backend: str | None = None,
    sweep: bool = False,
    seconds: float | None = None,
    peer_python: Path | None = None,
    cluster: str | None = None,
    progress: Progress | None = None,
) -> list[Row]:
    """Measure a suite and return its rows.

    Args:
        suite: one of `supervm.benchmarks.cases.SUITES`.
        threads: only this number; by default 1, 2 and all cores, and 1 for rows with another workload or rule.
        batch: only this number of items; by default the case's own number and, for most usual rows, 1 too; on a
            device 2^6, 2^8, … 2^22, or one size for rows with another workload or rule.
        backend: only this one; by default every CPU backend that runs here. `auto` takes what a caller gets,
            `cuda` gives two rows a size: kernels alone, and end to end.
        sweep: how the suite's usual cases grow, at 2^8, 2^10, … 2^22 items, instead of its rows: on the backend that a
            caller gets, on one thread unless told otherwise, without peers.
        seconds: after which a row starts no new round once it had the fewest that count; None for `ROW_SECONDS`.
        peer_python: of `evm`: an interpreter that has peers whose packages do not go with this one's.
        cluster: of the suite `cluster`: the address of one that is there, in place of nodes that are started here.
        progress: told about each row before it runs.

    Raises:
        ArgumentError: an unknown suite, a number below 1, or a sweep of a suite in which nothing grows, or of one size.
        BackendUnavailable: the named backend does not run here.
        RunsDisagree: runs of a workload came to different states, or a pool answered otherwise than the library.
        ClusterError: the cluster cannot be used.
        ServiceWrong, ServerFailed: the service under load was wrong, or did not run.
        PeerDisagrees: a peer and ours gave different answers for one item, or a device and the CPU.
        DeviceError: the device failed.
    """
    for name, value in (("threads", threads), ("batch", batch)):
        if value is not None and value < 1:
            raise ArgumentError(name, str(value), "1 or more")
    if suite in (EXECUTION, EVM, SERVICE, SHARDS, CLUSTER):
        if sweep:
            raise ArgumentError("sweep", f"--sweep of {suite}", "a suite with sizes that grow, such as msm")
        if backend not in (None, "auto"):
            raise ArgumentError("backend", repr(backend), "none for this suite: it takes what it needs")
    if suite == EXECUTION:
        from supervm.benchmarks import execution  # needs what an engine needs

        return execution.run_execution(threads=threads, transactions=batch, progress=progress)
    if suite == EVM:
        from supervm.benchmarks.evm.suite import run_evm  # loads what Ethereum's blocks need

        return run_evm(
            threads=threads, transactions=batch, python=peer_python, seconds=seconds, progress=progress
        )
    if suite == SERVICE:
        from supervm.benchmarks.service.suite import run_service  # needs what the service needs

        return run_service(threads=threads, batch=batch, seconds=seconds, progress=progress)
    if suite == SHARDS:
        from supervm.benchmarks.shards import run_shards  # needs what the service and an engine need

        return run_shards(transactions=batch, progress=progress)
    if suite == CLUSTER:
        from supervm.benchmarks.cluster import run_cluster  # needs what a cluster needs

        return run_cluster(batch=batch, address=cluster, progress=progress)
    if sweep:
        plans = _sweep_plans(suite, threads=threads, batch=batch, backend=backend)
    else:
        plans = [
            plan
            for case in _on(suite_cases(suite), backend)
            for plan in _plans(case, threads=threads, batch=batch, backend=backend)
        ]
    rows = []
    measuring = _Measuring(suite, seconds)
    before = get_threads()
    try:
        for done, plan in enumerate(plans):
            if progress is not None:
                progress(done, len(plans), plan.label)
            set_threads(plan.threads)
            rows.append(measuring.row(plan))
    finally:
        set_threads(before)
    return rows


def thread_counts() -> list[int]:
    """1, 2 and every core that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return sorted({1, min(2, cores), cores})


def _on(cases: list[Case], backend: str | None) -> list[Case]:
    """The cases whose operations list the backend, or all of them if none does: then it is told why.

    Raises:
        ArgumentError: a GPU, for a suite in which several operations work together: there each is measured by itself.
    """
    if backend == "cuda":
        cases = [case for case in cases if not case.runs]
        if not cases:
            raise ArgumentError("backend", repr(backend), "a processor's, for a suite of several operations")
    listed = [case for case in cases if backend in {known.name for known in registry.backends(case.listed)}]
    return listed or cases


def _plans(case: Case, *, threads: int | None, batch: int | None, backend: str | None) -> Iterator[Plan]:
    if backend is None:
        names = [b.name for b in registry.backends(case.listed) if b.available and b.name != "cuda"]
        names = names[:1] if case.on_best else names
    else:
        names = [registry.resolve(case.listed, backend).name]
    for name in names:
        if name == "cuda":
            yield from _device_plans(case, threads or thread_counts()[-1], batch)
            continue
        size = batch or (case.slow_batch if name == "scalar" else case.batch)
        for count in [threads] if threads else [1] if case.variant else thread_counts():
            yield Plan(case, name, count, size)
        if case.singles and batch is None:
            yield Plan(case, name, threads or 1, 1)


def _sweep_plans(suite: str, *, threads: int | None, batch: int | None, backend: str | None) -> list[Plan]:
    cases = [case for case in suite_cases(suite) if case.swept]
    if not cases or batch is not None:
        came = f"--sweep with a batch of {batch}" if cases else f"--sweep of {suite}"
        raise ArgumentError("sweep", came, "a suite with sizes that grow, such as msm, and no --batch")
    return [
        Plan(case, registry.resolve(case.listed, backend or "auto").name, threads or 1, size, beside=False)
        for case in cases
        for size in SWEEP
    ]


def _device_plans(case: Case, threads: int, batch: int | None) -> Iterator[Plan]:
    """Kernels alone and end to end for each size, the latter with threads for what the processor checks; peers stand beside
    one row, or measuring them would take longest.
    """
    sizes = device.sizes(case, batch)
    for size in sizes:
        beside_it = size == device.PEER_BATCH or len(sizes) == 1
        yield Plan(case, "cuda", 1, size, kernels_only=True, beside=False)
        yield Plan(case, "cuda", threads, size, beside=beside_it)


class _Measuring:
    """Measures rows one after the other.

    Args:
        suite: what the rows belong to.
        seconds: after which a row starts no new round; None for `ROW_SECONDS`.
    """

    def __init__(self, suite: str, seconds: float | None) -> None:
        self._suite = suite
        self._seconds = seconds
        self._agreed: set[tuple[str, str]] = set()
        self._pinned = device.Pinned()
        self._prepared: device.Prepared | None = None

    def row(self, plan: Plan) -> Row:
        """Check, once for each case and backend, then time."""
        if (plan.case.name, plan.backend) not in self._agreed:
            if plan.backend == "cuda":
                device.check(plan.case)
            else:
                beside.check_peers(plan.case, plan.backend)
            self._agreed.add((plan.case.name, plan.backend))
        workload, ours = self._on_device(plan) if plan.backend == "cuda" else _on_cpu(plan)
        peers = plan.case.peers if plan.beside else ()
        contenders = [ours] + [beside.contender(peer, workload) for peer in peers]
        own, *theirs = timings(contenders, ROW_SECONDS if self._seconds is None else self._seconds)
        return Row(
            suite=self._suite,
            operation=plan.case.name,
            backend=plan.backend,
            threads=plan.threads,
            batch=plan.batch,
            items_per_second=own.rate,
            ns_per_item=1e9 / own.rate,
            transfers="included" if plan.backend == "cuda" and not plan.kernels_only else "none",
            peers=beside.peer_rows(peers, own, theirs),
            spread=own.spread,
        )

    def _on_device(self, plan: Plan) -> tuple[Workload, Contender]:
        """Both rows of a case and size share what was prepared for the first."""
        ready = self._prepared
        if ready is None or (ready.case, ready.size) != (plan.case, plan.batch):
            self._prepared = None  # its memory on the device is free before the next one asks for some
            ready = self._prepared = device.Prepared(plan.case, plan.batch, self._pinned)
        return ready.workload, ready.kernels() if plan.kernels_only else ready.end_to_end()


def _on_cpu(plan: Plan) -> tuple[Workload, Contender]:
    workload = plan.case.workload(SINGLE_CALLS if plan.batch == 1 else plan.batch)
    if plan.batch > 1:
        return workload, Contender(lambda: workload.run(plan.backend), workload.items)
    singles = [workload.part(index, index + 1) for index in range(workload.items)]

    def one_by_one() -> None:
        for single in singles:
            single.run(plan.backend)

    return workload, Contender(one_by_one, len(singles))
