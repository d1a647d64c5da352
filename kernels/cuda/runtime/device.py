# SPDX-License-Identifier: GPL-3.0-or-later
"""What kernels of this folder ask of a device: memory, streams, launches.

`cupy_device` is the real one. Tests run the same programs on the host twin, and on one that fails on demand.
"""

from __future__ import annotations

import hashlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import numpy as np

from supervm.kernels.array_types import Array
from supervm.kernels.cuda.runtime.sources import flatten

THREADS = 128
"""Threads of a block in kernels whose items are independent."""

PADDING = 64
"""Bytes behind every buffer that may be read: kernels read whole words."""


@dataclass(frozen=True)
class Program:
    """A source and the constants that specialise it.

    Args:
        source: a name in `src/`.
        constants: C++ text that stands for `#include "constants.cuh"`.
    """

    source: str
    constants: str = ""

    @cached_property
    def text(self) -> str:
        """The whole translation unit."""
        return flatten(self.source, self.constants)

    @cached_property
    def digest(self) -> str:
        """Sixteen hex digits that name the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


class Buffer(Protocol):
    """Device memory, given back to its pool when the last reference goes."""

    @property
    def address(self) -> int:
        """Where it begins; a multiple of 256 if it was allocated here."""

    @property
    def size(self) -> int:
        """In bytes."""


Argument: TypeAlias = "Buffer | int | np.unsignedinteger[Any]"
"""A kernel's argument: a buffer's address, a u32 (int, np.uint32) or a u64 (np.uint64)."""


class Stream(ABC):
    """A queue of copies and launches of one device. Nothing has happened for sure before `wait` returns."""

    @abstractmethod
    def allocate(self, size: int) -> Buffer:
        """At least `size` bytes of device memory, contents unknown.

        Raises:
            DeviceOutOfMemory: there is not so much.
        """

    @abstractmethod
    def upload(self, host: Array, buffer: Buffer, offset: int = 0) -> None:
        """Queue a copy of a contiguous array to `buffer` from byte `offset` on; `host` must not change before `wait`."""

    @abstractmethod
    def download(self, buffer: Buffer, host: Array, offset: int = 0) -> None:
        """Queue a copy from byte `offset` of `buffer`; the contiguous `host` holds it once `wait` has returned."""

    @abstractmethod
    def clear(self, buffer: Buffer) -> None:
        """Set every byte to zero."""

    @abstractmethod
    def copy(self, source: Buffer, buffer: Buffer) -> None:
        """Queue a copy of all of `source` to the beginning of `buffer`, on the device."""

    @abstractmethod
    def launch(self, program: Program, kernel: str, blocks: int, threads: int, *arguments: Argument) -> None:
        """Run a kernel on a grid."""

    @abstractmethod
    def wait(self) -> None:
        """Return when all that was queued is done.

        Raises:
            DeviceError: something of it failed.
        """

    def launch_items(self, program: Program, kernel: str, items: int, *arguments: Argument) -> None:
        """Run a kernel with one thread per item; nothing for none."""
        if items:
            self.launch(program, kernel, -(-items // THREADS), THREADS, *arguments)


class Device(ABC):
    """One GPU, or what stands for one.

    Args:
        name: for messages.
        index: its place in the list of devices that this process sees.
    """

    name: str
    index: int

    def __init__(self) -> None:
        self._kept: dict[str, Buffer] = {}
        self._keeping = threading.Lock()

    def kept(self, key: str, make: Callable[[Stream], Buffer]) -> Buffer:
        """The buffer of that key, made at first use and kept as long as the device: tables."""
        with self._keeping:
            if key not in self._kept:
                stream = self.stream()
                buffer = make(stream)
                stream.wait()
                self._kept[key] = buffer
            return self._kept[key]

    @abstractmethod
    def free_bytes(self) -> int:
        """Device memory that could be allocated now."""

    @abstractmethod
    def held_bytes(self) -> int:
        """Device memory that this process holds, whether it is in use or waits to be used again."""

    @abstractmethod
    def stream(self) -> Stream:
        """A new queue."""

    @abstractmethod
    def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """An array on the device whose contents are unknown, with `__cuda_array_interface__`."""

    @abstractmethod
    def synchronize(self) -> None:
        """Return when everything that any stream of the device was given is done."""

    @abstractmethod
    def use(self) -> AbstractContextManager[None]:
        """Make it the device on which this thread's `cuda` functions work."""
