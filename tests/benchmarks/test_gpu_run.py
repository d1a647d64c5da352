# SPDX-License-Identifier: GPL-3.0-or-later
"""What a device's results carry and how they are told: versions, the table, and the one command that makes all of them."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from supervm.benchmarks import gpu, table
from supervm.benchmarks.cases import SINGLE
from supervm.benchmarks.measure import Method
from supervm.benchmarks.results import Recorded, read
from supervm.benchmarks.rows import PeerRow, Row
from supervm.kernels.cuda.runtime import nvrtc
from supervm.kernels.errors import DeviceLost
from supervm.tiers import environment as environments

ENVIRONMENT: dict[str, Any] = {
    "hardware": {
        "cpu": "Some CPU",
        "cores": 16,
        "gpus": [{"name": "NVIDIA H100 80GB HBM3"}, {"name": "NVIDIA H100 80GB HBM3"}],
    },
    "versions": {
        "python": "3.12.3",
        "numpy": "2.4.6",
        "cupy": "14.2.0",
        "cuda runtime": "13.0",
        "nvrtc": "13.0",
        "nvidia driver": "580.159",
    },
}


def rows(operation: str = "sha256", *batches: int) -> list[Row]:
    """Kernels alone at 2 G/s and end to end at 1 G/s, with a peer at 65,536."""
    made = []
    for batch in batches or (64, 65536, 1 << 20, 1 << 22):
        peers = (PeerRow("hashlib", "3.12", 2e6, 500.0),) if batch == 65536 else ()
        made.append(Row("hashes", operation, "cuda", 1, batch, 2e9, 0.5, "none", ()))
        made.append(Row("hashes", operation, "cuda", 1, batch, 1e9, 1.0, "included", peers))
    return made


def run_of(found: list[Row]) -> Recorded:
    return Recorded(
        "hashes",
        "2026-01-02T03:04:05Z",
        "supervm bench hashes --backend cuda",
        Method("best of 3", 50.0, 1.0),
        ENVIRONMENT,
        tuple(found),
    )


def test_a_devices_table_has_one_line_an_operation() -> None:
    lines = table.measured([run_of([*rows(), *rows("sha256 [1,024 bytes]", 65536)])]).splitlines()
    assert lines[0] == (
        "**hashes**: NVIDIA H100 80GB HBM3 beside Some CPU, 16 cores; nvidia driver 580.159, cuda runtime 13.0, "
        "nvrtc 13.0, cupy 14.2.0, python 3.12.3, numpy 2.4.6; 2026-01-02; `supervm bench hashes --backend cuda`"
    )
    assert lines[-2:] == [
        "| `sha256` | 1,048,576 | 2 G/s | 1 G/s | 64 in 0 µs | hashlib 3.12: 500x at 65,536 |",
        "| `sha256 [1,024 bytes]` | 65,536 | 2 G/s | 1 G/s |  | hashlib 3.12: 500x at 65,536 |",
    ]


def test_without_that_size_the_largest_is_shown() -> None:
    assert "| `sha256` | 1,024 |" in table.measured([run_of(rows("sha256", 64, 1024))])


def test_a_loss_on_a_device_is_listed() -> None:
    slow = Row(
        "hashes", "sha256", "cuda", 1, 65536, 1e6, 1000.0, "included", (PeerRow("hashlib", "3.12", 2e6, 0.5),)
    )
    assert (
        table.losses([run_of([slow])])
        .splitlines()[-1]
        .startswith("| `sha256` | cuda | 1 | 65,536 | 1 M/s | hashlib")
    )


def test_a_card_is_named_once_in_the_file_name() -> None:
    assert run_of(rows()).machine == "some-nvidia-h100-80gb-hbm3-16-cores"


def fake_cupy(**runtime: Any) -> types.ModuleType:
    made = types.ModuleType("cupy")
    made.__dict__.update(
        __version__="14.2.0", cuda=types.SimpleNamespace(runtime=types.SimpleNamespace(**runtime))
    )
    return made


def test_versions_of_cuda_where_cupy_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = fake_cupy(runtimeGetVersion=lambda: 13000, driverGetVersion=lambda: 13020)
    monkeypatch.setitem(sys.modules, "cupy", loaded)
    monkeypatch.setattr(nvrtc, "version", lambda: (13, 1))
    done = subprocess.CompletedProcess([], 0, stdout="580.159.04\n580.159.04\n")
    monkeypatch.setattr(environments.subprocess, "run", lambda *command, **options: done)
    found = environments.versions()
    assert {name: found[name] for name in list(found)[-5:]} == {
        "cupy": "14.2.0",
        "cuda runtime": "13.0",
        "cuda of the driver": "13.2",
        "nvrtc": "13.1",
        "nvidia driver": "580.159.04",
    }


def test_a_broken_driver_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> int:
        raise RuntimeError("cudaErrorInsufficientDriver")

    monkeypatch.setitem(
        sys.modules, "cupy", fake_cupy(runtimeGetVersion=broken, driverGetVersion=lambda: 13000)
    )
    found = environments.versions()
    assert found["cuda runtime"] is None
    assert found["cuda of the driver"] == "13.0"


def test_without_cupy_nothing_is_loaded_for_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    assert not {"cupy", "nvrtc", "nvidia driver"} & set(environments.versions())
    assert "cupy" not in sys.modules


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A machine with a GPU on which the tests pass and every suite has the same rows; what is changed here shows."""
    state: dict[str, Any] = {"reason": "", "tests": True, "broken": None, "commands": []}

    def run_suite(suite: str, *, backend: str) -> list[Row]:
        assert backend == "cuda"
        if suite == state["broken"]:
            raise DeviceLost("NVIDIA H100 (0)", "fell off the bus")
        return rows()

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        state["commands"].append(command)
        return subprocess.CompletedProcess(command, 0 if state["tests"] else 1)

    monkeypatch.setattr(gpu.devices, "unavailable", lambda: state["reason"])
    monkeypatch.setattr(gpu.devices, "devices", lambda: (types.SimpleNamespace(name="NVIDIA H100 (0)"),))
    monkeypatch.setattr(gpu, "run_suite", run_suite)
    monkeypatch.setattr(gpu, "environment", lambda: ENVIRONMENT)
    monkeypatch.setattr(gpu, "subprocess", types.SimpleNamespace(run=run))
    monkeypatch.setattr(gpu, "missing_peers", lambda suite: ["solders"] if suite == "signatures" else [])
    return state


