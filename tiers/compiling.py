# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells when Numba compiles a kernel, which happens once per machine and source, and how long that took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass
class Compilations:
    """Compilations so far.

    Args:
        count: functions compiled, those that others call included.
        seconds: time in which at least one was going on.
        depth: how many are going on now, nested in each other.
    """

    count: int = 0
    seconds: float = 0.0
    depth: int = 0
    begun: float = 0.0


@contextmanager
def telling_of_compilations(tell: Callable[[str], None]) -> Iterator[Compilations]:
    """Call `tell` with a text when a compilation begins and with '' when the outermost one ends.

    Loading a kernel from the cache is no compilation. Calls may come from any thread.
    """
    from numba.core import event

    so_far = Compilations()

    class Listener(event.Listener):
        def on_start(self, happened: Any) -> None:
            if so_far.depth == 0:
                so_far.begun = time.perf_counter()
            so_far.depth += 1
            so_far.count += 1
            name = happened.data["dispatcher"].py_func.__name__
            tell(f"compiling {name} ({so_far.count} so far, kept for the next time)")

        def on_end(self, happened: Any) -> None:
            so_far.depth -= 1
            if so_far.depth == 0:
                so_far.seconds += time.perf_counter() - so_far.begun
                tell("")

    with event.install_listener("numba:compile", Listener()):
        yield so_far
