# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a result was made: hardware, versions, system, commit. Part of every `--json` answer."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from supervm.tiers.hardware import Hardware, detect

DISTRIBUTION = "supervm-engine"
PACKAGES = ("numba", "llvmlite", "numpy", "wasmtime", "rocksdict", "pyarrow", "msgspec")
PATIENCE_SECONDS = 5

HOME = Path(__file__).resolve().parent.parent
"""The folder above the rooms: the root of a checkout, or `supervm` where the wheel was installed."""


def environment(hardware: Hardware | None = None) -> dict[str, Any]:
    """Plain types: 'hardware', 'versions', 'system', and 'commit' where the code runs from a checkout.

    Args:
        hardware: what was detected already, if it was.
    """
    return {
        "hardware": (hardware or detect()).to_json(),
        "versions": versions(),
        "system": {
            "name": platform.system(),
            "release": platform.release(),
            "libc": " ".join(platform.libc_ver()).strip(),
        },
        "commit": commit(),
    }


def version() -> str:
    """The version of this distribution."""
    return _installed(DISTRIBUTION) or "unknown"


def versions() -> dict[str, str | None]:
    """Versions of this distribution, Python, and the packages that results depend on; those of CUDA where it is in use."""
    found: dict[str, str | None] = {"supervm-engine": version(), "python": platform.python_version()}
    return found | {name: _installed(name) for name in PACKAGES} | _cuda_versions()


def _cuda_versions() -> dict[str, str | None]:
    """What a GPU's results depend on, where this process has loaded CuPy; nothing is loaded for the answer."""
    cupy = sys.modules.get("cupy")
    if cupy is None:
        return {}
    from supervm.kernels.cuda.runtime import nvrtc

    asked: dict[str, Callable[[], str]] = {
        "cupy": lambda: str(cupy.__version__),
        "cuda runtime": lambda: _cuda_number(cupy.cuda.runtime.runtimeGetVersion()),
        "cuda of the driver": lambda: _cuda_number(cupy.cuda.runtime.driverGetVersion()),
        "nvrtc": lambda: ".".join(map(str, nvrtc.version())),
        "nvidia driver": _driver_version,
    }
    found: dict[str, str | None] = {}
    for name, ask in asked.items():
        try:
            found[name] = ask()
        except Exception:  # a driver or library that does not answer is one whose version is unknown
            found[name] = None
    return found


def _cuda_number(version: int) -> str:
    """13000 as 13.0."""
    return f"{version // 1000}.{version % 1000 // 10}"


def _driver_version() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True)
    return done.stdout.split()[0]


def commit(checkout: Path = HOME) -> dict[str, Any] | None:
    """The commit that the code runs from and whether files differ from it; None outside a checkout."""
    if not (checkout / ".git").exists():
        return None
    identity = _git(checkout, "rev-parse", "HEAD")
    if identity is None:
        return None
    changes = _git(checkout, "status", "--porcelain", "--untracked-files=no")
    return {"id": identity, "modified": None if changes is None else bool(changes)}


def _git(checkout: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(checkout), *arguments],
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
