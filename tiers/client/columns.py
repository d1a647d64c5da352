# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns of a batch: what callers have, as rows that can be cut, and replies as arrays. Nothing here goes item by item."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from supervm.crypto.messages import Messages
from supervm.kernels.array_types import Bytes
from supervm.kernels.errors import ArgumentError
from supervm.tiers.service.v1 import verification_pb2 as pb

__all__ = ["RowsLike", "cuts", "numbers", "rows", "same_count", "table", "wire_rows"]

RowsLike: TypeAlias = "npt.NDArray[np.uint8] | Sequence[bytes] | bytes | bytearray | memoryview"


def rows(value: RowsLike, argument: str, widths: Sequence[int], count: int | None = None) -> Bytes:
    """Rows of one width, as uint8 (n, width); arrays and packed bytes are not copied.

    Args:
        value: a uint8 array (n, width), a list of bytes of one length, or rows one after the other in a bytes object.
        argument: its name, for the error.
        widths: the row lengths that are accepted.
        count: n where it is known, which says how long packed rows are; without, they have the first width.

    Raises:
        ArgumentError: anything else.
    """
    expected = f"rows of {' or '.join(map(str, widths))} bytes"
    if isinstance(value, np.ndarray):
        if value.dtype != np.uint8 or value.ndim != 2 or value.shape[1] not in widths:
            raise ArgumentError(argument, f"{value.dtype} {value.shape}", f"uint8 {expected}")
        return np.ascontiguousarray(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        packed = np.frombuffer(value, np.uint8) if len(value) else np.empty(0, np.uint8)
        width = packed.size // count if count else widths[0]
    elif isinstance(value, (list, tuple)) and all(map(bytes.__instancecheck__, value)):
        lengths = set(map(len, value))
        if len(lengths) > 1:
            raise ArgumentError(argument, f"lengths from {min(lengths)} to {max(lengths)}", expected)
        packed = np.frombuffer(b"".join(value), np.uint8)
        width = lengths.pop() if lengths else widths[0]
    else:
        raise ArgumentError(
            argument, type(value).__name__, f"{expected}: an array, bytes, or a list of bytes"
        )
    if width not in widths or packed.size % width:
        raise ArgumentError(argument, f"{packed.size} bytes", expected)
    return packed.reshape(-1, width)


def table(value: Any, argument: str, dtype: type[np.generic], *shape: int) -> npt.NDArray[Any]:
    """`value` if it is a contiguous array of (n, *shape) numbers; −1 in `shape` is any length.

    Raises:
        ArgumentError: anything else.
    """
    matches = isinstance(value, np.ndarray) and value.dtype == dtype and value.ndim == 1 + len(shape)
    if not matches or any(-1 != want != got for want, got in zip(shape, value.shape[1:], strict=True)):
        came = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
        wanted = ", ".join(["n", *("k" if size < 0 else str(size) for size in shape)])
        raise ArgumentError(argument, came, f"{np.dtype(dtype)} of shape ({wanted})")
    return np.ascontiguousarray(value)


def same_count(expected: int, of: str, **others: int) -> None:
    """Raises:
    ArgumentError: naming the first argument that has another number of items than `of`.
    """
    for argument, found in others.items():
        if found != expected:
            raise ArgumentError(argument, f"{found} items", f"{expected} items, as many as '{of}'")


def wire_rows(messages: Messages, start: int, stop: int) -> pb.Rows:
    """Messages from `start` to before `stop` as the protocol has them."""
    bounds = messages.offsets[start : stop + 1]
    data = messages.data[bounds[0] : bounds[-1]]
    return pb.Rows(data=data.tobytes(), offsets=(bounds - bounds[0]).astype("<u8").tobytes())


def cuts(count: int, width: int, limit: int, messages: Messages | None = None) -> Iterator[tuple[int, int]]:
    """Where a batch is cut so that no request, nor its answer, takes more than `limit` bytes.

    Args:
        count: items; no items are one request without any.
        width: bytes of an item and of its answer, apart from its message.
        limit: bytes of a request.
        messages: of the items, if they have any.

    Raises:
        ArgumentError: one item alone is over the limit; the first such is named.
    """
    if messages is None:
        step = limit // width
        if step < 1:
            raise ArgumentError("message_bytes", str(limit), f"{width} bytes at least, for one item")
        yield from ((start, min(start + step, count)) for start in range(0, max(count, 1), step))
        return
    ends = messages.offsets + np.arange(count + 1, dtype=np.int64) * width
    start = 0
    while True:
        stop = max(start, int(np.searchsorted(ends, ends[start] + limit, side="right")) - 1)
        if stop == start < count:
            found = f"item {start}, of {ends[start + 1] - ends[start]} bytes with its key and signature"
            raise ArgumentError("messages", found, f"at most 'message_bytes', {limit}")
        yield start, stop
        start = stop
        if start == count:
            return


def numbers(packed: Sequence[bytes], dtype: str, *shape: int) -> npt.NDArray[Any]:
    """Numbers of one or more replies, little-endian, in their order: an array (n, *shape) that may be written to."""
    return np.frombuffer(bytearray().join(packed), dtype).reshape(-1, *shape)
