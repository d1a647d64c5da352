# SPDX-License-Identifier: GPL-3.0-or-later
"""What all signature batches share: argument checks, and slices for threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from supervm.crypto.messages import Messages
from supervm.kernels.arrays import borrow
from supervm.kernels.cpu.concatenate import cut
from supervm.kernels.errors import ArgumentError
from supervm.kernels.threads import get_threads, run_slices

Bytes = npt.NDArray[np.uint8]
Verdicts = npt.NDArray[np.int8]

MOST_ITEMS = 2048
"""Items of one slice: some twenty milliseconds of work, and scratch that fits the second-level cache."""

MOST_BYTES = 4 << 20
"""Message bytes of one slice, beyond its first message: what bounds the memory of a batch of long messages."""


def rows(array: Any, argument: str, *widths: int) -> Bytes:
    """`array` as contiguous uint8 rows.

    Args:
        array: what the caller passed.
        argument: its name, for the error.
        widths: the row lengths that are accepted.

    Raises:
        ArgumentError: no uint8 array of shape (n, one of `widths`).
    """
    if (
        not isinstance(array, np.ndarray)
        or array.dtype != np.uint8
        or array.ndim != 2
        or array.shape[1] not in widths
    ):
        found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        expected = " or ".join(f"(n, {width})" for width in widths)
        raise ArgumentError(argument, found, f"a uint8 array of shape {expected}")
    return np.ascontiguousarray(array)


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


def slice_items(items: int) -> int:
    """Items per slice: whole lane groups, and at least four slices a thread when there are several threads."""
    share = -(-items // (4 * get_threads())) if get_threads() > 1 else items
    return max(256, -(-min(MOST_ITEMS, share) // 256) * 256)


def for_slices(items: int, work: Callable[[int, int], None]) -> None:
    """`work(start, stop)` over all items, on the threads of the pool."""
    run_slices(work, items, slice_items(items))


def for_message_slices(messages: Messages, work: Callable[[int, int], None]) -> None:
    """As `for_slices`, in slices whose messages are few bytes too."""
    bounds = cut(borrow(messages.offsets), slice_items(len(messages)), MOST_BYTES)
    run_slices(lambda index, _: work(int(bounds[index]), int(bounds[index + 1])), bounds.size - 1, 1)
