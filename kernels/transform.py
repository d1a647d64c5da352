# SPDX-License-Identifier: GPL-3.0-or-later
"""What a number-theoretic transform computes, on any backend, and its numbers as words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from supervm.kernels.array_types import Words


@dataclass(frozen=True)
class Transform:
    """What is to be computed.

    Args:
        log: of 2^log numbers.
        inverse: from values to coefficients.
        shift: values are those at shift · ω^i; 1 for the group of roots of unity itself.
        reversed: values are in bit-reversed order (coefficients never are).
    """

    log: int
    inverse: bool = False
    shift: int = 1
    reversed: bool = False


def words_of(values: Sequence[int]) -> Words:
    """Integers below 2^256 as rows of four words, flat."""
    data = b"".join(value.to_bytes(32, "little") for value in values)
    return np.frombuffer(data, "<u8").astype(np.uint64)
