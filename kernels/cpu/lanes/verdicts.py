# SPDX-License-Identifier: GPL-3.0-or-later
"""From lane bits to verdicts, the same for every scheme."""

from __future__ import annotations

from numba import njit

# mypy: disallow_untyped_defs=False


@njit(nogil=True, cache=True)
def write_verdicts(verdicts, first, stop, width, valid, well_formed):
    """Verdicts of one group from its lane bits: 1 or 0 as `valid` says, −1 where `well_formed` is clear."""
    for lane in range(min(width, stop - first)):
        verdicts[first + lane] = (valid >> lane) & 1 if (well_formed >> lane) & 1 else -1
