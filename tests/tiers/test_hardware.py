# SPDX-License-Identifier: GPL-3.0-or-later
"""Detection: limits of control groups, GPUs as the driver lists them, and never a failure."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from supervm.kernels.cpu.lanes.features import CpuFeatures
from supervm.tiers import detect, limits
from supervm.tiers.gpus import Gpu, find_gpus

TWO_GPUS = "0, GPU-aaaa, NVIDIA H100 80GB HBM3, 81559, 9.0\n1, GPU-bbbb, NVIDIA A100, 40960, 8.0\n"


def _tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_detects_this_machine() -> None:
    hardware = detect()
    assert hardware.cores >= 1
    assert hardware.memory > 1 << 20
    assert hardware.cpu
    assert hardware.power in ("mains", "battery", "unknown")
    assert bool(hardware.gpus) != bool(hardware.gpu_reason)
    assert set(hardware.to_json()) >= {"cores", "memory", "features", "gpus", "disk_free"}


@pytest.mark.parametrize(
    ("has", "shown"),
    [
        ({"avx2", "fma", "sha", "sse2"}, ("avx2", "sha")),
        ({"fp-armv8", "neon", "sha2", "sha3"}, ("sha", "neon")),
        ({"fp-armv8", "neon"}, ("neon",)),
    ],
)
def test_features_have_one_name_on_both_kinds_of_processors(
    monkeypatch: pytest.MonkeyPatch, has: set[str], shown: tuple[str, ...]
) -> None:
    processor = CpuFeatures("some", frozenset(has), "", False)
    monkeypatch.setattr("supervm.kernels.cpu.lanes.features.cpu_features", lambda: processor)
    assert detect().features == shown


def test_a_missing_data_folder_has_the_free_space_of_its_parent(tmp_path: Path) -> None:
    assert detect(tmp_path / "not" / "there").disk_free > 0


def test_version_2_quota_and_memory_of_an_ancestor_count(tmp_path: Path) -> None:
    root = _tree(
        tmp_path,
        {
            "proc/self/cgroup": "0::/pod/box\n",
            "sys/fs/cgroup/pod/cpu.max": "100000 100000",
            "sys/fs/cgroup/pod/memory.max": "1000000000",
            "sys/fs/cgroup/pod/box/cpu.max": "max 100000",
            "sys/fs/cgroup/pod/box/memory.max": "max",
        },
    )
    assert limits.usable_cores(root) == 1
    assert limits.memory_limit(root) == 10**9


def test_version_1_limits_count(tmp_path: Path) -> None:
    root = _tree(
        tmp_path,
        {
            "proc/self/cgroup": "5:cpu,cpuacct:/seen/by/the/host\n4:memory:/box\n0::/\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "150000",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            "sys/fs/cgroup/memory/box/memory.limit_in_bytes": "2000000000",
        },
    )
    assert limits.usable_cores(root) == 1
    assert limits.memory_limit(root) == 2 * 10**9


@pytest.mark.parametrize("quota", ["max 100000", "-1 100000", "", "9999999999 100000", "x y"])
def test_no_quota_leaves_every_core(tmp_path: Path, quota: str) -> None:
    free = limits.usable_cores(tmp_path / "nothing here")
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": quota}
    assert limits.usable_cores(_tree(tmp_path, files)) == free
    assert limits.memory_limit(tmp_path) is None


def test_a_quota_below_one_core_is_one_core(tmp_path: Path) -> None:
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "10000 100000"}
    assert limits.usable_cores(_tree(tmp_path, files)) == 1


def test_gpus_as_the_driver_lists_them() -> None:
    gpus, reason = find_gpus({}, lambda: TWO_GPUS)
    assert gpus == (
        Gpu("NVIDIA H100 80GB HBM3", 81559 << 20, "9.0"),
        Gpu("NVIDIA A100", 40960 << 20, "8.0"),
    )
    assert reason == ""


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        ("1", ["NVIDIA A100"]),
        ("1,0", ["NVIDIA A100", "NVIDIA H100 80GB HBM3"]),
        ("GPU-aa", ["NVIDIA H100 80GB HBM3"]),
        ("0,-1,1", ["NVIDIA H100 80GB HBM3"]),
        ("", []),
        ("-1", []),
        ("GPU-", []),
    ],
)
def test_visible_devices_are_obeyed(visible: str, names: list[str]) -> None:
    gpus, reason = find_gpus({"CUDA_VISIBLE_DEVICES": visible}, lambda: TWO_GPUS)
    assert [gpu.name for gpu in gpus] == names
    assert (reason == "") == bool(names)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (FileNotFoundError("no NVIDIA driver"), "no NVIDIA driver"),
        (PermissionError("denied"), "denied"),
        (subprocess.TimeoutExpired("nvidia-smi", 10), "did not answer"),
        (
            subprocess.CalledProcessError(9, "nvidia-smi", "NVIDIA-SMI has failed\nmore"),
            "NVIDIA-SMI has failed",
        ),
        (subprocess.CalledProcessError(9, "nvidia-smi", "", ""), "exit code 9"),
    ],
)
def test_a_broken_driver_is_a_reason(error: Exception, expected: str) -> None:
    def ask() -> str:
        raise error

    gpus, reason = find_gpus({}, ask)
    assert gpus == ()
    assert expected in reason


@pytest.mark.parametrize("answer", ["", "what is this", "0, GPU-a, Name, [N/A], 9.0\n"])
def test_an_odd_answer_of_the_driver_is_a_reason(answer: str) -> None:
    gpus, reason = find_gpus({}, lambda: answer)
    assert gpus == ()
    assert "nvidia-smi" in reason
