# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a result was made: hardware, versions, system, commit. Part of every `--json` answer."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

from supervm.tiers.hardware import Hardware, detect

DISTRIBUTION = "supervm-engine"
PACKAGES = ("numba", "llvmlite", "numpy", "pyarrow", "msgspec")
GIT_PATIENCE_SECONDS = 5

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
    """Versions of this distribution, Python, and the packages that results depend on."""
    found: dict[str, str | None] = {"supervm-engine": version(), "python": platform.python_version()}
    return found | {name: _installed(name) for name in PACKAGES}


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
            timeout=GIT_PATIENCE_SECONDS,
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
