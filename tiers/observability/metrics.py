# SPDX-License-Identifier: GPL-3.0-or-later
"""The metrics of a process, as Prometheus reads them: `docs/observability/README.md` explains each.

Names that begin with `vm_` are those of the earlier system and are kept, so that its dashboards work. Those of privacy
proofs are 0 where no verifier is watched.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from supervm.tiers.observability.collectors import BuildCollector, PrivacyCollector, SchedulerCollector
from supervm.tiers.observability.windows import Window

if TYPE_CHECKING:
    from supervm.engine.blocks.result import BlockResult
    from supervm.engine.privacy.batch_verifier import BatchVerifier
    from supervm.engine.scheduler import Scheduler

BUCKETS = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds: a kernel on a small batch takes a tenth of a millisecond, a block of 100,000 transactions a second."""

VERDICTS = {"valid": 1, "invalid": 0, "malformed": -1}
"""The label `verdict` of each verdict."""

PATHS = ("fast", "consensus", "privacy")
"""Members of `supervm.engine.blocks.receipts.Path` by number; a service executes nothing and need not load that module."""

HTTP_PORTS = ("http", "operations")
"""The label `port` of connections."""

CLOSED_FOR = ("silent", "slow", "full", "malformed", "handshake")
"""The label `reason` of connections that were ended: `supervm.tiers.service.http.protocol.Port`."""

ITEMS, REQUESTS, TRANSACTIONS, BLOCKS = "items", "requests", "transactions", "blocks"
"""Names of the rates in `Metrics.rates`."""

