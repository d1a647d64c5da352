# SPDX-License-Identifier: GPL-3.0-or-later
"""What this machine has, as far as it concerns the choice of a tier.

Nothing here fails: what cannot be read is reported as absent, with the reason where one helps.
"""

from __future__ import annotations

import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from supervm.tiers import limits
from supervm.tiers.gpus import Gpu, find_gpus

SHOWN_FEATURES = {
    "ifma": ("avx512ifma",),
    "avx512": ("avx512f",),
    "avx2": ("avx2",),
    "sha": ("sha", "sha2"),
    "neon": ("neon",),
}
"""Names shown to users → LLVM's names of the feature, on x86 and on ARM where they differ."""


@dataclass(frozen=True)
class Hardware:
    """A machine as this process may use it.

    Args:
        cores: usable cores, under affinity and CPU quota.
        memory: usable bytes, under the memory limit.
        cpu: the processor's name.
        architecture: such as 'x86_64' or 'aarch64'.
        features: of 'ifma', 'avx512', 'avx2', 'sha', 'neon', those that the processor has.
        disk_free: free bytes where data would be stored.
        gpus: usable GPUs.
        gpu_reason: why `gpus` is empty; '' if it is not.
        power: 'mains', 'battery' or 'unknown'.
        battery_percent: charge, or None without a battery.
    """

    cores: int
    memory: int
    cpu: str = ""
    architecture: str = ""
    features: tuple[str, ...] = ()
    disk_free: int = 0
    gpus: tuple[Gpu, ...] = ()
    gpu_reason: str = ""
    power: str = "unknown"
    battery_percent: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain types, for `--json`."""
        return asdict(self)


def detect(data_folder: Path | None = None) -> Hardware:
    """Read the machine.

    Args:
        data_folder: where data would be stored; the user's home if not given.
    """
    gpus, gpu_reason = find_gpus()
    power, battery_percent = _power()
    return Hardware(
        cores=limits.usable_cores(),
        memory=_memory(),
        cpu=_cpu_name(),
        architecture=platform.machine(),
        features=_features(),
        disk_free=_disk_free(data_folder),
        gpus=gpus,
        gpu_reason=gpu_reason,
        power=power,
        battery_percent=battery_percent,
    )


def _memory() -> int:
    import psutil

    total = int(psutil.virtual_memory().total)
    limit = limits.memory_limit()
    return total if limit is None else min(total, limit)


def _cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    for key in ("model name", "Model"):  # the second on ARM
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() == key and value.strip():
                return value.strip()
    return platform.processor() or platform.machine()


def _features() -> tuple[str, ...]:
    try:
        # Loads Numba, which a caller that injects its own Hardware never needs.
        from supervm.kernels.cpu.lanes.features import cpu_features

        present = cpu_features().features
    except RuntimeError:  # LLVM cannot read the features of every platform
        return ()
    return tuple(name for name, called in SHOWN_FEATURES.items() if not present.isdisjoint(called))


def _disk_free(folder: Path | None) -> int:
    place = (folder or Path.home()).absolute()
    for candidate in (place, *place.parents):
        try:
            return shutil.disk_usage(candidate).free
        except OSError:
            continue
    return 0


def _power() -> tuple[str, int | None]:
    import psutil

    if not hasattr(psutil, "sensors_battery"):
        return "unknown", None
    try:
        battery = psutil.sensors_battery()
    except (OSError, RuntimeError, ValueError, NotImplementedError):
        return "unknown", None
    if battery is None:
        return ("mains" if sys.platform.startswith("linux") else "unknown"), None
    percent = round(battery.percent)
    if battery.power_plugged is None:
        return "unknown", percent
    return ("mains" if battery.power_plugged else "battery"), percent
