# SPDX-License-Identifier: GPL-3.0-or-later
"""Signal handlers that outlive a connection: Ray takes those of this process, and contracts live on them."""

from __future__ import annotations

import ctypes
import signal
from collections.abc import Iterator
from contextlib import contextmanager

TAKEN = tuple(
    getattr(signal, name)
    for name in ("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGTRAP", "SIGABRT", "SIGTERM")
    if hasattr(signal, name)
)
"""What Ray prints a stack and ends the process on (Abseil's failure signal handler), and leaves without any handler."""

ACTION_BYTES = 256
"""More than a `struct sigaction` takes anywhere: 152 bytes on Linux with glibc, 16 on macOS."""


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Put every handler back that was there before.

    Wasmtime turns the signals of traps into verdicts. A handler that comes after its own would end the process at the
    first contract that divides by zero. Python's `signal` does not know handlers of native code; the C library does.
    """
    library = ctypes.CDLL(None)
    before = {number: ctypes.create_string_buffer(ACTION_BYTES) for number in TAKEN}
    for number, action in before.items():
        library.sigaction(int(number), None, action)
    try:
        yield
    finally:
        for number, action in before.items():
            library.sigaction(int(number), action, None)
