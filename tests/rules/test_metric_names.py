# SPDX-License-Identifier: GPL-3.0-or-later
"""The published metrics, which dashboards rely on: each is exported under its name and with its labels, and no other is."""

from __future__ import annotations

from pathlib import Path

from observed import busy, exported

OBSERVABILITY = Path(__file__).resolve().parents[2] / "docs" / "observability" / "README.md"

EARLIER = {
    *(f"vm_routing_{path}_total" for path in ("fast", "consensus", "privacy")),
    "vm_routing_target_fast_ratio",
    "vm_fast_fallback_total",
    *(
        f"vm_privacy_zk_batch_verify_{what}"
        for what in ("total", "failed_total", "batches_total", "batch_latency_ms", "avg_latency_ms", "tps")
    ),
    *(f"vm_privacy_zk_verify_{what}_latency_ms" for what in ("p50", "p95")),
}
"""Names of the earlier system, which had no labels."""

PUBLISHED: dict[str, set[str]] = {name: set() for name in EARLIER} | {
    "supervm_verify_items_total": {"scheme", "backend", "verdict"},
    "supervm_backend_fallback_total": {"operation", "reason"},
    "supervm_backend_mismatch_total": {"operation"},
    "supervm_kernel_seconds": {"operation", "backend"},
    "supervm_stage_seconds": {"stage"},
    "supervm_queue_depth": {"stage"},
    "supervm_batch_items": {"operation"},
    "supervm_device_memory_bytes": {"device"},
    "supervm_conflict_edges_total": set(),
    "supervm_reexecutions_total": set(),
    "supervm_build_info": {"version", "commit", "python"},
    "supervm_requests_total": {"call", "code"},
    "supervm_connections_closed_total": {"port", "reason"},
    "supervm_request_seconds": {"call"},
    **{
        f"cross_shard_{what}": set()
        for what in (
            "prepare_total",
            "prepare_abort_total",
            "prepare_last_latency_ms",
            "privacy_invalid_total",
            "commit_total",
            "abort_total",
        )
    },
}

PARTS = {
    "supervm_kernel_seconds": ("_count", "_sum"),
    "supervm_batch_items": ("_count", "_sum"),
    "supervm_stage_seconds": ("_bucket", "_count", "_sum"),
    "supervm_request_seconds": ("_bucket", "_count", "_sum"),
}
"""What summaries and histograms are exported as."""


def test_what_is_published_is_what_is_exported() -> None:
    expected = {name + part: labels for name, labels in PUBLISHED.items() for part in PARTS.get(name, ("",))}
    assert exported() == expected


def test_every_metric_says_what_it_is() -> None:
    assert not [family.name for family in busy().metrics.registry.collect() if len(family.documentation) < 15]


def test_every_metric_is_explained() -> None:
    text = OBSERVABILITY.read_text(encoding="utf-8")
    assert not [name for name in PUBLISHED if f"`{name}" not in text]
