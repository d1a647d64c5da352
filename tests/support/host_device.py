# SPDX-License-Identifier: GPL-3.0-or-later
"""A device made of the host twin: the same programs, buffers and launches as on a GPU, done at once on the CPU.

Fresh memory is filled with a pattern, so that a kernel which reads what nobody wrote gives itself away.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import host_twin
import numpy as np

from supervm.kernels.array_types import Array
from supervm.kernels.cuda.runtime import devices
from supervm.kernels.cuda.runtime.device import PADDING, Argument, Device, Program, Stream
from supervm.kernels.errors import DeviceOutOfMemory

ALIGNMENT, PATTERN = 256, 0xA5


class HostBuffer:
    """Host memory in the place of device memory."""

    def __init__(self, device: HostDevice, size: int) -> None:
        self.size = size
        self._device = device
        self._memory = np.full(size + ALIGNMENT + PADDING, PATTERN, np.uint8)
        skip = -self._memory.ctypes.data % ALIGNMENT
        self.bytes = self._memory[skip : skip + size + PADDING]
        self.address = self.bytes.ctypes.data
        device.taken += size

    def __del__(self) -> None:
        self._device.taken -= self.size


class ResidentArray:
    """An array that claims to lie on a device, as CuPy's do: it can be handed over, and not be looked into."""

    def __init__(self, values: Array) -> None:
        self.values = values

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return self.values.__array_interface__ | {"version": 3}

    def get(self) -> Array:
        """The values, as `cupy.ndarray.get`."""
        return self.values


class HostStream(Stream):
    def __init__(self, device: HostDevice) -> None:
        self.device = device

    def allocate(self, size: int) -> HostBuffer:
        if size > self.device.free_bytes():
            raise DeviceOutOfMemory(
                self.device.name, f"{size} bytes asked for, {self.device.free_bytes()} free"
            )
        return HostBuffer(self.device, size)

    def upload(self, host: Array, buffer: HostBuffer, offset: int = 0) -> None:  # type: ignore[override]
        assert host.flags.c_contiguous
        assert offset + host.nbytes <= buffer.size
        buffer.bytes[offset : offset + host.nbytes] = (
            np.frombuffer(memoryview(host).cast("B"), np.uint8) if host.size else 0
        )

    def download(self, buffer: HostBuffer, host: Array, offset: int = 0) -> None:  # type: ignore[override]
        assert host.flags.c_contiguous
        assert offset + host.nbytes <= buffer.size
        ctypes.memmove(host.ctypes.data, buffer.address + offset, host.nbytes)

    def clear(self, buffer: HostBuffer) -> None:  # type: ignore[override]
        buffer.bytes[: buffer.size] = 0

    def copy(self, source: Any, buffer: HostBuffer) -> None:  # type: ignore[override]
        ctypes.memmove(buffer.address, source.address, source.size)

    def launch(self, program: Program, kernel: str, blocks: int, threads: int, *arguments: Argument) -> None:
        self.device.launches.append(kernel)
        library = host_twin.build(program.source, program.constants)
        with self.device.lock:  # the twin keeps carries and shared memory in static variables
            host_twin.call(library, kernel, *(_plain(argument) for argument in arguments))

    def wait(self) -> None:
        pass


class HostDevice(Device):
    """A device of a given size.

    Args:
        index: its number.
        memory: bytes it pretends to have.
    """

    lock = threading.Lock()

    def __init__(self, index: int = 0, memory: int = 1 << 32) -> None:
        super().__init__()
        self.index, self.name = index, f"host twin {index}"
        self.memory, self.taken = memory, 0
        self.launches: list[str] = []
        self.synchronized = 0

    def free_bytes(self) -> int:
        return self.memory - self.taken

    def held_bytes(self) -> int:
        return self.taken

    def empty(self, shape: tuple[int, ...], dtype: Any) -> ResidentArray:
        return ResidentArray(np.full(shape, PATTERN, np.uint8).astype(dtype))

    def synchronize(self) -> None:
        self.synchronized += 1

    def stream(self) -> Stream:
        return HostStream(self)

    @contextmanager
    def use(self) -> Iterator[None]:
        with devices.using(self):
            yield


def _plain(argument: Argument) -> object:
    """An argument as `host_twin.call` takes it."""
    if isinstance(argument, np.uint64):
        return ctypes.c_uint64(int(argument))
    if isinstance(argument, (int, np.integer)):
        return argument
    return ctypes.c_void_p(argument.address)