# A series of creation times beside each counter is of no use here, and twice as much to store.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """All metrics of one process; every method may be called from any thread.

    Attributes:
        registry: what Prometheus reads; it has nothing of the default registry.
        rates: what the last minute brought: verified items, requests, transactions, blocks.
        stages: seconds of each stage in the last minute.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.rates = {name: Window() for name in (ITEMS, REQUESTS, TRANSACTIONS, BLOCKS)}
        self.stages: dict[str, Window] = {}
        self._scheduler = SchedulerCollector()
        self._privacy = PrivacyCollector()
        for collector in (self._scheduler, self._privacy, BuildCollector()):
            self.registry.register(collector)
        self._make_request_metrics()
        self._make_block_metrics()

    # ---------------------------------------------------------------------------------------------- what happens

    def verified(self, scheme: str, backend: str, verdicts: NDArray[np.int8]) -> None:
        """A batch of signatures, proofs or blobs was verified.

        Args:
            scheme: such as "ed25519".
            backend: what computed it, as `supervm.kernels.backend_trace` tells.
            verdicts: int8 (n,), 1 valid, 0 invalid, −1 malformed.
        """
        for name, verdict in VERDICTS.items():
            count = int(np.count_nonzero(verdicts == verdict))
            if count:
                self._items.labels(scheme, backend, name).inc(count)
        self.rates[ITEMS].add(len(verdicts))

    def stage(self, stage: str, seconds: float) -> None:
        """A stage of the work, of a block or of a batch of requests, took so long."""
        self._stages.labels(stage).observe(seconds)
        window = self.stages.get(stage)
        if window is None:
            window = self.stages.setdefault(stage, Window())
        window.add(seconds)

    def queue(self, stage: str, depth: Callable[[], float]) -> None:
        """`depth` tells, whenever metrics are read, how much waits in front of a stage."""
        self._queues.labels(stage).set_function(depth)

    def block(self, result: BlockResult) -> None:
        """A block became part of the state. Calls of pools are counted as of the privacy path, Ethereum transactions as of
        the consensus path."""
        from supervm.engine.blocks.receipts import Path

        stats, receipts = result.stats, result.receipts
        taken = np.bincount(receipts.path[receipts.accepted], minlength=len(Path))
        taken[Path.PRIVACY] += taken[Path.POOL]
        taken[Path.CONSENSUS] += taken[Path.EVM]
        for counter, count in zip(self._routing, taken[: len(PATHS)], strict=True):
            counter.inc(int(count))
        self._fast_ratio.set(stats.fast_target)
        self._fallbacks.inc(stats.fell_back)
        self._reexecutions.inc(stats.repeated)
        self._queues.labels("execute").set(stats.waiting)
        for stage, seconds in stats.stages.items():
            self.stage(stage, seconds)
        self.rates[TRANSACTIONS].add(stats.transactions)
        self.rates[BLOCKS].add(1)

    def conflicts(self, edges: int) -> None:
        """Conflict detection listed so many edges."""
        self._edges.inc(edges)

    def watch(self, scheduler: Scheduler) -> None:
        """Export the counters of a scheduler, in place of those of an earlier one."""
        self._scheduler.watch(scheduler)

    def watch_proofs(self, verifier: BatchVerifier) -> None:
        """Export the statistics of a verifier of proofs, in place of those of an earlier one."""
        self._privacy.verifier = verifier

    def request(self, call: str, code: str, seconds: float) -> None:
        """A request was answered.

        Args:
            call: the call's name, one of a fixed set: whatever a client may choose does not belong into a label.
            code: the name of a gRPC status code, such as "OK".
            seconds: from its arrival to its answer.
        """
        self._requests.labels(call, code).inc()
        self._latency.labels(call).observe(seconds)
        self.rates[REQUESTS].add(1)

    def closed(self, port: str, reason: str) -> None:
        """A connection was ended, not by its caller.

        Args:
            port: one of `HTTP_PORTS`.
            reason: one of `CLOSED_FOR`.
        """
        self._closed.labels(port, reason).inc()

    # ---------------------------------------------------------------------------------------------- what is read

    @property
    def scheduler(self) -> Scheduler | None:
        """The one that is watched."""
        return self._scheduler.scheduler

    def exposition(self) -> tuple[bytes, str]:
        """The answer to a scrape: body and content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    # ---------------------------------------------------------------------------------------------- inside

    def _counter(self, name: str, meaning: str, labels: Iterable[str] = ()) -> Counter:
        return Counter(name, meaning, tuple(labels), registry=self.registry)

    def _make_request_metrics(self) -> None:
        self._items = self._counter(
            "supervm_verify_items_total",
            "Signatures, proofs and blobs verified, by the backend that computed them.",
            ("scheme", "backend", "verdict"),
        )
        self._requests = self._counter(
            "supervm_requests_total", "Requests answered, by gRPC status code.", ("call", "code")
        )
        self._closed = self._counter(
            "supervm_connections_closed_total",
            "Connections that were ended, not by their callers.",
            ("port", "reason"),
        )
        for port, reason in itertools.product(HTTP_PORTS, CLOSED_FOR):  # a first one is then an increase
            self._closed.labels(port, reason)
        self._latency = Histogram(
            "supervm_request_seconds",
            "Seconds from a request's arrival to its answer.",
            ("call",),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._stages = Histogram(
            "supervm_stage_seconds",
            "Seconds that a stage took of one block or batch.",
            ("stage",),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._queues = Gauge(
            "supervm_queue_depth", "What waits in front of a stage.", ("stage",), registry=self.registry
        )

    def _make_block_metrics(self) -> None:
        self._routing = [
            self._counter(
                f"vm_routing_{path}_total",
                f"Transactions that took the {path} path; rejected ones took none.",
            )
            for path in PATHS
        ]
        self._fast_ratio = Gauge(
            "vm_routing_target_fast_ratio",
            "Share of transfers that the router lets try the fast path; 1 without an adaptive router.",
            registry=self.registry,
        )
        self._fast_ratio.set(1.0)
        self._fallbacks = self._counter(
            "vm_fast_fallback_total",
            "Transactions taken off the fast path, since a contract of their block touched their accounts.",
        )
        self._edges = self._counter(
            "supervm_conflict_edges_total", "Edges that conflict detection listed on request."
        )
        self._reexecutions = self._counter(
            "supervm_reexecutions_total",
            "Transactions executed again since they had read a stale value, or executed in order only.",
        )
