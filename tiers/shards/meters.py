# SPDX-License-Identifier: GPL-3.0-or-later
"""What a shard counts. Names of the earlier system are kept (docs/observability/README.md)."""

from __future__ import annotations

from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge


class ShardMeters(Protocol):
    """Told of what happens at a shard."""

    def prepared(self, yes: bool, seconds: float) -> None:
        """A Prepare was answered, with this vote, after so long."""

    def committed(self) -> None:
        """A block was committed."""

    def aborted(self) -> None:
        """A vote was forgotten."""

    def refused_proofs(self, count: int) -> None:
        """Proofs of so many transactions were wrong."""


class ShardMetrics:
    """The meters of a shard's process, as Prometheus reads them.

    Args:
        registry: of the process.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._prepared, self._refused, self._proofs, self._committed, self._aborted = (
            Counter(name, meaning, registry=registry)
            for name, meaning in (
                ("cross_shard_prepare_total", "Parts of blocks that the shard was to vote on."),
                ("cross_shard_prepare_abort_total", "Parts of blocks that the shard voted no on."),
                (
                    "cross_shard_privacy_invalid_total",
                    "Private transactions whose proof was wrong, at Prepare.",
                ),
                ("cross_shard_commit_total", "Blocks that the shard voted for and committed."),
                ("cross_shard_abort_total", "Votes of the shard that were given up."),
            )
        )
        self._latency = Gauge(
            "cross_shard_prepare_last_latency_ms", "Milliseconds of the last Prepare.", registry=registry
        )

    def prepared(self, yes: bool, seconds: float) -> None:
        """See `ShardMeters`."""
        self._prepared.inc()
        if not yes:
            self._refused.inc()
        self._latency.set(seconds * 1000)

    def committed(self) -> None:
        """See `ShardMeters`."""
        self._committed.inc()

    def aborted(self) -> None:
        """See `ShardMeters`."""
        self._aborted.inc()

    def refused_proofs(self, count: int) -> None:
        """See `ShardMeters`."""
        self._proofs.inc(count)


class _Nothing:
    """Counts nothing."""

    def prepared(self, yes: bool, seconds: float) -> None:
        """Nothing."""

    def committed(self) -> None:
        """Nothing."""

    def aborted(self) -> None:
        """Nothing."""

    def refused_proofs(self, count: int) -> None:
        """Nothing."""


NO_METERS: ShardMeters = _Nothing()
