# SPDX-License-Identifier: GPL-3.0-or-later
"""As much of CuPy as `supervm.kernels.cuda.runtime.cupy_device` uses, over host memory and the host twin.

Copies and launches are put off until the stream is synchronised, as on a GPU: what is read too early is not there yet.
`FakeCupy` is put in `sys.modules` as `cupy`.
"""

from __future__ import annotations

import ctypes
import types
from collections.abc import Callable
from typing import Any

import host_twin
import numpy as np

from supervm.kernels.cuda.runtime.device import Program


class OutOfMemoryError(MemoryError):
    """As `cupy.cuda.memory.OutOfMemoryError`."""


class CUDARuntimeError(RuntimeError):
    """As `cupy.cuda.runtime.CUDARuntimeError`."""

    def __init__(self, status: int) -> None:
        super().__init__(f"cudaError{status}: a message of the driver")
        self.status = status


class CUDADriverError(CUDARuntimeError):
    """As `cupy.cuda.driver.CUDADriverError`."""


class _Memory:
    """Host memory with an address, filled with a pattern."""

    def __init__(self, size: int) -> None:
        self._bytes = (ctypes.c_uint8 * (size + 512))()
        ctypes.memset(self._bytes, 0xA5, size + 512)
        start = ctypes.addressof(self._bytes)
        self.skip = -start % 256
        self.ptr = start + self.skip
        self.size = size


class FakeCupy(types.ModuleType):
    """A process with so many GPUs.

    Args:
        devices: how many.
        capability: of each.
        memory: bytes of each.

    `launched` has the device and the kernel of every launch, `copied` the kind and the bytes of every copy.
    """

    def __init__(self, devices: int = 1, capability: tuple[int, int] = (9, 0), memory: int = 1 << 30) -> None:
        super().__init__("cupy")
        self.device_count, self.capability, self.memory, self.taken = devices, capability, memory, 0
        self.broken: Exception | None = None
        self.fail: dict[str, Exception] = {}
        self.programs: dict[str, Program] = {}
        self.launched: list[tuple[int, str]] = []
        self.copied: list[tuple[int, int]] = []
        self.visits: list[int] = []
        fake = self

        class Device:
            def __init__(self, index: int) -> None:
                self.index = index

            def __enter__(self) -> None:
                fake.visits.append(self.index)

            def __exit__(self, *error: object) -> None:
                fake.visits.pop()

            def synchronize(self) -> None:
                fake.may_fail("synchronize")
                for stream in fake.streams.values():
                    stream.synchronize()

        class Stream:
            def __init__(self, non_blocking: bool = False) -> None:
                self.queue: list[Callable[[], None]] = []
                self.held: list[_Memory] = []
                self.ptr = id(self)
                fake.streams[self.ptr] = self

            def __enter__(self) -> Stream:
                fake.current.append(self)
                return self

            def __exit__(self, *error: object) -> None:
                fake.current.pop()

            def synchronize(self) -> None:
                fake.may_fail("synchronize")
                for step in self.queue:
                    step()
                self.queue.clear()
                self.held.clear()

        class MemoryPool:
            def malloc(self, size: int) -> _Memory:
                fake.may_fail("malloc")
                if fake.taken + size > fake.memory:
                    raise OutOfMemoryError(f"Out of memory allocating {size} bytes")
                fake.taken += size
                memory = _Memory(size)
                fake.current[-1].held.append(
                    memory
                )  # given back, it goes to the same stream: what is queued may use it
                return memory

            def free_bytes(self) -> int:
                return 0

            def total_bytes(self) -> int:
                return fake.taken

        class PinnedMemoryPool:
            def malloc(self, size: int) -> Any:
                return _buffer(size)

        class RawModule:
            def __init__(self, *, path: str) -> None:
                fake.may_fail("load")
                self.program = fake.programs[path]

            def get_function(self, name: str) -> Callable[..., None]:
                return lambda grid, block, arguments: fake.launch(self.program, name, grid, arguments)

        self.streams: dict[int, Stream] = {}
        self.current: list[Stream] = []
        self.RawModule = RawModule
        self.get_default_memory_pool = lambda: types.SimpleNamespace(
            free_all_blocks=lambda: None, total_bytes=lambda: 1
        )
        runtime = types.SimpleNamespace(
            CUDARuntimeError=CUDARuntimeError,
            memcpyHostToDevice=1,
            memcpyDeviceToHost=2,
            memcpyDeviceToDevice=3,
            getDeviceCount=self._count,
            getDeviceProperties=lambda index: {
                "name": b"Fake GPU",
                "major": capability[0],
                "minor": capability[1],
            },
            memGetInfo=lambda: (self.memory - self.taken, self.memory),
            memcpyAsync=self._copy,
            memsetAsync=self._set,
        )
        self.cuda = types.SimpleNamespace(
            Device=Device,
            Stream=Stream,
            MemoryPool=MemoryPool,
            PinnedMemoryPool=PinnedMemoryPool,
            alloc_pinned_memory=_pinned,
            runtime=runtime,
            driver=types.SimpleNamespace(CUDADriverError=CUDADriverError),
            memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
        )

    def may_fail(self, place: str) -> None:
        """Raise what the test has put there."""
        if place in self.fail:
            raise self.fail[place]

    def launch(self, program: Program, name: str, grid: tuple[int, ...], arguments: tuple[Any, ...]) -> None:
        """Queue a kernel on the current stream."""
        self.may_fail("launch")
        self.launched.append((self.visits[-1], name))
        library = host_twin.build(program.source, program.constants)
        passed = [np.ctypeslib.as_ctypes_type(argument.dtype)(int(argument)) for argument in arguments]
        self.current[-1].queue.append(lambda: host_twin.call(library, name, *passed))

    def _count(self) -> int:
        if self.broken is not None:
            raise self.broken
        return self.device_count

    def _copy(self, to: int, source: int, size: int, kind: int, stream: int) -> None:
        self.may_fail("copy")
        self.copied.append((kind, size))
        self.streams[stream].queue.append(lambda: ctypes.memmove(to, source, size) and None)

    def _set(self, to: int, value: int, size: int, stream: int) -> None:
        self.streams[stream].queue.append(lambda: ctypes.memset(to, value, size) and None)


def _buffer(size: int) -> Any:
    """Something that `np.frombuffer` takes."""
    return bytearray(size)


class _PinnedArray(bytearray):
    """Pinned memory with an address."""

    @property
    def ptr(self) -> int:
        return ctypes.addressof(ctypes.c_uint8.from_buffer(self))


def _pinned(size: int) -> _PinnedArray:
    return _PinnedArray(size)
