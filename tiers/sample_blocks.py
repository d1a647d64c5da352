# SPDX-License-Identifier: GPL-3.0-or-later
"""The Ethereum blocks that come with the benchmarks."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from supervm.kernels.errors import ArgumentError

BLOCKS_PACKAGE = "supervm.benchmarks"


def bundled_blocks() -> list[Path]:
    """Folders with `block.json` and `pre_state.json`, by block number.

    Raises:
        ArgumentError: the benchmarks are not installed.
    """
    try:
        folder = Path(str(files(BLOCKS_PACKAGE))) / "data" / "ethereum"
        found = [path for path in folder.iterdir() if path.name.isdigit()]
    except (ModuleNotFoundError, OSError):
        found = []
    if not found:
        raise ArgumentError("blocks", "none, and no bundled ones are installed", "folders of blocks")
    return sorted(found, key=lambda path: int(path.name))
