# SPDX-License-Identifier: GPL-3.0-or-later
"""The GPUs that this process may use, or the reason why there are none, and the one that a thread works on.

A broken driver or library is a reason.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from supervm.kernels.cuda.runtime import nvrtc
from supervm.kernels.cuda.runtime.device import Device
from supervm.kernels.errors import BackendUnavailable

LEAST_CAPABILITY = (8, 0)
"""Ampere: the oldest architecture that the programs are compiled for in the tests."""

INSTALL = "pip install 'supervm-engine[cuda13]' (driver 580 or newer) or 'supervm-engine[cuda12]'"

_lock = threading.Lock()
_thread = threading.local()


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have held it


os.register_at_fork(after_in_child=_after_fork)


def devices() -> tuple[Device, ...]:
    """Every usable GPU, in CUDA's order, which `CUDA_VISIBLE_DEVICES` decides; looked for once in a process."""
    return _found()[0]


def unavailable() -> str:
    """Why no GPU can be used here and what would change that, or ''."""
    return _found()[1]


def working_device() -> Device:
    """The device of this thread, or the first.

    Raises:
        BackendUnavailable: there is none.
    """
    device = chosen()
    if device is not None:
        return device
    found, reason = _found()
    if not found:
        raise BackendUnavailable("cuda", reason)
    return found[0]


def numbered(index: int | None) -> Device:
    """The device of that number; of none in particular, as `working_device`.

    Raises:
        BackendUnavailable: there is no such device among the usable ones.
    """
    if index is None:
        return working_device()
    for device in devices():
        if device.index == index:
            return device
    raise BackendUnavailable("cuda", f"GPU {index} is asked for: {unavailable() or 'it is not a usable one'}")


def _found() -> tuple[tuple[Device, ...], str]:
    with _lock:
        return _search()


@functools.cache
def _search() -> tuple[tuple[Device, ...], str]:
    try:
        if importlib.util.find_spec("cupy") is None:
            return (), f"CuPy is not installed: {INSTALL}"
        import cupy
    except Exception as error:  # a library that is broken, or made for another CUDA, may fail in any way
        return (), f"CuPy cannot be imported ({_first_line(error)}): {INSTALL}"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
        capabilities = [_capability(cupy, index) for index in range(count)]
    except Exception as error:  # no driver, too old a driver, a GPU that fell off the bus
        return (), f"the CUDA driver does not answer: {_first_line(error)}"
    able = [index for index in range(count) if capabilities[index] >= LEAST_CAPABILITY]
    if not able:
        seen = ", ".join(f"{major}.{minor}" for major, minor in capabilities) or "none"
        least = ".".join(map(str, LEAST_CAPABILITY))
        return (), f"no visible GPU of compute capability {least} or above (found: {seen})"
    missing = nvrtc.unavailable()
    if missing:
        return (), missing
    try:
        from supervm.kernels.cuda.runtime.cupy_device import CupyDevice

        return tuple(CupyDevice(index) for index in able), ""
    except Exception as error:
        return (), f"the GPU cannot be used: {_first_line(error)}"


def _capability(cupy: Any, index: int) -> tuple[int, int]:
    properties = cupy.cuda.runtime.getDeviceProperties(index)
    return properties["major"], properties["minor"]


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"


@contextmanager
def using(device: Device) -> Iterator[None]:
    """Make `device` this thread's for the length of a `with` block."""
    before = getattr(_thread, "device", None)
    _thread.device = device
    try:
        yield
    finally:
        _thread.device = before


def chosen() -> Device | None:
    """The device that this thread is using, if it said so."""
    return getattr(_thread, "device", None)
