# SPDX-License-Identifier: GPL-3.0-or-later
"""Names for the arrays that every room passes on; shapes are said where they matter."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]

Bytes: TypeAlias = npt.NDArray[np.uint8]

Words: TypeAlias = npt.NDArray[np.uint64]
"""Integers of several 64-bit words, least significant first."""

Verdicts: TypeAlias = npt.NDArray[np.int8]
"""1 valid, 0 invalid, −1 malformed."""

Flags: TypeAlias = npt.NDArray[np.bool_]

Offsets: TypeAlias = npt.NDArray[np.int64]
"""Where the rows of a ragged column begin, and where the last one ends."""

Numbers: TypeAlias = npt.NDArray[np.int64]
"""Of keys, transactions or blocks."""

Indices: TypeAlias = npt.NDArray[np.int64]
"""Places in another array."""
