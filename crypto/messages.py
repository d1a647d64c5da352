# SPDX-License-Identifier: GPL-3.0-or-later
"""Batches of messages of any lengths: one byte buffer and the offsets at which messages start."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from supervm.kernels.array_types import Bytes, Offsets
from supervm.kernels.cuda.runtime.arrays import DeviceArray, fetched, on_device, viewed
from supervm.kernels.errors import ArgumentError
from supervm.kernels.work import Ragged

if TYPE_CHECKING:
    import pyarrow

MessagesLike: TypeAlias = "Messages | Sequence[bytes] | tuple[Bytes, Offsets] | Bytes | pyarrow.Array"

FEW = 32
"""Messages of a list whose lengths Python adds up sooner than NumPy."""

_ACCEPTED = (
    "Messages, a list of bytes, a pair of arrays (data uint8, offsets int64), an (n, k) uint8 array "
    "or an Arrow binary array"
)


class Messages:
    """Ragged bytes: message i is `data[offsets[i]:offsets[i + 1]]`.

    Args:
        data: uint8 (total,).
        offsets: int64 (n + 1,), ascending, from 0 or later up to `total` or earlier.

    Contiguous arrays are not copied: changing one changes the messages. Both may be CuPy arrays on a GPU: the bytes
    then stay there, and the offsets are copied to the host, where they are checked.

    Raises:
        ArgumentError: a wrong dtype or shape, offsets that fall or that leave `data`.

    >>> Messages.of([b"one", b"", b"three"]).offsets
    array([0, 3, 3, 8])
    """

    __slots__ = ("data", "offsets")

    def __init__(self, data: Bytes, offsets: Offsets) -> None:
        self.data = _flat(viewed(data, "data"), np.dtype(np.uint8), "data")
        self.offsets = _flat(fetched(offsets, "offsets"), np.dtype(np.int64), "offsets")
        _check_offsets(self.offsets, self.data.size, "offsets")

    @classmethod
    def of(cls, messages: MessagesLike, argument: str = "messages") -> Messages:
        """Take messages in any of the forms that batch functions accept.

        Args:
            messages: `Messages`, which is returned as it is; a list or tuple of bytes objects, which are
                copied into one buffer; a tuple (data, offsets) of arrays, as in the constructor; a uint8
                array of shape (n, k), whose rows are the messages, in NumPy or on a GPU; a `pyarrow` Binary, LargeBinary or
                FixedSizeBinary array without nulls. Arrays are copied only if they are not contiguous.
            argument: the caller's name of this parameter, for error messages.

        Raises:
            ArgumentError: anything else, and what the constructor refuses.
        """
        if isinstance(messages, Messages):
            return messages
        if type(messages) is list:
            return cls._of_objects(messages, argument)
        if isinstance(messages, np.ndarray) or on_device(messages):
            return cls._of_rows(viewed(messages, argument), argument)
        if isinstance(messages, tuple) and len(messages) == 2 and _is_array(messages[0]):
            return cls._of_pair(messages[0], messages[1], argument)
        if isinstance(messages, (list, tuple)):
            return cls._of_objects(messages, argument)
        if type(messages).__module__.partition(".")[0] == "pyarrow":
            return cls._of_arrow(messages, argument)
        raise ArgumentError(argument, type(messages).__name__, _ACCEPTED)

    @property
    def only(self) -> bytes:
        """The message, of one that lies on the host."""
        start, stop = self.offsets.tolist()
        only: bytes = self.data[start:stop].tobytes()
        return only

    @property
    def ragged(self) -> Ragged:
        """The two arrays as backends take them."""
        return Ragged(self.data, self.offsets)

    def take(self, rows: npt.NDArray[np.int64]) -> Messages:
        """A copy of the messages at these indices, on the host."""
        data = self.data.fetched() if isinstance(self.data, DeviceArray) else self.data
        return Messages._unchecked(*Ragged(data, self.offsets).take(rows))

    @classmethod
    def _unchecked(cls, data: Any, offsets: Offsets) -> Messages:
        made = cls.__new__(cls)
        made.data = data
        made.offsets = offsets
        return made

    @classmethod
    def _of_rows(cls, rows: Any, argument: str) -> Messages:
        if rows.dtype != np.uint8 or rows.ndim != 2:
            raise ArgumentError(argument, _words(rows), _ACCEPTED)
        count, length = rows.shape
        if length:
            offsets = np.arange(0, (count + 1) * length, length, dtype=np.int64)
        else:
            offsets = np.zeros(count + 1, np.int64)
        data = rows.flat if isinstance(rows, DeviceArray) else np.ascontiguousarray(rows).reshape(-1)
        return cls._unchecked(data, offsets)

    @classmethod
    def _of_pair(cls, data: Any, offsets: Any, argument: str) -> Messages:
        try:
            return cls(data, offsets)
        except ArgumentError as error:
            raise ArgumentError(
                argument, f"{error.argument} that are {error.found}", error.expected
            ) from None

    @classmethod
    def _of_objects(cls, messages: Sequence[bytes], argument: str) -> Messages:
        try:
            joined = bytearray().join(messages)
            if len(messages) <= FEW:
                offsets = np.array((0, *accumulate(map(len, messages))), np.int64)
            else:
                offsets = np.zeros(len(messages) + 1, np.int64)
                np.cumsum(np.fromiter(map(len, messages), np.int64, len(messages)), out=offsets[1:])
        except (TypeError, BufferError) as error:
            raise ArgumentError(
                argument, f"a {type(messages).__name__} with {error}", "bytes objects"
            ) from None
        if offsets[-1] != len(joined):
            raise ArgumentError(argument, "buffers whose items are larger than a byte", "bytes objects")
        return cls._unchecked(np.frombuffer(joined, np.uint8), offsets)

    @classmethod
    def _of_arrow(cls, array: Any, argument: str) -> Messages:
        import pyarrow

        if isinstance(array, pyarrow.ChunkedArray):
            array = array.combine_chunks()
        is_type = pyarrow.types
        if not isinstance(array, pyarrow.Array) or not (
            is_type.is_binary(array.type)
            or is_type.is_large_binary(array.type)
            or is_type.is_fixed_size_binary(array.type)
        ):
            raise ArgumentError(argument, f"Arrow {getattr(array, 'type', type(array).__name__)}", _ACCEPTED)
        if array.null_count:
            raise ArgumentError(argument, f"an Arrow array with {array.null_count} nulls", "no nulls")
        *_, starts, content = array.buffers()
        first, after = array.offset, array.offset + len(array)
        data = np.zeros(0, np.uint8) if content is None else np.frombuffer(content, np.uint8)
        if is_type.is_fixed_size_binary(array.type):
            length = array.type.byte_width
            return cls._of_rows(data[first * length : after * length].reshape(len(array), length), argument)
        if not len(array):
            return cls._unchecked(data, np.zeros(1, np.int64))
        stored = np.int64 if is_type.is_large_binary(array.type) else np.int32
        offsets = np.frombuffer(starts, stored)[first : after + 1].astype(np.int64, copy=False)
        return cls._of_pair(data, offsets, argument)

    def __len__(self) -> int:
        return int(self.offsets.size) - 1

    def __getitem__(self, index: int) -> bytes:
        """A copy of one message, fetched if it lies on a GPU."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"message {index} of {len(self)}")
        index %= len(self)
        part = self.data[self.offsets[index] : self.offsets[index + 1]]
        return bytes(part.fetched() if isinstance(part, DeviceArray) else part)

    def __repr__(self) -> str:
        return f"Messages({len(self)} messages, {self.offsets[-1] - self.offsets[0]} bytes)"


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or on_device(value)


def _flat(array: Any, dtype: np.dtype[Any], argument: str) -> Any:
    """`array` as a contiguous array of one dimension, if it is one of this dtype."""
    if isinstance(array, DeviceArray) and array.dtype == dtype and array.ndim == 1:
        return array
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != 1:
        raise ArgumentError(argument, _words(array), f"a {dtype} array of one dimension")
    return np.ascontiguousarray(array)


def _check_offsets(offsets: Offsets, total: int, argument: str) -> None:
    if not offsets.size:
        raise ArgumentError(argument, "empty", "n + 1 offsets, at least one")
    if offsets[0] < 0 or offsets[-1] > total:
        raise ArgumentError(
            argument, f"from {offsets[0]} to {offsets[-1]}", f"within 0 and {total}, the size of data"
        )
    falls = offsets[1:] < offsets[:-1]
    if falls.any():
        place = int(falls.argmax())
        raise ArgumentError(
            argument, f"{offsets[place + 1]} at {place + 1} after {offsets[place]}", "ascending offsets"
        )


def _words(value: Any) -> str:
    """An argument's dtype and shape, or its type."""
    known = isinstance(value, (np.ndarray, DeviceArray))
    return f"{value.dtype} {value.shape}" if known else type(value).__name__