def test_one_command_tests_measures_records_and_sums_up(
    machine: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpu.main(tmp_path) == 0
    assert [command[1:] for command in machine["commands"]] == [
        ["-m", "pytest", "tests/gpu", "-m", "gpu", "--require-gpu", "-q", "-W", "default"]
    ]
    recorded = [read(path) for path in tmp_path.iterdir()]
    assert {run.suite for run in recorded} == set(SINGLE)
    assert {run.command for run in recorded} == {
        f"supervm bench {run.suite} --backend cuda" for run in recorded
    }
    told = capsys.readouterr().out
    assert "signatures: not installed, so not measured beside: solders" in told
    assert (
        "sha256                                          65,536     2000.000        1000.000  hashlib 500.0x"
        in told
    )
    assert told.endswith(f"tests passed, {len(SINGLE)} suites recorded\n")


def test_a_failure_does_not_keep_the_rest_from_running(
    machine: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine["tests"], machine["broken"] = False, "signatures"
    assert gpu.main(tmp_path) == 1
    told = capsys.readouterr()
    assert told.out.endswith("failed: tests/gpu, signatures\n")
    assert "fell off the bus" in told.err
    assert {read(path).suite for path in tmp_path.iterdir()} == set(SINGLE) - {"signatures"}


def test_without_a_gpu_nothing_runs(
    machine: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine["reason"] = "CuPy is not installed"
    assert gpu.main(tmp_path) == 3
    assert "CuPy is not installed" in capsys.readouterr().err
    assert not machine["commands"]
    assert not list(tmp_path.iterdir())
