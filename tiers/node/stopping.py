# SPDX-License-Identifier: GPL-3.0-or-later
"""From a signal to the end of a node: in order if there is time for it, at once if there is not.

A thread waits for signals. What Python does at a signal happens on the main thread, between two of its steps: there it
would wait for a compiler to come back, or for a lock that the main thread itself holds. Whatever ends a node, its state
is whole: a block is one atomic write (docs/node.md, What survives).
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

SIGNALS = (signal.SIGTERM, signal.SIGINT)

LAST_SECONDS = 1.0
"""How long closing may take after the time that a stop has: then the process ends as it is."""

_OVER = 0
"""What the thread reads when nothing is left to stop; no signal has this number."""


class Stopping:
    """What signals do to a node.

    Before `ready` nobody was promised anything, and the first one ends the process. After it the first one stops the node in
    order, within `seconds` and a moment; a second one, or the end of that time, ends the process as it is.

    Args:
        seconds: how long a stop may take.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._stop: Callable[[], None] | None = None
        self._asked: float | None = None
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)  # as `signal.set_wakeup_fd` wants it
        self._thread = threading.Thread(target=self._watch, name="supervm-node-signals", daemon=True)

    def ready(self, stop: Callable[[], None]) -> None:
        """Have signals call this from now on, on a thread of its own."""
        self._stop = stop

    @property
    def left(self) -> float:
        """Seconds that a stop has left; all of them before it began."""
        if self._asked is None:
            return self._seconds
        return max(0.0, self._asked + self._seconds - time.monotonic())

    @contextmanager
    def watching(self) -> Iterator[Stopping]:
        """Watch inside of `with`, on the main thread; on others no signal arrives, and nothing is watched."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
        wakeup = signal.set_wakeup_fd(self._near.fileno(), warn_on_full_buffer=False)
        self._thread.start()
        try:
            yield self
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._near.send(bytes([_OVER]))
            self._thread.join()
            self._near.close()
            self._far.close()

    def _watch(self) -> None:
        if not self._signalled(None):
            return
        self._asked = time.monotonic()
        if self._stop is None:
            _end("stopped before it was ready")
        self._stop()
        if self._signalled(self._seconds + LAST_SECONDS):
            _end("stopped before it was done; the state is that of the last whole block")

    def _signalled(self, seconds: float | None) -> bool:
        """Wait for a signal, or the end of this time; False if nothing is left to stop."""
        end = math.inf if seconds is None else time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self._far], [], [], None if left == math.inf else left)[0]:
                found = self._far.recv(1)[0]
                if found in (_OVER, *SIGNALS):
                    return found != _OVER
        return True


def _end(words: str) -> NoReturn:
    """End the process with exit code 0, without waiting for anything, and say why if there is room for that."""
    with contextlib.suppress(OSError, ValueError):
        if select.select([], [sys.stderr.fileno()], [], 0)[1]:
            os.write(sys.stderr.fileno(), f"{words}\n".encode())
    os._exit(0)
