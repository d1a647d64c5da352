# SPDX-License-Identifier: GPL-3.0-or-later
"""NVIDIA GPUs through CuPy: pools of device and pinned memory, streams, and kernels loaded from cubins.

Nothing here is imported before `devices` has found CuPy and a driver that answer.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cupy
import numpy as np

from supervm.kernels.array_types import Array
from supervm.kernels.cuda.runtime import devices
from supervm.kernels.cuda.runtime.cubins import cubin
from supervm.kernels.cuda.runtime.device import PADDING, Argument, Device, Program, Stream
from supervm.kernels.errors import DeviceError, DeviceLost, DeviceOutOfMemory

_runtime = cupy.cuda.runtime

STICKY = frozenset(
    {46, 100, 101, 201, 214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, 810, 999}
)
"""Codes after which a process can do nothing more with the device: it is gone, or its context is corrupted (CUDA Runtime
API 13.0, "Data types used by CUDA Runtime", cudaError)."""

OUT_OF_MEMORY = 2


class CupyBuffer:
    """A block of the device's pool."""

    def __init__(self, memory: Any, size: int) -> None:
        self._memory = memory
        self.address = int(memory.ptr)
        self.size = size


class CupyDevice(Device):
    """One GPU.

    Args:
        index: among the devices that `CUDA_VISIBLE_DEVICES` leaves, from 0.
    """

    def __init__(self, index: int) -> None:
        super().__init__()
        properties = _runtime.getDeviceProperties(index)
        name = properties["name"]
        self.index = index
        self.name = f"{name.decode() if isinstance(name, bytes) else name} ({index})"
        self.architecture = f"sm_{properties['major']}{properties['minor']}"
        self.pool = cupy.cuda.MemoryPool()
        self.pinned = cupy.cuda.PinnedMemoryPool()
        self._modules: dict[str, Any] = {}
        self._kernels: dict[tuple[str, str], Any] = {}
        self._loading = threading.Lock()
        self.idle_streams: list[Any] = []

    @contextmanager
    def use(self) -> Iterator[None]:
        """See `Device.use`; CuPy's errors in the `with` block become this room's, as in `errors`."""
        with self.errors(), cupy.cuda.Device(self.index), devices.using(self):
            yield

    @contextmanager
    def errors(self) -> Iterator[None]:
        """CuPy's errors as this room's."""
        try:
            yield
        except cupy.cuda.memory.OutOfMemoryError as error:
            raise DeviceOutOfMemory(self.name, str(error)) from error
        except (_runtime.CUDARuntimeError, cupy.cuda.driver.CUDADriverError) as error:
            status = int(error.status)
            if status == OUT_OF_MEMORY:
                raise DeviceOutOfMemory(self.name, str(error)) from error
            raise (DeviceLost if status in STICKY else DeviceError)(self.name, str(error)) from error

    def free_bytes(self) -> int:
        """See `Device.free_bytes`: what the driver has, and what lies idle in this pool.

        CuPy's own pool gives its idle blocks back to the driver first.

        Raises:
            DeviceError: the device failed.
        """
        with self.errors(), cupy.cuda.Device(self.index):
            cupy.get_default_memory_pool().free_all_blocks()
            free, _ = _runtime.memGetInfo()
            return int(free) + int(self.pool.free_bytes())

    def held_bytes(self) -> int:
        """See `Device.held_bytes`: this pool and CuPy's own.

        Raises:
            DeviceError: the device failed.
        """
        with self.errors(), cupy.cuda.Device(self.index):
            return int(self.pool.total_bytes()) + int(cupy.get_default_memory_pool().total_bytes())

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """See `Device.empty`: a CuPy array, of CuPy's own pool.

        Raises:
            DeviceOutOfMemory: there is not so much, even after this pool has given back its idle blocks.
            DeviceError: the device failed.
        """
        with self.errors(), cupy.cuda.Device(self.index):
            try:
                return cupy.empty(shape, dtype)
            except (
                cupy.cuda.memory.OutOfMemoryError
            ):  # CuPy's own pool cannot take what lies idle in this one
                self.pool.free_all_blocks()
                return cupy.empty(shape, dtype)

    def synchronize(self) -> None:
        """See `Device.synchronize`.

        Raises:
            DeviceError: something that was queued failed.
        """
        with self.errors():
            cupy.cuda.Device(self.index).synchronize()

    def stream(self) -> Stream:
        """See `Device.stream`: on a CUDA stream that lies idle, or a new one.

        Raises:
            DeviceError: the device failed.
        """
        with self.errors(), cupy.cuda.Device(self.index):
            return CupyStream(self)

    def kernel(self, program: Program, name: str) -> Any:
        """A kernel of a program, loaded once; the program is compiled if no cubin of it is kept."""
        key = (program.digest, name)
        known = self._kernels.get(key)
        if known is None:
            with self._loading:
                if program.digest not in self._modules:
                    self._modules[program.digest] = cupy.RawModule(
                        path=str(cubin(program, self.architecture))
                    )
                known = self._kernels[key] = self._modules[program.digest].get_function(name)
        return known


