# SPDX-License-Identifier: GPL-3.0-or-later
"""Arrays that lie on a GPU already: CuPy's, and any with `__cuda_array_interface__` (CUDA Array Interface, version 3).

Source: Numba documentation, "CUDA Array Interface (Version 3)".
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from supervm.kernels.cuda.runtime import devices
from supervm.kernels.cuda.runtime.device import Buffer, Device, Stream
from supervm.kernels.errors import ArgumentError


def on_device(array: Any) -> bool:
    """Whether an argument lies on a GPU."""
    return hasattr(type(array), "__cuda_array_interface__")


class DeviceArray:
    """A view of memory that a GPU holds; nothing is copied. It is a buffer that kernels take.

    Args:
        array: what owns the memory.
        argument: the caller's name of it, for errors.

    Raises:
        ArgumentError: it is not contiguous, or masked.
    """

    def __init__(self, array: Any, argument: str = "array") -> None:
        interface = array.__cuda_array_interface__
        self.owner = array
        self.dtype = np.dtype(interface["typestr"])
        self.shape = tuple(interface["shape"])
        self.address = int(interface["data"][0])
        contiguous = _strides(self.shape, self.dtype.itemsize)
        if interface.get("mask") is not None:
            raise ArgumentError(argument, "a masked device array", "one without a mask")
        if self.nbytes and interface.get("strides") not in (None, contiguous):
            raise ArgumentError(
                argument, f"strides {interface['strides']}", f"a contiguous array, strides {contiguous}"
            )

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return int(np.prod(self.shape, dtype=np.int64)) * int(self.dtype.itemsize)

    @property
    def size(self) -> int:
        """In bytes, as of every buffer."""
        return self.nbytes

    def device(self) -> Device:
        """Where it lies, if the owner says; else the device of this thread, or the first.

        Raises:
            BackendUnavailable: that device cannot be used here.
        """
        place = getattr(self.owner, "device", None)
        number = getattr(place, "id", getattr(place, "index", None))  # CuPy's name, and PyTorch's
        return devices.numbered(number if isinstance(number, int) else None)

    @property
    def flat(self) -> DeviceArray:
        """The same elements in one dimension."""
        part = self[0 : len(self)]
        part.shape = (int(np.prod(self.shape, dtype=np.int64)),)
        return part

    def reshaped(self, shape: tuple[int, ...]) -> DeviceArray:
        """The same elements in another shape, one of whose lengths may be −1; it has one axis at least."""
        part = self[0 : len(self)]
        known = int(np.prod([length for length in shape if length >= 0], dtype=np.int64))
        count = int(np.prod(self.shape, dtype=np.int64))
        part.shape = tuple(length if length >= 0 else count // known for length in shape)
        assert int(np.prod(part.shape, dtype=np.int64)) == count
        return part

    def fetched(self) -> npt.NDArray[Any]:
        """A copy in host memory."""
        device = self.device()
        host = np.empty(self.shape, self.dtype)
        with device.use():
            device.synchronize()
            stream = device.stream()
            stream.download(self, host)
            stream.wait()
        return host

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, rows: slice) -> DeviceArray:
        """Rows start … stop − 1, in place."""
        start, stop, step = rows.indices(len(self))
        assert step == 1
        part = object.__new__(DeviceArray)
        part.owner, part.dtype = self.owner, self.dtype
        part.shape = (max(0, stop - start), *self.shape[1:])
        part.address = (
            self.address + start * int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize
        )
        return part


def viewed(array: Any, argument: str) -> Any:
    """A view of an array that lies on a GPU; anything else as it is."""
    return DeviceArray(array, argument) if on_device(array) else array


def fetched(array: Any, argument: str) -> Any:
    """A copy in host memory of an array that lies on a GPU; anything else as it is."""
    return DeviceArray(array, argument).fetched() if on_device(array) else array


def there(stream: Stream, array: Any, unit: int) -> Buffer:
    """An array that lies on the device, where it is; or a copy of another, which must live until the stream is waited for.

    Args:
        stream: of that device.
        array: a `DeviceArray`, or a contiguous NumPy array.
        unit: bytes that kernels read at a time; what lies at no multiple of them is copied too.
    """
    if isinstance(array, DeviceArray) and array.address % unit == 0:
        return array
    copy = stream.allocate(max(unit, array.nbytes))
    if isinstance(array, DeviceArray):
        stream.copy(array, copy)
    elif array.size:
        stream.upload(array, copy)
    return copy


def _strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Of a contiguous array."""
    strides = []
    for length in reversed(shape):
        strides.append(itemsize)
        itemsize *= length
    return tuple(reversed(strides))
