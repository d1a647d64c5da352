# SPDX-License-Identifier: GPL-3.0-or-later
"""Ctrl-C at any time: exit code 130, one line, no traceback, and within seconds.

The signal raises KeyboardInterrupt, so that files and states are closed. That may come too late, where compiled code holds
the main thread, or be lost, where a library catches everything; a thread that the signal wakes ends the process then. A
second Ctrl-C ends it at once. Imports nothing of the project: it must be in force before anything large is loaded.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any, NoReturn

INTERRUPTED = 130
"""The exit code: 128 and the number of SIGINT, as shells have it."""

GRACE_SECONDS = 3.0
"""How long closing may take."""

LINE = "interrupted"
_SHOW_CURSOR = "\x1b[?25h"

_pressed = threading.Event()
_told = False


def install() -> None:
    """Handle SIGINT from now on, unless who started this process has it ignored. Of the main thread; once."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return
    reading, writing = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    # What a forked process is sent is none of this one's business.
    os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
    signal.signal(signal.SIGINT, _interrupt)
    sys.unraisablehook = _unraisable
    threading.Thread(target=_watch, args=(reading,), name="supervm-interruption", daemon=True).start()


def pressed() -> bool:
    """Whether Ctrl-C was pressed."""
    return _pressed.is_set()


def tell() -> None:
    """Say so on standard error, once."""
    global _told
    if not _told:
        _told = True
        cursor = _SHOW_CURSOR if os.isatty(2) else ""
        try:
            os.write(2, f"{cursor}{LINE}\n".encode())
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EBADF, errno.EIO):
                raise


def leave() -> NoReturn:
    """End the process as it is."""
    try:
        tell()
    finally:
        os._exit(INTERRUPTED)


def _interrupt(number: int, frame: FrameType | None) -> None:
    if _pressed.is_set():
        leave()
    _pressed.set()
    raise KeyboardInterrupt


def _watch(reading: int) -> None:
    """Wait for the signal; its handler runs when the main thread comes back to Python, which may take long."""
    while os.read(reading, 1) != bytes([signal.SIGINT]) or signal.getsignal(signal.SIGINT) is not _interrupt:
        pass  # another signal, or one that a service handles itself
    threading.Event().wait(GRACE_SECONDS)
    leave()


def _unraisable(problem: Any) -> None:
    """An interruption that hits a callback ends nothing there, and is no defect to show."""
    if not (_pressed.is_set() and issubclass(problem.exc_type, KeyboardInterrupt)):
        sys.__unraisablehook__(problem)
