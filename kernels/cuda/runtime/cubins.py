# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiled programs, kept between processes: one cubin per text, architecture and compiler version."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from supervm.kernels.cache import cache_root
from supervm.kernels.cuda.runtime import nvrtc
from supervm.kernels.cuda.runtime.device import Program

Listener = Callable[[str], None]

_listeners: list[Listener] = []
_lock = threading.Lock()


@contextmanager
def telling(listener: Listener) -> Iterator[None]:
    """Call `listener` with a text when a program is compiled and with '' when that has ended, inside a `with` block."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def cubin(program: Program, architecture: str) -> Path:
    """The file that holds `program` for an architecture such as `sm_90`; compiled at first use, some ten seconds.

    Raises:
        BackendUnavailable: there is no NVRTC here.
        DeviceError: the program does not compile.
        OSError: the cache folder cannot be written.
    """
    major, minor = nvrtc.version()
    folder = cache_root() / "cuda"
    path = folder / f"{program.source}-{program.digest}-{architecture}-nvrtc{major}.{minor}.cubin"
    with _lock:
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            _tell(f"compiling CUDA program {program.source} for {architecture} (kept for the next time)")
            try:
                image = nvrtc.compile_cubin(program.text, architecture).image
            finally:
                _tell("")
            made = path.with_suffix(f".{os.getpid()}")
            made.write_bytes(image)
            made.replace(path)
    return path


def _tell(text: str) -> None:
    for listener in list(_listeners):
        listener(text)
