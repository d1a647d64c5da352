# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster among the executors of `auto`: the same answers, and work that it cannot take stays here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from supervm.crypto import hashes
from supervm.engine.scheduler import Scheduler, SchedulerSettings, Strategy
from supervm.engine.scheduler.cost import CostModel
from supervm.tiers.cluster import executor
from supervm.tiers.cluster.errors import NoNodeLeft
from supervm.tiers.cluster.executor import ClusterScheduler
from supervm.tiers.cluster.pool import Pool


@pytest.fixture
def scheduled(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A scheduler to which the cluster looks ten times faster than this machine, and what is sent there."""
    monkeypatch.setattr(pool, "close", lambda: None)
    names = ("", *(node.name for node in pool.usable()))
    models = {name: CostModel((1, 1 << 20), (1e-3, 0.1 if name else 1.0)) for name in names}
    monkeypatch.setattr(pool, "models", lambda task: models)
    monkeypatch.setattr(pool._planner, "models", lambda task: models)
    sent: list[tuple[str, int]] = []
    run = pool.run

    def watched(task: Any, parts: Any, options: Any, **more: Any) -> Any:
        kept = list(parts)
        sent.extend((task.name, task.items(part)) for part in kept)
        return run(task, kept, options, **(more | {"recheck": 1.0}))

    monkeypatch.setattr(pool, "run", watched)
    local = Scheduler(SchedulerSettings(strategy=Strategy.CPU_ONLY, remember=False))
    with ClusterScheduler(local, pool) as made:
        yield made, sent


def test_batches_are_cut_over_the_nodes(scheduled: Any) -> None:
    _, sent = scheduled
    lengths = np.arange(10_000) % 7
    offsets = np.concatenate(([5], 5 + np.cumsum(lengths)))  # not from 0
    data = np.arange(offsets[-1] + 3, dtype=np.uint8)
    found = hashes.sha256_batch((data, offsets))
    assert [name for name, _ in sent] == ["batch.sha256"] * 2
    assert sum(items for _, items in sent) == 10_000
    assert (found == hashes.sha256_batch((data, offsets), backend="scalar")).all()


def test_few_items_stay_here(scheduled: Any) -> None:
    _, sent = scheduled
    hashes.sha256_batch([b"few", b"items"])
    assert sent == []


def test_what_the_cluster_fails_at_is_computed_here(scheduled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = scheduled

    def failing(*_: Any) -> Any:
        raise NoNodeLeft(("all: gone",))

    monkeypatch.setattr(made._pool, "compute", failing)
    messages = np.arange(5000 * 4, dtype=np.uint8).reshape(5000, 4)
    assert (hashes.sha256_batch(messages) == hashes.sha256_batch(messages, backend="scalar")).all()
    assert executor.LEAST_ITEMS <= 5000
