# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of arguments that the batch functions share."""

from __future__ import annotations

from typing import Any

import numpy as np

from supervm.kernels.array_types import Offsets
from supervm.kernels.cuda.runtime.arrays import DeviceArray, viewed
from supervm.kernels.errors import ArgumentError


def rows(array: Any, argument: str, *widths: int) -> Any:
    """`array` as contiguous uint8 rows: a NumPy array, or a `DeviceArray` of one that lies on a GPU.

    Args:
        array: what the caller passed.
        argument: its name, for the error.
        widths: the row lengths that are accepted.

    Raises:
        ArgumentError: no uint8 array of shape (n, one of `widths`).
    """
    if type(array) is np.ndarray and array.dtype == np.uint8 and array.ndim == 2 and array.shape[1] in widths:
        return np.ascontiguousarray(array)
    found = viewed(array, argument)
    if (
        not isinstance(found, (np.ndarray, DeviceArray))
        or found.dtype != np.uint8
        or found.ndim != 2
        or found.shape[1] not in widths
    ):
        known = isinstance(found, (np.ndarray, DeviceArray))
        came = f"{found.dtype} {found.shape}" if known else type(array).__name__
        expected = " or ".join(f"(n, {width})" for width in widths)
        raise ArgumentError(argument, came, f"a uint8 array of shape {expected}")
    return found if isinstance(found, DeviceArray) else np.ascontiguousarray(found)


def same_count(count: int, of: str, others: dict[str, int]) -> None:
    """Every other argument must have `count` items, as `of` has.

    Raises:
        ArgumentError: naming the first one that differs.
    """
    for argument, found in others.items():
        if found != count:
            raise ArgumentError(argument, f"{found} items", f"{count} items, as many as '{of}'")


def flag(value: Any, argument: str) -> bool:
    """`value` if it is True or False.

    Raises:
        ArgumentError: anything else, which a caller may have meant for another argument.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise ArgumentError(argument, repr(value), "True or False")
    return bool(value)


def bounds(offsets: Any, count: int) -> Offsets:
    """`offsets` as int64, if they cut `count` rows into items.

    Raises:
        ArgumentError: they are no ascending whole numbers from 0 to `count`.
    """
    found = np.asarray(offsets)
    if (
        found.ndim != 1
        or not found.size
        or found.dtype.kind not in "iu"
        or found[0] != 0
        or found[-1] != count
        or (found[1:] < found[:-1]).any()
    ):
        raise ArgumentError("offsets", str(offsets)[:80], f"ascending whole numbers from 0 to {count}")
    return found.astype(np.int64)
