# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts the cells of an engine's versions: each is a part of one value, or free, or in a worker's stack, and only that."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from supervm.engine.engine import Engine
from supervm.kernels.cpu.state import access_set
from supervm.kernels.cpu.state import versions as v

Cells = NDArray[np.int64]


def _chains(heads: Cells, rows: NDArray[np.uint32], part: int) -> list[Cells]:
    """Those cells, then those that they name at a place in each, and so on, until there are none."""
    found = []
    while heads.size:
        found.append(heads)
        heads = rows[heads, part // 4].astype(np.int64)
        heads = heads[heads != 0]
        assert len(found) <= len(rows), "a chain of cells ends in itself"
    return found


def check_cells(engine: Engine) -> int:
    """Fails if a cell is lost, or has two places; how many versions there are.

    Nothing may be executing.
    """
    store = engine.state.store
    words = store._words
    count, freed = int(words[v.CELL_COUNT]), int(words[v.FREE_COUNT])
    rows = store._cells[: v.LINE * count].view(np.uint32).reshape(count, -1)
    heads = store._heads[: len(store.keys)].astype(np.int64)
    versions = _chains(heads[heads != 0], rows, v.BEFORE)
    used = [part for level in versions for part in _chains(level, rows, v.NEXT)]
    places = [*used, store._free[:freed].astype(np.int64)]
    for worker in engine._executor._workers:
        held = int(worker.words[access_set.STACK_COUNT])
        places.append(worker.buffer(access_set.STACK, 4 * held).view(np.uint32).astype(np.int64))
    taken = np.bincount(np.concatenate([*places, np.zeros(0, np.int64)]), minlength=count)
    assert len(taken) == count, "a cell that was never taken is in use"
    assert taken[1:].max(initial=0) <= 1, f"cells in two places: {np.flatnonzero(taken > 1)[:9]}"
    lost = np.flatnonzero(taken[1:] == 0)
    assert not lost.size, f"{lost.size} cells are lost"
    newest = rows[heads[heads != 0], v.COMMIT // 4]
    assert newest.max(initial=0) <= store.watermark, "a version of no commit is left"
    return sum(len(level) for level in versions)
