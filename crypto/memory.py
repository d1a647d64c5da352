# SPDX-License-Identifier: GPL-3.0-or-later
"""How much memory work may take, asked before it begins."""

from __future__ import annotations

import os
from pathlib import Path

from supervm.crypto.errors import MemoryNeeded

_MEMINFO = Path("/proc/meminfo")
_GROUP_LIMIT, _GROUP_USED = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")


def available() -> int:
    """Bytes that this process may still take: those of the machine, or of its control group if that has fewer."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        for line in _MEMINFO.read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                found = 1024 * int(line.split()[1])
    except OSError:
        pass  # no Linux: what the machine has
    try:
        limit = _GROUP_LIMIT.read_text("ascii").strip()
        if limit != "max":
            found = min(found, max(0, int(limit) - int(_GROUP_USED.read_text("ascii"))))
    except (OSError, ValueError):
        pass  # no control group, or one of another version
    return found


def require(needed: int, what: str) -> None:
    """Make sure of memory before work begins.

    Args:
        needed: bytes.
        what: the work, in words.

    Raises:
        MemoryNeeded: fewer are available.
    """
    free = available()
    if needed > free:
        raise MemoryNeeded(what, needed, free)
