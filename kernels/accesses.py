# SPDX-License-Identifier: GPL-3.0-or-later
"""What a block reads and writes, and what conflict detection finds in that, on any backend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from supervm.kernels.array_types import Offsets


@dataclass(frozen=True)
class Accesses:
    """The read and write sets of a block in CSR form: `keys[offsets[i]:offsets[i + 1]]` are transaction i's.

    Args:
        read_offsets, write_offsets: int64 (n + 1,).
        read_keys, write_keys: uint64 (m,) ids, or uint64 (m, 4) rows: 32-byte keys as they lie in memory.
    """

    read_offsets: Offsets
    read_keys: NDArray[np.uint64]
    write_offsets: Offsets
    write_keys: NDArray[np.uint64]


@dataclass(frozen=True)
class Detected:
    """What `detect_conflicts` found.

    Args:
        wave: int32 (n,), from 0.
        wave_count: 1 + the last wave, 0 for an empty block.
        edge_offsets: int64 (n + 1,), or (0,) if edges were not asked for.
        edges: int32, the predecessors of transaction i at `edge_offsets[i]:edge_offsets[i + 1]`, ascending.
        hot_keys: uint64 (h, 1) ids, or (h, 4) rows whose words are read with the first byte highest.
        hot_counts: int64 (h,), the accesses to each.
    """

    wave: NDArray[np.int32]
    wave_count: int
    edge_offsets: Offsets
    edges: NDArray[np.int32]
    hot_keys: NDArray[np.uint64]
    hot_counts: NDArray[np.int64]


HOT_KEYS = 64
"""How many of the most touched keys are kept."""
