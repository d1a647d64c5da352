# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a caller gives, once or for each transaction, to whole columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from supervm.crypto.messages import Messages, MessagesLike
from supervm.engine.arrays import ragged
from supervm.engine.errors import MalformedBatch
from supervm.kernels.errors import ArgumentError

ObjectsLike: TypeAlias = "tuple[NDArray[np.int64], NDArray[np.uint8]] | None"
AccessLike: TypeAlias = "tuple[NDArray[np.int64], MessagesLike] | None"

_VALUE_BYTES = 32


def big_endian(numbers: NDArray[np.uint64], width: int = _VALUE_BYTES) -> NDArray[np.uint8]:
    """Big-endian rows, uint8 (n, width), of uint64 (n,); `width` is at least 8."""
    found = np.zeros((len(numbers), width), np.uint8)
    found[:, width - 8 :] = numbers.astype(">u8").view(np.uint8).reshape(-1, 8)
    return found


class Columns:
    """Columns of a batch while they are gathered: each has n rows, or is given once and waits for n."""

    def __init__(self) -> None:
        self._ready: dict[str, Any] = {}
        self._waiting: dict[str, Callable[[int], Any]] = {}
        self._counts: dict[str, int] = {}

    def broadcast(self) -> dict[str, Any]:
        """All columns with the n rows of those that have rows, one row if none has.

        Raises:
            MalformedBatch: two columns have different numbers of rows.
        """
        count = next(iter(self._counts.values()), 1)
        for name, found in self._counts.items():
            if found != count:
                first = next(iter(self._counts))
                raise MalformedBatch(name, f"{found} rows", f"{count}, as many as '{first}'")
        return self._ready | {name: made(count) for name, made in self._waiting.items()}

    def rows(self, name: str, given: Any, width: int) -> None:
        """uint8 (n, width), uint8 (width,) or bytes."""
        if isinstance(given, bytes | bytearray):
            given = np.frombuffer(given, np.uint8)
        if isinstance(given, np.ndarray) and given.dtype == np.uint8 and given.shape == (width,):
            self._waiting[name] = lambda count: np.tile(given, (count, 1))
        elif isinstance(given, np.ndarray) and given.dtype == np.uint8 and given.shape[1:] == (width,):
            self._take(name, np.ascontiguousarray(given), len(given))
        else:
            raise MalformedBatch(name, _words(given), f"uint8 (n, {width}), or {width} bytes for all")

    def amounts(self, name: str, given: Any) -> None:
        """uint8 (n, 32), integers (n,), or one integer below 2^256."""
        if isinstance(given, np.ndarray) and given.dtype == np.uint8 and given.ndim == 2:
            self.rows(name, given, _VALUE_BYTES)
        elif isinstance(given, int):
            if not 0 <= given < 1 << 8 * _VALUE_BYTES:
                raise MalformedBatch(name, str(given), "0 to 2^256 − 1")
            self.rows(name, given.to_bytes(_VALUE_BYTES), _VALUE_BYTES)
        else:
            column = _integers(name, given, np.uint64)
            if column.ndim != 1:
                raise MalformedBatch(name, _words(column), "uint8 (n, 32), integers (n,), or one for all")
            self._take(name, big_endian(column), len(column))

    def numbers(self, name: str, given: Any, dtype: Any) -> None:
        """Integers (n,), or one."""
        self._column(name, _integers(name, given, dtype))

    def flags(self, name: str, given: Any) -> None:
        """bool (n,), or one."""
        column = np.asarray(given)
        if column.dtype != np.bool_:
            raise MalformedBatch(name, _words(column), "bool (n,), or one for all")
        self._column(name, column)

    def strings(self, name: str, given: Any) -> None:
        """One bytes object, or n messages."""
        if isinstance(given, bytes | bytearray):
            self._waiting[name] = lambda count: ragged.repeated(bytes(given), count)
        else:
            messages = _messages(name, given)
            self._take(name, messages, len(messages))

    def objects(self, given: ObjectsLike) -> None:
        """None, or offsets and ids."""
        if given is None:
            self._nothing("object_offsets")
            self._ready["object_ids"] = np.zeros((0, 32), np.uint8)
        else:
            self._ready["object_offsets"], self._ready["object_ids"] = given

    def access(self, side: str, given: AccessLike) -> None:
        """None, or offsets and keys; `side` is `read` or `write`."""
        if given is None:
            self._nothing(f"{side}_offsets")
            self._ready[f"{side}_keys"] = ragged.repeated(b"", 0)
        else:
            self._ready[f"{side}_offsets"], keys = given
            self._ready[f"{side}_keys"] = _messages(f"{side}_keys", keys)

    def _nothing(self, offsets: str) -> None:
        self._waiting[offsets] = lambda count: np.zeros(count + 1, np.int64)

    def _column(self, name: str, column: NDArray[Any]) -> None:
        if column.ndim == 0:
            self._waiting[name] = lambda count: np.full(count, column)
        elif column.ndim == 1:
            self._take(name, np.ascontiguousarray(column), len(column))
        else:
            raise MalformedBatch(name, _words(column), "one dimension")

    def _take(self, name: str, column: Any, count: int) -> None:
        self._ready[name] = column
        self._counts[name] = count


def _integers(name: str, given: Any, dtype: Any) -> NDArray[Any]:
    """`given` in this dtype, if all of it fits."""
    column = np.asarray(given)
    if column.dtype.kind not in "iu" and not (column.dtype == np.float64 and not column.size):
        raise MalformedBatch(name, _words(given), "integers")
    most = np.iinfo(dtype).max
    if column.size and (int(column.min()) < 0 or int(column.max()) > most):
        outside = column.min() if column.min() < 0 else column.max()
        raise MalformedBatch(name, str(outside), f"0 to {most}")
    return column.astype(dtype, copy=False)


def _messages(name: str, given: Any) -> Messages:
    try:
        return Messages.of(given, name)
    except ArgumentError as error:
        raise MalformedBatch(name, error.found, error.expected) from None


def _words(value: Any) -> str:
    return (
        f"{value.dtype} {value.shape}"
        if isinstance(value, np.ndarray)
        else f"{type(value).__name__} {value!r:.60}"
    )
