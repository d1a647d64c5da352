# SPDX-License-Identifier: GPL-3.0-or-later
"""What is compiled already: the folder of kernels for these sources."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

INDEX_SUFFIX = ".nbi"
CODE_SUFFIX = ".nbc"


@dataclass(frozen=True)
class KernelCache:
    """The folder of compiled kernels.

    Args:
        folder: where it is; another one for every state of the sources.
        functions: module → functions that have compiled code there.
        specialisations: compiled variants of all functions together.
        size: bytes.
    """

    folder: str
    functions: dict[str, list[str]]
    specialisations: int
    size: int

    def to_json(self) -> dict[str, Any]:
        """Plain types, for `--json`."""
        return asdict(self)


def kernel_cache(folder: Path) -> KernelCache:
    """Read `folder`, which Numba writes: an index per function, a file of code per specialisation."""
    functions: dict[str, list[str]] = {}
    specialisations = 0
    size = 0
    for path in sorted(folder.rglob("*")):
        if path.suffix == INDEX_SUFFIX:
            # module.function-line.python.nbi
            module, _, name = path.name.rpartition("-")[0].partition(".")
            functions.setdefault(module, []).append(name)
        elif path.suffix == CODE_SUFFIX:
            specialisations += 1
        try:
            size += path.stat().st_size if path.is_file() else 0
        except OSError:  # another process replaced it just now
            continue
    return KernelCache(str(folder), functions, specialisations, size)
