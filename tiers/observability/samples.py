# SPDX-License-Identifier: GPL-3.0-or-later
"""What a registry exports, put together again by label for the status."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry

from supervm.engine.scheduler.metrics import FALLBACKS, MISMATCHES, SECONDS

CountAndSum = tuple[int, float]


class Samples:
    """Every sample at one moment.

    Args:
        registry: read once.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._by_name: dict[str, list[tuple[dict[str, str], float]]] = {}
        for family in registry.collect():
            for sample in family.samples:
                self._by_name.setdefault(sample.name, []).append((sample.labels, sample.value))

    def verified(self) -> dict[tuple[str, str], dict[str, int]]:
        """(scheme, backend) → signatures by verdict."""
        found: dict[tuple[str, str], dict[str, int]] = {}
        for (scheme, backend, verdict), value in self._of(
            "supervm_verify_items_total", "scheme", "backend", "verdict"
        ):
            counts = found.setdefault((scheme, backend), {"valid": 0, "invalid": 0, "malformed": 0})
            counts[verdict] = int(value)
        return found

    def kernels(self) -> dict[tuple[str, ...], CountAndSum]:
        """(operation, backend) → batches and seconds; without those that never ran."""
        return {labels: pair for labels, pair in self._pairs(SECONDS, "operation", "backend") if pair[0]}

    def stages(self) -> dict[str, CountAndSum]:
        """Stage → how often it ran, and seconds."""
        return {stage: pair for (stage,), pair in self._pairs("supervm_stage_seconds", "stage")}

    def queues(self) -> dict[str, float]:
        """Stage → what waits in front of it."""
        return {stage: value for (stage,), value in self._of("supervm_queue_depth", "stage")}

    def fallbacks(self) -> dict[tuple[str, ...], int]:
        """(operation, reason) → how often."""
        return {labels: int(value) for labels, value in self._of(FALLBACKS, "operation", "reason")}

    def mismatches(self) -> dict[str, int]:
        """Operation → batches that were thrown away."""
        return {operation: int(value) for (operation,), value in self._of(MISMATCHES, "operation")}

    def requests(self) -> dict[str, tuple[dict[str, int], float]]:
        """Call → answers by code, and mean seconds."""
        means = {
            call: seconds / max(1, count)
            for (call,), (count, seconds) in self._pairs("supervm_request_seconds", "call")
        }
        codes: dict[str, dict[str, int]] = {call: {} for call in means}
        for (call, code), value in self._of("supervm_requests_total", "call", "code"):
            codes.setdefault(call, {})[code] = int(value)
        return {call: (found, means.get(call, 0.0)) for call, found in codes.items()}

    def _of(self, name: str, *labels: str) -> Iterator[tuple[tuple[str, ...], float]]:
        for given, value in self._by_name.get(name, ()):
            yield tuple(given[label] for label in labels), value

    def _pairs(self, name: str, *labels: str) -> Iterator[tuple[tuple[str, ...], CountAndSum]]:
        sums = dict(self._of(f"{name}_sum", *labels))
        for given, count in self._of(f"{name}_count", *labels):
            yield given, (int(count), sums[given])
