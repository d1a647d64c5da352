# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of the suite `execution`: the best of the runs counts, with its own stage times, and the spread of all."""

from types import SimpleNamespace
from typing import Any

import pytest

from supervm.benchmarks import execution
from supervm.benchmarks.errors import RunsDisagree
from supervm.benchmarks.execution import ALONE, PARALLEL, Case, run_execution
from supervm.benchmarks.rows import Row
from supervm.engine.workloads.workload import Parameters

SECONDS = {1: [3.0, 2.0, 2.5], 2: [1.0, 4.0, 1.6]}
"""Of the runs of either setting, by threads."""


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """One case whose runs take these seconds; the last run's answer can be changed."""
    changed: dict[str, Any] = {}
    left = {threads: list(seconds) for threads, seconds in SECONDS.items()}

    def run_workload(workload: Any, config: Any, *, path: Any) -> SimpleNamespace:
        seconds = left[config.threads].pop(0)
        answer = {"seconds": seconds, "committed": 100, "rejected": 0, "conserved": True, "state_root": b"r"}
        last = changed if not any(left.values()) else {}
        return SimpleNamespace(**answer | {"stages": {"execute": seconds / 2}} | last)

    case = Case("execution.token", "token", Parameters(transactions=100), (ALONE, PARALLEL))
    monkeypatch.setattr(execution, "cases", lambda transactions: [case])
    monkeypatch.setattr(execution, "generate", lambda *_: SimpleNamespace(transactions=range(100)))
    monkeypatch.setattr(execution, "warm", lambda *_, **__: None)
    monkeypatch.setattr(execution, "run_workload", run_workload)
    monkeypatch.setattr(
        execution, "_opening", lambda keys: Row("execution", "state.open", "x", 1, 1, 1, 1, "none", ())
    )
    return changed


def test_the_best_run_counts_with_its_stages(runs: dict[str, Any]) -> None:
    alone, parallel, _ = run_execution()
    assert (alone.items_per_second, parallel.items_per_second) == (50.0, 100.0)
    assert (alone.stages, parallel.stages) == ({"execute": 1.0}, {"execute": 0.5})
    assert alone.spread == pytest.approx(0.25)
    assert parallel.spread == pytest.approx(0.6)
    (beside,) = parallel.peers
    assert (beside.ratio, beside.items_per_second) == (2.0, 50.0)
    assert beside.spread == alone.spread


@pytest.mark.parametrize(
    "wrong",
    [{"state_root": b"other"}, {"conserved": False}, {"rejected": 1}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_runs_that_disagree_make_no_row(runs: dict[str, Any], wrong: dict[str, Any]) -> None:
    runs.update(wrong)
    with pytest.raises(RunsDisagree, match=r"execution\.token"):
        run_execution()
