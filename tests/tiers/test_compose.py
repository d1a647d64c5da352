# SPDX-License-Identifier: GPL-3.0-or-later
"""What an engine is put together from, on machines that have a GPU, none, or a driver without one."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from supervm.engine.scheduler.metrics import FALLBACKS
from supervm.tiers import Hardware, compose
from supervm.tiers.gpus import driver_present
from supervm.tiers.observability import status
from supervm.tiers.observability.metrics import Metrics
from supervm.tiers.observability.status import StatusBoard
from supervm.tiers.settings import load

MACHINE = Hardware(cores=1, memory=1 << 30)
REASON = "CuPy is not installed"


@pytest.mark.parametrize("driver", [False, True])
def test_a_device_that_never_was_is_not_missed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, driver: bool
) -> None:
    monkeypatch.setattr(compose.devices, "_search", lambda: ((), REASON))
    monkeypatch.setattr(compose, "driver_present", lambda: driver)
    settings = load(MACHINE, environment={})
    with caplog.at_level(logging.DEBUG), compose.scheduler(settings, MACHINE) as scheduler:
        scheduler.report(["ed25519.verify"])
        counted = [reading for reading in scheduler.metrics() if reading.name == FALLBACKS and reading.count]
    assert bool(counted) == driver
    assert (REASON in caplog.text) == driver


def test_a_driver_is_found_by_what_it_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not driver_present(tmp_path / "version")
    (tmp_path / "version").touch()
    assert driver_present(tmp_path / "version")
    program = tmp_path / "nvidia-smi"
    program.touch()
    program.chmod(0o755)
    assert driver_present(tmp_path / "none")


@pytest.mark.parametrize("reason", ["", "the processor has no IFMA"])
def test_a_status_lists_what_the_machine_has(monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    table = {
        "one": {"ifma": (len, lambda: reason), "scalar": (len, lambda: "")},
        "other": {"scalar": (len, lambda: "")},
    }
    monkeypatch.setattr(status.registry, "_table", table)
    settings, metrics = load(MACHINE, environment={}), Metrics()
    status.absent.cache_clear()
    try:
        with compose.scheduler(settings, MACHINE) as scheduler:
            metrics.watch(scheduler)
            listed = StatusBoard(metrics, settings, MACHINE).snapshot().executors
    finally:
        status.absent.cache_clear()
    assert [one.name for one in listed] == (["scalar"] if reason else ["ifma", "scalar"])
    assert {(one.kind, one.circuit) for one in listed} == {("processor", "closed")}