class CupyStream(Stream):
    """A CUDA stream with its staging memory."""

    def __init__(self, device: CupyDevice) -> None:
        self.device = device
        # CuPy's pool keeps the blocks of each stream apart, so streams are used again and again.
        try:
            self._stream = device.idle_streams.pop()
        except IndexError:
            self._stream = cupy.cuda.Stream(non_blocking=True)
        self._staged: list[tuple[Any, Array]] = []
        self._returns: list[tuple[Array, Array]] = []

    def __del__(self) -> None:
        if not hasattr(self, "_stream"):
            return
        try:  # dropped before `wait`, copies may still run into staging memory that now goes back to its pool
            self._stream.synchronize()
        except Exception:  # whatever broke the stream was raised where it happened; it is not used again
            return
        self.device.idle_streams.append(self._stream)

    def allocate(self, size: int) -> CupyBuffer:
        """See `Stream.allocate`: a block of the device's pool, `PADDING` bytes longer than `size`.

        Raises:
            DeviceOutOfMemory: there is not so much.
        """
        with self.device.errors(), cupy.cuda.Device(self.device.index), self._stream:
            return CupyBuffer(self.device.pool.malloc(size + PADDING), size)

    def _stage(self, size: int) -> Array:
        """Pinned memory that lives until the stream has been waited for."""
        memory = self.device.pinned.malloc(max(1, size))
        view = np.frombuffer(memory, np.uint8, size)
        self._staged.append((memory, view))
        return view

    def upload(self, host: Array, buffer: Any, offset: int = 0) -> None:
        """See `Stream.upload`: through staging memory, unless `host` is pinned; nothing for an empty array.

        Raises:
            DeviceError: the copy could not be queued.
        """
        if host.nbytes == 0:
            return
        with self.device.errors(), cupy.cuda.Device(self.device.index):
            if is_pinned(host):
                source = host
            else:
                source = self._stage(host.nbytes)
                source[:] = host.reshape(-1).view(np.uint8)
            _runtime.memcpyAsync(
                buffer.address + offset,
                source.ctypes.data,
                host.nbytes,
                _runtime.memcpyHostToDevice,
                self._stream.ptr,
            )

    def download(self, buffer: Any, host: Array, offset: int = 0) -> None:
        """See `Stream.download`: through staging memory, unless `host` is pinned; nothing for an empty array.

        Raises:
            DeviceError: the copy could not be queued.
        """
        if host.nbytes == 0:
            return
        with self.device.errors(), cupy.cuda.Device(self.device.index):
            target = host if is_pinned(host) else self._stage(host.nbytes)
            _runtime.memcpyAsync(
                target.ctypes.data,
                buffer.address + offset,
                host.nbytes,
                _runtime.memcpyDeviceToHost,
                self._stream.ptr,
            )
            if target is not host:
                self._returns.append((target, host))

    def clear(self, buffer: Any) -> None:
        """See `Stream.clear`: queued, and without the padding behind the buffer.

        Raises:
            DeviceError: it could not be queued.
        """
        with self.device.errors(), cupy.cuda.Device(self.device.index):
            _runtime.memsetAsync(buffer.address, 0, buffer.size, self._stream.ptr)

    def copy(self, source: Any, buffer: Any) -> None:
        """See `Stream.copy`.

        Raises:
            DeviceError: the copy could not be queued.
        """
        with self.device.errors(), cupy.cuda.Device(self.device.index):
            _runtime.memcpyAsync(
                buffer.address,
                source.address,
                source.size,
                _runtime.memcpyDeviceToDevice,
                self._stream.ptr,
            )

    def launch(self, program: Program, kernel: str, blocks: int, threads: int, *arguments: Argument) -> None:
        """Queue a kernel on a grid of `blocks` × `threads`; its program is compiled and loaded at the first launch.

        Raises:
            BackendUnavailable: the program must be compiled, and there is no NVRTC here.
            DeviceError: the program does not compile, or the launch failed.
            OSError: the folder of compiled programs cannot be written.
        """
        passed = tuple(_passed(argument) for argument in arguments)
        with self.device.errors(), cupy.cuda.Device(self.device.index), self._stream:
            self.device.kernel(program, kernel)((blocks,), (threads,), passed)

    def wait(self) -> None:
        """See `Stream.wait`. Results then go from staging memory to their arrays.

        Staging memory is zeroed and let go, even after a failure.

        Raises:
            DeviceError: something that was queued failed; `DeviceLost` if the device is of no use any more.
        """
        try:
            with self.device.errors(), cupy.cuda.Device(self.device.index):
                self._stream.synchronize()
            for staged, host in self._returns:
                host.reshape(-1).view(np.uint8)[:] = staged
        finally:  # what was sent is not left lying about in host memory, whatever happened
            self._returns.clear()
            for _, view in self._staged:
                view.fill(0)
            self._staged.clear()


def _passed(argument: Argument) -> np.unsignedinteger[Any]:
    """An argument with the width that the kernel's parameter has."""
    if isinstance(argument, np.unsignedinteger):
        return argument
    return np.uint32(argument) if isinstance(argument, int) else np.uint64(argument.address)


_pinned_ranges: dict[int, int] = {}


def pinned_empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """An uninitialised array in pinned memory, which copies to a device without staging; kept for the process."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    memory = cupy.cuda.alloc_pinned_memory(max(1, size))
    _pinned_ranges[int(memory.ptr)] = size
    _kept.append(memory)
    return np.frombuffer(memory, dtype, int(np.prod(shape))).reshape(shape)


_kept: list[Any] = []


def is_pinned(array: Array) -> bool:
    """Whether an array lies in memory of `pinned_empty`."""
    address = array.ctypes.data
    return any(
        start <= address and address + array.nbytes <= start + size
        for start, size in list(_pinned_ranges.items())
    )
