# SPDX-License-Identifier: GPL-3.0-or-later
"""The place of each entry among the entries of its group."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def ranks_within(groups: NDArray[np.int64], counted: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """The number of earlier entries in the same group, int64 (n,), for groups int64 (n,).

    Args:
        groups: of the entries.
        counted: bool (n,), the entries that count as earlier ones; without, all.

    >>> ranks_within(np.array([7, 2, 7, 7, 2])).tolist()
    [0, 0, 1, 2, 1]
    >>> ranks_within(np.array([7, 2, 7, 7, 2]), np.array([True, True, False, True, True])).tolist()
    [0, 0, 1, 1, 1]
    """
    order = np.argsort(groups, kind="stable")
    grouped, places = groups[order], np.arange(len(groups), dtype=np.int64)
    if counted is not None:
        places = np.cumsum(counted[order]) - counted[order]
    begins = np.ones(len(groups), np.bool_)
    begins[1:] = grouped[1:] != grouped[:-1]
    ranks = np.empty(len(groups), np.int64)
    ranks[order] = places - np.maximum.accumulate(np.where(begins, places, 0))
    return ranks
