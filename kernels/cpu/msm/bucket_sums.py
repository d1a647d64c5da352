# SPDX-License-Identifier: GPL-3.0-or-later
"""The sums of points that are dealt out to buckets, as affine points."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from supervm.kernels.array_types import Words
from supervm.kernels.cpu.msm.msm import Packed, row_words, sum_windows
from supervm.kernels.cpu.msm.packed_points import NEGATED


def bucket_sums(
    packed: Packed, owners: npt.NDArray[np.integer], negated: npt.NDArray[np.bool_], buckets: int
) -> Words:
    """Σ of the points of every bucket.

    Args:
        packed: n points, without multiples.
        owners: (n,), the bucket of each point, below `buckets`.
        negated: (n,), whether the opposite of the point is meant.
        buckets: how many there are.

    Returns:
        uint64 (buckets, words of a point): canonical words of x and y, zeros for infinity and for an empty bucket.
    """
    order = np.argsort(owners, kind="stable")
    entries = order[packed.infinite[order] == 0].astype(np.uint32)
    starts = np.zeros(buckets + 1, np.int64)
    starts[1:] = np.cumsum(np.bincount(owners[entries], minlength=buckets))
    entries |= negated[entries].astype(np.uint32) * np.uint32(NEGATED)
    out = np.empty(buckets * row_words(packed.curve), np.uint64)
    # A window of one bucket each: what is added up with weights elsewhere has the weight 1 here.
    sum_windows(packed, entries, starts, buckets, out)
    return out.reshape(buckets, -1)
