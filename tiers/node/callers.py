# SPDX-License-Identifier: GPL-3.0-or-later
"""Who waits for what is done here, and until when: it goes along to whoever is asked elsewhere."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

caller_waits: ContextVar[float] = ContextVar("caller_waits", default=math.inf)
"""Until when whoever asked for what is done here waits, by `time.monotonic`: nothing is asked upstream for longer."""


class Asker:
    """Whoever asked for what is done here, as long as somebody waits for the answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: set[Callable[[], object]] = set()
        self.left = False

    def leave(self) -> None:
        """Nobody waits any more: end what is asked elsewhere on the caller's behalf."""
        with self._lock:
            self.left = True
            told = list(self._told)
        for tell in told:
            tell()

    @contextmanager
    def telling(self, tell: Callable[[], object]) -> Iterator[None]:
        """Have `tell` called when the caller leaves, or now where it has left, while the block runs."""
        with self._lock:
            self._told.add(tell)
            left = self.left
        try:
            if left:
                tell()
            yield
        finally:
            with self._lock:
                self._told.discard(tell)


asker: ContextVar[Asker | None] = ContextVar("asker", default=None)
"""Who asked; None for somebody who never leaves."""


def require_caller() -> None:
    """Return if whoever asked waits for the answer.

    Raises:
        TimeoutError: nobody does.
    """
    asking = asker.get()
    if (asking is not None and asking.left) or time.monotonic() > caller_waits.get():
        raise TimeoutError("nobody waits for the answer any more")
