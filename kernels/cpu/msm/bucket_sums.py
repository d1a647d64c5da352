# SPDX-License-Identifier: GPL-3.0-or-later
"""The sums of points that are dealt out to buckets, as affine points."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from supervm.kernels.array_types import Words
from supervm.kernels.cpu.msm.bucket_reduction import reduction_rows
from supervm.kernels.cpu.msm.msm import Packed, Scratch, row_words
from supervm.kernels.cpu.msm.plan import BLOCK
from supervm.kernels.cpu.msm.windows import window_sums


def bucket_sums(packed: Packed, owners: npt.NDArray[np.integer], buckets: int) -> Words:
    """Σ of the points of every bucket.

    Args:
        packed: n points, without multiples.
        owners: (n,), the bucket of each point, below `buckets`.
        buckets: how many there are.

    Returns:
        uint64 (buckets, words of a point): canonical words of x and y, zeros for infinity and for an empty bucket.
    """
    curve, words = packed.curve, row_words(packed.curve)
    order = np.argsort(owners, kind="stable")
    entries = order[packed.infinite[order] == 0].astype(np.uint32)
    starts = np.zeros(buckets + 1, np.int64)
    starts[1:] = np.cumsum(np.bincount(owners[entries], minlength=buckets))
    sums = np.empty((buckets + reduction_rows(buckets, 1)) * words, np.uint64)
    out = np.empty(buckets * words, np.uint64)
    # A window of one bucket each: what is added up with weights elsewhere has the weight 1 here.
    window_sums(
        curve,
        packed.rows,
        np.empty((BLOCK // 2 + 2) * words, np.uint64),
        sums,
        entries,
        starts,
        np.empty(buckets, np.uint32),
        np.empty(BLOCK + 1, np.uint32),
        np.empty((BLOCK + 1, 3), np.int64),
        *Scratch(curve).arguments,
        buckets,
        out,
    )
    return out.reshape(buckets, words)
