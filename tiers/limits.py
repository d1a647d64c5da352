# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operating system lets this process use: cores and memory under affinity and control groups.

Both versions of Linux control groups are read. A limit may sit on any ancestor of the process's own group,
and inside a container the group's path may be one that only the host sees; so every folder from the
process's own up to the mount is asked and the smallest limit counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def usable_cores(root: Path = Path("/")) -> int:
    """Cores that this process may keep busy: affinity, cut to the CPU quota; at least 1."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        cores = os.cpu_count() or 1
    return max(1, min(cores, int(_cpu_quota(root))))


def memory_limit(root: Path = Path("/")) -> int | None:
    """The smallest memory limit of the control groups in bytes, or None without one."""
    limits = [
        int(text)
        for folder, version in _groups(root, "memory")
        if (text := _read(folder / ("memory.max" if version == 2 else "memory.limit_in_bytes"))).isdigit()
    ]
    return min(limits, default=None)


def _cpu_quota(root: Path) -> float:
    """The smallest quota in cores, at least 1; a large number without one."""
    smallest = 1e9
    for folder, version in _groups(root, "cpu"):
        if version == 2:
            fields = _read(folder / "cpu.max").split()
        else:
            fields = [_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")]
        if len(fields) == 2 and fields[0].isdigit() and fields[1].isdigit() and int(fields[1]) > 0:
            smallest = min(smallest, int(fields[0]) / int(fields[1]))
    return max(1.0, smallest)


def _groups(root: Path, controller: str) -> Iterator[tuple[Path, int]]:
    """Folders (and the version) of the control groups that bind this process for `controller`."""
    mount = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, names, group = [*line.split(":", 2), "", ""][:3]
        if number == "0" and not names:
            bases, version = [mount, mount / "unified"], 2
        elif controller in names.split(","):
            bases, version = [mount / names, mount / controller], 1
        else:
            continue
        for base in bases:
            folder = base / group.lstrip("/")
            yield folder, version
            while folder != base and base in folder.parents:
                folder = folder.parent
                yield folder, version


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
