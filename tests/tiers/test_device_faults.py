# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm verify` with a GPU that fails: gpu-only sends everything there, and the verdicts stay the oracle's."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fault_device import FaultDevice, Faults, lend
from typer.testing import CliRunner

from supervm.crypto import ed25519, secp256k1  # noqa: F401  (they list their operations)
from supervm.kernels import registry
from supervm.kernels.cuda.runtime import devices
from supervm.kernels.errors import DeviceError
from supervm.tiers import compose
from supervm.tiers.cli import app
from supervm.tiers.errors import ENVIRONMENT_PROBLEM

pytestmark = pytest.mark.fault

SCHEMES = ("ed25519.verify", "secp256k1.ecdsa_verify", "secp256k1.schnorr_verify")

FAULTS: dict[str, Callable[[], Faults]] = {
    "none": Faults,
    "wrong results": lambda: Faults(wrong_items=3),
    "launch error": lambda: Faults(launch=DeviceError("Fault Device (0)", "launch failed")),
    "out of memory": lambda: Faults(memory_items=4),
    "hang": lambda: Faults(hang=threading.Event()),
    "lost in the middle": lambda: Faults(lost_in_the_middle=True),
    "slow start": lambda: Faults(slow_start=0.2),
    "now and then": lambda: Faults(now_and_then=2),
}


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultDevice]:
    """The only GPU, which computes every scheme; results are checked in full, and nothing is waited for long."""
    one = FaultDevice()
    monkeypatch.setattr(registry, "_table", {name: dict(row) for name, row in registry._table.items()})
    monkeypatch.setattr(registry, "_dispatcher", None)
    for operation in SCHEMES:
        lend(operation, 1)
    monkeypatch.setattr(devices, "_search", lambda: ((one,), ""))
    settings = compose.SchedulerSettings
    quick = {
        "calibrate": False,
        "remember": False,
        "first_deadline": 0.5,
        "deadline_floor": 0.5,
        "smallest_piece": 2,
    }
    monkeypatch.setattr(
        compose, "SchedulerSettings", lambda **given: dataclasses.replace(settings(**given), **quick)
    )
    yield one
    if one.faults.hang is not None:
        one.faults.hang.set()


@pytest.mark.parametrize("name", FAULTS)
def test_verdicts_of_a_file_survive_every_fault(
    device: FaultDevice,
    name: str,
    mixed_items: list[Any],
    json_lines_file: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> None:
    device.faults = FAULTS[name]()
    monkeypatch.setenv("SUPERVM_RECHECK", "1")
    file, output = json_lines_file(mixed_items), tmp_path / "verdicts.txt"
    arguments = [
        "verify",
        str(file),
        "--output",
        str(output),
        "--batch",
        "20",
        "--strategy",
        "gpu-only",
        "--json",
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1, result.output
    assert [int(line) for line in output.read_text().split()] == [item.verdict for item in mixed_items]
    assert device.calls


def test_gpu_only_without_a_gpu_says_what_to_install(
    mixed_items: list[Any], json_lines_file: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "_search", lambda: ((), "no NVIDIA driver"))
    file = json_lines_file(mixed_items)
    result = CliRunner().invoke(app, ["verify", str(file), "--strategy", "gpu-only", "--json"])
    assert result.exit_code == ENVIRONMENT_PROBLEM
    message = json.dumps(json.loads(result.stdout))
    assert "no NVIDIA driver" in message
    assert "supervm-engine[cuda13]" in message
